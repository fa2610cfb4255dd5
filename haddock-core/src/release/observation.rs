//! The observation: everything that a step looks at.

use std::collections::BTreeMap;

use super::action::Task;
use super::request::Request;
use crate::container::{Container, Incarnation};
use crate::error::Error;
use crate::name::{ComponentName, InstanceId, LocatorName};
use crate::routing::LocatorCapabilities;
use crate::routing::LocatorReport;
use crate::time::Timestamp;

/// Something that was read, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Reading<T> {
    /// It could not be read. Not empty, not gone: unknown.
    #[default]
    Unknown,
    /// It was read.
    Known {
        /// When the reading began. It cannot show what happened after that. Each step of a controller gets only
        /// readings that began no earlier than those of the steps before.
        began: Timestamp,
        /// What was read.
        value: T,
    },
}

impl<T> Reading<T> {
    /// What was read, if it could be.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Unknown => None,
            Self::Known { value, .. } => Some(value),
        }
    }
}

/// All that a step looks at.
///
/// An instance becomes ready when the [task](Self::tasks) that launches it ends well. This task waits until the
/// readiness probe has passed. The [probes](Self::probes) show how an instance is after that. An adopted server has no
/// launch, so only its probe shows that it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observation {
    /// Requests that no step has taken up, oldest first.
    pub requests: Vec<Request>,
    /// Every container with our journal's label, whatever its service.
    pub containers: Reading<Vec<Container>>,
    /// The last verdict of the readiness probe of each instance. If there is none, it is not known. What a probe said
    /// between two looks is not seen, so a step cannot count failures.
    pub probes: BTreeMap<InstanceId, Probed>,
    /// What the application of each draining instance last said of its sessions, if its settings
    /// [ask](crate::environment::CountSettings) for that. If there is nothing, it has not been asked yet.
    pub counts: BTreeMap<InstanceId, Counted>,
    /// The service's locators; at least one.
    pub locators: BTreeMap<LocatorName, LocatorView>,
    /// The tasks of this controller: those that are being carried out, and how the last one of each ended.
    pub tasks: BTreeMap<Task, TaskReport>,
}

/// What the last readiness probe of an instance said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The incarnation of its entry that was probed. `None` for an adopted server, because none is known.
    pub incarnation: Option<Incarnation>,
    /// Why it failed; `None`: it passed.
    pub failure: Option<String>,
}

/// What the application of an instance said of its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// When it was asked. It cannot know what happened after that.
    pub began: Timestamp,
    /// How many it has, or why nobody can say. Unknown is never none.
    pub sessions: Result<u64, String>,
}

/// A locator as seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatorView {
    /// What it can do.
    pub capabilities: LocatorCapabilities,
    /// Its figures.
    pub report: Reading<LocatorReport>,
}

/// What has become of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskReport {
    /// It goes on.
    Running,
    /// It has ended. A time-out is an end, too.
    Ended {
        /// When it was started.
        began: Timestamp,
        /// When it ended.
        at: Timestamp,
        /// How.
        result: Result<TaskResult, Error>,
    },
}

/// The result of a task that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskResult {
    /// There is nothing to report. The next observation shows the effect.
    Done,
    /// The images, by digest.
    Pulled(BTreeMap<ComponentName, String>),
    /// The last lines of its output.
    Said(Vec<String>),
    /// What a gate has answered, and the last lines of its output.
    Answered(GateAnswer, Vec<String>),
}

/// The answer of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateAnswer {
    /// The ramp goes on.
    Go,
    /// The stage lasts on, and the gate is asked again.
    Wait,
    /// The release is aborted, for this reason.
    Stop(String),
}

impl TaskResult {
    /// Its output, if this kind of task has any.
    #[must_use]
    pub fn said(&self) -> &[String] {
        match self {
            Self::Said(lines) | Self::Answered(_, lines) => lines,
            Self::Done | Self::Pulled(_) => &[],
        }
    }
}
