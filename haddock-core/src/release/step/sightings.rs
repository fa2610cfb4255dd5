//! What has become of each instance.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{RUNTIME_BACKOFF, Work};
use crate::container::{Container, ContainerState, Incarnation};
use crate::error::{Error, ErrorKind};
use crate::name::{ComponentName, InstanceId};
use crate::release::action::{Action, Task};
use crate::release::event::Event;
use crate::release::observation::{Probed, Reading, TaskReport};
use crate::release::state::{Attempt, DrainState, Instance, Launched, Life, Phase, PhaseName, Server, Starting};
use crate::routing::{Count, Share};
use crate::settings::Hook;
use crate::time::Timestamp;

/// A launch that fails again and again is given up this long after its deadline. By then its last try, which began
/// before the deadline, has ended.
const LAUNCH_GIVEN_UP_AFTER_DEADLINE: Duration = Duration::from_secs(10);

/// How an instance's containers look.
enum Sighting<'a> {
    /// Not known.
    Unknown,
    /// There is none.
    Absent,
    /// Some are missing, or were not started yet.
    Incomplete,
    /// One has ended, was restarted, or is being removed.
    Dead(Error),
    /// All run, or have done their work.
    Running {
        /// That of the component that takes the traffic.
        entry: Option<&'a Container>,
        /// A component that somebody has paused. The sessions still exist, but get no answer.
        paused: Option<ComponentName>,
    },
}

impl<'a> Work<'a> {
    /// Notes whether the table that was asked for is in force, and which instances are closed.
    pub(super) fn sight_locators(&mut self) {
        for (id, instance) in &mut self.state.instances {
            let mut known = self.seen.locators.values().filter_map(|view| view.report.value());
            let closed = known.any(|report| report.instances.get(id).is_some_and(|figures| figures.closed));
            instance.routing.closed_somewhere |= closed;
        }
        let Some(asked) = &mut self.state.asked else { return };
        let number = asked.number;
        let by_number = self.reports.as_ref().map(|reports| reports.iter().all(|report| report.table >= Some(number)));
        let in_force = if self.rules.in_force_by_number { by_number.unwrap_or(asked.in_force) } else { true };
        if in_force && !asked.in_force {
            self.events.push(Event::SharesInForce { number });
        }
        asked.in_force = in_force;
        if in_force {
            let at_zero = asked.routes.iter().filter(|(_, route)| route.share.is_zero());
            for id in at_zero.map(|(id, _)| id) {
                if let Some(instance) = self.state.instances.get_mut(id) {
                    instance.routing.listed = instance.routing.listed.max(Some(number));
                }
            }
        }
    }

    /// Moves each instance on, as far as what is seen of it allows.
    pub(super) fn sight_instances(&mut self) {
        let ids: Vec<InstanceId> = self.state.instances.keys().cloned().collect();
        for id in ids {
            let instance = &self.state.instances[&id];
            if instance.is_external() {
                self.sight_external(&id);
                continue;
            }
            let sighting = self.sighting(&id, instance);
            match instance.phase {
                Phase::Starting(Starting::Launch { ready_by, attempt }) => {
                    self.sight_launch(&id, sighting, ready_by, attempt);
                }
                Phase::Starting(Starting::Adoption { .. }) => {}
                Phase::Ready(_) | Phase::Serving(_) | Phase::Draining(_) => self.sight_running(&id, sighting),
                Phase::Failed(_) => self.sight_failed(&id, &sighting),
                Phase::Retiring(_) => self.sight_retiring(&id, &sighting),
            }
        }
    }

