//! The tasks that a controller has begun. Their calls land, or get lost, or land late or twice.

use std::collections::BTreeMap;

use haddock_core::container::{Container, ContainerId, ContainerSpec, ContainerState, Identity, label};
use haddock_core::release::{Action, GateAnswer, NewVersion, Run, Task, TaskResult};
use haddock_core::routing::{CloseAnswer, RoutingTable};
use haddock_core::{ComponentName, Error, ErrorKind, InstanceId, Timestamp};

use super::{Event, World};

/// How a task ended.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) began: Timestamp,
    pub(crate) result: Result<TaskResult, Error>,
}

/// A launch on its way: one call to the engine after the other.
#[derive(Debug)]
pub(crate) struct LaunchRun {
    controller: usize,
    run: u64,
    epoch: u64,
    instance: InstanceId,
    new: NewVersion,
    ready_by: Timestamp,
    began: Timestamp,
    calls: Vec<Call>,
    done: usize,
    /// The call that is under way is the last one.
    pub(crate) cancelled: bool,
    /// The call that is under way is slow, and nobody waits for it.
    late: bool,
}

#[derive(Debug, Clone)]
enum Call {
    Create(ComponentName),
    Start(ComponentName),
    Done(ComponentName),
    Ready,
}

/// How long until a call without an answer is given up, in milliseconds.
const TIME_OUT: std::ops::Range<u64> = 1_000..2_000;

impl World {
    /// Begins to carry out an action.
    pub(crate) fn act(&mut self, controller: usize, action: Action) {
        let task = action.task();
        let Some(Run { number: run, cancels, .. }) = self.controller(controller).turns.begin(&action) else { return };
        self.note(|| match &action {
            Action::Apply { locator, table } => {
                let routes: Vec<String> =
                    table.routes.iter().map(|(id, route)| format!("{id}={}", route.share)).collect();
                format!("begins apply {} at {locator}: {}", table.number, routes.join(" "))
            }
            other => format!("begins {other:?}"),
        });
        if cancels.is_some() {
            let cancelled = |launch: &&mut LaunchRun| {
                launch.controller == controller && Some(Task::Launch(launch.instance.clone())) == cancels
            };
            self.launches.values_mut().filter(cancelled).for_each(|launch| launch.cancelled = true);
        }
        match action {
            Action::Pull { version } => self.pull(controller, run, version),
            Action::Launch { instance, ready_by } => self.launch(controller, run, instance, ready_by),
            action => self.send(controller, run, task, action),
        }
    }

    /// Sends a call that takes effect as soon as it lands.
    fn send(&mut self, controller: usize, run: u64, task: Task, action: Action) {
        let soon = self.dice.within(2..120);
        let fate = if self.is_unfair() && self.dice.chance(self.plan.unreliable) { self.dice.index(4) } else { 9 };
        match fate {
            0 => self.note(|| "… which never lands".into()),
            1 => {
                let late = self.dice.within(1_500..5_000);
                self.schedule(late, Event::Land { controller, run, action, reports: false });
            }
            2 => {
                let second = soon + self.dice.within(100..4_000);
                self.schedule(soon, Event::Land { controller, run, action: action.clone(), reports: true });
                self.schedule(second, Event::Land { controller, run, action, reports: false });
                return;
            }
            3 => self.schedule(soon, Event::Land { controller, run, action, reports: false }),
            _ => return self.schedule(soon, Event::Land { controller, run, action, reports: true }),
        }
        let error = Error::new(ErrorKind::TimedOut, "no answer in time");
        self.end_after(TIME_OUT, controller, run, task, Err(error));
    }

    fn end_after(
        &mut self,
        range: std::ops::Range<u64>,
        controller: usize,
        run: u64,
        task: Task,
        result: Result<TaskResult, Error>,
    ) {
        let after = self.dice.within(range);
        let result = Ending { began: self.time(), result };
        self.schedule(after, Event::Ended { controller, run, task, result });
    }

    fn pull(&mut self, controller: usize, run: u64, version: haddock_core::VersionId) {
        let new = &self.journal.state.versions[&version].new;
        let pins: Result<BTreeMap<ComponentName, String>, Error> =
            new.images.iter().map(|(name, image)| Ok((name.clone(), self.engine.pull(image)?))).collect();
        let mut result = pins.map(TaskResult::Pulled);
        if self.is_unfair() && self.dice.chance(self.plan.unreliable) {
            result = Err(Error::new(ErrorKind::RegistryUnavailable, "the registry does not answer"));
        }
        self.end_after(50..800, controller, run, Task::Pull(version), result);
    }

