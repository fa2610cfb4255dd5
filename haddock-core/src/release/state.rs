//! What is known of a service: the one thing that is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{AbortReason, Event};
use super::request::{NewVersion, Request, Verb};
use crate::container::Incarnation;
use crate::environment::Hook;
use crate::error::{Error, ErrorKind};
use crate::name::{ComponentName, InstanceId, JournalId, RequestId, ServiceName, VersionId};
use crate::routing::{Number, Route, Share};
use crate::time::Timestamp;

/// The state of a service, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// The version of this layout. A newer Haddock reads an older one; an older refuses a newer.
    pub schema: u32,
    /// The service.
    pub service: ServiceName,
    /// The journal.
    pub journal: JournalId,
    /// The number of the last commit.
    pub number: Number,
    /// The latest `now` that a step was given: time does not run backwards.
    pub now: Timestamp,
    /// The number that the next instance gets.
    pub next_instance: u64,
    /// Versions, oldest first: those with instances, and the last ones that settled.
    pub versions: BTreeMap<VersionId, Version>,
    /// Instances that are not gone.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// The newest version that settled and was not judged bad since.
    pub known_good: Option<VersionId>,
    /// The release in progress.
    pub release: Option<Release>,
    /// The release that comes next.
    pub queued: Option<Request>,
    /// The table that was last asked of the locators.
    pub asked: Option<AskedTable>,
    /// What ran before a version and has ended, or need not go on: it is removed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub leaving: BTreeSet<InstanceId>,
    /// Tries of removing that, and containers that nothing knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removals: BTreeMap<InstanceId, Attempt>,
    /// What has happened and somebody is still to be told of, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub news: Vec<News>,
    /// Set while the service is being retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<Retirement>,
    /// Whether the service was retired, and nothing was released of it since. What is left of it are its numbers, none
    /// of which may come again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// The number of the last version that is not known any more, since the service was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_version: Option<VersionId>,
}

impl ServiceState {
    /// The layout that this Haddock writes.
    pub const SCHEMA: u32 = 1;

    /// A service that was never released.
    #[must_use]
    pub fn new(service: ServiceName, journal: JournalId) -> Self {
        Self {
            schema: Self::SCHEMA,
            service,
            journal,
            number: Number::default(),
            now: Timestamp::default(),
            next_instance: 1,
            versions: BTreeMap::new(),
            instances: BTreeMap::new(),
            known_good: None,
            release: None,
            queued: None,
            asked: None,
            leaving: BTreeSet::new(),
            removals: BTreeMap::new(),
            news: Vec::new(),
            retiring: None,
            retired: false,
            last_version: None,
        }
    }

    /// Whether the service was retired, and there is nothing more to do or to tell about it: as if it had never been.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.retired && self.news.is_empty()
    }

    /// Whether it can be retired now.
    pub(super) fn check_retirement(&self) -> Result<(), Error> {
        let busy = match &self.release {
            Some(release) => format!("the release of version {} is {}", release.version.0, release.phase.name()),
            None if self.queued.is_some() => format!("a release of `{}` is about to begin", self.service),
            None if self.versions.is_empty() && self.instances.is_empty() => {
                let message = format!("there is nothing of `{}` to retire", self.service);
                return Err(Error::new(ErrorKind::NothingToDo, message).with_hint("look which services there are"));
            }
            None => return Ok(()),
        };
        Err(Error::new(ErrorKind::Busy, busy).with_hint("abort it first, or wait until it is over"))
    }

    /// Whether an environment is one of this service's: an instance, or what runs or ran before a version.
    #[must_use]
    pub fn knows(&self, environment: &InstanceId) -> bool {
        let before = self.release.as_ref().and_then(|release| release.before.as_ref());
        self.instances.contains_key(environment)
            || self.leaving.contains(environment)
            || before.is_some_and(|before| before.instance == *environment)
    }

    /// The digests of the specifications that may be needed yet: of versions with instances, of the known good one, of
    /// what is being released or comes next, of what there is news to tell, and of the newest `rollbacks` others that
    /// settled.
    #[must_use]
    pub fn specs(&self, rollbacks: usize) -> BTreeSet<&str> {
        let mut versions: BTreeSet<VersionId> = self.instances.values().map(|instance| instance.version).collect();
        versions.extend(self.known_good);
        versions.extend(self.release.as_ref().map(|release| release.version));
        let open = self.versions.iter().filter(|(_, version)| version.verdict == Verdict::Open);
        versions.extend(open.map(|(id, _)| *id));
        let settled = self.versions.iter().rev().filter(|(_, version)| version.verdict == Verdict::Settled);
        let others: Vec<VersionId> =
            settled.map(|(id, _)| *id).filter(|id| !versions.contains(id)).take(rollbacks).collect();
        versions.extend(others);
        let queued = self.queued.as_ref().and_then(|request| match &request.verb {
            Verb::Release(new) => Some(&**new),
            _ => None,
        });
        let new = versions.iter().filter_map(|id| self.versions.get(id)).map(|version| &version.new).chain(queued);
        new.flat_map(NewVersion::specs).chain(self.news.iter().map(|news| news.spec.as_str())).collect()
    }

    /// The instances of a version.
    pub fn instances_of(&self, version: VersionId) -> impl Iterator<Item = (&InstanceId, &Instance)> {
        self.instances.iter().filter(move |(_, instance)| instance.version == version)
    }

    /// The share that was last asked for an instance.
    #[must_use]
    pub fn asked_share(&self, instance: &InstanceId) -> Share {
        self.asked.as_ref().and_then(|asked| asked.routes.get(instance)).map_or(Share::ZERO, |route| route.share)
    }

    /// The share that was last asked for a version: the sum of its instances'.
    #[must_use]
    pub fn asked_share_of(&self, version: VersionId) -> Share {
        let points = self.instances_of(version).map(|(id, _)| self.asked_share(id).as_basis_points()).sum();
        Share::basis_points(points)
    }
}

