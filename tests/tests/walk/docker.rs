//! A Docker Engine, as walks see it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum as Status, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions, RenameContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use haddock_core::container::{ContainerId, Selector};
use haddock_core::environment::probe::{NetworkProbing, Probing};
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::{Clock, SystemClock, Timestamp};
use haddock_tests::docker::{NOWHERE, engine, fixture, image_with_volume};

use super::engine::{Engine, Look, Seen, SeenNetwork, SeenVolume, State};
use super::step::{Hand, Setup};

/// So much of the time that passes is waited for; the rest is only on the clock.
const WAITED: Duration = Duration::from_millis(300);

/// The machine's clock, and what was skipped.
#[derive(Debug)]
struct Skipping {
    inner: SystemClock,
    skipped: AtomicU64,
}

impl Clock for Skipping {
    fn now(&self) -> Timestamp {
        self.inner.now() + Duration::from_millis(self.skipped.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub(crate) struct RealEngine {
    runtime: DockerRuntime,
    docker: Docker,
    clock: Arc<Skipping>,
    /// References and ids, by the names that walks give images.
    images: BTreeMap<&'static str, (String, String)>,
    /// What the names of this walk's things begin with.
    prefix: Mutex<String>,
}

impl RealEngine {
    pub(crate) async fn new() -> Option<Self> {
        let runtime = engine().await?;
        let docker = Docker::connect_with_defaults().expect("an engine");
        let mut images = BTreeMap::new();
        let made = [
            ("good:1", fixture(&["serve"]).await.to_string()),
            ("good:2", fixture(&["serve", "2"]).await.to_string()),
            ("vol:1", image_with_volume(&["serve", "1"], "/image").await.to_string()),
            ("vol:2", image_with_volume(&["serve", "2"], "/image").await.to_string()),
            ("once:1", fixture(&["exit", "0"]).await.to_string()),
            ("never:1", fixture(&["exit", "4"]).await.to_string()),
            ("fails:1", fixture(&["exit", "3"]).await.to_string()),
        ];
        for (name, reference) in made {
            let id = docker.inspect_image(&reference).await.expect("it was just made").id.unwrap_or_default();
            images.insert(name, (reference, id));
        }
        images.insert("gone:1", (format!("{NOWHERE}/haddock-missing:none"), String::new()));
        let clock = Arc::new(Skipping { inner: SystemClock::new(), skipped: AtomicU64::new(0) });
        Some(Self { runtime, docker, clock, images, prefix: Mutex::default() })
    }

    pub(crate) fn begin(&self, prefix: &str) {
        prefix.clone_into(&mut self.prefix.lock().expect("nobody panics while holding it"));
    }

    fn prefix(&self) -> String {
        self.prefix.lock().expect("nobody panics while holding it").clone()
    }

    /// Removes all that a walk made, and what was furnished for it.
    pub(crate) async fn clean(&self, ours: &Selector) {
        let look = self.look().await;
        for it in look.containers {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            let _ = self.docker.remove_container(&it.id.0, Some(options)).await;
        }
        for network in self.runtime.networks(ours).await.expect("a list") {
            let _ = self.runtime.remove_network(&network.id).await;
        }
        for (id, _) in look.networks {
            let _ = self.docker.remove_network(&id).await;
        }
        for (volume, _) in look.volumes {
            let _ = self.docker.remove_volume(&volume, None::<RemoveVolumeOptions>).await;
        }
    }

    async fn inspected(&self) -> Vec<ContainerInspectResponse> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let prefix = self.prefix();
        let mut looks = 0;
        let listed = loop {
            match self.docker.list_containers(Some(options.clone())).await {
                Ok(listed) => break listed,
                // For a moment, podman has states that are not Docker's.
                Err(error) => assert!(looks < 100, "a list: {error}"),
            }
            looks += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let mut all = Vec::new();
        for it in listed {
            let labels = it.labels.unwrap_or_default();
            let named = it.names.iter().flatten().any(|name| name.trim_start_matches('/').starts_with(&prefix));
            let ours = labels.get("haddock.name").is_some_and(|name| name.starts_with(&prefix));
            if let Some(id) = it.id.filter(|_| named || ours)
                && let Ok(found) = self.docker.inspect_container(&id, None).await
            {
                all.push(found);
            }
        }
        all.sort_by(|one, other| one.created.cmp(&other.created));
        all
    }
}

#[async_trait]
impl Engine for RealEngine {
    fn runtime(&self) -> Arc<dyn ContainerRuntime> {
        Arc::new(self.runtime.clone())
    }

    fn probing(&self) -> Arc<dyn Probing> {
        Arc::new(NetworkProbing)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    fn image(&self, name: &str) -> String {
        self.images[name].0.clone()
    }

    fn image_id(&self, name: &str) -> String {
        self.images[name].1.clone()
    }

    fn run(&self) -> &'static str {
        "serve"
    }

    fn check(&self) -> &'static str {
        "CMD, /app, check, \"0\""
    }

    async fn furnish(&self, setup: Setup, name: &str) {
        let prefix = self.prefix();
        let mut names = vec![format!("{prefix}other")];
        if setup.container {
            names.push(format!("{name}-web"));
        }
        for name in names {
            let options = CreateContainerOptionsBuilder::default().name(&name).build();
            let image = Some(self.image("good:1"));
            let body = ContainerCreateBody { image, ..Default::default() };
            self.docker.create_container(Some(options), body).await.expect("the name is free");
            self.docker.start_container(&name, None).await.expect("it was just made");
        }
        if setup.volume {
            let request = VolumeCreateRequest { name: Some(format!("{name}_data")), ..Default::default() };
            self.docker.create_volume(request).await.expect("the name is free");
        }
    }

    async fn look(&self) -> Look {
        let mut look = Look::default();
        let prefix = self.prefix();
        for found in self.inspected().await {
            let (config, inside) = (found.config.unwrap_or_default(), found.state.unwrap_or_default());
            let id = found.id.unwrap_or_default();
            let changes = self.docker.container_changes(&id).await.ok().flatten().unwrap_or_default();
            let variables = config.env.unwrap_or_default();
            let settings = found.network_settings.unwrap_or_default();
            let bindings = settings.ports.unwrap_or_default().into_values().flatten().flatten();
            let mounts = found.mounts.unwrap_or_default().into_iter();
            look.containers.push(Seen {
                name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
                labels: config.labels.unwrap_or_default().into_iter().collect(),
                state: match inside.status {
                    Some(Status::CREATED) => State::Created,
                    Some(Status::RUNNING) => State::Running,
                    Some(Status::PAUSED) => State::Paused,
                    Some(Status::RESTARTING) => State::Restarting,
                    Some(Status::EXITED) => State::Exited(inside.exit_code.unwrap_or_default()),
                    _ => State::Other,
                },
                life: inside.started_at.map_or(0, |at| hash(&at)),
                image: found.image.unwrap_or_default(),
                command: config.cmd.unwrap_or_default(),
                variable: variables.iter().find_map(|it| it.strip_prefix("WALK=").map(str::to_owned)),
                mounts: mounts.filter_map(|it| Some((it.destination?, it.name?))).collect(),
                networks: settings.networks.unwrap_or_default().into_keys().collect(),
                ports: bindings.filter_map(|it| it.host_port?.parse().ok()).collect(),
                marks: changes.iter().filter_map(|it| it.path.strip_prefix("/mark-")?.parse().ok()).collect(),
                id: ContainerId(id),
            });
        }
        let mounted: BTreeSet<&String> = look.containers.iter().flat_map(|it| it.mounts.values()).collect();
        let listed = self.docker.list_volumes(None::<ListVolumesOptions>).await.expect("a list");
        for it in listed.volumes.unwrap_or_default() {
            let marks = marks(&here(&it.mountpoint));
            // Volumes that nobody names are known by what is in them, or by who has them.
            let ours = it.labels.get("haddock.name").is_some_and(|name| name.starts_with(&prefix));
            if ours || it.name.starts_with(&prefix) || mounted.contains(&it.name) || is_of(&prefix, &it.mountpoint) {
                look.volumes.insert(it.name, SeenVolume { labels: it.labels.into_iter().collect(), marks });
            }
        }
        for it in self.docker.list_networks(None::<ListNetworksOptions>).await.expect("a list") {
            let name = it.name.unwrap_or_default();
            if name.starts_with(&prefix) {
                let labels = it.labels.unwrap_or_default().into_iter().collect();
                look.networks.insert(it.id.unwrap_or_default(), SeenNetwork { name, labels });
            }
        }
        look
    }

    async fn write(&self, id: &ContainerId, marks: &[(String, u32)]) {
        let mut builder: HashMap<String, Vec<u32>> = HashMap::new();
        for (folder, mark) in marks {
            builder.entry(folder.clone()).or_default().push(*mark);
        }
        let place = tempfile::tempdir().expect("a folder");
        for (folder, marks) in builder {
            let root = place.path().join(folder.trim_start_matches('/').replace('/', "-")).join("x");
            std::fs::create_dir_all(&root).expect("a folder");
            for mark in marks {
                std::fs::write(root.join(format!("mark-{mark}")), "").expect("written");
            }
            std::fs::write(root.join(format!("walk-{}", self.prefix())), "").expect("written");
            let tar = Command::new("tar").args(["--create", "--directory"]).arg(&root).arg(".").output();
            let path = if folder.is_empty() { "/" } else { &folder };
            let options = UploadToContainerOptionsBuilder::default().path(path).build();
            let body = bollard::body_full(tar.expect("tar runs").stdout.into());
            self.docker.upload_to_container(&id.0, Some(options), body).await.expect("it is there");
        }
    }

    async fn hand(&self, hand: Hand, id: &ContainerId) {
        let id = &id.0;
        let done = match hand {
            Hand::Stop => self.docker.stop_container(id, None).await,
            Hand::Kill | Hand::Crash => self.docker.kill_container(id, None).await,
            Hand::Remove => {
                let options = RemoveContainerOptionsBuilder::default().force(true).build();
                self.docker.remove_container(id, Some(options)).await
            }
            Hand::Pause => self.docker.pause_container(id).await,
            Hand::Unpause => self.docker.unpause_container(id).await,
            Hand::Restart => self.docker.restart_container(id, None).await,
            Hand::Rename => {
                let name = format!("{}renamed-{}", self.prefix(), &id[..12]);
                let options = RenameContainerOptionsBuilder::default().name(&name).build();
                self.docker.rename_container(id, options).await
            }
        };
        if let Err(error) = done {
            println!("{hand:?}: {error}");
        }
    }

    async fn remove_network(&self, id: &str) -> bool {
        self.docker.remove_network(id).await.is_ok()
    }

    async fn restart_daemon(&self) {
        // Others use the engine, too.
    }

    async fn push(&self, _image: &str) -> bool {
        false
    }

    async fn pass(&self, time: Duration) {
        let waited = time.min(WAITED);
        tokio::time::sleep(waited).await;
        let skipped = u64::try_from((time - waited).as_millis()).expect("short");
        self.clock.skipped.fetch_add(skipped, Ordering::Relaxed);
    }
}

fn hash(text: &str) -> u64 {
    let mut hash = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(text, &mut hash);
    std::hash::Hasher::finish(&hash)
}

/// Where a folder of the engine is on this machine. One that `tests/engines/with.sh` has started lives in its own root, and has
/// all its data below `/mnt` there, which is `ENGINE_MNT` here.
fn here(folder: &str) -> PathBuf {
    match (std::env::var_os("ENGINE_MNT"), folder.strip_prefix("/mnt/")) {
        (Some(mnt), Some(below)) => Path::new(&mnt).join(below),
        _ => PathBuf::from(folder),
    }
}

/// What was written to a volume.
fn marks(folder: &Path) -> BTreeSet<u32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|it| it.file_name().to_str()?.strip_prefix("mark-")?.parse().ok()).collect()
}

/// Whether a walk of that prefix has written to it.
fn is_of(prefix: &str, folder: &str) -> bool {
    here(folder).join(format!("walk-{prefix}")).exists()
}
