//! An environment as a compose file describes it, all variables filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::declared::Production;
use super::declared::{Build, DeclaredFile, DeclaredNetwork, DeclaredVolume, FileUse, PullPolicy};
use super::follow::FollowSettings;
use super::gates::GateSpec;
use super::hooks::{HookCommand, Receiver};
use super::idle::IdlePolicy;
use super::target::Target;
use crate::container::{
    ContainerOptions, Endpoint, HealthCheck, Mount, MountKind, NetworkMode, PublishedPort, RestartPolicy, Sensitive,
};
#[cfg(feature = "controller")]
use crate::container::{PullOptions, PullWhen};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::name::{ComponentName, LinkAlias, ServiceName};
use crate::settings::{Before, Entry, Hook, ServiceSettings};

/// A resolved compose file.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EnvironmentSpec {
    /// The settings of the service that its entry serves; `None`: nothing in it takes traffic.
    pub settings: Option<ServiceSettings>,
    /// When it is stopped or removed if nobody uses it. `None`: the file does not say.
    pub idle: Option<IdlePolicy>,
    /// Whether the file has no `x-haddock`. Then its ports were not written for a test of readiness: a port that does
    /// not answer for half a minute is reported, and is no failure.
    pub plain: bool,
    /// The components.
    pub components: BTreeMap<ComponentName, Component>,
    /// The networks that components name. The environment's own network, `default`, is among them only if the file says
    /// something about it.
    pub networks: BTreeMap<String, DeclaredNetwork>,
    /// The volumes that components name.
    pub volumes: BTreeMap<String, DeclaredVolume>,
    /// The secrets that components name.
    pub secrets: BTreeMap<String, DeclaredFile>,
    /// The configs that components name.
    pub configs: BTreeMap<String, DeclaredFile>,
    /// What is different in a release.
    pub production: Option<Production>,
    /// The commands that run within an instance when it begins to get new sessions, and when it no longer gets any.
    pub hooks: BTreeMap<Hook, HookCommand>,
    /// What is asked at the end of a stage of the ramp whose gate is
    /// [asked](crate::environment::StageGate::Asked). The key is the stage, from 0.
    pub gates: BTreeMap<usize, GateSpec>,
    /// Who is told about releases.
    pub notify: Vec<Receiver>,
    /// Which tags of its registry are released by themselves. `None`: none. It is not kept with a version.
    pub follow: Option<FollowSettings>,
    /// What others reach in place of a component, under the component's names.
    pub targets: BTreeMap<ComponentName, Target>,
    /// Free texts, such as commands and labels, that hold the value of a variable, as they stand in the file. The key
    /// is the path in the [canonical form](super::compose::canonical). They are shown in place of the values.
    pub written: BTreeMap<String, String>,
}

/// The name of the environment's own network. Components that name no network join it.
pub const DEFAULT_NETWORK: &str = "default";

