//! What is wrong with a version.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::routing::Rate;

/// What is wrong with a version. By default nothing is: it is as the version before it.
///
/// ```
/// use haddock_core::rehearsal::{Errors, Faults};
/// use haddock_core::routing::Rate;
///
/// # fn main() -> haddock_core::Result<()> {
/// let bad = Faults { errors: Some(Errors::always(Rate::new(0.03)?)), ..Faults::default() };
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Faults {
    /// The sessions that fail. `None`: as many as on the base.
    pub errors: Option<Errors>,
    /// How long after its start each instance ends by itself. `None`: never.
    pub crash_after: Option<Duration>,
    /// How much longer each instance takes to start.
    pub slow_start: Duration,
    /// The share of sessions with a slow request, by [`SessionPolicy::slow`](crate::routing::SessionPolicy::slow).
    /// `None`: as many as on the base.
    pub slow: Option<Rate>,
}

/// Which sessions fail. A session fails once, however many of its requests do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// The share of sessions that fail where what follows holds. Elsewhere as many fail as on the base.
    pub rate: Rate,
    /// It begins only this long after the start of the instance.
    #[serde(default)]
    pub after: Duration,
    /// Only sessions that come to the path that is broken fail: this share of all.
    #[serde(default = "all")]
    pub on_path: Rate,
    /// Only sessions that begin while the instance has more live sessions than this fail.
    #[serde(default)]
    pub above_load: u64,
}

fn all() -> Rate {
    Rate::basis_points(10_000)
}

impl Errors {
    /// This share of all sessions fails, from the start of the instance on.
    #[must_use]
    pub fn always(rate: Rate) -> Self {
        Self { rate, after: Duration::ZERO, on_path: all(), above_load: 0 }
    }
}

/// What is wrong with the versions that have nothing of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Base {
    /// The share of sessions that fail. `None`: as recorded, and none if that is unknown.
    pub errors: Option<Rate>,
    /// The share of sessions with a slow request. `None`: none.
    pub slow: Option<Rate>,
}

impl Faults {
    /// Whether more sessions fail or are slow than on the base, or an instance ends.
    pub(super) fn are_harmful(&self, base_errors: f64, base_slow: f64) -> bool {
        let worse = |rate: Option<Rate>, base: f64| rate.is_some_and(|rate| rate.get() > base);
        worse(self.errors.map(|errors| errors.rate), base_errors)
            || worse(self.slow, base_slow)
            || self.crash_after.is_some()
    }
}
