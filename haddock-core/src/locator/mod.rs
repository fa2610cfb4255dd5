//! Service locators: what knows the instances of a service, decides where a new session goes, and counts sessions.
//!
//! ```text
//!   controller ──▶ ServiceLocator ◀── gateway   the embedded sticky HTTP proxy
//!                                 ◀── remote    a gateway in another process, over its admin API
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
use crate::routing::{CloseAnswer, LocatorReport, Number, RoutingTable};

#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "gateway")]
pub mod remote;
#[cfg(feature = "testing")]
pub mod sim;
#[cfg(feature = "testing")]
pub mod suite;

/// How well a locator counts sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionCount {
    /// It knows each.
    Exact,
    /// It knows a number that they do not exceed.
    UpperBound,
    /// It cannot count: a plan that needs counts is refused.
    None,
}

/// What a locator can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocatorCapabilities {
    /// An instance at share 0 keeps its sessions. Without it there is no drain, and no release.
    pub keeps_sticky_at_zero: bool,
    /// How it counts sessions.
    pub session_count: SessionCount,
    /// A close is atomic with routing: nothing slips in between its look and its effect.
    pub atomic_close: bool,
    /// It can let requests wait. Without, [`ServiceLocator::hold`] is refused.
    pub hold: bool,
}

/// A service locator.
///
/// # Contract
///
/// - [`apply`](Self::apply), [`close`](Self::close) and [`evict`](Self::evict) carry a number. One older than the
///   newest number seen for that service is refused with [`StaleNumber`](crate::ErrorKind::StaleNumber) and changes
///   nothing. An equal number is the same call again. The newest number, the table and the closed marks are on disk
///   before the answer, and outlive a restart; [`observe`](Self::observe) tells of none that is not.
/// - A new session goes to a listed instance with a share, in proportion to the shares. A request of a session goes
///   to its instance for as long as that is listed and not closed, whatever its share, even if this locator has never
///   seen the session. Else it opens a new session.
/// - A request that has a cookie of the application's and none of the locator's goes to the instance that was
///   [adopted](crate::routing::Adopted), until the sessions from before have come or expired; so long, how many live on
///   that is [`Count::Unknown`](crate::routing::Count). On an ignored path it opens no session there either.
/// - A closed instance gets nothing, for ever: a later table that names it has no effect for it. Of those that a table's
///   [`Watermark`](crate::routing::Watermark) covers, the locator may keep that one number in place of a mark for each.
/// - A session lives until it has been idle, with no request in flight, for
///   [`SessionPolicy::idle`](crate::routing::SessionPolicy::idle).
/// - A call whose future is dropped may or may not have taken effect; [`observe`](Self::observe) tells.
/// - One that does not answer: [`LocatorUnavailable`](crate::ErrorKind::LocatorUnavailable) within 5 s.
#[async_trait]
pub trait ServiceLocator: Send + Sync + fmt::Display + fmt::Debug + 'static {
    /// What this locator can do.
    fn capabilities(&self) -> LocatorCapabilities;

    /// Puts the whole table of a service into force, atomically.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    async fn apply(&self, table: &RoutingTable) -> Result<()>;

    /// Closes the instance if it has share 0 (or is not listed) and nothing on it is live, in flight or upgraded;
    /// else answers [`CloseAnswer::Busy`]. Closing a closed one answers [`CloseAnswer::Closed`]. One that was never
    /// listed is closed too.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: Number) -> Result<CloseAnswer>;

    /// Closes the instance although sessions may be left on it. They end, are counted in
    /// [`InstanceFigures::sessions_evicted`](crate::routing::InstanceFigures::sessions_evicted), and their next
    /// request opens a new session elsewhere. Requests in flight are not cut.
    ///
    /// # Errors
    /// [`StaleNumber`](crate::ErrorKind::StaleNumber).
    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: Number) -> Result<()>;

    /// Lets requests for the instance wait, those of its sessions and those of new ones that no other instance takes:
    /// until [`resume`](Self::resume), or for `within`, at most 5 min; then they go on. Requests that the instance has
    /// already are not touched. Nothing of it outlives a restart.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if it is not listed; [`NotSupported`](crate::ErrorKind::NotSupported)
    /// without the capability.
    async fn hold(&self, _service: &ServiceName, _instance: &InstanceId, _within: Duration) -> Result<()> {
        Err(Error::new(ErrorKind::NotSupported, format!("{self} cannot let requests wait")))
    }

    /// Lets the requests go on that wait for the instance. One that is not held is left as it is.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) without the capability.
    async fn resume(&self, _service: &ServiceName, _instance: &InstanceId) -> Result<()> {
        Err(Error::new(ErrorKind::NotSupported, format!("{self} cannot let requests wait")))
    }

    /// The figures of a service; those of one that it has never heard of are empty, at number 0.0.
    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport>;
}
