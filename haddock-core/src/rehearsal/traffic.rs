//! When sessions begin.

use jiff::tz::TimeZone;
use rand::{Rng, RngExt as _};
use rand_distr::{Distribution as _, Exp1};

use super::minute::{MINUTE, Minute};
use super::recording::Recording;
use super::stay::Stay;
use crate::error::{Error, ErrorKind, Result};

/// The most sessions that begin in a minute. More than this no service has.
const MAX_PER_MINUTE: f64 = 100_000_000.0;
/// Requests of a session, unless something else is known.
const REQUESTS: u32 = 20;

/// A model of the traffic: when sessions begin, and how long they stay.
///
/// ```
/// use haddock_core::rehearsal::{Stay, Traffic};
///
/// # fn main() -> haddock_core::Result<()> {
/// // 10 sessions a minute on average, three times as many at noon, none at three in the morning.
/// let mut hours = [1.0; 24];
/// (hours[12], hours[3]) = (3.0, 0.0);
/// let traffic = Traffic::steady(10.0, Stay::default())?.by_hour(hours)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    arrivals: Arrivals,
    stay: Stay,
    requests: u32,
}

#[derive(Debug, Clone, PartialEq)]
enum Arrivals {
    Steady(f64),
    /// Sessions a minute, and by what factor more or less they are in each hour and on each weekday.
    Weekly(Box<Weekly>),
    Recorded(Recording),
}

#[derive(Debug, Clone, PartialEq)]
struct Weekly {
    per_minute: f64,
    hours: [f64; 24],
    weekdays: [f64; 7],
    zone: TimeZone,
}

impl Traffic {
    /// Sessions begin independently of each other (a Poisson process), on average this many a minute.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if the rate is negative, not finite, or above a hundred million.
    pub fn steady(per_minute: f64, stay: Stay) -> Result<Self> {
        if !(0.0..=MAX_PER_MINUTE).contains(&per_minute) {
            let message = format!("`{per_minute}` is no number of sessions a minute");
            return Err(Error::new(ErrorKind::InvalidValue, message).with_hint("give a number from 0 to 100000000"));
        }
        Ok(Self { arrivals: Arrivals::Steady(per_minute), stay, requests: REQUESTS })
    }

    /// As many sessions begin in each minute as were recorded in that minute. The same share of them fails. Before the first
    /// minute and after the last, the recording repeats itself: by whole weeks, else by whole days, else as it is.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if there is no minute, or if they are more than ten years apart.
    pub fn recorded(minutes: &[Minute], stay: Stay) -> Result<Self> {
        Ok(Self { arrivals: Arrivals::Recorded(Recording::new(minutes)?), stay, requests: REQUESTS })
    }

    /// By what factor more or less sessions begin in each hour of the day, from midnight on. In UTC, unless
    /// [`in_zone`](Self::in_zone) says something else. Recorded traffic stays as it was.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if a factor is negative, not finite, or makes too many sessions.
    pub fn by_hour(mut self, factors: [f64; 24]) -> Result<Self> {
        check(&factors)?;
        if let Some(weekly) = self.weekly() {
            weekly.hours = factors;
        }
        Ok(self)
    }

    /// By what factor more or less sessions begin on each day of the week, from Monday on.
    ///
    /// # Errors
    /// As [`by_hour`](Self::by_hour).
    pub fn by_weekday(mut self, factors: [f64; 7]) -> Result<Self> {
        check(&factors)?;
        if let Some(weekly) = self.weekly() {
            weekly.weekdays = factors;
        }
        Ok(self)
    }

