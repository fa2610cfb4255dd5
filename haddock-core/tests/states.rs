//! Environments whose containers were stopped, paused, restarted or lost behind our back, on a simulated engine.
#![allow(missing_docs)]
#![allow(
    clippy::disallowed_methods,
    reason = "time passes by a virtual clock, or is the step of a wait that has a deadline"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haddock_core::container::{Container, ContainerId, ContainerState};
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::environments::{Environments, Switch, Up, UpOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::environment::{EnvironmentSpec, Target};
use haddock_core::progress::{Event, Happening, observed};
use haddock_core::runtime::ContainerRuntime as _;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::testing::VirtualTime;
use haddock_core::{ComponentName, EnvironmentName, ErrorKind, JournalId, Result, Timestamp};

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

    /// What an `up` does with components that do not stay as they are.
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
    // A `docker stop` in the evening; a reboot; a worker that exits with 0 when it is stopped.
    for (code, worker) in [(143, 0), (255, 255), (0, 0)] {
        let ids = place.ids();
        for (component, code) in [("db", code), ("app", code), ("worker", worker)] {
            place.runtime.with(|engine, _| {
                engine.stop(&ids[component]);
                engine.set_state(&ids[component], ContainerState::Exited { code, out_of_memory: false });
            });
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
    assert_eq!((differences[0].was.as_deref(), differences[0].is.as_deref()), (Some("paused"), Some("running")));
    assert_eq!(place.changes(), ["unpause app"]);
    assert_eq!(place.ids(), ids);
    let address = place.containers()["app"].addresses[&80];
    assert!(place.runtime.answers(address));
    assert_eq!(place.changes(), [""; 0]);
    place.runtime.with(|engine, now| engine.pause(&ids["db"], now));
    assert!(place.time.block_on(place.environments.down(&place.name, false)).expect("what is paused goes, too"));
}

#[test]
fn what_has_left_the_namespace_that_it_had_joined_is_told_and_started_again() {
    let mut place = place();
    let text = FILE.replace("worker: { image: worker }", "worker: { image: worker, network_mode: 'service:app' }");
    let file = ComposeFile::parse("compose.yaml", &text).expect("a compose file");
    place.spec = file.resolve(&ResolveOptions::default()).expect("resolved").spec;
    place.up().expect("it comes up");
    let diff = || place.time.block_on(place.environments.diff(&place.name, &place.spec)).expect("known");
    assert_eq!(diff(), []);
    let ids = place.ids();
    place.time.advance(Duration::from_secs(1));
    place.runtime.with(|engine, now| engine.restart(&ids["app"], now));
    let told: Vec<String> = diff().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["live.worker.namespace: that of a former `app` is now that of `app`"]);
    assert_eq!(place.changes(), ["restart worker"]);
    assert_eq!(diff(), []);
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
                    true => {
                        let ended = ContainerState::Exited { code: 5, out_of_memory: false };
                        runtime.with(|engine, _| engine.set_state(&id, ended));
                    }
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

/// The volumes that a component's container mounts, by path.
fn mounted(place: &Place, component: &str) -> BTreeMap<String, String> {
    let id = place.ids()[component].clone();
    let mounts = place.runtime.with(|engine, _| engine.mounts(&id).to_vec());
    mounts.into_iter().map(|mount| (mount.target, mount.source.expect("each has a name"))).collect()
}

fn volumes(place: &Place) -> Vec<String> {
    let found = place.time.block_on(place.runtime.volumes(&Default::default())).expect("it answers");
    found.into_iter().map(|volume| volume.name).collect()
}

fn with_volumes() -> Place {
    let mut place = place();
    let text = FILE.replace("image: worker", "image: worker, volumes: [/cache, '/covered', 'kept:/kept']");
    let text = format!("{text}volumes: {{ kept: {{}} }}\n");
    let file = ComposeFile::parse("compose.yaml", &text).expect("a compose file");
    place.spec = file.resolve(&ResolveOptions::default()).expect("resolved").spec;
    place.runtime.with(|engine, _| {
        engine.set_image_volumes("db:latest", ["/var/lib/db"]);
        engine.set_image_volumes("worker:latest", ["/covered", "/work"]);
    });
    place
}

fn change(place: &mut Place, components: &[&str]) {
    for component in components {
        let component = place.spec.components.get_mut(*component).expect("a component");
        let said = component.environment.get("STEP").map_or(0, |step| step.expose().len());
        let next = haddock_core::container::Sensitive::new("x".repeat(said + 1));
        component.environment.insert("STEP".to_owned(), next);
    }
}

#[test]
fn data_in_volumes_without_a_name_follows_to_the_next_container() {
    let mut place = with_volumes();
    place.up().expect("it comes up");
    let (db, worker) = (mounted(&place, "db"), mounted(&place, "worker"));
    assert_eq!(db.keys().collect::<Vec<_>>(), ["/var/lib/db"]);
    assert_eq!(worker.keys().collect::<Vec<_>>(), ["/cache", "/covered", "/kept", "/work"]);
    for _ in 0..2 {
        let before = place.ids();
        change(&mut place, &["db", "worker"]);
        assert!(place.changes().contains(&"replace worker".to_owned()));
        assert_ne!(place.ids()["worker"], before["worker"]);
        assert_eq!((mounted(&place, "db"), mounted(&place, "worker")), (db.clone(), worker.clone()));
    }
    // Somebody has removed a container, and its replacement does not come up.
    let id = place.ids()["worker"].clone();
    place.runtime.with(|engine, _| engine.remove(&id));
    place.runtime.add_image("db:latest", SimImage::never_ready());
    change(&mut place, &["db"]);
    place.time.block_on(place.environments.up(&place.name, &place.spec, &UpOptions::default())).expect_err("no db");
    place.runtime.add_image("db:latest", SimImage::good(Duration::ZERO));
    place.up().expect("it comes up");
    assert_eq!((mounted(&place, "db"), mounted(&place, "worker")), (db.clone(), worker.clone()));

    // Containers that are made get new volumes, as asked. Containers that stay keep theirs.
    change(&mut place, &["worker"]);
    let options = UpOptions { renew_anonymous_volumes: true, ..UpOptions::default() };
    place.time.block_on(place.environments.up(&place.name, &place.spec, &options)).expect("it comes up");
    let renewed = mounted(&place, "worker");
    assert_eq!(renewed["/kept"], worker["/kept"]);
    assert!(["/cache", "/covered", "/work"].iter().all(|path| renewed[*path] != worker[*path]), "{renewed:?}");
    assert_eq!(mounted(&place, "db"), db);
    assert!(volumes(&place).contains(&worker["/cache"]), "and what it had is not lost");
    change(&mut place, &["db", "worker"]);
    place.up().expect("it comes up");
    assert_eq!((mounted(&place, "db"), mounted(&place, "worker")), (db.clone(), renewed));

    // As in Compose: `down` keeps them, a new environment begins with empty ones, and `--volumes` removes them all.
    place.time.block_on(place.environments.down(&place.name, false)).expect("down");
    assert!(volumes(&place).contains(&db["/var/lib/db"]));
    place.up().expect("it comes up");
    assert_ne!(mounted(&place, "db"), db);
    place.time.block_on(place.environments.down(&place.name, true)).expect("down");
    assert_eq!(volumes(&place), [""; 0]);
}

#[test]
fn a_first_up_that_fails_leaves_no_volume_without_a_name() {
    let place = with_volumes();
    place.runtime.add_image("db:latest", SimImage::never_ready());
    place.time.block_on(place.environments.up(&place.name, &place.spec, &UpOptions::default())).expect_err("no db");
    assert_eq!(volumes(&place), ["pr-1_kept"], "a volume that has a name stays");
}

#[test]
fn waiting_for_a_turn_at_a_busy_engine_counts_against_no_limit() {
    let place = place();
    // Each of these waits would be longer than everything together may take.
    place.runtime.set_busy(Duration::from_secs(120));
    let up = place.time.block_on(place.environments.up(&place.name, &place.spec, &UpOptions::default()));
    assert!(up.expect("it comes up").environment.components["app"].is_running());
    // A component that is never ready is still found.
    let place = self::place();
    place.runtime.set_busy(Duration::from_secs(120));
    place.runtime.add_image("app:latest", SimImage::never_ready());
    let up = place.time.block_on(place.environments.up(&place.name, &place.spec, &UpOptions::default()));
    assert_eq!(up.expect_err("it never answers").kind(), ErrorKind::NeverReady);
}

#[test]
fn what_others_use_is_not_taken_away() {
    let place = place();
    place.up().expect("it comes up");
    let other = |name: &str, text: &str| {
        let file = ComposeFile::parse("compose.yaml", text).expect("a compose file");
        let spec = file.resolve(&ResolveOptions::default()).expect("resolved").spec;
        let name = EnvironmentName::new(name).expect("valid");
        let options = UpOptions::default();
        place.time.block_on(place.environments.up(&name, &spec, &options)).expect("it comes up");
        name
    };
    let down = |name: &EnvironmentName| place.time.block_on(place.environments.down(name, false));
    let before = place.containers();
    let uses = [
        "networks: { default: { name: pr-1, external: true } }\nservices: { web: { image: web } }",
        "services: { web: { image: web, network_mode: 'container:pr-1-db' } }",
        "services: { web: { image: web, pid: 'container:pr-1-db' } }",
    ];
    for uses in uses {
        let user = other("pr-2", &format!("name: other\n{uses}"));
        let error = down(&place.name).expect_err("it is used");
        assert_eq!(error.kind(), ErrorKind::Busy, "{uses}");
        assert!(error.message().contains("environment `pr-2`"), "{error}");
        assert_eq!(place.containers(), before, "nothing was touched");
        assert!(down(&user).expect("nobody uses it"));
    }

    // It is used by a link, whether the user runs or not. If two link to each other, each of them can go.
    let user = other("pr-2", "name: other\nservices: { db: { image: db }, web: { image: web, links: [db] } }");
    let target = "pr-1/db".parse().expect("a target");
    let db = ComponentName::new("db").expect("valid");
    let link = place.environments.link(&user, &db, Some(target), Default::default(), None);
    place.time.block_on(link).expect("it is linked");
    let web = place.time.block_on(place.environments.get(&user)).expect("it is there").components["web"].id.clone();
    place.runtime.with(|engine, _| engine.stop(&web));
    let error = down(&place.name).expect_err("it is used");
    assert!(error.message().contains("environment `pr-2`"), "{error}");
    assert_eq!(place.containers(), before, "nothing was touched");
    assert!(down(&user).expect("nobody uses it"));
    assert!(down(&place.name).expect("nobody uses it"));
}

#[test]
fn a_port_that_does_not_answer_is_a_failure_only_where_the_file_speaks_of_readiness() {
    let mut place = place();
    place.runtime.add_image("deaf:latest", SimImage::never_ready());
    let mut come_up = |text: &str| {
        let file = ComposeFile::parse("compose.yaml", text).expect("a compose file");
        place.spec = file.resolve(&ResolveOptions::default()).expect("resolved").spec;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let observer = Arc::new(move |event: &Event| noted.lock().expect("no panic").push(event.clone()));
        let options = UpOptions::default();
        let began = place.time.clock().now();
        let up = observed(observer, place.environments.up(&place.name, &place.spec, &options));
        let up = place.time.block_on(up).map(|_| ());
        let events = std::mem::take(&mut *seen.lock().expect("no panic"));
        (up, place.time.clock().now() - began, events)
    };
    let plain = "name: shop\nservices: { web: { image: deaf, ports: ['80'] }, db: { image: db, expose: ['5432'] } }\n";
    let (up, took, events) = come_up(plain);
    up.expect("Compose starts it, too");
    assert!((30..32).contains(&took.as_secs()), "{took:?}");
    let silent = |event: &&Event| matches!(&event.happening, Happening::Silent { why } if why.contains("port 80"));
    let silent: Vec<&str> =
        events.iter().filter(silent).filter_map(|event| Some(event.component.as_ref()?.as_str())).collect();
    assert_eq!(silent, ["web"]);
    assert!(come_up(plain).1 < Duration::from_secs(1), "it is known, and runs on");

    let strict = plain.replace("deaf, ", "deaf, environment: { MADE: anew }, ");
    let error = come_up(&format!("{strict}x-haddock: {{ entry: 'web:80' }}\n")).0.expect_err("it is never ready");
    assert_eq!(error.kind(), ErrorKind::NeverReady);
}

#[test]
fn a_network_that_was_removed_under_stopped_containers_comes_back_with_them() {
    for others_meanwhile in [false, true] {
        let place = with_volumes();
        place.up().expect("it comes up");
        let (worker, migrate) = (mounted(&place, "worker"), place.ids()["migrate"].clone());
        place.runtime.with(|engine, _| {
            let ids: Vec<ContainerId> =
                engine.containers(Timestamp::from_millis(2_000_000)).map(|it| it.id.clone()).collect();
            ids.iter().for_each(|id| engine.stop(id));
            let network = engine.list_networks(&Default::default())[0].clone();
            assert!(engine.remove_network(&network.id).expect("nothing runs on it"));
        });
        if others_meanwhile {
            // An `up` of a part has brought the network back already. The components that it left alone still have the
            // old one.
            let only = [ComponentName::new("worker").expect("valid")].into();
            let options = UpOptions { only, ..UpOptions::default() };
            place.time.block_on(place.environments.up(&place.name, &place.spec, &options)).expect("a part comes up");
        }
        let changes = place.changes();
        let rest = ["replace db", "replace app", "replace worker"];
        assert_eq!(changes, if others_meanwhile { &rest[..2] } else { &rest[..] });
        assert_eq!(mounted(&place, "worker"), worker, "data follows to the new container");
        assert_eq!(place.ids()["migrate"], migrate, "what has done its work is not done again");
        assert_eq!(place.changes(), [""; 0]);
    }
}

#[test]
fn a_container_that_somebody_has_renamed_gets_no_double() {
    let place = place();
    place.up().expect("it comes up");
    let ids = place.ids();
    place.runtime.with(|engine, _| {
        assert!(engine.rename(&ids["worker"], "old-worker"));
        engine.stop(&ids["worker"]);
    });
    assert_eq!(place.changes(), ["restart worker"]);
    let count = place.runtime.with(|engine, now| engine.containers(now).count());
    assert_eq!((place.ids(), count), (ids, 4));
}

#[test]
fn a_component_stays_when_another_takes_the_traffic() {
    let mut place = place();
    place.up().expect("it comes up");
    let ids = place.ids();
    let text = FILE.replace("entry: 'app:80'", "entry: 'db:5432'");
    let file = ComposeFile::parse("compose.yaml", &text).expect("a compose file");
    place.spec = file.resolve(&ResolveOptions::default()).expect("resolved").spec;
    assert_eq!(place.changes(), [""; 0]);
    assert_eq!(place.ids(), ids);
}

#[test]
fn a_file_may_let_each_component_have_no_container() {
    let mut place = place();
    place.up().expect("it comes up");
    for component in place.spec.components.values_mut() {
        component.replicas = Some(0);
    }
    let up = place.up().expect("there is nothing to run");
    assert_eq!(up.environment.components.len(), 0);
    let differences = place.time.block_on(place.environments.diff(&place.name, &place.spec)).expect("known");
    assert_eq!(differences, []);
    assert_eq!(place.up().expect("again").plan.to_string(), "");
    place.time.block_on(place.environments.down(&place.name, false)).expect("down");
    let diff = place.time.block_on(place.environments.diff(&place.name, &place.spec));
    assert_eq!(diff.expect_err("it is gone").kind(), ErrorKind::NotFound);
}

#[test]
fn a_link_takes_no_newer_images() {
    let place = place();
    place.up().expect("it comes up");
    let other = EnvironmentName::new("pr-2").expect("valid");
    let up = |options: &UpOptions| place.time.block_on(place.environments.up(&other, &place.spec, options));
    place.runtime.with(|engine, _| engine.push_image("worker:latest", "2"));
    up(&UpOptions { pull: true, ..UpOptions::default() }).expect("it comes up with the newer image");
    let before = place.ids();
    let component = ComponentName::new("db").expect("valid");
    let target = Target::Component { environment: other.clone(), component: component.clone() };
    let linked = place.environments.link(&place.name, &component, Some(target), Switch::Restart, None);
    place.time.block_on(linked).expect("linked");
    assert_eq!(place.ids()["worker"], before["worker"]);
    assert_ne!(place.ids()["app"], before["app"]);
}
