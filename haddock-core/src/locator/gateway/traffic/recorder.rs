//! What changed since the last minute. Pure: the time and the totals are arguments.

use std::collections::{HashMap, VecDeque};

use super::entry::{Entry, Row};
use crate::name::InstanceId;
use crate::time::Timestamp;

use super::super::service_routing::Totals;

pub(super) const MINUTE: u64 = 60;
pub(super) const DAY: u64 = 24 * 3600;
/// A time without change is written after this many seconds. If the gateway is killed, at most that long is unknown.
pub(super) const LONGEST_QUIET: u64 = 10 * MINUTE;
/// Entries that are kept while the disk takes none: half a day.
const MOST_UNWRITTEN: usize = 720;

/// Finds what changed.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The end of the last entry, in seconds since the Unix epoch.
    recorded: u64,
    /// When the last look was.
    looked: u64,
    last: HashMap<InstanceId, Totals>,
    unwritten: VecDeque<Entry>,
}

impl Recorder {
    pub(super) fn new(now: Timestamp) -> Self {
        let now = seconds(now);
        Self { recorded: now, looked: now, last: HashMap::new(), unwritten: VecDeque::new() }
    }

    /// When to look again.
    pub(super) fn due(&self) -> Timestamp {
        Timestamp::from_millis((self.looked / MINUTE + 1) * MINUTE * 1000)
    }

    /// The entries that are not written yet, oldest first.
    pub(super) fn unwritten(&mut self) -> &mut VecDeque<Entry> {
        &mut self.unwritten
    }

    /// Takes the totals of this moment. What changed counts for the minute that has just ended; at the `last` look, for
    /// the present one.
    pub(super) fn look(&mut self, totals: Vec<Totals>, now: Timestamp, last: bool) {
        let now = seconds(now);
        let until = if last { now } else { now / MINUTE * MINUTE };
        if until < self.looked || (until == self.looked && !last) {
            return;
        }
        let entry = self.entry(totals.iter().cloned(), until);
        self.looked = until;
        self.last = totals.into_iter().map(|totals| (totals.instance.clone(), totals)).collect();
        if entry.rows.is_empty() && !last && until - self.recorded < LONGEST_QUIET {
            return;
        }
        self.recorded = until;
        self.unwritten.push_back(entry);
        if self.unwritten.len() > MOST_UNWRITTEN {
            self.unwritten.pop_front();
        }
    }

    /// All that is not written yet, and what changed since the last look.
    pub(super) fn all_unwritten(&self, totals: impl Iterator<Item = Totals>, now: Timestamp) -> Vec<Entry> {
        let until = seconds(now).max(self.looked);
        self.unwritten.iter().cloned().chain([self.entry(totals, until)]).collect()
    }

    fn entry(&self, totals: impl Iterator<Item = Totals>, until: u64) -> Entry {
        // Each day's file can be read without those before it.
        let whole = day(self.recorded) != day(until);
        let mut rows: Vec<Row> = totals.filter_map(|now| row(self.last.get(&now.instance), now, whole)).collect();
        rows.sort_by(|a, b| a.instance.cmp(&b.instance));
        Entry { from: self.recorded, until, rows }
    }
}

/// What changed on an instance, or, for a new day, how it is.
fn row(last: Option<&Totals>, now: Totals, whole: bool) -> Option<Row> {
    // One with smaller totals is another life of the same name.
    let last = last.filter(|last| last.begun <= now.begun && last.ended <= now.ended && last.failed <= now.failed);
    let since = |total: fn(&Totals) -> u64| total(&now) - last.map_or(0, total);
    let (begun, ended, failed) = (since(|it| it.begun), since(|it| it.ended), since(|it| it.failed));
    let nothing_before = (None, Some(0));
    let before = last.map_or(nothing_before, |last| (last.share, last.live));
    let is_new = before != (now.share, now.live) || begun + ended + failed > 0;
    let is_there = whole && nothing_before != (now.share, now.live);
    (is_new || is_there).then_some(Row {
        instance: now.instance,
        share: now.share,
        begun,
        ended,
        failed,
        live: now.live,
    })
}

pub(super) fn seconds(at: Timestamp) -> u64 {
    at.as_millis() / 1000
}

/// The day in whose file an entry is that ends then.
pub(super) fn day(until: u64) -> u64 {
    until.saturating_sub(1) / DAY
}
