//! The history as a story: what each event means for a release, in figures and in words for people.
//!
//! An event says what changed. A [`Story`] adds up events and tells, after each, how far the release is, which share
//! of the new sessions its version is to have and has, and how many sessions are left on what drains. It is pure: the
//! same history tells the same story.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Event, RecordedEvent};
use super::state::ServiceState;
use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, RequestId, VersionId};
use crate::routing::{FencingToken, Share};

/// How far a release is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Progress {
    /// It was asked for, and has not begun.
    Waiting,
    /// Images are pulled; room for another version is waited for.
    Preparing,
    /// The candidate's instances are started and probed.
    Launching,
    /// The candidate has a growing share.
    Ramping,
    /// The candidate has the full share.
    Settling,
    /// It is over, and its version is the known good one.
    Settled,
    /// Its share is given back.
    Aborting,
    /// It is over, and its version drains.
    Aborted,
    /// A newer release took its place before it began.
    Skipped,
    /// It was refused before it began.
    Refused,
}

impl Progress {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Preparing => "preparing",
            Self::Launching => "launching",
            Self::Ramping => "ramping",
            Self::Settling => "settling",
            Self::Settled => "settled",
            Self::Aborting => "aborting",
            Self::Aborted => "aborted",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Settled | Self::Aborted | Self::Skipped | Self::Refused)
    }
}

/// A sentence names no more tags than this.
const MAX_TAGS_NAMED: usize = 5;

/// An event, and where the release is after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telling {
    /// The event.
    pub recorded: RecordedEvent,
    /// How far the release is; `None` before the first.
    pub phase: Option<Progress>,
    /// The version that it brings, once it has begun.
    pub version: Option<VersionId>,
    /// The share that is asked for that version.
    pub share: Share,
    /// The share that it has on every locator.
    pub share_in_force: Share,
    /// Sessions on draining instances, when they were last counted; `None` if one of them was not.
    pub draining: Option<u64>,
    /// What happened, for people.
    pub message: String,
}

/// Adds up a service's events, from the first one on.
///
/// ```
/// use haddock_core::release::{Event, Progress, RecordedEvent, Story};
/// use haddock_core::{FencingToken, Share, Timestamp, VersionId};
///
/// let event = Event::StageReached { version: VersionId(2), stage: 0, share: Share::percent(10) };
/// let recorded = RecordedEvent { sequence: 9, at: Timestamp::default(), number: FencingToken::default(), event };
/// let telling = Story::new().tell(&recorded);
/// assert_eq!(telling.message, "version 2 is to get 10% of the new sessions");
/// assert_eq!(telling.phase, None, "no release has begun");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Story {
    about: Option<RequestId>,
    /// The last commit that took up requests, and what these wanted. Its events also say which of them are refused.
    last: FencingToken,
    verbs: BTreeMap<RequestId, String>,
    phase: Option<Progress>,
    version: Option<VersionId>,
    /// Why it is or was aborted or refused, if something failed.
    error: Option<Error>,
    /// If this is a rollback that aborts a release: the version that serves after that.
    back_to: Option<VersionId>,
    instances: BTreeMap<InstanceId, VersionId>,
    asked: BTreeMap<InstanceId, Share>,
    #[serde(with = "pairs")]
    tables: BTreeMap<FencingToken, BTreeMap<InstanceId, Share>>,
    in_force: BTreeMap<InstanceId, Share>,
    draining: BTreeMap<InstanceId, Option<u64>>,
}

impl Story {
    /// The story of a service: of whichever release is in progress.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The story of the release that this request asks for. Events before it begins and after it has ended do not
    /// change its phase.
    #[must_use]
    pub fn of(request: RequestId) -> Self {
        Self { about: Some(request), ..Self::default() }
    }

    /// The same story, but from here on it is about the release that this request asks for.
    #[must_use]
    pub fn about(self, request: RequestId) -> Self {
        let Self { last, instances, asked, tables, in_force, draining, .. } = self;
        Self { about: Some(request), last, instances, asked, tables, in_force, draining, ..Self::default() }
    }

    /// What happened, for people who know only the state before it.
    #[must_use]
    pub fn sentence(state: &ServiceState, event: &Event) -> String {
        let instances = state.instances.iter().map(|(id, instance)| (id.clone(), instance.version)).collect();
        Self { instances, ..Self::default() }.message(event)
    }

