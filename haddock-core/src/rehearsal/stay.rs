//! How long sessions stay.

use std::time::Duration;

use rand::{Rng, RngExt as _};
use rand_distr::{Distribution as _, Exp1, StandardNormal};

use super::minute::Minute;
use crate::error::{Error, ErrorKind, Result};

/// The 95 % quantile of the standard normal distribution.
const NORMAL_95: f64 = 1.645;
/// The 95 % quantile of the exponential distribution with mean 1: -ln 0.05.
const EXPONENTIAL_95: f64 = 2.996;

/// How long sessions stay: the time from the first request of a session to its last. After that, the session still lives
/// for [`SessionPolicy::idle`](crate::routing::SessionPolicy::idle).
///
/// ```
/// use std::time::Duration;
/// use haddock_core::rehearsal::Stay;
///
/// # fn main() -> haddock_core::Result<()> {
/// let short = Stay::exponential(Duration::from_secs(600));
/// // Half of the sessions stay for less than 10 minutes, and two thirds between 10/3 and 10*3 minutes.
/// let uneven = Stay::log_normal(Duration::from_secs(600), 3.0)?;
/// let measured = Stay::recorded(vec![Duration::from_secs(20), Duration::from_secs(4_000)])?;
/// assert!(Stay::recorded(vec![]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Stay(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// Milliseconds.
    Fixed(f64),
    /// The mean in milliseconds.
    Exponential(f64),
    /// The logarithm of the median in milliseconds, and its standard deviation.
    LogNormal { mu: f64, sigma: f64 },
    /// Milliseconds, ascending.
    Recorded(Vec<u64>),
}

impl Default for Stay {
    /// Ten minutes on average.
    fn default() -> Self {
        Self::exponential(Duration::from_secs(600))
    }
}

impl Stay {
    /// All stay equally long.
    #[must_use]
    pub fn fixed(stay: Duration) -> Self {
        Self(Kind::Fixed(millis(stay)))
    }

    /// Many stay briefly and few long, with this average: whoever is here may leave at any time, however long they have
    /// been here.
    #[must_use]
    pub fn exponential(mean: Duration) -> Self {
        Self(Kind::Exponential(millis(mean)))
    }

    /// Half of the sessions stay for less than `median`; two thirds of them between `median / spread` and
    /// `median * spread`. The stays of people on websites are usually like that, with a spread of 3 to 5.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if the median is zero, or the spread is below 1 or above 1000.
    pub fn log_normal(median: Duration, spread: f64) -> Result<Self> {
        if !(1.0..=1_000.0).contains(&spread) {
            let message = format!("`{spread}` is no spread of the length of stay");
            return Err(Error::new(ErrorKind::InvalidValue, message).with_hint("a spread is a factor from 1 to 1000"));
        }
        if median.is_zero() {
            return Err(Error::new(ErrorKind::InvalidValue, "the median of the length of stay is zero"));
        }
        Ok(Self(Kind::LogNormal { mu: millis(median).ln(), sigma: spread.ln() }))
    }

    /// As recorded: each stay is one of these, chosen by chance.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if there is none.
    pub fn recorded(stays: Vec<Duration>) -> Result<Self> {
        if stays.is_empty() {
            return Err(Error::new(ErrorKind::InvalidValue, "no length of stay was recorded"));
        }
        let mut stays: Vec<u64> =
            stays.into_iter().map(|stay| u64::try_from(stay.as_millis()).unwrap_or(u64::MAX)).collect();
        stays.sort_unstable();
        Ok(Self(Kind::Recorded(stays)))
    }

    /// Estimates it from how many sessions began and expired in each minute: the mean number of live sessions divided by
    /// the rate at which they begin is the mean life (Little 1961). Of that, `idle` is the time in which nobody is there
    /// any more.
    ///
    /// It takes for granted that there was a minute in which almost nobody was there, such as at night. `None` if no
    /// session ended, or if what is left is less than a second.
    #[must_use]
    pub fn estimated(minutes: &[Minute], idle: Duration) -> Option<Self> {
        let mut live = 0_i64;
        let (mut sum, mut least) = (0_i64, 0_i64);
        for minute in minutes {
            live += i64::try_from(minute.begun).ok()? - i64::try_from(minute.ended).ok()?;
            least = least.min(live);
            sum += live;
        }
        let begun: u64 = minutes.iter().map(|minute| minute.begun).sum();
        let ended: u64 = minutes.iter().map(|minute| minute.ended).sum();
        if begun == 0 || ended == 0 {
            return None;
        }
        let mean_live = sum as f64 / minutes.len() as f64 - least as f64;
        let minute = 60_000.0;
        let life = mean_live * minutes.len() as f64 / begun as f64 * minute;
        let stay = life - millis(idle);
        (stay >= 1_000.0).then_some(Self(Kind::Exponential(stay)))
    }

    /// The stay of one session, in milliseconds.
    pub(super) fn draw(&self, chance: &mut impl Rng) -> u64 {
        let millis = match &self.0 {
            Kind::Fixed(stay) => *stay,
            Kind::Exponential(mean) => {
                let unit: f64 = Exp1.sample(chance);
                mean * unit
            }
            Kind::LogNormal { mu, sigma } => {
                let unit: f64 = StandardNormal.sample(chance);
                (mu + sigma * unit).exp()
            }
            Kind::Recorded(stays) => return stays[chance.random_range(0..stays.len())],
        };
        millis as u64
    }

    /// The mean, in milliseconds.
    pub(super) fn mean(&self) -> f64 {
        match &self.0 {
            Kind::Fixed(mean) | Kind::Exponential(mean) => *mean,
            Kind::LogNormal { mu, sigma } => (mu + sigma * sigma / 2.0).exp(),
            Kind::Recorded(stays) => stays.iter().map(|stay| *stay as f64).sum::<f64>() / stays.len() as f64,
        }
    }

    /// A stay that few sessions exceed, in milliseconds: the 95 % quantile.
    pub(super) fn long(&self) -> f64 {
        match &self.0 {
            Kind::Fixed(stay) => *stay,
            Kind::Exponential(mean) => mean * EXPONENTIAL_95,
            Kind::LogNormal { mu, sigma } => (mu + sigma * NORMAL_95).exp(),
            Kind::Recorded(stays) => stays[(stays.len() - 1) * 95 / 100] as f64,
        }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
