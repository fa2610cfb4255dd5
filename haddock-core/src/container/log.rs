//! Lines of logs.

use serde::{Deserialize, Serialize};

use crate::name::ComponentName;
use crate::time::Timestamp;

/// Which lines of a container's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogQuery {
    /// How many of the last lines; `None`: all.
    pub tail: Option<usize>,
    /// Only lines that were written at this time or later.
    pub since: Option<Timestamp>,
    /// Whether further lines follow as they are written, until the container ends.
    pub follow: bool,
}

/// A line that a container has written, to standard output or error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written, if the runtime knows.
    pub at: Option<Timestamp>,
    /// Its text. Bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// A line of one of several components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentLine {
    /// The component that wrote it.
    pub component: ComponentName,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}
