//! The state of a service: the only thing that is remembered.
//!
//! | file | what it has |
//! |---|---|
//! | `version` | what one release put out |
//! | `instance` | an instance, and what was asked of the locators about it |
//! | `phase` | how far an instance is, with the data of each phase, and the transitions |
//! | `release` | the release in progress, and the table that was asked for |
//! | `follow` | what is remembered for continuous releases |
//! | `notification` | who is still to be told of what has happened |
//! | `watch` | what was counted of the candidate's sessions, for the guard |
//! | `attempt` | tries of one thing, and when the next may begin |
//! | `layout_1` | the layout that earlier Haddocks wrote |

mod attempt;
mod follow;
mod instance;
mod layout_1;
mod notification;
mod phase;
mod release;
mod version;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use attempt::Attempt;
pub use follow::{FollowMemory, GivenUp};
pub use instance::{Instance, Routing};
pub(super) use layout_1::State as StateOfLayout1;
pub use notification::Notification;
pub use phase::{
    DrainState, Draining, External, Failed, Launched, Life, PendingHook, Phase, PhaseName, Retiring, Server, Starting,
};
pub use release::{AskedTable, PendingGate, Preparation, Release, ReleasePhase};
pub use version::{Verdict, Version};
pub(super) use watch::guard;
pub use watch::{Counts, Period, Watch};

use super::request::{NewVersion, Request, Verb};
use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, JournalId, ServiceName, VersionId};
use crate::routing::{FencingToken, Share};
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
    pub number: FencingToken,
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
    /// What is known of the newest candidate's sessions, as long as it can be given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// Environments of components that ran before a version, and have ended or are no longer needed. They are removed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub leaving: BTreeSet<InstanceId>,
    /// Tries of removing these, and containers that no state knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removals: BTreeMap<InstanceId, Attempt>,
    /// Notifications that have not arrived yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
    /// What is remembered for continuous releases.
    #[serde(default, skip_serializing_if = "FollowMemory::is_default")]
    pub follow: FollowMemory,
    /// Set while the service is being retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<Retirement>,
    /// Whether the service was retired, and nothing was released of it since. Only its numbers are left, because none
    /// of them may be given out again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// The number of the last version before the service was retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_version: Option<VersionId>,
}

impl ServiceState {
    /// The layout that this Haddock writes.
    pub const SCHEMA: u32 = 2;

    /// A service that was never released.
    #[must_use]
    pub fn new(service: ServiceName, journal: JournalId) -> Self {
        Self {
            schema: Self::SCHEMA,
            service,
            journal,
            number: FencingToken::default(),
            now: Timestamp::default(),
            next_instance: 1,
            versions: BTreeMap::new(),
            instances: BTreeMap::new(),
            known_good: None,
            release: None,
            queued: None,
            asked: None,
            watch: None,
            leaving: BTreeSet::new(),
            removals: BTreeMap::new(),
            notifications: Vec::new(),
            follow: FollowMemory::default(),
            retiring: None,
            retired: false,
            last_version: None,
        }
    }

    /// Whether the service was retired, and there is nothing left to do or to notify: as if it had never existed.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.retired && self.notifications.is_empty()
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

    /// The digests of the specifications that may still be needed: of versions with instances, of the known good one,
    /// of releases in progress or waiting, of notifications that have not arrived, and of the newest `rollbacks` other
    /// versions that settled.
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
        let told = self.notifications.iter().map(|notification| notification.spec.as_str());
        new.flat_map(NewVersion::specs).chain(told).collect()
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

/// The end of a service: its instances get no new sessions, and drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// Who asked for it.
    pub by: String,
    /// When it began.
    pub since: Timestamp,
}
