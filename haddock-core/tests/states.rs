//! Environments whose containers were stopped, paused, restarted or lost behind our back, on a simulated engine.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::container::{Container, ContainerId, ContainerState};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::environments::{Environments, Up, UpOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::runtime::ContainerRuntime as _;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::testing::VirtualTime;
use haddock_core::{EnvironmentName, ErrorKind, JournalId, Result, Timestamp};

const FILE: &str = "
name: shop
services:
  db: { image: db, expose: ['5432'], stop_grace_period: 1s }
  migrate: { image: migrate, restart: on-failure, depends_on: [db] }
  app: { image: app, expose: ['80'], restart: always, depends_on: { migrate: { condition: service_completed_successfully }, db: { condition: service_started } } }
  worker: { image: worker }
x-haddock: { entry: 'app:80', ready: { within: 30s } }
";

struct Place {
    time: VirtualTime,
    runtime: SimRuntime,
    environments: Environments,
    name: EnvironmentName,
    spec: EnvironmentSpec,
}

fn place() -> Place {
    let time = VirtualTime::new(Timestamp::from_millis(1_000_000)).expect("a runtime");
    let runtime = SimRuntime::new(time.clock());
    runtime.set_other_images(Some(SimImage::good(Duration::from_millis(500))));
    runtime.add_image("migrate:latest", SimImage::ending(Duration::ZERO, Duration::from_secs(1), 0));
    let journal = JournalId::new("j1").expect("valid");
    let shared = Arc::new(runtime.clone());
    let environments = Environments::new(shared.clone(), journal, SpecStore::memory(), shared);
    let file = ComposeFile::parse("compose.yaml", FILE).expect("a compose file");
    let spec = file.resolve(&ResolveOptions::default()).expect("resolved").spec;
    Place { time, runtime, environments, name: EnvironmentName::new("pr-1").expect("valid"), spec }
}

impl Place {
    fn up(&self) -> Result<Up> {
        let options = UpOptions { keep_on_failure: true, ..UpOptions::default() };
        self.time.block_on(self.environments.up(&self.name, &self.spec, &options))
    }

    /// What an `up` does, beyond what stays as it is.
    fn changes(&self) -> Vec<String> {
        let up = self.up().expect("it comes up");
        let running = up.environment.components.iter().filter(|(name, _)| name.as_str() != "migrate");
        for (name, container) in running {
            assert!(container.is_running(), "{name}: {:?}", container.state);
        }
        let changes = up.plan.0.iter().map(|planned| format!("{} {}", planned.change, planned.component));
        changes.filter(|change| !change.starts_with("keep ")).collect()
    }

    fn containers(&self) -> BTreeMap<String, Container> {
        let found = self.time.block_on(self.environments.get(&self.name)).expect("it is there");
        found.components.into_iter().map(|(name, container)| (name.to_string(), container)).collect()
    }

    fn ids(&self) -> BTreeMap<String, ContainerId> {
        self.containers().into_iter().map(|(name, container)| (name, container.id)).collect()
    }

    fn set_state(&self, component: &str, state: ContainerState) {
        let id = self.ids()[component].clone();
        self.runtime.with(|engine, _| engine.set_state(&id, state));
    }
}

#[test]
fn what_was_stopped_is_started_again() {
    let place = place();
    place.up().expect("it comes up");
    let before = place.containers();
    // An evening's `docker stop`; a reboot; a worker that ends well when it is asked to.
    for (code, worker) in [(143, 0), (255, 255), (0, 0)] {
        let ids = place.ids();
        for (component, code) in [("db", code), ("app", code), ("worker", worker)] {
            place.runtime.with(|engine, _| engine.kill(&ids[component], code));
        }
        assert_eq!(place.changes(), ["restart db", "restart app", "restart worker"]);
        assert_eq!(place.ids(), ids, "the same containers, with what is in them");
        assert_eq!(place.containers()["migrate"], before["migrate"], "what has done its work is not run again");
        assert_eq!(place.changes(), [""; 0], "and then there is nothing to do");
        let differences = place.time.block_on(place.environments.diff(&place.name, &place.spec)).expect("known");
        assert_eq!(differences, []);
    }
}

