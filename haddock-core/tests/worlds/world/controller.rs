//! The controllers of the world: at most one has the newest epoch, but older ones may not know that yet.

use std::collections::BTreeSet;

use haddock_core::locator::{LocatorCapabilities, SessionCount};
use haddock_core::release::{Action, LocatorView, Observation, Probed, Reading, Release, ReleasePhase, Request};
use haddock_core::release::{ServiceLoop, Step, Task, TaskReport};
use haddock_core::{InstanceId, Timestamp};

use super::journal::Decision;
use super::tasks::Ending;
use super::{Event, World};

#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) epoch: u64,
    /// What it remembers, as in production.
    pub(crate) turns: ServiceLoop,
    /// By how much its clock runs ahead, in milliseconds.
    pub(crate) ahead: u64,
    /// It observes, decides and acts.
    pub(crate) alive: bool,
    /// Its process is gone. The tasks that it had begun may or may not go on.
    pub(crate) crashed: bool,
    /// Its next decision waits until then.
    pub(crate) stalled_until: u64,
    round: u64,
    looking: bool,
    poked: bool,
    reading: u64,
    seen: Observation,
}

impl World {
    /// Somebody takes the lease: a new epoch begins, and the state is loaded.
    pub(crate) fn take_over(&mut self) {
        if self.lost {
            // There is nothing to load yet, so it tries again.
            let after = self.dice.within(100..1_000);
            return self.schedule(after, Event::TakeOver);
        }
        self.journal.epoch += 1;
        let epoch = self.journal.epoch;
        let state = self.journal.state.clone();
        let ahead = self.clock_runs_ahead();
        self.note(|| format!("controller {epoch} takes over, its clock {ahead} ms ahead"));
        if epoch > 1 {
            self.meet("take-over");
            let aborting = |release: &Release| matches!(release.phase, ReleasePhase::Aborting(_));
            if state.retiring.is_some() {
                self.meet("take-over while it retires");
            }
            if state.release.as_ref().is_some_and(aborting) {
                self.meet("take-over during an abort");
            }
        }
        self.controllers.push(Controller {
            epoch,
            turns: ServiceLoop::new(state, epoch),
            ahead,
            alive: true,
            crashed: false,
            stalled_until: 0,
            round: 0,
            looking: false,
            poked: false,
            reading: 0,
            seen: Observation::default(),
        });
        let controller = self.controllers.len() - 1;
        self.schedule(1, Event::Look { controller, round: 0 });
    }

    /// By how much the clock of the next controller is ahead, until it is set right for good.
    fn clock_runs_ahead(&mut self) -> u64 {
        let is_right = self.tuning.clocks == 0 || self.controllers.iter().any(|controller| controller.ahead == 0);
        let ahead = !is_right && self.is_unfair() && self.dice.chance(self.tuning.clocks);
        if ahead { 2 * 3_600_000 } else { 0 }
    }

    /// A controller's time.
    fn clock(&self, controller: usize, at: Timestamp) -> Timestamp {
        at + std::time::Duration::from_millis(self.controllers[controller].ahead)
    }

    pub(crate) fn controller(&mut self, controller: usize) -> &mut Controller {
        &mut self.controllers[controller]
    }

    /// The controller that has the lease, if it runs.
    pub(crate) fn present_controller(&self) -> Option<usize> {
        let last = self.controllers.len().checked_sub(1)?;
        self.controllers[last].alive.then_some(last)
    }

    /// Something has changed that wakes the controller.
    pub(crate) fn poke(&mut self, controller: usize) {
        let one = &mut self.controllers[controller];
        if !one.alive {
            return;
        }
        if one.looking {
            one.poked = true;
            return;
        }
        one.round += 1;
        let round = one.round;
        let after = self.dice.within(1..20);
        self.schedule(after, Event::Look { controller, round });
    }

