//! Switching where a link of a running environment leads.
//!
//! ```text
//!   target answers ─▶ [requests are held] ─▶ other links ─▶ ready, and the name resolves ─▶ [they go on]
//!                                                 └─ fails ─▶ the old links
//! ```
//!
//! A component asks its own links first, so an alias never has two owners. The former owner of the alias is not
//! touched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

use super::history::EnvironmentAction;
use super::record::{Record, with_links};
use super::targets::ports_of;
use super::{Environment, Environments, UpOptions};
use crate::container::{Attachment, Container, ContainerId, ExecSpec};
use crate::environment::launch::{Place, container, meeting_network};
use crate::environment::{EnvironmentSpec, Plan, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName};

/// How long asking a container for an address may take.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(10);

/// How a link is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Switch {
    /// Components that use it are started anew, so that they keep no address of the former target and no connection to
    /// it.
    #[default]
    Restart,
    /// Components that use it run on. Their next look-up finds the new target. Open connections stay with the former
    /// one.
    Live,
}

/// The result of switching a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// What was done to the environment's components; empty if they went on running.
    pub plan: Plan,
    /// The components that use the link.
    pub users: BTreeSet<ComponentName>,
    /// Those in which the alias was looked up and led only to the target. The others have no command for a look-up.
    pub verified: BTreeSet<ComponentName>,
}

/// Lets clients of an environment wait while its links are switched.
#[async_trait]
pub trait TrafficGate: Send + Sync {
    /// Lets clients wait, and returns when none of their requests is in flight. If it fails, some may still wait: the
    /// caller lets them go on.
    async fn hold(&self) -> Result<()>;

    /// Lets them go on.
    async fn resume(&self) -> Result<()>;
}

/// What a link is to become.
struct Wanted<'a> {
    component: &'a ComponentName,
    place: Option<Place>,
    old: EnvironmentSpec,
    new: EnvironmentSpec,
    users: BTreeSet<ComponentName>,
}

impl Environments {
    /// Switches where links to a component lead. `None`: to the component itself again. The next [`up`](Self::up)
    /// restores what the file says.
    ///
    /// The target is tried first. If the components that use the link do not become ready with it, the old link is
    /// restored.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such environment, component or target, or nothing uses the
    /// component; [`NeverReady`](ErrorKind::NeverReady) if the target does not answer, or what uses it does not become
    /// ready; [`NotSupported`](ErrorKind::NotSupported) if the runtime, or this target, cannot be switched to live.
    pub async fn link(
        &self,
        name: &EnvironmentName,
        component: &ComponentName,
        target: Option<Target>,
        how: Switch,
        gate: Option<&dyn TrafficGate>,
    ) -> Result<Switched> {
        let _turn = self.locks.take(name).await?;
        self.mark_used(name);
        let environment = self.get(name).await?;
        let leads = target.as_ref().map_or_else(|| component.to_string(), Target::to_string);
        let (record, links, wanted) = self.wanted_link(name, &environment, component, target).await?;
        let next = Record { links, ..record.clone() };
        let held = match gate {
            Some(gate) => gate.hold().await,
            None => Ok(()),
        };
        let switched = match (held, how) {
            (Err(error), _) => Err(error),
            (Ok(()), Switch::Restart) => self.restart_with(name, &environment.components, &record, next, &wanted).await,
            (Ok(()), Switch::Live) => self.switch_live(name, &environment.components, &record, next, &wanted).await,
        };
        if let Some(gate) = gate
            && let Err(error) = gate.resume().await
        {
            // A hold ends by itself.
            tracing::warn!(environment = %name, %error, "clients wait for longer than they have to");
        }
        let change = format!("`{component}` leads to `{leads}`");
        self.tell(name, EnvironmentAction::Link, Some(&record), vec![change], switched.as_ref().err());
        switched
    }

    /// What [`link`](Self::link) would do with a restart. The target is tried.
    ///
    /// # Errors
    /// As [`link`](Self::link).
    pub async fn plan_link(
        &self,
        name: &EnvironmentName,
        component: &ComponentName,
        target: Option<Target>,
    ) -> Result<Plan> {
        let environment = self.get(name).await?;
        let (record, _, wanted) = self.wanted_link(name, &environment, component, target).await?;
        let options = with_images_of(&record, &environment.components);
        self.prepare(name, &wanted.new, &options).await.map(|prepared| prepared.plan)
    }

