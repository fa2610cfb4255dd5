//! What the controller and a locator say to each other: numbers, shares, routing tables and figures.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, JournalId, ServiceName};
use crate::time::Timestamp;

/// The number of a decision: the epoch of the lease under which it was committed, and the revision of that commit.
///
/// Numbers only grow. A locator refuses a call whose number is older than the newest it has seen, so an answer that
/// was lost or a call that arrives late does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Number {
    /// The epoch: one more for each holder of the lease.
    pub epoch: u64,
    /// The revision: one more for each commit.
    pub revision: u64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}

/// A part of the new sessions, in steps of 0.01 %.
///
/// ```
/// use haddock_core::Share;
///
/// assert_eq!(Share::percent(10).to_string(), "10%");
/// assert_eq!(Share::basis_points(1_250).to_string(), "12.5%");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Share(u32);

impl Share {
    /// No new sessions.
    pub const ZERO: Self = Self(0);
    /// All new sessions.
    pub const FULL: Self = Self(10_000);

    /// From whole percent; more than 100 counts as 100.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::basis_points(percent.saturating_mul(100))
    }

    /// From hundredths of a percent; more than 10 000 counts as 10 000.
    #[must_use]
    pub const fn basis_points(points: u32) -> Self {
        if points > 10_000 { Self::FULL } else { Self(points) }
    }

    /// Hundredths of a percent, 0 to 10 000.
    #[must_use]
    pub const fn as_basis_points(self) -> u32 {
        self.0
    }

    /// What is left of 100 %.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(10_000 - self.0)
    }

    /// Whether this is no share at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<u32> for Share {
    type Error = Error;

    /// From hundredths of a percent, as a table that was written down has them.
    fn try_from(points: u32) -> Result<Self, Error> {
        if points <= Self::FULL.0 {
            return Ok(Self(points));
        }
        Err(Error::new(
            ErrorKind::InvalidValue,
            format!("a share of `{points}` hundredths of a percent is more than all"),
        )
        .with_hint("a share has at most 10 000"))
    }
}

impl From<Share> for u32 {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => write!(f, "{whole}%"),
            part if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            part => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One line of a [`RoutingTable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where the instance's entry listens.
    pub address: SocketAddr,
    /// Its part of the new sessions. Zero: sessions that it has stay, new ones go elsewhere.
    pub share: Share,
    /// Set on an instance that was adopted with sessions that no locator has seen yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
}

impl Route {
    /// A line for an instance that was not adopted.
    #[must_use]
    pub fn new(address: SocketAddr, share: Share) -> Self {
        Self { address, share, adopted: None }
    }
}

/// An instance was adopted with sessions from before, whose clients have the application's cookies and none of a
/// locator's.
///
/// Each of them sends a request before `until`, or has expired by then. Until then a request with such a cookie, and
/// none of the locator's, goes to that instance whatever its share, opening a session there that is counted from then
/// on; and as there may be more of them, how many live there is [`Count::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// When the last session from before has been seen or has expired.
    pub until: Timestamp,
    /// The name of the cookie by which the application knows a session; `None`: any cookie will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
}

/// Where sessions of a service go. Applied as a whole; shares need not add up to 100 %, they are weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingTable {
    /// The service.
    pub service: ServiceName,
    /// The number of the decision.
    pub number: Number,
    /// How sessions of this service are known and when they expire.
    pub session: SessionPolicy,
    /// Every instance that may get requests.
    pub routes: BTreeMap<InstanceId, Route>,
    /// Which instances no table will name any more. `None`: not known; any may be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
}

/// Which instances are gone for good: those of this journal that are older than the oldest it still has.
///
/// A locator keeps this one number for all of them in place of a closed mark for each, or years of releases would fill its
/// memory and its reports. What the watermark covers counts as closed for ever.
///
/// ```
/// use haddock_core::routing::Watermark;
/// use haddock_core::{InstanceId, JournalId, ServiceName};
///
/// let (journal, shop) = (JournalId::new("0123456789abcdef")?, ServiceName::new("shop")?);
/// let watermark = Watermark { journal: journal.clone(), oldest: 7 };
/// assert!(watermark.covers(&InstanceId::of(&journal, &shop, 6)));
/// assert!(!watermark.covers(&InstanceId::of(&journal, &shop, 7)));
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The journal that gave the instances out.
    pub journal: JournalId,
    /// The number of the oldest instance of the service that may still be named, counted from 1.
    pub oldest: u64,
}

impl Watermark {
    /// Whether this instance, of the table's service, will not be named any more.
    #[must_use]
    pub fn covers(&self, instance: &InstanceId) -> bool {
        instance.number(&self.journal).is_some_and(|number| number < self.oldest)
    }
}

/// How a locator knows a session and when it lets it expire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPolicy {
    /// How long a session may be idle, counted from the end of its last response, before it has expired.
    #[serde(with = "crate::routing::millis")]
    pub idle: Duration,
    /// Paths (exact, without query) on which a request without a session opens none, such as a probe's.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// When browsers send back the cookie that the locator gives them.
    #[serde(default, skip_serializing_if = "CookiePolicy::is_default")]
    pub cookie: CookiePolicy,
}

