//! A walk on its way: the steps taken, and what must be there because of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use haddock_core::environment::environments::Environments;
use haddock_core::environment::idle::IdlePolicy;
use haddock_core::environment::store::SpecStore;
use haddock_core::{Clock, EnvironmentName, JournalId, Result, Timestamp};

use super::engine::{Engine, Look, Seen};
use super::file::File;
use super::flaky::{Commits, Fault, Flaky};
use super::known::{Home, Mark};
use super::step::{NAMES, Setup, Step, Trouble, Who};

/// An operation that takes this long hangs.
const LONGEST: Duration = Duration::from_secs(3600);
/// What `prune` does with environments whose files say nothing.
pub(crate) const POLICY: IdlePolicy =
    IdlePolicy { stop_after: Some(Duration::from_secs(30 * 60)), remove_after: Some(Duration::from_secs(100 * 60)) };

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// Our clock, which may be set back.
#[derive(Debug)]
pub(crate) struct Shifted {
    inner: Arc<dyn Clock>,
    back: AtomicU64,
}

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.inner.now().as_millis() - self.back.load(Ordering::Relaxed))
    }
}

/// The result of an operation.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Done(Result<T>),
    Killed,
}

pub(crate) struct World<'e> {
    pub(crate) engine: &'e dyn Engine,
    pub(crate) folder: &'e Path,
    pub(crate) setup: Setup,
    pub(crate) clock: Arc<Shifted>,
    store: SpecStore,
    pub(crate) flaky: Flaky,
    pub(crate) envs: Environments,
    pub(crate) faults: BTreeSet<Fault>,
    pub(crate) names: [EnvironmentName; 3],
    pub(crate) files: [File; 2],
    pub(crate) commits: [u32; 2],
    pub(crate) made_from: Commits,
    pub(crate) homes: BTreeMap<usize, Home>,
    /// Who has brought up which environment.
    pub(crate) comers: BTreeSet<Who>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) marked: u32,
    pub(crate) foreign: Look,
    pub(crate) journal: JournalId,
    pub(crate) met: BTreeMap<&'static str, u64>,
    pub(crate) trace: Vec<String>,
    pub(crate) violation: Option<Violation>,
}

