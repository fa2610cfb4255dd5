//! How long a step takes, by the number of instances: it is linear, and at 1 000 instances it takes 2 ms at most.

use std::collections::BTreeMap;
use std::time::Duration;

use haddock_core::container::{Container, ContainerId, ContainerState, Health, label};
use haddock_core::environment::{Entry, Readiness, ReleaseSettings, ServiceSettings};
use haddock_core::locator::sim::SimLocatorCore;
use haddock_core::locator::{LocatorCapabilities, SessionCount};
use haddock_core::release::{
    Action, LocatorView, NewVersion, Observation, Reading, Request, ServiceState, Task, TaskReport, TaskResult, Verb,
    step,
};
use haddock_core::routing::SessionPolicy;
use haddock_core::{ComponentName, InstanceId, JournalId, LocatorName, RequestId, ServiceName, Timestamp};

fn main() {
    divan::main();
}

/// A service with a settled version and a candidate in its ramp, half of the instances each.
struct Service {
    state: ServiceState,
    seen: Observation,
    now: Timestamp,
    locator: SimLocatorCore,
}

fn request(number: u64, replicas: u32) -> Request {
    let component = ComponentName::new("app").expect("valid");
    let settings = ServiceSettings {
        service: ServiceName::new("shop").expect("valid"),
        entry: Entry { component: component.clone(), port: 8080 },
        ready: Readiness::default(),
        session: SessionPolicy::default(),
        release: ReleaseSettings { replicas, settle: Duration::from_secs(1), ..ReleaseSettings::default() },
        notify: 0,
    };
    let new =
        NewVersion::new(format!("spec-{number}"), settings, BTreeMap::from([(component, format!("app:{number}"))]));
    Request {
        id: RequestId::new(format!("r{number}")).expect("valid"),
        at: Timestamp::from_millis(0),
        by: "bench".into(),
        verb: Verb::Release(Box::new(new)),
        about: None,
    }
}

fn container(journal: &JournalId, instance: &InstanceId, address: u32) -> Container {
    let labels = [
        (label::JOURNAL, journal.to_string()),
        (label::ENVIRONMENT, instance.to_string()),
        (label::COMPONENT, "app".to_owned()),
        (label::EPOCH, "1".to_owned()),
    ];
    let host = std::net::Ipv4Addr::from_bits(0x7f00_0001 + address);
    Container {
        id: ContainerId(format!("{address:012x}")),
        name: format!("{instance}-app"),
        labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        state: ContainerState::Running,
        started: 1,
        health: Health::None,
        addresses: BTreeMap::from([(8080, (host, 8080).into())]),
        published: BTreeMap::new(),
        image: String::new(),
        networks: Vec::new(),
        network_ids: BTreeMap::new(),
    }
}

impl Service {
    fn new(instances: u32) -> Self {
        let service = ServiceName::new("shop").expect("valid");
        let journal = JournalId::new("j1").expect("valid");
        let now = Timestamp::from_millis(1_000);
        let mut state = ServiceState::new(service, journal);
        state.number.epoch = 1;
        let containers = Reading::Known { began: now, value: Vec::new() };
        let seen = Observation { containers, ..Observation::default() };
        let mut one = Self { state, seen, now, locator: SimLocatorCore::new(1, now) };
        one.seen.requests = vec![request(1, instances / 2)];
        one.until(|one| one.state.known_good.is_some());
        one.seen.requests = vec![request(2, instances / 2)];
        one.until(|one| one.state.release.as_ref().is_some_and(|release| release.held_since.is_some()));
        one
    }

    /// Steps, and does at once whatever a step asks for.
    fn until(&mut self, there: impl Fn(&Self) -> bool) {
        for _ in 0..100 {
            if there(self) {
                return;
            }
            self.now = self.now + Duration::from_secs(5);
            let (now, service) = (self.now, self.state.service.clone());
            let report = self.locator.report(&service, now);
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
            let view = LocatorView { capabilities, report: Reading::Known { began: now, value: report } };
            self.seen.locators = BTreeMap::from([(LocatorName::new("g1").expect("valid"), view)]);
            if let Reading::Known { began, .. } = &mut self.seen.containers {
                *began = now;
            }
            let made = step(&self.state, &self.seen, now);
            self.seen.requests.clear();
            self.state = made.state;
            for action in made.actions {
                self.carry_out(action);
            }
        }
        panic!("it does not come there: {:?}", self.state.release);
    }

    fn carry_out(&mut self, action: Action) {
        let task = action.task();
        let mut result = TaskResult::Done;
        match action {
            Action::Pull { version } => {
                result = TaskResult::Pulled(self.state.versions[&version].new.images.clone());
            }
            Action::Launch { instance, .. } => {
                let Reading::Known { value, .. } = &mut self.seen.containers else { return };
                let address = u32::try_from(value.len()).expect("few");
                value.push(container(&self.state.journal, &instance, address));
            }
            Action::Apply { table, .. } => self.locator.apply(&table).expect("the newest"),
            _ => {}
        }
        let ended = TaskReport::Ended { began: self.now, at: self.now, result: Ok(result) };
        if matches!(task, Task::Pull(_) | Task::Launch(_)) {
            self.seen.tasks.insert(task, ended);
        }
    }
}

#[divan::bench(args = [10, 100, 1_000, 10_000])]
fn step_in_a_ramp(bencher: divan::Bencher<'_, '_>, instances: u32) {
    let one = Service::new(instances);
    assert_eq!(one.state.instances.len(), instances as usize);
    bencher.bench_local(|| step(divan::black_box(&one.state), divan::black_box(&one.seen), one.now));
}