    fn sighting(&self, id: &InstanceId, instance: &Instance) -> Sighting<'a> {
        let Some(found) = self.containers_of(id) else { return Sighting::Unknown };
        let new = &self.version(instance.version).new;
        let mut entry = None;
        let mut paused = None;
        let mut incomplete = false;
        for component in new.images.keys() {
            let Some(container) = found.iter().copied().find(|container| container.is_of(component)) else {
                incomplete = true;
                continue;
            };
            match look_at(container, instance.incarnations().get(component), new.one_shots.contains(component)) {
                Look::Dead(message) => {
                    let message = format!("component `{component}` {message}");
                    return Sighting::Dead(Error::new(ErrorKind::ContainerExited, message));
                }
                Look::NotStarted => incomplete = true,
                Look::Done => {}
                Look::Runs => {
                    if container.state == ContainerState::Paused {
                        paused.get_or_insert_with(|| component.clone());
                    }
                    if *component == new.settings.entry.component {
                        entry = Some(container);
                    }
                }
            }
        }
        if !incomplete {
            return Sighting::Running { entry, paused };
        }
        if !self.absence_counts(id) {
            return Sighting::Unknown;
        }
        if found.is_empty() { Sighting::Absent } else { Sighting::Incomplete }
    }

    /// The containers of an instance, if they could be read.
    fn containers_of(&self, id: &InstanceId) -> Option<&[&'a Container]> {
        Some(self.containers.as_ref()?.get(id).map_or(&[], Vec::as_slice))
    }

    /// The incarnations of an instance's components that run.
    fn incarnations(&self, id: &InstanceId) -> BTreeMap<ComponentName, Incarnation> {
        let components = self.version(self.state.instances[id].version).new.images.keys();
        let found = self.containers_of(id).unwrap_or_default();
        let running = |component: &ComponentName| {
            let container = found.iter().find(|container| container.is_of(component))?;
            let runs = matches!(container.state, ContainerState::Running | ContainerState::Paused);
            runs.then(|| (component.clone(), container.incarnation()))
        };
        components.filter_map(running).collect()
    }

    /// An absence counts only if the reading began after our last action on the instance ended.
    pub(super) fn absence_counts(&self, id: &InstanceId) -> bool {
        let began = match &self.seen.containers {
            Reading::Known { began, .. } => *began,
            Reading::Unknown => return !self.rules.unknown_is_not_empty,
        };
        [Task::Launch(id.clone()), Task::Stop(id.clone())].iter().all(|task| match self.task(task) {
            None => true,
            Some(TaskReport::Running) => false,
            Some(TaskReport::Ended { at, .. }) => began > *at,
        })
    }

    fn sight_launch(&mut self, id: &InstanceId, sighting: Sighting<'_>, mut ready_by: Timestamp, mut attempt: Attempt) {
        let now = self.now;
        match self.task(&Task::Launch(id.clone())) {
            Some(TaskReport::Running) => return,
            Some(TaskReport::Ended { result: Ok(_), .. }) => match sighting {
                // It is ready once somebody unpauses it, if this is before the deadline.
                Sighting::Running { paused: Some(_), .. } => {
                    if now >= ready_by {
                        return self.fail(id, never_ready(), false);
                    }
                    self.wake(ready_by);
                    return;
                }
                Sighting::Running { entry: running, paused: None } => {
                    let entry = &self.version(self.state.instances[id].version).new.settings.entry;
                    let address = running.and_then(|container| container.addresses.get(&entry.port)).copied();
                    if address.is_some() {
                        let launched = Launched { address, incarnations: self.incarnations(id) };
                        self.enter(id, |_| Phase::Ready(Life::new(Server::Launched(launched))));
                        self.events.push(Event::InstanceReady { instance: id.clone() });
                        return;
                    }
                    let message = format!("component `{}` has no address for port {}", entry.component, entry.port);
                    let error = Error::new(ErrorKind::NeverReady, message).with_hint("add the port to its `expose`");
                    return self.fail(id, error, false);
                }
                Sighting::Dead(error) => return self.fail(id, error, true),
                Sighting::Absent | Sighting::Incomplete | Sighting::Unknown => {}
            },
            Some(TaskReport::Ended { result: Err(error), .. }) if !error.is_retryable() => {
                return self.fail(id, error.clone(), false);
            }
            Some(TaskReport::Ended { result: Err(error), .. }) => {
                // It is not the image's fault that the runtime could not be reached. So the next try gets the full time
                // again.
                if error.kind() == ErrorKind::RuntimeUnavailable {
                    if attempt.is_due(now) {
                        let version = self.state.instances[id].version;
                        ready_by = now + self.version(version).new.settings.ready.within;
                    }
                } else if now > ready_by + LAUNCH_GIVEN_UP_AFTER_DEADLINE && self.containers.is_some() {
                    return self.fail(id, never_ready(), false);
                }
            }
            None => {}
        }
        if attempt.is_due(now) {
            attempt.begin(now, RUNTIME_BACKOFF.0, RUNTIME_BACKOFF.1);
            self.actions.push(Action::Launch { instance: id.clone(), ready_by });
        }
        self.instance_mut(id).phase = Phase::Starting(Starting::Launch { ready_by, attempt });
        self.wake(attempt.retry_at);
    }

    fn sight_running(&mut self, id: &InstanceId, sighting: Sighting<'_>) {
        match sighting {
            Sighting::Unknown => {}
            Sighting::Dead(error) => return self.fail(id, error, true),
            Sighting::Absent | Sighting::Incomplete => {
                let error = Error::new(ErrorKind::ContainerExited, "its containers were removed by somebody else");
                return self.fail(id, error, true);
            }
            Sighting::Running { entry, paused } => {
                if self.sight_answer(id, entry, paused.as_ref()) {
                    return;
                }
            }
        }
        if !self.sight_closed(id) {
            self.sight_share(id);
        }
    }

    /// Notes whether an adopted server answers its probe. Returns whether it has failed, because it has not answered
    /// for too long.
    pub(super) fn sight_probe(&mut self, id: &InstanceId) -> bool {
        self.sight_answer(id, None, None)
    }

    /// As [`sight_probe`](Self::sight_probe). With a paused component the instance counts as unresponsive, even if its
    /// entry answers.
    fn sight_answer(&mut self, id: &InstanceId, entry: Option<&Container>, paused: Option<&ComponentName>) -> bool {
        let now = self.now;
        let instance = &self.state.instances[id];
        let patience = self.version(instance.version).new.settings.release.unresponsive_for;
        let is_of_this_life = |probed: &&Probed| match (&probed.incarnation, entry) {
            (Some(incarnation), Some(container)) => container.is_incarnation(incarnation),
            // For an adopted server, neither side knows an incarnation.
            (known, seen) => known.is_none() && seen.is_none(),
        };
        let probed = self.seen.probes.get(id).filter(is_of_this_life);
        let paused = paused.map(|component| Some(format!("component `{component}` is paused")));
        let failure = paused.as_ref().or_else(|| probed.map(|probed| &probed.failure));
        match (failure.cloned().as_ref(), instance.unresponsive_since()) {
            (Some(Some(_)), None) => {
                self.life_mut(id).unresponsive_since = Some(now);
                self.events.push(Event::InstanceUnresponsive { instance: id.clone() });
                self.wake(now + self.hiccup(&self.state.instances[id]));
            }
            (Some(Some(why)), Some(since)) if since + patience <= now => {
                let message = format!("it did not answer its probe for {} s: {why}", patience.as_secs());
                self.fail(id, Error::new(ErrorKind::NeverReady, message), false);
                return true;
            }
            (Some(Some(_)), Some(since)) => {
                self.wake(since + self.hiccup(&self.state.instances[id]));
                self.wake(since + patience);
            }
            (Some(None), Some(_)) => {
                self.life_mut(id).unresponsive_since = None;
                self.events.push(Event::InstanceResponsive { instance: id.clone() });
            }
            (Some(None), None) | (None, _) => {}
        }
        false
    }

    /// An instance with a share in force is serving. A serving one that has lost it is draining.
    pub(super) fn sight_share(&mut self, id: &InstanceId) {
        if !self.state.asked.as_ref().is_some_and(|asked| asked.in_force) {
            return;
        }
        let share = self.state.asked_share(id);
        let instance = &self.state.instances[id];
        match (instance.phase.name(), share) {
            (PhaseName::Serving, Share::ZERO) => self.begin_drain(id),
            // It was to serve again, and perhaps it did without being seen. So this is a new drain.
            (PhaseName::Draining, Share::ZERO) if instance.drain().is_none() => self.begin_drain(id),
            (PhaseName::Ready | PhaseName::Draining, share) if !share.is_zero() => {
                self.enter(id, Phase::into_serving);
                self.ask_hook(id, Hook::Serving);
                self.events.push(Event::InstanceServing { instance: id.clone(), share });
            }
            _ => {}
        }
    }

    pub(super) fn begin_drain(&mut self, id: &InstanceId) {
        let now = self.now;
        let version = self.state.instances[id].version;
        let deadline = self.version(version).new.settings.release.drain.evict_after.map(|after| now + after);
        self.enter(id, |phase| phase.into_draining(DrainState { since: now, deadline, overdue: false }));
        self.ask_hook(id, Hook::Draining);
        let sessions = self.live_sessions(id);
        self.events.push(Event::InstanceDraining { instance: id.clone(), sessions, deadline });
    }

    /// Live sessions over all locators, if each knows.
    pub(super) fn live_sessions(&self, id: &InstanceId) -> Option<u64> {
        let reports = self.reports.as_ref()?;
        let counts = reports.iter().map(|report| report.instances.get(id).map_or(Count::Exact(0), |f| f.live));
        counts
            .map(|count| match count {
                Count::Exact(n) | Count::AtMost(n) => Some(n),
                Count::Unknown => None,
            })
            .sum()
    }

    /// An instance that is seen closed on every locator is retiring, whatever was asked. Returns whether it is.
    pub(super) fn sight_closed(&mut self, id: &InstanceId) -> bool {
        let Some(reports) = &self.reports else { return false };
        let closed = reports.iter().map(|report| {
            let figures = report.instances.get(id).filter(|figures| figures.closed)?;
            Some(figures.sessions_evicted)
        });
        let Some(sessions_lost) = closed.sum() else { return false };
        self.retire(id, sessions_lost);
        true
    }

    /// Nothing reaches it any more. The end of this step stops it, or lets go of a server that was adopted.
    pub(super) fn retire(&mut self, id: &InstanceId, sessions_lost: u64) {
        let now = self.now;
        let instance = &self.state.instances[id];
        let drained_for = instance.drained_since().map(|since| (now - since).as_millis());
        let drained_for = drained_for.map(|millis| u64::try_from(millis).unwrap_or(u64::MAX));
        self.events.push(Event::InstanceRetiring { instance: id.clone(), sessions_lost, drained_for });
        self.enter(id, Phase::into_retiring);
    }

    fn sight_failed(&mut self, id: &InstanceId, sighting: &Sighting<'_>) {
        if matches!(sighting, Sighting::Dead(_) | Sighting::Absent)
            && let Phase::Failed(failed) = &mut self.instance_mut(id).phase
        {
            failed.has_ended = true;
        }
        self.sight_closed(id);
    }

    fn sight_retiring(&mut self, id: &InstanceId, sighting: &Sighting<'_>) {
        if let Some(TaskReport::Ended { result: Ok(result), .. }) = self.task(&Task::Stop(id.clone()))
            && matches!(sighting, Sighting::Absent)
        {
            self.state.instances.remove(id);
            self.events.push(Event::InstanceGone { instance: id.clone(), log: result.said().to_vec() });
        }
    }
}

