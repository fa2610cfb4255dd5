//! What may be closed, evicted, stopped and removed.

use std::collections::BTreeSet;

use super::{LOCATOR_BACKOFF, RUNTIME_BACKOFF, Work};
use crate::name::{InstanceId, VersionId};
use crate::release::action::{Action, Task};
use crate::release::event::Event;
use crate::release::observation::{Reading, TaskReport};
use crate::release::state::{Phase, ReleasePhase};
use crate::routing::InstanceFigures;
use crate::time::Timestamp;

impl Work<'_> {
    /// Moves on what is on its way out.
    pub(super) fn drain(&mut self) {
        let needed = self.needed();
        let ids: Vec<InstanceId> = self.state.instances.keys().cloned().collect();
        for id in &ids {
            match self.state.instances[id].phase {
                // A share that was asked for may be in force before it is seen to be: its drain begins when it is not.
                Phase::Ready if !needed.contains(id) && self.has_zero_in_force(id) => self.drain_unused(id),
                Phase::Draining if !needed.contains(id) => self.drain_one(id),
                Phase::Failed => self.drain_failed(id),
                _ => {}
            }
            let instance = &self.state.instances[id];
            match instance.phase {
                Phase::Retiring if instance.external.is_some() => self.release_external(id),
                Phase::Retiring => self.stop(id),
                _ => {}
            }
        }
        self.remove_leaving();
        self.remove_strays();
    }

    /// Instances that are not closed although they may have no share: those of the known good version until the new
    /// one has settled, of the candidate, and of whatever serves in their stead. Not needed are more of a version than
    /// its replicas, and what one locator has closed: it is closed on the rest. Of a service that is being retired, none is
    /// needed.
    fn needed(&self) -> BTreeSet<InstanceId> {
        if self.state.retiring.is_some() {
            return BTreeSet::new();
        }
        let mut versions: BTreeSet<VersionId> = self.home().into_iter().collect();
        if self.rules.known_good_stays {
            versions.extend(self.state.known_good);
        }
        if let Some(release) = self.state.release.as_ref() {
            let aborting = matches!(release.phase, ReleasePhase::Aborting(_));
            if !aborting {
                versions.insert(release.version);
            }
        }
        let mut needed = BTreeSet::new();
        for version in versions {
            let replicas = self.version(version).new.settings.release.replicas as usize;
            let answer = self.state.instances_of(version).filter(|(_, instance)| self.answers(instance)).count();
            for (id, instance) in self.state.instances_of(version) {
                if instance.closed_somewhere {
                    continue;
                }
                let surplus = answer > replicas && self.state.asked_share(id).is_zero() && self.has_share(version);
                if !(surplus && instance.phase == Phase::Draining) {
                    needed.insert(id.clone());
                }
            }
        }
        needed
    }

    fn has_share(&self, version: VersionId) -> bool {
        !self.state.asked_share_of(version).is_zero()
    }

    fn drain_unused(&mut self, id: &InstanceId) {
        self.begin_drain(id);
        self.drain_one(id);
    }

    fn drain_one(&mut self, id: &InstanceId) {
        if self.state.instances[id].named.is_none() {
            return self.retire(id, 0);
        }
        self.mark_overdue(id);
        if !self.has_zero_in_force(id) {
            return;
        }
        let overdue = self.state.instances[id].drain.is_some_and(|drain| drain.overdue);
        if overdue {
            self.close(id, true);
        } else if self.is_drained_for_certain(id) && self.state.instances[id].hook.is_none() {
            if self.rules.close_before_stop {
                self.close(id, false);
            } else {
                self.retire(id, 0);
            }
        }
    }

    fn mark_overdue(&mut self, id: &InstanceId) {
        let now = self.now;
        let Some(mut drain) = self.state.instances[id].drain else { return };
        let Some(deadline) = drain.deadline.filter(|_| !drain.overdue) else { return };
        if deadline > now {
            return self.wake(deadline);
        }
        drain.overdue = true;
        let sessions = self.live_sessions(id);
        self.instance_mut(id).drain = Some(drain);
        self.events.push(Event::DrainOverdue { instance: id.clone(), sessions });
    }

    /// Whether the table in force everywhere gives it nothing.
    fn has_zero_in_force(&self, id: &InstanceId) -> bool {
        self.state.asked.as_ref().is_none_or(|asked| asked.in_force) && self.state.asked_share(id).is_zero()
    }

    /// Whether nothing of it is left, on whichever locator.
    ///
    /// Locators are read one after the other, and between two readings a session can come back through the one that was
    /// read first, having expired on the other. It is found by a second look: a session that lived all the time from the
    /// first reading of two looks to the last, in less than an idle period, was last used before some reading of it and
    /// had not expired there.
    fn is_drained_for_certain(&mut self, id: &InstanceId) -> bool {
        let drained = self.is_drained(id);
        if self.seen.locators.len() < 2 || !self.rules.look_twice {
            return drained;
        }
        let began = self.seen.locators.values().filter_map(|view| match &view.report {
            Reading::Known { began, .. } => Some(*began),
            Reading::Unknown => None,
        });
        let (first, last) = began.fold((Timestamp::from_millis(u64::MAX), Timestamp::default()), |(first, last), t| {
            (first.min(t), last.max(t))
        });
        let (now, idle) = (self.now, self.session_policy().idle);
        let instance = self.instance_mut(id);
        let before = instance.empty_look;
        let is_another = before.is_none_or(|(_, last_before)| first > last_before);
        match before {
            _ if !drained => instance.empty_look = None,
            Some((first_before, _)) if is_another && last - first_before < idle => return true,
            _ if is_another => instance.empty_look = Some((first, last)),
            _ => {}
        }
        if drained {
            self.wake(now + LOCATOR_BACKOFF.0.min(idle / 4));
        }
        false
    }

    /// Whether every locator says that nothing of it is left. One that closed it already is one of them.
    fn is_drained(&self, id: &InstanceId) -> bool {
        let empty = |figures: Option<&InstanceFigures>| figures.is_none_or(|f| f.closed || f.is_empty());
        match &self.reports {
            Some(reports) => reports.iter().all(|report| empty(report.instances.get(id))),
            None => !self.rules.unknown_is_not_empty,
        }
    }

    /// One that has ended is evicted at once; one that runs, when its share 0 is in force; one that no locator was
    /// ever told of has nobody to lose.
    fn drain_failed(&mut self, id: &InstanceId) {
        let instance = &self.state.instances[id];
        if instance.named.is_none() {
            self.retire(id, 0);
        } else if instance.dead || self.has_zero_in_force(id) || !self.rules.evict_after_share_zero {
            self.close(id, true);
        }
    }

    /// Asks each locator that has not closed it to do so.
    fn close(&mut self, id: &InstanceId, evict: bool) {
        let (now, number) = (self.now, self.number);
        let attempt = self.state.instances[id].close;
        if !attempt.is_due(now) {
            return self.wake(attempt.retry_at);
        }
        for (locator, view) in &self.seen.locators {
            let closed = |report: &crate::LocatorReport| report.instances.get(id).is_some_and(|f| f.closed);
            if view.report.value().is_some_and(closed) {
                continue;
            }
            let (locator, instance) = (locator.clone(), id.clone());
            self.actions.push(if evict {
                Action::Evict { locator, instance, number }
            } else {
                Action::Close { locator, instance, number }
            });
        }
        let instance = self.instance_mut(id);
        instance.close_asked = Some(number);
        instance.close.begin(now, LOCATOR_BACKOFF.0, LOCATOR_BACKOFF.1);
        let retry_at = instance.close.retry_at;
        self.wake(retry_at);
    }

    fn stop(&mut self, id: &InstanceId) {
        if let Some(TaskReport::Running) = self.task(&Task::Stop(id.clone())) {
            return;
        }
        let now = self.now;
        let instance = self.instance_mut(id);
        if instance.stop.is_due(now) {
            instance.stop.begin(now, RUNTIME_BACKOFF.0, RUNTIME_BACKOFF.1);
            self.actions.push(Action::Stop { instance: id.clone() });
        }
        let retry_at = self.state.instances[id].stop.retry_at;
        self.wake(retry_at);
    }

    /// What carries our journal's label and an id that this service gave out, but is in no state, is removed, unless
    /// it was made under a newer epoch than ours or a locator counts anything on it.
    fn remove_strays(&mut self) {
        if !matches!(self.seen.containers, Reading::Known { .. }) {
            return;
        }
        let (Some(containers), Some(reports)) = (&self.containers, &self.reports) else { return };
        let mut strays = Vec::new();
        for (id, found) in containers.iter().filter(|(id, _)| !self.state.knows(id)) {
            let newer = found.iter().any(|container| container.epoch() > self.number.epoch);
            let counted = reports.iter().any(|report| report.instances.get(id).is_some_and(|f| !f.is_empty()));
            let task = self.task(&Task::Stop(id.clone()));
            let pending = match task {
                Some(TaskReport::Running) => true,
                Some(TaskReport::Ended { .. }) => !self.absence_counts(id),
                None => false,
            };
            if !newer && !counted && !pending {
                strays.push(id.clone());
            }
        }
        for instance in strays {
            if self.remove(instance.clone()) {
                self.events.push(Event::StrayFound { instance });
            }
        }
        self.forget_removals();
    }

    /// Has the containers of what is no instance removed, unless that was tried a moment ago; answers whether it is tried
    /// for the first time.
    pub(super) fn remove(&mut self, instance: InstanceId) -> bool {
        let mut attempt = self.state.removals.get(&instance).copied().unwrap_or_default();
        let is_first = attempt.count == 0;
        if attempt.is_due(self.now) {
            attempt.begin(self.now, RUNTIME_BACKOFF.0, RUNTIME_BACKOFF.1);
            self.state.removals.insert(instance.clone(), attempt);
            self.actions.push(Action::RemoveStray { instance });
        }
        self.wake(attempt.retry_at);
        is_first
    }

    /// What is gone is not tried again.
    fn forget_removals(&mut self) {
        let Some(containers) = &self.containers else { return };
        let gone = |id: &InstanceId| {
            !containers.contains_key(id) && !self.state.leaving.contains(id) && self.absence_counts(id)
        };
        let gone: Vec<InstanceId> = self.state.removals.keys().filter(|id| gone(id)).cloned().collect();
        for id in gone {
            self.state.removals.remove(&id);
        }
    }
}