    /// The record, the links that are wanted, and what changes for this one.
    async fn wanted_link<'a>(
        &self,
        name: &EnvironmentName,
        environment: &Environment,
        component: &'a ComponentName,
        target: Option<Target>,
    ) -> Result<(Record, BTreeMap<ComponentName, Target>, Wanted<'a>)> {
        let (record, spec) = self.known(name)?;
        let users = users(&spec, component, environment.components.keys());
        if users.is_empty() {
            let message = format!("nothing in environment `{name}` uses `{component}`");
            return Err(Error::new(ErrorKind::NotFound, message)
                .with_hint("name a component that others list under `links` or `depends_on`"));
        }
        let mut links = record.links.clone();
        let place = match target {
            Some(target) => {
                let place = self.check_target(&target, ports_of(&spec, component)).await?;
                links.insert(component.clone(), target);
                Some(place)
            }
            None => {
                links.remove(component);
                None
            }
        };
        let (old, new) = (with_links(&spec, &record.links), with_links(&spec, &links));
        Ok((record, links, Wanted { component, place, old, new, users }))
    }

    /// Starts the components that use the link anew.
    async fn restart_with(
        &self,
        name: &EnvironmentName,
        containers: &BTreeMap<ComponentName, Container>,
        before: &Record,
        mut next: Record,
        wanted: &Wanted<'_>,
    ) -> Result<Switched> {
        let options = with_images_of(before, containers);
        let switched = async {
            let prepared = self.prepare(name, &wanted.new, &options).await?;
            next.generations.clone_from(&prepared.wanted.generations);
            self.put_record(name, before, &next)?;
            let up = self.carry_out(name, prepared, true, std::future::pending()).await?;
            // Components that were switched live have been made anew. So they are again what their labels say.
            self.put_record(name, &next, &Record { live: BTreeSet::new(), ..next.clone() })?;
            let verified = self.verify(&up.environment.components, wanted).await?;
            Ok(Switched { plan: up.plan, users: wanted.users.clone(), verified })
        };
        let error = match switched.await {
            Ok(switched) => return Ok(switched),
            Err(error) => error,
        };
        let back = async {
            let prepared = self.prepare(name, &wanted.old, &options).await?;
            self.carry_out(name, prepared, true, std::future::pending()).await?;
            let generations = next.generations.clone();
            self.put_record(name, &next, &Record { live: BTreeSet::new(), generations, ..before.clone() })
        };
        Err(and_back(error, back.await))
    }

    /// Connects running components to another network, under the same aliases.
    async fn switch_live(
        &self,
        name: &EnvironmentName,
        containers: &BTreeMap<ComponentName, Container>,
        before: &Record,
        mut next: Record,
        wanted: &Wanted<'_>,
    ) -> Result<Switched> {
        let from = match before.links.get(wanted.component) {
            Some(Target::Address { .. }) => return Err(not_live()),
            // It need not run any more: that may be why the link is switched.
            Some(target) => container(&*self.runtime, &self.journal, target).await?,
            None => None,
        };
        let from = from.and_then(|found| Some((found.name.clone(), meeting_network(&found)?)));
        let to = match &wanted.place {
            Some(Place::Address(..)) => return Err(not_live()),
            Some(Place::Container { found, network }) => Some((found.name.clone(), network.clone())),
            None => None,
        };
        next.live.extend(wanted.users.iter().cloned());
        let users: Vec<(&ComponentName, &Container)> =
            containers.iter().filter(|(name, it)| wanted.users.contains(*name) && it.is_running()).collect();
        let taken = users.iter().find(|(_, it)| {
            let own = |network: &String| {
                it.networks.contains(network) && from.as_ref().is_none_or(|(_, from)| from != network)
            };
            to.as_ref().is_some_and(|(_, network)| own(network))
        });
        if let Some((user, _)) = taken {
            let message = format!("`{user}` is on the target's network already, and would lose its address there");
            return Err(Error::new(ErrorKind::NotSupported, message).with_hint("switch it with a restart"));
        }
        self.put_record(name, before, &next)?;
        let switched = async {
            for (user, container) in &users {
                self.rejoin(container, from.as_ref(), to.as_ref(), &aliases(&wanted.new, user, wanted.component))
                    .await?;
            }
            self.verify(containers, wanted).await
        };
        let error = match switched.await {
            Ok(verified) => return Ok(Switched { plan: Plan::default(), users: wanted.users.clone(), verified }),
            Err(error) => error,
        };
        let back = async {
            for (user, container) in &users {
                self.rejoin(container, to.as_ref(), from.as_ref(), &aliases(&wanted.old, user, wanted.component))
                    .await?;
            }
            self.put_record(name, &next, before)
        };
        Err(and_back(error, back.await))
    }

    /// Leaves one network before it joins the other, so that an alias has one owner.
    async fn rejoin(
        &self,
        container: &Container,
        from: Option<&(String, String)>,
        to: Option<&(String, String)>,
        aliases: &BTreeSet<String>,
    ) -> Result<()> {
        if let Some((_, network)) = from {
            self.runtime.disconnect(&container.id, network).await?;
        }
        if let Some((target, network)) = to {
            let links = aliases.iter().map(|alias| format!("{target}:{alias}")).collect();
            let none: [&str; 0] = [];
            self.runtime
                .connect(&container.id, &Attachment { links, ..Attachment::new(network.clone(), none) })
                .await?;
        }
        Ok(())
    }

    /// Looks the alias up in the components that use it, if they have a command for it.
    async fn verify(
        &self,
        containers: &BTreeMap<ComponentName, Container>,
        wanted: &Wanted<'_>,
    ) -> Result<BTreeSet<ComponentName>> {
        let mut verified = BTreeSet::new();
        let was = containers.get(wanted.component).map(addresses).unwrap_or_default();
        for user in &wanted.users {
            let Some(container) = containers.get(user).filter(|container| container.is_running()) else { continue };
            for alias in aliases(&wanted.new, user, wanted.component) {
                let Some(found) = self.look_up(&container.id, &alias).await else { continue };
                let right = match &wanted.place {
                    Some(Place::Address(ip, _)) => found == BTreeSet::from([*ip]),
                    Some(Place::Container { .. }) => found.len() == 1 && found.is_disjoint(&was),
                    None => found.len() == 1,
                };
                if !right {
                    let found: Vec<String> = found.iter().map(IpAddr::to_string).collect();
                    let message = format!("within `{user}` the alias `{alias}` is found at `{}`", found.join("`, `"));
                    return Err(
                        Error::new(ErrorKind::NeverReady, message).with_hint("does another container have that alias?")
                    );
                }
                verified.insert(user.clone());
            }
        }
        Ok(verified)
    }

    /// The addresses that a name has within a container. `None`: the container has no command for a look-up.
    async fn look_up(&self, container: &ContainerId, name: &str) -> Option<BTreeSet<IpAddr>> {
        if !self.runtime.capabilities().exec {
            return None;
        }
        let command = ["getent", "ahosts", name].map(str::to_owned);
        let ran = self.runtime.exec(container, &ExecSpec::new(&command, LOOK_UP_LIMIT).for_people()).await.ok()?;
        // 2: the name was not found. 126 or 127: there is no such command, or it cannot be run.
        match ran.exit_code {
            0 => Some(
                ran.stdout_text().lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect(),
            ),
            2 => Some(BTreeSet::new()),
            _ => None,
        }
    }
}

