//! A runtime on which time passes only when everything waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::controller::Builder;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, PausedClock, Timestamp, sleep};

/// The longest time between two looks of a controller in virtual time.
const TICK: Duration = Duration::from_secs(30);
/// The time between two looks at a journal for what another controller wrote.
const POLL: Duration = Duration::from_secs(10);
/// How long a controller's lease lasts in virtual time.
const LEASE: Duration = Duration::from_secs(3600);

/// A tokio runtime whose time is paused: it jumps to the next deadline whenever nothing can be done before it.
///
/// Its tasks run, and its time passes, only within [`block_on`](Self::block_on). Between two calls everything stands
/// still, so a test can look at things and change them. Several threads may block on it at once.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use haddock_core::testing::VirtualTime;
/// use haddock_core::Timestamp;
///
/// # fn main() -> haddock_core::Result<()> {
/// let time = VirtualTime::new(Timestamp::from_millis(0))?;
/// time.advance(Duration::from_secs(8 * 60 * 60));
/// assert_eq!(time.clock().now(), Timestamp::from_millis(8 * 60 * 60 * 1_000));
/// # Ok(())
/// # }
/// ```
pub struct VirtualTime {
    runtime: tokio::runtime::Runtime,
    clock: PausedClock,
}

impl VirtualTime {
    /// A runtime at rest, at this time.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the system has no resources for another runtime.
    pub fn new(start: Timestamp) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .map_err(|error| Error::new(ErrorKind::Io, format!("a runtime cannot be started: {error}")))?;
        let clock = PausedClock::new(start, runtime.handle().clone());
        Ok(Self { runtime, clock })
    }

    /// This runtime's time. It may be asked from any thread.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// Runs everything on it until this future ends.
    ///
    /// # Panics
    /// Within another tokio runtime's task.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Lets a controller live in this time. It goes by this clock, and looks, polls and renews its lease seldom: in
    /// virtual time nothing happens between two looks that would not wake it, and no other process competes with it. So
    /// a drain of eight hours takes milliseconds and not seconds. What another controller writes into the same journal
    /// is seen within ten seconds of this time.
    ///
    /// Whoever acts next after a holder that just stopped, without giving its lease back, waits for an hour of this time.
    #[must_use]
    pub fn pace(&self, controller: Builder) -> Builder {
        controller.clock(self.clock()).tick(TICK).poll(POLL).lease(LEASE).expect("it is longer than the least")
    }

    /// Lets this much time pass.
    ///
    /// # Panics
    /// Within another tokio runtime's task.
    pub fn advance(&self, duration: Duration) {
        self.block_on(sleep(duration));
    }
}

impl fmt::Debug for VirtualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualTime").field("now", &self.clock.now()).finish_non_exhaustive()
    }
}
