//! How far the release is.

use std::time::Duration;

use super::external::external_is_over;
use super::{RUNTIME_BACKOFF, Work};
use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, LocatorName, VersionId};
use crate::release::action::{Action, Task};
use crate::release::event::{AbortReason, Event};
use crate::release::observation::{TaskReport, TaskResult};
use crate::release::state::{Attempt, Instance, Phase, PhaseName, ReleasePhase, Starting, Verdict};
use crate::routing::Share;
use crate::settings::Stage;
use crate::time::Timestamp;

/// A locator may be silent for this long before the history says that the release waits for it. One that is restarted
/// answers earlier.
const LOCATOR_SILENCE_REPORTED_AFTER: Duration = Duration::from_secs(5);
/// An abort waits for this many replacements of the known good version to become ready. If three of them end in a row,
/// the next one would end for the same reason.
const MAX_REPLACEMENTS_AWAITED: u32 = 3;

/// Why a release waits if its share cannot be given.
pub(crate) fn waits_for_gateway(name: &LocatorName) -> Error {
    let which = if name.as_str() == "gateway" { String::new() } else { format!(" `{name}`") };
    Error::new(ErrorKind::LocatorUnavailable, format!("waits for the gateway{which}, which does not answer"))
        .with_hint("start it, such as by `haddock serve`, or check where it is looked for")
}