    /// The time zone of the hours and weekdays.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        if let Some(weekly) = self.weekly() {
            weekly.zone = zone;
        }
        self
    }

    /// How many requests a session has on average: 20 unless this is called.
    #[must_use]
    pub fn requests(mut self, requests: u32) -> Self {
        self.requests = requests.max(1);
        self
    }

    fn weekly(&mut self) -> Option<&mut Weekly> {
        if let Arrivals::Steady(per_minute) = self.arrivals {
            let (hours, weekdays, zone) = ([1.0; 24], [1.0; 7], TimeZone::UTC);
            self.arrivals = Arrivals::Weekly(Box::new(Weekly { per_minute, hours, weekdays, zone }));
        }
        match &mut self.arrivals {
            Arrivals::Weekly(weekly) => Some(weekly),
            Arrivals::Steady(_) | Arrivals::Recorded(_) => None,
        }
    }

    pub(super) fn stay(&self) -> &Stay {
        &self.stay
    }

    pub(super) fn requests_of_a_session(&self) -> u32 {
        self.requests
    }

    /// The share of sessions that failed in that minute, and over all, if that was recorded.
    pub(super) fn failed_at(&self, millis: u64) -> Option<f64> {
        let Arrivals::Recorded(recording) = &self.arrivals else { return None };
        let (begun, failed) = recording.at(millis / MINUTE);
        Some(if begun == 0 { 0.0 } else { f64::from(failed) / f64::from(begun) })
    }

    /// The share of all sessions that failed; 0 if that was not recorded.
    pub(super) fn failed(&self) -> f64 {
        match &self.arrivals {
            Arrivals::Recorded(recording) => recording.failed(),
            Arrivals::Steady(_) | Arrivals::Weekly(_) => 0.0,
        }
    }

    fn span(&self, at: u64) -> Span {
        match &self.arrivals {
            Arrivals::Steady(per_minute) => Span { end: u64::MAX, of: Of::Rate(*per_minute) },
            Arrivals::Weekly(weekly) => weekly.span(at),
            Arrivals::Recorded(recording) => {
                let minute = at / MINUTE;
                Span { end: (minute + 1) * MINUTE, of: Of::Exactly(recording.at(minute).0) }
            }
        }
    }
}

fn check(factors: &[f64]) -> Result<()> {
    match factors.iter().find(|factor| !(0.0..=1_000.0).contains(*factor)) {
        None => Ok(()),
        Some(wrong) => Err(Error::new(ErrorKind::InvalidValue, format!("`{wrong}` is no factor of the traffic"))
            .with_hint("a factor is from 0 to 1000; 1 leaves the traffic as it is")),
    }
}

impl Weekly {
    fn span(&self, at: u64) -> Span {
        let instant = i64::try_from(at).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        let civil = instant.unwrap_or_default().to_zoned(self.zone.clone());
        let hour = usize::try_from(civil.hour()).unwrap_or_default();
        let day = usize::try_from(civil.weekday().to_monday_zero_offset()).unwrap_or_default();
        // Zones differ from UTC by whole quarters of an hour today.
        const QUARTER: u64 = 15 * MINUTE;
        let end = (at / QUARTER + 1) * QUARTER;
        Span { end, of: Of::Rate(self.per_minute * self.hours[hour] * self.weekdays[day]) }
    }
}

/// A time in which sessions begin at a steady rate.
struct Span {
    /// When it ends, in milliseconds since the epoch.
    end: u64,
    of: Of,
}

enum Of {
    /// By chance, this many a minute.
    Rate(f64),
    /// This many, at times that chance decides.
    Exactly(u32),
}

/// The times at which sessions begin, one after another.
pub(super) struct Beginnings {
    at: f64,
    span: Span,
}

impl Beginnings {
    pub(super) fn new(traffic: &Traffic, from: u64) -> Self {
        Self { at: from as f64, span: traffic.span(from) }
    }

    /// When the next session begins, in milliseconds since the epoch, if that is before `end`.
    pub(super) fn next(&mut self, traffic: &Traffic, end: u64, chance: &mut impl Rng) -> Option<u64> {
        loop {
            let span_end = self.span.end as f64;
            let next = match &mut self.span.of {
                Of::Rate(per_minute) if *per_minute > 0.0 => {
                    let unit: f64 = Exp1.sample(chance);
                    self.at + unit / *per_minute * MINUTE as f64
                }
                Of::Rate(_) | Of::Exactly(0) => f64::INFINITY,
                // The earliest of `left` times that are uniform over what is left of the span.
                Of::Exactly(left) => {
                    let unit: f64 = chance.random();
                    let next = span_end - (span_end - self.at) * (1.0 - unit).powf(1.0 / f64::from(*left));
                    *left -= 1;
                    // By rounding it may be the end itself.
                    next.min(span_end - 1.0).max(self.at)
                }
            };
            if next < span_end {
                self.at = next;
                return (next < end as f64).then_some(next as u64);
            }
            if self.span.end >= end {
                return None;
            }
            // A Poisson process has no memory: it begins anew with the next rate.
            self.at = span_end;
            self.span = traffic.span(self.span.end);
        }
    }
}
