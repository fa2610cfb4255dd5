//! A service and its release at one glance, for people and programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::judged::{GuardSummary, JudgementSummary};
use super::status::{Status, sessions};
use crate::error::Error;
use crate::journal::LoopEnd;
use crate::name::{ComponentName, InstanceId, ServiceName, VersionId};
use crate::release::{Counted, Outlook, PhaseName, Progress, Release, ReleasePhase, Verdict, waits_for_gateway};
use crate::routing::{InstanceFigures, LocatorReport, RemainingSessions, Share};
use crate::time::Timestamp;

/// How far a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSummary {
    /// How far, or how it ended.
    pub phase: Progress,
    /// The version that it brings, once it has begun.
    pub version: Option<VersionId>,
    /// The share that is asked for that version.
    pub share: Share,
    /// The share that it has on every locator.
    pub share_in_force: Share,
    /// The stage of the ramp, from 0.
    pub stage: Option<usize>,
    /// Whether the ramp is held.
    pub paused: bool,
    /// Why it waits, if it does.
    pub waits: Option<Error>,
    /// Sessions on draining instances; `None` if one of them is not counted.
    pub draining: Option<u64>,
    /// Why it is or was aborted or refused, if something failed.
    pub error: Option<Error>,
}

/// A service as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSummary {
    /// Its name.
    pub service: ServiceName,
    /// The newest version that settled and was not judged bad since.
    pub known_good: Option<VersionId>,
    /// The release in progress.
    pub release: Option<ReleaseSummary>,
    /// What the guard sees of the newest candidate, as long as it can be given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardSummary>,
    /// Who asked for its end, while it is being retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<String>,
    /// How the last loop that acted for it ended, if nobody had asked it to, and none acts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<LoopEnd>,
    /// What comes next by itself, if somebody follows a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<FollowSummary>,
    /// Its versions, oldest first.
    pub versions: Vec<VersionSummary>,
    /// Its instances that are not gone.
    pub instances: Vec<InstanceSummary>,
}

/// What comes next by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowSummary {
    /// Which tags are followed: repository and pattern.
    pub of: String,
    /// The tag that waits to be released.
    pub tag: Option<String>,
    /// For what it waits, or why nothing can be said.
    pub waits: Option<String>,
    /// Tags that are not released by themselves, newest first, with the reason.
    pub skipped: Vec<(String, String)>,
}

impl From<&Outlook> for FollowSummary {
    fn from(outlook: &Outlook) -> Self {
        Self {
            of: outlook.of.clone(),
            tag: outlook.tag.clone(),
            waits: outlook.waits.as_ref().map(ToString::to_string),
            skipped: outlook.skipped.iter().map(|it| (it.tag.clone(), it.why.to_string())).collect(),
        }
    }
}

/// A version as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSummary {
    /// The version.
    pub version: VersionId,
    /// What became of it.
    pub verdict: Verdict,
    /// Its images, as they were named.
    pub images: BTreeMap<ComponentName, String>,
    /// Its images by digest, once they are known.
    pub digests: Option<BTreeMap<ComponentName, String>>,
    /// The VCS commit that it was made from, if known.
    pub commit: Option<String>,
    /// What the guard found, if it was harmful.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<JudgementSummary>,
    /// The share that is asked for it.
    pub share: Share,
    /// Sessions on its instances; `None` if one of them is not counted.
    pub sessions: Option<u64>,
}

/// An instance as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSummary {
    /// Its id.
    pub instance: InstanceId,
    /// Its version.
    pub version: VersionId,
    /// Its phase.
    pub phase: PhaseName,
    /// Since when.
    pub since: Timestamp,
    /// Where its entry listens, once known.
    pub address: Option<std::net::SocketAddr>,
    /// The share that is asked for it.
    pub share: Share,
    /// The share that it has on every locator; `None` if one of them does not say.
    pub share_in_force: Option<Share>,
    /// Its sessions; `None` if they are not counted.
    pub sessions: Option<u64>,
    /// Requests under way; `None` if a locator does not say.
    pub in_flight: Option<u64>,
    /// Upgraded connections; `None` if a locator does not say.
    pub upgraded: Option<u64>,
    /// Whether it is an address that is routed to, but neither started nor stopped.
    pub external: bool,
    /// Why it failed, if it did.
    pub failure: Option<Error>,
    /// When what is left on it is evicted, if ever.
    pub drain_deadline: Option<Timestamp>,
    /// What is left on it while it drains, and when that ends by itself. `None`: it does not drain, or nobody can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<RemainingSessions>,
    /// What its application says of its sessions while it drains, if its settings ask for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_sessions: Option<ApplicationSessions>,
}

/// What the application of an instance says of its sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationSessions {
    /// How many it has; `None` if nobody can say.
    pub sessions: Option<u64>,
    /// Why nobody can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// When it was asked.
    pub at: Timestamp,
}