#[test]
fn what_was_paused_goes_on() {
    let place = place();
    place.up().expect("it comes up");
    let ids = place.ids();
    place.runtime.with(|engine, now| engine.pause(&ids["app"], now));
    let found = place.time.block_on(place.environments.get(&place.name)).expect("it is there");
    let error = found.address("app", 80).expect_err("nothing answers there");
    assert!(error.message().ends_with("is paused"), "{error}");
    let differences = place.time.block_on(place.environments.diff(&place.name, &place.spec)).expect("known");
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert_eq!(differences[0].is.as_deref(), Some("paused"));
    assert_eq!(place.changes(), ["unpause app"]);
    assert_eq!(place.ids(), ids);
    let address = place.containers()["app"].addresses[&80];
    assert!(place.runtime.answers(address));
    assert_eq!(place.changes(), [""; 0]);
    place.runtime.with(|engine, now| engine.pause(&ids["db"], now));
    assert!(place.time.block_on(place.environments.down(&place.name, false)).expect("what is paused goes, too"));
}

#[test]
fn what_its_engine_starts_again_and_again_is_waited_for() {
    let place = place();
    place.up().expect("it comes up");
    let id = place.ids()["app"].clone();
    place.set_state("app", ContainerState::Restarting { code: 7 });
    let runtime = place.runtime.clone();
    let options = UpOptions::default();
    let up = place.time.block_on(async {
        let meanwhile = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            runtime.with(|engine, now| engine.restart(&id, now));
        };
        tokio::join!(place.environments.up(&place.name, &place.spec, &options), meanwhile).0
    });
    assert!(up.expect("it is waited for").environment.components["app"].is_running());

    place.set_state("app", ContainerState::Restarting { code: 7 });
    let error = place.up().expect_err("it never stays");
    assert_eq!(error.kind(), ErrorKind::NeverReady);
    assert!(error.message().contains("`app`") && error.message().contains("exit code 7"), "{error}");
}

#[test]
fn what_runs_on_failure_has_failed_when_its_engine_gives_up() {
    for gives_up in [false, true] {
        let place = place();
        let runtime = place.runtime.clone();
        let migrate = async || loop {
            let found = runtime.list(&Default::default()).await.expect("it answers");
            if let Some(found) = found.iter().find(|it| it.name.ends_with("migrate") && it.is_running()) {
                return found.id.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let options = UpOptions::default();
        let up = place.time.block_on(async {
            let meanwhile = async {
                let id = migrate().await;
                runtime.with(|engine, _| engine.set_state(&id, ContainerState::Restarting { code: 5 }));
                tokio::time::sleep(Duration::from_secs(9)).await;
                match gives_up {
                    true => runtime.with(|engine, _| engine.kill(&id, 5)),
                    false => runtime.with(|engine, now| engine.restart(&id, now)),
                }
            };
            tokio::join!(place.environments.up(&place.name, &place.spec, &options), meanwhile).0
        });
        match gives_up {
            false => assert!(up.expect("it succeeds at last").environment.components["migrate"].has_succeeded()),
            true => {
                let error = up.expect_err("its engine has given up");
                assert_eq!(error.kind(), ErrorKind::ContainerExited);
                assert!(error.message().contains("`migrate` exited with code 5"), "{error}");
            }
        }
    }
}

#[test]
fn what_an_engine_could_not_remove_is_made_anew() {
    let place = place();
    place.up().expect("it comes up");
    let before = place.ids();
    place.set_state("worker", ContainerState::Dead);
    assert_eq!(place.changes(), ["replace worker"]);
    assert_ne!(place.ids()["worker"], before["worker"]);
    place.set_state("worker", ContainerState::Dead);
    assert!(place.time.block_on(place.environments.down(&place.name, false)).expect("it goes"));
}
