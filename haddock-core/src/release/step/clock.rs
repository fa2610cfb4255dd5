//! The clock that was set back.
//!
//! A state remembers points in time, and each of them was read from the clock of whoever acted then. If that ran hours ahead
//! and is set right, or another acts whose clock is right, nothing would happen until it is that late again. So the state
//! moves with the clock: whatever was to happen in a minute happens in a minute.
//!
//! A clock that is set forward cannot be told from one that went on while nobody acted.

use std::time::Duration;

use crate::release::event::Event;
use crate::release::request::Request;
use crate::release::state::{
    AskedTable, Attempt, DrainState, External, Instance, News, PendingHook, Preparation, Release, Retirement,
    ServiceState, Version,
};
use crate::time::Timestamp;

/// Clocks of two hosts differ, and a clock is corrected by so much, without anybody being told. Time stands still then.
const ORDINARY: Duration = Duration::from_secs(1);

/// Moves a state that is from the future to the present.
pub(super) fn follow(state: &mut ServiceState, now: Timestamp) -> Vec<Event> {
    let ahead = state.now - now;
    if ahead < ORDINARY {
        return Vec::new();
    }
    move_back(state, ahead);
    vec![Event::ClockSetBack { by: u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX) }]
}

/// Moves every point in time that the state remembers. The patterns are whole, so that no field is forgotten.
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
        leaving: _,
        removals,
        news,
        retiring,
        retired: _,
        last_version: _,
    } = state;
    at(now);
    removals.values_mut().for_each(attempt);
    for version in versions.values_mut() {
        let Version { request: _, new: _, pins: _, verdict: _, replacing, external: _, prepared: _, again: _ } =
            version;
        attempt(replacing);
    }
    for instance in instances.values_mut() {
        let Instance {
            version: _,
            phase: _,
            since,
            ready_by,
            launch,
            lives: _,
            address: _,
            named: _,
            listed: _,
            close_asked: _,
            close,
            closed_somewhere: _,
            empty_look,
            drain,
            unresponsive_since,
            failure: _,
            dead: _,
            stop,
            external,
            hook,
        } = instance;
        at(since);
        at(ready_by);
        [launch, close, stop].into_iter().for_each(attempt);
        maybe(unresponsive_since);
        *empty_look = empty_look.map(|(first, last)| (first.before(by), last.before(by)));
        if let Some(DrainState { since, deadline, overdue: _ }) = drain {
            at(since);
            maybe(deadline);
        }
        if let Some(External { cookie: _, sessions_until }) = external {
            maybe(sessions_until);
        }
        if let Some(PendingHook { hook: _, number: _, attempt: tries }) = hook {
            attempt(tries);
        }
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
            pull,
            before,
            waits: _,
            blind_since,
        } = release;
        at(started_at);
        [held_since, paused_at, blind_since].into_iter().for_each(maybe);
        attempt(pull);
        if let Some(Preparation { instance: _, end_by, attempt: tries }) = before {
            at(end_by);
            attempt(tries);
        }
    }
    if let Some(Request { id: _, at: submitted, by: _, verb: _, about: _ }) = queued {
        at(submitted);
    }
    if let Some(AskedTable { number: _, routes: _, in_force: _, sending }) = asked {
        attempt(sending);
    }
    for News { number: _, index: _, receiver: _, spec: _, at: recorded, event: _, attempt: tries } in news {
        at(recorded);
        attempt(tries);
    }
    if let Some(Retirement { by: _, since }) = retiring {
        at(since);
    }
}
