//! How often something was tried, and when it may be tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How often something was tried, and when it may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempt {
    /// How many there were.
    pub count: u32,
    /// The earliest time of the next one.
    pub retry_at: Timestamp,
}

impl Attempt {
    /// Whether another may begin.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        self.retry_at <= now
    }

    /// Counts a try that begins now. The next one waits for `first`, and each later one twice as long as the one
    /// before, but at most `longest`.
    pub fn begin(&mut self, now: Timestamp, first: Duration, longest: Duration) {
        let wait = first.saturating_mul(1 << self.count.min(16)).min(longest);
        self.count += 1;
        self.retry_at = now + wait;
    }
}
