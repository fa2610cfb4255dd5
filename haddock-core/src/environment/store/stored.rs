//! The form in which a specification is written, with its values readable. Settings that are not set are left out, so
//! that a specification of an older version keeps its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::container::{
    ContainerOptions, Endpoint, HealthCheck, Mount, NetworkMode, PublishedPort, RestartPolicy, Sensitive,
};
use crate::environment::idle::IdlePolicy;
use crate::environment::{
    Asks, Build, Component, DeclaredFile, DeclaredNetwork, DeclaredVolume, Dependency, DependencyCondition,
    EnvironmentSpec, FileSource, FileUse, GateSpec, Hook, HookCommand, Link, Production, PullPolicy, Receiver,
    ServiceSettings, Target, VolumesFrom,
};
use crate::error::{Error, Result};
use crate::image::ImageReference;
use crate::name::{ComponentName, LinkAlias};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    settings: Option<ServiceSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle: Option<IdlePolicy>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    plain: bool,
    components: BTreeMap<ComponentName, StoredComponent>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, DeclaredNetwork>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<String, DeclaredVolume>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    secrets: BTreeMap<String, StoredFile>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    configs: BTreeMap<String, StoredFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    production: Option<StoredProduction>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    hooks: BTreeMap<Hook, StoredHook>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    gates: BTreeMap<usize, StoredGate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notify: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    targets: BTreeMap<ComponentName, Target>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    written: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHook {
    component: Option<ComponentName>,
    command: Vec<String>,
    within: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredGate {
    asks: StoredAsks,
    within: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredAsks {
    Command(Vec<String>),
    Call(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredProduction {
    links: BTreeMap<ComponentName, Target>,
    without: BTreeSet<ComponentName>,
    variables: BTreeMap<ComponentName, BTreeMap<String, String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    source: FileSource,
    content: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredComponent {
    image: String,
    versioned: bool,
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    environment: BTreeMap<String, String>,
    expose: Vec<u16>,
    ports: Vec<PublishedPort>,
    depends_on: BTreeMap<ComponentName, StoredDependency>,
    links: Vec<StoredLink>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    link_variables: bool,
    health_check: Option<HealthCheck>,
    labels: BTreeMap<String, String>,
    stop_grace_period: Option<Duration>,
    stop_signal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<Build>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pull_policy: Option<PullPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restart: Option<RestartPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replicas: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    container_name: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network_mode: Option<NetworkMode>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    external_links: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<Mount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    volumes_from: Vec<VolumesFrom>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<FileUse>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    configs: Vec<FileUse>,
    #[serde(default, skip_serializing_if = "is_default")]
    options: ContainerOptions,
}

fn is_default(options: &ContainerOptions) -> bool {
    *options == ContainerOptions::default()
}

/// A dependency, or only its condition if there is nothing else to say.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredDependency {
    Condition(DependencyCondition),
    Full(Dependency),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLink {
    component: ComponentName,
    alias: LinkAlias,
}

impl From<&EnvironmentSpec> for Stored {
    fn from(spec: &EnvironmentSpec) -> Self {
        // Taken apart by name, so that a new field cannot be forgotten here.
        let EnvironmentSpec {
            settings,
            idle,
            plain,
            components,
            networks,
            volumes,
            secrets,
            configs,
            production,
            hooks,
            gates,
            notify,
            // Who asks for releases is no part of a version.
            follow: _,
            targets,
            written,
        } = spec.clone();
        let components = components.into_iter().map(|(name, component)| (name, component.into())).collect();
        let files = |files: BTreeMap<String, DeclaredFile>| -> BTreeMap<String, StoredFile> {
            files.into_iter().map(|(name, file)| (name, file.into())).collect()
        };
        Self {
            settings,
            idle,
            plain,
            components,
            networks,
            volumes,
            secrets: files(secrets),
            configs: files(configs),
            production: production.map(Into::into),
            hooks: hooks.into_iter().map(|(hook, command)| (hook, command.into())).collect(),
            gates: gates.into_iter().map(|(stage, gate)| (stage, gate.into())).collect(),
            notify: notify.iter().map(|receiver| receiver.text().expose().to_owned()).collect(),
            targets,
            written,
        }
    }
}

impl Stored {
    pub(super) fn into_spec(self) -> Result<EnvironmentSpec> {
        let components = self.components.into_iter().map(|(name, component)| Ok((name, component.try_into()?)));
        let files = |files: BTreeMap<String, StoredFile>| -> BTreeMap<String, DeclaredFile> {
            files.into_iter().map(|(name, file)| (name, file.into())).collect()
        };
        Ok(EnvironmentSpec {
            settings: self.settings,
            idle: self.idle,
            plain: self.plain,
            components: components.collect::<Result<_>>()?,
            networks: self.networks,
            volumes: self.volumes,
            secrets: files(self.secrets),
            configs: files(self.configs),
            production: self.production.map(Into::into),
            hooks: self.hooks.into_iter().map(|(hook, command)| (hook, command.into())).collect(),
            gates: self.gates.into_iter().map(|(stage, gate)| (stage, gate.into())).collect(),
            notify: self.notify.iter().map(|text| Receiver::new(text)).collect(),
            follow: None,
            targets: self.targets,
            written: self.written,
        })
    }

    /// What one component is made from, with everything that it names.
    pub(super) fn of_component(spec: &EnvironmentSpec, name: &ComponentName) -> Self {
        let mut part = EnvironmentSpec::default();
        if let Some(component) = spec.components.get(name) {
            let used = |uses: &[FileUse], files: &BTreeMap<String, DeclaredFile>| {
                let named = |name: &String| uses.iter().any(|file| file.source == *name);
                files.iter().filter(|(name, _)| named(name)).map(|(name, file)| (name.clone(), file.clone())).collect()
            };
            part.secrets = used(&component.secrets, &spec.secrets);
            part.configs = used(&component.configs, &spec.configs);
            let reached = spec.reaches(component).into_keys();
            part.targets = reached.map(|other| (other.clone(), spec.targets[other].clone())).collect();
            // The mounts that it has from other components are a part of it, too.
            let component = Component { mounts: spec.mounts(component), ..component.clone() };
            part.components = BTreeMap::from([(name.clone(), component)]);
        }
        Self::from(&part)
    }
}

impl From<HookCommand> for StoredHook {
    fn from(HookCommand { component, command, within }: HookCommand) -> Self {
        Self { component, command: command.iter().map(|word| word.expose().to_owned()).collect(), within }
    }
}

impl From<StoredHook> for HookCommand {
    fn from(StoredHook { component, command, within }: StoredHook) -> Self {
        Self { component, command: command.into_iter().map(Sensitive::new).collect(), within }
    }
}

impl From<GateSpec> for StoredGate {
    fn from(GateSpec { asks, within }: GateSpec) -> Self {
        let asks = match asks {
            Asks::Command(words) => StoredAsks::Command(words.iter().map(|word| word.expose().to_owned()).collect()),
            Asks::Call(name) => StoredAsks::Call(name),
        };
        Self { asks, within }
    }
}

impl From<StoredGate> for GateSpec {
    fn from(StoredGate { asks, within }: StoredGate) -> Self {
        let asks = match asks {
            StoredAsks::Command(words) => Asks::Command(words.into_iter().map(Sensitive::new).collect()),
            StoredAsks::Call(name) => Asks::Call(name),
        };
        Self { asks, within }
    }
}

impl From<Production> for StoredProduction {
    fn from(Production { links, without, variables }: Production) -> Self {
        let readable = |(name, value): (String, Sensitive)| (name, value.expose().to_owned());
        let variables = variables.into_iter().map(|(of, all)| (of, all.into_iter().map(readable).collect()));
        Self { links, without, variables: variables.collect() }
    }
}

impl From<StoredProduction> for Production {
    fn from(StoredProduction { links, without, variables }: StoredProduction) -> Self {
        let hidden = |(name, value): (String, String)| (name, Sensitive::new(value));
        let variables = variables.into_iter().map(|(of, all)| (of, all.into_iter().map(hidden).collect()));
        Self { links, without, variables: variables.collect() }
    }
}

impl From<DeclaredFile> for StoredFile {
    fn from(DeclaredFile { name, source, content }: DeclaredFile) -> Self {
        Self { name, source, content: content.map(|content| content.expose().to_owned()) }
    }
}

impl From<StoredFile> for DeclaredFile {
    fn from(StoredFile { name, source, content }: StoredFile) -> Self {
        Self { name, source, content: content.map(Sensitive::new) }
    }
}

impl From<Component> for StoredComponent {
    fn from(component: Component) -> Self {
        let Component {
            image,
            versioned,
            entrypoint,
            command,
            environment,
            expose,
            ports,
            depends_on,
            links,
            link_variables,
            health_check,
            labels,
            stop_grace_period,
            stop_signal,
            build,
            pull_policy,
            restart,
            replicas,
            container_name,
            networks,
            network_mode,
            external_links,
            mounts,
            volumes_from,
            secrets,
            configs,
            options,
        } = component;
        Self {
            image: image.to_string(),
            versioned,
            entrypoint,
            command,
            environment: environment.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect(),
            expose,
            ports,
            depends_on: depends_on.into_iter().map(|(name, condition)| (name, condition.into())).collect(),
            links: links.into_iter().map(|Link { component, alias }| StoredLink { component, alias }).collect(),
            link_variables,
            health_check,
            labels,
            stop_grace_period,
            stop_signal,
            build,
            pull_policy,
            restart,
            replicas,
            container_name,
            networks,
            network_mode,
            external_links,
            mounts,
            volumes_from,
            secrets,
            configs,
            options,
        }
    }
}

impl TryFrom<StoredComponent> for Component {
    type Error = Error;

    fn try_from(stored: StoredComponent) -> Result<Self> {
        let links = stored.links.into_iter().map(|StoredLink { component, alias }| Link { component, alias });
        Ok(Self {
            image: ImageReference::parse(&stored.image)?,
            versioned: stored.versioned,
            entrypoint: stored.entrypoint,
            command: stored.command,
            environment: stored.environment.into_iter().map(|(name, value)| (name, Sensitive::new(value))).collect(),
            expose: stored.expose,
            ports: stored.ports,
            depends_on: stored.depends_on.into_iter().map(|(name, condition)| (name, condition.into())).collect(),
            links: links.collect(),
            link_variables: stored.link_variables,
            health_check: stored.health_check,
            labels: stored.labels,
            stop_grace_period: stored.stop_grace_period,
            stop_signal: stored.stop_signal,
            build: stored.build,
            pull_policy: stored.pull_policy,
            restart: stored.restart,
            replicas: stored.replicas,
            container_name: stored.container_name,
            networks: stored.networks,
            network_mode: stored.network_mode,
            external_links: stored.external_links,
            mounts: stored.mounts,
            volumes_from: stored.volumes_from,
            secrets: stored.secrets,
            configs: stored.configs,
            options: stored.options,
        })
    }
}

impl From<Dependency> for StoredDependency {
    fn from(dependency: Dependency) -> Self {
        match dependency {
            Dependency { condition, restart: false, required: true } => Self::Condition(condition),
            full => Self::Full(full),
        }
    }
}

impl From<StoredDependency> for Dependency {
    fn from(stored: StoredDependency) -> Self {
        match stored {
            StoredDependency::Condition(condition) => condition.into(),
            StoredDependency::Full(full) => full,
        }
    }
}
