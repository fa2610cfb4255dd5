//! Environments by name: for tests, for a look, any number side by side.
//!
//! ```text
//!   file ─▶ specification ─┐
//!                          ├─▶ Plan (pure) ─▶ remove ─▶ launch ─▶ ready
//!   engine ─▶ containers ──┘
//! ```
//!
//! What there is, is read from the engine each time, by the labels that say whose it is. What is known beyond that (the file,
//! the commit, who asked) is in a record beside the specifications; without it everything works, and less is told. An
//! [`up`](Environments::up) that was killed is finished by the next, and a second one finds nothing to do. Of two at once
//! for one name, one waits for the other.

mod claims;
mod compare;
mod history;
mod inside;
mod link;
mod linked;
mod lock;
mod monitor;
mod ready;
mod record;
mod room;
mod targets;
mod up;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

pub use self::history::{EnvironmentAction, EnvironmentEvent};
pub use self::link::{Switch, Switched, TrafficGate};
use self::lock::Locks;
pub(crate) use self::monitor::Users;
pub use self::monitor::{Claim, Pruned};
use self::record::Record;
pub use self::record::TestedEnvironment;
pub use self::up::{Up, UpOptions};
use super::launch::teardown;
use super::probe::Probing;
use super::store::SpecStore;
use crate::container::{Container, ContainerState, Selector, label};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName, InstanceId, JournalId};
use crate::runtime::ContainerRuntime;
use crate::time::{Clock, SystemClock, Timestamp};

/// The environments of a journal on a runtime. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Environments {
    runtime: Arc<dyn ContainerRuntime>,
    journal: JournalId,
    specs: SpecStore,
    probing: Arc<dyn Probing>,
    locks: Arc<Locks>,
    /// Who acts here, for the history.
    holder: String,
    /// Instead of the machine's clock.
    clock: Option<Arc<dyn Clock>>,
}

/// An environment as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// Its components' containers.
    pub components: BTreeMap<ComponentName, Container>,
    /// Who asked for it, where that is known.
    pub by: Option<String>,
    /// From which VCS commit.
    pub commit: Option<String>,
    /// From which compose file.
    pub file: Option<String>,
}

impl Environment {
    /// Where a port of a component is reached from this machine: on the host, if it is published there, else at the
    /// container itself.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such component or port, or it does not run.
    pub fn address(&self, component: &str, port: u16) -> Result<SocketAddr> {
        let name = &self.name;
        let not_found = |message: String, hint: String| Error::new(ErrorKind::NotFound, message).with_hint(hint);
        let Some(container) = self.components.get(component) else {
            let known: Vec<&str> = self.components.keys().map(ComponentName::as_str).collect();
            let message = format!("environment `{name}` has no component `{component}`");
            return Err(not_found(message, format!("it has `{}`", known.join("`, `"))));
        };
        if !container.is_running() {
            let why = match container.state {
                ContainerState::Paused => "is paused",
                _ => "does not run",
            };
            let message = format!("component `{component}` of environment `{name}` {why}");
            return Err(not_found(message, "bring it up again".to_owned()));
        }
        let address = container.published.get(&port).or_else(|| container.addresses.get(&port));
        address.copied().ok_or_else(|| {
            let known: BTreeSet<u16> = container.addresses.keys().chain(container.published.keys()).copied().collect();
            let known: Vec<String> = known.iter().map(u16::to_string).collect();
            let message = format!("component `{component}` of environment `{name}` has no port {port}");
            let has = match known.as_slice() {
                [] => "it has no ports".to_owned(),
                known => format!("its ports are {}", known.join(", ")),
            };
            not_found(message, format!("{has}; list others under `expose` or `ports` in the compose file"))
        })
    }
}

impl Environments {
    /// The environments of that journal. Beside the specifications lie the locks.
    #[must_use]
    pub fn new(
        runtime: Arc<dyn ContainerRuntime>,
        journal: JournalId,
        specs: SpecStore,
        probing: Arc<dyn Probing>,
    ) -> Self {
        let locks = Arc::new(Locks::new(specs.folder()));
        Self { runtime, journal, specs, probing, locks, holder: String::new(), clock: None }
    }

