//! How much of the history is kept.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::value;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How much of a service's history a journal keeps: the events that are younger than `age`, and the newest `events` of
/// whatever age. An event that is neither is forgotten.
///
/// It is written as an age, a number of events, or both.
///
/// ```
/// use std::time::Duration;
/// use haddock_core::journal::Keep;
///
/// # fn main() -> haddock_core::Result<()> {
/// assert_eq!("400d,100000".parse::<Keep>()?, Keep::default());
/// assert_eq!("30d".parse::<Keep>()?, Keep { age: Duration::from_secs(30 * 24 * 3600), events: 0 });
/// assert!("1h".parse::<Keep>().is_err(), "a release may take longer");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Younger events are kept.
    pub age: Duration,
    /// How many of the newest events are kept.
    pub events: u64,
}

impl Keep {
    /// The least age that can be kept alone: those who follow a release must find its beginning.
    pub const LEAST_AGE: Duration = DAY;
    /// The least number of events that can be kept alone.
    pub const LEAST_EVENTS: u64 = 1_000;

    /// Refuses what would forget releases that are still going on.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if both are below the least.
    pub fn checked(self) -> Result<Self> {
        if self.age >= Self::LEAST_AGE || self.events >= Self::LEAST_EVENTS {
            return Ok(self);
        }
        let message = format!("a journal that keeps `{self}` would forget releases that are going on");
        let hint = format!("keep at least a day, or {} events", Self::LEAST_EVENTS);
        Err(Error::new(ErrorKind::InvalidValue, message).with_hint(hint))
    }
}

impl Default for Keep {
    /// 400 days and 100 000 events: last year's releases, and years of a service that is seldom released.
    fn default() -> Self {
        Self { age: 400 * DAY, events: 100_000 }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.age.as_secs() % DAY.as_secs() {
            0 => write!(f, "{}d,{}", self.age.as_secs() / DAY.as_secs(), self.events),
            _ => write!(f, "{}s,{}", self.age.as_secs(), self.events),
        }
    }
}

impl FromStr for Keep {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (mut age, mut events) = (None, None);
        for part in text.split(',').map(str::trim) {
            let twice = match part.parse() {
                Ok(number) => events.replace(number).is_some(),
                Err(_) => age.replace(value::duration(part)?).is_some(),
            };
            if twice {
                let message = format!("`{text}` says twice how much of a journal is kept");
                let hint = "write an age, a number of events, or both, such as `400d,100000`";
                return Err(Error::new(ErrorKind::InvalidValue, message).with_hint(hint));
            }
        }
        Self { age: age.unwrap_or_default(), events: events.unwrap_or_default() }.checked()
    }
}