    /// A reading begins: containers and probes are as they are now; the locators are read a little later.
    pub(crate) fn look(&mut self, controller: usize, round: u64) {
        let one = &self.controllers[controller];
        if !one.alive || one.looking || one.round != round {
            return;
        }
        self.refresh_truth();
        let unknown = self.engine_down > 0 || (self.is_unfair() && self.dice.chance(self.plan.unknown));
        let now = self.time();
        let mut seen = Observation::default();
        let reading = self.now;
        if !unknown {
            let value = self.engine.containers(now).cloned().collect();
            seen.containers = Reading::Known { began: self.clock(controller, now), value };
            self.probe(controller, &mut seen);
        }
        self.probe_server(&mut seen);
        let capabilities = LocatorCapabilities {
            keeps_sticky_at_zero: true,
            session_count: SessionCount::Exact,
            atomic_close: true,
            hold: false,
            counts_by_table: true,
            adoption: true,
            follows_unseen: true,
            closes_in_rounds: true,
            counts_by_policy: true,
            by_client: true,
        };
        for post in &self.posts {
            seen.locators.insert(post.name.clone(), LocatorView { capabilities, report: Reading::Unknown });
        }
        let mut last = 0;
        for locator in 0..self.posts.len() {
            let slow = if self.is_unfair() && self.dice.chance(20) { 400 } else { 60 };
            let after = self.dice.within(0..slow);
            last = last.max(after);
            self.schedule(after, Event::LookAtLocator { controller, locator });
        }
        let wait = if self.is_unfair() && self.dice.chance(10) { 300 } else { 40 };
        let after = last + 1 + self.dice.within(0..wait);
        self.schedule(after, Event::Decide { controller });
        let one = &mut self.controllers[controller];
        one.seen = seen;
        one.reading = reading;
        one.looking = true;
        one.poked = false;
    }

    fn probe(&mut self, controller: usize, seen: &mut Observation) {
        let now = self.time();
        let unknown = if self.is_unfair() { self.plan.unknown } else { 0 };
        for (id, instance) in &self.controllers[controller].turns.state().instances {
            let Some(life) = instance.incarnations().values().next() else { continue };
            let entry = instance.incarnations().get("app").unwrap_or(life);
            if unknown > 0 && self.dice.chance(unknown) {
                continue;
            }
            let Some(container) = self.engine.inspect(&entry.container, now) else { continue };
            let life = container.incarnation();
            let answers = self.engine.answers(&entry.container, now);
            let failure = (!answers).then(|| "no answer".to_owned());
            seen.probes.insert(id.clone(), Probed { incarnation: Some(life), failure });
        }
    }

    pub(crate) fn look_at_locator(&mut self, controller: usize, locator: usize) {
        let now = self.time();
        let unknown = self.is_unfair() && self.dice.chance(self.plan.unknown);
        let post = &mut self.posts[locator];
        if post.cut_off > 0 || unknown {
            return;
        }
        let value = post.core.report(&self.service, now);
        let began = now + std::time::Duration::from_millis(self.controllers[controller].ahead);
        if let Some(view) = self.controllers[controller].seen.locators.get_mut(&post.name) {
            view.report = Reading::Known { began, value };
        }
    }