impl<'e> World<'e> {
    /// `prefix`: of the environments' names, on an engine that others use too.
    pub(crate) async fn new(
        engine: &'e dyn Engine,
        folder: &'e Path,
        prefix: &str,
        setup: Setup,
        faults: BTreeSet<Fault>,
    ) -> World<'e> {
        let store = match setup.files || !faults.is_empty() {
            true => SpecStore::directory(folder.join("store")).expect("a folder"),
            false => SpecStore::memory(),
        };
        let clock = Arc::new(Shifted { inner: engine.clock(), back: AtomicU64::new(0) });
        let journal = JournalId::new(format!("{prefix}walk")).expect("letters and digits");
        let made_from = Commits::default();
        let flaky = Flaky::new(engine.runtime(), Arc::clone(&made_from), faults.clone());
        let envs = environments(&flaky, &journal, &store, engine, &clock);
        let names = NAMES.map(|name| EnvironmentName::new(format!("{prefix}{name}")).expect("a name"));
        engine.furnish(setup, names[0].as_str()).await;
        let foreign = engine.look().await;
        Self {
            engine,
            folder,
            setup,
            clock,
            store,
            flaky,
            envs,
            faults,
            names,
            files: [File::new(), File::new()],
            commits: [1, 1],
            made_from,
            homes: BTreeMap::new(),
            comers: BTreeSet::new(),
            marks: Vec::new(),
            marked: 0,
            foreign,
            journal,
            met: BTreeMap::new(),
            trace: Vec::new(),
            violation: None,
        }
    }

    pub(crate) fn meet(&mut self, case: &'static str) {
        *self.met.entry(case).or_default() += 1;
    }

    pub(crate) fn violate(&mut self, invariant: &'static str, what: String) {
        if self.violation.is_none() {
            self.trace.push(format!("    {invariant}: {what}"));
            self.violation = Some(Violation { invariant, what });
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    pub(crate) async fn take(&mut self, step: Step) {
        self.trace.push(format!("{step:?}"));
        match step {
            Step::Edit(checkout, key, edit) => {
                if self.files[checkout].edit(key, edit) {
                    self.meet("edit");
                }
            }
            Step::Commit(checkout) => self.commits[checkout] += 1,
            Step::Up(step) => self.up(step).await,
            Step::Ups(who) => self.ups(who).await,
            Step::UpAndDown(who) => self.up_and_down(who).await,
            Step::UpMeanwhile(who) => self.up_meanwhile(who).await,
            Step::Down { who, volumes, trouble } => self.down(who, volumes, trouble).await,
            Step::Link { who, key, back, live, trouble } => self.link(who, key, back, live, trouble).await,
            Step::Keep { who, time } => self.keep(who, time).await,
            Step::Prune { dry, trouble } => self.prune(dry, trouble).await,
            Step::Pass(time) => self.engine.pass(time).await,
            Step::SetBack(time) => {
                self.meet("clock set back");
                self.clock.back.fetch_add(u64::try_from(time.as_millis()).expect("short"), Ordering::Relaxed);
            }
            Step::Hand(hand, pick) => self.hand(hand, pick).await,
            Step::RemoveNetwork(pick) => self.remove_network(pick).await,
            Step::RestartDaemon => {
                self.meet("daemon restarted");
                self.engine.restart_daemon().await;
                self.foreign = self.foreign_now().await;
            }
            Step::Push(image) => {
                if self.engine.push(image).await {
                    self.meet("another image under a name");
                }
            }
        }
        if self.violation.is_none() {
            let look = self.engine.look().await;
            self.check_foreign(&look);
            self.check_data(&look);
        }
    }

    /// Runs an operation with its trouble. If we are killed, a new process of ours begins.
    pub(crate) async fn run<T: Debug>(
        &mut self,
        trouble: Trouble,
        operation: impl AsyncFnOnce(Environments) -> Result<T>,
    ) -> (Outcome<T>, bool) {
        self.flaky.begin(trouble);
        let ended = {
            let flaky = self.flaky.clone();
            let operation = tokio::time::timeout(LONGEST, operation(self.envs.clone()));
            tokio::select! {
                biased;
                done = operation => Some(done),
                () = flaky.killed() => None,
            }
        };
        self.flaky.settled().await;
        let fired = self.flaky.end();
        let outcome = match ended {
            Some(Ok(done)) => Outcome::Done(done),
            Some(Err(_)) => {
                self.violate("every operation ends", format!("it lasts for more than {LONGEST:?}"));
                Outcome::Killed
            }
            None => {
                self.meet("killed");
                Outcome::Killed
            }
        };
        if matches!(outcome, Outcome::Killed) {
            self.live_again();
        }
        match &outcome {
            Outcome::Done(Ok(_)) => self.trace.push(format!("    done{}", if fired { ", with trouble" } else { "" })),
            Outcome::Done(Err(error)) => self.trace.push(format!("    {:?}: {error}", error.kind())),
            Outcome::Killed => self.trace.push("    killed".to_owned()),
        }
        (outcome, fired)
    }

    fn live_again(&mut self) {
        self.flaky = Flaky::new(self.engine.runtime(), Arc::clone(&self.made_from), self.faults.clone());
        self.envs = environments(&self.flaky, &self.journal, &self.store, self.engine, &self.clock);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.clock().now()
    }
    /// Whether a thing with these labels is of this walk.
    pub(crate) fn is_ours(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get("haddock.journal").map(String::as_str) == Some(self.journal.as_str())
    }

    pub(crate) fn name_of(&self, container: &Seen) -> Option<usize> {
        let name = container.label("haddock.name").filter(|_| self.is_ours(&container.labels))?;
        self.names.iter().position(|it| it.as_str() == name)
    }

    pub(crate) fn is_of(&self, container: &Seen, name: usize) -> bool {
        self.name_of(container) == Some(name)
    }

    /// The containers of an environment.
    pub(crate) fn containers(&self, look: &Look, name: usize) -> Vec<Seen> {
        look.containers.iter().filter(|it| self.is_of(it, name)).cloned().collect()
    }

    pub(crate) async fn foreign_now(&self) -> Look {
        let mut look = self.engine.look().await;
        look.containers.retain(|it| self.foreign.containers.iter().any(|other| other.id == it.id));
        look.volumes.retain(|name, _| self.foreign.volumes.contains_key(name));
        look.networks.retain(|id, _| self.foreign.networks.contains_key(id));
        look
    }
}

pub(crate) fn environments(
    flaky: &Flaky,
    journal: &JournalId,
    store: &SpecStore,
    engine: &dyn Engine,
    clock: &Arc<Shifted>,
) -> Environments {
    let environments = Environments::new(Arc::new(flaky.clone()), journal.clone(), store.clone(), engine.probing());
    environments.by("the walk").at(Arc::clone(clock) as Arc<dyn Clock>)
}
