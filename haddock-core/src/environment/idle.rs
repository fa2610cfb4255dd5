//! Whether anybody uses an environment: decided from what it did between two looks. Nothing here reads a clock or asks an
//! engine.
//!
//! An environment is in use while a connection from outside is established, a command runs within it, somebody has asked
//! to keep it, or its processors or networks do more than such programs do by themselves. What is unknown counts as used.
//! It is idle when two looks in a row say so, and has been so since it was last used, or since it was first looked at.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::routing::millis;
use crate::time::Timestamp;

/// Bytes a second below which traffic is taken for that of the components among themselves: keep-alives, health checks.
const QUIET_BYTES: u64 = 1024;
/// Processor time, in thousandths of one processor, below which a program is taken to wait, beside its health checks.
const QUIET_CPU: u64 = 50;
/// What health checks are believed to take at most, in the same unit: one that hangs must not hide what else goes on.
const MOST_CHECKING: u64 = 500;

/// When an environment that nobody uses ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdlePolicy {
    /// It is stopped after that long; `None`: never.
    pub stop_after: Option<Duration>,
    /// It is removed after that long, its volumes kept; `None`: never.
    pub remove_after: Option<Duration>,
}

/// What an environment was seen doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When.
    pub at: Timestamp,
    /// Processor time that its containers have used, in nanoseconds.
    pub cpu: u64,
    /// Bytes that went over its networks.
    pub bytes: u64,
    /// Connections that are established from outside.
    pub connections: usize,
    /// Commands that run within it.
    pub sessions: BTreeSet<String>,
    /// Whether any of its containers runs.
    pub running: bool,
    /// The part of a processor, in thousandths, that its health checks take at most.
    #[serde(default)]
    pub checking: u64,
}

/// What is remembered of an environment between looks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// When it was last seen in use; at first, when it was first seen.
    pub used: Timestamp,
    /// Looks in a row that found it idle.
    pub idle_looks: u32,
    /// The last look.
    pub last: Option<Activity>,
    /// Somebody has asked to keep it until then.
    pub keep_until: Option<Timestamp>,
}

/// What is to become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum IdleVerdict {
    /// It is in use.
    Used {
        /// Why, for people.
        why: String,
    },
    /// It is idle, and not for long enough yet.
    Idle {
        /// For how long, in milliseconds.
        #[serde(rename = "for_ms", with = "millis")]
        idle: Duration,
    },
    /// It is to be stopped.
    Stop {
        /// For how long it has been idle, in milliseconds.
        #[serde(rename = "for_ms", with = "millis")]
        idle: Duration,
    },
    /// It is to be removed.
    Remove {
        /// For how long it has been idle, in milliseconds.
        #[serde(rename = "for_ms", with = "millis")]
        idle: Duration,
    },
}

impl Memory {
    /// Of one that is seen for the first time: one that was never used ends, too.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { used: now, idle_looks: 0, last: None, keep_until: None }
    }

    /// Takes a look into account. `None`: nothing is known of what it does.
    pub fn judge(&mut self, look: Option<Activity>, now: Timestamp, policy: &IdlePolicy) -> IdleVerdict {
        let why = match (&look, &self.last) {
            _ if self.keep_until.is_some_and(|until| until > now) => Some("somebody keeps it".to_owned()),
            (None, _) => Some("it is not known what it does".to_owned()),
            (Some(look), last) => used(look, last.as_ref()),
        };
        self.last = look.or(self.last.take());
        if let Some(why) = why {
            self.used = now;
            self.idle_looks = 0;
            return IdleVerdict::Used { why };
        }
        self.idle_looks += 1;
        let idle = now.since(self.used);
        let after = |limit: Option<Duration>| self.idle_looks >= 2 && limit.is_some_and(|limit| idle >= limit);
        let running = self.last.as_ref().is_some_and(|look| look.running);
        match () {
            () if after(policy.remove_after) => IdleVerdict::Remove { idle },
            () if after(policy.stop_after) && running => IdleVerdict::Stop { idle },
            () => IdleVerdict::Idle { idle },
        }
    }
}

