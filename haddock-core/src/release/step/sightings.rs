//! What became of each instance.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{RUNTIME_BACKOFF, Work};
use crate::container::{Container, ContainerState, Incarnation};
use crate::environment::Hook;
use crate::error::{Error, ErrorKind};
use crate::name::{ComponentName, InstanceId};
use crate::release::action::{Action, Task};
use crate::release::event::Event;
use crate::release::observation::{Reading, TaskReport};
use crate::release::state::{DrainState, Phase};
use crate::routing::{Count, Share};

/// How long after its deadline a launch without an answer is given up.
const LAUNCH_GRACE: Duration = Duration::from_secs(10);

/// How an instance's containers look.
enum Sighting {
    /// Not known.
    Unknown,
    /// There is none.
    Absent,
    /// Some are missing, or were not started yet.
    Incomplete,
    /// One has ended, was restarted, or is being removed.
    Dead(Error),
    /// All run, or have done what they had to.
    Running {
        address: Option<SocketAddr>,
        lives: BTreeMap<ComponentName, Incarnation>,
        /// A component that somebody has paused: its sessions are there, and get no answer.
        paused: Option<ComponentName>,
    },
}

impl Work<'_> {
    /// Notes whether the table that was asked for is in force, and who is closed.
    pub(super) fn sight_locators(&mut self) {
        for (id, instance) in &mut self.state.instances {
            let mut known = self.seen.locators.values().filter_map(|view| view.report.value());
            let closed = known.any(|report| report.instances.get(id).is_some_and(|figures| figures.closed));
            instance.closed_somewhere |= closed;
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
                    instance.listed = instance.listed.max(Some(number));
                }
            }
        }
    }

    /// Moves each instance on, as far as what is seen of it allows.
    pub(super) fn sight_instances(&mut self) {
        let ids: Vec<InstanceId> = self.state.instances.keys().cloned().collect();
        for id in ids {
            if self.state.instances[&id].external.is_some() {
                self.sight_external(&id);
                continue;
            }
            let sighting = self.sighting(&id);
            match self.state.instances[&id].phase {
                Phase::Starting => self.sight_starting(&id, sighting),
                Phase::Ready | Phase::Serving | Phase::Draining => self.sight_running(&id, sighting),
                Phase::Failed => self.sight_failed(&id, &sighting),
                Phase::Retiring => self.sight_retiring(&id, &sighting),
            }
        }
    }

    fn sighting(&self, id: &InstanceId) -> Sighting {
        let Some(all) = &self.containers else { return Sighting::Unknown };
        let instance = &self.state.instances[id];
        let new = &self.version(instance.version).new;
        let none = Vec::new();
        let found = all.get(id).unwrap_or(&none);
        let mut lives = BTreeMap::new();
        let mut address = None;
        let mut paused = None;
        let mut incomplete = false;
        for component in new.images.keys() {
            let container = found.iter().find(|c| c.component().as_ref() == Some(component));
            let Some(container) = container else {
                incomplete = true;
                continue;
            };
            match look_at(container, instance.lives.get(component), new.one_shots.contains(component)) {
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
                        address = container.addresses.get(&new.settings.entry.port).copied();
                    }
                    lives.insert(component.clone(), container.incarnation());
                }
            }
        }
        if !incomplete {
            return Sighting::Running { address, lives, paused };
        }
        if !self.absence_counts(id) {
            return Sighting::Unknown;
        }
        if found.is_empty() { Sighting::Absent } else { Sighting::Incomplete }
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

    fn sight_starting(&mut self, id: &InstanceId, sighting: Sighting) {
        let (now, ready_by, launch) = {
            let instance = &self.state.instances[id];
            (self.now, instance.ready_by, instance.launch)
        };
        match self.task(&Task::Launch(id.clone())) {
            Some(TaskReport::Running) => return,
            Some(TaskReport::Ended { result: Ok(_), .. }) => match sighting {
                // It is ready when somebody lets it go on, if that is in time.
                Sighting::Running { paused: Some(_), .. } => {
                    if now >= ready_by {
                        return self.fail(id, never_ready(), false);
                    }
                    self.wake(ready_by);
                    return;
                }
                Sighting::Running { address: Some(address), lives, paused: None } => {
                    let instance = self.instance_mut(id);
                    instance.address = Some(address);
                    instance.lives = lives;
                    self.enter(id, Phase::Ready);
                    self.events.push(Event::InstanceReady { instance: id.clone() });
                    return;
                }
                Sighting::Running { address: None, .. } => {
                    let entry = &self.version(self.state.instances[id].version).new.settings.entry;
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
                // The time in which the runtime could not be reached is not the image's fault: the next try has all of it.
                if error.kind() == ErrorKind::RuntimeUnavailable {
                    if launch.is_due(now) {
                        let version = self.state.instances[id].version;
                        let within = self.version(version).new.settings.ready.within;
                        self.instance_mut(id).ready_by = now + within;
                    }
                } else if now > ready_by + LAUNCH_GRACE && self.containers.is_some() {
                    return self.fail(id, never_ready(), false);
                }
            }
            None => {}
        }
        if launch.is_due(now) {
            let (first, longest) = RUNTIME_BACKOFF;
            let instance = self.instance_mut(id);
            instance.launch.begin(now, first, longest);
            let ready_by = instance.ready_by;
            self.actions.push(Action::Launch { instance: id.clone(), ready_by });
        }
        let retry_at = self.state.instances[id].launch.retry_at;
        self.wake(retry_at);
    }

    fn sight_running(&mut self, id: &InstanceId, sighting: Sighting) {
        match sighting {
            Sighting::Unknown => {}
            Sighting::Dead(error) => return self.fail(id, error, true),
            Sighting::Absent | Sighting::Incomplete => {
                let error = Error::new(ErrorKind::ContainerExited, "its containers were removed by somebody else");
                return self.fail(id, error, true);
            }
            Sighting::Running { lives, paused, .. } => {
                if self.sight_answer(id, &lives, paused.as_ref()) {
                    return;
                }
            }
        }
        self.sight_closed(id);
        self.sight_share(id);
    }

    /// Whether it answers its probe; answers whether it failed for not doing so.
    pub(super) fn sight_probe(&mut self, id: &InstanceId, lives: &BTreeMap<ComponentName, Incarnation>) -> bool {
        self.sight_answer(id, lives, None)
    }

    /// As [`sight_probe`](Self::sight_probe); one with a paused component is unresponsive, whatever its entry answers.
    fn sight_answer(
        &mut self,
        id: &InstanceId,
        lives: &BTreeMap<ComponentName, Incarnation>,
        paused: Option<&ComponentName>,
    ) -> bool {
        let now = self.now;
        let instance = &self.state.instances[id];
        let settings = &self.version(instance.version).new.settings;
        let (patience, entry) = (settings.release.unresponsive_for, &settings.entry.component);
        // Of an external one neither side knows a life.
        let probed = self.seen.probes.get(id).filter(|probed| probed.life.as_ref() == lives.get(entry));
        let paused = paused.map(|component| Some(format!("component `{component}` is paused")));
        let failure = paused.as_ref().or_else(|| probed.map(|probed| &probed.failure));
        match (failure.cloned().as_ref(), instance.unresponsive_since) {
            (Some(Some(_)), None) => {
                self.instance_mut(id).unresponsive_since = Some(now);
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
                self.instance_mut(id).unresponsive_since = None;
                self.events.push(Event::InstanceResponsive { instance: id.clone() });
            }
            (Some(None), None) | (None, _) => {}
        }
        false
    }

    /// `Serving` is a share in force; a serving one without is draining.
    pub(super) fn sight_share(&mut self, id: &InstanceId) {
        if !self.state.asked.as_ref().is_some_and(|asked| asked.in_force) {
            return;
        }
        let share = self.state.asked_share(id);
        match (self.state.instances[id].phase, share) {
            (Phase::Serving, Share::ZERO) => self.begin_drain(id),
            // It was to serve again, and perhaps it did, unseen: this is another drain.
            (Phase::Draining, Share::ZERO) if self.state.instances[id].drain.is_none() => self.begin_drain(id),
            (Phase::Ready | Phase::Draining, share) if !share.is_zero() => {
                self.enter(id, Phase::Serving);
                self.instance_mut(id).drain = None;
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
        self.enter(id, Phase::Draining);
        self.instance_mut(id).drain = Some(DrainState { since: now, deadline, overdue: false });
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

    /// An instance seen closed on every locator is retiring, whatever was asked.
    pub(super) fn sight_closed(&mut self, id: &InstanceId) -> bool {
        let Some(reports) = &self.reports else { return false };
        let figures = |report: &&crate::routing::LocatorReport| report.instances.get(id).cloned();
        let all: Option<Vec<_>> = reports.iter().map(figures).collect();
        let Some(all) = all.filter(|all| all.iter().all(|figures| figures.closed)) else { return false };
        self.retire(id, all.iter().map(|figures| figures.sessions_evicted).sum());
        true
    }

    pub(super) fn retire(&mut self, id: &InstanceId, sessions_lost: u64) {
        let now = self.now;
        let instance = &self.state.instances[id];
        let drained_for =
            instance.drain.map(|drain| u64::try_from((now - drain.since).as_millis()).unwrap_or(u64::MAX));
        self.enter(id, Phase::Retiring);
        self.instance_mut(id).hook = None;
        self.events.push(Event::InstanceRetiring { instance: id.clone(), sessions_lost, drained_for });
    }

    fn sight_failed(&mut self, id: &InstanceId, sighting: &Sighting) {
        if matches!(sighting, Sighting::Dead(_) | Sighting::Absent) {
            self.instance_mut(id).dead = true;
        }
        self.sight_closed(id);
    }

    fn sight_retiring(&mut self, id: &InstanceId, sighting: &Sighting) {
        let stopped = matches!(self.task(&Task::Stop(id.clone())), Some(TaskReport::Ended { result: Ok(_), .. }));
        if stopped && matches!(sighting, Sighting::Absent) {
            self.state.instances.remove(id);
            self.events.push(Event::InstanceGone { instance: id.clone() });
        }
    }
}

enum Look {
    Runs,
    Done,
    NotStarted,
    Dead(String),
}

fn look_at(container: &Container, life: Option<&Incarnation>, one_shot: bool) -> Look {
    match &container.state {
        ContainerState::Exited { code: 0, .. } if one_shot => Look::Done,
        ContainerState::Exited { out_of_memory: true, .. } => Look::Dead("was killed for want of memory".to_owned()),
        ContainerState::Exited { code, .. } => Look::Dead(format!("exited with code {code}")),
        ContainerState::Running | ContainerState::Paused
            if life.is_some_and(|life| *life != container.incarnation()) =>
        {
            Look::Dead("was restarted by somebody else".to_owned())
        }
        ContainerState::Running | ContainerState::Paused => Look::Runs,
        // Within an instance, what is started again is ours to decide: somebody has given it a policy.
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
