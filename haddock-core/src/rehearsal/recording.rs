//! Traffic that was recorded.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;

use super::minute::{MINUTE, Minute};
use super::stay::Stay;
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;
use crate::value;

const DAY: u64 = 24 * 60;
const WEEK: u64 = 7 * DAY;

/// Sessions by minute, without gaps. Before its first minute and after its last one, it repeats itself by whole weeks, else by
/// whole days, else as it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recording {
    /// The number of the first minute since the epoch.
    first: u64,
    /// Sessions that began, and those of them that failed.
    minutes: Vec<(u32, u32)>,
    period: u64,
}

/// The longest recording: ten years.
const MAX_MINUTES: u64 = 10 * 366 * DAY;

impl Recording {
    pub(super) fn new(rows: &[Minute]) -> Result<Self> {
        let number = |row: &Minute| row.minute.as_millis() / MINUTE;
        let (Some(first), Some(last)) = (rows.iter().map(number).min(), rows.iter().map(number).max()) else {
            return Err(Error::new(ErrorKind::InvalidValue, "the recorded traffic has no minute")
                .with_hint("record for at least an hour, or give `--sessions-per-minute`"));
        };
        let length = last - first + 1;
        if length > MAX_MINUTES {
            let message = format!("the recorded traffic is from `{}` to `{}`", time(first), time(last));
            return Err(
                Error::new(ErrorKind::InvalidValue, message).with_hint("ten years are the most; check the times")
            );
        }
        let mut minutes = vec![(0_u32, 0_u32); usize::try_from(length).unwrap_or(usize::MAX)];
        for row in rows {
            let (begun, failed) = &mut minutes[usize::try_from(number(row) - first).unwrap_or(usize::MAX)];
            *begun = begun.saturating_add(u32::try_from(row.begun).unwrap_or(u32::MAX));
            *failed = failed.saturating_add(u32::try_from(row.failed).unwrap_or(u32::MAX)).min(*begun);
        }
        let period = [WEEK, DAY].into_iter().find(|period| length >= *period);
        let period = period.map_or(length, |period| length / period * period);
        Ok(Self { first, minutes, period })
    }

    /// Sessions that begin in that minute since the epoch, and those of them that fail.
    pub(super) fn at(&self, minute: u64) -> (u32, u32) {
        let length = self.minutes.len() as u64;
        let place = if minute < self.first {
            let before = (self.first - minute) % self.period;
            (self.period - before) % self.period
        } else if minute - self.first < length {
            minute - self.first
        } else {
            length - self.period + (minute - self.first - length) % self.period
        };
        self.minutes[usize::try_from(place).unwrap_or(usize::MAX)]
    }

    /// The share of all sessions that failed.
    pub(super) fn failed(&self) -> f64 {
        let sum = |of: fn(&(u32, u32)) -> u32| self.minutes.iter().map(|minute| u64::from(of(minute))).sum::<u64>();
        let begun = sum(|minute| minute.0);
        if begun == 0 { 0.0 } else { sum(|minute| minute.1) as f64 / begun as f64 }
    }
}

fn time(minute: u64) -> Timestamp {
    Timestamp::from_millis(minute * MINUTE)
}

/// Sessions from a CSV file: when each began, and how long it stayed.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedSessions {
    /// How many began in each minute. Empty if the file has no column `begin`.
    pub minutes: Vec<Minute>,
    /// How long they stayed.
    pub stay: Stay,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    begin: Option<String>,
    duration: String,
}

impl RecordedSessions {
    /// Reads a CSV file with a column `duration` and perhaps a column `begin`. A duration is a number of seconds, or is
    /// written as `1m30s`. A begin is written as `2026-11-24T10:00:00Z`, with an offset if it is not in UTC.
    ///
    /// ```
    /// use haddock_core::rehearsal::RecordedSessions;
    ///
    /// # fn main() -> haddock_core::Result<()> {
    /// let file = "begin,duration\n2026-11-24T10:00:07Z,311\n2026-11-24T10:00:40Z,1m30s\n";
    /// let sessions = RecordedSessions::read(file.as_bytes())?;
    /// assert_eq!(sessions.minutes[0].begun, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) with the line if something cannot be read, or if there is no session.
    pub fn read(file: impl Read) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(file);
        let (mut begun, mut stays) = (std::collections::BTreeMap::<u64, u64>::new(), Vec::new());
        for (line, row) in (2_u64..).zip(reader.deserialize::<Line>()) {
            let row = row.map_err(|error| wrong(line, &error.to_string()))?;
            stays.push(duration(&row.duration).map_err(|error| wrong(line, &error.to_string()))?);
            if let Some(begin) = row.begin {
                let begin: jiff::Timestamp = begin.parse().map_err(|error| wrong(line, &format!("{error}")))?;
                let millis = u64::try_from(begin.as_millisecond()).map_err(|_| wrong(line, "it began before 1970"))?;
                *begun.entry(millis / MINUTE).or_default() += 1;
            }
        }
        let minutes =
            begun.into_iter().map(|(minute, begun)| Minute { minute: time(minute), begun, ended: 0, failed: 0 });
        Ok(Self { minutes: minutes.collect(), stay: Stay::recorded(stays)? })
    }
}

fn wrong(line: u64, why: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("the recorded sessions, line {line}: {why}"))
        .with_hint("write a column `duration` (seconds, or as `1m30s`), and if you know it a column `begin` (as `2026-11-24T10:00:00Z`)")
}

/// The longest stay: a year.
const MAX_STAY: f64 = 365.0 * 86_400.0;

fn duration(text: &str) -> Result<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=MAX_STAY).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` s is not between 0 s and a year"))),
        Err(_) => value::duration(text),
    }
}