/// Why it is in use, if it is.
fn used(look: &Activity, last: Option<&Activity>) -> Option<String> {
    if look.connections > 0 {
        return Some(format!("connections from outside: {}", look.connections));
    }
    let last = last?;
    // A health check's command is another at each look.
    if look.sessions.intersection(&last.sessions).next().is_some() {
        return Some("a command runs within it".to_owned());
    }
    let elapsed = u64::try_from(look.at.since(last.at).as_millis()).unwrap_or(u64::MAX).max(1);
    // A container that was made anew counts from zero: what it has done since is less than what the former had.
    let bytes = look.bytes.saturating_sub(last.bytes).saturating_mul(1000) / elapsed;
    if bytes > QUIET_BYTES {
        return Some(format!("{bytes} bytes a second go over its networks"));
    }
    let cpu = look.cpu.saturating_sub(last.cpu) / 1000 / elapsed;
    if cpu > QUIET_CPU + look.checking.min(MOST_CHECKING) {
        return Some(format!("it uses {} % of a processor", cpu / 10));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: IdlePolicy =
        IdlePolicy { stop_after: Some(Duration::from_secs(60)), remove_after: Some(Duration::from_secs(600)) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn look(seconds: u64) -> Activity {
        Activity {
            at: at(seconds),
            cpu: 0,
            bytes: 0,
            connections: 0,
            sessions: BTreeSet::new(),
            running: true,
            checking: 0,
        }
    }

    #[test]
    fn one_that_was_never_used_is_stopped_and_then_removed() {
        let mut memory = Memory::new(at(0));
        assert!(matches!(memory.judge(Some(look(0)), at(0), &POLICY), IdleVerdict::Idle { .. }));
        assert!(matches!(memory.judge(Some(look(59)), at(59), &POLICY), IdleVerdict::Idle { .. }));
        assert!(matches!(memory.judge(Some(look(60)), at(60), &POLICY), IdleVerdict::Stop { .. }));
        let stopped = Activity { running: false, ..look(70) };
        assert!(matches!(memory.judge(Some(stopped), at(70), &POLICY), IdleVerdict::Idle { .. }));
        let stopped = Activity { running: false, ..look(600) };
        assert!(matches!(memory.judge(Some(stopped), at(600), &POLICY), IdleVerdict::Remove { .. }));
    }

    #[test]
    fn a_single_idle_look_ends_nothing() {
        let mut memory = Memory::new(at(0));
        assert!(matches!(memory.judge(Some(look(900)), at(900), &POLICY), IdleVerdict::Idle { .. }));
    }

    #[test]
    fn each_kind_of_use_keeps_it() {
        let silent = Activity { connections: 1, ..look(120) };
        let busy = Activity { cpu: 12_000_000_000, ..look(120) };
        let chatty = Activity { bytes: 200_000, ..look(120) };
        for used in [Some(silent), Some(busy), Some(chatty), None] {
            let mut memory = Memory::new(at(0));
            memory.judge(Some(look(0)), at(0), &POLICY);
            assert!(matches!(memory.judge(used.clone(), at(120), &POLICY), IdleVerdict::Used { .. }), "{used:?}");
            assert_eq!(memory.used, at(120));
        }
    }

    #[test]
    fn a_command_counts_while_it_is_the_same_and_health_checks_do_not() {
        let with = |seconds: u64, id: &str| Activity { sessions: BTreeSet::from([id.to_owned()]), ..look(seconds) };
        let mut memory = Memory::new(at(0));
        memory.judge(Some(with(0, "check-1")), at(0), &POLICY);
        assert!(matches!(memory.judge(Some(with(60, "check-2")), at(60), &POLICY), IdleVerdict::Stop { .. }));
        assert!(matches!(memory.judge(Some(with(61, "check-2")), at(61), &POLICY), IdleVerdict::Used { .. }));
    }

    #[test]
    fn the_noise_of_health_checks_is_none() {
        let mut memory = Memory::new(at(0));
        memory.judge(Some(look(0)), at(0), &POLICY);
        let noise = Activity { cpu: 1_000_000_000, bytes: 30_000, ..look(60) };
        assert!(matches!(memory.judge(Some(noise), at(60), &POLICY), IdleVerdict::Stop { .. }));
        // Checks that take a fifth of the time may take a fifth of a processor, and no more.
        for (cpu, checking, idle) in [(14, 200, true), (14, 0, false), (16, 200, false), (40, 5_000, false)] {
            let mut memory = Memory::new(at(0));
            memory.judge(Some(look(0)), at(0), &POLICY);
            let noise = Activity { cpu: cpu * 1_000_000_000, checking, ..look(60) };
            let verdict = memory.judge(Some(noise), at(60), &POLICY);
            assert_eq!(matches!(verdict, IdleVerdict::Stop { .. }), idle, "{cpu} s, {checking}: {verdict:?}");
        }
    }

    #[test]
    fn who_keeps_it_is_heard() {
        let mut memory = Memory::new(at(0));
        memory.keep_until = Some(at(1000));
        memory.judge(Some(look(0)), at(0), &POLICY);
        assert!(matches!(memory.judge(Some(look(999)), at(999), &POLICY), IdleVerdict::Used { .. }));
        memory.judge(Some(look(1001)), at(1001), &POLICY);
        assert!(matches!(memory.judge(Some(look(1200)), at(1200), &POLICY), IdleVerdict::Stop { .. }));
    }
}