impl Work<'_> {
    /// Moves the release on as far as possible, and replaces dead instances of versions that are to serve.
    pub(super) fn make_progress(&mut self) {
        while self.progress_once() {}
        self.replace_dead();
    }

    /// Moves the release on by one phase. Returns whether there was anything to do.
    fn progress_once(&mut self) -> bool {
        let Some(release) = &self.state.release else { return false };
        let (version, phase) = (release.version, release.phase.clone());
        if !matches!(phase, ReleasePhase::Aborting(_)) {
            let failed = self.state.instances_of(version).find(|(_, i)| i.is(PhaseName::Failed) && !self.is_former(i));
            if let Some(error) = failed.and_then(|(_, instance)| instance.failure().cloned()) {
                self.abort(AbortReason::Failed(error));
                return true;
            }
        }
        match phase {
            ReleasePhase::Preparing => self.prepare(version),
            ReleasePhase::Launching => self.launching(version),
            ReleasePhase::Ramping(stage) => self.ramping(version, stage),
            ReleasePhase::Settling => self.settling(version),
            ReleasePhase::Aborting(reason) => self.aborting(version, &reason),
        }
    }

    /// Whether the instance was in its phase before this release began. If it failed before a rollback to its version,
    /// this does not count against the rollback.
    fn is_former(&self, instance: &Instance) -> bool {
        self.state.release.as_ref().is_some_and(|release| instance.since < release.started_at)
    }

    fn enter_release(&mut self, phase: ReleasePhase) {
        let release = self.state.release.as_mut().expect("only called with a release in progress");
        release.phase = phase;
        release.held_since = None;
        release.advance = false;
        release.gate = None;
        release.waits = None;
        release.locator_silent_since = None;
    }

    pub(super) fn wait_for(&mut self, version: VersionId, error: Error) -> bool {
        let release = self.state.release.as_mut().expect("only called with a release in progress");
        if release.waits.as_ref() != Some(&error) {
            release.waits = Some(error.clone());
            self.events.push(Event::ReleaseWaits { version, error });
        }
        false
    }

    fn prepare(&mut self, version: VersionId) -> bool {
        if self.is_adopting() {
            let message = "the adopted server has not answered its probe yet";
            return self.wait_for(version, Error::new(ErrorKind::Busy, message));
        }
        if self.version(version).pins.is_none() && !self.pull(version) {
            return false;
        }
        if let Some(good) = self.same_as_known_good(version) {
            match self.has_everything(good) {
                Some(true) => return self.end_unchanged(version, good),
                Some(false) => {}
                None => return false,
            }
        }
        let most = self.version(version).new.settings.release.max_versions as usize;
        let mut others: Vec<VersionId> =
            self.state.instances.values().map(|instance| instance.version).filter(|other| *other != version).collect();
        others.sort_unstable();
        others.dedup();
        if others.len() >= most {
            let message = format!("{} versions run already, and `max_versions` is {most}", others.len());
            let error =
                Error::new(ErrorKind::Busy, message).with_hint("wait until the oldest has drained, or raise it");
            return self.wait_for(version, error);
        }
        if !self.is_prepared(version) {
            return false;
        }
        self.enter_release(ReleasePhase::Launching);
        self.events.push(Event::ReleaseLaunching { version });
        true
    }

    /// Asks for the images to be pulled. Returns whether they are pinned.
    fn pull(&mut self, version: VersionId) -> bool {
        let now = self.now;
        let pins = self.version(version).new.pins.clone();
        if !pins.is_empty() {
            self.version_mut(version).pins = Some(pins.clone());
            self.events.push(Event::ImagesPinned { version, pins });
            return true;
        }
        match self.task(&Task::Pull(version)) {
            Some(TaskReport::Running) => return false,
            Some(TaskReport::Ended { result: Ok(TaskResult::Pulled(pins)), .. }) => {
                self.version_mut(version).pins = Some(pins.clone());
                self.events.push(Event::ImagesPinned { version, pins: pins.clone() });
                return !self.is_another_image(version);
            }
            Some(TaskReport::Ended { result: Err(error), .. }) if !error.is_retryable() => {
                self.abort(AbortReason::Failed(error.clone()));
                return false;
            }
            Some(TaskReport::Ended { result: Err(error), .. }) => {
                self.wait_for(version, error.clone());
            }
            Some(TaskReport::Ended {
                result: Ok(TaskResult::Done | TaskResult::Said(_) | TaskResult::Answered(..)),
                ..
            })
            | None => {}
        }
        let release = self.state.release.as_mut().expect("only called with a release in progress");
        if release.pull.is_due(now) {
            let (first, longest) = RUNTIME_BACKOFF;
            release.pull.begin(now, first, longest);
            self.actions.push(Action::Pull { version });
        }
        let retry_at = self.state.release.as_ref().map_or(now, |release| release.pull.retry_at);
        self.wake(retry_at);
        false
    }

    fn launching(&mut self, version: VersionId) -> bool {
        if self.start_missing(version) {
            return true;
        }
        let replicas = self.version(version).new.settings.release.replicas as usize;
        let ready = self.state.instances_of(version).filter(|(_, instance)| self.answers(instance)).count();
        let paused = self.state.release.as_ref().is_some_and(|release| release.paused_at.is_some());
        if ready < replicas || paused {
            return false;
        }
        let (rollback, stages) = {
            let release = self.state.release.as_ref().expect("only called with a release in progress");
            (release.rollback, self.version(version).new.settings.release.ramp.len())
        };
        // If nothing was ever known good, nobody has to be protected from the candidate. This is different if the known
        // good version only does not answer now: it may answer again in a moment, and is replaced if it has failed.
        let alone = match self.rules.bear_hiccups {
            true => self.state.known_good.is_none_or(|good| good == version),
            false => self.fallback_version().is_none_or(|fallback| fallback == version),
        };
        let stage = if rollback || alone { stages.saturating_sub(1) } else { 0 };
        self.reach(version, stage);
        true
    }

    fn reach(&mut self, version: VersionId, stage: usize) {
        self.enter_release(ReleasePhase::Ramping(stage));
        let share = self.stage_share(version, stage);
        self.events.push(Event::StageReached { version, stage, share });
    }

    /// The share of a stage; beyond the last it is full.
    pub(super) fn stage_share(&self, version: VersionId, stage: usize) -> Share {
        let allowed = self.state.release.as_ref().filter(|_| stage == 0).and_then(|release| release.allowed);
        if let Some(allowed) = allowed {
            return allowed;
        }
        let ramp = &self.version(version).new.settings.release.ramp;
        if stage + 1 >= ramp.len() { Share::FULL } else { ramp[stage].share }
    }

    /// Starts missing replicas of the candidate. If one fails, the release is aborted. But an instance that a rollback
    /// went back to may be closed by a close that was under way. If that was an adopted server, it cannot be replaced,
    /// and the release is aborted. Returns whether it was aborted for this reason.
    fn start_missing(&mut self, version: VersionId) -> bool {
        let replicas = self.version(version).new.settings.release.replicas as usize;
        let usable = self.usable(version);
        if usable < replicas && self.version(version).external {
            self.abort(AbortReason::Failed(external_is_over(version)));
            return true;
        }
        for _ in usable..replicas {
            self.start_instance(version, false);
        }
        false
    }

    fn ramping(&mut self, version: VersionId, stage: usize) -> bool {
        if self.start_missing(version) {
            return true;
        }
        let ramp = self.version(version).new.settings.release.ramp.clone();
        if self.is_stopped_at_gate(&ramp, stage) {
            return true;
        }
        let last = stage + 1 >= ramp.len();
        let share = self.stage_share(version, stage);
        let Some(held_since) = self.in_force_since(version, share) else { return false };
        if last {
            self.enter_release(ReleasePhase::Settling);
            self.events.push(Event::ReleaseSettling { version });
            return true;
        }
        let end = held_since + ramp[stage].every;
        if let Some(auto) = self.version(version).new.settings.release.auto {
            return self.follow_evidence(version, stage, auto.harm_budget);
        }
        if !self.is_over(end) || !self.has_seen_enough(ramp[stage]) || !self.is_gate_open(version, stage, ramp[stage]) {
            return false;
        }
        self.reach(version, stage + 1);
        true
    }

    /// Whether the sessions that the stage waits for have begun.
    fn has_seen_enough(&mut self, stage: Stage) -> bool {
        let missing = || stage.after > 0 && self.begun_on_candidate().is_none_or(|begun| begun < stage.after);
        if self.is_advancing() || !missing() {
            return true;
        }
        self.wait_quietly(format!("until {} sessions have begun on it", stage.after))
    }

    /// Whether somebody has asked to go on at once.
    pub(super) fn is_advancing(&self) -> bool {
        self.state.release.as_ref().is_some_and(|release| release.advance)
    }

    /// With `ramp: auto`: raises the share of the first stage as far as the evidence allows, and goes on to the full share when
    /// the candidate is fine.
    fn follow_evidence(&mut self, version: VersionId, stage: usize, budget: u32) -> bool {
        let release = self.state.release.as_ref().expect("only called with a release in progress");
        if release.advance {
            self.reach(version, stage + 1);
            return true;
        }
        if release.paused_at.is_some() {
            return false;
        }
        let present = self.stage_share(version, stage);
        match self.allowed_share(present, budget) {
            Some(Share::FULL) => self.reach(version, stage + 1),
            Some(allowed) => {
                self.enter_release(ReleasePhase::Ramping(stage));
                if let Some(release) = &mut self.state.release {
                    release.allowed = Some(allowed);
                }
                self.events.push(Event::StageReached { version, stage, share: allowed });
            }
            None => return self.wait_quietly("until enough sessions have been seen".to_owned()),
        }
        true
    }

    /// Notes what the release waits for, without an event: nobody has to do anything.
    fn wait_quietly(&mut self, message: String) -> bool {
        let error = Error::new(ErrorKind::Busy, message).with_hint("to go on at once, advance the release");
        self.state.release.as_mut().expect("only called with a release in progress").waits = Some(error);
        false
    }

    fn settling(&mut self, version: VersionId) -> bool {
        if self.start_missing(version) {
            return true;
        }
        let settle = self.version(version).new.settings.release.settle;
        let Some(held_since) = self.in_force_since(version, Share::FULL) else { return false };
        let answers = self.state.instances_of(version).any(|(_, instance)| self.answers(instance));
        if !answers || !self.is_over(held_since + settle) {
            return false;
        }
        let rollback = self.state.release.take().is_some_and(|release| release.rollback);
        let judged = self.judged.clone().filter(|watch| watch.candidate == version);
        if let Some(watch) = judged.filter(|_| self.begun_on_candidate().is_some_and(|begun| begun > 0)) {
            self.tell_judgement(&watch);
        }
        self.version_mut(version).verdict = Verdict::Settled;
        let former = self.state.known_good.replace(version).filter(|former| *former != version);
        if let Some(former) = former.filter(|_| rollback) {
            let former = self.version_mut(former);
            (former.verdict, former.left) = (Verdict::Bad, true);
        }
        self.events.push(Event::ReleaseSettled { version });
        self.start_queued();
        true
    }

    /// Reports if the share cannot be given because a locator does not answer.
    fn look_for_locators(&mut self, version: VersionId) {
        let now = self.now;
        let mut silent = self.seen.locators.iter().filter(|(_, view)| view.report.value().is_none());
        let Some(name) = silent.next().map(|(name, _)| name.clone()) else {
            let release = self.state.release.as_mut().expect("only called with a release in progress");
            release.locator_silent_since = None;
            release.waits.take_if(|error| error.kind() == ErrorKind::LocatorUnavailable);
            return;
        };
        let release = self.state.release.as_mut().expect("only called with a release in progress");
        let since = *release.locator_silent_since.get_or_insert(now);
        match now >= since + LOCATOR_SILENCE_REPORTED_AFTER {
            true => drop(self.wait_for(version, waits_for_gateway(&name))),
            false => self.wake(since + LOCATOR_SILENCE_REPORTED_AFTER),
        }
    }

    /// Since when the version has had at least this share, both asked for and in force. If it has less, the time begins
    /// anew.
    fn in_force_since(&mut self, version: VersionId, share: Share) -> Option<Timestamp> {
        self.look_for_locators(version);
        let now = self.now;
        let asked = self.state.asked_share_of(version) >= share;
        let in_force = self.state.asked.as_ref().is_some_and(|asked| asked.in_force);
        let release = self.state.release.as_mut().expect("only called with a release in progress");
        match (asked, in_force) {
            (false, _) => release.held_since = None,
            (true, true) => release.held_since = release.held_since.or(Some(now)),
            (true, false) => {}
        }
        // What is not known changes no phase. So no stage ends, and nothing settles, while containers or locators
        // cannot be read.
        let seen = self.containers.is_some() && self.reports.is_some();
        // The same holds while the hook that tells an instance that it serves has not run.
        let held_since = release.held_since.filter(|_| asked && in_force && seen);
        held_since.filter(|_| self.state.instances_of(version).all(|(_, instance)| instance.hook().is_none()))
    }

    /// Whether a stage until `end` is over. If the release is paused, it is not; if somebody has asked to advance, it
    /// is.
    fn is_over(&mut self, end: Timestamp) -> bool {
        let release = self.state.release.as_ref().expect("only called with a release in progress");
        if release.advance {
            return true;
        }
        if release.paused_at.is_some() {
            return false;
        }
        self.wake(end);
        end <= self.now
    }

    /// Begins to give the share back. Instances that were not ready yet fail, because they have nothing to drain.
    pub(super) fn abort(&mut self, reason: AbortReason) {
        let Some(release) = &self.state.release else { return };
        if matches!(release.phase, ReleasePhase::Aborting(_)) {
            return;
        }
        let version = release.version;
        self.leave_before();
        self.enter_release(ReleasePhase::Aborting(reason.clone()));
        if self.version(version).verdict == Verdict::Open {
            let verdict = if matches!(reason, AbortReason::Failed(_)) { Verdict::Bad } else { Verdict::Aborted };
            let version = self.version_mut(version);
            version.verdict = verdict;
            version.left = matches!(reason, AbortReason::Asked { .. });
        }
        self.events.push(Event::ReleaseAborting { version, reason });
        let starting: Vec<InstanceId> = self
            .state
            .instances_of(version)
            .filter(|(_, instance)| instance.is(PhaseName::Starting))
            .map(|(id, _)| id.clone())
            .collect();
        for id in starting {
            self.fail(&id, Error::new(ErrorKind::NothingToDo, "its release was aborted before it was ready"), false);
        }
    }

    /// The candidate keeps its share until the known good version, or a replacement of it, has the share in force. If
    /// the known good version cannot be started again, the release ends nevertheless: the share stays where it is, and
    /// a newer release may come.
    fn aborting(&mut self, version: VersionId, reason: &AbortReason) -> bool {
        let is_given_up = |good| {
            let in_vain = self.version(good).replacing.count >= MAX_REPLACEMENTS_AWAITED || self.version(good).external;
            in_vain && !self.has_healthy(good)
        };
        let way_back = self.state.known_good.is_some_and(|good| good != version && !is_given_up(good));
        let asked = self.state.asked_share_of(version);
        let in_force = self.state.asked.as_ref().is_none_or(|asked| asked.in_force);
        if way_back && !(asked.is_zero() && in_force) {
            return false;
        }
        self.state.release = None;
        self.events.push(Event::ReleaseAborted { version, reason: reason.clone() });
        self.start_queued();
        true
    }

    /// The number of instances of a version that can serve now or will be able to.
    fn usable(&self, version: VersionId) -> usize {
        let usable = |instance: &Instance| {
            !matches!(instance.phase, Phase::Failed(_) | Phase::Retiring(_)) && !instance.routing.closed_somewhere
        };
        self.state.instances_of(version).filter(|(_, instance)| usable(instance)).count()
    }

    /// Replaces dead instances of the known good version, for as long as it is to serve.
    fn replace_dead(&mut self) {
        let now = self.now;
        let Some(good) = self.state.known_good.filter(|_| self.state.retiring.is_none()) else { return };
        let serves = match &self.state.release {
            None => true,
            Some(release) if release.version == good => matches!(release.phase, ReleasePhase::Aborting(_)),
            Some(release) => match release.phase {
                ReleasePhase::Preparing | ReleasePhase::Launching | ReleasePhase::Aborting(_) => true,
                ReleasePhase::Ramping(stage) => self.stage_share(release.version, stage) < Share::FULL,
                ReleasePhase::Settling => false,
            },
        };
        let replicas = self.version(good).new.settings.release.replicas as usize;
        let missing = replicas.saturating_sub(self.usable(good));
        if !serves || missing == 0 || !self.rules.replace_known_good || self.version(good).external {
            return;
        }
        let replacing = &mut self.version_mut(good).replacing;
        if !replacing.is_due(now) {
            let retry_at = replacing.retry_at;
            return self.wake(retry_at);
        }
        let (first, longest) = RUNTIME_BACKOFF;
        replacing.begin(now, first, longest);
        for _ in 0..missing {
            self.start_instance(good, true);
        }
    }

    fn start_instance(&mut self, version: VersionId, replacement: bool) {
        let ready_by = self.now + self.version(version).new.settings.ready.within;
        let mut attempt = Attempt::default();
        attempt.begin(self.now, RUNTIME_BACKOFF.0, RUNTIME_BACKOFF.1);
        let id = self.add_instance(version, Starting::Launch { ready_by, attempt });
        self.events.push(Event::InstanceStarting { instance: id.clone(), version, replacement });
        self.actions.push(Action::Launch { instance: id, ready_by });
    }

    pub(super) fn next_id(&mut self) -> InstanceId {
        let id = InstanceId::of(&self.state.journal, &self.state.service, self.state.next_instance);
        self.state.next_instance += 1;
        id
    }

    pub(super) fn add_instance(&mut self, version: VersionId, starting: Starting) -> InstanceId {
        let id = self.next_id();
        let instance = Instance::new(version, Phase::Starting(starting), self.now);
        self.state.instances.insert(id.clone(), instance);
        id
    }
}