impl Default for SessionPolicy {
    /// 30 minutes, as most servlet containers have it; no ignored paths; a cookie that comes back with each request.
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), ignore: Vec::new(), cookie: CookiePolicy::default() }
    }
}

/// When browsers send back the cookie that a locator gives them.
///
/// By default they always do. Such a cookie says where a session is and guards nothing, so it may come along when another
/// site sends somebody here by POST, as a login by SAML or OpenID Connect does, and when the application is shown in a
/// frame of another site. Over https it is therefore `SameSite=None; Secure`. Over http it has neither: browsers refuse
/// `SameSite=None` there, and then they judge by themselves.
///
/// ```
/// use haddock_core::routing::{CookiePolicy, SameSite};
///
/// let shared_by_two_hosts = CookiePolicy { domain: Some("example.com".to_owned()), ..CookiePolicy::default() };
/// assert_eq!(shared_by_two_hosts.same_site, SameSite::None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CookiePolicy {
    /// Whether it comes along when another site leads here.
    pub same_site: SameSite,
    /// The hosts that it is for: this one and all below it. `None`: the host alone that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The paths that it is for: this one and all below it. `None`: all. A request of another path has no cookie, so it
    /// opens a session of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether each site that shows the application in a frame has a cookie of its own (`Partitioned`). Browsers that
    /// block cookies of third parties let only those through. Over https alone.
    pub partitioned: bool,
}

impl CookiePolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a cookie comes along when another site leads here (RFC 6265bis, 5.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SameSite {
    /// Always. Over http it is not said, since browsers take such a cookie over https alone.
    #[default]
    None,
    /// When somebody follows a link, but neither by POST nor in a frame.
    Lax,
    /// Never.
    Strict,
}

/// Durations as whole milliseconds.
pub(crate) mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// A locator's count of sessions. What is not known is said to be not known, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Exactly so many.
    Exact(u64),
    /// At most so many.
    AtMost(u64),
    /// Not known.
    Unknown,
}

impl Count {
    /// Whether there is none, for certain.
    #[must_use]
    pub fn is_none_for_certain(self) -> bool {
        matches!(self, Self::Exact(0) | Self::AtMost(0))
    }
}

/// What a locator knows of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceFigures {
    /// The share in force; `None` if the table in force does not name the instance.
    pub share: Option<Share>,
    /// Whether the locator has closed (or evicted) it: it gets nothing more, for ever.
    pub closed: bool,
    /// Sessions that have not expired.
    pub live: Count,
    /// Requests sent to it and not answered to the end.
    pub in_flight: u64,
    /// Upgraded connections (WebSockets) that are open.
    pub upgraded: u64,
    /// Sessions that began on it since `counting_since`.
    pub sessions_begun: u64,
    /// Requests sent to it since `counting_since`.
    pub requests_begun: u64,
    /// Sessions with at least one failed request (5xx, no connection, time-out).
    pub sessions_failed: u64,
    /// Failed requests.
    pub requests_failed: u64,
    /// Sessions that an eviction ended.
    pub sessions_evicted: u64,
    /// When a request of a session was last answered.
    pub last_seen: Option<Timestamp>,
}

impl InstanceFigures {
    /// Whether nothing is live, in flight or upgraded, for certain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_none_for_certain() && self.in_flight == 0 && self.upgraded == 0
    }
}

impl Default for InstanceFigures {
    fn default() -> Self {
        Self {
            share: None,
            closed: false,
            live: Count::Exact(0),
            in_flight: 0,
            upgraded: 0,
            sessions_begun: 0,
            requests_begun: 0,
            sessions_failed: 0,
            requests_failed: 0,
            sessions_evicted: 0,
            last_seen: None,
        }
    }
}

/// All that a locator knows of a service at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocatorReport {
    /// Another value means that the locator was restarted.
    pub incarnation: u64,
    /// Since when it counts. Until `session.idle` has passed since, it cannot know which sessions live, and says
    /// [`Count::Unknown`].
    pub counting_since: Timestamp,
    /// The newest number it has seen, of whatever call.
    pub newest: Number,
    /// The number of the table in force, if it has one.
    pub table: Option<Number>,
    /// Its figures for each instance that it lists or has closed. One that is closed, and that no table will name any more, may be
    /// left out.
    pub instances: BTreeMap<InstanceId, InstanceFigures>,
    /// The hosts under which clients ask for the service; empty: under any.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Why the last change could not be written to disk. Until it can, no table is taken up and nothing is closed; what is in
    /// force stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<String>,
}

/// The answer to a close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseAnswer {
    /// Closed: from now on the instance gets nothing from this locator, for ever.
    Closed,
    /// Refused: it has a share, or something on it is live, in flight or upgraded. Nothing changed.
    Busy(InstanceFigures),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_within_its_range() {
        for (text, points) in [("0", 0), ("1250", 1_250), ("10000", 10_000)] {
            let share: Share = serde_json::from_str(text).expect("within its range");
            assert_eq!(
                (share.as_basis_points(), serde_json::to_string(&share).expect("a number")),
                (points, text.into())
            );
        }
        for text in ["10001", "4294967295", "-1"] {
            assert!(serde_json::from_str::<Share>(text).is_err(), "{text}: `rest` of it would be below nothing");
        }
    }
}
