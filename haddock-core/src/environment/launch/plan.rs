//! What to launch, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::container::{
    Attachment, BindOptions, ContainerSpec, Endpoint, Identity, Incarnation, InjectedFile, Mount, MountKind,
    NetworkMode, NetworkSpec, Selector, Sensitive, Subnet, VolumeSpec, label,
};
use crate::environment::plan::needs;
use crate::environment::{
    Component, DEFAULT_NETWORK, DeclaredFile, DeclaredNetwork, Dependency, EnvironmentSpec, FileSource, FileUse, Ipam,
    IpamConfig,
};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName, InstanceId, JournalId};

/// What to launch.
#[derive(Debug, Clone)]
pub struct LaunchPlan {
    /// The journal that the environment belongs to.
    pub journal: JournalId,
    /// The uid of the environment: an instance's, or [`InstanceId::of_environment`].
    pub instance: InstanceId,
    /// The environment's name, with which the names of its containers begin. `None`: it is an instance, and they begin
    /// with the uid.
    pub name: Option<EnvironmentName>,
    /// The epoch under which it is launched.
    pub epoch: u64,
    /// What the environment looks like.
    pub spec: Arc<EnvironmentSpec>,
    /// The components to launch; the others run elsewhere, or not at all.
    pub members: BTreeSet<ComponentName>,
    /// The environment of the shared components that members link to.
    pub shared: Option<EnvironmentName>,
    /// The image of each member, by the id that the runtime's `pull` gave.
    pub images: BTreeMap<ComponentName, String>,
    /// The digest of `spec`. What exists is taken over only if it was made from the same specification.
    pub spec_digest: String,
    /// The digests of components that are compared one by one. They are used in place of `spec_digest`.
    pub digests: BTreeMap<ComponentName, String>,
    /// For each component of an environment by name, a text that is part of the names of its unnamed volumes. Another
    /// text means other volumes.
    pub generations: BTreeMap<ComponentName, String>,
    /// Members whose containers have ended and are started again, each with the life that was seen.
    pub again: BTreeMap<ComponentName, Incarnation>,
    /// Members whose containers are paused, and are told to go on.
    pub unpause: BTreeSet<ComponentName>,
    /// How long the launch may take.
    pub within: Duration,
}

/// For each component, what has to be there before it starts.
pub(super) type Order = BTreeMap<ComponentName, BTreeMap<ComponentName, Dependency>>;

impl LaunchPlan {
    /// For each member, what has to be there before it starts. As in Compose, a link counts, too.
    pub(super) fn order(&self) -> Result<Order> {
        let order = order(&self.spec, &self.members);
        match ranks(&order) {
            Some(_) => Ok(order),
            None => Err(Error::new(ErrorKind::ComposeFile, "components wait for each other in a circle")
                .with_hint("remove one of the `depends_on` or `links` in the circle")),
        }
    }

    /// The name of its network. The names of its containers begin with it.
    pub(super) fn prefix(&self) -> &str {
        self.name.as_ref().map_or(self.instance.as_str(), EnvironmentName::as_str)
    }

    /// The owner of everything that is made: the journal and the environment.
    fn identity(&self) -> Identity {
        Identity::environment(&self.journal, &self.instance)
    }

    /// The user's labels, and ours. A user's label cannot replace one of ours.
    fn labels(&self, theirs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let theirs = theirs.iter().filter(|(key, _)| !key.starts_with("haddock."));
        let mut labels: BTreeMap<String, String> = theirs.map(|(key, value)| (key.clone(), value.clone())).collect();
        if let Some(name) = &self.name {
            labels.insert(label::NAME.to_owned(), name.to_string());
        }
        labels.insert(label::EPOCH.to_owned(), self.epoch.to_string());
        labels
    }

    /// The labels of a container. They also say how it is stopped.
    fn labels_of(&self, name: &ComponentName, component: &Component) -> BTreeMap<String, String> {
        let mut labels = self.labels(&component.labels);
        let rank = ranks(&order(&self.spec, &self.members)).and_then(|ranks| ranks.get(name).copied());
        labels.insert(label::RANK.to_owned(), rank.unwrap_or_default().to_string());
        if let Some(grace) = component.stop_grace_period {
            labels.insert(label::GRACE.to_owned(), grace.as_millis().to_string());
        }
        labels
    }

    fn digest(&self, component: Option<&ComponentName>) -> &str {
        component.and_then(|name| self.digests.get(name)).unwrap_or(&self.spec_digest)
    }

