//! One step, part by part.

mod before;
mod clock;
mod counts;
mod drain;
mod external;
mod follow;
mod gates;
mod judge;
mod progress;
mod requests;
mod retire;
mod rounds;
mod routing;
mod sightings;
mod tell;
mod unchanged;

#[cfg(feature = "controller")]
pub(crate) use progress::waits_for_gateway;

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::Action;
use super::event::Event;
use super::observation::{Observation, Reading, TaskReport};
use super::rules::Rules;
use super::state::{Instance, Life, Phase, PhaseName, Release, ServiceState, Verdict, Version, Watch};
use crate::container::Container;
use crate::error::Error;
use crate::name::{InstanceId, RequestId, VersionId};
use crate::routing::{FencingToken, LocatorReport};
use crate::time::Timestamp;

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The state that the events lead to.
    pub state: ServiceState,
    /// What happened.
    pub events: Vec<Event>,
    /// What to do, once state and events are committed.
    pub actions: Vec<Action>,
    /// The requests that were taken up.
    pub taken: Vec<RequestId>,
    /// When to look again even if nothing happens.
    pub wake_at: Option<Timestamp>,
    /// Whether the state differs from the one before in more than the time. There may be no event for the difference.
    pub differs: bool,
}

impl Step {
    /// Whether there is anything to commit. A step with actions is committed even without events, because the actions
    /// carry the number of the commit. What is not committed is not remembered.
    #[must_use]
    pub fn must_commit(&self) -> bool {
        !self.events.is_empty() || !self.actions.is_empty() || !self.taken.is_empty() || self.differs
    }
}

/// Decides what to do next for this service, given what is seen of it at `now`.
///
/// Pure and deterministic. Linear in the number of instances and containers.
///
/// ```
/// use haddock_core::release::{Observation, ServiceState, step};
/// use haddock_core::{JournalId, ServiceName, Timestamp};
///
/// # fn main() -> haddock_core::Result<()> {
/// let state = ServiceState::new(ServiceName::new("accounting")?, JournalId::new("j1")?);
/// let step = step(&state, &Observation::default(), Timestamp::from_millis(0));
/// assert!(step.actions.is_empty(), "nothing was asked for, so there is nothing to do");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn step(state: &ServiceState, observation: &Observation, now: Timestamp) -> Step {
    step_by(&Rules::ALL, state, observation, now)
}

/// [`step()`] with some rules switched off: for the tests that prove that each rule is needed.
#[must_use]
pub fn step_by(rules: &Rules, state: &ServiceState, observation: &Observation, now: Timestamp) -> Step {
    let mut work = Work::new(rules, state, observation, now);
    work.take_requests();
    work.sight_locators();
    work.sight_instances();
    work.sight_hooks();
    work.judge();
    work.make_progress();
    work.route();
    work.end_harmful();
    work.drain();
    work.end_retirement();
    work.run_hooks();
    work.notify();
    work.finish()
}

/// A step in the making.
struct Work<'a> {
    rules: &'a Rules,
    before: &'a ServiceState,
    seen: &'a Observation,
    now: Timestamp,
    /// The number that this step's commit will have.
    number: FencingToken,
    state: ServiceState,
    /// The containers of each environment of this service, if they could be read.
    containers: Option<BTreeMap<InstanceId, Vec<&'a Container>>>,
    /// The reports of all locators, if all could be read.
    reports: Option<Vec<&'a LocatorReport>>,
    /// The counts as they are now, and what was found, if all locators could be read.
    judged: Option<Watch>,
    events: Vec<Event>,
    actions: Vec<Action>,
    taken: Vec<RequestId>,
    wake_at: Option<Timestamp>,
}

impl<'a> Work<'a> {
    fn new(rules: &'a Rules, before: &'a ServiceState, seen: &'a Observation, now: Timestamp) -> Self {
        let mut state = before.clone();
        let events = if rules.follow_the_clock { clock::follow(&mut state, now) } else { Vec::new() };
        let now = now.max(state.now);
        state.now = now;
        let number = FencingToken { epoch: state.number.epoch, revision: state.number.revision + 1 };
        let containers = match &seen.containers {
            Reading::Known { value, .. } => Some(Self::by_instance(&state, value)),
            Reading::Unknown if rules.unknown_is_not_empty => None,
            Reading::Unknown => Some(BTreeMap::new()),
        };
        let reports: Option<Vec<_>> = seen.locators.values().map(|view| view.report.value()).collect();
        let reports = reports.filter(|reports| !reports.is_empty());
        let seen_ids = containers.iter().flat_map(BTreeMap::keys);
        let seen_ids = seen_ids.chain(reports.iter().flatten().flat_map(|report| report.instances.keys()));
        skip_given_ids(&mut state, seen_ids);
        Self {
            rules,
            before,
            seen,
            now,
            number,
            state,
            containers,
            reports,
            judged: None,
            events,
            actions: Vec::new(),
            taken: Vec::new(),
            wake_at: None,
        }
    }

