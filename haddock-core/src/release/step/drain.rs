//! What may be closed, evicted, stopped and removed.

use std::collections::{BTreeMap, BTreeSet};

use super::{LOCATOR_BACKOFF, RUNTIME_BACKOFF, Work};
use crate::name::{InstanceId, VersionId};
use crate::release::action::{Action, Task};
use crate::release::event::Event;
use crate::release::observation::{Reading, TaskReport};
use crate::release::state::{Draining, Instance, Phase, PhaseName, ReleasePhase};
use crate::routing::InstanceFigures;
use crate::time::Timestamp;

impl Work<'_> {
    /// Goes on with instances that are to go: drains, closes, evicts, stops and removes them.
    pub(super) fn drain(&mut self) {
        let needed = self.needed_versions();
        let serves = |instance: &Instance| matches!(instance.phase, Phase::Starting(_) | Phase::Serving(_));
        let others = self.state.instances.iter().filter(|(_, instance)| !serves(instance));
        let ids: Vec<InstanceId> = others.map(|(id, _)| id.clone()).collect();
        for id in &ids {
            let instance = &self.state.instances[id];
            match instance.phase {
                // Its share may be in force before we see it. So its drain begins only once share 0 is in force.
                Phase::Ready(_) if !self.is_needed(id, instance, &needed) && self.has_zero_in_force(id) => {
                    self.drain_unused(id);
                }
                Phase::Draining(_) if !self.is_needed(id, instance, &needed) => self.drain_one(id),
                Phase::Failed(_) => self.drain_failed(id),
                _ => {}
            }
            self.end_retiring(id);
        }
        self.remove_leaving();
        self.remove_strays();
    }

    /// The versions whose instances are not closed, even if they have no share: the known good one until the new one
    /// has settled, the candidate, and the one that serves in their place. With each, whether more instances answer
    /// than it has replicas, and some of them have its share. Of a service that is being retired, none is needed.
    fn needed_versions(&self) -> BTreeMap<VersionId, bool> {
        if self.state.retiring.is_some() {
            return BTreeMap::new();
        }
        let mut versions: BTreeSet<VersionId> = self.fallback_version().into_iter().collect();
        if self.rules.known_good_stays {
            versions.extend(self.state.known_good);
        }
        if let Some(release) = self.state.release.as_ref() {
            let aborting = matches!(release.phase, ReleasePhase::Aborting(_));
            if !aborting {
                versions.insert(release.version);
            }
        }
        let has_more = |version: VersionId| {
            let replicas = self.version(version).new.settings.release.replicas as usize;
            let answer = self.state.instances_of(version).filter(|(_, instance)| self.answers(instance)).count();
            answer > replicas && !self.state.asked_share_of(version).is_zero()
        };
        versions.into_iter().map(|version| (version, has_more(version))).collect()
    }

    /// Whether an instance must not be closed. One that drains beyond its version's replicas may be, and so may one that
    /// some locator has closed: it is closed on the other locators, too.
    fn is_needed(&self, id: &InstanceId, instance: &Instance, versions: &BTreeMap<VersionId, bool>) -> bool {
        let Some(has_more) = versions.get(&instance.version) else { return false };
        let surplus = *has_more && instance.is(PhaseName::Draining) && self.state.asked_share(id).is_zero();
        !instance.routing.closed_somewhere && !surplus
    }

    fn drain_unused(&mut self, id: &InstanceId) {
        self.begin_drain(id);
        self.drain_one(id);
    }

    fn drain_one(&mut self, id: &InstanceId) {
        if self.state.instances[id].routing.named.is_none() {
            return self.retire(id, 0);
        }
        self.mark_overdue(id);
        if !self.has_zero_in_force(id) {
            return;
        }
        self.note_empty(id);
        let overdue = self.state.instances[id].drain().is_some_and(|drain| drain.overdue);
        if overdue {
            self.close(id, true);
        } else if self.is_drained_for_certain(id)
            && self.state.instances[id].hook().is_none()
            && self.has_application_none(id)
        {
            if !self.rules.close_before_stop {
                self.retire(id, 0);
            } else if self.is_shut_everywhere(id) {
                self.close(id, false);
            }
        } else if self.reports.is_some() && !self.is_drained(id) {
            self.set_closing(id, false);
        }
    }

    fn mark_overdue(&mut self, id: &InstanceId) {
        let now = self.now;
        let Phase::Draining(Draining { drain: Some(drain), .. }) = &mut self.instance_mut(id).phase else { return };
        let Some(deadline) = drain.deadline.filter(|_| !drain.overdue) else { return };
        if deadline > now {
            return self.wake(deadline);
        }
        drain.overdue = true;
        let sessions = self.live_sessions(id);
        self.events.push(Event::DrainOverdue { instance: id.clone(), sessions });
    }

    /// Whether its share 0 is in force on every locator.
    pub(super) fn has_zero_in_force(&self, id: &InstanceId) -> bool {
        self.state.asked.as_ref().is_none_or(|asked| asked.in_force) && self.state.asked_share(id).is_zero()
    }

    /// Whether nothing of the instance is left on any locator.
    ///
    /// Locators are read one after the other. Between two readings, a session can come back through the locator that
    /// was read first, after it has expired on the other one. A second look finds such a session: if it lived from the
    /// first reading of the first look to the last reading of the second, and this took less than the idle time, then
    /// some reading found it alive.
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
        let Phase::Draining(draining) = &mut self.instance_mut(id).phase else { return drained };
        let before = draining.empty_look;
        let is_another = before.is_none_or(|(_, last_before)| first > last_before);
        match before {
            _ if !drained => draining.empty_look = None,
            Some((first_before, _)) if is_another && last - first_before < idle => return true,
            _ if is_another => draining.empty_look = Some((first, last)),
            _ => {}
        }
        if drained {
            self.wake(now + LOCATOR_BACKOFF.0.min(idle / 4));
        }
        false
    }

    /// Whether every locator says that nothing of the instance is left, or that it is closed.
    pub(super) fn is_drained(&self, id: &InstanceId) -> bool {
        let empty = |figures: Option<&InstanceFigures>| figures.is_none_or(|f| f.closed || f.is_empty());
        match &self.reports {
            Some(reports) => reports.iter().all(|report| empty(report.instances.get(id))),
            None => !self.rules.unknown_is_not_empty,
        }
    }

    /// A failed instance that has ended is evicted at once. One that still runs is evicted once its share 0 is in
    /// force. One that no locator was ever told of has no sessions.
    fn drain_failed(&mut self, id: &InstanceId) {
        let instance = &self.state.instances[id];
        if instance.routing.named.is_none() {
            self.retire(id, 0);
        } else if instance.has_ended() || self.has_zero_in_force(id) || !self.rules.evict_after_share_zero {
            self.close(id, true);
        }
    }

    /// Asks the locators that have not closed the instance to close or evict it.
    fn close(&mut self, id: &InstanceId, evict: bool) {
        let (now, number) = (self.now, self.number);
        let attempt = self.state.instances[id].routing.close;
        if !attempt.is_due(now) {
            return self.wake(attempt.retry_at);
        }
        for locator in self.next_to_close(id, evict) {
            let instance = id.clone();
            self.actions.push(if evict {
                Action::Evict { locator, instance, number }
            } else {
                Action::Close { locator, instance, number }
            });
        }
        let routing = &mut self.instance_mut(id).routing;
        routing.close_asked = Some(number);
        routing.close.begin(now, LOCATOR_BACKOFF.0, LOCATOR_BACKOFF.1);
        let retry_at = routing.close.retry_at;
        self.wake(retry_at);
    }

    /// Stops an instance that is retiring. An adopted server is not ours to stop: it just is no instance any more.
    fn end_retiring(&mut self, id: &InstanceId) {
        let instance = &self.state.instances[id];
        let Phase::Retiring(retiring) = &instance.phase else { return };
        match retiring.address.filter(|_| self.version(instance.version).external) {
            Some(address) => {
                self.state.instances.remove(id);
                self.events.push(Event::ExternalReleased { instance: id.clone(), address });
            }
            None => self.stop(id),
        }
    }

    fn stop(&mut self, id: &InstanceId) {
        let (now, stopping) = (self.now, self.task(&Task::Stop(id.clone())));
        let Phase::Retiring(retiring) = &mut self.instance_mut(id).phase else { return };
        if let Some(TaskReport::Running) = stopping {
            return;
        }
        let is_due = retiring.stop.is_due(now);
        if is_due {
            retiring.stop.begin(now, RUNTIME_BACKOFF.0, RUNTIME_BACKOFF.1);
        }
        let retry_at = retiring.stop.retry_at;
        if is_due {
            self.actions.push(Action::Stop { instance: id.clone() });
        }
        self.wake(retry_at);
    }

    /// Removes strays: containers with our journal's label and an id of this service that are in no state. They stay if
    /// they were made under a newer epoch than ours, or if a locator counts anything on them.
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

    /// Removes the containers of something that is no instance, unless this was tried a moment ago. Returns whether it
    /// is the first try.
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

    /// Forgets removals of what is gone.
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