    pub(super) fn container(&self, name: &ComponentName, component: &Component) -> Result<ContainerSpec> {
        let image = self.images.get(name).ok_or_else(|| {
            let message = format!("no image was pulled for component `{name}` (`{}`)", component.image);
            Error::new(ErrorKind::ImageMissing, message).with_hint("pull the images of all that is launched first")
        })?;
        let mut expose = component.expose.clone();
        if let Some(entry) = self.spec.entry().filter(|entry| entry.component == *name) {
            if !expose.contains(&entry.port) {
                expose.push(entry.port);
            }
            // The entry's port comes first: a runtime that tells a process one port tells it this one.
            expose.sort_by_key(|port| *port != entry.port);
        }
        let mut options = component.options.clone();
        for space in [&mut options.ipc, &mut options.pid, &mut options.uts] {
            if let Some(other) = space.as_deref().and_then(|space| space.strip_prefix("service:")) {
                *space = Some(format!("container:{}", self.container_name(other)));
            }
        }
        let (files, bound) = self.files(name, component)?;
        Ok(ContainerSpec {
            name: self.container_name(name.as_str()),
            image: image.clone(),
            entrypoint: component.entrypoint.clone(),
            command: component.command.clone(),
            environment: self.variables(name, component),
            identity: self.identity().component(name).made_from(self.digest(Some(name))),
            labels: self.labels_of(name, component),
            networks: self.attachments(name, component),
            network_mode: component.network_mode.clone().map(|mode| match mode {
                NetworkMode::Service(other) => NetworkMode::Container(self.container_name(&other)),
                mode => mode,
            }),
            expose,
            publish: component.ports.clone(),
            health_check: component.health_check.clone(),
            stop_signal: component.stop_signal.clone(),
            mounts: self.mounts(component).chain(bound).collect(),
            files,
            // Haddock decides whether a container of an instance is started again, because a restart loses sessions.
            restart: component.restart.filter(|_| self.name.is_some()),
            options,
        })
    }

    /// Its environment variables. If the file asks for it, there are also variables that describe its links. These have
    /// the alias and not an address, so they stay true when the link leads elsewhere.
    fn variables(&self, name: &ComponentName, component: &Component) -> BTreeMap<String, Sensitive> {
        let mut variables = BTreeMap::new();
        for link in component.links.iter().filter(|_| component.link_variables) {
            let Some(other) = self.spec.components.get(&link.component) else { continue };
            let alias = link.alias.as_str();
            let upper: String =
                alias.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
            let mut tell =
                |key: String, value: String| variables.insert(format!("{upper}_{key}"), Sensitive::new(value));
            tell("NAME".to_owned(), format!("/{name}/{alias}"));
            for (at, port) in other.expose.iter().enumerate() {
                if at == 0 {
                    tell("PORT".to_owned(), format!("tcp://{alias}:{port}"));
                }
                tell(format!("PORT_{port}_TCP"), format!("tcp://{alias}:{port}"));
                tell(format!("PORT_{port}_TCP_ADDR"), alias.to_owned());
                tell(format!("PORT_{port}_TCP_PORT"), port.to_string());
                tell(format!("PORT_{port}_TCP_PROTO"), "tcp".to_owned());
            }
            for (key, value) in &other.environment {
                tell(format!("ENV_{key}"), value.expose().to_owned());
            }
        }
        // What the file says wins.
        variables.extend(component.environment.clone());
        variables
    }

    pub(crate) fn container_name(&self, component: &str) -> String {
        let own = self.spec.components.get(component).and_then(|it| it.container_name.clone());
        own.filter(|_| self.name.is_some()).unwrap_or_else(|| format!("{}-{component}", self.prefix()))
    }

    /// The name on the engine of a network of the file.
    fn network_name(&self, key: &str) -> String {
        network_name(self.prefix(), &self.spec, key)
    }

    /// The networks that members join, without external ones.
    pub(crate) fn networks(&self) -> Vec<NetworkSpec> {
        let members = self.members.iter().filter_map(|name| self.spec.components.get(name));
        let joined: BTreeSet<&str> = members.filter(|it| it.network_mode.is_none()).flat_map(keys_of).collect();
        let ours = joined.into_iter().filter_map(|key| {
            let declared = self.spec.networks.get(key).cloned().unwrap_or_default();
            let DeclaredNetwork {
                name: _, // of `network_name`
                external,
                driver,
                driver_opts,
                internal,
                attachable,
                enable_ipv4,
                enable_ipv6,
                labels,
                ipam: Ipam { driver: ipam_driver, config, options: ipam_options },
            } = declared;
            let subnets = config.into_iter().filter_map(|IpamConfig { subnet, gateway, ip_range, aux_addresses }| {
                Some(Subnet { subnet: subnet?, gateway, ip_range, aux_addresses })
            });
            let spec = (!external).then(|| NetworkSpec {
                name: self.network_name(key),
                identity: self.identity(),
                labels: self.labels(&labels),
                driver,
                driver_opts,
                internal,
                attachable,
                enable_ipv4,
                enable_ipv6,
                ipam_driver,
                ipam_options,
                subnets: subnets.collect(),
            });
            spec.map(|spec| self.with_digest(spec))
        });
        ours.collect()
    }

