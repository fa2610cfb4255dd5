//! The ground truth: how things are, no matter what anybody has seen.

use std::collections::{BTreeMap, BTreeSet};

use haddock_core::container::{ContainerState, Incarnation};
use haddock_core::release::{Event, PhaseName, ReleasePhase, ServiceState, Step, Verdict};
use haddock_core::routing::RoutingTable;
use haddock_core::{ComponentName, ErrorKind, InstanceId, Timestamp, VersionId};

use super::World;

/// How things are.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) instances: BTreeMap<InstanceId, InstanceTruth>,
    /// The versions, by spec, whose images start and run for as long as nobody stops them.
    pub(crate) sound: BTreeSet<String>,
    /// The versions, by spec, whose application fails requests.
    pub(crate) faulty: BTreeMap<String, Fault>,
    /// Sessions that clients opened on each version, whoever counted them.
    pub(crate) opened: BTreeMap<VersionId, u64>,
    /// Idle times that tables put into force, at whichever locator, and when.
    pub(crate) idles: Vec<(u64, u64)>,
    /// Times in which a container did not answer.
    pub(crate) silences: Vec<(Incarnation, u64, u64)>,
    /// Containers of others, as they were made: nobody may touch them.
    pub(crate) foreign: Vec<Incarnation>,
}

/// How an application fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// Percent of its requests.
    pub(crate) percent: u32,
    /// From when on.
    pub(crate) from: u64,
}

/// How things are with one instance.
#[derive(Debug)]
pub(crate) struct InstanceTruth {
    pub(crate) version: VersionId,
    pub(crate) evict_after: Option<u64>,
    pub(crate) patience: u64,
    /// Its containers' lives at the time when it was seen ready.
    pub(crate) lives: Option<BTreeMap<ComponentName, Incarnation>>,
    /// It has answered once.
    pub(crate) booted: bool,
    /// When one of those lives ended.
    pub(crate) broken_at: Option<u64>,
    /// Times in which its entry did not answer.
    pub(crate) hangs: Vec<(u64, u64)>,
    /// It was judged failed, and rightly so.
    pub(crate) failed_rightly: bool,
    /// The guard has given it up.
    pub(crate) harmful: bool,
    /// A locator had closed it when the journal was lost. So it has to go, whatever is known good afterwards.
    pub(crate) given_up: bool,
    /// The locators that evicted it, for a reason.
    pub(crate) evicted: BTreeSet<usize>,
    /// Since when each locator gives it no share.
    pub(crate) zero_since: BTreeMap<usize, u64>,
    /// When it began to drain, and whether its deadline is known to have passed.
    pub(crate) draining_since: Option<u64>,
    pub(crate) overdue: bool,
}

impl InstanceTruth {
    pub(crate) fn new(state: &ServiceState, version: VersionId) -> Self {
        let release = &state.versions[&version].new.settings.release;
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).expect("small");
        Self {
            version,
            evict_after: release.drain.evict_after.map(millis),
            patience: millis(release.unresponsive_for),
            lives: None,
            booted: false,
            broken_at: None,
            hangs: Vec::new(),
            failed_rightly: false,
            harmful: false,
            given_up: false,
            evicted: BTreeSet::new(),
            zero_since: BTreeMap::new(),
            draining_since: None,
            overdue: false,
        }
    }

    /// Whether it was broken or silent at that time.
    pub(crate) fn was_unwell(&self, at: u64) -> bool {
        self.broken_at.is_some_and(|broken| broken <= at) || self.hung_at(at)
    }

    /// Whether it broke or fell silent after that time, or in the same millisecond, which may be after as well.
    pub(crate) fn fell_ill_after(&self, at: u64) -> bool {
        self.broken_at.is_some_and(|broken| broken >= at) || self.hangs.iter().any(|(from, _)| *from >= at)
    }

    pub(crate) fn hung_at(&self, at: u64) -> bool {
        self.hangs.iter().any(|(from, until)| *from <= at && at < *until)
    }
}

