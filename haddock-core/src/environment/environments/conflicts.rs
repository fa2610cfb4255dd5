//! Checks what could fail, before anything is removed: names, networks, volumes and ports that belong to others.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;

use super::Environments;
use crate::container::{Container, ContainerId, Identity, Network, NetworkSpec, PublishedPort, Selector};
use crate::environment::launch::LaunchPlan;
use crate::environment::{Change, Plan, Planned};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;

impl Environments {
    /// The networks that are no longer as the file says, and the members on them. Such a network is made anew, and
    /// therefore the members on it, too.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) if something else is on one of them.
    pub(super) async fn changed_networks(
        &self,
        wanted: &LaunchPlan,
        before: Option<&LaunchPlan>,
        there: &[Network],
        found: &[Container],
    ) -> Result<(Vec<Network>, BTreeSet<ComponentName>)> {
        let specs = wanted.networks();
        let known = before.map(LaunchPlan::networks).unwrap_or_default();
        let is_changed = |network: &&Network| {
            let spec = specs.iter().find(|spec| spec.name == network.name);
            let old = known.iter().find(|spec| spec.name == network.name);
            spec.is_some_and(|spec| !wanted.is_as_made(spec, old, &network.labels))
        };
        let changed: Vec<Network> = there.iter().filter(is_changed).cloned().collect();
        if changed.is_empty() {
            return Ok((changed, BTreeSet::new()));
        }
        let all = self.runtime.list(&Selector::default()).await?;
        let mut members = BTreeSet::new();
        for network in &changed {
            for container in all.iter().filter(|it| it.networks.contains(&network.name)) {
                let own = found.iter().find(|own| own.id == container.id).and_then(Container::component);
                match own.filter(|name| wanted.members.contains(name)) {
                    Some(name) => _ = members.insert(name),
                    None => return Err(in_use(network, container)),
                }
            }
        }
        Ok((changed, members))
    }

    /// The members whose containers are on a network that somebody has removed. There may be a new one of the same
    /// name.
    pub(super) async fn stranded(
        &self,
        wanted: &LaunchPlan,
        there: &[Network],
        found: &[Container],
    ) -> Result<BTreeSet<ComponentName>> {
        // A network on which a container runs cannot be removed.
        let is_missing = |spec: &NetworkSpec| !there.iter().any(|network| network.name == spec.name);
        let may_be = found.iter().any(|it| !it.is_active()) || wanted.networks().iter().any(is_missing);
        if !may_be || !self.runtime.capabilities().networks || found.is_empty() {
            return Ok(BTreeSet::new());
        }
        let all = self.runtime.networks(&Selector::default()).await?;
        // podman gives the name where Docker gives the id.
        let is_there = |id: &String| all.iter().any(|network| network.id == *id || network.name == *id);
        let stranded = found.iter().filter(|it| !it.network_ids.values().all(is_there));
        Ok(stranded.filter_map(Container::component).filter(|name| wanted.members.contains(name)).collect())
    }

    /// Refuses an `up` that would fail after something has been removed for it.
    pub(super) async fn check_room(
        &self,
        wanted: &LaunchPlan,
        plan: &Plan,
        found: &[Container],
        there: &[Network],
    ) -> Result<()> {
        let making: Vec<&ComponentName> = plan.all(Change::Create).chain(plan.all(Change::Replace)).collect();
        if plan.0.iter().all(|it| matches!(it.change, Change::Create | Change::Keep)) {
            // Nothing is removed, so nothing can be lost. If something cannot be made, `up` fails, and removes what it
            // has made.
            return Ok(());
        }
        let names = making.iter().map(|name| wanted.container_name(name.as_str()));
        let names = names.filter(|name| !found.iter().any(|container| container.name == *name));
        let others = names.map(|name| async { self.runtime.inspect(&ContainerId(name)).await });
        let others = try_join_all(others).await?;
        if let Some(other) = others.into_iter().flatten().find(|other| !found.iter().any(|own| own.id == other.id)) {
            return Err(taken("container", &other.name));
        }
        self.check_networks_are_free(wanted, there).await?;
        self.check_volumes_are_ours(wanted).await?;
        self.check_ports(wanted, plan, found).await
    }

    async fn check_networks_are_free(&self, wanted: &LaunchPlan, there: &[Network]) -> Result<()> {
        let missing = wanted.networks().into_iter().filter(|spec| !there.iter().any(|it| it.name == spec.name));
        let missing: Vec<NetworkSpec> = missing.collect();
        if !self.runtime.capabilities().networks || missing.is_empty() {
            return Ok(());
        }
        let all = self.runtime.networks(&Selector::default()).await?;
        match missing.iter().find(|spec| all.iter().any(|network| network.name == spec.name)) {
            None => Ok(()),
            Some(spec) => Err(taken("network", &spec.name)),
        }
    }