    /// Takes the next event.
    pub fn tell(&mut self, recorded: &RecordedEvent) -> Telling {
        if matches!(recorded.event, Event::RequestTaken { .. }) && self.last != recorded.number {
            self.last = recorded.number;
            self.verbs.clear();
        }
        self.note_instances(&recorded.event);
        self.note_shares(&recorded.event);
        self.note_release(&recorded.event);
        let message = self.message(&recorded.event);
        if let Event::InstanceGone { instance, .. } | Event::ExternalReleased { instance, .. } = &recorded.event {
            self.instances.remove(instance);
        }
        Telling {
            recorded: recorded.clone(),
            phase: self.phase,
            version: self.version,
            share: self.share(),
            share_in_force: self.share_in_force(),
            draining: self.draining(),
            message,
        }
    }

    /// How far the release is.
    #[must_use]
    pub fn phase(&self) -> Option<Progress> {
        self.phase
    }

    /// The version that it brings, once it has begun.
    #[must_use]
    pub fn version(&self) -> Option<VersionId> {
        self.version
    }

    /// Why it is or was aborted or refused, if something failed.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// The share that is asked for that version.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share_of(&self.asked)
    }

    /// The share that it has on every locator.
    #[must_use]
    pub fn share_in_force(&self) -> Share {
        self.share_of(&self.in_force)
    }

    /// The share that each version has on every locator.
    #[must_use]
    pub fn shares_in_force(&self) -> BTreeMap<VersionId, Share> {
        let mut shares: BTreeMap<VersionId, Share> = BTreeMap::new();
        for (instance, share) in &self.in_force {
            if let Some(version) = self.instances.get(instance) {
                let sum = shares.entry(*version).or_default();
                *sum = Share::basis_points(sum.as_basis_points() + share.as_basis_points());
            }
        }
        shares
    }

    /// The instances that are not gone, with their versions.
    #[must_use]
    pub fn instances(&self) -> &BTreeMap<InstanceId, VersionId> {
        &self.instances
    }

    /// Sessions on draining instances, when they were last counted.
    #[must_use]
    pub fn draining(&self) -> Option<u64> {
        self.draining.values().copied().sum()
    }

    /// Whether any instance drains.
    #[must_use]
    pub fn drains(&self) -> bool {
        !self.draining.is_empty()
    }

    /// Takes a newer count of the sessions of an instance, if it drains.
    pub fn count(&mut self, instance: &InstanceId, sessions: Option<u64>) {
        if let Some(last) = self.draining.get_mut(instance) {
            *last = sessions;
        }
    }

    fn share_of(&self, shares: &BTreeMap<InstanceId, Share>) -> Share {
        let ours =
            shares.iter().filter(|(id, _)| self.version.is_some() && self.instances.get(*id) == self.version.as_ref());
        Share::basis_points(ours.map(|(_, share)| share.as_basis_points()).sum())
    }

    fn note_instances(&mut self, event: &Event) {
        match event {
            Event::InstanceStarting { instance, version, .. } | Event::ExternalAdopted { instance, version, .. } => {
                self.instances.insert(instance.clone(), *version);
            }
            Event::Recovered { instances, .. } => self.instances.clone_from(instances),
            Event::InstanceDraining { instance, sessions, .. } | Event::DrainOverdue { instance, sessions } => {
                self.draining.insert(instance.clone(), *sessions);
            }
            Event::InstanceServing { instance, .. }
            | Event::InstanceFailed { instance, .. }
            | Event::InstanceRetiring { instance, .. }
            | Event::InstanceGone { instance, .. }
            | Event::ExternalReleased { instance, .. } => {
                self.draining.remove(instance);
            }
            _ => {}
        }
    }

    fn note_shares(&mut self, event: &Event) {
        match event {
            Event::SharesAsked { number, shares } => {
                self.asked.clone_from(shares);
                self.tables.insert(*number, shares.clone());
            }
            Event::SharesInForce { number } => {
                // A table that is sent again, or that names more instances, has a new number but the shares of the last
                // one.
                if let Some((asked, shares)) = self.tables.range(..=number).next_back() {
                    (self.in_force, self.tables) = (shares.clone(), self.tables.range(asked..).map(owned).collect());
                }
            }
            _ => {}
        }
    }

    fn note_release(&mut self, event: &Event) {
        match event {
            Event::RequestTaken { id, verb, .. } => {
                self.verbs.insert(id.clone(), verb.clone());
                if self.concerns(id) && self.is_asking(id) {
                    self.phase = Some(Progress::Waiting);
                    self.version = None;
                }
            }
            Event::RequestRefused { id, error } if self.concerns(id) && self.is_asking(id) => {
                self.phase = Some(Progress::Refused);
                self.error = Some(error.clone());
            }
            Event::ReleaseSkipped { id } if self.concerns(id) => self.phase = Some(Progress::Skipped),
            Event::ReleaseWithdrawn { id, .. } if self.concerns(id) => self.phase = Some(Progress::Aborted),
            Event::RollbackAborts { request, version, back_to } if self.about.as_ref() == Some(request) => {
                (self.phase, self.version, self.back_to) = (Some(Progress::Aborting), Some(*version), *back_to);
            }
            Event::ReleaseStarted { request, version, .. } => {
                let ours = self.about.as_ref().is_none_or(|about| about == request);
                if ours && !(self.about.is_some() && self.phase.is_some_and(Progress::is_end)) {
                    self.version = Some(*version);
                    self.phase = Some(Progress::Preparing);
                }
            }
            _ => self.note_progress(event),
        }
    }

    /// How far the release is, if this is about it and it has not ended.
    fn note_progress(&mut self, event: &Event) {
        let ours = self.version.is_some() && event.version() == self.version;
        if !ours || self.phase.is_some_and(Progress::is_end) {
            return;
        }
        let phase = match event {
            Event::ReleaseLaunching { .. } => Progress::Launching,
            Event::StageReached { .. } => Progress::Ramping,
            Event::ReleaseSettling { .. } => Progress::Settling,
            Event::ReleaseSettled { .. } => Progress::Settled,
            Event::ReleaseUnchanged { known_good, .. } => {
                self.version = Some(*known_good);
                Progress::Settled
            }
            Event::ReleaseAborting { reason, .. } => {
                self.error = reason.error().cloned();
                Progress::Aborting
            }
            // A rollback that aborted a release has reached its aim.
            Event::ReleaseAborted { .. } if self.back_to.is_some() => {
                self.version = self.back_to;
                Progress::Settled
            }
            Event::ReleaseAborted { .. } => Progress::Aborted,
            _ => return,
        };
        self.phase = Some(phase);
    }

    /// Whether a request that has not led to a release yet decides the phase of this story. That is the request which
    /// the story is about; in a story of a service, any request while no release is in progress.
    fn concerns(&self, id: &RequestId) -> bool {
        match &self.about {
            Some(about) => about == id,
            None => self.phase.is_none_or(|phase| phase.is_end() || phase == Progress::Waiting),
        }
    }

    fn is_asking(&self, id: &RequestId) -> bool {
        self.verbs.get(id).is_some_and(|verb| matches!(verb.as_str(), "release" | "rollback"))
    }

    fn of_version(&self, instance: &InstanceId) -> String {
        match self.instances.get(instance) {
            Some(version) => format!("instance `{instance}` of version {}", version.0),
            None => format!("instance `{instance}`"),
        }
    }

    fn message(&self, event: &Event) -> String {
        let of = |instance| self.of_version(instance);
        match event {
            Event::RequestTaken { verb, by, .. } => format!("`{by}` asked for: {verb}"),
            Event::RequestRefused { id, error } => match self.verbs.get(id) {
                Some(verb) => format!("{verb} was refused: {error}"),
                None => format!("a request was refused: {error}"),
            },
            Event::ReleaseQueued { .. } => "the release waits until the one in progress has ended".to_owned(),
            Event::ReleaseSkipped { .. } => "a waiting release was overtaken by a newer one".to_owned(),
            Event::ReleaseWithdrawn { by, .. } => format!("the waiting release is dropped: `{by}` asked for it"),
            Event::RollbackAborts { version, .. } => {
                format!("the rollback is the abort of the release of version {}", version.0)
            }
            Event::ReleaseStarted { version, images, rollback, promoted, .. } => {
                let images: Vec<String> = images.iter().map(|(name, image)| format!("{name}: {image}")).collect();
                let what = if *rollback { "going back to" } else { "the release of" };
                let tried = promoted.as_ref().map(|name| format!(", tried out as `{name}`")).unwrap_or_default();
                format!("{what} version {} begins ({}){tried}", version.0, images.join(", "))
            }
            Event::ImagesPinned { version, .. } => format!("the images of version {} are there", version.0),
            Event::BeforeStarted { version, component } => {
                format!("`{component}` runs before version {}", version.0)
            }
            Event::BeforeEnded { version, component, .. } => {
                format!("`{component}` has done its work before version {}", version.0)
            }
            // The message of the error is a sentence about the version.
            Event::ReleaseWaits { version, error } if error.kind() == ErrorKind::LocatorUnavailable => {
                format!("version {} {error}", version.0)
            }
            Event::ReleaseWaits { version, error } => format!("version {} waits: {error}", version.0),
            Event::ReleaseLaunching { version } => format!("version {} is being launched", version.0),
            Event::StageReached { version, share, .. } => {
                format!("version {} is to get {} of the new sessions", version.0, Percent(*share))
            }
            Event::GateOpened { version, stage, .. } => {
                format!("the gate after stage {} of version {} says go", stage + 1, version.0)
            }
            Event::Judged { version, judgement, differences } => {
                let most = differences.first().map(|most| format!("; most of it is {most}")).unwrap_or_default();
                format!("version {}: {judgement}{most}", version.0)
            }
            Event::WentBack { version, back_to, reason } => {
                format!("new sessions go to version {} again, because version {} is {reason}", back_to.0, version.0)
            }
            Event::SharesMismatch { version, asked, given } => {
                format!("version {} was to get {asked} of the new sessions, and got {given}", version.0)
            }
            Event::ReleaseSettling { version } => {
                format!("version {} gets all new sessions, and has to hold", version.0)
            }
            Event::ReleaseSettled { version } => format!("version {} has settled", version.0),
            Event::ReleaseUnchanged { known_good, other_rules: false, .. } => {
                format!("nothing would change: that is version {}, which serves already", known_good.0)
            }
            Event::ReleaseUnchanged { known_good, other_rules: true, .. } => {
                format!(
                    "version {} serves already, and goes by the new settings of `release` and `guard` now",
                    known_good.0
                )
            }
            Event::ExternalAdopted { version, address, .. } => {
                format!("the server at `{address}` is being adopted as version {}", version.0)
            }
            Event::ExternalReleased { address, .. } => {
                format!("nothing is left on the server at `{address}`, which was adopted: it may be stopped")
            }
            Event::ReleaseAborting { version, reason } => {
                format!("version {} gives its share back: {reason}", version.0)
            }
            Event::ReleaseAborted { version, reason } => {
                format!("the release of version {} was aborted: {reason}", version.0)
            }
            Event::ReleasePaused => "the ramp is held where it is".to_owned(),
            Event::ReleaseResumed => "the ramp goes on".to_owned(),
            Event::InstanceStarting { instance, replacement: false, .. } => {
                format!("{} is being started", of(instance))
            }
            Event::InstanceStarting { instance, .. } => {
                format!("{} is being started in place of one that died", of(instance))
            }
            Event::InstanceReady { instance } => format!("{} is ready", of(instance)),
            Event::InstanceServing { instance, share } => {
                format!("{} gets {} of the new sessions", of(instance), Percent(*share))
            }
            Event::InstanceDraining { instance, sessions, .. } => {
                format!("{} drains, {}", of(instance), Left(*sessions))
            }
            Event::DrainOverdue { instance, sessions } => {
                format!("{} has drained for too long, {}: they are evicted", of(instance), Left(*sessions))
            }
            Event::HookRan { instance, hook, .. } => format!("the {} hook has run in {}", hook.name(), of(instance)),
            Event::HookFailed { instance, hook, error } => {
                format!("the {} hook failed in {}: {error}", hook.name(), of(instance))
            }
            Event::NotificationUndelivered { error, .. } => format!("somebody could not be notified: {error}"),
            Event::InstanceUnresponsive { instance } => {
                format!("{} does not answer its probe: no new sessions if that lasts", of(instance))
            }
            Event::InstanceResponsive { instance } => format!("{} answers again", of(instance)),
            Event::InstanceFailed { instance, error } => format!("{} failed: {error}", of(instance)),
            Event::InstanceRetiring { instance, sessions_lost: 0, .. } => {
                format!("{} is empty and closed", of(instance))
            }
            Event::InstanceRetiring { instance, sessions_lost, .. } => {
                format!("{} is closed, {} lost", of(instance), Sessions(*sessions_lost))
            }
            Event::InstanceGone { instance, .. } => format!("{} is gone", of(instance)),
            Event::SharesAsked { shares, .. } => format!("new sessions are to go to {}", self.shares(shares)),
            Event::SharesInForce { .. } if self.in_force.values().all(|share| share.is_zero()) => {
                "the instances are listed, and get nothing yet".to_owned()
            }
            Event::SharesInForce { .. } => format!("new sessions go to {}", self.shares(&self.in_force)),
            Event::ServiceRetiring { by } => {
                format!("`{by}` retires the service: no new sessions, and those that there are go on until they end")
            }
            Event::RetirementAborted { by } => format!("`{by}` lets the service serve again"),
            Event::ServiceRetired => "nothing of the service is left, and its name can be used again".to_owned(),
            Event::Recovered { instances, .. } => {
                let (count, plural) = (instances.len(), if instances.len() == 1 { "" } else { "s" });
                format!("the journal was lost; {count} instance{plural} found again")
            }
            Event::ClockSetBack { by } => {
                let by = Duration::from_millis(*by).as_secs();
                format!("the clock was set back by {by} s: everything waits for as long as it would have")
            }
            Event::StrayFound { instance } => format!("containers of `{instance}`, which nothing knows, are removed"),
            Event::TagsSkipped { tags, why } => format!("{} released by itself: {why}", Tags(tags)),
            Event::FollowWaits { tag: Some(tag), wait } => format!("`{tag}` waits to be released: {wait}"),
            Event::FollowWaits { tag: None, wait } => format!("nothing is released by itself for now: {wait}"),
            Event::FollowGoesOn => "new tags are released by themselves again".to_owned(),
            Event::Unreadable { name } => format!("something that this Haddock does not know: `{name}`"),
        }
    }

    /// The shares by version, such as "version 1 90%, version 2 10%".
    fn shares(&self, shares: &BTreeMap<InstanceId, Share>) -> String {
        let versions: BTreeSet<Option<VersionId>> =
            shares.keys().map(|instance| self.instances.get(instance).copied()).collect();
        let told = versions.into_iter().filter_map(|version| {
            let own = shares.iter().filter(|(id, _)| self.instances.get(*id).copied() == version);
            let sum = Share::basis_points(own.map(|(_, share)| share.as_basis_points()).sum());
            let whose = version.map_or("others".to_owned(), |version| format!("version {}", version.0));
            (!sum.is_zero()).then(|| format!("{whose} {sum}"))
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() { "nobody".to_owned() } else { told.join(", ") }
    }
}

fn owned<K: Copy, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (*key, value.clone())
}