/// The options of its last `up`, with the images that its containers have: switching a link does not bring newer ones.
fn with_images_of(record: &Record, containers: &BTreeMap<ComponentName, Container>) -> UpOptions {
    let mut options = record.options();
    let known = containers.iter().filter(|(_, container)| !container.image.is_empty());
    options.images.extend(known.map(|(name, container)| (name.clone(), container.image.clone())));
    options
}

/// The components that reach another, by a link or because they depend on it.
fn users<'c>(
    spec: &EnvironmentSpec,
    component: &ComponentName,
    there: impl Iterator<Item = &'c ComponentName>,
) -> BTreeSet<ComponentName> {
    there.filter(|user| !aliases(spec, user, component).is_empty()).cloned().collect()
}

/// The names under which `user` reaches `component`.
fn aliases(spec: &EnvironmentSpec, user: &ComponentName, component: &ComponentName) -> BTreeSet<String> {
    spec.components.get(user).and_then(|user| user.reaches().remove(component)).unwrap_or_default()
}

fn not_live() -> Error {
    Error::new(ErrorKind::NotSupported, "a `tcp://` target is written into a container when it is made, so it cannot be switched while the container runs")
        .with_hint("switch it with a restart")
}

fn addresses(container: &Container) -> BTreeSet<IpAddr> {
    container.addresses.values().map(|address| address.ip()).collect()
}

/// The error, with a note whether the old link was restored.
fn and_back(error: Error, back: Result<()>) -> Error {
    let (kind, tail) = (error.kind(), error.log_tail().to_vec());
    match back {
        Ok(()) => {
            let told = Error::new(kind, format!("{}; the old link was restored", error.message())).with_log_tail(tail);
            match error.hint() {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        }
        Err(back) => {
            Error::new(kind, format!("{}; and the old link could not be brought back: {back}", error.message()))
                .with_hint("bring the environment up again")
                .with_log_tail(tail)
        }
    }
}
