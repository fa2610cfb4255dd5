//! What a step is given to look at.

use std::collections::BTreeMap;

use super::action::Task;
use super::request::Request;
use crate::container::{Container, Incarnation};
use crate::error::Error;
use crate::locator::LocatorCapabilities;
use crate::name::{ComponentName, InstanceId, LocatorName};
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
        /// When the reading began. It cannot show what happened after. No step is given a reading that began before
        /// one that an earlier step of the same controller was given.
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observation {
    /// Requests that no step has taken up, oldest first.
    pub requests: Vec<Request>,
    /// Every container with our journal's label, whatever its service.
    pub containers: Reading<Vec<Container>>,
    /// The last verdict of the readiness probe of an instance. Missing: not known.
    pub probes: BTreeMap<InstanceId, Probed>,
    /// The service's locators; at least one.
    pub locators: BTreeMap<LocatorName, LocatorView>,
    /// What is being carried out by this controller, and how the last one of each ended.
    pub tasks: BTreeMap<Task, TaskReport>,
}

/// What the last readiness probe of an instance said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The life of its entry that was probed; `None` of an external instance, of whose lives nothing is known.
    pub life: Option<Incarnation>,
    /// Why it failed; `None`: it passed.
    pub failure: Option<String>,
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
    /// It has ended; a time-out is an end too.
    Ended {
        /// When it was started.
        began: Timestamp,
        /// When it ended.
        at: Timestamp,
        /// How.
        result: Result<TaskResult, Error>,
    },
}

/// What came of a task that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskResult {
    /// Nothing to tell beyond what the next observation shows.
    Done,
    /// The images, by digest.
    Pulled(BTreeMap<ComponentName, String>),
    /// What it said: the last lines.
    Said(Vec<String>),
}

impl TaskResult {
    /// What it said, if it was to say anything.
    #[must_use]
    pub fn said(&self) -> &[String] {
        match self {
            Self::Said(lines) => lines,
            Self::Done | Self::Pulled(_) => &[],
        }
    }
}
