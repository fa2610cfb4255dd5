//! A row of recorded traffic.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::routing::TrafficRecord;
use crate::time::Timestamp;

/// What happened in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// When it began.
    pub minute: Timestamp,
    /// Sessions that began in it.
    pub begun: u64,
    /// Sessions that expired in it.
    #[serde(default)]
    pub ended: u64,
    /// Sessions of those that began in it that had a failed request.
    #[serde(default)]
    pub failed: u64,
}

/// A minute in milliseconds.
pub(super) const MINUTE: u64 = 60_000;

impl Minute {
    /// What locators recorded, added up over instances and locators. A minute in which nothing happened is left out, and so is
    /// one of which nothing was recorded.
    #[must_use]
    pub fn of(records: &[TrafficRecord]) -> Vec<Self> {
        let mut minutes: BTreeMap<Timestamp, Self> = BTreeMap::new();
        for row in records.iter().flat_map(|record| &record.minutes) {
            let sum = minutes.entry(row.minute).or_insert(Self { minute: row.minute, begun: 0, ended: 0, failed: 0 });
            sum.begun += row.begun;
            sum.ended += row.ended;
            sum.failed += row.failed;
        }
        minutes.into_values().filter(|minute| (minute.begun, minute.ended, minute.failed) != (0, 0, 0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::InstanceId;
    use crate::routing::TrafficMinute;

    #[test]
    fn minutes_of_instances_and_locators_are_added_up() {
        let row = |minute: u64, instance: &str, begun| TrafficMinute {
            minute: Timestamp::from_millis(minute * MINUTE),
            instance: InstanceId::new(instance).unwrap(),
            share: None,
            begun,
            ended: 1,
            failed: 0,
            live: None,
        };
        let record = |minutes| TrafficRecord {
            from: Timestamp::from_millis(0),
            until: Timestamp::from_millis(10 * MINUTE),
            minutes,
            gaps: Vec::new(),
        };
        let records = [record(vec![row(1, "a", 2), row(1, "b", 3), row(4, "a", 1)]), record(vec![row(1, "a", 10)])];
        let minutes = Minute::of(&records);
        let told: Vec<(u64, u64, u64)> =
            minutes.iter().map(|it| (it.minute.as_millis() / MINUTE, it.begun, it.ended)).collect();
        assert_eq!(told, [(1, 15, 3), (4, 1, 1)]);
    }
}
