//! Whether anybody uses an environment. This is decided from what it did between two looks. Nothing here reads a clock
//! or asks an engine.
//!
//! An environment is in use while a connection from outside is open, a command runs within it, or somebody has asked to
//! keep it. It is also in use if it needs more CPU or network than its health checks cause. One that cannot be
//! inspected counts as in use.
//!
//! It is idle after two idle looks in a row. Nobody knows what it did in a long gap between two looks: the machine was
//! suspended, its clock was set, or the monitor did not run. So one gap counts for at most half of a limit, and never
//! ends an environment by itself. The idle time begins anew with each `up` and each start.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::container::Incarnation;
use crate::error::Error;
use crate::routing::millis;
use crate::time::Timestamp;

/// Traffic below this comes from the components themselves, such as keep-alives and health checks.
const IDLE_BYTES_PER_SECOND: u64 = 1024;
/// A program that uses less than this, in thousandths of a processor and beside its health checks, only waits.
const IDLE_MILLICORES: u64 = 50;
/// The most that is taken for health checks, in the same unit. A check that hangs must not hide other work.
const MAX_CHECK_MILLICORES: u64 = 500;

/// When an environment that nobody uses ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdlePolicy {
    /// It is stopped after this time; `None`: never.
    pub stop_after: Option<Duration>,
    /// It is removed after this time, and its volumes are kept; `None`: never.
    pub remove_after: Option<Duration>,
}

/// What an environment was seen doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// When.
    pub at: Timestamp,
    /// What its running containers have used since each was started.
    #[serde(default)]
    pub lives: Vec<Life>,
    /// Whether there is anything to be stopped.
    pub running: bool,
    /// Whether the engine is about to start a container again that has ended.
    #[serde(default)]
    pub restarting: bool,
    /// Connections that are established from outside.
    pub connections: usize,
    /// Commands that run within it.
    pub sessions: BTreeSet<String>,
    /// The part of a processor, in thousandths, that its health checks take at most.
    #[serde(default)]
    pub checking: u64,
}

/// What a container has used since it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Which container, and which start of it.
    pub incarnation: Incarnation,
    /// Processor time, in nanoseconds.
    pub cpu: u64,
    /// Bytes that went over its networks.
    pub bytes: u64,
}

/// What is remembered of an environment between looks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// For how long looks have seen it idle, in milliseconds.
    #[serde(rename = "idle_ms", with = "millis", default)]
    pub idle: Duration,
    /// Looks in a row that found it idle.
    pub idle_looks: u32,
    /// When it was looked at last, with or without a result.
    #[serde(default)]
    pub looked: Option<Timestamp>,
    /// The last look with a result.
    pub last: Option<Activity>,
    /// Whether that look found containers that had been started since the look before, or were being started.
    #[serde(default)]
    pub restarted: bool,
}

/// What is to be done with an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum IdleVerdict {
    /// It is in use.
    Used {
        /// Why, for people.
        why: String,
    },
    /// It is idle, but not for long enough.
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
    /// It could not be looked at, stopped or removed. It is tried again at the next look.
    Failed {
        /// Why.
        error: Error,
    },
}

impl Memory {
    /// Takes a look into account. `None`: it could not be inspected. `keep_until`: somebody has asked to keep it until
    /// then.
    pub fn judge(
        &mut self,
        look: Option<Activity>,
        now: Timestamp,
        policy: &IdlePolicy,
        keep_until: Option<Timestamp>,
    ) -> IdleVerdict {
        let started = match (&look, &self.last) {
            (Some(look), Some(last)) => look.lives.iter().any(|life| last.find(life).is_none()),
            _ => false,
        };
        let why = match (&look, &self.last) {
            _ if keep_until.is_some_and(|until| until > now) => Some("somebody keeps it".to_owned()),
            (None, _) => Some("it is not known what it does".to_owned()),
            // If each look finds this, the engine restarts a component that always fails. That is no use.
            _ if started && !self.restarted => Some("it was started".to_owned()),
            (Some(look), last) => used(look, last.as_ref()),
        };
        // Time in which it was kept is not idle time, even if nobody looked then.
        let since = self.looked.map(|looked| looked.max(keep_until.unwrap_or_default()));
        self.looked = Some(now);
        self.restarted = started || look.as_ref().is_some_and(|look| look.restarting);
        self.last = look.or(self.last.take());
        if let Some(why) = why {
            self.idle = Duration::ZERO;
            self.idle_looks = 0;
            return IdleVerdict::Used { why };
        }
        let running = self.last.as_ref().is_some_and(|look| look.running);
        let stop_after = policy.stop_after.filter(|_| running);
        let gap = since.map_or(Duration::ZERO, |since| now.since(since));
        let limit = stop_after.into_iter().chain(policy.remove_after).min();
        // Whole milliseconds are remembered. A half would be rounded to nothing at each look.
        let most = limit.map(|limit| (limit / 2).max(Duration::from_millis(1)));
        self.idle_looks += 1;
        self.idle += most.map_or(gap, |most| gap.min(most));
        let idle = self.idle;
        let after = |limit: Option<Duration>| self.idle_looks >= 2 && limit.is_some_and(|limit| idle >= limit);
        match () {
            () if after(policy.remove_after) => IdleVerdict::Remove { idle },
            () if after(stop_after) => IdleVerdict::Stop { idle },
            () => IdleVerdict::Idle { idle },
        }
    }
}

impl Activity {
    /// What the same life of the container had used by then.
    fn find(&self, life: &Life) -> Option<&Life> {
        self.lives.iter().find(|known| known.incarnation == life.incarnation)
    }
}

/// Why it is in use, if it is.
fn used(look: &Activity, last: Option<&Activity>) -> Option<String> {
    if look.connections > 0 {
        return Some(format!("connections from outside: {}", look.connections));
    }
    let last = last?;
    // The command of a health check is a new one at each look.
    if look.sessions.intersection(&last.sessions).next().is_some() {
        return Some("a command runs within it".to_owned());
    }
    let elapsed = u64::try_from(look.at.since(last.at).as_millis()).unwrap_or(u64::MAX).max(1);
    // A container that was started since counts from zero.
    let since = |of: fn(&Life) -> u64| {
        let each = look.lives.iter().map(|life| of(life).saturating_sub(last.find(life).map_or(0, of)));
        each.fold(0, u64::saturating_add)
    };
    let bytes = since(|life| life.bytes).saturating_mul(1000) / elapsed;
    if bytes > IDLE_BYTES_PER_SECOND {
        return Some(format!("{bytes} bytes a second go over its networks"));
    }
    let cpu = since(|life| life.cpu) / 1000 / elapsed;
    if cpu > IDLE_MILLICORES + look.checking.min(MAX_CHECK_MILLICORES) {
        return Some(format!("it uses {} % of a processor", cpu / 10));
    }
    None
}

#[cfg(test)]
#[path = "idle_tests.rs"]
mod tests;