impl World {
    /// Notes which lives have ended.
    pub(crate) fn refresh_truth(&mut self) {
        let now = self.time();
        for truth in self.truth.instances.values_mut() {
            let Some(lives) = truth.lives.as_ref().filter(|_| truth.broken_at.is_none()) else { continue };
            let intact = lives.values().all(|life| {
                self.engine
                    .inspect(&life.container, now)
                    .is_some_and(|container| container.is_running() && container.incarnation() == *life)
            });
            if !intact {
                truth.broken_at = Some(self.now);
            }
        }
    }

    /// Whether it can serve now: every life goes on, and its entry answers.
    pub(crate) fn is_well(&self, id: &InstanceId) -> bool {
        self.truth
            .instances
            .get(id)
            .is_some_and(|truth| truth.lives.is_some() && truth.booted && !truth.was_unwell(self.now))
    }

    /// The life of its entry.
    pub(crate) fn entry(&mut self, id: &InstanceId) -> Option<Incarnation> {
        let now = self.time();
        let lives = self.truth.instances.get(id)?.lives.as_ref()?;
        let life = lives.get("app")?;
        let container = self.engine.inspect(&life.container, now)?;
        (container.state == ContainerState::Running).then(|| container.incarnation())
    }

    pub(crate) fn truth_is_ready(&mut self, id: &InstanceId) {
        self.truth_of(id).booted = true;
    }

    /// The truth about an instance that some commit has named.
    pub(crate) fn truth_of(&mut self, id: &InstanceId) -> &mut InstanceTruth {
        self.truth.instances.get_mut(id).expect("every instance was committed before it was begun")
    }

    /// Learns from a commit what is needed for judging.
    pub(crate) fn learn(&mut self, step: &Step) {
        let state = &step.state;
        let reading = self.journal.decisions[&state.number].reading;
        for event in &step.events {
            self.learn_of_server(state, event);
            match event {
                Event::InstanceStarting { instance, version, replacement } => {
                    self.truth.instances.insert(instance.clone(), InstanceTruth::new(state, *version));
                    if *replacement {
                        self.meet("replacement of a dead known good");
                    }
                }
                Event::InstanceReady { instance } => {
                    let lives = match self.server_as(instance) {
                        Some(server) => server.lives(),
                        None => state.instances[instance].incarnations().clone(),
                    };
                    let entry = lives.get("app");
                    let hangs = entry.map(|life| self.silences_of(life)).unwrap_or_default();
                    let truth = self.truth_of(instance);
                    (truth.lives, truth.hangs, truth.broken_at) = (Some(lives), hangs, None);
                    self.refresh_truth();
                }
                Event::InstanceFailed { instance, error } if error.kind() == ErrorKind::Harmful => {
                    self.judge_harm(state, instance);
                }
                Event::InstanceFailed { instance, .. } => self.judge_failure(instance, reading),
                Event::InstanceDraining { instance, .. } => {
                    let now = self.now;
                    let truth = self.truth_of(instance);
                    truth.draining_since = Some(now);
                    truth.overdue = false;
                }
                Event::DrainOverdue { instance, .. } => {
                    self.meet("drain overdue");
                    self.truth_of(instance).overdue = true;
                }
                Event::InstanceServing { instance, .. } => {
                    let truth = self.truth_of(instance);
                    let drained = truth.draining_since.take().is_some();
                    truth.overdue = false;
                    if drained {
                        self.meet("served again after a drain");
                    }
                }
                // An instance that is closed while the service is being retired has to go, even if the service is to
                // stay after all.
                Event::InstanceRetiring { instance, .. } if state.retiring.is_some() => {
                    self.truth_of(instance).given_up = true;
                }
                Event::StrayFound { instance } => {
                    self.journal.strays.insert(instance.clone(), state.number);
                }
                Event::ReleaseSettled { .. } => self.journal.settled += 1,
                _ => {}
            }
            self.meet_event(state, event);
        }
    }

