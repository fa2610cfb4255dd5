//! Runs the step in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::behaviour::Behaviour;
use super::book::Book;
use super::crowd::Crowd;
use super::engine::Engine;
use super::fault::Faults;
use super::locator::Locator;
use super::outcome::Outcome;
use super::plan::{PlannedRelease, Rehearsal};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, InstanceId, JournalId, LocatorName, RequestId, VersionId};
use crate::release::{
    Action, GateAnswer, LocatorView, NewVersion, Observation, Reading, Request, ServiceLoop, ServiceState, TaskReport,
    TaskResult, Verb,
};
use crate::routing::Share;
use crate::settings::{Stage, StageGate};
use crate::time::Timestamp;

/// The time between two looks if nothing goes on but sessions.
const SLOW_LOOK: Duration = Duration::from_secs(10);
/// While nothing at all happens, a look is made this often.
const IDLE_LOOK: Duration = Duration::from_secs(60);
/// A look that led to something is followed by another.
const NEXT_LOOK: Duration = Duration::from_millis(10);
/// The base has settled this long before people come.
const BASE_TIME: Duration = Duration::from_secs(60);

struct Pending {
    action: Action,
    run: u64,
    began: Timestamp,
    result: Result<TaskResult>,
}

pub(super) struct Runner<'a> {
    plan: &'a Rehearsal,
    now: Timestamp,
    turns: ServiceLoop,
    locator_name: LocatorName,
    engine: Engine,
    locator: Locator,
    crowd: Crowd<'a>,
    /// How each place of the locator behaves.
    behaviours: Vec<Behaviour>,
    faults: BTreeMap<RequestId, Faults>,
    pending: BTreeMap<(Timestamp, u64), Pending>,
    requests: Vec<Request>,
    /// The releases that were not asked for yet.
    planned: std::iter::Peekable<std::iter::Enumerate<std::slice::Iter<'a, PlannedRelease>>>,
    /// When there is something to look at.
    look_at: Timestamp,
    /// When to look if something has been counted.
    grid_at: Timestamp,
    looked_at: Timestamp,
    book: Book,
}

impl<'a> Runner<'a> {
    pub(super) fn new(plan: &'a Rehearsal, seed: u64) -> Result<Self> {
        plan.check()?;
        let settings = &plan.version.settings;
        let journal = JournalId::new("rehearsal")?;
        let people_from = plan.begin.before(plan.traffic_before());
        let now = people_from.before(plan.times.pull + plan.times.before + settings.ready.within + BASE_TIME);
        let end = plan.begin + plan.at_most;
        let state = ServiceState::new(settings.service.clone(), journal.clone());
        let mut runner = Self {
            plan,
            now,
            turns: ServiceLoop::new(state, 1),
            locator_name: LocatorName::new("gateway")?,
            engine: Engine::new(journal),
            locator: Locator::new(now),
            crowd: Crowd::new(&plan.traffic, seed, people_from.as_millis(), end.as_millis()),
            behaviours: Vec::new(),
            faults: BTreeMap::new(),
            pending: BTreeMap::new(),
            requests: Vec::new(),
            planned: plan.releases.iter().enumerate().peekable(),
            look_at: now,
            grid_at: now,
            looked_at: now,
            book: Book::new(plan.begin),
        };
        let base = runner.version(0);
        runner.ask(RequestId::new("base")?, base);
        runner.pass_until(plan.begin)?;
        if runner.turns.state().known_good.is_none() {
            let message = "the version that serves before the release does not become ready";
            let error = Error::new(ErrorKind::NeverReady, message);
            return Err(error.with_hint("let it start faster, or raise `x-haddock.ready.within`"));
        }
        runner.book.open(&runner.crowd.tally);
        Ok(runner)
    }

    /// What the release of that number puts out; 0 is the base.
    fn version(&self, number: usize) -> NewVersion {
        let mut new =
            NewVersion { spec: format!("rehearsal-{number}"), pins: BTreeMap::new(), ..self.plan.version.clone() };
        for (component, image) in &mut new.images {
            *image = format!("{component}:{number}");
        }
        new.settings.notify = 0;
        // There is no application that could be asked. Its sessions are those of the locator.
        new.settings.release.count = None;
        for stage in &mut new.settings.release.ramp {
            stage.gate = StageGate::Open;
        }
        if number == 0 {
            // It has proved itself before the rehearsal begins.
            let release = &mut new.settings.release;
            (release.ramp, release.auto, release.settle) =
                (vec![Stage::new(Share::FULL, Duration::ZERO)], None, Duration::ZERO);
            release.guard.acts = false;
        }
        new
    }

