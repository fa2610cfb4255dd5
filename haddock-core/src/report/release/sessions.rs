//! What the record of traffic says of the sessions of each version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::Error;
use crate::name::{InstanceId, LocatorName, VersionId};
use crate::report::model::{Gap, Table};
use crate::report::words;
use crate::routing::TrafficRecord;
use crate::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

/// What each locator has recorded, or why that is not known.
pub(crate) type Records = BTreeMap<LocatorName, Result<TrafficRecord, Error>>;

/// Sessions within the time of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) failed: u64,
}

/// The sessions of each version.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    pub(super) live: BTreeMap<VersionId, Vec<(Timestamp, Option<u64>)>>,
    pub(super) counts: BTreeMap<VersionId, Counts>,
    pub(super) gaps: Vec<Gap>,
}

/// A change of the live sessions of an instance, as one locator sees it.
struct Change<'a> {
    at: Timestamp,
    whose: (usize, &'a InstanceId),
    live: Option<u64>,
}

/// Adds up what all locators have recorded.
pub(super) fn add_up(
    versions: &BTreeMap<InstanceId, VersionId>,
    records: &Records,
    from: Timestamp,
    until: Timestamp,
) -> Sessions {
    let mut sessions = Sessions::default();
    let mut changes: Vec<Change<'_>> = Vec::new();
    for (locator, record) in records.values().enumerate() {
        let Ok(record) = record else { continue };
        if record.is_unknown() {
            continue;
        }
        for row in &record.minutes {
            let Some(version) = versions.get(&row.instance) else { continue };
            let counts = sessions.counts.entry(*version).or_default();
            counts.begun += row.begun;
            counts.ended += row.ended;
            counts.failed += row.failed;
            let at = (row.minute + MINUTE).clamp(from, until);
            changes.push(Change { at, whose: (locator, &row.instance), live: row.live });
        }
        for gap in &record.gaps {
            let before = record.minutes.iter().filter(|row| row.minute < gap.from);
            let known: BTreeSet<&InstanceId> = before.map(|row| &row.instance).collect();
            changes.extend(known.into_iter().map(|id| Change { at: gap.from, whose: (locator, id), live: None }));
            sessions.gaps.push(Gap { from: gap.from.max(from), to: gap.to.min(until) });
        }
    }
    sessions.gaps = merged(std::mem::take(&mut sessions.gaps));
    changes.sort_by_key(|change| change.at);
    sessions.live = live(versions, &changes, until);
    sessions
}

