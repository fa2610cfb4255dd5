//! Actions: what a step wants to be done.

use serde::{Deserialize, Serialize};

use super::state::Notification;
use crate::name::{InstanceId, LocatorName, VersionId};
use crate::routing::{FencingToken, RoutingTable};
use crate::settings::Hook;
use crate::time::Timestamp;

/// Something to do. Each action is idempotent. It may be carried out twice, late or never, and relies on no other
/// action of its step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Bring the version's images to the host and pin them. Its result is [`TaskResult::Pulled`](super::TaskResult).
    Pull {
        /// The version.
        version: VersionId,
    },
    /// Run what runs before the version, and wait until it has ended. Its result is
    /// [`TaskResult::Said`](super::TaskResult).
    Before {
        /// The version.
        version: VersionId,
        /// The environment that it runs in, by itself.
        instance: InstanceId,
        /// When to give up.
        end_by: Timestamp,
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
        number: FencingToken,
    },
    /// Close an instance although sessions may be left on it.
    Evict {
        /// Where.
        locator: LocatorName,
        /// The instance.
        instance: InstanceId,
        /// The number of the decision.
        number: FencingToken,
    },
    /// Stop and remove the instance's containers and network.
    Stop {
        /// The instance.
        instance: InstanceId,
    },
    /// Stop and remove containers of our journal that no state knows, or that ran before a version.
    RemoveStray {
        /// The environment that they are labelled with.
        instance: InstanceId,
    },
    /// Run a hook within the instance. Its result is [`TaskResult::Said`](super::TaskResult).
    Hook {
        /// The instance.
        instance: InstanceId,
        /// Which.
        hook: Hook,
        /// The number of the commit that wanted it. Together with the instance it identifies this run of the hook.
        number: FencingToken,
    },
    /// Ask the gate of a stage whether the ramp may go on. Its result is
    /// [`TaskResult::Answered`](super::TaskResult).
    Gate {
        /// The candidate.
        version: VersionId,
        /// The stage, from 0.
        stage: usize,
        /// The number of the commit that wanted it. It identifies this question.
        number: FencingToken,
    },
    /// Tell a receiver what has happened.
    Notify {
        /// Who, and what.
        notification: Box<Notification>,
    },
}

impl Action {
    /// The task that carries it out.
    #[must_use]
    pub fn task(&self) -> Task {
        match self {
            Self::Pull { version } => Task::Pull(*version),
            Self::Before { instance, .. } | Self::Launch { instance, .. } => Task::Launch(instance.clone()),
            Self::Apply { locator, .. } => Task::Apply(locator.clone()),
            Self::Close { locator, instance, .. } => Task::Close(locator.clone(), instance.clone()),
            Self::Evict { locator, instance, .. } => Task::Evict(locator.clone(), instance.clone()),
            Self::Stop { instance } | Self::RemoveStray { instance } => Task::Stop(instance.clone()),
            Self::Hook { instance, number, .. } => Task::Hook(instance.clone(), *number),
            Self::Gate { number, .. } => Task::Gate(*number),
            Self::Notify { notification } => Task::Notify(notification.id()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pull { .. } => "pull",
            Self::Before { .. } => "before",
            Self::Launch { .. } => "launch",
            Self::Apply { .. } => "apply",
            Self::Close { .. } => "close",
            Self::Evict { .. } => "evict",
            Self::Stop { .. } => "stop",
            Self::RemoveStray { .. } => "remove_stray",
            Self::Hook { .. } => "hook",
            Self::Gate { .. } => "gate",
            Self::Notify { .. } => "notify",
        }
    }
}

/// Something that is being carried out. Only one of each runs at a time. This does not hold for calls to locators,
/// which numbers keep in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Task {
    /// A [`Action::Pull`].
    Pull(VersionId),
    /// A [`Action::Launch`] or [`Action::Before`].
    Launch(InstanceId),
    /// A [`Action::Apply`].
    Apply(LocatorName),
    /// A [`Action::Close`].
    Close(LocatorName, InstanceId),
    /// A [`Action::Evict`].
    Evict(LocatorName, InstanceId),
    /// A [`Action::Stop`] or [`Action::RemoveStray`].
    Stop(InstanceId),
    /// A [`Action::Hook`].
    Hook(InstanceId, FencingToken),
    /// A [`Action::Gate`].
    Gate(FencingToken),
    /// A [`Action::Notify`], of the [notification](Notification::id) of that id.
    Notify((FencingToken, usize, usize)),
}
