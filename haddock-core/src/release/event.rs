//! Events: the lines of a service's history.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::guard::{Difference, Judgement};
use super::outlook::{FollowWait, SkipReason};
use crate::error::Error;
use crate::name::{ComponentName, EnvironmentName, InstanceId, RequestId, VersionId};
use crate::routing::{FencingToken, Share};
use crate::settings::Hook;
use crate::time::Timestamp;

/// An event with its place in the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// Its place in the service's history, from 1, without gaps.
    pub sequence: u64,
    /// When the step was made that recorded it.
    pub at: Timestamp,
    /// The number of the commit that recorded it.
    pub number: FencingToken,
    /// What happened.
    pub event: Event,
}

/// Something that happened to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A request was taken up.
    RequestTaken {
        /// Its id.
        id: RequestId,
        /// What was wanted.
        verb: String,
        /// Who wanted it.
        by: String,
    },
    /// A request was taken up and refused.
    RequestRefused {
        /// Its id.
        id: RequestId,
        /// Why.
        error: Error,
    },
    /// A release waits until the one in progress has ended.
    ReleaseQueued {
        /// Its request.
        id: RequestId,
    },
    /// A waiting release was overtaken by a newer one, and is dropped.
    ReleaseSkipped {
        /// Its request.
        id: RequestId,
    },
    /// A waiting release was aborted before it began, and is dropped.
    ReleaseWithdrawn {
        /// Its request.
        id: RequestId,
        /// Who asked for that.
        by: String,
    },
    /// A rollback was asked for during a release, so the release is aborted.
    RollbackAborts {
        /// The request for the rollback.
        request: RequestId,
        /// The version whose release is aborted.
        version: VersionId,
        /// The version that has all new sessions afterwards, if there is one.
        back_to: Option<VersionId>,
    },
    /// A release began.
    ReleaseStarted {
        /// The request that it fulfils.
        request: RequestId,
        /// Its version.
        version: VersionId,
        /// The images, as they were named.
        images: BTreeMap<ComponentName, String>,
        /// The VCS commit, if known.
        commit: Option<String>,
        /// The test environment that it was promoted from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        promoted: Option<EnvironmentName>,
        /// Whether it goes back to an earlier version.
        rollback: bool,
    },
    /// The images are on the host, pinned by digest.
    ImagesPinned {
        /// The version.
        version: VersionId,
        /// The digests.
        pins: BTreeMap<ComponentName, String>,
    },
    /// The component that runs before the version was started.
    BeforeStarted {
        /// The version.
        version: VersionId,
        /// The component.
        component: ComponentName,
    },
    /// The component that runs before the version has done its work.
    BeforeEnded {
        /// The version.
        version: VersionId,
        /// The component.
        component: ComponentName,
        /// The last lines of its output.
        output: Vec<String>,
    },
    /// The release waits, and why.
    ReleaseWaits {
        /// Its version.
        version: VersionId,
        /// For what.
        error: Error,
    },
    /// The candidate's instances are being launched.
    ReleaseLaunching {
        /// The version.
        version: VersionId,
    },
    /// The candidate is to have this share.
    StageReached {
        /// The version.
        version: VersionId,
        /// The stage, from 0.
        stage: usize,
        /// The share that is asked for.
        share: Share,
    },
    /// The gate of a stage says go.
    GateOpened {
        /// The version.
        version: VersionId,
        /// The stage that ends, from 0.
        stage: usize,
        /// The last lines of its output.
        output: Vec<String>,
    },
    /// What the guard finds has changed, or the version has settled.
    Judged {
        /// The version.
        version: VersionId,
        /// What it finds, and the figures that it stands on.
        judgement: Judgement,
        /// Where the difference comes from, if there is one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        differences: Vec<Difference>,
    },
    /// A version that had settled is harmful. The version before it, which still drained, is the known good one again.
    WentBack {
        /// The harmful version.
        version: VersionId,
        /// The version that has all new sessions from now on.
        back_to: VersionId,
        /// What is wrong.
        reason: Error,
    },
    /// New sessions do not go where they were sent. Chance alone does that once in ten thousand releases.
    SharesMismatch {
        /// The version.
        version: VersionId,
        /// The share that was asked for it.
        asked: Share,
        /// The share of the new sessions that it got.
        given: Share,
    },
    /// The candidate has the full share, which is now held for a while.
    ReleaseSettling {
        /// The version.
        version: VersionId,
    },
    /// The release is over, and its version is the known good one.
    ReleaseSettled {
        /// The version.
        version: VersionId,
    },
    /// The release is over before anything was launched: the known good version is made from the same specification and the same
    /// digests, is healthy, and has all new sessions. The rules that releases go by may differ.
    ReleaseUnchanged {
        /// The version that was asked for.
        version: VersionId,
        /// The version that serves, and goes on to.
        known_good: VersionId,
        /// Whether other rules came with what was asked for, such as another ramp. Those are the rules of the version that
        /// serves now.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        other_rules: bool,
    },
    /// The release gives its share back.
    ReleaseAborting {
        /// The version.
        version: VersionId,
        /// Why.
        reason: AbortReason,
    },
    /// The release is over; what it had is drained.
    ReleaseAborted {
        /// The version.
        version: VersionId,
        /// Why.
        reason: AbortReason,
    },
    /// The ramp is held where it is.
    ReleasePaused,
    /// The ramp goes on.
    ReleaseResumed,
    /// An instance is being launched.
    InstanceStarting {
        /// The instance.
        instance: InstanceId,
        /// Its version.
        version: VersionId,
        /// Whether it replaces one that died.
        replacement: bool,
    },
    /// An instance answers its readiness probe.
    InstanceReady {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance has a share in force.
    InstanceServing {
        /// The instance.
        instance: InstanceId,
        /// The share.
        share: Share,
    },
    /// An instance gets no new sessions; those that it has go on.
    InstanceDraining {
        /// The instance.
        instance: InstanceId,
        /// Live sessions when it began, if known.
        sessions: Option<u64>,
        /// When sessions that are left will be evicted, if ever.
        deadline: Option<Timestamp>,
    },
    /// The drain's deadline has passed while there were sessions left. They are evicted.
    DrainOverdue {
        /// The instance.
        instance: InstanceId,
        /// Live sessions then, if known.
        sessions: Option<u64>,
    },
    /// A hook has run within an instance.
    HookRan {
        /// The instance.
        instance: InstanceId,
        /// Which.
        hook: Hook,
        /// The last lines of its output.
        output: Vec<String>,
    },
    /// A hook has failed within an instance, and is not tried again.
    HookFailed {
        /// The instance.
        instance: InstanceId,
        /// Which.
        hook: Hook,
        /// Why, and the last lines of its output.
        error: Error,
    },
    /// A receiver could not be notified, and this is not tried again.
    #[serde(alias = "news_undelivered")]
    NotificationUndelivered {
        /// To which receiver, from 0.
        receiver: usize,
        /// Of which event, by its number.
        number: FencingToken,
        /// Why.
        error: Error,
    },
    /// An instance does not answer its probe. If that lasts, it gets no new sessions until it does.
    InstanceUnresponsive {
        /// The instance.
        instance: InstanceId,
    },
    /// It answers again.
    InstanceResponsive {
        /// The instance.
        instance: InstanceId,
    },
    /// An instance failed.
    InstanceFailed {
        /// The instance.
        instance: InstanceId,
        /// Why.
        error: Error,
    },
    /// An instance is closed on every locator: nothing reaches it any more.
    InstanceRetiring {
        /// The instance.
        instance: InstanceId,
        /// The sessions that were still on it. They are lost.
        sessions_lost: u64,
        /// How long it drained, in milliseconds, if it did.
        drained_for: Option<u64>,
    },
    /// An instance's containers are removed.
    InstanceGone {
        /// The instance.
        instance: InstanceId,
        /// If it had failed: how its components were, and the ends of their logs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        log: Vec<String>,
    },
    /// A server that runs already is being adopted: it is probed, and becomes the known good version once it answers.
    ExternalAdopted {
        /// The request that asked for it.
        request: RequestId,
        /// The instance that it is from now on.
        instance: InstanceId,
        /// Its version.
        version: VersionId,
        /// Where it listens.
        address: SocketAddr,
    },
    /// An adopted server no longer belongs to the service. It was not stopped, and may be stopped now. It still runs,
    /// unless it has ended by itself.
    ExternalReleased {
        /// The instance that it was.
        instance: InstanceId,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Shares were asked of the locators.
    SharesAsked {
        /// The number of the decision.
        number: FencingToken,
        /// The share of each instance that is to get one.
        shares: BTreeMap<InstanceId, Share>,
    },
    /// Every locator has the shares in force.
    SharesInForce {
        /// The number of the decision.
        number: FencingToken,
    },
    /// The service is being retired: its instances get no new sessions, and drain.
    ServiceRetiring {
        /// Who asked for it.
        by: String,
    },
    /// The service is not retired after all, and serves again.
    RetirementAborted {
        /// Who asked for that.
        by: String,
    },
    /// Nothing of the service is left. Its name can be used again. The numbers of instances and versions go on from
    /// where they were.
    ServiceRetired,
    /// The journal was lost, and this is what was found of the service; its history begins anew.
    Recovered {
        /// The version that counts as the known good one.
        known_good: Option<VersionId>,
        /// The instances, with their versions, which are numbered anew.
        instances: BTreeMap<InstanceId, VersionId>,
    },
    /// The clock of whoever acts is behind that of the last commit. Each wait lasts as long as it would have.
    ClockSetBack {
        /// By how much, in milliseconds.
        by: u64,
    },
    /// Containers of our journal that no state knows are removed.
    StrayFound {
        /// The environment that they are labelled with.
        instance: InstanceId,
    },
    /// Tags of the registry that are not released by themselves.
    TagsSkipped {
        /// The tags, newest first.
        tags: Vec<String>,
        /// Why.
        why: SkipReason,
    },
    /// The next tag of the registry waits to be released by itself, or it is not known which is next.
    FollowWaits {
        /// The tag, if it is known.
        tag: Option<String>,
        /// For what.
        wait: FollowWait,
    },
    /// What the last [`FollowWaits`](Self::FollowWaits) was about is over, and no tag waits.
    FollowGoesOn,
    /// Something that this Haddock cannot read, such as what a newer Haddock wrote; see [`Event::read`]. It is never
    /// written.
    Unreadable {
        /// What the journal calls it.
        name: String,
    },
}

impl Event {
    /// The version whose release it is about.
    #[must_use]
    pub fn version(&self) -> Option<VersionId> {
        match self {
            Self::ReleaseStarted { version, .. }
            | Self::ImagesPinned { version, .. }
            | Self::BeforeStarted { version, .. }
            | Self::BeforeEnded { version, .. }
            | Self::ReleaseWaits { version, .. }
            | Self::ReleaseLaunching { version }
            | Self::StageReached { version, .. }
            | Self::GateOpened { version, .. }
            | Self::Judged { version, .. }
            | Self::WentBack { version, .. }
            | Self::SharesMismatch { version, .. }
            | Self::ReleaseSettling { version }
            | Self::ReleaseSettled { version }
            | Self::ReleaseUnchanged { version, .. }
            | Self::ReleaseAborting { version, .. }
            | Self::ReleaseAborted { version, .. } => Some(*version),
            _ => None,
        }
    }

    /// Whether [receivers](crate::environment::Receiver) are notified of it: when a release begins, waits or ends, and
    /// when something happened that somebody may have to look at.
    #[must_use]
    pub fn notifies(&self) -> bool {
        matches!(
            self,
            Self::ReleaseStarted { .. }
                | Self::ReleaseWaits { .. }
                | Self::ReleaseSettled { .. }
                | Self::ReleaseUnchanged { .. }
                | Self::ReleaseAborting { .. }
                | Self::ReleaseAborted { .. }
                | Self::SharesMismatch { .. }
                | Self::WentBack { .. }
                | Self::InstanceFailed { .. }
                | Self::HookFailed { .. }
                | Self::DrainOverdue { .. }
                | Self::TagsSkipped { .. }
                | Self::FollowGoesOn
        ) || matches!(self, Self::FollowWaits { wait, .. } if wait.is_news())
    }
}

/// Why a release was aborted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AbortReason {
    /// Somebody asked for it.
    Asked {
        /// Who.
        by: String,
    },
    /// A newer release takes its place.
    Superseded,
    /// Its images cannot be had, or its candidate failed.
    Failed(Error),
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked { by } => write!(f, "`{by}` asked for it"),
            Self::Superseded => f.write_str("a newer release takes its place"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl AbortReason {
    /// What failed, if something did.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Asked { .. } | Self::Superseded => None,
        }
    }
}
