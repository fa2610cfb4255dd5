//! Times at which no release begins by itself.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Zoned};
use regex_lite::Regex;

use crate::error::{Error, ErrorKind};
use crate::time::Timestamp;

/// From when to when, and in which time zone: `Fri 16:00 – Mon 08:00 Europe/Stockholm`. Both may also be a time of each
/// day, or a date and a time.
const FORM: &str = r"(?i)^\s*(?:([a-z]+|\d{4}-\d\d-\d\d)\s+)?(\d{1,2}:\d\d)\s*(?:–|—|-|\bto\b)\s*(?:([a-z]+|\d{4}-\d\d-\d\d)\s+)?(\d{1,2}:\d\d)\s+(\S+)\s*$";
const HINT: &str = "write `Fri 16:00 – Mon 08:00 Europe/Stockholm`, or `22:00 – 06:00 UTC` for each day";
/// Windows that follow each other without a gap are followed for this many windows, to say when the last one ends.
const MAX_IN_A_ROW: usize = 16;

/// A time at which no release begins by itself, usually one of each week.
///
/// Times are those that clocks show in that time zone. When clocks are set forward, a time that they leave out means the
/// time as long after the change; when they are set back, a time that comes twice means the first one.
///
/// ```
/// use haddock_core::environment::Freeze;
///
/// let weekend: Freeze = "Fri 16:00 – Mon 08:00 Europe/Stockholm".parse()?;
/// assert_eq!(weekend, "friday 16:00 to monday 8:00 Europe/Stockholm".parse()?);
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, Eq)]
pub struct Freeze {
    written: String,
    bounds: Bounds,
    zone: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bounds {
    Daily(Time, Time),
    Weekly((Weekday, Time), (Weekday, Time)),
    Once(DateTime, DateTime),
}

impl Freeze {
    /// When this window ends, if `now` is in it. Its begin is in it, its end is not.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let now = jiff::Timestamp::from_millisecond(i64::try_from(now.as_millis()).ok()?).ok()?;
        let local = now.to_zoned(self.zone.clone()).date();
        let begins = |date: Date| match self.bounds {
            Bounds::Daily(from, _) => Some(date.to_datetime(from)),
            Bounds::Weekly((day, from), _) => (date.weekday() == day).then(|| date.to_datetime(from)),
            Bounds::Once(from, _) => (date == local).then_some(from),
        };
        let ends = |from: DateTime| match self.bounds {
            Bounds::Daily(_, to) => first_after(from, to, |_| true),
            Bounds::Weekly(_, (day, to)) => first_after(from, to, |date| date.weekday() == day),
            Bounds::Once(_, to) => Some(to),
        };
        // The window that holds `now` began within the last week.
        let dates = (0..=7).filter_map(|days| local.checked_sub(Span::new().days(days)).ok());
        let windows =
            dates.filter_map(begins).filter_map(|from| Some((self.instant(from)?, self.instant(ends(from)?)?)));
        let end = windows.filter(|(from, to)| *from <= now && now < *to).map(|(_, to)| to).max()?;
        // A window ends in the millisecond in which it ends, and not before.
        u64::try_from(end.as_millisecond()).ok().map(Timestamp::from_millis)
    }

    fn instant(&self, at: DateTime) -> Option<jiff::Timestamp> {
        self.zone.to_zoned(at).map(|zoned: Zoned| zoned.timestamp()).ok()
    }

    /// The time as clocks in this window's time zone show it, for people.
    #[must_use]
    pub fn shown(&self, at: Timestamp) -> String {
        let at = i64::try_from(at.as_millis()).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        let name = self.zone.iana_name().unwrap_or("UTC");
        at.map(|at| format!("{} {name}", at.to_zoned(self.zone.clone()).strftime("%a %Y-%m-%d %H:%M")))
            .unwrap_or_default()
    }
}

/// When the freeze ends that `now` is in, and the window that ends it. Windows that follow each other without a gap are
/// one freeze.
pub(crate) fn frozen_until(windows: &[Freeze], now: Timestamp) -> Option<(Timestamp, &Freeze)> {
    let of = |at: Timestamp| windows.iter().filter_map(|it| Some((it.until(at)?, it))).max_by_key(|(until, _)| *until);
    let mut last = of(now)?;
    for _ in 0..MAX_IN_A_ROW {
        match of(last.0) {
            Some(next) => last = next,
            None => break,
        }
    }
    Some(last)
}

/// The first time after `from` at which clocks show `time`, on a day that is meant.
fn first_after(from: DateTime, time: Time, is_meant: impl Fn(Date) -> bool) -> Option<DateTime> {
    let dates = (0..=7).filter_map(|days| from.date().checked_add(Span::new().days(days)).ok());
    dates.filter(|date| is_meant(*date)).map(|date| date.to_datetime(time)).find(|at| *at > from)
}

impl PartialEq for Freeze {
    fn eq(&self, other: &Self) -> bool {
        self.bounds == other.bounds && self.zone == other.zone
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for Freeze {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why: String| {
            Error::new(ErrorKind::InvalidValue, format!("the freeze `{text}` cannot be read: {why}")).with_hint(HINT)
        };
        let form = Regex::new(FORM).expect("a valid expression");
        let found = form.captures(text).ok_or_else(|| refused("it is not two times and a time zone".to_owned()))?;
        let part = |index: usize| found.get(index).map(|part| part.as_str());
        let time = |index: usize| {
            let written = part(index).unwrap_or_default();
            Time::strptime("%H:%M", written).map_err(|_| refused(format!("`{written}` is not a time of day")))
        };
        let (from, to) = (time(2)?, time(4)?);
        let bounds = match (part(1), part(3)) {
            (None, None) => Bounds::Daily(from, to),
            (Some(first), Some(last)) => match (date(first), date(last)) {
                (Some(first), Some(last)) => Bounds::Once(first.to_datetime(from), last.to_datetime(to)),
                (None, None) => {
                    let day = |name: &str| weekday(name).ok_or_else(|| refused(format!("`{name}` is not a weekday")));
                    Bounds::Weekly((day(first)?, from), (day(last)?, to))
                }
                _ => return Err(refused("one end is a date and the other is not".to_owned())),
            },
            _ => return Err(refused("one end has a day and the other has none".to_owned())),
        };
        match bounds {
            Bounds::Daily(from, to) if from == to => return Err(refused("it would never end".to_owned())),
            Bounds::Weekly(from, to) if from == to => return Err(refused("it would never end".to_owned())),
            Bounds::Once(from, to) if from >= to => return Err(refused("it ends before it begins".to_owned())),
            _ => {}
        }
        let name = part(5).unwrap_or_default();
        let zone = TimeZone::get(name).map_err(|_| refused(format!("`{name}` is not a time zone")))?;
        Ok(Self { written: text.trim().to_owned(), bounds, zone })
    }
}

fn date(text: &str) -> Option<Date> {
    text.parse().ok()
}

/// `Fri` or `Friday`, in any case.
fn weekday(text: &str) -> Option<Weekday> {
    ["%A", "%a"].iter().find_map(|form| jiff::fmt::strtime::parse(form, text).ok()?.weekday())
}

#[cfg(test)]
#[path = "freeze_tests.rs"]
mod tests;
