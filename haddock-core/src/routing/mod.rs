//! The data that the controller and a locator exchange: fencing tokens, shares, routing tables and figures.

mod application;
mod by_client;
mod ended;
mod failed;
mod failures;
mod fencing;
mod rate;
mod remaining;
mod sessions;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, JournalId, ServiceName};
use crate::time::Timestamp;

pub use application::{ApplicationCookie, CookieMode};
pub use by_client::{SessionBy, client_number, version_of_client};
pub use ended::{EndedSession, EndedSessions, SessionKey};
pub use failed::{FailedPolicy, StatusRange};
pub use failures::{FailureKind, first_segment};
pub use fencing::FencingToken;
pub use rate::Rate;
pub use remaining::{EndsWithin, RemainingSessions};
pub use sessions::{Cohort, Sessions};
pub use traffic::{TrafficGap, TrafficMinute, TrafficRecord};

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

    /// The share that is nearest to this part of all, 0 to 1.
    pub(crate) fn nearest(part: f64) -> Self {
        Self::basis_points((part * 1e4).round() as u32)
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

    /// From hundredths of a percent, as in a stored table.
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
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct Route {
    /// Where the instance's entry listens.
    pub address: SocketAddr,
    /// Its part of the new sessions. At zero its sessions stay, and new ones go elsewhere.
    pub share: Share,
    /// Set on an instance that was adopted with sessions that no locator has seen yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    /// The number of its version: a newer version has a higher one. `None`: unknown, and older than all others. A table has it
    /// for [`SessionBy::Client`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Every locator of a group has said that nothing is left on it, and it is about to be closed on all of them. From
    /// then on, no session comes back to it: a request that would bring back one which this locator does not count waits
    /// until the next table or the close, for a few seconds at most, and is then treated as one without a session.
    #[serde(default, skip_serializing_if = "is_not")]
    pub closing: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_not(it: &bool) -> bool {
    !it
}

impl Route {
    /// A line for an instance that was not adopted, of an unknown version.
    #[must_use]
    pub fn new(address: SocketAddr, share: Share) -> Self {
        Self { address, share, adopted: None, version: None, closing: false }
    }
}

/// An instance was adopted with sessions from before. Their clients have the application's cookies, and none of a
/// locator's.
///
/// Each of these sessions is used before `until`, or has expired by then. Until then, a request with such a cookie, and
/// none of the locator's, goes to that instance, whatever its share. It opens a session there, which is counted from
/// then on. Until then, the number of live sessions on that instance is [`Count::Unknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct Adopted {
    /// The time by which each session from before has been seen or has expired.
    pub until: Timestamp,
    /// The name of the cookie by which the application knows a session; `None`: any cookie will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
}

/// Where sessions of a service go. It is applied as a whole. Shares are weights: they need not add up to 100 %.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct RoutingTable {
    /// The service.
    pub service: ServiceName,
    /// The fencing token of the decision.
    pub number: FencingToken,
    /// How sessions of this service are recognised, and when they expire.
    pub session: SessionPolicy,
    /// Every instance that may get requests.
    pub routes: BTreeMap<InstanceId, Route>,
    /// Says which instances no later table names. `None`: unknown; any may be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
}

/// Says which instances are gone for ever: those of this journal that are older than its oldest one.
///
/// A locator keeps this one number instead of a closed mark for each of them. Otherwise years of releases would fill
/// its memory and its reports. An instance that the watermark covers counts as closed for ever.
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
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct Watermark {
    /// The journal of the instances.
    pub journal: JournalId,
    /// The number of the oldest instance of the service that may still be named, counted from 1.
    pub oldest: u64,
}

impl Watermark {
    /// Whether no later table names this instance of the table's service.
    #[must_use]
    pub fn covers(&self, instance: &InstanceId) -> bool {
        instance.number(&self.journal).is_some_and(|number| number < self.oldest)
    }
}