impl From<&Counted> for ApplicationSessions {
    fn from(counted: &Counted) -> Self {
        let (sessions, unknown) = (counted.sessions.as_ref().ok().copied(), counted.sessions.as_ref().err().cloned());
        Self { sessions, unknown, at: counted.began }
    }
}

impl Status {
    /// The service at one glance.
    #[must_use]
    pub fn summary(&self) -> ServiceSummary {
        let state = &self.state;
        let versions = state.versions.iter().map(|(id, version)| VersionSummary {
            version: *id,
            verdict: version.verdict,
            images: version.new.images.clone(),
            digests: version.pins.clone(),
            commit: version.new.commit.clone(),
            harm: version.harm.map(JudgementSummary::from),
            share: state.asked_share_of(*id),
            sessions: state.instances_of(*id).map(|(instance, _)| self.sessions(instance)).sum(),
        });
        let instances = state.instances.iter().map(|(id, instance)| InstanceSummary {
            instance: id.clone(),
            version: instance.version,
            phase: instance.phase.name(),
            since: instance.since,
            address: instance.address(),
            share: state.asked_share(id),
            share_in_force: self.share_in_force(id),
            sessions: self.sessions(id),
            in_flight: self.figure(id, |figures| figures.in_flight),
            upgraded: self.figure(id, |figures| figures.upgraded),
            external: instance.is_external(),
            failure: instance.failure().cloned(),
            drain_deadline: instance.drain().and_then(|drain| drain.deadline),
            remaining: self.remaining.get(id).cloned(),
            application_sessions: self.counts.get(id).map(ApplicationSessions::from),
        });
        let reports: Vec<&LocatorReport> = self.locators.values().filter_map(|report| report.as_ref().ok()).collect();
        ServiceSummary {
            service: state.service.clone(),
            known_good: state.known_good,
            release: state.release.as_ref().map(|release| self.release(release)),
            guard: GuardSummary::of(state, &reports),
            retiring: state.retiring.as_ref().map(|retiring| retiring.by.clone()),
            ended: self.ended.clone(),
            follow: state.follow.outlook.as_ref().filter(|outlook| outlook.on).map(FollowSummary::from),
            versions: versions.collect(),
            instances: instances.collect(),
        }
    }

    fn release(&self, release: &Release) -> ReleaseSummary {
        let state = &self.state;
        let (phase, stage) = match &release.phase {
            ReleasePhase::Preparing => (Progress::Preparing, None),
            ReleasePhase::Launching => (Progress::Launching, None),
            ReleasePhase::Ramping(stage) => (Progress::Ramping, Some(*stage)),
            ReleasePhase::Settling => (Progress::Settling, None),
            ReleasePhase::Aborting(_) => (Progress::Aborting, None),
        };
        let error = match &release.phase {
            ReleasePhase::Aborting(reason) => reason.error().cloned(),
            _ => None,
        };
        // Somebody who looks sees this at once. The history says it only if it lasts.
        let gives =
            matches!(release.phase, ReleasePhase::Ramping(_) | ReleasePhase::Settling | ReleasePhase::Aborting(_));
        let mut silent = self.locators.iter().filter(|(_, report)| gives && report.is_err());
        let waits = release.waits.clone().or_else(|| silent.next().map(|(name, _)| waits_for_gateway(name)));
        let in_force = state.instances_of(release.version).filter_map(|(id, _)| self.share_in_force(id));
        let draining = state.instances.iter().filter(|(_, instance)| instance.is(PhaseName::Draining));
        ReleaseSummary {
            phase,
            version: Some(release.version),
            share: state.asked_share_of(release.version),
            share_in_force: Share::basis_points(in_force.map(Share::as_basis_points).sum()),
            stage,
            paused: release.paused_at.is_some(),
            waits,
            draining: draining.map(|(id, _)| self.sessions(id)).sum(),
            error,
        }
    }

    fn sessions(&self, instance: &InstanceId) -> Option<u64> {
        sessions(self.locators.values(), instance)
    }

    /// The sum over all locators, if each of them says.
    fn figure(&self, instance: &InstanceId, figure: impl Fn(&InstanceFigures) -> u64) -> Option<u64> {
        let each = self.locators.values().map(|report| report.as_ref().ok()?.instances.get(instance).map(&figure));
        each.sum()
    }

    /// The smallest share over all locators, if each of them says.
    fn share_in_force(&self, instance: &InstanceId) -> Option<Share> {
        let each = self.locators.values().map(|report| {
            let figures = report.as_ref().ok()?.instances.get(instance);
            Some(figures.and_then(|figures| figures.share).unwrap_or_default())
        });
        each.collect::<Option<Vec<Share>>>()?.into_iter().min()
    }
}
