//! What a run came to, and whether that is good.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};

use crate::client::{Failure, Report, Summary};

/// What was on the service when the new sessions were first given to another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AtSwitch {
    /// Sessions that were live.
    pub sessions: u64,
    /// Requests that were waiting for their answer.
    pub in_flight: u64,
    /// WebSockets that were open.
    pub websockets: u64,
}

impl From<&Report> for AtSwitch {
    fn from(report: &Report) -> Self {
        Self {
            sessions: report.sessions,
            in_flight: report.in_flight.values().sum(),
            websockets: report.websockets.values().sum(),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Requests and WebSocket messages that the client sent.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Sessions that were begun.
    pub sessions: u64,
    /// Sessions that came to an end although their client kept them alive.
    pub sessions_lost: u64,
    /// Times that a session found itself on another version or instance.
    pub sessions_moved: u64,
    /// Sessions that were forgotten because the client was held up for longer than they may be idle.
    pub sessions_lapsed: u64,
    /// Versions that were put out, the first among them.
    pub versions_released: u64,
    /// Instances that run at the end.
    pub instances_left: u64,
    /// The most versions that had sessions at the same time.
    pub max_versions_at_once: u64,
    /// For each version that went: from when its share was taken until it was gone, in seconds, oldest first.
    pub drain_seconds: Vec<f64>,
    /// For each version but the first: what was on the service when it was first given new sessions.
    pub at_switch: Vec<AtSwitch>,
    /// How long it all took, in seconds.
    pub seconds: f64,
    /// Memory of this process after each release: gateway, controller and journal; MiB.
    #[serde(default)]
    pub memory_mib: Vec<f64>,
    /// Median time to the end of an answer, of requests that were not slow on purpose, in milliseconds.
    pub p50_ms: f64,
    /// The same, 99th percentile.
    pub p99_ms: f64,
    /// Sessions by the version they began on.
    pub begun_by_version: BTreeMap<String, u64>,
    /// What was done wrong on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sabotage: Option<String>,
    /// The first things that went wrong, as the client saw them.
    pub failures: Vec<Failure>,
    /// What of all that is not as it has to be; nothing, if all is well.
    pub problems: Vec<String>,
}

/// After how many releases caches and pools have got what they need.
const STEADY_AFTER: usize = 10;
/// How much more memory a run may have at its end than then.
const MEMORY_GROWTH: f64 = 1.1;

/// What a run has to come to.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Sessions that are kept on the service.
    pub sessions: u64,
    /// Versions in all.
    pub versions: u64,
    /// How long a session may be idle.
    pub idle: Duration,
}

impl Outcome {
    /// Takes over what the client counted.
    #[must_use]
    pub fn with_summary(mut self, summary: Summary) -> Self {
        self.requests = summary.requests;
        self.failed = summary.failed;
        self.sessions = summary.sessions;
        self.sessions_lost = summary.lost;
        self.sessions_moved = summary.moved;
        self.sessions_lapsed = summary.lapsed;
        self.p50_ms = summary.p50_ms;
        self.p99_ms = summary.p99_ms;
        self.begun_by_version = summary.begun_by_version;
        self.failures = summary.failures;
        self
    }

    /// Finds what is not as it has to be.
    #[must_use]
    pub fn judged(mut self, wanted: &Wanted) -> Self {
        let mut problems = Vec::new();
        let mut check = |good: bool, problem: String| {
            if !good {
                problems.push(problem);
            }
        };
        check(self.requests > 0, "no request was sent".into());
        check(self.failed == 0, format!("{} requests failed", self.failed));
        check(self.sessions_lost == 0, format!("{} sessions were lost", self.sessions_lost));
        check(self.sessions_moved == 0, format!("{} times a session moved", self.sessions_moved));
        check(
            self.sessions_lapsed == 0,
            format!("{} sessions lapsed while the client was held up: nothing is known of them", self.sessions_lapsed),
        );
        check(
            self.versions_released == wanted.versions,
            format!("{} versions were released instead of {}", self.versions_released, wanted.versions),
        );
        check(self.instances_left == 1, format!("{} instances are left instead of 1", self.instances_left));
        let at_once = wanted.versions.min(3);
        check(
            self.max_versions_at_once >= at_once,
            format!("at most {} versions had sessions at once, not {at_once}", self.max_versions_at_once),
        );
        let releases = usize::try_from(wanted.versions.saturating_sub(1)).unwrap_or(usize::MAX);
        check(
            self.drain_seconds.len() == releases,
            format!("{} versions have drained instead of {releases}", self.drain_seconds.len()),
        );
        for seconds in &self.drain_seconds {
            check(
                *seconds >= wanted.idle.as_secs_f64(),
                format!("a drain took {seconds:.1} s: no session can have expired in that time"),
            );
        }
        check(
            self.at_switch.len() == releases,
            format!("{} switches were seen instead of {releases}", self.at_switch.len()),
        );
        // With fewer sessions, less is in flight; the parts are those of 200.
        let sessions = wanted.sessions.min(200);
        let least = AtSwitch { sessions, in_flight: sessions / 10, websockets: sessions / 20 };
        for (number, seen) in self.at_switch.iter().enumerate() {
            let version = number + 2;
            for (what, seen, least) in [
                ("sessions", seen.sessions, least.sessions),
                ("requests in flight", seen.in_flight, least.in_flight),
                ("open WebSockets", seen.websockets, least.websockets),
            ] {
                check(
                    seen >= least,
                    format!(
                        "at the switch to version {version} there were {seen} {what}, not {least}: it shows nothing"
                    ),
                );
            }
        }
        if let [_, .., last] = self.memory_mib[..]
            && let Some(tenth) = self.memory_mib.get(STEADY_AFTER - 1)
        {
            check(
                last <= tenth * MEMORY_GROWTH,
                format!("memory grew from {tenth:.1} MiB after {STEADY_AFTER} releases to {last:.1} MiB"),
            );
        }
        let harm = self.failed + self.sessions_lost + self.sessions_moved;
        if self.sabotage.is_some() && harm == 0 {
            problems.push("the sabotage went unnoticed: these checks are worth nothing".into());
        }
        self.problems = problems;
        self
    }