/// Tables by number, as a list, because JSON allows only texts as keys.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{FencingToken, InstanceId, Share};

    type Tables = BTreeMap<FencingToken, BTreeMap<InstanceId, Share>>;

    pub(super) fn serialize<S: Serializer>(tables: &Tables, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(tables)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Tables, D::Error> {
        let pairs = Vec::<(FencingToken, BTreeMap<InstanceId, Share>)>::deserialize(from)?;
        Ok(pairs.into_iter().collect())
    }
}

struct Percent(Share);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Share::FULL { f.write_str("all") } else { write!(f, "{}", self.0) }
    }
}

struct Tags<'t>(&'t [String]);

impl fmt::Display for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.0.iter().take(MAX_TAGS_NAMED).map(|tag| format!("`{tag}`")).collect();
        f.write_str(&named.join(", "))?;
        match self.0.len() - named.len() {
            0 if named.len() == 1 => f.write_str(" is not"),
            0 => f.write_str(" are not"),
            more => write!(f, " and {more} more are not"),
        }
    }
}

struct Sessions(u64);

impl fmt::Display for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} session{plural}", self.0)
    }
}

struct Left(Option<u64>);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(sessions) => write!(f, "{} left", Sessions(sessions)),
            None => f.write_str("its sessions are not counted yet"),
        }
    }
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
