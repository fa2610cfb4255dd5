//! The simulated locator behind the port, with faults by script.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::core::SimLocatorCore;
use super::session::{Cookie, Ticket};
use crate::error::{Error, ErrorKind, Result};
use crate::locator::{LocatorCapabilities, ServiceLocator, SessionCount};
use crate::name::{InstanceId, LocatorName, ServiceName};
use crate::routing::{CloseAnswer, FencingToken, LocatorReport, RoutingTable};
use crate::time::Clock;

/// A [`ServiceLocator`] whose sessions are data. Clones are the same locator.
///
/// Clients are played by [`begin`](Self::begin) and [`finish`](Self::finish).
#[derive(Clone)]
pub struct SimLocator {
    name: LocatorName,
    clock: Arc<dyn Clock>,
    capabilities: LocatorCapabilities,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    core: SimLocatorCore,
    down: bool,
    failing: u32,
    losing: u32,
}

impl SimLocator {
    /// A locator that knows nothing yet and counts exactly.
    #[must_use]
    pub fn new(name: LocatorName, clock: Arc<dyn Clock>) -> Self {
        let core = SimLocatorCore::new(1, clock.now());
        let capabilities = LocatorCapabilities {
            keeps_sticky_at_zero: true,
            session_count: SessionCount::Exact,
            atomic_close: true,
            hold: false,
            counts_by_table: true,
            adoption: true,
            follows_unseen: true,
            counts_by_policy: true,
            by_client: true,
            closes_in_rounds: true,
        };
        let inner = Arc::new(Mutex::new(Inner { core, down: false, failing: 0, losing: 0 }));
        Self { name, clock, capabilities, inner }
    }

    /// The same with other declared capabilities, for tests of what is refused without them.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: LocatorCapabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Begins a client's request; see [`SimLocatorCore::begin`]. Also `None` while the locator is down.
    #[must_use]
    pub fn begin(&self, service: &ServiceName, cookie: Option<&Cookie>, upgraded: bool) -> Option<Ticket> {
        let now = self.clock.now();
        let mut inner = self.lock();
        if inner.down { None } else { inner.core.begin(service, cookie, upgraded, now) }
    }

    /// Begins a request of a client that has only a cookie of the application; see [`SimLocatorCore::begin_foreign`].
    /// Also `None` while the locator is down.
    #[must_use]
    pub fn begin_foreign(&self, service: &ServiceName, cookie: &str, upgraded: bool) -> Option<Ticket> {
        let now = self.clock.now();
        let mut inner = self.lock();
        if inner.down { None } else { inner.core.begin_foreign(service, cookie, upgraded, now) }
    }

    /// Ends a client's request; see [`SimLocatorCore::finish`].
    pub fn finish(&self, service: &ServiceName, ticket: &Ticket, failed: bool) -> Option<Cookie> {
        let now = self.clock.now();
        self.lock().core.finish(service, ticket, failed, now)
    }

    /// From now on it does not answer, or answers again. It forgets nothing.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// The next `calls` calls are refused as if it were down.
    pub fn fail_next(&self, calls: u32) {
        self.lock().failing = calls;
    }

    /// The next `calls` calls take effect, and their answers are lost:
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn lose_next_answers(&self, calls: u32) {
        self.lock().losing = calls;
    }

    /// Its process ends and is started again; see [`SimLocatorCore::restart`].
    pub fn restart(&self) {
        let now = self.clock.now();
        self.lock().core.restart(now);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(&self, effect: impl FnOnce(&mut SimLocatorCore) -> Result<T>) -> Result<T> {
        let mut inner = self.lock();
        if inner.down || inner.failing > 0 {
            inner.failing = inner.failing.saturating_sub(1);
            let message = format!("locator `{}` does not answer", self.name);
            return Err(Error::new(ErrorKind::LocatorUnavailable, message));
        }
        let answer = effect(&mut inner.core);
        if inner.losing > 0 {
            inner.losing -= 1;
            let message = format!("locator `{}` did not answer in time", self.name);
            return Err(Error::new(ErrorKind::TimedOut, message));
        }
        answer
    }
}

impl fmt::Display for SimLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated locator `{}`", self.name)
    }
}

impl fmt::Debug for SimLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLocator").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl ServiceLocator for SimLocator {
    fn capabilities(&self) -> LocatorCapabilities {
        self.capabilities
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        self.call(|core| core.apply(table))
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        let now = self.clock.now();
        self.call(|core| core.close(service, instance, number, now))
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()> {
        let now = self.clock.now();
        self.call(|core| core.evict(service, instance, number, now))
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        let now = self.clock.now();
        self.call(|core| Ok(core.report(service, now)))
    }
}