/// What one release put out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The request that asked for it.
    pub request: RequestId,
    /// What was asked for.
    pub new: NewVersion,
    /// Its images by digest, once they are known.
    pub pins: Option<BTreeMap<ComponentName, String>>,
    /// What became of it.
    pub verdict: Verdict,
    /// How often a replacement of one of its instances was started in a row, and when the next may be.
    pub replacing: Attempt,
    /// Whether it is a server that was adopted: it has one instance, and never another.
    #[serde(default)]
    pub external: bool,
    /// Whether what runs before it has done its work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prepared: bool,
    /// The earlier version that it is once more, if a rollback had to start that again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<VersionId>,
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its release has not ended.
    Open,
    /// Its release settled.
    Settled,
    /// Its release was aborted, by no fault of its own that we know.
    Aborted,
    /// It failed, or was rolled back. Nothing goes back to it by itself.
    Bad,
    /// It would have changed nothing, and was never launched.
    Unchanged,
}

/// Tries of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempt {
    /// How many there were.
    pub count: u32,
    /// Before that, there is no other.
    pub retry_at: Timestamp,
}

impl Attempt {
    /// Whether another may begin.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        self.retry_at <= now
    }

    /// Counts one that begins now; the next waits `first`, twice as long after each, `longest` at most.
    pub fn begin(&mut self, now: Timestamp, first: Duration, longest: Duration) {
        let wait = first.saturating_mul(1 << self.count.min(16)).min(longest);
        self.count += 1;
        self.retry_at = now + wait;
    }
}

/// An instance that is not gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its version.
    pub version: VersionId,
    /// Its phase.
    pub phase: Phase,
    /// Since when it is in that phase.
    pub since: Timestamp,
    /// When its launch is given up.
    pub ready_by: Timestamp,
    /// Tries of the launch.
    pub launch: Attempt,
    /// This life of each component, once it was ready. Another start is a failure.
    pub lives: BTreeMap<ComponentName, Incarnation>,
    /// Where its entry listens, once known.
    pub address: Option<SocketAddr>,
    /// The number of the last table that named it, whether or not in force.
    pub named: Option<Number>,
    /// The number of the last table that named it at share 0 and was seen in force on every locator.
    pub listed: Option<Number>,
    /// The number of the last close or evict that was asked for.
    pub close_asked: Option<Number>,
    /// Tries of closing.
    pub close: Attempt,
    /// Whether any locator was ever seen to have closed it: it is never named again.
    pub closed_somewhere: bool,
    /// With several locators: when the readings of the last look that found it empty everywhere began, first and last.
    #[serde(default)]
    pub empty_look: Option<(Timestamp, Timestamp)>,
    /// The present drain.
    pub drain: Option<DrainState>,
    /// Since when it does not answer its probe.
    pub unresponsive_since: Option<Timestamp>,
    /// Why it failed.
    pub failure: Option<Error>,
    /// Whether a component was seen exited, restarted or missing: its sessions are lost already.
    pub dead: bool,
    /// Tries of the stop.
    pub stop: Attempt,
    /// Set on a server that was adopted: it has no containers, and is neither started nor stopped.
    #[serde(default)]
    pub external: Option<External>,
    /// What it is to be told, and has not been yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<PendingHook>,
}