    fn meet_event(&mut self, state: &ServiceState, event: &Event) {
        match event {
            Event::ReleaseSettled { .. } => self.meet("release settled"),
            Event::ReleaseUnchanged { .. } => self.meet("release unchanged"),
            Event::ReleaseAborting { version, reason } => {
                if !state.asked_share_of(*version).is_zero() {
                    self.meet("abort while the candidate had a share");
                }
                if matches!(reason, haddock_core::release::AbortReason::Superseded) {
                    self.meet("superseded");
                    if !state.asked_share_of(*version).is_zero() {
                        self.meet("superseded in its ramp");
                    }
                }
            }
            Event::ReleaseStarted { version, rollback: true, .. } => {
                if state.instances_of(*version).next().is_some() {
                    self.meet("rollback to a running version");
                } else {
                    self.meet("rollback to a version that is gone");
                }
            }
            Event::ReleaseStarted { .. } if state.last_version.is_some() => self.meet("released again"),
            Event::ReleaseStarted { .. } => self.meet("release started"),
            Event::ReleaseSkipped { .. } => self.meet("release skipped"),
            Event::ReleaseWaits { .. } => self.meet("release waits"),
            Event::InstanceFailed { instance, .. } => {
                let version = self.truth.instances[instance].version;
                if state.known_good == Some(version) {
                    self.meet("known good instance failed");
                }
                if state.versions[&version].verdict == Verdict::Bad {
                    self.meet("bad version");
                }
            }
            Event::InstanceRetiring { sessions_lost: 1.., .. } => self.meet("sessions lost by eviction"),
            Event::InstanceGone { .. } => self.meet("instance gone"),
            Event::ReleasePaused => self.meet("release paused"),
            Event::ServiceRetired => self.meet("service retired"),
            Event::ClockSetBack { .. } => self.meet("clock set back"),
            Event::RetirementAborted { .. } => self.meet("retirement aborted"),
            _ => {}
        }
        if state.release.as_ref().is_some_and(|r| matches!(r.phase, ReleasePhase::Aborting(_)))
            && state.instances.values().any(|i| i.is(PhaseName::Serving))
        {
            self.meet("aborting while something serves");
        }
    }

    /// Whether an instance that a commit calls failed really has failed.
    fn judge_failure(&mut self, id: &InstanceId, reading: u64) {
        let now = self.now;
        let truth = self.truth_of(id);
        let broken = truth.broken_at.is_some_and(|at| at <= reading);
        let silent = truth.hung_at(reading) && truth.hangs.iter().any(|(from, _)| from + truth.patience <= now);
        truth.failed_rightly |= truth.lives.is_none() || broken || silent;
    }

    /// Times in which a running container did not or will not answer: it hangs, or it was restarted a moment ago and is
    /// still booting.
    pub(crate) fn silences_of(&mut self, life: &Incarnation) -> Vec<(u64, u64)> {
        let silences = self.truth.silences.iter().filter(|(silent, ..)| silent == life);
        let mut silences: Vec<_> = silences.map(|(_, from, until)| (*from, *until)).collect();
        if !self.engine.answers(&life.container, self.time()) {
            let mut ahead = self.engine.clone();
            let mut answers = |at: &u64| ahead.answers(&life.container, Timestamp::from_millis(*at));
            // No image takes longer to boot. A container that has ended never answers.
            let until = (self.now..self.now + 2_000).find(|at| answers(at)).unwrap_or(self.now + 2_000);
            silences.push((self.now, until));
        }
        silences
    }

    /// Notes what a table that is in force now gives.
    pub(crate) fn truth_of_table(&mut self, at: usize, table: &RoutingTable) {
        let now = self.now;
        let idle = u64::try_from(table.session.idle.as_millis()).expect("small");
        if self.truth.idles.last().is_none_or(|(_, last)| *last != idle) {
            self.truth.idles.push((now, idle));
        }
        for (id, route) in &table.routes {
            let truth = self.truth_of(id);
            if route.share.is_zero() {
                truth.zero_since.entry(at).or_insert(now);
            } else {
                truth.zero_since.remove(&at);
            }
        }
    }

    /// The shortest and the longest idle time that was in force since then.
    pub(crate) fn idle_since(&self, since: u64) -> (u64, u64) {
        let mut present = (u64::MAX, 0);
        for (n, (from, idle)) in self.truth.idles.iter().enumerate() {
            let until = self.truth.idles.get(n + 1).map_or(u64::MAX, |(next, _)| *next);
            if until > since && *from <= self.now {
                present = (present.0.min(*idle), present.1.max(*idle));
            }
        }
        present
    }
}
