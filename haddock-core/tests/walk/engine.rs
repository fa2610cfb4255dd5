//! What a walk needs of an engine: a look at everything on it, data, and somebody who does things with containers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::Clock;
use haddock_core::container::ContainerId;
use haddock_core::environment::probe::Probing;
use haddock_core::runtime::ContainerRuntime;

use super::step::{Hand, Setup};

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Exited(i64),
    Other,
}

/// A container as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) state: State,
    /// When it was started.
    pub(crate) life: u64,
    /// The id of its image.
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    /// The value of the variable that walks edit.
    pub(crate) variable: Option<String>,
    /// Its volumes, by path.
    pub(crate) mounts: BTreeMap<String, String>,
    pub(crate) networks: BTreeSet<String>,
    /// Its ports on the host.
    pub(crate) ports: BTreeSet<u16>,
    /// What was written within it, and not in a volume.
    pub(crate) marks: BTreeSet<u32>,
}

impl Seen {
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

/// A volume as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenVolume {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) marks: BTreeSet<u32>,
}

/// A network as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenNetwork {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Everything on an engine that belongs to this walk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Look {
    pub(crate) containers: Vec<Seen>,
    pub(crate) volumes: BTreeMap<String, SeenVolume>,
    pub(crate) networks: BTreeMap<String, SeenNetwork>,
}

#[async_trait]
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    fn runtime(&self) -> Arc<dyn ContainerRuntime>;
    fn probing(&self) -> Arc<dyn Probing>;
    /// The clock of the engine.
    fn clock(&self) -> Arc<dyn Clock>;
    /// What an image of the walk is called here.
    fn image(&self, name: &str) -> String;
    /// The id that an image of the walk has here.
    fn image_id(&self, name: &str) -> String;
    /// The text before the number in the command of a component.
    fn run(&self) -> &'static str;
    /// The words of a health check that passes.
    fn check(&self) -> &'static str;
    /// Makes the things that belong to somebody else. `name`: the first environment's.
    async fn furnish(&self, setup: Setup, name: &str);
    async fn look(&self) -> Look;
    /// Writes a mark into these folders of a container; an empty one means the container's own.
    async fn write(&self, id: &ContainerId, marks: &[(String, u32)]);
    async fn hand(&self, hand: Hand, id: &ContainerId);
    /// Returns whether the network could be removed.
    async fn remove_network(&self, id: &str) -> bool;
    async fn restart_daemon(&self);
    /// Returns whether this engine can do it.
    async fn push(&self, image: &str) -> bool;
    async fn pass(&self, time: Duration);
}