    /// Adds a label that says what the network is made from. For an instance this is the whole specification.
    fn with_digest(&self, mut spec: NetworkSpec) -> NetworkSpec {
        if self.name.is_none() {
            spec.identity = spec.identity.made_from(self.digest(None));
        } else {
            spec.labels.insert(label::SPEC.to_owned(), network_digest(&spec));
        }
        spec
    }

    /// Whether a network with these labels is as it is wanted. Networks of earlier versions do not say what they were
    /// made from. Then `old` counts: the network that was wanted last, if it is known.
    pub(crate) fn is_as_made(
        &self,
        spec: &NetworkSpec,
        old: Option<&NetworkSpec>,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        match labels.get(label::SPEC).map(String::as_str) {
            None | Some("network") => old.is_none_or(|old| network_digest(old) == network_digest(spec)),
            Some(digest) => digest == network_digest(spec),
        }
    }

    /// The volumes that members name, without external ones.
    pub(crate) fn volumes(&self) -> Vec<VolumeSpec> {
        let members = self.members.iter().filter_map(|name| self.spec.components.get(name));
        let mounts = members.flat_map(|component| self.spec.mounts(component));
        let volumes = mounts.filter(|mount| mount.kind == MountKind::Volume);
        let named: BTreeSet<String> = volumes.filter_map(|mount| mount.source).collect();
        let ours = named.iter().filter_map(|key| {
            let declared = self.spec.volumes.get(key).cloned().unwrap_or_default();
            (!declared.external).then(|| VolumeSpec {
                name: self.volume_name(key),
                // A volume outlives the specification, so it has no digest of it.
                identity: self.identity(),
                labels: self.labels(&declared.labels),
                driver: declared.driver,
                driver_opts: declared.driver_opts,
            })
        });
        ours.collect()
    }

    fn volume_name(&self, key: &str) -> String {
        match self.spec.volumes.get(key).and_then(|declared| declared.name.clone()) {
            Some(name) => name,
            None => within(self.prefix(), key),
        }
    }

    fn mounts<'m>(&'m self, component: &'m Component) -> impl Iterator<Item = Mount> + 'm {
        self.spec.mounts(component).into_iter().map(|mut mount| {
            if mount.kind == MountKind::Volume {
                mount.source = mount.source.map(|key| self.volume_name(&key));
            }
            mount
        })
    }

    /// The networks that a component joins. If it needs shared components, also the networks of these.
    fn attachments(&self, name: &ComponentName, component: &Component) -> Vec<Attachment> {
        if component.network_mode.is_some() {
            return Vec::new();
        }
        let default = component.networks.is_empty().then(|| (DEFAULT_NETWORK.to_owned(), Endpoint::default()));
        let endpoints = component.networks.clone().into_iter().chain(default);
        let mut all: Vec<Attachment> = endpoints
            .map(|(key, endpoint)| {
                let mut aliases = self.spec.aliases(name);
                aliases.extend(
                    endpoint.aliases.iter().filter(|alias| !aliases.contains(alias)).cloned().collect::<Vec<_>>(),
                );
                Attachment { endpoint, ..Attachment::new(self.network_name(&key), aliases) }
            })
            .collect();
        // The one of the highest priority comes first, as in Compose.
        all.sort_by_key(|attachment| std::cmp::Reverse(attachment.endpoint.priority.unwrap_or(0)));
        if let Some(first) = all.first_mut() {
            first.links.clone_from(&component.external_links);
        }
        if let Some(shared) = &self.shared {
            let before = self.spec.before().map(|before| &before.component);
            let elsewhere = |name: &ComponentName| {
                self.members.contains(name) || self.spec.targets.contains_key(name) || before == Some(name)
            };
            let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (need, aliases) in component.reaches().into_iter().filter(|(need, _)| !elsewhere(need)) {
                let Some(other) = self.spec.components.get(need) else { continue };
                for network in networks_of(shared.as_str(), &self.spec, other) {
                    let named = aliases.iter().map(|alias| format!("{shared}-{need}:{alias}"));
                    links.entry(network).or_default().extend(named);
                }
            }
            let none: [&str; 0] = [];
            all.extend(
                links.into_iter().map(|(network, links)| Attachment { links, ..Attachment::new(network, none) }),
            );
        }
        all
    }

