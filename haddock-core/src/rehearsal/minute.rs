//! A row of recorded traffic.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What happened in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// When it began.
    pub minute: Timestamp,
    /// Sessions that began in it.
    pub begun: u64,
    /// Sessions that expired in it.
    #[serde(default)]
    pub ended: u64,
    /// Sessions of those that began in it that had a failed request.
    #[serde(default)]
    pub failed: u64,
}

/// A minute in milliseconds.
pub(super) const MINUTE: u64 = 60_000;
