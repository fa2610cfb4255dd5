//! Service locators: what knows the instances of a service, decides where a new session goes, and counts sessions.
//!
//! ```text
//!   controller ──▶ ServiceLocator ◀── gateway   the embedded sticky HTTP proxy
//!                                 ◀── remote    a gateway in another process, over its admin API
//!                                 ◀── haproxy   an HAProxy of yours, over its runtime API
//!                                 ◀── sim       sessions as data, on a virtual clock
//! ```
//!
//! [`ServiceLocator`] holds the contract; [`suite`] (feature `testing`) is that contract as tests, for any implementor
//! to run.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind, Result};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{
    CloseAnswer, EndedSession, EndedSessions, FencingToken, LocatorReport, RemainingSessions, RoutingTable,
    SessionPolicy, TrafficRecord,
};
use crate::time::Timestamp;

pub use crate::routing::{Advice, LocatorCapabilities, SessionCount};

mod forward;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "haproxy")]
pub mod haproxy;
#[cfg(feature = "gateway")]
pub mod remote;
#[cfg(any(feature = "gateway", feature = "haproxy"))]
mod saved;
#[cfg(feature = "testing")]
pub mod sim;
#[cfg(feature = "testing")]
pub mod suite;
#[cfg(any(feature = "gateway", feature = "haproxy"))]
mod watermarks;

