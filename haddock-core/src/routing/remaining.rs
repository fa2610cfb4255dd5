//! What holds an instance that drains, and when it will be over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;
use crate::time::Timestamp;

/// The sessions that are left on an instance, and when they end by themselves.
///
/// A session ends by itself when nobody has used it for [`SessionPolicy::idle`](super::SessionPolicy::idle). It ends later if
/// somebody comes back.
///
/// ```
/// use std::time::Duration;
///
/// use haddock_core::routing::RemainingSessions;
///
/// let mut one = RemainingSessions::none();
/// one.live = 3;
/// one.ends_within[0].sessions = 2;
/// let two = one.clone().and(&one);
/// assert_eq!((two.live, two.ends_within[0].sessions), (6, 4));
/// assert_eq!(two.ends_within[0].within, Duration::from_secs(600));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct RemainingSessions {
    /// The sessions that are counted. Others may live as long as the instance's count is unknown.
    pub live: u64,
    /// Those with a request in flight or an open WebSocket. They do not end by themselves before that has ended.
    pub busy: u64,
    /// The last use of the session that was used least recently, of those that are not busy.
    pub least_recent: Option<Timestamp>,
    /// The last use of the session that was used most recently, of those that are not busy.
    pub most_recent: Option<Timestamp>,
    /// How many end by themselves within 10 min, 1 h and 8 h, if nobody comes back.
    pub ends_within: [EndsWithin; 3],
    /// When the last one ends that is not busy, if nobody comes back.
    pub ends_at: Option<Timestamp>,
    /// How many have ended in the last [`watched`](Self::watched).
    pub ended: u64,
    /// Over how long endings were watched: some 10 min, less on an instance that is new here.
    #[serde(with = "millis")]
    #[cfg_attr(feature = "gateway", schemars(with = "u64"))]
    pub watched: Duration,
}

/// How many sessions end within some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct EndsWithin {
    /// The time from now on.
    #[serde(with = "millis")]
    #[cfg_attr(feature = "gateway", schemars(with = "u64"))]
    pub within: Duration,
    /// The sessions.
    pub sessions: u64,
}

impl RemainingSessions {
    /// No session.
    #[must_use]
    pub fn none() -> Self {
        let within = |minutes: u64| EndsWithin { within: Duration::from_secs(60 * minutes), sessions: 0 };
        Self {
            live: 0,
            busy: 0,
            least_recent: None,
            most_recent: None,
            ends_within: [within(10), within(60), within(480)],
            ends_at: None,
            ended: 0,
            watched: Duration::ZERO,
        }
    }

    /// Counts one that was last used then, and is not busy.
    #[allow(dead_code, reason = "locators count, and not every build has one")]
    pub(crate) fn count(&mut self, used: Timestamp, idle: Duration, now: Timestamp) {
        self.live += 1;
        self.least_recent = earliest(self.least_recent, Some(used));
        self.most_recent = self.most_recent.max(Some(used));
        let ends = used + idle;
        self.ends_at = self.ends_at.max(Some(ends));
        for each in self.ends_within.iter_mut().filter(|each| ends <= now + each.within) {
            each.sessions += 1;
        }
    }

    /// Counts one that is busy.
    #[allow(dead_code, reason = "locators count, and not every build has one")]
    pub(crate) fn count_busy(&mut self) {
        self.live += 1;
        self.busy += 1;
    }

    /// These and those of another locator: a session that both know counts twice.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.live += other.live;
        self.busy += other.busy;
        self.least_recent = earliest(self.least_recent, other.least_recent);
        self.most_recent = self.most_recent.max(other.most_recent);
        for (each, more) in self.ends_within.iter_mut().zip(&other.ends_within) {
            each.sessions += more.sessions;
        }
        self.ends_at = self.ends_at.max(other.ends_at);
        self.ended += other.ended;
        self.watched = self.watched.max(other.watched);
        self
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