    fn ask(&mut self, id: RequestId, new: NewVersion) {
        let (verb, by) = (Verb::Release(Box::new(new)), "rehearsal".to_owned());
        self.requests.push(Request { id, at: self.now, by, verb, about: None });
        self.look_at = self.now;
    }

    pub(super) fn finish(mut self, seed: u64) -> Result<Outcome> {
        let begin = self.plan.begin;
        let end = begin + self.plan.at_most.max(self.plan.at_least);
        self.pass_until((begin + self.plan.at_least).min(end))?;
        self.pass_while(end, |runner| !runner.is_over())?;
        Ok(self.book.close(self.plan, seed, &self.locator, &self.crowd.tally, self.now))
    }

    /// Whether each release is over, and one version is left.
    fn is_over(&mut self) -> bool {
        let state = self.turns.state();
        let mut versions: Vec<VersionId> = state.instances.values().map(|instance| instance.version).collect();
        versions.dedup();
        let idle = state.release.is_none() && state.queued.is_none() && self.requests.is_empty();
        idle && versions.len() <= 1 && self.planned.peek().is_none()
    }

    fn pass_until(&mut self, end: Timestamp) -> Result<()> {
        self.pass_while(end, |_| true)
    }

    fn pass_while(&mut self, end: Timestamp, go_on: impl Fn(&mut Self) -> bool) -> Result<()> {
        while self.now < end && go_on(self) {
            let due = self.pending.first_key_value().map(|((at, _), _)| *at);
            let planned = self.planned.peek().map(|(_, planned)| self.plan.begin + planned.after);
            let others = [due, planned, self.engine.next_end()].into_iter().flatten();
            let next = others.chain([end, self.look_at, self.grid_at, self.book.next_sample()]).min().unwrap_or(end);
            let next = next.max(self.now);
            let reached = self.crowd.advance(next.as_millis(), &mut self.locator, &self.behaviours);
            self.now = Timestamp::from_millis(reached).max(self.now);
            self.happen()?;
        }
        Ok(())
    }