/// How a locator recognises a session, and when the session expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct SessionPolicy {
    /// A session expires when it has been idle for this long, counted from the end of its last response.
    #[serde(with = "crate::routing::millis")]
    #[cfg_attr(feature = "gateway", schemars(with = "u64"))]
    pub idle: Duration,
    /// Requests for these paths (exact, without query), such as a probe's, open no session.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// The attributes of the locator's cookie, which say when browsers send it back.
    #[serde(default, skip_serializing_if = "CookiePolicy::is_default")]
    pub cookie: CookiePolicy,
    /// The cookie of the application by which sessions are known. `None`: the locator sets a cookie of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationCookie>,
    /// How it is decided where a new session goes.
    #[serde(default, skip_serializing_if = "SessionBy::is_default")]
    pub by: SessionBy,
    /// Which requests count as failed.
    #[serde(default, skip_serializing_if = "FailedPolicy::is_default")]
    pub failed: FailedPolicy,
    /// A request is slow if its answer begins later than this. `None`: none is.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::routing::maybe_millis")]
    #[cfg_attr(feature = "gateway", schemars(with = "Option<u64>"))]
    pub slow: Option<Duration>,
    /// The name of a header, in lower case, that answers of instances without a share get: their application may invite
    /// people to sign in again. `None`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining_header: Option<String>,
}

impl Default for SessionPolicy {
    /// 30 minutes, as in most servlet containers; no ignored paths; a cookie of the locator that browsers send with each
    /// request; 5xx counts as failed, and nothing as slow.
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            ignore: Vec::new(),
            cookie: CookiePolicy::default(),
            application: None,
            by: SessionBy::Session,
            failed: FailedPolicy::default(),
            slow: None,
            draining_header: None,
        }
    }
}

/// The attributes of a locator's cookie, which say when browsers send it back.
///
/// By default they always do. The cookie only says on which instance a session is; it grants no access. So it may be
/// sent when another site sends somebody here by POST, as a login by SAML or OpenID Connect does, and within a frame of
/// another site. Over https it is therefore `SameSite=None; Secure`. Over http it has neither attribute, because
/// browsers refuse `SameSite=None` there. Then the browser's default applies.
///
/// ```
/// use haddock_core::routing::{CookiePolicy, SameSite};
///
/// let shared_by_two_hosts = CookiePolicy { domain: Some("example.com".to_owned()), ..CookiePolicy::default() };
/// assert_eq!(shared_by_two_hosts.same_site, SameSite::None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct CookiePolicy {
    /// Whether browsers send it when another site leads here.
    pub same_site: SameSite,
    /// Its domain, with subdomains. `None`: only the host of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its path, with all paths below. `None`: all. A request for another path has no cookie, so it opens a session of
    /// its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether each site that shows the application in a frame has a cookie of its own (`Partitioned`). Browsers that
    /// block third-party cookies accept only such cookies. Only over https.
    pub partitioned: bool,
}

impl CookiePolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether browsers send a cookie when another site leads here (RFC 6265bis, 5.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SameSite {
    /// Always. Over http the attribute is left out, because browsers accept such a cookie only over https.
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

/// Durations that may be missing, as whole milliseconds.
pub(crate) mod maybe_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "serde passes a reference")]
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::millis::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

/// A locator's count of sessions. An unknown number is `Unknown`, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// The exact number.
    Exact(u64),
    /// An upper limit.
    AtMost(u64),
    /// Unknown.
    Unknown,
}

impl Count {
    /// Whether it is certain that there is none.
    #[must_use]
    pub fn is_none_for_certain(self) -> bool {
        matches!(self, Self::Exact(0) | Self::AtMost(0))
    }
}

/// A locator's figures of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct InstanceFigures {
    /// The share in force; `None` if the table in force does not name the instance.
    pub share: Option<Share>,
    /// Whether the locator has closed or evicted it. Then it never gets a request again.
    pub closed: bool,
    /// Sessions that have not expired.
    pub live: Count,
    /// Requests that were sent to it and whose response has not ended.
    pub in_flight: u64,
    /// Upgraded connections (WebSockets) that are open.
    pub upgraded: u64,
    /// Sessions that began on it since `counting_since`.
    pub sessions_begun: u64,
    /// Requests sent to it since `counting_since`.
    pub requests_begun: u64,
    /// Sessions with at least one failed request, by [`SessionPolicy::failed`], since `counting_since`.
    pub sessions_failed: u64,
    /// Failed requests since `counting_since`.
    pub requests_failed: u64,
    /// Sessions that an eviction ended since `counting_since`.
    pub sessions_evicted: u64,
    /// When a request of a session was last answered.
    pub last_seen: Option<Timestamp>,
    /// Its sessions by the table under which they began. A table of [`LocatorReport::counted`] that is not here had none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// What the failed and slow sessions have in common, most sessions first. A locator may keep some kinds only, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailureKind>,
}