    /// The secrets and configs of a component: what is put into it, and what is mounted from the host.
    fn files(&self, name: &ComponentName, component: &Component) -> Result<(Vec<InjectedFile>, Vec<Mount>)> {
        let (mut files, mut mounts) = (Vec::new(), Vec::new());
        let uses =
            [("secret", &component.secrets, &self.spec.secrets), ("config", &component.configs, &self.spec.configs)];
        for (what, uses, declared) in uses {
            for file in uses {
                let target = inside(what, file);
                let missing = |why: &str| {
                    let message = format!("component `{name}` is given the {what} `{}`, {why}", file.source);
                    Error::new(ErrorKind::ComposeFile, message)
                };
                let Some(DeclaredFile { source, content, .. }) = declared.get(&file.source) else {
                    return Err(missing("which the file does not declare"));
                };
                match (source, content) {
                    (FileSource::File(path), _) => mounts.push(Mount {
                        source: Some(path.clone()),
                        read_only: true,
                        bind: Some(BindOptions { create_host_path: Some(false), ..BindOptions::default() }),
                        ..Mount::new(MountKind::Bind, target)
                    }),
                    (FileSource::Environment(variable), None) => {
                        return Err(missing("whose variable is not set").with_hint(format!("set `{variable}`")));
                    }
                    (_, None) => return Err(missing("which has no content")),
                    (_, Some(content)) => {
                        let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
                        let mode = file.mode.as_ref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
                        files.push(InjectedFile {
                            path: target,
                            content: content.clone(),
                            uid: number(&file.uid).unwrap_or(0),
                            gid: number(&file.gid).unwrap_or(0),
                            mode: mode.unwrap_or(0o444),
                        });
                    }
                }
            }
        }
        Ok((files, mounts))
    }

    /// Whether the thing with these labels was made for this plan: the container of that component, or the network if
    /// there is none. Its epoch may be an earlier one.
    pub(super) fn made(&self, labels: &BTreeMap<String, String>, component: Option<&ComponentName>) -> bool {
        Selector::environment(&self.journal, &self.instance).matches(labels)
            && labels.get(label::SPEC).map(String::as_str) == Some(self.digest(component))
    }
}

/// The path of a secret or config in the container. A relative path starts in the folder of its kind.
fn inside(what: &str, file: &FileUse) -> String {
    let target = file.target.as_deref().unwrap_or(&file.source);
    match (target.starts_with('/'), what) {
        (true, _) => target.to_owned(),
        (false, "secret") => format!("/run/secrets/{target}"),
        (false, _) => format!("/{target}"),
    }
}

/// A digest of what a network is made from. It covers only what the file says. So it stays the same when a later
/// version knows more settings.
fn network_digest(spec: &NetworkSpec) -> String {
    let NetworkSpec {
        name: _,
        identity: _,
        // Other labels do not make it another network.
        labels: _,
        driver,
        driver_opts,
        internal,
        attachable,
        enable_ipv4,
        enable_ipv6,
        ipam_driver,
        ipam_options,
        subnets,
    } = spec;
    let mut parts: Vec<String> = driver.iter().map(|driver| format!("driver={driver}")).collect();
    parts.extend(driver_opts.iter().map(|(key, value)| format!("option {key}={value}")));
    parts.extend(internal.then(|| "internal".to_owned()));
    parts.extend(attachable.then(|| "attachable".to_owned()));
    parts.extend(enable_ipv4.map(|is| format!("ipv4={is}")));
    parts.extend(enable_ipv6.map(|is| format!("ipv6={is}")));
    parts.extend(ipam_driver.iter().map(|driver| format!("ipam={driver}")));
    parts.extend(ipam_options.iter().map(|(key, value)| format!("ipam {key}={value}")));
    for Subnet { subnet, gateway, ip_range, aux_addresses } in subnets {
        parts.push(format!("subnet={subnet}"));
        parts.extend(gateway.map(|gateway| format!("gateway={gateway}")));
        parts.extend(ip_range.map(|range| format!("range={range}")));
        parts.extend(aux_addresses.iter().map(|(key, value)| format!("aux {key}={value}")));
    }
    format!("network-{}", blake3::hash(parts.join("\n").as_bytes()).to_hex())
}

