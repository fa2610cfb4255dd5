//! Containers and networks as a runtime describes them, and the labels that say to whom they belong.

mod created;
mod exec;
mod identity;
mod labels;
mod log;
mod options;
mod spec;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::name::{ComponentName, InstanceId, JournalId};
use crate::time::Timestamp;

pub use exec::{AttachSpec, ExecSpec, Executed, Output, OutputStream, TerminalSize};
pub use identity::Identity;
pub use log::{ComponentLine, LogLine, LogQuery};
pub use options::{
    BlockIo, Bytes, ContainerOptions, Cpus, Device, DeviceRate, DeviceRequest, DeviceWeight, Limits, Logging,
    Reservations, Resources, Ulimit,
};
pub use spec::{
    Attachment, BindOptions, ContainerSpec, Endpoint, HealthCheck, ImageOptions, InjectedFile, Mount, MountKind,
    NetworkMode, NetworkSpec, Protocol, PublishedPort, PullOptions, PullWhen, RestartPolicy, Subnet, TmpfsOptions,
    VolumeOptions, VolumeSpec,
};

/// The labels that Haddock puts on everything that it makes. Only Haddock uses them.
pub mod label {
    /// The id of the journal that the thing belongs to.
    pub const JOURNAL: &str = "haddock.journal";
    /// The uid of the environment.
    pub const ENVIRONMENT: &str = "haddock.environment";
    /// The component, on containers.
    pub const COMPONENT: &str = "haddock.component";
    /// The epoch under which the thing was made.
    pub const EPOCH: &str = "haddock.epoch";
    /// The digest of the specification it was made from.
    pub const SPEC: &str = "haddock.spec";
    /// The environment's name, if it is not an instance of a service.
    pub const NAME: &str = "haddock.name";
    /// On containers: how many starts come before its own. Components that need others are stopped before those.
    pub const RANK: &str = "haddock.rank";
    /// On containers: how long a stop waits before it kills, in milliseconds, if the component says so.
    pub const GRACE: &str = "haddock.grace";
    /// Who asked for the environment. Like [`COMMIT`] and [`FILE`], it is no longer written, and read only if there is
    /// no record.
    pub const BY: &str = "haddock.by";
    /// On volumes for which neither the file nor the image has a name: the path at which they are mounted.
    pub const ANONYMOUS: &str = "haddock.anonymous";
    /// From which VCS commit it was made, with `-dirty` if there were changes.
    pub const COMMIT: &str = "haddock.commit";
    /// The compose file it was made from.
    pub const FILE: &str = "haddock.file";
}

/// A text that must not be shown: the value of an environment variable, or a secret.
///
/// `Debug`, `Display` and serialisation show `***`. Read it with [`expose`](Sensitive::expose), where it is used.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sensitive(String);

impl Sensitive {
    /// Hides the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Do not log it, and do not put it into an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Sensitive {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// The runtime's id of a container.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One life of a container: its id and when it was started. Another start is another incarnation, and the sessions
/// of the former are lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation {
    /// The container.
    pub container: ContainerId,
    /// When it was started, as the runtime says it, in nanoseconds since the Unix epoch.
    pub started: u64,
}

/// What a container is doing, in the words of the engines.
///
/// What each state means for an environment and for an instance of a service:
///
/// | state | `up` | `down` | `ps`, `diff` | [probes](crate::runtime::probe), `address` | idle | an instance of a service |
/// |---|---|---|---|---|---|---|
/// | created | starts it | removes it | `diff` tells it | not reached | not in use | is not there yet |
/// | running | keeps it | stops and removes it | as it should be | reached | looked at | runs |
/// | paused | lets it go on | stops and removes it | `diff` tells it | does not answer; `address` says why | not in use, and stopped when its time has come | is unresponsive |
/// | restarting | waits for it | stops and removes it | `diff` tells it | not reached | not in use, and stopped when its time has come | has failed: restarts within an instance are ours |
/// | removing | waits, and makes it anew | waits | `diff` tells it | not reached | not in use | has failed |
/// | exited | starts the same container again, unless it has done its work | removes it | `diff` tells it, unless it has done its work | not reached | not in use | has failed, unless it has done its work |
/// | dead | removes it, and makes it anew | removes it | `diff` tells it | not reached | not in use | has failed |
///
/// A component has done its work if it ended with exit code 0 and nothing says that it should still run: it has no
/// ports, no health check and no restart policy, no component needs it running, and it had ended before the last `up`
/// had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContainerState {
    /// Created, and never started.
    Created,
    /// Running.
    Running,
    /// Its processes exist, but get no processor time until somebody unpauses it.
    Paused,
    /// Its process has ended, and its engine is about to start it again, as its restart policy says.
    Restarting {
        /// The exit code with which it ended last.
        code: i64,
    },
    /// Its process has ended.
    Exited {
        /// The exit code; 137 for SIGKILL, 143 for SIGTERM.
        code: i64,
        /// Whether the kernel killed it for want of memory.
        out_of_memory: bool,
    },
    /// It is being removed: it cannot be started, and is not gone yet.
    Removing,
    /// Its engine could not remove it, and has to be asked again.
    Dead,
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("never started"),
            Self::Running => f.write_str("running"),
            Self::Paused => f.write_str("paused"),
            Self::Restarting { code } => write!(f, "restarted again and again, last after exit code {code}"),
            Self::Exited { out_of_memory: true, .. } => f.write_str("killed for want of memory"),
            Self::Exited { code, .. } => write!(f, "ended with exit code {code}"),
            Self::Removing => f.write_str("being removed"),
            Self::Dead => f.write_str("dead: its engine could not remove it"),
        }
    }
}

