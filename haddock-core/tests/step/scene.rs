//! A service with one locator and an engine, whose actions are carried out at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use haddock_core::container::{ContainerSpec, label};
use haddock_core::environment::{Entry, Readiness, ReleaseSettings, ServiceSettings, Stage};
use haddock_core::locator::sim::SimLocatorCore;
use haddock_core::locator::{LocatorCapabilities, SessionCount};
use haddock_core::release::{
    Action, Adoption, Counted, Event, LocatorView, NewVersion, Observation, Probed, Reading, Request, ServiceState,
    Task, TaskReport, TaskResult, Verb, step,
};
use haddock_core::routing::{InstanceFigures, LocatorReport, SessionPolicy};
use haddock_core::runtime::sim::{SimEngine, SimImage};
use haddock_core::{
    ComponentName, Error, ErrorKind, InstanceId, JournalId, LocatorName, RequestId, ServiceName, Share, Timestamp,
    VersionId,
};

/// The time between two looks.
const TICK: Duration = Duration::from_millis(100);

pub(crate) const IDLE: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) state: ServiceState,
    pub(crate) now: Timestamp,
    pub(crate) service: ServiceName,
    pub(crate) locator: SimLocatorCore,
    pub(crate) engine: SimEngine,
    /// What a probe of the adopted server finds; `None`: nobody has probed it yet.
    pub(crate) server: Option<Result<(), &'static str>>,
    /// By how much the clock of the controller runs ahead.
    pub(crate) ahead: Duration,
    /// The engine does not answer launches.
    pub(crate) away: bool,
    /// What the locator can do.
    pub(crate) capabilities: LocatorCapabilities,
    /// The locator does not answer the controller.
    pub(crate) cut_off: bool,
    /// What the controller reads differs so from what the locator says.
    pub(crate) misread: Option<fn(&mut LocatorReport)>,
    /// How the component that runs before a version ends; `None`: it goes on.
    pub(crate) before: Option<Result<TaskResult, Error>>,
    /// How hooks end.
    pub(crate) hook: Result<TaskResult, Error>,
    /// What the gate of a stage answers; `None`: nothing yet.
    pub(crate) gate: Option<Result<TaskResult, Error>>,
    /// What the applications of all instances say of their sessions, and when they were asked; `None` in its place: just
    /// now. If there is nothing, nobody has asked.
    pub(crate) says: Option<(Result<u64, &'static str>, Option<Timestamp>)>,
    /// How notifications end.
    pub(crate) telling: Result<TaskResult, Error>,
    /// The results of actions that end at once and do nothing, by the actions' names.
    pub(crate) failing: BTreeMap<&'static str, Error>,
    /// How often there was something to commit.
    pub(crate) commits: usize,
    /// How long each launch was given to become ready.
    pub(crate) given: Vec<Duration>,
    pub(crate) events: Vec<Event>,
    pub(crate) actions: Vec<Action>,
    tasks: BTreeMap<Task, TaskReport>,
    requests: Vec<Request>,
    asked: u64,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let service = ServiceName::new("shop").expect("valid");
        let now = Timestamp::from_millis(1_000_000);
        let mut state = ServiceState::new(service.clone(), JournalId::new("j1").expect("valid"));
        state.number.epoch = 1;
        Self {
            state,
            now,
            service,
            locator: SimLocatorCore::new(1, now),
            engine: SimEngine::new(),
            server: None,
            ahead: Duration::ZERO,
            away: false,
            capabilities: LocatorCapabilities {
                keeps_sticky_at_zero: true,
                session_count: SessionCount::Exact,
                atomic_close: true,
                counts_by_table: true,
                adoption: true,
                follows_unseen: true,
                closes_in_rounds: true,
                counts_by_policy: true,
                by_client: true,
                ..LocatorCapabilities::default()
            },
            cut_off: false,
            misread: None,
            before: None,
            hook: Ok(TaskResult::Said(vec!["as told".to_owned()])),
            gate: None,
            says: None,
            telling: Ok(TaskResult::Done),
            failing: BTreeMap::new(),
            commits: 0,
            given: Vec::new(),
            events: Vec::new(),
            actions: Vec::new(),
            tasks: BTreeMap::new(),
            requests: Vec::new(),
            asked: 0,
        }
    }

    /// Submits a request, which the next step takes up.
    pub(crate) fn ask(&mut self, verb: Verb) -> RequestId {
        self.ask_about(verb, None)
    }

    /// Submits a request about the release that this request asked for.
    pub(crate) fn ask_about(&mut self, verb: Verb, about: Option<&RequestId>) -> RequestId {
        self.asked += 1;
        let id = RequestId::new(format!("r{}", self.asked)).expect("valid");
        let (at, by, about) = (self.clock(), "the test".into(), about.cloned());
        self.requests.push(Request { id: id.clone(), at, by, verb, about });
        id
    }

    fn clock(&self) -> Timestamp {
        self.now + self.ahead
    }

    /// Asks for a release of that image, and takes it up.
    pub(crate) fn release(&mut self, new: NewVersion) -> RequestId {
        for image in new.images.values() {
            self.engine.add_image(image, SimImage::good(Duration::from_secs(1)));
        }
        let id = self.ask(Verb::Release(Box::new(new)));
        self.step();
        id
    }

    /// Steps for this time.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + TICK;
            self.step();
        }
    }

    /// Steps until this has happened, for an hour at most.
    pub(crate) fn until(&mut self, happened: impl Fn(&Event) -> bool) {
        let end = self.now + Duration::from_secs(3_600);
        let from = self.events.len();
        while !self.events[from..].iter().any(&happened) {
            assert!(self.now < end, "not within an hour; {:?}; {:#?}", self.state.release, &self.events[from..]);
            self.now = self.now + TICK;
            self.step();
        }
    }

    pub(crate) fn step(&mut self) {
        let seen = self.look();
        let step = step(&self.state, &seen, self.clock());
        if step.must_commit() {
            self.commits += 1;
            self.state = step.state;
        }
        self.events.extend(step.events);
        for action in step.actions {
            self.actions.push(action.clone());
            self.carry_out(action);
        }
    }

    /// The gate that is being asked answers.
    pub(crate) fn answer(&mut self, answer: Result<TaskResult, Error>) {
        let at = self.clock();
        let asked = self.tasks.iter_mut().filter(|(task, _)| matches!(task, Task::Gate(_)));
        for (_, report) in asked.filter(|(_, report)| **report == TaskReport::Running) {
            *report = TaskReport::Ended { began: at, at, result: answer.clone() };
        }
    }

    /// Another controller goes on from that state: it knows of no task.
    pub(crate) fn take_over(&mut self, state: ServiceState) {
        self.state = state;
        self.tasks.clear();
        self.requests.clear();
        self.events.clear();
    }

    fn look(&mut self) -> Observation {
        let (now, clock, service) = (self.now, self.clock(), self.service.clone());
        let value = self.engine.containers(now).cloned().collect();
        let mut reported = self.locator.report(&service, now);
        if let Some(misread) = self.misread {
            misread(&mut reported);
        }
        let report = match self.cut_off {
            true => Reading::Unknown,
            false => Reading::Known { began: clock, value: reported },
        };
        let view = LocatorView { capabilities: self.capabilities, report };
        let mut probes = BTreeMap::new();
        for (id, instance) in &self.state.instances {
            let probed = match instance.incarnations().get("app") {
                Some(life) => {
                    let failure = (!self.engine.answers(&life.container, now)).then(|| "no answer".to_owned());
                    Some(Probed { incarnation: Some(life.clone()), failure })
                }
                None => {
                    self.server.map(|server| Probed { incarnation: None, failure: server.err().map(str::to_owned) })
                }
            };
            probes.extend(probed.map(|probed| (id.clone(), probed)));
        }
        Observation {
            requests: std::mem::take(&mut self.requests),
            containers: Reading::Known { began: clock, value },
            probes,
            counts: self.counts(),
            locators: BTreeMap::from([(LocatorName::new("g1").expect("valid"), view)]),
            tasks: self.tasks.clone(),
        }
    }

    fn counts(&self) -> BTreeMap<InstanceId, Counted> {
        let Some((sessions, asked_at)) = self.says else { return BTreeMap::new() };
        let began = asked_at.unwrap_or(self.clock());
        let counted = Counted { began, sessions: sessions.map_err(str::to_owned) };
        self.state.instances.keys().map(|id| (id.clone(), counted.clone())).collect()
    }

    fn carry_out(&mut self, action: Action) {
        let (task, now, service) = (action.task(), self.now, self.service.clone());
        let mut result = Ok(TaskResult::Done);
        if let Some(error) = self.failing.get(action.name()) {
            let at = self.clock();
            let report = TaskReport::Ended { began: at, at, result: Err(error.clone()) };
            self.tasks.insert(task, report);
            return;
        }
        match action {
            Action::Pull { version } => {
                let images = self.state.versions[&version].new.images.clone();
                let pins = images.into_iter().map(|(name, it)| (name, format!("{it}@1"))).collect();
                result = Ok(TaskResult::Pulled(pins));
            }
            Action::Before { version, instance, .. } => {
                let new = self.state.versions[&version].new.clone();
                self.launch_of(&instance, &new, &BTreeMap::from([(component("migrate"), "app:before".to_owned())]));
                match self.before.clone() {
                    Some(ended) => result = ended,
                    None => {
                        self.tasks.insert(task, TaskReport::Running);
                        return;
                    }
                }
            }
            Action::Hook { .. } => result = self.hook.clone(),
            Action::Gate { .. } => match self.gate.clone() {
                Some(answered) => result = answered,
                None => {
                    self.tasks.insert(task, TaskReport::Running);
                    return;
                }
            },
            Action::Notify { .. } => result = self.telling.clone(),
            Action::Launch { .. } if self.away => {
                result = Err(Error::new(ErrorKind::RuntimeUnavailable, "the engine does not answer"));
            }
            Action::Launch { instance, ready_by } => {
                self.given.push(ready_by.since(self.clock()));
                let version = self.state.instances[&instance].version;
                let new = self.state.versions[&version].new.clone();
                self.launch_of(&instance, &new, &new.images);
            }
            Action::Apply { table, .. } if !self.cut_off => self.locator.apply(&table).expect("the newest"),
            Action::Close { instance, number, .. } if !self.cut_off => {
                self.locator.close(&service, &instance, number, now).expect("the newest");
            }
            Action::Evict { instance, number, .. } if !self.cut_off => {
                self.locator.evict(&service, &instance, number, now).expect("the newest");
            }
            Action::Apply { .. } | Action::Close { .. } | Action::Evict { .. } => return,
            Action::Stop { instance } | Action::RemoveStray { instance } => {
                self.tasks.remove(&Task::Launch(instance.clone()));
                let ours =
                    |container: &&haddock_core::container::Container| container.instance() == Some(instance.clone());
                let found: Vec<_> = self.engine.containers(now).filter(ours).map(|it| it.id.clone()).collect();
                for id in found {
                    self.engine.remove(&id);
                }
            }
        }
        // The task ends a moment before the next look.
        let at = self.clock();
        self.tasks.insert(task, TaskReport::Ended { began: at, at, result });
    }

    fn launch_of(&mut self, instance: &InstanceId, new: &NewVersion, images: &BTreeMap<ComponentName, String>) {
        for (component, image) in images {
            let labels = [
                (label::JOURNAL, self.state.journal.to_string()),
                (label::ENVIRONMENT, instance.to_string()),
                (label::COMPONENT, component.to_string()),
                (label::EPOCH, self.state.number.epoch.to_string()),
                (label::SPEC, new.spec.clone()),
            ];
            let spec = ContainerSpec {
                name: format!("{instance}-{component}"),
                image: image.clone(),
                labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                expose: vec![8080],
                ..ContainerSpec::default()
            };
            // An existing container is taken over, whatever its epoch is.
            let now = self.now;
            if self.engine.containers(now).any(|container| container.name == spec.name) {
                continue;
            }
            let id = self.engine.create(&spec).expect("the name is free");
            self.engine.start(&id, self.now).expect("it was just created");
        }
    }

    pub(crate) fn figures(&mut self, instance: &InstanceId) -> InstanceFigures {
        let (now, service) = (self.now, self.service.clone());
        self.locator.report(&service, now).instances.remove(instance).unwrap_or_default()
    }

    /// The instances of a version that the state knows.
    pub(crate) fn instances(&self, version: u64) -> Vec<InstanceId> {
        self.state.instances_of(VersionId(version)).map(|(id, _)| id.clone()).collect()
    }

    /// Lets the application of an instance be silent for this time.
    pub(crate) fn silence(&mut self, instance: &InstanceId, time: Duration) {
        let container = self.state.instances[instance].incarnations()["app"].container.clone();
        self.engine.hang(&container, self.now + time);
    }

    /// The share that the locator gives to a version.
    pub(crate) fn share(&mut self, version: u64) -> Share {
        let shares = self.instances(version).into_iter().filter_map(|id| self.figures(&id).share);
        Share::basis_points(shares.map(Share::as_basis_points).sum())
    }

    /// How many containers run.
    pub(crate) fn running(&mut self) -> usize {
        let now = self.now;
        self.engine.containers(now).filter(|container| container.is_running()).count()
    }
}

fn settings() -> ServiceSettings {
    let stage = |percent| Stage::new(Share::percent(percent), Duration::from_secs(5));
    ServiceSettings {
        service: ServiceName::new("shop").expect("valid"),
        entry: Entry { component: ComponentName::new("app").expect("valid"), port: 8080 },
        ready: Readiness { within: Duration::from_secs(20), ..Readiness::default() },
        session: SessionPolicy { idle: IDLE, ..SessionPolicy::default() },
        release: ReleaseSettings {
            ramp: vec![stage(50), stage(100)],
            settle: Duration::from_secs(5),
            ..ReleaseSettings::default()
        },
        notify: 0,
    }
}

pub(crate) fn component(name: &str) -> ComponentName {
    ComponentName::new(name).expect("valid")
}

/// A version of that number: its image and specification are named for it.
pub(crate) fn version(number: u64) -> NewVersion {
    NewVersion::new(format!("spec-{number}"), settings(), BTreeMap::from([(component("app"), format!("app:{number}"))]))
}

pub(crate) const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 8080);

pub(crate) fn adoption() -> Verb {
    Verb::Adopt(Box::new(Adoption { address: SERVER, settings: settings(), cookie: None }))
}
