//! Sessions, as a locator counts them.

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use super::fencing::FencingToken;
use crate::error::{Error, ErrorKind, Result};

/// Sessions that began, and those of them in which at least one request failed.
///
/// A session counts once, however many of its requests failed: errors of one session are not independent of each other.
/// It counts where and when it *began*, whenever it fails.
///
/// ```
/// use haddock_core::routing::Sessions;
///
/// # fn main() -> haddock_core::Result<()> {
/// let seen = Sessions::new(200, 3)? + Sessions::new(100, 0)?;
/// assert_eq!((seen.begun(), seen.failed()), (300, 3));
/// assert_eq!(seen.rate(), Some(0.01));
/// assert_eq!(Sessions::NONE.rate(), None, "no session, no rate");
/// assert!(Sessions::new(2, 3).is_err(), "more failed than began");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Counts")]
pub struct Sessions {
    begun: u64,
    failed: u64,
}

#[derive(Deserialize)]
struct Counts {
    begun: u64,
    failed: u64,
}

impl Sessions {
    /// No session at all.
    pub const NONE: Self = Self { begun: 0, failed: 0 };

    /// From both counts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] if more sessions failed than began.
    pub fn new(begun: u64, failed: u64) -> Result<Self> {
        if failed <= begun {
            return Ok(Self { begun, failed });
        }
        Err(Error::new(ErrorKind::InvalidValue, format!("`{failed}` sessions failed, but only `{begun}` began"))
            .with_hint("count a session once, where it began, however many of its requests failed"))
    }

    /// Counts one more that began.
    #[allow(dead_code, reason = "locators count, and not every build has one")]
    pub(crate) fn count_begun(&mut self) {
        self.begun += 1;
    }

    /// Counts one more that failed, of those that began.
    #[allow(dead_code, reason = "locators count, and not every build has one")]
    pub(crate) fn count_failed(&mut self) {
        debug_assert!(self.failed < self.begun, "only a session that began fails, and it fails once");
        self.failed += 1;
    }

    /// Sessions that began.
    #[must_use]
    pub const fn begun(self) -> u64 {
        self.begun
    }

    /// Sessions of these with at least one failed request.
    #[must_use]
    pub const fn failed(self) -> u64 {
        self.failed
    }

    /// The share of sessions that failed, 0 to 1. None without sessions.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.begun > 0).then(|| self.failed as f64 / self.begun as f64)
    }
}

impl Add for Sessions {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { begun: self.begun + other.begun, failed: self.failed + other.failed }
    }
}

impl Sum for Sessions {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::NONE, Add::add)
    }
}

impl TryFrom<Counts> for Sessions {
    type Error = Error;

    fn try_from(counts: Counts) -> Result<Self> {
        Self::new(counts.begun, counts.failed)
    }
}

/// The sessions of one instance that began while one table was in force.
///
/// A guard compares instances by the sessions that began in the same period. Each table begins a period: within it, chance
/// alone decides on which instance a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct Cohort {
    /// The number of the table.
    pub table: FencingToken,
    /// Sessions that began, and those of them that have failed since.
    pub sessions: Sessions,
    /// Those of them with at least one slow request, by [`SessionPolicy::slow`](super::SessionPolicy::slow).
    #[serde(default)]
    pub slow: u64,
}