    fn launch(&mut self, controller: usize, run: u64, instance: InstanceId, ready_by: Timestamp) {
        let version = self.journal.state.instances[&instance].version;
        let new = self.journal.state.versions[&version].new.clone();
        let mut calls: Vec<Call> = new.images.keys().cloned().map(Call::Create).collect();
        // One-shots first: the others wait for them.
        for component in new.one_shots.iter() {
            calls.extend([Call::Start(component.clone()), Call::Done(component.clone())]);
        }
        let others = new.images.keys().filter(|component| !new.one_shots.contains(*component));
        calls.extend(others.cloned().map(Call::Start));
        calls.push(Call::Ready);
        let (began, epoch) = (self.time(), self.controller(controller).epoch);
        let launch = LaunchRun {
            controller,
            run,
            epoch,
            instance: instance.clone(),
            new,
            ready_by: ready_by.before(std::time::Duration::from_millis(self.controller(controller).ahead)),
            began,
            calls,
            done: 0,
            cancelled: false,
            late: false,
        };
        self.numbers += 1;
        let number = self.numbers;
        self.launches.insert(number, launch);
        let after = self.dice.within(2..60);
        self.schedule(after, Event::LaunchOp { launch: number });
        if self.is_unfair() && self.dice.chance(self.plan.unreliable / 4) {
            let error = Error::new(ErrorKind::TimedOut, "no answer in time");
            self.end_after(500..3_000, controller, run, Task::Launch(instance), Err(error));
        }
    }

    /// The next call of a launch lands.
    pub(crate) fn launch_op(&mut self, number: u64) {
        let Some(mut launch) = self.launches.remove(&number) else { return };
        let one = self.controller(launch.controller);
        let crashed = one.crashed;
        let task = Task::Launch(launch.instance.clone());
        let given_up = !one.turns.is_running(&task, launch.run);
        let orphan = crashed || given_up || launch.cancelled;
        if orphan && !launch.late {
            if self.dice.chance(60) {
                launch.late = true;
                self.launches.insert(number, launch);
                let after = self.dice.within(20..6_000);
                self.schedule(after, Event::LaunchOp { launch: number });
            }
            return;
        }
        let call = launch.calls[launch.done].clone();
        let result = if self.engine_down > 0 {
            Err(Error::new(ErrorKind::RuntimeUnavailable, "the runtime does not answer"))
        } else {
            self.carry_out(&launch, &call)
        };
        if orphan {
            self.meet("late call of a launch");
            return;
        }
        let result = match result {
            Ok(true) if launch.done + 1 == launch.calls.len() => {
                self.truth_is_ready(&launch.instance);
                Ok(TaskResult::Done)
            }
            Ok(over) => {
                launch.done += usize::from(over);
                let after = if over { self.dice.within(2..40) } else { 50 };
                self.launches.insert(number, launch);
                return self.schedule(after, Event::LaunchOp { launch: number });
            }
            Err(error) => Err(error),
        };
        let result = Ending { began: launch.began, result };
        let after = self.dice.within(1..30);
        self.schedule(after, Event::Ended { controller: launch.controller, run: launch.run, task, result });
    }

    fn carry_out(&mut self, launch: &LaunchRun, call: &Call) -> Result<bool, Error> {
        let now = self.time();
        match call {
            Call::Create(component) => {
                if self.find(launch, component).is_none() {
                    self.create(launch, component)?;
                }
                Ok(true)
            }
            Call::Start(component) => {
                let container = self.find(launch, component).ok_or_else(removed)?;
                self.engine.start(&container.id, now)?;
                Ok(true)
            }
            Call::Done(component) => match self.find(launch, component).ok_or_else(removed)?.state {
                ContainerState::Exited { code: 0, .. } => Ok(true),
                ContainerState::Exited { code, .. } => Err(exited(code)),
                _ => in_time(launch.ready_by, now),
            },
            Call::Ready => {
                let mut ready = true;
                for component in launch.new.images.keys() {
                    let container = self.find(launch, component).ok_or_else(removed)?;
                    match container.state {
                        ContainerState::Exited { code, .. } if !launch.new.one_shots.contains(component) => {
                            return Err(exited(code));
                        }
                        ContainerState::Exited { .. } => {}
                        _ => ready &= self.engine.answers(&container.id, now),
                    }
                }
                if ready { Ok(true) } else { in_time(launch.ready_by, now) }
            }
        }
    }