/// A service locator.
///
/// # Contract
///
/// - [`apply`](Self::apply), [`close`](Self::close) and [`evict`](Self::evict) carry a number. One older than the
///   newest number seen for that service is refused with [`StaleNumber`](crate::ErrorKind::StaleNumber) and changes
///   nothing. An equal number is the same call again. The newest number, the table and the closed marks are on disk
///   before the answer, and outlive a restart; [`observe`](Self::observe) tells of none that is not.
/// - A new session goes to a listed instance with a share, in proportion to the shares. A request of a session goes
///   to its instance for as long as that is listed and not closed, whatever its share; with the capability
///   `follows_unseen`, even if this locator has never seen the session. Else it opens a new session.
/// - A request that has a cookie of the application and none of the locator goes to the instance that was
///   [adopted](crate::routing::Adopted), until the sessions from before the adoption have come or expired. Until then,
///   the number of live sessions on that instance is [`Count::Unknown`](crate::routing::Count). On an ignored path, such
///   a request opens no session there either. A locator without the capability `adoption` is given no such instance.
/// - With [`SessionPolicy::application`](crate::routing::SessionPolicy::application), a locator that can read the
///   application's cookie knows sessions by that, and sets none of its own. A new session then begins when an answer sets
///   the cookie. Until then, requests of its client go to listed instances in proportion to the shares and open no session. One
///   of them that fails counts as a session that began and failed. The session ends at once when an answer deletes the cookie. How far a
///   session is known to other locators, and after a restart, is said in [`CookieMode`](crate::routing::CookieMode).
/// - With [`SessionBy::Client`](crate::routing::SessionBy::Client), it is the client of a new session that decides to which
///   version it goes, as [`version_of_client`](crate::routing::version_of_client) says, with the shares of the versions'
///   instances that take new sessions; among these instances, the shares decide. The locator knows a client for a year, by a
///   cookie that nobody else can make. It does not if it lacks the capability `by_client`.
/// - A closed instance gets nothing, for ever: a later table that names it has no effect on it. For instances that a
///   table's [`Watermark`](crate::routing::Watermark) covers, the locator may keep this one number in place of a mark for
///   each.
/// - A session lives until it has been idle, with no request in flight, for
///   [`SessionPolicy::idle`](crate::routing::SessionPolicy::idle).
/// - A call whose future is dropped may or may not have taken effect; [`observe`](Self::observe) shows which.
/// - A locator that does not answer: the error is [`LocatorUnavailable`](crate::ErrorKind::LocatorUnavailable), within
///   5 s.
#[async_trait]
pub trait ServiceLocator: Send + Sync + fmt::Display + fmt::Debug + 'static {
    /// What this locator can do.
    fn capabilities(&self) -> LocatorCapabilities;

    /// Puts the whole table of a service into force, atomically.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    async fn apply(&self, table: &RoutingTable) -> Result<()>;

    /// Closes the instance if it has share 0 (or is not listed) and nothing on it is live, in flight or upgraded.
    /// Otherwise the answer is [`CloseAnswer::Busy`]. For an instance that is closed already, the answer is
    /// [`CloseAnswer::Closed`]. An instance that was never listed is closed, too.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer>;

    /// Closes the instance although sessions may be left on it. They end, are counted in
    /// [`InstanceFigures::sessions_evicted`](crate::routing::InstanceFigures::sessions_evicted), and their next
    /// request opens a new session elsewhere. Requests in flight are not cut.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()>;

    /// Lets requests for the instance wait: those of its sessions, and those for new sessions that no other instance
    /// takes. They wait until [`resume`](Self::resume), or for `within`, at most 5 min, and then go on. Requests that
    /// the instance has already are not touched. A hold does not outlive a restart.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is not listed; [`NotSupported`](crate::ErrorKind::NotSupported)
    /// without the capability.
    async fn hold(&self, _service: &ServiceName, _instance: &InstanceId, _within: Duration) -> Result<()> {
        Err(Error::new(ErrorKind::NotSupported, format!("{self} cannot let requests wait")))
    }

    /// Lets the requests that wait for the instance go on. If it is not held, nothing is done.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) without the capability.
    async fn resume(&self, _service: &ServiceName, _instance: &InstanceId) -> Result<()> {
        Err(Error::new(ErrorKind::NotSupported, format!("{self} cannot let requests wait")))
    }

    /// The figures of a service. For a service that it has never heard of they are empty, at number 0.0.
    ///
    /// # Errors
    /// [`LocatorUnavailable`](crate::ErrorKind::LocatorUnavailable) if it does not answer.
    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport>;

    /// What is left on an instance, and when it ends by itself. It may cost a look at every session, so it is for people who
    /// ask, and decides nothing.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) from a locator that cannot say;
    /// [`LocatorUnavailable`](crate::ErrorKind::LocatorUnavailable) if it does not answer.
    async fn remaining(&self, _service: &ServiceName, _instance: &InstanceId) -> Result<RemainingSessions> {
        Err(Error::new(ErrorKind::NotSupported, format!("{self} cannot say what is left on an instance")))
    }

    /// The sessions that answers of the application have ended here, from a place in the list on; 0 is before all. The answer
    /// may have a part, or none. A list may be bounded: what was forgotten expires elsewhere by itself. For locators that know
    /// sessions by the application's cookie, and share a key with others of the same service.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) from a locator that cannot say.
    async fn ended_sessions(&self, _service: &ServiceName, _from: u64) -> Result<EndedSessions> {
        Err(Error::new(ErrorKind::NotSupported, format!("{self} cannot say which sessions have ended")))
    }

    /// Ends sessions that have ended at another locator. One that was used here since then goes on, as does one with a request
    /// in flight. An unknown one does not matter.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) from a locator that does not know sessions by such keys.
    async fn end_sessions(&self, _service: &ServiceName, _sessions: &[EndedSession]) -> Result<()> {
        Err(Error::new(ErrorKind::NotSupported, format!("{self} does not hear which sessions have ended")))
    }

    /// What was recorded of a service's sessions, minute by minute, from a time until another or until now. A record may
    /// be bounded; what was forgotten is a gap.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) from a locator that records nothing.
    async fn traffic(&self, _service: &ServiceName, _from: Timestamp, _until: Timestamp) -> Result<TrafficRecord> {
        Err(Error::new(ErrorKind::NotSupported, format!("{self} keeps no record of traffic")))
    }

    /// What the locator's own configuration lacks for a service with these sessions. Nothing is changed. A locator that
    /// needs no configuration has no advice.
    ///
    /// # Errors
    /// [`LocatorUnavailable`](crate::ErrorKind::LocatorUnavailable) if it does not answer.
    async fn check(&self, _service: &ServiceName, _session: &SessionPolicy) -> Result<Vec<Advice>> {
        Ok(Vec::new())
    }
}
