//! How many sessions were on which version, second by second.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::client::Report;

/// How many characters the longest bar has.
const WIDTH: u64 = 50;

/// The record of a run: what the client reported, and what was done and seen meanwhile.
#[derive(Debug, Default)]
pub struct Timeline {
    rows: BTreeMap<u64, BTreeMap<String, u64>>,
    notes: BTreeMap<u64, Vec<String>>,
    versions: BTreeSet<(usize, String)>,
    most_at_once: u64,
}

impl Timeline {
    /// Takes over a report of time `t`, in seconds; of those of one second the first is shown.
    pub fn report(&mut self, t: f64, report: &Report) {
        let at_once = report.sessions_by_version.len() as u64;
        self.most_at_once = self.most_at_once.max(at_once);
        // By length first, so that v10 comes after v9.
        self.versions.extend(report.sessions_by_version.keys().map(|version| (version.len(), version.clone())));
        self.rows.entry(second(t)).or_insert_with(|| report.sessions_by_version.clone());
    }

    /// Notes what happened at time `t`.
    pub fn note(&mut self, t: f64, text: impl Into<String>) {
        self.notes.entry(second(t)).or_default().push(text.into());
    }

    /// The most versions that had sessions at the same time.
    #[must_use]
    pub fn most_at_once(&self) -> u64 {
        self.most_at_once
    }

    /// The timeline for a person to read: a line for each second, with a bar in which each version has its digit.
    #[must_use]
    pub fn chart(&self) -> String {
        let longest = self.rows.values().map(|row| row.values().sum::<u64>()).max().unwrap_or(0).max(1);
        let mut chart = String::from("   s ");
        for (_, version) in &self.versions {
            let _ = write!(chart, "{version:>6}");
        }
        chart.push_str("  sessions\n");
        let nobody = BTreeMap::new();
        let seconds: BTreeSet<_> = self.rows.keys().chain(self.notes.keys()).collect();
        for second in seconds {
            let row = self.rows.get(second).unwrap_or(&nobody);
            let _ = write!(chart, "{second:>4} ");
            let mut bar = String::new();
            let mut sum = 0;
            for (_, version) in &self.versions {
                let sessions = row.get(version).copied().unwrap_or(0);
                let _ = if sessions == 0 { write!(chart, "{:>6}", "·") } else { write!(chart, "{sessions:>6}") };
                sum += sessions;
                // Up to where the bar reaches with this version: so roundings do not add up.
                let reach = usize::try_from((sum * WIDTH).div_ceil(longest)).unwrap_or(0);
                let sign = version.chars().last().unwrap_or('#');
                bar.extend(std::iter::repeat_n(sign, reach.saturating_sub(bar.len())));
            }
            let notes = self.notes.get(second).map(|notes| notes.join("; ")).unwrap_or_default();
            let width = usize::try_from(WIDTH).unwrap_or(0);
            let line = format!("  {bar:<width$}  {notes}");
            chart.push_str(line.trim_end());
            chart.push('\n');
        }
        chart
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a run lasts seconds, and begins at 0")]
fn second(t: f64) -> u64 {
    t as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(sessions: &[(&str, u64)]) -> Report {
        let sessions_by_version = sessions.iter().map(|(version, n)| ((*version).into(), *n)).collect();
        Report { sessions_by_version, ..Report::default() }
    }

    #[test]
    fn each_second_has_its_line() {
        let mut timeline = Timeline::default();
        timeline.report(0.2, &report(&[("v1", 100)]));
        timeline.report(0.4, &report(&[("v1", 90)]));
        timeline.report(1.0, &report(&[("v1", 50), ("v2", 50)]));
        timeline.note(1.9, "v2 has 50% of the new sessions");
        timeline.report(2.1, &report(&[("v2", 100)]));
        assert_eq!(timeline.most_at_once(), 2);
        let full = |sign: &str| sign.repeat(50);
        let half = format!("{}{}", "1".repeat(25), "2".repeat(25));
        let expected = format!(
            "   s     v1    v2  sessions\n   0    100     ·  {}\n   1     50    50  {half}  v2 has 50% of the new sessions\n   2      ·   100  {}\n",
            full("1"),
            full("2"),
        );
        assert_eq!(timeline.chart(), expected);
    }
}
