//! What a run came to, and whether that is good.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::arguments::Arguments;
use crate::show;

/// What became of a version that was replaced.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct OldVersion {
    /// The version.
    pub version: String,
    /// Its sessions that logged out.
    pub logged_out: u64,
    /// Its sessions whose clients went away.
    pub went_away: u64,
    /// Its sessions whose clients had a request in flight on what was killed, and went away then.
    #[serde(default)]
    pub cut: u64,
    /// How long after the end of its last session its last instance was removed, in seconds. A session that logs out ends
    /// then; another one when it has been idle for long enough. `None`: it is not removed.
    pub removed_after_last_session: Option<f64>,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// How clients reached the instances.
    pub through: String,
    /// What the other example tells, too.
    #[serde(flatten)]
    pub seen: show::Outcome,
    /// What was done to what is in front, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed: Vec<String>,
    /// Requests that were in flight on what was killed. They are not among those that failed.
    #[serde(default)]
    pub cut: u64,
    /// Sessions that ended by a log-out.
    pub logged_out: u64,
    /// Sessions that ended because the client went away.
    pub went_away: u64,
    /// The versions that were replaced, oldest first.
    pub old_versions: Vec<OldVersion>,
}

impl Outcome {
    /// Finds what is not as it has to be.
    #[must_use]
    pub fn judged(mut self, arguments: &Arguments) -> Self {
        let mut problems = Vec::new();
        let mut check = |good: bool, problem: String| {
            if !good {
                problems.push(problem);
            }
        };
        let show::Outcome { requests, failed, sessions_lost, sessions_moved, sessions_lapsed, .. } = self.seen;
        check(requests > 0, "no request was sent".into());
        check(failed == 0, format!("{failed} requests failed"));
        check(sessions_lost == 0, format!("{sessions_lost} baskets were lost"));
        check(sessions_moved == 0, format!("{sessions_moved} sessions moved"));
        check(
            sessions_lapsed == 0,
            format!("{sessions_lapsed} sessions lapsed while the client was held up: nothing is known of them"),
        );
        let (versions, wanted) = (self.seen.versions_released, u64::from(arguments.last()));
        check(versions == wanted, format!("{versions} versions were released instead of {wanted}"));
        let left = self.seen.instances_left;
        check(left == 1, format!("{left} instances are left instead of 1"));
        let at_once = self.seen.max_versions_at_once;
        check(at_once >= 2, format!("at most {at_once} versions had sessions at once, not 2"));
        for (number, seen) in self.seen.at_switch.iter().enumerate() {
            let (version, sessions, least) = (number + 2, seen.sessions, u64::from(arguments.clients) / 2);
            check(
                sessions >= least,
                format!(
                    "at the switch to version {version} there were {sessions} sessions, not {least}: it shows nothing"
                ),
            );
        }
        check(self.logged_out > 0 && self.went_away > 0, "not all ways to end a session were tried".into());
        for old in &self.old_versions {
            let OldVersion { version, logged_out, went_away, removed_after_last_session, .. } = old;
            check(logged_out + went_away > 0, format!("{version} had no session: it shows nothing"));
            let Some(seconds) = *removed_after_last_session else {
                check(false, format!("{version} was not removed, or its sessions have not ended"));
                continue;
            };
            check(seconds >= 0.0, format!("{version} was removed {:.1} s before its last session had ended", -seconds));
            // Their ends are known, so no idle time is waited after the last of them, whatever happened to what is in front.
            let idle = arguments.idle().as_secs_f64();
            check(
                seconds < idle,
                format!("{version} was removed {seconds:.1} s after its last session, not within {idle} s"),
            );
        }
        let most = u64::from(arguments.clients);
        check(self.cut <= most, format!("{} requests were cut, which cannot all have been in flight", self.cut));
        let disturbed = self.disturbed.len();
        let wanted = if arguments.disturb { arguments.releases.min(3) as usize } else { 0 };
        check(disturbed == wanted, format!("what is in front was disturbed {disturbed} times instead of {wanted}"));
        let at_once = self.old_versions.iter().any(|old| old.went_away == 0);
        check(at_once, "no old version had only sessions that logged out".into());
        let old = self.old_versions.len();
        check(old == arguments.releases as usize, format!("{old} versions were replaced"));
        self.seen.problems = problems;
        self
    }