    /// Whether all is as it has to be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    /// The outcome for a person to read.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        let list = |values: &[f64]| values.iter().map(|s| format!("{s:.1} s")).collect::<Vec<_>>().join(", ");
        let begun = self.begun_by_version.iter().map(|(version, n)| format!("{version}: {n}")).collect::<Vec<_>>();
        let mut rows = vec![
            ("requests", format!("{} in {:.0} s", self.requests, self.seconds)),
            ("  failed", self.failed.to_string()),
            ("sessions", self.sessions.to_string()),
            ("  lost", self.sessions_lost.to_string()),
            ("  moved", self.sessions_moved.to_string()),
            ("  begun on", begun.join(", ")),
            ("versions released", self.versions_released.to_string()),
            ("  with sessions at once", self.max_versions_at_once.to_string()),
            ("  drained in", list(&self.drain_seconds)),
            ("instances left", self.instances_left.to_string()),
            ("answers", format!("median {:.1} ms, 99 % within {:.1} ms", self.p50_ms, self.p99_ms)),
        ];
        if !self.memory_mib.is_empty() {
            rows.push(("memory", of_memory(&self.memory_mib)));
        }
        if self.sessions_lapsed > 0 {
            rows.insert(5, ("  lapsed", self.sessions_lapsed.to_string()));
        }
        for (number, seen) in self.at_switch.iter().enumerate() {
            let text = format!(
                "{} sessions, {} requests in flight, {} WebSockets",
                seen.sessions, seen.in_flight, seen.websockets
            );
            rows.push(if number == 0 { ("at the switches", text) } else { ("", text) });
        }
        for (name, value) in rows {
            table.add_row([Cell::new(name), Cell::new(value).set_alignment(CellAlignment::Left)]);
        }
        table.to_string()
    }
}

fn of_memory(mib: &[f64]) -> String {
    match mib {
        [] => String::new(),
        [first, .., last] if mib.len() > STEADY_AFTER => {
            let tenth = mib[STEADY_AFTER - 1];
            format!("{first:.1} MiB, after {STEADY_AFTER} releases {tenth:.1} MiB, at the end {last:.1} MiB")
        }
        [.., last] => format!("{last:.1} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { sessions: 200, versions: 3, idle: Duration::from_secs(5) };

    fn good() -> Outcome {
        Outcome {
            requests: 10_000,
            sessions: 400,
            versions_released: 3,
            instances_left: 1,
            max_versions_at_once: 3,
            drain_seconds: vec![9.0, 8.5],
            at_switch: vec![AtSwitch { sessions: 200, in_flight: 30, websockets: 20 }; 2],
            memory_mib: [vec![20.0; 9], vec![30.0, 33.0]].concat(),
            ..Outcome::default()
        }
    }

    #[test]
    fn a_good_run_has_no_problem() {
        assert_eq!(good().judged(&WANTED).problems, Vec::<String>::new());
    }

    #[test]
    fn each_flaw_is_a_problem_of_its_own() {
        type Flaw = fn(&mut Outcome);
        let flaws: [(&str, Flaw); 15] = [
            ("no request", |outcome| outcome.requests = 0),
            ("failed", |outcome| outcome.failed = 1),
            ("lost", |outcome| outcome.sessions_lost = 1),
            ("moved", |outcome| outcome.sessions_moved = 1),
            ("lapsed", |outcome| outcome.sessions_lapsed = 1),
            ("released", |outcome| outcome.versions_released = 2),
            ("left", |outcome| outcome.instances_left = 2),
            ("at once", |outcome| outcome.max_versions_at_once = 2),
            ("drained", |outcome| outcome.drain_seconds.truncate(1)),
            ("a drain took", |outcome| outcome.drain_seconds[0] = 4.9),
            ("switches", |outcome| outcome.at_switch.truncate(1)),
            ("199 sessions", |outcome| outcome.at_switch[1].sessions = 199),
            ("19 requests", |outcome| outcome.at_switch[0].in_flight = 19),
            ("memory grew", |outcome| outcome.memory_mib = [vec![30.0; 10], vec![33.1]].concat()),
            ("9 open", |outcome| outcome.at_switch[0].websockets = 9),
        ];
        for (words, flaw) in flaws {
            let mut outcome = good();
            flaw(&mut outcome);
            let problems = outcome.judged(&WANTED).problems;
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(words), "{problems:?}");
        }
    }
}
