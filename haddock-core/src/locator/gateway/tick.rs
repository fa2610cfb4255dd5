//! The time of the session table.

use std::time::Duration;

/// The precision with which sessions expire: coarse enough for 4096 buckets to cover minutes.
pub(super) const TICK: Duration = Duration::from_millis(50);

/// A point in time, in ticks since the gateway was started. It wraps after 6.8 years, which does not affect
/// differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tick(pub(super) u32);

impl Tick {
    /// Ticks that have passed since `earlier`; negative if it is in the future.
    pub(super) fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    pub(super) fn plus(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    pub(super) fn later(self, other: Self) -> Self {
        if self.since(other) >= 0 { self } else { other }
    }
}

/// How many ticks a duration takes, rounded up so that nothing expires early.
pub(super) fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX).min(1 << 30)
}
