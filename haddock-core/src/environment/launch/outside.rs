//! What components reach that is outside their environment, as it is now.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::future::try_join_all;

use super::LaunchPlan;
use crate::container::{Attachment, Container, ContainerId, ContainerSpec, Selector};
use crate::environment::{EnvironmentSpec, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, InstanceId, JournalId};
use crate::runtime::ContainerRuntime;

/// Networks that every engine has, and on which containers do not find each other by name.
const NAMELESS: [&str; 3] = ["bridge", "host", "none"];

/// Where a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A container that runs, and the network on which it is met.
    Container { found: Box<Container>, network: String },
    /// A server.
    Address(IpAddr, u16),
}

/// What members of a plan reach outside, by the component whose place it takes.
pub(crate) type Outside = BTreeMap<ComponentName, Place>;

/// Finds what the members reach. Nothing is asked where they reach nothing.
pub(super) async fn find(runtime: &dyn ContainerRuntime, plan: &LaunchPlan) -> Result<Outside> {
    let reached = reached(&plan.spec, plan.members.iter());
    let found = reached.into_iter().map(|(name, target)| async move {
        locate(runtime, &plan.journal, target).await.map(|place| (name.clone(), place))
    });
    Ok(try_join_all(found).await?.into_iter().collect())
}

/// The targets that these components reach.
pub(crate) fn reached<'s>(
    spec: &'s EnvironmentSpec,
    members: impl Iterator<Item = &'s ComponentName>,
) -> BTreeMap<&'s ComponentName, &'s Target> {
    let components = members.filter_map(|name| spec.components.get(name));
    let names = components.flat_map(|component| spec.reaches(component).into_keys());
    names.map(|name| (name, &spec.targets[name])).collect()
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
    let found = match target {
        Target::Address { host, port } => {
            let mut addresses = tokio::net::lookup_host((host.as_str(), *port)).await.ok().into_iter().flatten();
            let address = addresses.next().ok_or_else(|| missing("has a host that is not known"))?;
            return Ok(Place::Address(address.ip(), *port));
        }
        Target::Component { environment, component } => {
            let uid = InstanceId::of_environment(journal, environment);
            let all = runtime.list(&Selector::environment(journal, &uid)).await?;
            all.into_iter().find(|container| container.component().as_ref() == Some(component))
        }
        Target::Container(name) => runtime.inspect(&ContainerId(name.clone())).await?,
    };
    let found = found.ok_or_else(|| missing("is not there"))?;
    if !found.is_running() {
        let message = format!("`{target}`, to which a link leads, does not run");
        return Err(Error::new(ErrorKind::ContainerExited, message).with_hint("start it first, or name another target"));
    }
    let network = found.networks.iter().find(|network| !NAMELESS.contains(&network.as_str())).cloned();
    let network = network.ok_or_else(|| missing("is on no network that was made for it"))?;
    Ok(Place::Container { found: Box::new(found), network })
}

impl LaunchPlan {
    /// Lets a component's container reach what it has outside, under the names that it knows.
    pub(super) fn reach(&self, name: &ComponentName, outside: &Outside, spec: &mut ContainerSpec) {
        for (other, aliases) in self.spec.reaches(&self.spec.components[name]) {
            match &outside[other] {
                Place::Address(ip, _) => {
                    spec.options.extra_hosts.extend(aliases.iter().map(|alias| format!("{alias}={ip}")));
                }
                Place::Container { found, network } => {
                    let links = aliases.iter().map(|alias| format!("{}:{alias}", found.name));
                    match spec.networks.iter_mut().find(|there| there.network == *network) {
                        Some(there) => there.links.extend(links),
                        None => {
                            let none: [&str; 0] = [];
                            let links = links.collect();
                            spec.networks.push(Attachment { links, ..Attachment::new(network.clone(), none) });
                        }
                    }
                }
            }
        }
    }
}
