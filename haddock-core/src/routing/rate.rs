//! A probability, or a part of all sessions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// A number from 0 to 1: a probability, or a part of all sessions.
///
/// ```
/// use haddock_core::routing::Rate;
///
/// # fn main() -> haddock_core::Result<()> {
/// assert_eq!(Rate::new(0.01)?.to_string(), "1%");
/// assert!(Rate::new(1.5).is_err() && Rate::new(f64::NAN).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(f64);

// It is never NaN.
impl Eq for Rate {}

impl Rate {
    /// 0.
    pub const ZERO: Self = Self(0.0);

    /// From a number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] if it is not between 0 and 1.
    pub fn new(rate: f64) -> Result<Self> {
        if (0.0..=1.0).contains(&rate) {
            return Ok(Self(rate));
        }
        Err(Error::new(ErrorKind::InvalidValue, format!("`{rate}` is not a rate"))
            .with_hint("a rate is between 0 and 1; 1 % is 0.01"))
    }

    /// From hundredths of a percent; more than 10 000 counts as 10 000.
    pub(crate) const fn basis_points(points: u16) -> Self {
        let points = points as f64;
        Self(if points > 10_000.0 { 1.0 } else { points / 10_000.0 })
    }

    /// The larger of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if self.0 >= other.0 { self } else { other }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Rate {
    type Error = Error;

    fn try_from(rate: f64) -> Result<Self> {
        Self::new(rate)
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", (self.0 * 1e10).round() / 1e8)
    }
}