impl EnvironmentSpec {
    /// The settings of the service, for callers that need one.
    ///
    /// # Errors
    /// [`ComposeFile`](ErrorKind::ComposeFile) if it is no service: no component takes traffic.
    pub fn service(&self) -> Result<&ServiceSettings> {
        self.settings.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::ComposeFile, "no component takes traffic, so the environment is no service")
                .with_hint("say which one does: `x-haddock: { entry: \"component:8080\" }`")
        })
    }

    /// The service whose instances reach components that are shared; `None`: every component is versioned.
    #[must_use]
    pub fn shared_by(&self) -> Option<&ServiceName> {
        let settings = self.settings.as_ref()?;
        self.components.values().any(|component| !component.versioned).then_some(&settings.service)
    }

    /// What the instances of the service share: the environment without its versioned components.
    #[must_use]
    pub fn shared(&self) -> Self {
        let mut shared = Self {
            settings: None,
            idle: None,
            plain: false,
            production: None,
            hooks: BTreeMap::new(),
            gates: BTreeMap::new(),
            notify: Vec::new(),
            follow: None,
            ..self.clone()
        };
        shared.components.retain(|_, component| !component.versioned);
        shared
    }

    /// What instances are made from: the environment without the rules that a release goes by.
    pub(crate) fn without_rules(&self) -> Self {
        let mut written = self.written.clone();
        written.retain(|path, _| !path.starts_with(super::compose::RAMP_PATH));
        Self {
            gates: BTreeMap::new(),
            written,
            settings: self.settings.as_ref().map(ServiceSettings::without_rules),
            idle: None,
            follow: None,
            ..self.clone()
        }
    }

    /// What takes the traffic.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        self.settings.as_ref().map(|settings| &settings.entry)
    }

    /// The names under which others reach a component: its own, and the aliases of the links to it.
    #[must_use]
    pub fn aliases(&self, target: &ComponentName) -> Vec<String> {
        let links = self.components.values().flat_map(|component| &component.links);
        let links = links.filter(|link| link.component == *target).map(|link| link.alias.to_string());
        let all: BTreeSet<String> = links.chain([target.to_string()]).collect();
        all.into_iter().collect()
    }

    /// All mounts of a component: its own, and those from others, directly or through further ones. Of two at one path,
    /// its own counts. Volumes without a name, such as those that an image declares, are not taken from others.
    #[must_use]
    pub fn mounts(&self, component: &Component) -> Vec<Mount> {
        let mut mounts = component.mounts.clone();
        let mut seen = BTreeSet::new();
        self.mounts_from(component, false, &mut seen, &mut mounts);
        mounts
    }

    fn mounts_from<'s>(
        &'s self,
        component: &'s Component,
        read_only: bool,
        seen: &mut BTreeSet<&'s ComponentName>,
        mounts: &mut Vec<Mount>,
    ) {
        for from in &component.volumes_from {
            let Some(other) = self.components.get(&from.component).filter(|_| seen.insert(&from.component)) else {
                continue;
            };
            let read_only = read_only || from.mode.as_deref() == Some("ro");
            for mount in &other.mounts {
                let named = mount.source.is_some() && matches!(mount.kind, MountKind::Bind | MountKind::Volume);
                if named && !mounts.iter().any(|own| own.target == mount.target) {
                    mounts.push(Mount { read_only: mount.read_only || read_only, ..mount.clone() });
                }
            }
            self.mounts_from(other, read_only, seen, mounts);
        }
    }

    /// What a component reaches outside the environment, each with the names that it uses.
    #[must_use]
    pub fn reaches<'s>(&self, component: &'s Component) -> BTreeMap<&'s ComponentName, BTreeSet<String>> {
        let mut reached = component.reaches();
        reached.retain(|other, _| self.targets.contains_key(*other));
        reached
    }

    /// What runs before a version is launched.
    #[must_use]
    pub fn before(&self) -> Option<&Before> {
        self.settings.as_ref()?.release.before.as_ref()
    }

    /// The components of an instance: the versioned ones, without the one that runs before a version is launched.
    ///
    /// ```
    /// use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
    ///
    /// # fn main() -> haddock_core::Result<()> {
    /// let text = "
    /// name: shop
    /// services:
    ///   web: { image: \"shop:${TAG}\", expose: [8080] }
    ///   migrate: { image: \"shop:${TAG}\", command: [migrate] }
    /// x-haddock: { entry: \"web:8080\", release: { before: migrate } }
    /// ";
    /// let options = ResolveOptions { tag: Some("v2".to_owned()), ..ResolveOptions::default() };
    /// let spec = ComposeFile::parse("compose.yaml", text)?.resolve(&options)?.spec;
    /// assert_eq!(spec.of_instance().len(), 1, "`web` alone");
    /// assert_eq!(spec.versioned().len(), 2, "both are of the version");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn of_instance(&self) -> BTreeSet<ComponentName> {
        let mut members = self.versioned();
        if let Some(before) = self.before() {
            members.remove(&before.component);
        }
        members
    }

    /// The components that others wait for until they have ended by themselves.
    #[must_use]
    pub fn one_shots(&self) -> BTreeSet<ComponentName> {
        let awaited = self.components.values().flat_map(|component| &component.depends_on);
        let completes = awaited.filter(|(_, it)| it.condition == DependencyCondition::CompletedSuccessfully);
        completes.map(|(name, _)| name.clone()).collect()
    }

    /// The versioned components: a release brings its own of each.
    #[must_use]
    pub fn versioned(&self) -> BTreeSet<ComponentName> {
        let versioned = self.components.iter().filter(|(_, component)| component.versioned);
        versioned.map(|(name, _)| name.clone()).collect()
    }
}

/// One entry under `services:`.
#[derive(Clone, PartialEq, Eq)]
pub struct Component {
    /// The image.
    pub image: ImageReference,
    /// Whether a release brings its own, rather than linking to the one that runs once per service.
    pub versioned: bool,
    /// Instead of the image's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's command.
    pub command: Option<Vec<String>>,
    /// Environment variables.
    pub environment: BTreeMap<String, Sensitive>,
    /// Ports others on the network reach.
    pub expose: Vec<u16>,
    /// Ports on the host.
    pub ports: Vec<PublishedPort>,
    /// The components that have to be there before it starts.
    pub depends_on: BTreeMap<ComponentName, Dependency>,
    /// The aliases under which it reaches others.
    pub links: Vec<Link>,
    /// Whether environment variables tell it of its links, too, as Docker's legacy links did.
    pub link_variables: bool,
    /// Its own health check.
    pub health_check: Option<HealthCheck>,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
    /// How long a stop waits before it kills; `None`: 10 s.
    pub stop_grace_period: Option<Duration>,
    /// The signal that asks it to stop.
    pub stop_signal: Option<String>,
    /// What its image is built from. The image of that name is used. It has to be built before; see
    /// `Images::of_components`.
    pub build: Option<Build>,
    /// When its registry is asked for the image; `None`: when the host has none.
    pub pull_policy: Option<PullPolicy>,
    /// What the engine does when it ends. It applies to environments by name, and not to instances.
    pub restart: Option<RestartPolicy>,
    /// How many containers of it there are; `None`: one.
    pub replicas: Option<u32>,
    /// The name of its container on the engine. Only one container can have it.
    pub container_name: Option<String>,
    /// The networks that it joins, and how; none: the environment's own.
    pub networks: BTreeMap<String, Endpoint>,
    /// The network mode, in place of networks.
    pub network_mode: Option<NetworkMode>,
    /// Containers outside that it reaches: `container` or `container:alias`.
    pub external_links: Vec<String>,
    /// Volumes, folders of the host, and memory. The source of a volume is its name in [`EnvironmentSpec::volumes`].
    pub mounts: Vec<Mount>,
    /// Others whose volumes and folders it has, too, at the same paths.
    pub volumes_from: Vec<VolumesFrom>,
    /// The secrets that it is given as files.
    pub secrets: Vec<FileUse>,
    /// The configs that it is given as files.
    pub configs: Vec<FileUse>,
    /// Everything else that it asks of its container.
    pub options: ContainerOptions,
}