enum Look {
    Runs,
    Done,
    NotStarted,
    Dead(String),
}

fn look_at(container: &Container, known: Option<&Incarnation>, one_shot: bool) -> Look {
    match &container.state {
        ContainerState::Exited { code: 0, .. } if one_shot => Look::Done,
        ContainerState::Exited { out_of_memory: true, .. } => Look::Dead("was killed for want of memory".to_owned()),
        ContainerState::Exited { code, .. } => Look::Dead(format!("exited with code {code}")),
        ContainerState::Running | ContainerState::Paused
            if known.is_some_and(|known| !container.is_incarnation(known)) =>
        {
            Look::Dead("was restarted by somebody else".to_owned())
        }
        ContainerState::Running | ContainerState::Paused => Look::Runs,
        // Somebody has given it a restart policy. In an instance only Haddock decides what is started again, so it has
        // failed.
        ContainerState::Restarting { code } => {
            Look::Dead(format!("exited with code {code}, and its engine starts it again"))
        }
        ContainerState::Created => Look::NotStarted,
        ContainerState::Removing => Look::Dead("is being removed by somebody else".to_owned()),
        ContainerState::Dead => Look::Dead("is dead: its engine could not remove it".to_owned()),
    }
}

fn never_ready() -> Error {
    Error::new(ErrorKind::NeverReady, "the launch did not end within its deadline")
        .with_hint("raise `ready.within`, or see the component's log")
}