/// What a component's own health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Health {
    /// It has none.
    None,
    /// No verdict yet.
    Starting,
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
}

/// A container as its runtime describes it. `Debug` shows only Haddock's own labels, because others may hold the values
/// of variables.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// Its name, without a leading slash.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub state: ContainerState,
    /// When it was last started, in nanoseconds since the Unix epoch; zero if never.
    pub started: u64,
    /// What its health check says.
    pub health: Health,
    /// For each exposed TCP port, the address at which the locator and our probes reach it. Empty unless the container
    /// runs or is paused.
    pub addresses: BTreeMap<u16, SocketAddr>,
    /// For each published TCP port, its address on the host. Empty unless the container runs or is paused.
    #[serde(default)]
    pub published: BTreeMap<u16, SocketAddr>,
    /// The id of the image that it was made from; empty where the runtime does not say.
    #[serde(default)]
    pub image: String,
    /// The names of the networks that it is on.
    #[serde(default)]
    pub networks: Vec<String>,
    /// For networks that somebody made, their ids by name, if the runtime tells them. A container that is started again
    /// joins the network of this id, and no other one of its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub network_ids: BTreeMap<String, String>,
}

impl Container {
    /// Whether it carries this journal's label.
    #[must_use]
    pub fn belongs_to(&self, journal: &JournalId) -> bool {
        self.labels.get(label::JOURNAL).map(String::as_str) == Some(journal.as_str())
    }

    /// The environment that its label names.
    #[must_use]
    pub fn instance(&self) -> Option<InstanceId> {
        self.labels.get(label::ENVIRONMENT).and_then(|uid| InstanceId::new(uid).ok())
    }

    /// The component that its label names.
    #[must_use]
    pub fn component(&self) -> Option<ComponentName> {
        self.labels.get(label::COMPONENT).and_then(|name| ComponentName::new(name).ok())
    }

    /// Whether its label names this component.
    #[must_use]
    pub fn is_of(&self, component: &ComponentName) -> bool {
        self.labels.get(label::COMPONENT).map(String::as_str) == Some(component.as_str())
    }

    /// The epoch that its label names; 0 without one.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.labels.get(label::EPOCH).and_then(|epoch| epoch.parse().ok()).unwrap_or(0)
    }

    /// This life of it.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        Incarnation { container: self.id.clone(), started: self.started }
    }

    /// Whether this life of it is that one.
    #[must_use]
    pub fn is_incarnation(&self, other: &Incarnation) -> bool {
        self.id == other.container && self.started == other.started
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// Whether it has to be stopped before it is removed: it runs, is paused, or is about to be started again.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.state, ContainerState::Running | ContainerState::Paused | ContainerState::Restarting { .. })
    }

    /// Whether it has done its work: it ended by itself, with exit code 0.
    #[must_use]
    pub fn has_succeeded(&self) -> bool {
        matches!(self.state, ContainerState::Exited { code: 0, .. })
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, labels, state, started, health, addresses, published, image, networks, network_ids } =
            self;
        f.debug_struct("Container")
            .field("id", id)
            .field("name", name)
            .field("labels", &Ours(labels))
            .field("state", state)
            .field("started", started)
            .field("health", health)
            .field("addresses", addresses)
            .field("published", published)
            .field("image", image)
            .field("networks", networks)
            .field("network_ids", network_ids)
            .finish()
    }
}

/// Labels for `Debug`, without users' labels.
struct Ours<'l>(&'l BTreeMap<String, String>);

impl fmt::Debug for Ours<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().filter(|(name, _)| name.starts_with("haddock."))).finish()
    }
}

/// A network as its runtime describes it. `Debug` shows no labels but Haddock's own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its subnet, if the runtime has subnets.
    pub subnet: Option<IpNet>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, labels, subnet } = self;
        let mut network = f.debug_struct("Network");
        network.field("id", id).field("name", name).field("labels", &Ours(labels)).field("subnet", subnet).finish()
    }
}

/// A volume as its runtime describes it. `Debug` shows no labels but Haddock's own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume").field("name", &self.name).field("labels", &Ours(&self.labels)).finish()
    }
}

/// What a container has used since it was started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, in nanoseconds.
    pub cpu: u64,
    /// Bytes that came over its networks.
    pub received: u64,
    /// Bytes that it sent over its networks.
    pub sent: u64,
    /// The addresses of callers: the other ends of established connections to it; `None`: not known.
    pub callers: Option<Vec<IpAddr>>,
    /// The ids of commands that run within it besides its own.
    pub commands: Vec<String>,
    /// The part of the recent time, in thousandths, in which the engine's health check ran. The check itself used no
    /// larger part of a processor.
    pub checking: u64,
}

/// Labels that a thing must carry, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selector(pub BTreeMap<String, String>);

impl Selector {
    /// Everything of this journal.
    #[must_use]
    pub fn journal(journal: &JournalId) -> Self {
        Self(BTreeMap::from([(label::JOURNAL.into(), journal.to_string())]))
    }

    /// Everything of one environment of this journal.
    #[must_use]
    pub fn environment(journal: &JournalId, uid: &InstanceId) -> Self {
        let mut selector = Self::journal(journal);
        selector.0.insert(label::ENVIRONMENT.into(), uid.to_string());
        selector
    }

    /// Whether these labels have everything that it asks for. We call it ourselves, too: an engine that ignores label
    /// filters must not make us touch what is not ours.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeEvent {
    /// The container.
    pub container: ContainerId,
    /// What happened, in the runtime's words: `start`, `die`, `destroy` …
    pub action: String,
    /// When it was seen.
    pub at: Timestamp,
}