    /// Groups containers by the environment that their labels name. Containers without our journal's label, or of an
    /// environment of another service, are left out.
    fn by_instance<'c>(state: &ServiceState, all: &'c [Container]) -> BTreeMap<InstanceId, Vec<&'c Container>> {
        let mut sorted: BTreeMap<InstanceId, Vec<&Container>> = BTreeMap::new();
        for container in all.iter().filter(|container| container.belongs_to(&state.journal)) {
            if let Some(id) = container.instance().filter(|id| id.is_of(&state.journal, &state.service)) {
                sorted.entry(id).or_default().push(container);
            }
        }
        sorted
    }

    fn wake(&mut self, at: Timestamp) {
        if at > self.now {
            self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    fn version(&self, id: VersionId) -> &Version {
        self.state.versions.get(&id).expect("a version with instances or a release is kept")
    }

    fn version_mut(&mut self, id: VersionId) -> &mut Version {
        self.state.versions.get_mut(&id).expect("a version with instances or a release is kept")
    }

    fn release_mut(&mut self) -> &mut Release {
        self.state.release.as_mut().expect("only called with a release in progress")
    }

    fn instance_mut(&mut self, id: &InstanceId) -> &mut Instance {
        self.state.instances.get_mut(id).expect("the id was taken from this map in this step")
    }

    /// The life of an instance that is ready, serving or draining.
    fn life_mut(&mut self, id: &InstanceId) -> &mut Life {
        self.instance_mut(id).phase.life_mut().expect("only called for an instance that was seen to run in this step")
    }

    /// Moves an instance into the phase that `next` makes of its present one.
    fn enter(&mut self, id: &InstanceId, next: impl FnOnce(Phase) -> Phase) {
        if let Some((id, instance)) = self.state.instances.remove_entry(id) {
            let phase = next(instance.phase);
            self.state.instances.insert(id, Instance { phase, since: self.now, ..instance });
        }
    }

    fn fail(&mut self, id: &InstanceId, error: Error, has_ended: bool) {
        let instance = &self.state.instances[id];
        let (version, lived) = (instance.version, self.now - instance.since);
        if !instance.is(PhaseName::Starting) && lived >= NO_CRASH_LOOP_AFTER {
            self.version_mut(version).replacing.count = 0;
        }
        self.enter(id, |phase| phase.into_failed(error.clone(), has_ended));
        self.events.push(Event::InstanceFailed { instance: id.clone(), error });
    }

    /// Whether new sessions could go to the instance: it was seen ready, and has not failed since. A missed probe or
    /// two do not count: they stop nothing, and move no share.
    fn is_healthy(&self, instance: &Instance) -> bool {
        instance.phase.life().is_some()
            && instance
                .unresponsive_since()
                .is_none_or(|since| self.rules.bear_hiccups && !self.is_lasting(instance, since))
            && !(self.rules.never_name_closed && instance.routing.closed_somewhere)
    }

    /// Whether it is healthy and answered its last probe. It has to, before it is given something or something final is
    /// decided.
    fn answers(&self, instance: &Instance) -> bool {
        self.is_healthy(instance) && instance.unresponsive_since().is_none()
    }

    /// Whether an instance that has been silent since then has been so for longer than a hiccup.
    fn is_lasting(&self, instance: &Instance, since: Timestamp) -> bool {
        since + self.hiccup(instance) <= self.now
    }

    /// For how long an instance may be silent without losing its share.
    fn hiccup(&self, instance: &Instance) -> Duration {
        SHARE_KEPT_WHILE_UNRESPONSIVE.min(self.version(instance.version).new.settings.release.unresponsive_for / 2)
    }

    fn has_healthy(&self, version: VersionId) -> bool {
        self.state.instances_of(version).any(|(_, instance)| self.is_healthy(instance))
    }

    /// The version that serves besides the candidate: the known good version if it is healthy, else the newest healthy
    /// version that is neither known bad nor aborted.
    fn fallback_version(&self) -> Option<VersionId> {
        let known_good = self.state.known_good.filter(|good| self.has_healthy(*good));
        if self.rules.known_good_first && known_good.is_some() {
            return known_good;
        }
        let trusted = |id: &VersionId| {
            matches!(self.version(*id).verdict, Verdict::Open | Verdict::Settled) || !self.rules.distrust_bad
        };
        let mut healthy: Vec<VersionId> = self
            .state
            .instances
            .values()
            .filter(|instance| self.is_healthy(instance))
            .map(|instance| instance.version)
            .filter(trusted)
            .collect();
        healthy.sort_unstable();
        healthy.pop()
    }

    /// The last report of a task; `None` if this controller never started it.
    fn task(&self, task: &super::action::Task) -> Option<&'a TaskReport> {
        self.seen.tasks.get(task)
    }

    /// Whether the state differs from the one before in more than the time and the number.
    fn differs(&mut self) -> bool {
        let before = self.before;
        // Both are set back for the comparison. A copy of the whole state would cost more than the rest of the step.
        let now = std::mem::replace(&mut self.state.now, before.now);
        let number = std::mem::replace(&mut self.state.number, before.number);
        let differs = self.state != *before;
        (self.state.now, self.state.number) = (now, number);
        differs
    }

    fn finish(mut self) -> Step {
        self.forget_old_versions();
        let differs = self.rules.commit_what_differs && self.differs();
        let mut step = Step {
            state: self.state,
            events: self.events,
            actions: self.actions,
            taken: self.taken,
            wake_at: self.wake_at,
            differs,
        };
        if step.must_commit() {
            step.state.number = self.number;
        }
        step
    }

    /// Forgets old versions. These stay: versions with instances, the known good one, that of the release, the newest,
    /// and the last ten that settled, to roll back to.
    fn forget_old_versions(&mut self) {
        if self.state.versions.len() <= MAX_SETTLED_VERSIONS {
            return;
        }
        let in_use: std::collections::BTreeSet<VersionId> = self
            .state
            .instances
            .values()
            .map(|instance| instance.version)
            .chain(self.state.known_good)
            .chain(self.state.release.as_ref().map(|release| release.version))
            .collect();
        let settled = self.state.versions.iter().rev().filter(|(_, version)| version.verdict == Verdict::Settled);
        let kept: std::collections::BTreeSet<VersionId> =
            settled.map(|(id, _)| *id).take(MAX_SETTLED_VERSIONS).collect();
        let newest = self.state.versions.keys().next_back().copied();
        let stays = |id: &VersionId| in_use.contains(id) || kept.contains(id) || Some(*id) == newest;
        let follow = &mut self.state.follow;
        self.state.versions.iter().filter(|(id, _)| !stays(id)).for_each(|(id, gone)| follow.remember(*id, gone));
        self.state.versions.retain(|id, _| stays(id));
    }
}

/// Skips ids that something already has, for instance because an older copy of the journal was restored. Otherwise that
/// thing would be taken for the new instance, and be removed with it.
fn skip_given_ids<'i>(state: &mut ServiceState, seen: impl Iterator<Item = &'i InstanceId>) {
    let given = seen.filter(|id| id.is_of(&state.journal, &state.service)).filter_map(|id| id.number(&state.journal));
    state.next_instance = given.map(|number| number + 1).fold(state.next_instance, u64::max);
}

/// An instance that does not answer keeps its share for this long, or for half of `unresponsive_for` if that is
/// shorter. This is time for several probes, even if each of them runs into its limit.
const SHARE_KEPT_WHILE_UNRESPONSIVE: Duration = Duration::from_secs(5);
/// An instance that lived this long is replaced without the waits of a crash loop. It is twice the longest of these
/// waits.
const NO_CRASH_LOOP_AFTER: Duration = Duration::from_secs(60);
/// How many settled versions are kept to roll back to. Each takes some kilobytes of the state, which each commit
/// writes.
const MAX_SETTLED_VERSIONS: usize = 10;
/// The first and the longest wait between two tries of something on a locator.
const LOCATOR_BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// The first and the longest wait between two tries of something on a runtime.
const RUNTIME_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