    async fn check_volumes_are_ours(&self, wanted: &LaunchPlan) -> Result<()> {
        let volumes = wanted.volumes();
        if volumes.is_empty() {
            return Ok(());
        }
        let all = self.runtime.volumes(&Selector::default()).await?;
        let owner = Identity::environment(&wanted.journal, &wanted.instance);
        let others: BTreeMap<&str, bool> =
            all.iter().map(|volume| (volume.name.as_str(), owner.is_carried_by(&volume.labels))).collect();
        match volumes.iter().find(|spec| others.get(spec.name.as_str()) == Some(&false)) {
            None => Ok(()),
            Some(spec) => Err(taken("volume", &spec.name)),
        }
    }

    /// Refuses fixed ports of the host that are in use. Ports of containers that are removed or replaced count as free.
    async fn check_ports(&self, wanted: &LaunchPlan, plan: &Plan, found: &[Container]) -> Result<()> {
        let going: BTreeSet<&ComponentName> = plan.all(Change::Replace).chain(plan.all(Change::Remove)).collect();
        let going = found.iter().filter(|it| it.component().is_some_and(|name| going.contains(&name)));
        let freed: BTreeSet<u16> = going.flat_map(|it| it.published.values().map(std::net::SocketAddr::port)).collect();
        // A container that goes on has its ports already. One that is started again gets them anew.
        let starting = |it: &&Planned| !matches!(it.change, Change::Remove | Change::Keep | Change::Unpause);
        let starting = plan.0.iter().filter(starting).filter_map(|it| {
            let has = found.iter().any(|one| one.is_active() && one.is_of(&it.component));
            wanted.spec.components.get(&it.component).filter(|_| it.change != Change::Restart || !has)
        });
        let asked = starting.flat_map(|it| &it.ports);
        let is_new = |port: &&PublishedPort| {
            port.host_last.is_none() && port.host.is_some_and(|host| host != 0 && !freed.contains(&host))
        };
        let asked: Vec<&PublishedPort> = asked.filter(is_new).collect();
        check_ports_once(wanted)?;
        let free = asked.iter().map(|port| async move { Ok((*port, self.runtime.port_is_free(port).await?)) });
        let free = try_join_all(free).await?;
        match free.into_iter().find(|(_, is_free)| !is_free).and_then(|(port, _)| port.host) {
            None => Ok(()),
            Some(host) => Err(Error::new(ErrorKind::PortTaken, format!("port {host} of the host is in use"))
                .with_hint("end what uses it, or write another port; nothing was changed")),
        }
    }
}

/// Two components of one file cannot have the same port of the host.
fn check_ports_once(wanted: &LaunchPlan) -> Result<()> {
    let members = wanted.members.iter().filter_map(|name| Some((name, wanted.spec.components.get(name)?)));
    let all: Vec<(&ComponentName, &PublishedPort)> =
        members.flat_map(|(name, component)| component.ports.iter().map(move |port| (name, port))).collect();
    let collide = |one: &PublishedPort, other: &PublishedPort| {
        let fixed = |port: &PublishedPort| port.host.filter(|host| *host != 0 && port.host_last.is_none());
        let on_all = |port: &PublishedPort| port.host_address.is_none_or(|address| address.is_unspecified());
        let same_place = on_all(one) || on_all(other) || one.host_address == other.host_address;
        one.protocol == other.protocol && fixed(one).is_some() && fixed(one) == fixed(other) && same_place
    };
    for (at, (name, port)) in all.iter().enumerate() {
        let other = all[at + 1..].iter().find(|(other, it)| other != name && collide(port, it));
        if let (Some((other, _)), Some(host)) = (other, port.host) {
            let message = format!("components `{name}` and `{other}` both publish port {host} of the host");
            return Err(Error::new(ErrorKind::PortTaken, message)
                .with_hint("give one of them another port; nothing was changed"));
        }
    }
    Ok(())
}

fn taken(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::NameTaken, format!("a {what} `{name}` exists and is not this environment's"))
        .with_hint(format!("remove the {what} if nobody needs it, or choose another name; nothing was changed"))
}

fn in_use(network: &Network, container: &Container) -> Error {
    let message =
        format!("network `{}` has to be made anew, and container `{}` is on it", network.name, container.name);
    Error::new(ErrorKind::Busy, message)
        .with_hint("bring up all components, and disconnect others; or leave the network as it was")
}
