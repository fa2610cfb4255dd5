//! What uses an environment from outside. The environment is removed only if nothing does.

use std::collections::BTreeSet;

use super::Environments;
use super::record::{Record, with_links};
use crate::container::{NetworkMode, label};
use crate::environment::{Component, EnvironmentSpec, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::name::EnvironmentName;

impl Environments {
    /// Refuses to take away what others use: by a link, an alias, a network or a namespace.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy), with their names.
    pub(super) async fn refuse_what_is_used(&self, name: &EnvironmentName) -> Result<()> {
        let mut users = self.linked(name).await?;
        users.extend(self.neighbours(name).await?);
        if users.is_empty() {
            return Ok(());
        }
        let users: Vec<String> = users.into_iter().collect();
        let message = format!("environment `{name}` is used by {}", users.join(", "));
        Err(Error::new(ErrorKind::Busy, message)
            .with_hint("nothing was changed; take down what uses it first, or link that elsewhere"))
    }

    /// Environments whose files or links name it, whether they run or not. Those that it links to itself do not count.
    async fn linked(&self, name: &EnvironmentName) -> Result<BTreeSet<String>> {
        let own = self.made_from(name)?;
        let mut users = BTreeSet::new();
        let mut there: Option<(BTreeSet<String>, BTreeSet<String>)> = None;
        for note in self.specs.notes()? {
            let other = note.strip_suffix(".up").map(EnvironmentName::new);
            let Some(Ok(other)) = other else { continue };
            let Some(spec) = self.made_from(&other)?.filter(|_| other != *name) else { continue };
            let mut by_target = links_to(&spec, name);
            if !by_target && names_containers(&spec) {
                if there.is_none() {
                    there = Some(self.names(name).await?);
                }
                let (containers, networks) = there.as_ref().expect("looked up");
                by_target = uses(&spec, containers, networks);
            }
            if by_target
                && !own.as_ref().is_some_and(|own| links_to(own, &other))
                && !self.containers_of(&other).await?.is_empty()
            {
                users.insert(format!("environment `{other}`"));
            }
        }
        Ok(users)
    }

    /// What is on its networks and is not one of its own containers.
    async fn neighbours(&self, name: &EnvironmentName) -> Result<BTreeSet<String>> {
        let mut users = BTreeSet::new();
        if !self.runtime.capabilities().networks {
            return Ok(users);
        }
        let ours = self.selector(name);
        let networks = self.runtime.networks(&ours).await?;
        let mut members = BTreeSet::new();
        for network in networks.iter().filter(|network| ours.matches(&network.labels)) {
            members.extend(self.runtime.members(&network.id).await?);
        }
        let own = self.made_from(name)?;
        for id in members {
            let Some(container) = self.runtime.inspect(&id).await? else { continue };
            if ours.matches(&container.labels) {
                continue;
            }
            let environment = container.labels.get(label::NAME).filter(|_| container.belongs_to(&self.journal));
            let mutual = |other: &String| {
                let other = EnvironmentName::new(other).ok();
                own.as_ref().zip(other).is_some_and(|(own, other)| links_to(own, &other))
            };
            match (environment, container.instance().filter(|_| container.belongs_to(&self.journal))) {
                (Some(other), _) if mutual(other) => {}
                (Some(other), _) => _ = users.insert(format!("environment `{other}`")),
                (None, Some(instance)) => _ = users.insert(format!("instance `{instance}`")),
                (None, None) => _ = users.insert(format!("container `{}`", container.name)),
            }
        }
        Ok(users)
    }

    /// What an environment was last brought up from, with its links as they are now.
    fn made_from(&self, name: &EnvironmentName) -> Result<Option<EnvironmentSpec>> {
        let Some(Record { spec, links, .. }) = self.record(name)? else { return Ok(None) };
        // A specification that can no longer be read names nobody.
        let spec = self.specs.get(&spec).ok().flatten();
        Ok(spec.map(|spec| with_links(&spec, &links)))
    }

    /// The names of its containers and of its networks.
    async fn names(&self, name: &EnvironmentName) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
        let containers = self.containers_of(name).await?.into_iter().map(|container| container.name).collect();
        let networks = match self.runtime.capabilities().networks {
            true => self.runtime.networks(&self.selector(name)).await?,
            false => Vec::new(),
        };
        Ok((containers, networks.into_iter().map(|network| network.name).collect()))
    }
}

/// Whether one of its links leads into that environment.
fn links_to(spec: &EnvironmentSpec, name: &EnvironmentName) -> bool {
    let leads = |target: &Target| matches!(target, Target::Component { environment, .. } if environment == name);
    spec.targets.values().any(leads)
}

/// Whether a file names anything on the engine that is not its own.
fn names_containers(spec: &EnvironmentSpec) -> bool {
    spec.targets.values().any(|target| matches!(target, Target::Container(_)))
        || spec.networks.values().any(|network| network.external)
        || spec.components.values().any(|component| outside(component).next().is_some())
}

/// Whether a file names one of these containers or networks.
fn uses(spec: &EnvironmentSpec, containers: &BTreeSet<String>, networks: &BTreeSet<String>) -> bool {
    let target = |target: &Target| matches!(target, Target::Container(name) if containers.contains(name));
    let external = spec.networks.iter().filter(|(_, network)| network.external);
    let mut external = external.map(|(key, network)| network.name.as_deref().unwrap_or(key));
    spec.targets.values().any(target)
        || external.any(|name| networks.contains(name))
        || spec.components.values().flat_map(outside).any(|name| containers.contains(name))
}

/// The containers that a component names.
fn outside(component: &Component) -> impl Iterator<Item = &str> {
    let network = match &component.network_mode {
        Some(NetworkMode::Container(name)) => Some(name.as_str()),
        _ => None,
    };
    let options = &component.options;
    let spaces = [&options.ipc, &options.pid, &options.uts].into_iter().flatten();
    let links = component.external_links.iter().map(|link| link.split_once(':').map_or(link.as_str(), |(it, _)| it));
    network.into_iter().chain(spaces.filter_map(|space| space.strip_prefix("container:"))).chain(links)
}