    /// The same, and in their history it says that it was this one who did things with them.
    #[must_use]
    pub fn by(mut self, holder: impl Into<String>) -> Self {
        self.holder = holder.into();
        self
    }

    /// The same, by another clock than the machine's: for simulations.
    #[must_use]
    pub fn at(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// What carries the labels of the environment of that name.
    fn selector(&self, name: &EnvironmentName) -> Selector {
        Selector::environment(&self.journal, &InstanceId::of_environment(&self.journal, name))
    }

    async fn containers_of(&self, name: &EnvironmentName) -> Result<Vec<Container>> {
        self.runtime.list(&self.selector(name)).await
    }

    /// The machine's clock is read anew each time, since other processes write times down, too, and since one that was
    /// read before a laptop slept would be late.
    fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or_else(|| SystemClock::new().now(), |clock| clock.now())
    }

    /// Stops and removes the environment; its volumes only if told to. One that is not there is no error: it answers
    /// whether there was one.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy), before anything is touched, if instances of a service share it or others use it; the
    /// runtime's: all that can be removed is removed all the same.
    pub async fn down(&self, name: &EnvironmentName, volumes: bool) -> Result<bool> {
        let _turn = self.locks.take(name).await?;
        self.down_in_turn(name, volumes).await
    }

    /// Who calls this has the turn.
    async fn down_in_turn(&self, name: &EnvironmentName, volumes: bool) -> Result<bool> {
        self.refuse_what_serves(name).await?;
        self.refuse_what_is_used(name).await?;
        let uid = InstanceId::of_environment(&self.journal, name);
        let selector = Selector::environment(&self.journal, &uid);
        let record = self.record(name).unwrap_or_default();
        let gone = teardown(&*self.runtime, &self.journal, &uid).await;
        if gone.as_ref().map_or(record.is_some(), |there| *there) {
            self.tell(name, EnvironmentAction::Down, record.as_ref(), Vec::new(), gone.as_ref().err());
        }
        let there = gone?;
        self.forget(name);
        let kept = self.runtime.volumes(&selector).await?;
        if volumes {
            for volume in &kept {
                self.runtime.remove_volume(&volume.name).await?;
            }
        }
        if volumes || kept.is_empty() {
            self.forget_origin(name);
        }
        Ok(there || (volumes && !kept.is_empty()))
    }

    /// The names of its volumes, in order: what [`down`](Self::down) removes if told to, and leaves else.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn volumes(&self, name: &EnvironmentName) -> Result<BTreeSet<String>> {
        let volumes = self.runtime.volumes(&self.selector(name)).await?;
        Ok(volumes.into_iter().map(|volume| volume.name).collect())
    }

    /// What instances share goes only after the last of them.
    async fn refuse_what_serves(&self, name: &EnvironmentName) -> Result<()> {
        let Some(service) = self.serves(name)? else { return Ok(()) };
        match self.instance_of(&service).await? {
            None => Ok(()),
            Some(instance) => {
                let message =
                    format!("environment `{name}` is what instances of `{service}` share, such as `{instance}`");
                Err(Error::new(ErrorKind::Busy, message)
                    .with_hint(format!("retire the service first: `haddock retire {service}`")))
            }
        }
    }

    /// The environments that there are, by name.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn list(&self) -> Result<Vec<Environment>> {
        let mut all: BTreeMap<EnvironmentName, Vec<Container>> = BTreeMap::new();
        for container in self.runtime.list(&Selector::journal(&self.journal)).await? {
            if let Some(name) = container.labels.get(label::NAME).and_then(|name| EnvironmentName::new(name).ok()) {
                all.entry(name).or_default().push(container);
            }
        }
        all.into_iter().map(|(name, containers)| self.described(name, containers)).collect()
    }

    /// The environment of that name.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none, and the runtime's.
    pub async fn get(&self, name: &EnvironmentName) -> Result<Environment> {
        let containers = self.containers_of(name).await?;
        if containers.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no environment `{name}`"))
                .with_hint("bring it up first, or look which there are"));
        }
        self.described(name.clone(), containers)
    }
}
