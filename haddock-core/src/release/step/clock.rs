//! A clock that was set back.
//!
//! A state remembers points in time, as the clock of whoever acted showed them. If that clock was hours ahead and is
//! corrected, or somebody acts whose clock is right, nothing would happen for these hours. So the state moves with the
//! clock: what was to happen in a minute still happens in a minute.
//!
//! A clock that is set forward cannot be told from one that went on while nobody acted.

use std::time::Duration;

use crate::release::event::Event;
use crate::release::request::Request;
use crate::release::state::{
    AskedTable, Attempt, DrainState, Draining, External, Failed, Instance, Launched, Life, Notification, PendingGate,
    PendingHook, Phase, Preparation, Release, Retirement, Retiring, Routing, Server, ServiceState, Starting, Version,
    Watch,
};
use crate::time::Timestamp;

/// The clocks of two hosts may differ by this much, and a clock may be corrected by this much, without a report. Time
/// stands still meanwhile.
const CLOCK_DIFFERENCE_TOLERATED: Duration = Duration::from_secs(1);

/// Moves a state from the future back to the present.
pub(super) fn follow(state: &mut ServiceState, now: Timestamp) -> Vec<Event> {
    let ahead = state.now - now;
    if ahead < CLOCK_DIFFERENCE_TOLERATED {
        return Vec::new();
    }
    move_back(state, ahead);
    vec![Event::ClockSetBack { by: u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX) }]
}

/// Moves back every point in time that the state remembers. The patterns name all fields, so that none is forgotten.
fn move_back(state: &mut ServiceState, by: Duration) {
    let at = |time: &mut Timestamp| *time = time.before(by);
    let maybe = |time: &mut Option<Timestamp>| *time = time.map(|time| time.before(by));
    let attempt = |Attempt { count: _, retry_at }: &mut Attempt| *retry_at = retry_at.before(by);
    let ServiceState {
        schema: _,
        service: _,
        journal: _,
        number: _,
        now,
        next_instance: _,
        versions,
        instances,
        known_good: _,
        release,
        queued,
        asked,
        watch,
        leaving: _,
        removals,
        notifications,
        follow,
        retiring,
        retired: _,
        last_version: _,
    } = state;
    at(now);
    removals.values_mut().for_each(attempt);
    for version in versions.values_mut() {
        let Version {
            request: _,
            new: _,
            pins: _,
            verdict: _,
            replacing,
            external: _,
            prepared: _,
            harm: _,
            begun,
            left: _,
            again: _,
        } = version;
        attempt(replacing);
        at(begun);
    }
    follow.given_up.iter_mut().for_each(|gone| at(&mut gone.begun));
    for instance in instances.values_mut() {
        let Instance { version: _, since, phase, routing } = instance;
        let Routing { named: _, listed: _, close_asked: _, close, closed_somewhere: _ } = routing;
        at(since);
        attempt(close);
        move_phase_back(phase, by);
    }
    if let Some(release) = release {
        let Release {
            request: _,
            version: _,
            started_at,
            rollback: _,
            phase: _,
            held_since,
            paused_at,
            advance: _,
            allowed: _,
            pull,
            before,
            gate,
            waits: _,
            locator_silent_since,
        } = release;
        at(started_at);
        [held_since, paused_at, locator_silent_since].into_iter().for_each(maybe);
        attempt(pull);
        if let Some(PendingGate { number: _, retry_at, again: _ }) = gate {
            at(retry_at);
        }
        if let Some(Preparation { instance: _, end_by, attempt: tries }) = before {
            at(end_by);
            attempt(tries);
        }
    }
    if let Some(Request { id: _, at: submitted, by: _, verb: _, about: _ }) = queued {
        at(submitted);
    }
    if let Some(AskedTable { number: _, routes: _, session: _, in_force: _, sending }) = asked {
        attempt(sending);
    }
    if let Some(Watch {
        candidate: _,
        back_to: _,
        since,
        candidates: _,
        baseline: _,
        periods: _,
        earlier: _,
        counts: _,
        noted_at,
        finding: _,
        mismatch: _,
    }) = watch
    {
        at(since);
        at(noted_at);
    }
    for notification in notifications {
        let Notification { number: _, index: _, receiver: _, spec: _, at: recorded, event: _, attempt: tries } =
            notification;
        at(recorded);
        attempt(tries);
    }
    if let Some(Retirement { by: _, since }) = retiring {
        at(since);
    }
}

fn move_phase_back(phase: &mut Phase, by: Duration) {
    let at = |time: &mut Timestamp| *time = time.before(by);
    let maybe = |time: &mut Option<Timestamp>| *time = time.map(|time| time.before(by));
    let attempt = |Attempt { count: _, retry_at }: &mut Attempt| *retry_at = retry_at.before(by);
    let external = |External { address: _, cookie: _, sessions_until }: &mut External| maybe(sessions_until);
    let server = |server: &mut Server| match server {
        Server::Launched(Launched { address: _, incarnations: _ }) => {}
        Server::External(it) => external(it),
    };
    let life = |Life { server: what, unresponsive_since, hook }: &mut Life| {
        server(what);
        maybe(unresponsive_since);
        if let Some(PendingHook { hook: _, number: _, attempt: tries }) = hook {
            attempt(tries);
        }
    };
    match phase {
        Phase::Starting(Starting::Launch { ready_by, attempt: tries }) => {
            at(ready_by);
            attempt(tries);
        }
        Phase::Starting(Starting::Adoption { ready_by, server }) => {
            at(ready_by);
            external(server);
        }
        Phase::Ready(it) | Phase::Serving(it) => life(it),
        Phase::Draining(Draining { life: it, drain, empty_look, empty_since, closing: _ }) => {
            life(it);
            *empty_look = empty_look.map(|(first, last)| (first.before(by), last.before(by)));
            maybe(empty_since);
            if let Some(DrainState { since, deadline, overdue: _ }) = drain {
                at(since);
                maybe(deadline);
            }
        }
        Phase::Failed(Failed { error: _, has_ended: _, server: what, drained_since }) => {
            maybe(drained_since);
            if let Some(it) = what {
                server(it);
            }
        }
        Phase::Retiring(Retiring { address: _, failure: _, stop }) => attempt(stop),
    }
}
