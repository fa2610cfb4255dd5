//! What the guard counts.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// Sessions that began, and those of them in which at least one request failed.
///
/// A session counts once, however many of its requests failed: errors of one session are not independent of each other.
/// It counts where and when it *began*, whenever it fails.
///
/// ```
/// use haddock_core::release::guard::Sessions;
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

impl TryFrom<Counts> for Sessions {
    type Error = Error;

    fn try_from(counts: Counts) -> Result<Self> {
        Self::new(counts.begun, counts.failed)
    }
}

/// The sessions that began in one period on the candidate, and on the versions that already serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// On the candidate.
    pub candidate: Sessions,
    /// On all versions that were already serving.
    pub baseline: Sessions,
}

/// What the guard judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Period by period, beginning with the release.
    ///
    /// Begin a new period where the candidate's share changes by much, at most some twenty in all: within a period, both
    /// sides are taken for alike but for the candidate's version. Each further period costs a little power. After the full share,
    /// no session begins on the baseline any more: go on with the last period that had one.
    Compared(Vec<Comparison>),
    /// There is no baseline: the first release of a service.
    Alone(Sessions),
}

impl Evidence {
    /// One period.
    #[must_use]
    pub fn compared(candidate: Sessions, baseline: Sessions) -> Self {
        Self::Compared(vec![Comparison { candidate, baseline }])
    }

    /// All sessions of the candidate.
    #[must_use]
    pub fn candidate(&self) -> Sessions {
        match self {
            Self::Compared(periods) => periods.iter().fold(Sessions::NONE, |sum, period| sum + period.candidate),
            Self::Alone(sessions) => *sessions,
        }
    }

    /// All sessions of the baseline, if there is one.
    #[must_use]
    pub fn baseline(&self) -> Option<Sessions> {
        match self {
            Self::Compared(periods) => Some(periods.iter().fold(Sessions::NONE, |sum, period| sum + period.baseline)),
            Self::Alone(_) => None,
        }
    }
}
