//! What a locator records of its sessions, minute by minute.

use serde::{Deserialize, Serialize};

use super::Share;
use crate::name::InstanceId;
use crate::time::Timestamp;

/// A minute in which something changed on an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct TrafficMinute {
    /// When the minute begins.
    pub minute: Timestamp,
    /// The instance.
    pub instance: InstanceId,
    /// The share that it was asked to have at the end of the minute; `None`: it was not listed.
    pub share: Option<Share>,
    /// Sessions that began on it.
    pub begun: u64,
    /// Sessions on it that expired or were evicted.
    pub ended: u64,
    /// Sessions whose first failed request was in this minute, whenever they began.
    pub failed: u64,
    /// Live sessions at the end of the minute; `None`: unknown.
    pub live: Option<u64>,
}

/// A time of which nothing was recorded, such as while the locator did not run. What happened then is unknown, and not
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct TrafficGap {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

/// What was recorded of a service in some time.
///
/// An instance has a row for each minute in which something changed. If a minute outside the gaps has no row, nothing
/// began, ended or failed in it, and share and live sessions are those of the row before. So that nobody has to ask for
/// more, the first minute has a row for each instance that has a share or sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct TrafficRecord {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it: what was asked for, or the present.
    pub until: Timestamp,
    /// The rows, by minute and then by instance.
    pub minutes: Vec<TrafficMinute>,
    /// The times of which nothing was recorded, in order.
    pub gaps: Vec<TrafficGap>,
}

impl TrafficRecord {
    /// Whether anything at all was recorded.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.gaps.as_slice(), [gap] if gap.from <= self.from && gap.to >= self.until)
    }

    /// Adds the record of the time that follows.
    #[cfg(feature = "gateway")]
    pub(crate) fn join(&mut self, next: Self) {
        self.minutes.extend(next.minutes);
        for gap in next.gaps {
            match self.gaps.last_mut() {
                Some(before) if before.to == gap.from => before.to = gap.to,
                _ => self.gaps.push(gap),
            }
        }
        self.until = next.until;
    }
}