    /// Whether all is as it has to be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.seen.problems.is_empty()
    }

    /// The outcome for a person to read.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.seen.table();
        for done in &self.disturbed {
            let _ = write!(text, "\n{done}");
        }
        if self.cut > 0 {
            let _ = write!(text, "\n{} requests were in flight on what was killed", self.cut);
        }
        let _ = write!(text, "\n{} sessions logged out, {} clients went away", self.logged_out, self.went_away);
        for old in &self.old_versions {
            let OldVersion { version, logged_out, went_away, cut, removed_after_last_session } = old;
            let _ = write!(text, "\n{version}: {logged_out} logged out, {went_away} went away, {cut} were cut; ");
            let _ = match removed_after_last_session {
                Some(seconds) => write!(text, "removed {seconds:.1} s after its last session had ended"),
                None => write!(text, "not removed"),
            };
        }
        text
    }
}

/// The distance of two points in time, in seconds; negative if the first is later.
pub(super) fn seconds_from(earlier: haddock_core::Timestamp, later: haddock_core::Timestamp) -> f64 {
    let forward = later.since(earlier);
    if forward > Duration::ZERO { forward.as_secs_f64() } else { -earlier.since(later).as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::show::AtSwitch;

    fn good() -> Outcome {
        let old = |version: &str, went_away| OldVersion {
            version: version.into(),
            logged_out: 100,
            went_away,
            cut: 0,
            removed_after_last_session: Some(1.5),
        };
        let seen = show::Outcome {
            requests: 10_000,
            versions_released: 4,
            instances_left: 1,
            max_versions_at_once: 2,
            at_switch: vec![AtSwitch { sessions: 450, ..AtSwitch::default() }; 3],
            ..show::Outcome::default()
        };
        let old_versions = vec![old("v1", 100), old("v2", 100), old("v3", 0)];
        let through = "gateway".into();
        Outcome { through, seen, logged_out: 300, went_away: 200, old_versions, ..Outcome::default() }
    }

    fn problems(outcome: Outcome, line: &str) -> Vec<String> {
        outcome.judged(&Arguments::parse_from(line.split(' '))).seen.problems
    }

    #[test]
    fn a_good_run_has_no_problem() {
        assert_eq!(problems(good(), "tomcat"), Vec::<String>::new());
    }

    #[test]
    fn each_flaw_is_a_problem_of_its_own() {
        type Flaw = fn(&mut Outcome);
        let flaws: [(&str, Flaw); 15] = [
            ("cut, which", |outcome| outcome.cut = 501),
            ("disturbed 1 times instead of 0", |outcome| outcome.disturbed = vec!["it was killed".into()]),
            ("no request", |outcome| outcome.seen.requests = 0),
            ("failed", |outcome| outcome.seen.failed = 1),
            ("baskets were lost", |outcome| outcome.seen.sessions_lost = 1),
            ("moved", |outcome| outcome.seen.sessions_moved = 1),
            ("lapsed", |outcome| outcome.seen.sessions_lapsed = 1),
            ("released instead", |outcome| outcome.seen.versions_released = 3),
            ("are left", |outcome| outcome.seen.instances_left = 2),
            ("at once", |outcome| outcome.seen.max_versions_at_once = 1),
            ("249 sessions", |outcome| outcome.seen.at_switch[1].sessions = 249),
            ("not all ways", |outcome| outcome.logged_out = 0),
            ("v1 was removed 0.5 s before", |outcome| {
                outcome.old_versions[0].removed_after_last_session = Some(-0.5);
            }),
            ("v2 was not removed", |outcome| outcome.old_versions[1].removed_after_last_session = None),
            ("v3 was removed 20.1 s after", |outcome| {
                outcome.old_versions[2].removed_after_last_session = Some(20.1);
            }),
        ];
        for (words, flaw) in flaws {
            let mut outcome = good();
            flaw(&mut outcome);
            let problems = problems(outcome, "tomcat");
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(words), "{problems:?}");
        }
    }

    #[test]
    fn seconds_have_a_sign() {
        let at = haddock_core::Timestamp::from_millis;
        assert!((seconds_from(at(1_000), at(3_500)) - 2.5).abs() < 1e-9);
        assert!((seconds_from(at(3_500), at(1_000)) + 2.5).abs() < 1e-9);
    }
}