/// A hook that is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingHook {
    /// Which.
    pub hook: Hook,
    /// The number of the commit that wanted it.
    pub number: Number,
    /// Tries of it.
    pub attempt: Attempt,
}

/// Something that has happened, and one who is to be told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The number of the commit that recorded it.
    pub number: Number,
    /// Its place among the events of that commit, from 0.
    pub index: usize,
    /// To which receiver it goes, from 0.
    pub receiver: usize,
    /// The digest under which the spec store has the receivers.
    pub spec: String,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// Tries of telling it.
    pub attempt: Attempt,
}

impl News {
    /// Which it is: the number of its commit, its place there, and the receiver.
    #[must_use]
    pub fn id(&self) -> (Number, usize, usize) {
        (self.number, self.index, self.receiver)
    }
}

/// What sets an adopted server apart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct External {
    /// The name of the cookie by which it knows a session; `None`: any cookie will do.
    pub cookie: Option<String>,
    /// When the last of its sessions from before it was adopted has been seen or has expired: one idle time after
    /// another instance was first given a share. `None`: none was yet, so that whoever comes goes to it in any case.
    pub sessions_until: Option<Timestamp>,
}

/// How far an instance is.
///
/// ```text
/// Starting → Ready → Serving ⇄ Draining → Retiring → gone
///     └────────┴─────────┴─────────┴─→ Failed ─→ Retiring
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Being launched; never seen ready.
    Starting,
    /// Seen ready; no share in force.
    Ready,
    /// A share is in force.
    Serving,
    /// No share is in force any more, or its release was aborted; its sessions stay.
    Draining,
    /// Exited, restarted, unresponsive for too long, or aborted before it was ready.
    Failed,
    /// Closed on every locator; being stopped.
    Retiring,
}

/// A drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainState {
    /// When it began.
    pub since: Timestamp,
    /// When what is left is evicted; never, if `None`.
    pub deadline: Option<Timestamp>,
    /// Whether that has passed. It stays so for this drain.
    pub overdue: bool,
}

/// The end of a service: its instances get no new sessions, and drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// Who asked for it.
    pub by: String,
    /// When it began.
    pub since: Timestamp,
}

/// A release in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The request that asked for it; `None` in what an older Haddock has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The version that it brings, the candidate.
    pub version: VersionId,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether it goes back to an earlier version: the ramp is one stage then.
    pub rollback: bool,
    /// How far it is.
    pub phase: ReleasePhase,
    /// When the stage's share, or the full share while settling, was seen in force.
    pub held_since: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Whether somebody asked to go on at once.
    pub advance: bool,
    /// Tries of the pull.
    pub pull: Attempt,
    /// What runs before its version, once that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Preparation>,
    /// Why it waits, if it does.
    pub waits: Option<Error>,
    /// Since when a locator has not been read, while the share is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blind_since: Option<Timestamp>,
}

/// What runs before a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// The environment that it runs in, by itself.
    pub instance: InstanceId,
    /// When it is given up.
    pub end_by: Timestamp,
    /// Tries of starting it.
    pub attempt: Attempt,
}

/// How far a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleasePhase {
    /// Images are pulled; room for another version is waited for.
    Preparing,
    /// The candidate's instances are started and probed.
    Launching,
    /// The candidate has the share of this stage, from 0.
    Ramping(usize),
    /// The candidate has the full share.
    Settling,
    /// The candidate keeps its share until the known good version has it back.
    Aborting(AbortReason),
}

impl ReleasePhase {
    /// The phase's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Launching => "launching",
            Self::Ramping(_) => "ramping",
            Self::Settling => "settling",
            Self::Aborting(_) => "aborting",
        }
    }
}

/// A table that was asked of the locators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedTable {
    /// The number of the decision.
    pub number: Number,
    /// The routes.
    pub routes: BTreeMap<InstanceId, Route>,
    /// Whether it was seen in force on every locator.
    pub in_force: bool,
    /// Tries of sending it.
    pub sending: Attempt,
}