    pub(crate) fn decide(&mut self, controller: usize) {
        let one = &mut self.controllers[controller];
        if !one.alive {
            return;
        }
        if one.stalled_until > self.now {
            let after = one.stalled_until - self.now;
            self.schedule(after, Event::Decide { controller });
            return;
        }
        one.looking = false;
        let mut seen = std::mem::take(&mut one.seen);
        seen.requests.clone_from(&self.journal.requests);
        let requests = seen.requests.clone();
        let clock = Timestamp::from_millis(self.now + one.ahead);
        let known = seen.locators.values().all(|view| view.report.value().is_some());
        let probed: BTreeSet<InstanceId> = seen.probes.keys().cloned().collect();
        let step = one.turns.step_by(&self.rules, seen, clock);
        let wake_at = step.wake_at;
        let again = one.poked;
        let (epoch, reading) = (one.epoch, one.reading);
        one.round += 1;
        let round = one.round;
        if step.must_commit() {
            let silent = |id: &&InstanceId| !probed.contains(*id);
            let unprobed: BTreeSet<InstanceId> = step.state.instances.keys().filter(silent).cloned().collect();
            let is_silent = |id: &&InstanceId| step.state.instances[*id].unresponsive_since().is_some();
            let last_silent = unprobed.iter().filter(is_silent).cloned().collect();
            let decision = Decision { reading, unprobed, last_silent, known, retires: step.state.retiring.is_some() };
            let Some(before) = self.journal.commit(epoch, &step, decision) else {
                self.note(|| format!("controller {epoch}: its commit is refused, it stops"));
                self.meet("commit refused");
                self.controllers[controller].alive = false;
                return;
            };
            self.before = before;
            self.committed(controller, &requests, step);
        }
        let wake = wake_at.map_or(u64::MAX, |at| (at - clock).as_millis().max(1) as u64);
        let tick = if again { 1 } else { self.dice.within(200..500) };
        self.schedule(wake.min(tick), Event::Look { controller, round });
    }

    fn committed(&mut self, controller: usize, taken: &[Request], step: Step) {
        let epoch = self.controllers[controller].epoch;
        if self.tracing {
            let number = step.state.number;
            for event in &step.events {
                self.note(|| format!("{number} commits {event:?}"));
            }
        }
        self.check_s5_commit(epoch, self.before.number, &step);
        self.check_s4_strays(epoch, &step);
        self.check_s4_server(&step);
        self.check_s3_commit(&step);
        self.check_s7_commit(&step);
        self.check_s8_commit(taken, &step);
        self.check_verdicts(&step);
        self.learn(&step);
        if step.events.contains(&haddock_core::release::Event::ServiceRetired) {
            self.check_retired();
        }
        let actions = self.controllers[controller].turns.committed(step);
        for action in &actions {
            self.act(controller, action.clone());
        }
        let takes = |action: &Action| matches!(action, Action::Close { .. } | Action::Stop { .. });
        if self.is_unfair() && actions.iter().any(takes) && self.dice.chance(self.tuning.malice) {
            let after = self.dice.within(0..150);
            self.schedule(after, Event::Malice);
        }
    }

    /// A task has ended, and the controller hears of it if it is still there.
    pub(crate) fn task_ended(&mut self, controller: usize, run: u64, task: Task, result: Ending) {
        let Ending { began, result } = result;
        let (now, began) = (self.clock(controller, self.time()), self.clock(controller, began));
        let report = TaskReport::Ended { began, at: now, result: result.clone() };
        if !self.controllers[controller].turns.ended(&task, run, report) {
            return;
        }
        self.note(|| format!("{task:?} ended: {result:?}"));
        self.poke(controller);
    }

    /// The process of the present controller ends.
    pub(crate) fn crash(&mut self) {
        if self.end_controller() {
            let after = self.dice.within(100..3_000);
            self.schedule(after, Event::TakeOver);
        }
    }

    /// Ends the present controller, if there is one.
    pub(crate) fn end_controller(&mut self) -> bool {
        let Some(controller) = self.present_controller() else { return false };
        let one = &mut self.controllers[controller];
        one.alive = false;
        one.crashed = true;
        let epoch = one.epoch;
        self.note(|| format!("controller {epoch} crashes"));
        true
    }

    /// The present controller does nothing for a while, between its look and its decision; perhaps somebody thinks
    /// that it is gone.
    pub(crate) fn stall(&mut self) {
        let Some(controller) = self.present_controller() else { return };
        let until = self.now + self.dice.within(500..5_000);
        let one = &mut self.controllers[controller];
        one.stalled_until = until;
        let epoch = one.epoch;
        self.note(|| format!("controller {epoch} stalls"));
        if self.dice.chance(60) {
            let after = self.dice.within(200..4_000);
            self.schedule(after, Event::TakeOver);
        }
    }
}
