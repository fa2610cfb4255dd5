//! The simulated engine, as walks see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::Clock;
use haddock_core::container::{ContainerId, ContainerSpec, ContainerState, NetworkSpec, Usage, VolumeSpec, label};
use haddock_core::environment::probe::Probing;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::sim::{SimImage, SimRuntime};

use super::engine::{Engine, Look, Seen, SeenNetwork, SeenVolume, State};
use super::step::{Hand, Setup};

const BOOT: Duration = Duration::from_millis(40);

#[derive(Debug)]
pub(crate) struct Sim {
    runtime: SimRuntime,
    clock: Arc<dyn Clock>,
}

impl Sim {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let runtime = SimRuntime::new(Arc::clone(&clock));
        for name in ["good:1", "good:2", "vol:1", "vol:2", "other:1"] {
            runtime.add_image(name, SimImage::good(BOOT));
        }
        runtime.add_image("once:1", SimImage::ending(BOOT, Duration::from_millis(200), 0));
        runtime.add_image("never:1", SimImage::never_ready());
        runtime.add_image("fails:1", SimImage::ending(BOOT * 5, BOOT, 3));
        // Nobody ever uses anything.
        runtime.tell_usage(|_| Usage { callers: Some(Vec::new()), ..Usage::default() });
        runtime.with(|engine, _| {
            engine.set_image_volumes("vol:1", ["/image"]);
            engine.set_image_volumes("vol:2", ["/image"]);
        });
        Self { runtime, clock }
    }
}

#[async_trait]
impl Engine for Sim {
    fn runtime(&self) -> Arc<dyn ContainerRuntime> {
        Arc::new(self.runtime.clone())
    }

    fn probing(&self) -> Arc<dyn Probing> {
        Arc::new(self.runtime.clone())
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn image(&self, name: &str) -> String {
        name.to_owned()
    }

    fn image_id(&self, name: &str) -> String {
        self.runtime.with(|engine, _| engine.fetch(name, false)).unwrap_or_default()
    }

    fn run(&self) -> &'static str {
        "serve"
    }

    fn check(&self) -> &'static str {
        "CMD, ready"
    }

    async fn furnish(&self, setup: Setup, name: &str) {
        self.runtime.with(|engine, now| {
            let theirs = BTreeMap::from([
                (label::JOURNAL.to_owned(), "another".to_owned()),
                (label::ENVIRONMENT.to_owned(), name.to_owned()),
                (label::NAME.to_owned(), name.to_owned()),
                (label::COMPONENT.to_owned(), "web".to_owned()),
            ]);
            let spec = |name: &str, labels: BTreeMap<String, String>| ContainerSpec {
                name: name.to_owned(),
                image: "other:1".to_owned(),
                labels,
                expose: vec![8080],
                ..ContainerSpec::default()
            };
            let mut all = vec![spec("other", BTreeMap::new()), spec("theirs", theirs.clone())];
            if setup.container {
                all.push(spec(&format!("{name}-web"), BTreeMap::new()));
            }
            for spec in all {
                let id = engine.create(&spec).expect("the name is free");
                engine.start(&id, now).expect("it was just made");
                engine.write(&id, "/mark-999", "").expect("it is there");
            }
            let network = if setup.network { name.to_owned() } else { "theirs".to_owned() };
            let labels = theirs.clone();
            engine.create_network(&NetworkSpec { name: network, labels, ..NetworkSpec::default() }).expect("free");
            let volume = if setup.volume { format!("{name}_data") } else { "theirs".to_owned() };
            let volume = VolumeSpec { name: volume, ..VolumeSpec::default() };
            engine.create_volume(&volume).expect("free");
        });
    }

    async fn look(&self) -> Look {
        self.runtime.with(|engine, now| {
            let all: Vec<_> = engine.containers(now).cloned().collect();
            let containers = all.into_iter().map(|it| {
                let made = engine.made_from(&it.id).expect("it was just listed");
                let command = made.command.clone().unwrap_or_default();
                let variable = made.environment.get("WALK").map(|value| value.expose().to_owned());
                let mounts = engine.mount_points(&it.id).iter();
                Seen {
                    command,
                    variable,
                    mounts: mounts.map(|mount| (mount.target.clone(), mount.volume.clone())).collect(),
                    marks: marks(engine.files(&it.id).keys()),
                    name: it.name,
                    labels: it.labels,
                    state: match it.state {
                        ContainerState::Created => State::Created,
                        ContainerState::Running => State::Running,
                        ContainerState::Paused => State::Paused,
                        ContainerState::Restarting { .. } => State::Restarting,
                        ContainerState::Exited { code, .. } => State::Exited(code),
                        _ => State::Other,
                    },
                    life: it.started,
                    image: it.image,
                    networks: it.networks.into_iter().collect(),
                    ports: it.published.values().map(std::net::SocketAddr::port).collect(),
                    id: it.id,
                }
            });
            let containers = containers.collect();
            let volumes = engine.volumes().map(|it| {
                let seen = SeenVolume { labels: it.volume.labels.clone(), marks: marks(it.files.keys()) };
                (it.volume.name.clone(), seen)
            });
            let networks = engine.list_networks(&haddock_core::container::Selector::default()).into_iter();
            let networks = networks.map(|it| (it.id, SeenNetwork { name: it.name, labels: it.labels }));
            Look { containers, volumes: volumes.collect(), networks: networks.collect() }
        })
    }

    async fn write(&self, id: &ContainerId, marks: &[(String, u32)]) {
        self.runtime.with(|engine, _| {
            for (folder, mark) in marks {
                engine.write(id, &format!("{folder}/mark-{mark}"), "").expect("it is there");
            }
        });
    }

    async fn hand(&self, hand: Hand, id: &ContainerId) {
        self.runtime.with(|engine, now| match hand {
            Hand::Stop | Hand::Kill => engine.stop(id),
            Hand::Crash => engine.kill(id, 1),
            Hand::Remove => _ = engine.remove(id),
            Hand::Pause => engine.pause(id, now),
            Hand::Unpause => engine.unpause(id).expect("it is there"),
            Hand::Restart => engine.restart(id, now),
            Hand::Rename => _ = engine.rename(id, &format!("renamed-{id}")),
        });
    }

    async fn remove_network(&self, id: &str) -> bool {
        self.runtime.with(|engine, _| engine.remove_network(id)).unwrap_or(false)
    }

    async fn restart_daemon(&self) {
        self.runtime.with(|engine, now| engine.restart_daemon(now));
    }

    async fn push(&self, image: &str) -> bool {
        let version = format!("v{}", self.clock.now().as_millis());
        self.runtime.with(|engine, _| engine.push_image(image, &version));
        true
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

fn marks<'a>(paths: impl Iterator<Item = &'a String>) -> BTreeSet<u32> {
    paths.filter_map(|path| path.rsplit('/').next()?.strip_prefix("mark-")?.parse().ok()).collect()
}
