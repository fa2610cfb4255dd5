//! Finds what components reach outside their environment, as it is now.

use std::net::IpAddr;

use super::LaunchPlan;
use crate::container::{Attachment, Container, ContainerId, ContainerSpec, ContainerState, Selector};
use crate::environment::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, InstanceId, JournalId};
use crate::runtime::ContainerRuntime;

/// Networks that every engine has. On these, containers do not find each other by name.
const NETWORKS_WITHOUT_NAMES: [&str; 3] = ["bridge", "host", "none"];

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A container that runs, and the network on which it is met.
    Container { found: Box<Container>, network: String },
    /// A server.
    Address(IpAddr, u16),
}

/// Finds one target.
///
/// # Errors
/// [`NotFound`](ErrorKind::NotFound) if there is no such container or host, [`ContainerExited`](ErrorKind::ContainerExited)
/// if it does not run.
pub(crate) async fn locate(runtime: &dyn ContainerRuntime, journal: &JournalId, target: &Target) -> Result<Place> {
    let missing = |what: &str| {
        Error::new(ErrorKind::NotFound, format!("`{target}`, to which a link leads, {what}"))
            .with_hint("start it first, or name another target")
    };
    if let Target::Address { host, port } = target {
        let mut addresses = tokio::net::lookup_host((host.as_str(), *port)).await.ok().into_iter().flatten();
        let address = addresses.next().ok_or_else(|| missing("has a host that is not known"))?;
        return Ok(Place::Address(address.ip(), *port));
    }
    let found = container(runtime, journal, target).await?.ok_or_else(|| missing("is not there"))?;
    if !found.is_running() {
        let why = if found.state == ContainerState::Paused { "is paused" } else { "does not run" };
        let message = format!("`{target}`, to which a link leads, {why}");
        return Err(Error::new(ErrorKind::ContainerExited, message).with_hint("start it first, or name another target"));
    }
    let network = meeting_network(&found).ok_or_else(|| missing("is on no network that was made for it"))?;
    Ok(Place::Container { found: Box::new(found), network })
}

/// The container of a target, running or not; `None`: there is none, or the target is an address.
pub(crate) async fn container(
    runtime: &dyn ContainerRuntime,
    journal: &JournalId,
    target: &Target,
) -> Result<Option<Container>> {
    match target {
        Target::Address { .. } => Ok(None),
        Target::Component { environment, component } => {
            let uid = InstanceId::of_environment(journal, environment);
            let all = runtime.list(&Selector::environment(journal, &uid)).await?;
            Ok(all.into_iter().find(|container| container.is_of(component)))
        }
        Target::Container(name) => runtime.inspect(&ContainerId(name.clone())).await,
    }
}

/// The network on which other containers reach a container that they are linked to.
pub(crate) fn meeting_network(container: &Container) -> Option<String> {
    container.networks.iter().find(|network| !NETWORKS_WITHOUT_NAMES.contains(&network.as_str())).cloned()
}

impl LaunchPlan {
    /// Lets a container that is about to be made reach its targets outside, under the names that the component uses.
    pub(super) async fn reach(
        &self,
        runtime: &dyn ContainerRuntime,
        name: &ComponentName,
        spec: &mut ContainerSpec,
    ) -> Result<()> {
        for (other, aliases) in self.spec.reaches(&self.spec.components[name]) {
            match locate(runtime, &self.journal, &self.spec.targets[other]).await? {
                Place::Address(ip, _) => {
                    spec.options.extra_hosts.extend(aliases.iter().map(|alias| format!("{alias}={ip}")));
                }
                Place::Container { found, network } => {
                    let links = aliases.iter().map(|alias| format!("{}:{alias}", found.name));
                    match spec.networks.iter_mut().find(|there| there.network == network) {
                        Some(there) => there.links.extend(links),
                        None => {
                            let none: [&str; 0] = [];
                            let links = links.collect();
                            spec.networks.push(Attachment { links, ..Attachment::new(network, none) });
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