    /// The container of a component, if it carries our labels.
    fn find(&mut self, launch: &LaunchRun, component: &ComponentName) -> Option<Container> {
        let (now, journal) = (self.time(), self.journal_id.clone());
        let ours = |container: &&Container| {
            container.belongs_to(&journal)
                && container.instance().as_ref() == Some(&launch.instance)
                && container.component().as_ref() == Some(component)
        };
        self.engine.containers(now).find(ours).cloned()
    }

    fn create(&mut self, launch: &LaunchRun, component: &ComponentName) -> Result<ContainerId, Error> {
        let identity = Identity::environment(&self.journal_id, &launch.instance).component(component);
        self.engine.create(&ContainerSpec {
            name: format!("{}-{component}", launch.instance),
            image: launch.new.images[component].clone(),
            identity: identity.made_from(&launch.new.spec),
            labels: BTreeMap::from([(label::EPOCH.to_owned(), launch.epoch.to_string())]),
            expose: vec![launch.new.settings.entry.port],
            ..ContainerSpec::default()
        })
    }

    /// A call lands.
    pub(crate) fn land(&mut self, controller: usize, run: u64, action: Action, reports: bool) {
        if self.controller(controller).crashed {
            if self.dice.chance(50) {
                return;
            }
            self.meet("landing of a crashed controller");
        } else if self.controller(controller).epoch != self.journal.epoch {
            self.meet("landing of an old controller");
        }
        self.refresh_truth();
        let task = action.task();
        let result = match &action {
            Action::Apply { locator, .. } | Action::Close { locator, .. } | Action::Evict { locator, .. } => {
                let at = self.posts.iter().position(|post| post.name == *locator).expect("actions name what is seen");
                if self.posts[at].cut_off > 0 {
                    Err(Error::new(ErrorKind::LocatorUnavailable, "the locator does not answer"))
                } else {
                    self.land_on_locator(at, &action)
                }
            }
            Action::Stop { instance } | Action::RemoveStray { instance } if self.engine_down == 0 => {
                let stray = matches!(action, Action::RemoveStray { .. });
                self.land_stop(controller, instance, stray);
                Ok(TaskResult::Done)
            }
            Action::Hook { instance, .. } if self.engine_down == 0 => self.land_hook(instance),
            Action::Gate { .. } => self.land_gate(),
            _ => Err(Error::new(ErrorKind::RuntimeUnavailable, "the runtime does not answer")),
        };
        if reports {
            self.end_after(1..50, controller, run, task, result);
        }
    }

    /// Instances that a watermark covers are never named by a later table, because their closed marks are forgotten.
    fn check_watermark(&mut self, before: Option<&RoutingTable>, table: &RoutingTable) {
        let Some(watermark) = before.and_then(|before| before.watermark.as_ref()).filter(|_| !self.was_lost) else {
            return;
        };
        if watermark.oldest > 1 {
            self.meet("instances gone for good");
        }
        if let Some(id) = table.routes.keys().find(|id| watermark.covers(id)) {
            self.violate("S4", format!("{id} is named by {}, and was to be named no more", table.number));
        }
    }