    /// Does what is due now.
    fn happen(&mut self) -> Result<()> {
        for id in self.engine.end_those_due(self.now) {
            if let Some(at) = self.locator.find(&id) {
                self.locator.places[at].down_since = Some(self.now.as_millis());
            }
            self.look_at = self.now;
        }
        while let Some(entry) = self.pending.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let pending = entry.remove();
            self.end(pending);
            // An absence counts only in a reading that began after the action.
            self.look_at = self.look_at.min(self.now + Duration::from_millis(1));
        }
        while let Some((number, _)) = self.planned.next_if(|(_, it)| self.plan.begin + it.after <= self.now) {
            let id = RequestId::new(format!("release-{}", number + 1))?;
            self.faults.insert(id.clone(), self.plan.releases[number].faults);
            self.book.ask(id.clone(), self.now);
            let new = self.version(number + 1);
            self.ask(id, new);
        }
        if self.locator.emptied || self.now >= self.look_at {
            self.look();
        } else if self.now >= self.grid_at {
            // If nothing has been counted, a look would find what the last one found.
            match self.locator.changed || self.now >= self.looked_at + IDLE_LOOK {
                true => self.look(),
                false => self.next_grid(),
            }
        }
        self.book.sample(&self.locator, self.now);
        Ok(())
    }

    fn look(&mut self) {
        let seen = self.observe();
        let step = self.turns.step(seen, self.now);
        self.book.note(&step, self.now);
        self.wake(step.wake_at);
        if step.must_commit() {
            self.look_at = self.look_at.min(self.now + NEXT_LOOK);
            for action in self.turns.committed(step) {
                self.begin(action);
            }
        }
        self.looked_at = self.now;
        self.next_grid();
        self.book.look(self.turns.state(), &self.locator, self.engine.running(), self.now);
    }

    fn wake(&mut self, at: Option<Timestamp>) {
        self.look_at = at.unwrap_or(Timestamp::from_millis(u64::MAX));
    }

    fn next_grid(&mut self) {
        let goes_on = self.turns.state().release.is_some();
        self.grid_at = self.now + if goes_on { self.plan.times.look } else { SLOW_LOOK };
    }

    fn observe(&mut self) -> Observation {
        let report = Reading::Known { began: self.now, value: self.locator.report() };
        let view = LocatorView { capabilities: Locator::capabilities(), report };
        Observation {
            requests: std::mem::take(&mut self.requests),
            containers: Reading::Known { began: self.now, value: self.engine.containers() },
            probes: self.engine.probes(),
            locators: BTreeMap::from([(self.locator_name.clone(), view)]),
            ..Observation::default()
        }
    }

    /// Begins an action. What it does to the containers is done at once, and what it does to the locator at its end.
    fn begin(&mut self, action: Action) {
        let Some(run) = self.turns.begin(&action) else { return };
        let times = &self.plan.times;
        let said = || Ok(TaskResult::Said(Vec::new()));
        let (takes, result) = match &action {
            Action::Pull { version } => (times.pull, Ok(TaskResult::Pulled(self.pins(*version)))),
            Action::Before { .. } => (times.before, said()),
            Action::Launch { instance, ready_by } => self.launch(instance, *ready_by),
            Action::Apply { .. } | Action::Close { .. } | Action::Evict { .. } => (times.locator, Ok(TaskResult::Done)),
            Action::Stop { .. } | Action::RemoveStray { .. } => (times.stop, Ok(TaskResult::Done)),
            Action::Hook { .. } => (Duration::ZERO, said()),
            Action::Gate { .. } => (Duration::ZERO, Ok(TaskResult::Answered(GateAnswer::Go, Vec::new()))),
            Action::Notify { .. } => (Duration::ZERO, Ok(TaskResult::Done)),
        };
        let due = (self.now + takes, run.number);
        self.pending.insert(due, Pending { action, run: run.number, began: self.now, result });
    }

    fn pins(&self, version: VersionId) -> BTreeMap<ComponentName, String> {
        let images = &self.turns.state().versions[&version].new.images;
        images.iter().map(|(name, image)| (name.clone(), format!("{image}@{version}"))).collect()
    }

    /// Starts an instance. Returns how long its launch takes, and how it ends.
    fn launch(&mut self, id: &InstanceId, ready_by: Timestamp) -> (Duration, Result<TaskResult>) {
        let faults = self.faults_of(id);
        let state = self.turns.state();
        let new = &state.versions[&state.instances[id].version].new;
        let (started, ends) = self.engine.start(id, new, &faults, self.now);
        let ready = started + self.plan.times.start + faults.slow_start;
        let entry = &new.settings.entry.component;
        if let Some(ends) = ends.filter(|ends| *ends <= ready && *ends <= ready_by) {
            let message = format!("component `{entry}` exited with code 1 before it was ready");
            return (ends.since(self.now), Err(Error::new(ErrorKind::ContainerExited, message)));
        }
        if ready > ready_by {
            let message = format!("component `{entry}` was not ready in time");
            return (ready_by.since(self.now), Err(Error::new(ErrorKind::NeverReady, message)));
        }
        (ready.since(self.now), Ok(TaskResult::Done))
    }

    /// What is wrong with the version of an instance.
    fn faults_of(&self, id: &InstanceId) -> Faults {
        let state = self.turns.state();
        let version = state.instances.get(id).and_then(|instance| state.versions.get(&instance.version));
        version.and_then(|version| self.faults.get(&version.request)).copied().unwrap_or_default()
    }

    /// An action ends.
    fn end(&mut self, pending: Pending) {
        let Pending { action, run, began, result } = pending;
        match &action {
            Action::Apply { table, .. } => {
                let state = self.turns.state();
                self.locator.apply(table, |id| state.instances.get(id).map(|instance| instance.version));
                let known = self.behaviours.len();
                let new = self.locator.places[known..].iter().map(|place| {
                    let started = self.engine.started(&place.id).unwrap_or(self.now);
                    Behaviour::new(self.plan.base, self.faults_of(&place.id), started.as_millis())
                });
                let new: Vec<_> = new.collect();
                self.behaviours.extend(new);
            }
            Action::Close { instance, number, .. } => self.locator.close(instance, *number, false),
            Action::Evict { instance, number, .. } => {
                self.locator.close(instance, *number, true);
                if let Some(at) = self.locator.find(instance).filter(|at| self.locator.places[*at].closed) {
                    let since = self.locator.places[at].down_since;
                    self.crowd.evict(at, since, self.now.as_millis(), &mut self.locator);
                }
            }
            Action::Stop { instance } | Action::RemoveStray { instance } => self.engine.remove(instance),
            _ => {}
        }
        self.turns.ended(&action.task(), run, TaskReport::Ended { began, at: self.now, result });
    }
}
