//! Points in time, and the only place that reads a clock.
//!
//! Deciding code takes the time as an argument. Performing code reads [`SystemClock`]. It starts at the wall clock's
//! time and then advances monotonically, so `now` never runs backwards while a program runs.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch.
///
/// ```
/// use std::time::Duration;
/// use haddock_core::Timestamp;
///
/// let start = Timestamp::from_millis(1_000);
/// assert_eq!(start + Duration::from_secs(2), Timestamp::from_millis(3_000));
/// assert_eq!((start + Duration::from_secs(2)) - start, Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The time that long before; never before the epoch.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(i64::try_from(self.0).unwrap_or(i64::MAX)) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A clock. Tests use one that they move by hand.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The present time. It is never earlier than a time that the clock returned before.
    fn now(&self) -> Timestamp;
}

/// The machine's clock: the wall clock's time at creation, advanced monotonically from there.
#[derive(Debug, Clone)]
pub struct SystemClock {
    wall: Timestamp,
    started: std::time::Instant,
}

impl SystemClock {
    /// Reads the wall clock once.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn new() -> Self {
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        Self { wall: Timestamp(wall), started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        self.wall + std::time::Instant::now().duration_since(self.started)
    }
}

/// The clock of a tokio runtime whose time is paused: it advances when everything on that runtime waits.
#[cfg(all(feature = "controller", feature = "testing"))]
#[derive(Debug, Clone)]
pub(crate) struct PausedClock {
    epoch: Timestamp,
    started: tokio::time::Instant,
    runtime: tokio::runtime::Handle,
}

#[cfg(all(feature = "controller", feature = "testing"))]
impl PausedClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub(crate) fn new(epoch: Timestamp, runtime: tokio::runtime::Handle) -> Self {
        let started = {
            let _inside = runtime.enter();
            tokio::time::Instant::now()
        };
        Self { epoch, started, runtime }
    }
}

#[cfg(all(feature = "controller", feature = "testing"))]
impl Clock for PausedClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        // Whoever asks, from whatever thread: it is this runtime's time that counts.
        let _inside = self.runtime.enter();
        self.epoch + tokio::time::Instant::now().duration_since(self.started)
    }
}

/// Whether the time of this tokio runtime is paused, so that it passes whenever all tasks wait.
#[cfg(feature = "controller")]
pub(crate) struct Pace {
    real: std::time::Instant,
    tokio: tokio::time::Instant,
}

#[cfg(feature = "controller")]
impl Pace {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub(crate) fn new() -> Self {
        Self { real: std::time::Instant::now(), tokio: tokio::time::Instant::now() }
    }

    /// Whether tokio's time has passed much faster since then than real time can.
    pub(crate) fn is_virtual(&self) -> bool {
        self.tokio.elapsed() > self.real.elapsed() * 2 + Duration::from_secs(1)
    }
}

/// Waits that long. It is the only sleep of the crate: other code waits for a thing, not for a time.
#[cfg(feature = "controller")]
#[allow(clippy::disallowed_methods, reason = "the one place that sleeps")]
pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Measures how long something takes, in the time in which [`sleep`] sleeps.
#[cfg(feature = "controller")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(tokio::time::Instant);

#[cfg(feature = "controller")]
#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        tokio::time::Instant::now().duration_since(self.0)
    }
}
