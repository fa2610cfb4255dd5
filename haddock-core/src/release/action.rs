//! What a step wants done.

use serde::{Deserialize, Serialize};

use crate::name::{InstanceId, LocatorName, VersionId};
use crate::routing::{Number, RoutingTable};
use crate::time::Timestamp;

/// Something to do. Each is idempotent, may be carried out twice, late or never, and relies on no other of its step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Bring the version's images to the host and pin them. Its result is [`TaskResult::Pulled`](super::TaskResult).
    Pull {
        /// The version.
        version: VersionId,
    },
    /// Create, start and probe the instance's containers until it is ready.
    Launch {
        /// The instance.
        instance: InstanceId,
        /// When to give up.
        ready_by: Timestamp,
    },
    /// Put a routing table into force.
    Apply {
        /// Where.
        locator: LocatorName,
        /// The table.
        table: RoutingTable,
    },
    /// Close a drained instance.
    Close {
        /// Where.
        locator: LocatorName,
        /// The instance.
        instance: InstanceId,
        /// The number of the decision.
        number: Number,
    },
    /// Close an instance although sessions may be left on it.
    Evict {
        /// Where.
        locator: LocatorName,
        /// The instance.
        instance: InstanceId,
        /// The number of the decision.
        number: Number,
    },
    /// Stop and remove the instance's containers and network.
    Stop {
        /// The instance.
        instance: InstanceId,
    },
    /// Stop and remove containers of our journal that no state knows.
    RemoveStray {
        /// The environment that they are labelled with.
        instance: InstanceId,
    },
}

impl Action {
    /// The task that carries it out.
    #[must_use]
    pub fn task(&self) -> Task {
        match self {
            Self::Pull { version } => Task::Pull(*version),
            Self::Launch { instance, .. } => Task::Launch(instance.clone()),
            Self::Apply { locator, .. } => Task::Apply(locator.clone()),
            Self::Close { locator, instance, .. } => Task::Close(locator.clone(), instance.clone()),
            Self::Evict { locator, instance, .. } => Task::Evict(locator.clone(), instance.clone()),
            Self::Stop { instance } | Self::RemoveStray { instance } => Task::Stop(instance.clone()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pull { .. } => "pull",
            Self::Launch { .. } => "launch",
            Self::Apply { .. } => "apply",
            Self::Close { .. } => "close",
            Self::Evict { .. } => "evict",
            Self::Stop { .. } => "stop",
            Self::RemoveStray { .. } => "remove_stray",
        }
    }
}

/// What is being carried out: at most one of each at a time, but for those on locators, which numbers keep in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// A [`Action::Pull`].
    Pull(VersionId),
    /// A [`Action::Launch`].
    Launch(InstanceId),
    /// A [`Action::Apply`].
    Apply(LocatorName),
    /// A [`Action::Close`].
    Close(LocatorName, InstanceId),
    /// A [`Action::Evict`].
    Evict(LocatorName, InstanceId),
    /// A [`Action::Stop`] or [`Action::RemoveStray`].
    Stop(InstanceId),
}