/// Commands, labels and other texts may hold the values of variables.
impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, versioned, .. } = self;
        f.debug_struct("Component").field("image", image).field("versioned", versioned).finish_non_exhaustive()
    }
}

impl Component {
    /// How its image is fetched. `default`: when it is fetched if the file does not say.
    #[cfg(feature = "controller")]
    pub(crate) fn pull_options(&self, default: PullWhen) -> PullOptions {
        let when = self.pull_policy.as_ref().map_or(default, |policy| match policy {
            PullPolicy::Always => PullWhen::Refresh,
            // An image that is built is in no registry.
            PullPolicy::Never | PullPolicy::Build => PullWhen::Never,
            PullPolicy::Missing => PullWhen::Missing,
            PullPolicy::Every(window) => PullWhen::OlderThan(window.age()),
        });
        PullOptions { when, platform: self.options.platform.clone() }
    }

    /// An error of getting its image, with what to do about it if it can be built.
    #[cfg(feature = "controller")]
    pub(crate) fn not_pulled(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::ImageMissing | ErrorKind::RegistryRefused | ErrorKind::RegistryUnavailable
                if self.build.is_some() =>
            {
                error.with_hint("build it: give `--build`, or run `docker build` before")
            }
            _ => error,
        }
    }

    /// A component with an image and nothing else.
    #[must_use]
    pub fn new(image: ImageReference) -> Self {
        Self {
            image,
            versioned: false,
            entrypoint: None,
            command: None,
            environment: BTreeMap::new(),
            expose: Vec::new(),
            ports: Vec::new(),
            depends_on: BTreeMap::new(),
            links: Vec::new(),
            link_variables: false,
            health_check: None,
            labels: BTreeMap::new(),
            stop_grace_period: None,
            stop_signal: None,
            build: None,
            pull_policy: None,
            restart: None,
            replicas: None,
            container_name: None,
            networks: BTreeMap::new(),
            network_mode: None,
            external_links: Vec::new(),
            mounts: Vec::new(),
            volumes_from: Vec::new(),
            secrets: Vec::new(),
            configs: Vec::new(),
            options: ContainerOptions::default(),
        }
    }

    /// The others that it reaches, each with the names that it uses: the aliases of its links, and the names of its
    /// dependencies.
    #[must_use]
    pub fn reaches(&self) -> BTreeMap<&ComponentName, BTreeSet<String>> {
        let links = self.links.iter().map(|link| (&link.component, link.alias.to_string()));
        let named = self.depends_on.keys().map(|name| (name, name.to_string()));
        let mut reached: BTreeMap<&ComponentName, BTreeSet<String>> = BTreeMap::new();
        for (other, name) in links.chain(named) {
            reached.entry(other).or_default().insert(name);
        }
        reached
    }
}

/// An entry of `volumes_from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// The other component.
    pub component: ComponentName,
    /// `ro`: to read only; `rw`; `None`: as the other has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

impl fmt::Display for VolumesFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mode {
            Some(mode) => write!(f, "{}:{mode}", self.component),
            None => write!(f, "{}", self.component),
        }
    }
}

/// An entry of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// What it waits for.
    pub condition: DependencyCondition,
    /// Whether it is replaced when the other is. Haddock always does so.
    pub restart: bool,
    /// Whether it fails when the other does.
    pub required: bool,
}

impl From<DependencyCondition> for Dependency {
    fn from(condition: DependencyCondition) -> Self {
        Self { condition, restart: false, required: true }
    }
}

/// What `depends_on` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DependencyCondition {
    /// It has been started.
    Started,
    /// Its health check passes.
    Healthy,
    /// It has ended with exit code 0.
    CompletedSuccessfully,
}

/// An alias under which a component reaches another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other component.
    pub component: ComponentName,
    /// The alias.
    pub alias: LinkAlias,
}