/// The live sessions of each version whenever they change: the sum over instances and locators, if all are known.
fn live(
    versions: &BTreeMap<InstanceId, VersionId>,
    changes: &[Change<'_>],
    until: Timestamp,
) -> BTreeMap<VersionId, Vec<(Timestamp, Option<u64>)>> {
    let mut now: BTreeMap<VersionId, BTreeMap<(usize, &InstanceId), Option<u64>>> = BTreeMap::new();
    let mut points: BTreeMap<VersionId, Vec<(Timestamp, Option<u64>)>> = BTreeMap::new();
    for change in changes {
        let Some(version) = versions.get(change.whose.1) else { continue };
        let all = now.entry(*version).or_default();
        all.insert(change.whose, change.live);
        let sum = all.values().copied().sum::<Option<u64>>();
        let line = points.entry(*version).or_default();
        if let Some((last, live)) = line.last().copied() {
            if last == change.at {
                line.pop();
            } else if live.is_some() && change.at - last > MINUTE {
                // It stayed as it was until a minute before.
                line.push((change.at.before(MINUTE), live));
            }
        }
        line.push((change.at, sum));
    }
    for line in points.values_mut() {
        if let Some((last, live)) = line.last().copied().filter(|(last, _)| *last < until) {
            // After the last session has ended there is nothing more to draw.
            let end = if live == Some(0) { (last + MINUTE).min(until) } else { until };
            line.push((end, live));
        }
    }
    points
}

fn merged(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_by_key(|gap| gap.from);
    let mut merged: Vec<Gap> = Vec::new();
    for gap in gaps.into_iter().filter(|gap| gap.from < gap.to) {
        match merged.last_mut() {
            Some(last) if last.to >= gap.from => last.to = last.to.max(gap.to),
            _ => merged.push(gap),
        }
    }
    merged
}

impl Sessions {
    /// The figures of each version.
    pub(super) fn table(&self) -> Option<Table> {
        let row = |(version, counts): (&VersionId, &Counts)| {
            let numbers = [counts.begun, counts.ended, counts.failed].map(words::count);
            let part = if counts.begun == 0 { "–".to_owned() } else { percent(counts.failed, counts.begun) };
            std::iter::once(format!("version {}", version.0)).chain(numbers).chain([part]).collect()
        };
        let rows: Vec<Vec<String>> = self.counts.iter().map(row).collect();
        let head = ["version", "begun", "ended", "with a failed request", "of those begun"].map(str::to_owned).to_vec();
        (!rows.is_empty()).then(|| Table { caption: "Sessions by version".to_owned(), head, rows })
    }
}

/// With two digits that count, as in 0.031 %.
#[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
fn percent(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole as f64;
    let digits = if percent == 0.0 || percent >= 10.0 {
        0
    } else if percent >= 1.0 {
        1
    } else {
        3
    };
    format!("{percent:.digits$}\u{202f}%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{TrafficGap, TrafficMinute};

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_millis(minute * 60_000)
    }

    fn id(name: &str) -> InstanceId {
        InstanceId::new(name).unwrap()
    }

    fn row(minute: u64, instance: &str, live: Option<u64>) -> TrafficMinute {
        TrafficMinute { minute: at(minute), instance: id(instance), share: None, begun: 10, ended: 4, failed: 1, live }
    }

    fn record(minutes: Vec<TrafficMinute>, gaps: &[(u64, u64)]) -> TrafficRecord {
        let gaps = gaps.iter().map(|(from, to)| TrafficGap { from: at(*from), to: at(*to) }).collect();
        TrafficRecord { from: at(0), until: at(100), minutes, gaps }
    }

    fn add(records: Vec<TrafficRecord>) -> Sessions {
        let versions = [("a", 1), ("b", 2), ("c", 2)].map(|(name, version)| (id(name), VersionId(version)));
        let names = ["one", "two"].map(|name| LocatorName::new(name).unwrap());
        let records = names.into_iter().zip(records.into_iter().map(Ok)).collect();
        add_up(&versions.into(), &records, at(0), at(100))
    }

    #[test]
    fn replicas_and_locators_add_up_and_what_does_not_change_is_flat() {
        let rows = |live| record(vec![row(0, "b", Some(live)), row(0, "c", Some(5)), row(50, "b", Some(0))], &[]);
        let sessions = add(vec![rows(10), rows(20)]);
        let live = &sessions.live[&VersionId(2)];
        assert_eq!(live[..], [(at(1), Some(40)), (at(50), Some(40)), (at(51), Some(10)), (at(100), Some(10))]);
        assert_eq!(sessions.counts[&VersionId(2)], Counts { begun: 60, ended: 24, failed: 6 });
        let table = sessions.table().unwrap();
        assert_eq!(table.rows[0][1..], ["60", "24", "6", "10\u{202f}%"]);
    }

    #[test]
    fn a_gap_is_unknown_and_not_empty() {
        let sessions = add(vec![record(vec![row(0, "a", Some(7)), row(40, "a", Some(3))], &[(10, 40)])]);
        let live = &sessions.live[&VersionId(1)];
        assert_eq!(
            live[..],
            [(at(1), Some(7)), (at(9), Some(7)), (at(10), None), (at(41), Some(3)), (at(100), Some(3))]
        );
        assert_eq!(sessions.gaps, [Gap { from: at(10), to: at(40) }]);
    }

    #[test]
    fn no_record_is_no_line() {
        let sessions = add(vec![record(Vec::new(), &[(0, 100)])]);
        assert!(sessions.live.is_empty() && sessions.table().is_none() && sessions.gaps.is_empty());
    }

    #[test]
    fn parts_have_digits_that_count() {
        for (part, whole, told) in [(0, 9, "0"), (1, 3000, "0.033"), (3, 100, "3.0"), (1, 2, "50")] {
            assert_eq!(percent(part, whole), format!("{told}\u{202f}%"));
        }
    }
}