impl InstanceFigures {
    /// Whether it is certain that there is no live session, no request in flight and no upgraded connection.
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
            cohorts: Vec::new(),
            failures: Vec::new(),
        }
    }
}

/// A locator's figures of a service at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct LocatorReport {
    /// Another value means that the locator was restarted.
    pub incarnation: u64,
    /// When it began to count. Until `session.idle` has passed since then, it cannot know which sessions are live, and
    /// says [`Count::Unknown`].
    pub counting_since: Timestamp,
    /// The newest fencing token that it has seen in any call.
    pub newest: FencingToken,
    /// The fencing token of the table in force, if it has one.
    pub table: Option<FencingToken>,
    /// Its figures for each instance that it lists or has closed. A closed instance that no later table names may be
    /// left out.
    pub instances: BTreeMap<InstanceId, InstanceFigures>,
    /// The numbers of the tables by which sessions are [counted](InstanceFigures::cohorts), oldest first: the newest that
    /// were in force since counting began. Of any other table, the counts are unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<FencingToken>,
    /// The host names of the service's requests; empty: any.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Why the last change could not be written to disk. Until it can be written, the locator takes no new table and
    /// closes nothing. The current table stays in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsaved: Option<String>,
}

impl LocatorReport {
    /// The report of a locator that knows nothing about the service. Set what it knows, and leave the rest to
    /// `..LocatorReport::new(incarnation, counting_since)`. Then your code still compiles when there are new fields.
    #[must_use]
    pub fn new(incarnation: u64, counting_since: Timestamp) -> Self {
        Self {
            incarnation,
            counting_since,
            newest: FencingToken::default(),
            table: None,
            instances: BTreeMap::new(),
            counted: Vec::new(),
            hosts: Vec::new(),
            unsaved: None,
        }
    }
}

/// How well a locator counts sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SessionCount {
    /// It counts exactly.
    Exact,
    /// It knows an upper limit.
    UpperBound,
    /// It cannot count: a plan that needs counts is refused.
    #[default]
    None,
}

/// What a locator can do. The default is nothing. Set what yours can do, and leave the rest to
/// `..LocatorCapabilities::default()`. Then your code still compiles when there are new fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LocatorCapabilities {
    /// An instance at share 0 keeps its sessions. Without this, there is no drain and no release.
    pub keeps_sticky_at_zero: bool,
    /// How it counts sessions.
    pub session_count: SessionCount,
    /// A close is atomic with routing: no request arrives between its check and its effect.
    pub atomic_close: bool,
    /// It can let requests wait. Without this, [`ServiceLocator::hold`](crate::locator::ServiceLocator::hold) is
    /// refused.
    pub hold: bool,
    /// It counts sessions by the table under which they began: [`InstanceFigures::cohorts`] and [`LocatorReport::counted`].
    /// Without this, no guard watches a release.
    pub counts_by_table: bool,
    /// It can place clients by [`SessionBy::Client`]. Without this, a release whose settings ask for it is refused.
    pub by_client: bool,
    /// It finds the sessions of an [adopted](Adopted) server by the application's cookie. Without this, no server can
    /// be adopted, because its sessions would be lost.
    pub adoption: bool,
    /// A request of a session goes to its instance even if this locator has never seen the session, such as after a
    /// restart. Without this, a restart of the locator may lose every session.
    pub follows_unseen: bool,
    /// It counts by the [`SessionPolicy`]: nothing begins on an ignored path, and what fails is counted. Without this,
    /// [`InstanceFigures::sessions_begun`] may count more, and the figures of what failed may count less.
    pub counts_by_policy: bool,
    /// It heeds [`Route::closing`]. With this, an instance is closed on all locators of a group, or on none of them.
    /// Without this, a session that comes back between two closes may be lost.
    pub closes_in_rounds: bool,
}

/// Something that the configuration of a locator lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// Whether releases do not work without it. If not, it is a warning.
    pub is_problem: bool,
    /// What is wrong.
    pub says: String,
    /// What to do. It may have several lines, for a file.
    pub fix: String,
}

/// The result of a close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CloseAnswer {
    /// Closed: this locator never sends the instance a request again.
    Closed,
    /// Refused: the instance has a share, a live session, a request in flight or an upgraded connection. Nothing
    /// changed.
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