/// The name on the engine of a network or volume of an environment.
fn within(prefix: &str, key: &str) -> String {
    if key == DEFAULT_NETWORK { prefix.to_owned() } else { format!("{prefix}_{key}") }
}

/// The names on the engine of the networks that a component joins, in the environment of that name.
pub(crate) fn networks_of(prefix: &str, spec: &EnvironmentSpec, component: &Component) -> Vec<String> {
    if component.network_mode.is_some() {
        return Vec::new();
    }
    keys_of(component).map(|key| network_name(prefix, spec, key)).collect()
}

fn network_name(prefix: &str, spec: &EnvironmentSpec, key: &str) -> String {
    let own = spec.networks.get(key).and_then(|declared| declared.name.clone());
    own.unwrap_or_else(|| within(prefix, key))
}

/// The networks that a component names, or the default one if it names none.
fn keys_of(component: &Component) -> impl Iterator<Item = &str> {
    let default = component.networks.is_empty().then_some(DEFAULT_NETWORK);
    component.networks.keys().map(String::as_str).chain(default)
}

/// For each of these components, what has to be there before it starts. As in Compose, a linked component is started
/// first. A condition in `depends_on` can ask for more.
fn order(spec: &EnvironmentSpec, members: &BTreeSet<ComponentName>) -> Order {
    let of = |name: &ComponentName| needs(spec, members, name).into_iter().map(|(need, when)| (need.clone(), when));
    members
        .iter()
        .filter(|name| spec.components.contains_key(*name))
        .map(|name| (name.clone(), of(name).collect()))
        .collect()
}

/// The number of starts that have to come before each component's, one after the other. `None`: the components wait for
/// each other in a circle.
fn ranks(order: &Order) -> Option<BTreeMap<ComponentName, usize>> {
    let mut ranks: BTreeMap<ComponentName, usize> = BTreeMap::new();
    while ranks.len() < order.len() {
        let ready: Vec<(ComponentName, usize)> = order
            .iter()
            .filter(|(name, needs)| !ranks.contains_key(*name) && needs.keys().all(|need| ranks.contains_key(need)))
            .map(|(name, needs)| (name.clone(), needs.keys().map(|need| ranks[need] + 1).max().unwrap_or(0)))
            .collect();
        if ready.is_empty() {
            return None;
        }
        ranks.extend(ready);
    }
    Some(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::compose::{ComposeFile, ResolveOptions};

    #[test]
    fn whoever_asks_for_it_is_told_of_links_by_variables() {
        let text = "
name: shop
services:
  oracle: { image: oracle, expose: [1521], environment: { SID: XE } }
  app: { image: app, links: ['oracle:data-base'], environment: { DATA_BASE_PORT: mine } }
  web: { image: web, links: [oracle] }
x-haddock: { link_variables: [app] }
";
        let file = ComposeFile::parse("compose.yaml", text).expect("YAML");
        let spec = Arc::new(file.resolve(&ResolveOptions::default()).expect("good").spec);
        let plan = LaunchPlan {
            journal: JournalId::new("j1").expect("valid"),
            instance: InstanceId::new("pr-1").expect("valid"),
            name: None,
            epoch: 0,
            members: spec.components.keys().cloned().collect(),
            images: spec.components.keys().map(|name| (name.clone(), name.to_string())).collect(),
            spec: Arc::clone(&spec),
            shared: None,
            spec_digest: String::new(),
            digests: BTreeMap::new(),
            generations: BTreeMap::new(),
            again: BTreeMap::new(),
            unpause: BTreeSet::new(),
            within: Duration::from_secs(1),
        };
        let told = |name: &str| {
            let name = ComponentName::new(name).expect("valid");
            let made = plan.container(&name, &spec.components[&name]).expect("good").environment;
            made.into_iter().map(|(key, value)| format!("{key}={}", value.expose())).collect::<Vec<_>>()
        };
        assert_eq!(told("web"), Vec::<String>::new());
        let expected = [
            "DATA_BASE_ENV_SID=XE",
            "DATA_BASE_NAME=/app/data-base",
            "DATA_BASE_PORT=mine",
            "DATA_BASE_PORT_1521_TCP=tcp://data-base:1521",
            "DATA_BASE_PORT_1521_TCP_ADDR=data-base",
            "DATA_BASE_PORT_1521_TCP_PORT=1521",
            "DATA_BASE_PORT_1521_TCP_PROTO=tcp",
        ];
        assert_eq!(told("app"), expected, "and what the file says wins");
    }
}
