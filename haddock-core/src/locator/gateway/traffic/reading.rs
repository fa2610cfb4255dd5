//! Entries are put together: rows by minute, and gaps.

use std::collections::BTreeMap;

use super::entry::{Entry, Row};
use super::files::Files;
use super::recorder::{DAY, LONGEST_QUIET, MINUTE, seconds};
use crate::name::InstanceId;
use crate::routing::{TrafficGap, TrafficMinute, TrafficRecord};
use crate::time::Timestamp;

/// An answer ends with the day in which it gets this long. So even with many instances it takes a few megabytes.
const ENOUGH_ROWS: usize = 20_000;

/// What is recorded between two moments, or until now.
pub(super) fn read(
    files: &Files,
    unwritten: &[Entry],
    from: Timestamp,
    until: Timestamp,
    now: Timestamp,
) -> TrafficRecord {
    let until = until.min(now);
    let (first, mut end) = (seconds(from), seconds(until).max(seconds(from)));
    let mut reading = Reading::new(first);
    let mut day = first / DAY;
    // An entry is in the file of the day in which it ends.
    while day * DAY <= end + LONGEST_QUIET {
        reading.take(&files.read(day));
        day += 1;
        if reading.rows.len() >= ENOUGH_ROWS && day * DAY < end {
            // The begin of the next file tells of the end of this day.
            reading.take(&files.read(day));
            end = day * DAY;
            break;
        }
    }
    reading.take(unwritten);
    reading.finish(from, if end == seconds(until) { until } else { Timestamp::from_millis(end * 1000) })
}

struct Reading {
    /// In seconds since the Unix epoch.
    first: u64,
    /// The state before the first minute.
    before: BTreeMap<InstanceId, (u64, Row)>,
    rows: BTreeMap<(u64, InstanceId), Row>,
    covered: Vec<(u64, u64)>,
}

impl Reading {
    fn new(first: u64) -> Self {
        Self { first, before: BTreeMap::new(), rows: BTreeMap::new(), covered: Vec::new() }
    }

    fn take(&mut self, entries: &[Entry]) {
        let first = self.first / MINUTE * MINUTE;
        for entry in entries {
            self.covered.push((entry.from, entry.until));
            let minute = entry.until.saturating_sub(1).max(entry.from) / MINUTE * MINUTE;
            for row in &entry.rows {
                if minute < first {
                    self.before.insert(row.instance.clone(), (entry.until, row.clone()));
                    continue;
                }
                let known = self.rows.entry((minute, row.instance.clone())).or_insert_with(|| Row {
                    begun: 0,
                    ended: 0,
                    failed: 0,
                    ..row.clone()
                });
                known.begun += row.begun;
                known.ended += row.ended;
                known.failed += row.failed;
                (known.share, known.live) = (row.share, row.live);
            }
        }
    }

    fn finish(mut self, from: Timestamp, until: Timestamp) -> TrafficRecord {
        let gaps = self.gaps(from, until);
        // After a gap nobody knows how it is, so only what is covered without one goes on.
        let since = self.since();
        let minute = self.first / MINUTE * MINUTE;
        for (instance, (at, row)) in std::mem::take(&mut self.before) {
            if since.is_some_and(|since| at > since) && (row.share, row.live) != (None, Some(0)) {
                let quiet = Row { begun: 0, ended: 0, failed: 0, ..row };
                self.rows.entry((minute, instance)).or_insert(quiet);
            }
        }
        let end = seconds(until);
        let within = self.rows.into_iter().filter(|((minute, _), _)| *minute < end);
        let minutes = within.map(|((minute, instance), Row { share, begun, ended, failed, live, .. })| TrafficMinute {
            minute: Timestamp::from_millis(minute * 1000),
            instance,
            share,
            begun,
            ended,
            failed,
            live,
        });
        TrafficRecord { from, until, minutes: minutes.collect(), gaps }
    }

    /// Since when everything is covered up to the first moment; `None` if that is not.
    fn since(&self) -> Option<u64> {
        let (mut since, mut found) = (self.first, false);
        while let Some((from, _)) = self.covered.iter().find(|(from, until)| *from < since && since <= *until) {
            (since, found) = (*from, true);
        }
        let is_covered = self.covered.iter().any(|(from, until)| *from <= self.first && self.first < *until);
        (found && is_covered).then_some(since)
    }

    /// What is not covered.
    fn gaps(&mut self, from: Timestamp, until: Timestamp) -> Vec<TrafficGap> {
        self.covered.sort_unstable();
        let at = |second: u64| Timestamp::from_millis(second * 1000).clamp(from, until.max(from));
        let (mut gaps, mut known) = (Vec::new(), seconds(from));
        for (begin, end) in self.covered.iter().copied().chain([(seconds(until), seconds(until))]) {
            if begin > known && known < seconds(until) {
                let to = if begin >= seconds(until) { until } else { at(begin) };
                gaps.push(TrafficGap { from: at(known), to });
            }
            known = known.max(end);
        }
        gaps
    }
}