    fn land_on_locator(&mut self, at: usize, action: &Action) -> Result<TaskResult, Error> {
        let now = self.time();
        let service = self.service.clone();
        let before = self.posts[at].core.newest(&service);
        let table_before = self.posts[at].core.table(&service).cloned();
        let (number, result) = match action {
            Action::Apply { table, .. } => {
                let result = self.posts[at].core.apply(table);
                if result.is_ok() {
                    self.note(|| format!("apply {} lands at g{}", table.number, at + 1));
                    self.check_s3_apply(at, table_before.as_ref(), table);
                    self.check_watermark(table_before.as_ref(), table);
                    self.truth_of_table(at, table);
                    let was_closing = |id| {
                        let before = table_before.as_ref().and_then(|before| before.routes.get(id));
                        before.is_some_and(|route| route.closing)
                    };
                    if table.routes.iter().any(|(id, route)| !route.closing && was_closing(id)) {
                        self.meet("closing is taken back");
                    }
                }
                (table.number, result)
            }
            Action::Close { instance, number, .. } => {
                let closed = self.posts[at].core.is_closed(&service, instance);
                let answer = self.posts[at].core.close(&service, instance, *number, now);
                match &answer {
                    Ok(CloseAnswer::Closed) if !closed => {
                        self.note(|| format!("close of {instance} by {number} lands"));
                        self.check_s1_close(at, instance);
                        self.check_s3_close(at, instance, *number);
                        self.check_s7_close(at, instance, *number);
                    }
                    Ok(CloseAnswer::Busy(_)) => self.meet("close refused as busy"),
                    _ => {}
                }
                (*number, answer.map(|_| ()))
            }
            Action::Evict { instance, number, .. } => {
                let closed = self.posts[at].core.is_closed(&service, instance);
                let lost = self.live_clients(instance, at);
                let result = self.posts[at].core.evict(&service, instance, *number, now);
                if result.is_ok() && !closed {
                    self.note(|| format!("evict of {instance} by {number} lands, {} clients live", lost.len()));
                    self.check_s1_evict(at, instance, &lost);
                    self.check_s3_close(at, instance, *number);
                    self.check_s7_close(at, instance, *number);
                }
                (*number, result)
            }
            _ => unreachable!("only calls to locators come here"),
        };
        if result.is_err() {
            self.note(|| format!("{} by {number} refused", action.name()));
            self.meet(match action {
                Action::Apply { .. } => "late apply refused by number",
                Action::Close { .. } => "late close refused by number",
                _ => "late evict refused by number",
            });
        } else {
            self.check_s5_landing(at, number, before);
        }
        result.map(|()| TaskResult::Done)
    }

    /// A hook runs if its instance does. In worlds with faults, it fails now and then.
    fn land_hook(&mut self, instance: &InstanceId) -> Result<TaskResult, Error> {
        let (now, journal) = (self.time(), self.journal_id.clone());
        let ours = |container: &Container| {
            container.belongs_to(&journal) && container.instance().as_ref() == Some(instance) && container.is_running()
        };
        let runs = self.engine.containers(now).any(ours);
        self.meet(if runs { "hook" } else { "hook of an instance that is gone" });
        let fails = self.tuning.fault_every > 0 && self.is_unfair() && self.dice.chance(self.plan.unreliable);
        if !runs || fails {
            return Err(Error::new(ErrorKind::HookFailed, "the hook failed"));
        }
        Ok(TaskResult::Said(Vec::new()))
    }

    /// A gate says go. In the unfair time it may say something else, or nothing.
    fn land_gate(&mut self) -> Result<TaskResult, Error> {
        let answer = match self.dice.weighted(&[(5, 0), (3, 1), (1, 2), (1, 3)]) {
            1 if self.is_unfair() => GateAnswer::Wait,
            2 if self.is_unfair() => GateAnswer::Stop("it ended with exit code 1".to_owned()),
            3 if self.is_unfair() => {
                return Err(Error::new(ErrorKind::NotFound, "this controller has no gate `smoke`"));
            }
            _ => GateAnswer::Go,
        };
        self.meet(match answer {
            GateAnswer::Go => "gate says go",
            GateAnswer::Wait => "gate says wait",
            GateAnswer::Stop(_) => "gate says stop",
        });
        Ok(TaskResult::Answered(answer, Vec::new()))
    }

    /// Everything labelled as the instance's is stopped and removed.
    fn land_stop(&mut self, controller: usize, instance: &InstanceId, stray: bool) {
        let (now, journal) = (self.time(), self.journal_id.clone());
        let ours =
            |container: &&Container| container.belongs_to(&journal) && container.instance().as_ref() == Some(instance);
        let found: Vec<Container> = self.engine.containers(now).filter(ours).cloned().collect();
        if found.is_empty() {
            return;
        }
        self.note(|| format!("stop of {instance} lands"));
        if stray {
            self.meet("stray removed");
            self.check_s4_removal(controller, instance);
        } else {
            self.check_s1_stop(instance);
            self.check_s7_stop(instance);
        }
        for container in found {
            self.engine.remove(&container.id);
        }
        self.refresh_truth();
    }
}

fn in_time(ready_by: Timestamp, now: Timestamp) -> Result<bool, Error> {
    if now < ready_by { Ok(false) } else { Err(Error::new(ErrorKind::NeverReady, "it was not ready in time")) }
}

fn exited(code: i64) -> Error {
    Error::new(ErrorKind::ContainerExited, format!("a component exited with code {code}"))
}

fn removed() -> Error {
    Error::new(ErrorKind::ContainerExited, "a container was removed by somebody else")
}
