//! Lines of logs.

use serde::{Deserialize, Serialize};

use crate::name::ComponentName;
use crate::time::Timestamp;

/// Which lines of a container's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogQuery {
    /// The last so many; `None`: all.
    pub tail: Option<usize>,
    /// Only those that were written then or later.
    pub since: Option<Timestamp>,
    /// And then each as it is written, until the container ends.
    pub follow: bool,
}

/// A line that a container has written, to standard output or error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, if the runtime knows.
    pub at: Option<Timestamp>,
    /// What. What is no UTF-8 is replaced.
    pub text: String,
}

/// A line of one of several components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentLine {
    /// Whose.
    pub component: ComponentName,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}
