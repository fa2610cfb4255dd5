//! A walk on its way: the steps taken, and what must be there because of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use haddock_core::environment::compose::{ComposeFile, ResolveOptions, Resolved};
use haddock_core::environment::environments::{Environments, Pruned, Switch, UpOptions};
use haddock_core::environment::idle::{IdlePolicy, IdleVerdict};
use haddock_core::environment::store::SpecStore;
use haddock_core::environment::{EnvironmentSpec, Origin, Target};
use haddock_core::{Clock, ComponentName, EnvironmentName, Error, ErrorKind, JournalId, Result, Timestamp};

use super::engine::{Engine, Look, Seen, State};
use super::file::{File, KEYS, Part};
use super::flaky::{Commits, Fault, Flaky};
use super::runner::gaps;
use super::step::{Hand, NAMES, Setup, Step, Trouble, UpStep, Who};

/// A walk that is stuck for that long hangs.
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

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a volume that has a name in the file.
    Named(&'static str),
    /// In a component's volume that nobody names.
    Anonymous(String, &'static str),
    /// In a component's container.
    Own(String),
    /// In a volume that nothing leads to any more.
    Loose,
}

#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) number: u32,
    pub(crate) name: usize,
    pub(crate) place: Place,
}

/// What a component was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) part: Part,
    pub(crate) image: String,
    pub(crate) needs: BTreeSet<String>,
}

pub(crate) type Base = BTreeMap<String, Made>;

/// What is known of an environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Home {
    pub(crate) owner: usize,
    /// Both have tried, and whose it became is not known.
    pub(crate) contested: bool,
    /// What it was made from; several, as long as an operation that failed may or may not have changed it.
    pub(crate) bases: Vec<Base>,
    /// Components that may be made anew although the file does not change.
    pub(crate) touched: BTreeSet<String>,
    /// The components that have links which lead elsewhere: to which environment.
    pub(crate) links: BTreeMap<&'static str, usize>,
    pub(crate) idle: Option<(u64, u64)>,
    /// When it was last brought up.
    pub(crate) used: Option<Timestamp>,
    pub(crate) keep_until: Option<Timestamp>,
    /// Real looks since then.
    pub(crate) looks: u32,
    pub(crate) last: Option<UpStep>,
}

impl Home {
    /// Whether that component is the same in all that it may have been made from, and so is what it needs.
    pub(crate) fn keeps(&self, component: &str) -> bool {
        let Some((first, rest)) = self.bases.split_first() else { return false };
        let Some(made) = first.get(component) else { return false };
        !self.touched.contains(component)
            && rest.iter().all(|base| base.get(component) == Some(made))
            && made.needs.iter().all(|need| self.keeps(need))
    }
}

/// Our clock, which may be set back.
#[derive(Debug)]
struct Shifted {
    inner: Arc<dyn Clock>,
    back: AtomicU64,
}

impl Clock for Shifted {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.inner.now().as_millis() - self.back.load(Ordering::Relaxed))
    }
}

/// What came of an operation.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Done(Result<T>),
    Killed,
}

pub(crate) struct World<'e> {
    pub(crate) engine: &'e dyn Engine,
    pub(crate) folder: &'e Path,
    pub(crate) setup: Setup,
    clock: Arc<Shifted>,
    store: SpecStore,
    flaky: Flaky,
    envs: Environments,
    pub(crate) faults: BTreeSet<Fault>,
    pub(crate) names: [EnvironmentName; 3],
    pub(crate) files: [File; 2],
    commits: [u32; 2],
    made_from: Commits,
    pub(crate) homes: BTreeMap<usize, Home>,
    /// Who has brought up what.
    pub(crate) comers: BTreeSet<Who>,
    pub(crate) marks: Vec<Mark>,
    marked: u32,
    pub(crate) foreign: Look,
    pub(crate) journal: JournalId,
    pub(crate) met: BTreeMap<&'static str, u64>,
    pub(crate) trace: Vec<String>,
    pub(crate) violation: Option<Violation>,
    pub(crate) is_over: bool,
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
        let store = SpecStore::directory(folder.join("store")).expect("a folder");
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
            is_over: false,
        }
    }

    pub(crate) fn meet(&mut self, case: &'static str) {
        *self.met.entry(case).or_default() += 1;
    }

    pub(crate) fn violate(&mut self, invariant: &'static str, what: String) {
        if gaps().contains(&invariant) {
            // What comes of it is no news.
            self.is_over = true;
        } else if self.violation.is_none() && !self.is_over {
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

    /// Runs an operation with its trouble. When we were killed, another life of ours begins.
    async fn run<T: Debug>(
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

    fn text(&self, checkout: usize) -> String {
        self.files[checkout].text(|name| self.engine.image(name), self.engine.run(), self.engine.check())
    }

    fn path(&self, checkout: usize) -> String {
        let folder = self.folder.join(["a", "b"][checkout]).join("shop");
        folder.join("compose.yaml").display().to_string()
    }

    fn spec(&self, who: Who, extra: bool) -> Result<Resolved> {
        let options = ResolveOptions {
            environment: Some(self.names[who.name].clone()),
            profiles: extra.then(|| "extra".to_owned()).into_iter().collect(),
            ..ResolveOptions::default()
        };
        ComposeFile::parse(&self.path(who.checkout), &self.text(who.checkout))?.resolve(&options)
    }

    fn options(&self, step: &UpStep, resolved: &Resolved) -> UpOptions {
        let file = self.path(step.who.checkout);
        let files = vec![PathBuf::from(&file)];
        let origin = Origin { folder: self.folder.join(["a", "b"][step.who.checkout]).join("shop"), files };
        UpOptions {
            only: step.only.into_iter().map(|key| ComponentName::new(key).expect("a name")).collect(),
            keep_on_failure: step.keep_on_failure,
            pull: step.pull,
            by: ["ann", "ben"][step.person].to_owned(),
            commit: Some(format!("main-{}", self.commits[step.who.checkout])),
            file: Some(file),
            origin: (!self.has(Fault::NoFile)).then_some(origin),
            aside: if self.has(Fault::InactiveIsGone) { BTreeSet::new() } else { resolved.inactive.clone() },
            ..UpOptions::default()
        }
    }

    async fn up(&mut self, step: UpStep) {
        let resolved = match self.spec(step.who, step.extra) {
            Ok(resolved) => resolved,
            Err(error) => {
                let text = self.text(step.who.checkout);
                return self.violate("a file that a walk writes can be read", format!("{error:#}\n{text}"));
            }
        };
        self.comers.insert(step.who);
        let spec = &resolved.spec;
        let (name, options) = (self.names[step.who.name].clone(), self.options(&step, &resolved));
        self.made_from.lock().expect("nobody panics while holding it").0 = self.commits[step.who.checkout];
        let idle = self.folder.join("store").join(format!("{name}.idle"));
        let known = std::fs::read(&idle).ok().filter(|_| self.has(Fault::UpIsNoUse));
        let before = self.engine.look().await;
        let (outcome, fired) = self
            .run(step.trouble, async |envs| envs.up(&name, spec, &options).await.map(|up| up.plan.to_string()))
            .await;
        if self.violation.is_some() {
            return;
        }
        if let Some(known) = known {
            std::fs::write(&idle, known).expect("the store can be written");
        }
        self.after_up(step, &before, outcome, fired).await;
        // One that nobody waits for runs again at the next `up`, if it outlasts this one.
        let once = self.files[step.who.checkout].parts.values().any(Part::is_once);
        if let (Some(later), None, false) = (step.again, &self.violation, once)
            && self.homes.get(&step.who.name).is_some_and(|home| home.last == Some(step))
        {
            if later {
                self.commits[step.who.checkout] += 1;
                self.made_from.lock().expect("nobody panics while holding it").0 += 1;
                self.meet("a second up, a commit later");
            }
            let options = UpOptions { pull: false, ..self.options(&step, &resolved) };
            self.check_again(step, &resolved.spec, &options).await;
        }
    }

    /// Nothing is left to do, and nothing is done.
    async fn check_again(&mut self, step: UpStep, spec: &EnvironmentSpec, options: &UpOptions) {
        const NAME: &str = "a second up changes nothing, and diff is clean";
        let name = self.names[step.who.name].clone();
        let before = self.engine.look().await;
        match self.envs.diff(&name, spec).await {
            Ok(found) if found.is_empty() => {}
            found => self.violate(NAME, format!("diff tells of {found:?}")),
        }
        let up = self.envs.up(&name, spec, options).await;
        match up {
            Ok(up) => {
                let after = self.engine.look().await;
                let lives = |look: &Look| -> Vec<_> {
                    let all = look.containers.iter().map(|it| (it.name.clone(), it.id.clone(), it.life, it.state));
                    all.collect()
                };
                if lives(&before) != lives(&after) {
                    self.violate(NAME, format!("it did something:\n{}", up.plan));
                }
            }
            Err(error) => self.violate(NAME, format!("it fails: {error:#}")),
        }
    }

    /// Two at once.
    async fn ups(&mut self, who: Who) {
        let only = UpStep {
            who,
            person: 0,
            only: None,
            extra: false,
            keep_on_failure: false,
            pull: false,
            trouble: Trouble::None,
            again: Some(false),
        };
        let Ok(resolved) = self.spec(who, false) else { return };
        self.comers.insert(who);
        let spec = resolved.spec.clone();
        let (name, options) = (self.names[who.name].clone(), self.options(&only, &resolved));
        let before = self.engine.look().await;
        // Two processes would wait for each other by a lock on a file, and virtual time stands still for as long.
        let other = match self.has(Fault::NoTurns) {
            true => {
                let store = SpecStore::directory(self.folder.join("another")).expect("a folder");
                environments(&self.flaky, &self.journal, &store, self.engine, &self.clock)
            }
            false => self.envs.clone(),
        };
        let later = UpOptions { commit: Some("main-later".to_owned()), by: "ben".to_owned(), ..options.clone() };
        let ups = async { tokio::join!(self.envs.up(&name, &spec, &options), other.up(&name, &spec, &later)) };
        let (one, two) = ups.await;
        self.trace.push(format!("    {:?}, {:?}", one.as_ref().err(), two.as_ref().err()));
        self.meet("two at once");
        let outcome = one.and(two).map(|up| up.plan.to_string());
        self.after_up(only, &before, Outcome::Done(outcome), false).await;
    }

    async fn after_up(&mut self, step: UpStep, before: &Look, outcome: Outcome<String>, fired: bool) {
        let UpStep { who, extra, .. } = step;
        let file = self.files[who.checkout].clone();
        let home = self.homes.get(&who.name).cloned();
        let active = file.active(extra);
        let wanted = step.only.map(|key| file.with_needs(key));
        let members: BTreeSet<String> = active
            .iter()
            .filter(|(_, (key, _))| wanted.as_ref().is_none_or(|wanted| wanted.contains(key)))
            .map(|(name, _)| name.clone())
            .collect();
        let mut base = Base::new();
        for (component, (key, part)) in &active {
            if members.contains(component) {
                let needs = active.iter().filter(|(_, (key, _))| part.needs.contains(key));
                let needs = needs.map(|(name, _)| name.clone()).collect();
                let image = self.engine.image_id(&part.image);
                let _ = key;
                let part = Part { extra: false, replicas: 1, ..(*part).clone() };
                base.insert(component.clone(), Made { part, image, needs });
            }
        }
        // What is not asked for stays.
        let stays = |component: &str| match step.only {
            Some(_) => !members.contains(component),
            None => file.inactive(extra).contains(component),
        };
        let former = home.as_ref().map(|home| home.bases.clone()).unwrap_or_default();
        for (component, made) in former.iter().flatten() {
            if stays(component) {
                base.entry(component.clone()).or_insert_with(|| made.clone());
            }
        }
        let strange = home.as_ref().is_some_and(|home| home.owner != who.checkout && !home.contested)
            && before.containers.iter().any(|it| self.is_of(it, who.name));
        match outcome {
            Outcome::Done(Ok(_)) if strange => {
                self.meet("another checkout's environment");
                let what = format!("`{}` is of another checkout, and was changed", self.names[who.name]);
                self.violate("another environment is never touched", what);
            }
            Outcome::Done(Ok(plan)) => {
                self.trace.extend(plan.lines().map(|line| format!("    {line}")));
                let mut home = home.unwrap_or_default();
                home.owner = who.checkout;
                home.contested = false;
                // What was kept was kept although the file has changed in between.
                home.bases.push(base.clone());
                self.settle_marks(who.name, &home, true);
                let kept = Home { bases: vec![base], ..home };
                let home = Home {
                    touched: kept.touched.iter().filter(|it| !members.contains(*it)).cloned().collect(),
                    links: BTreeMap::new(),
                    idle: file.idle,
                    used: Some(self.now()),
                    looks: 0,
                    last: Some(step),
                    ..kept
                };
                self.homes.insert(who.name, home);
                let after = self.engine.look().await;
                self.check_others(before, &after, &BTreeSet::from([who.name]));
                self.check_runs(step, before, &after, &members);
                self.check_attached(who.name, &members, &after);
                if self.violation.is_none() {
                    self.meet("up");
                    if step.only.is_some() {
                        self.meet("up of a part");
                    }
                    self.write(who.name, &after).await;
                }
            }
            Outcome::Done(Err(error)) if strange => {
                self.meet("another checkout's environment");
                let after = self.engine.look().await;
                self.check_unchanged(before, &after, who.name, step.keep_on_failure, &error);
            }
            failed => {
                let error = match &failed {
                    Outcome::Done(Err(error)) => Some(error),
                    _ => None,
                };
                if let Some(error) = error.filter(|_| !fired) {
                    self.check_excuse(step, before, &members, error);
                }
                let mut home = home.unwrap_or(Home { owner: who.checkout, ..Home::default() });
                home.contested |= home.owner != who.checkout;
                home.bases.push(base);
                home.links.clear();
                home.last = None;
                // Whether it counts as used is open: it counts if it came far enough.
                home.used = Some(self.now());
                home.touched.extend(linked(&home));
                self.settle_marks(who.name, &home, false);
                let after = self.engine.look().await;
                self.check_others(before, &after, &BTreeSet::from([who.name]));
                if let Some(error) = error {
                    self.meet("up failed");
                    if !fired && is_refusal(error) {
                        self.check_unchanged(before, &after, who.name, step.keep_on_failure, error);
                    } else {
                        self.check_kept(before, &after, who.name, &home);
                    }
                }
                self.homes.insert(who.name, home);
            }
        }
    }

    /// Forgets what may be gone because of what was done, and no more.
    fn settle_marks(&mut self, name: usize, home: &Home, _done: bool) {
        for mark in self.marks.iter_mut().filter(|mark| mark.name == name) {
            match &mark.place {
                Place::Anonymous(component, path) => {
                    let has = |base: &Base| base.get(component).is_some_and(|it| it.part.anonymous().contains(path));
                    if !home.bases.iter().all(has) {
                        mark.place = Place::Loose;
                    }
                }
                Place::Named(_) | Place::Own(_) | Place::Loose => {}
            }
        }
        let gone = |mark: &Mark| match &mark.place {
            Place::Own(component) => mark.name == name && !home.keeps(component),
            _ => false,
        };
        self.marks.retain(|mark| !gone(mark));
    }

    /// Each container of it writes something everywhere.
    async fn write(&mut self, name: usize, look: &Look) {
        let home = self.homes[&name].clone();
        for container in self.containers(look, name) {
            let Some(component) = container.label("haddock.component").map(str::to_owned) else { continue };
            let Some(made) = home.bases[0].get(&component).filter(|_| container.state == State::Running) else {
                continue;
            };
            if made.part.is_once() {
                continue;
            }
            let mut places = vec![(String::new(), Place::Own(component.clone()))];
            places.extend(made.part.named().iter().map(|(path, key)| ((*path).to_owned(), Place::Named(key))));
            let anonymous = made.part.anonymous().into_iter();
            places.extend(anonymous.map(|path| (path.to_owned(), Place::Anonymous(component.clone(), path))));
            let mut marks = Vec::new();
            for (folder, place) in places {
                self.marked += 1;
                marks.push((folder, self.marked));
                self.marks.push(Mark { number: self.marked, name, place });
            }
            self.engine.write(&container.id, &marks).await;
        }
    }

    async fn down(&mut self, who: Who, volumes: bool, trouble: Trouble) {
        if self.homes.get(&who.name).is_some_and(|home| home.owner != who.checkout) {
            return;
        }
        let name = self.names[who.name].clone();
        let before = self.engine.look().await;
        let linking = self.homes.iter().any(|(_, home)| home.links.values().any(|to| *to == who.name));
        let (outcome, fired) = self.run(trouble, async |envs| envs.down(&name, volumes).await).await;
        let after = self.engine.look().await;
        self.check_others(&before, &after, &BTreeSet::from([who.name]));
        match outcome {
            Outcome::Done(Ok(_)) if linking && before.containers.iter().any(|it| self.is_of(it, who.name)) => {
                self.violate("what others link to stays", format!("`{name}` was taken down"));
            }
            Outcome::Done(Ok(_)) => {
                self.check_gone(&before, &after, who.name, volumes);
                self.meet(if volumes { "down with volumes" } else { "down" });
                self.forget(who.name, volumes);
                self.homes.remove(&who.name);
            }
            Outcome::Done(Err(error)) if error.kind() == ErrorKind::Busy && linking => {
                self.meet("down of what others link to");
                self.check_unchanged(&before, &after, who.name, false, &error);
            }
            Outcome::Done(Err(error)) if !fired => {
                self.violate("a down succeeds if nothing is in its way", format!("{error:#}"));
            }
            _ => {
                self.forget(who.name, volumes);
                if let Some(home) = self.homes.get_mut(&who.name) {
                    home.bases.clear();
                    home.last = None;
                }
            }
        }
    }

    /// It is taken down, or half of it.
    fn forget(&mut self, name: usize, volumes: bool) {
        self.marks.retain(|mark| mark.name != name || !(volumes || matches!(mark.place, Place::Own(_))));
        for mark in self.marks.iter_mut().filter(|mark| mark.name == name) {
            if matches!(mark.place, Place::Anonymous(..)) {
                mark.place = Place::Loose;
            }
        }
        for home in self.homes.values_mut() {
            home.links.retain(|_, to| *to != name);
        }
    }

    async fn link(&mut self, who: Who, key: &'static str, back: bool, live: bool, trouble: Trouble) {
        let Some(home) = self.homes.get(&who.name).cloned() else { return };
        let others = self.homes.iter().filter(|(name, home)| **name != who.name && home.last.is_some());
        let to = others.map(|(name, _)| *name).next();
        let target = match (back, to) {
            (true, _) => None,
            (false, Some(to)) => Some(Target::Component {
                environment: self.names[to].clone(),
                component: ComponentName::new("db").expect("a name"),
            }),
            (false, None) => return,
        };
        let (name, component) = (self.names[who.name].clone(), ComponentName::new(key).expect("a name"));
        let how = if live { Switch::Live } else { Switch::Restart };
        let before = self.engine.look().await;
        let (outcome, _) = self
            .run(trouble, async |envs| {
                envs.link(&name, &component, target, how, None).await.map(|it| it.plan.to_string())
            })
            .await;
        let mut home = home;
        // Whoever uses it may be made anew, now or at the next `up`; and whoever uses that.
        let mut changed: BTreeSet<String> = BTreeSet::from([key.to_owned()]);
        for base in &home.bases {
            for _ in &KEYS {
                let users = base.iter().filter(|(_, made)| made.needs.iter().any(|need| changed.contains(need)));
                let users: Vec<String> = users.map(|(name, _)| name.clone()).collect();
                changed.extend(users);
            }
        }
        changed.remove(key);
        home.touched.extend(changed);
        if !matches!(&outcome, Outcome::Done(Err(error)) if error.kind() == ErrorKind::NotFound) {
            home.last = None;
            match (to, back) {
                (Some(to), false) => _ = home.links.insert(key, to),
                _ => _ = home.links.remove(key),
            }
        }
        if matches!(outcome, Outcome::Done(Err(_)) | Outcome::Killed) {
            // Which of the two it is, nobody knows.
            home.links.clear();
        }
        if matches!(outcome, Outcome::Done(Ok(_))) {
            self.meet(if back { "link back" } else { "link" });
        }
        self.settle_marks(who.name, &home, false);
        self.homes.insert(who.name, home);
        let after = self.engine.look().await;
        self.check_others(&before, &after, &BTreeSet::from([who.name]));
    }

    async fn keep(&mut self, who: Who, time: Duration) {
        let name = self.names[who.name].clone();
        if self.envs.keep(&name, time).await.is_ok() {
            self.meet("kept");
            let until = self.now() + time;
            if let Some(home) = self.homes.get_mut(&who.name) {
                home.keep_until = Some(until);
            }
        }
    }

    async fn prune(&mut self, dry: bool, trouble: Trouble) {
        let before = self.engine.look().await;
        let began = self.now();
        let counts = dry && self.has(Fault::DryRunsCount);
        let policy = if counts { IdlePolicy::default() } else { POLICY };
        let (outcome, _) = self.run(trouble, async |envs| envs.prune(&policy, dry && !counts).await).await;
        let after = self.engine.look().await;
        let ended: BTreeSet<usize> = match &outcome {
            Outcome::Done(Ok(pruned)) => {
                self.check_pruned(pruned, dry, began);
                let ends = |it: &&Pruned| matches!(it.verdict, IdleVerdict::Stop { .. } | IdleVerdict::Remove { .. });
                let ended = pruned.iter().filter(ends).filter(|_| !dry);
                ended.filter_map(|it| self.names.iter().position(|name| *name == it.name)).collect()
            }
            _ => (0..NAMES.len()).collect(),
        };
        self.check_others(&before, &after, &ended);
        for name in ended {
            // Nothing of it is left: it was removed, and its volumes stay.
            let left = after.containers.iter().filter(|it| self.is_of(it, name)).count();
            let were = before.containers.iter().filter(|it| self.is_of(it, name)).count();
            if left < were {
                self.forget(name, false);
                if left == 0 {
                    self.meet("removed, for nobody used it");
                    self.homes.remove(&name);
                } else if let Some(home) = self.homes.get_mut(&name) {
                    home.bases.clear();
                    home.last = None;
                }
            }
        }
        if !dry {
            self.homes.values_mut().for_each(|home| home.looks += 1);
        }
    }

    async fn hand(&mut self, hand: Hand, pick: usize) {
        let look = self.engine.look().await;
        let ours: Vec<&Seen> = look.containers.iter().filter(|it| self.name_of(it).is_some()).collect();
        let Some(container) = ours.get(pick % ours.len().max(1)) else { return };
        let name = self.name_of(container).expect("they were picked so");
        let component = container.label("haddock.component").unwrap_or_default().to_owned();
        self.trace.push(format!("    `{}`, {:?}", container.name, container.state));
        match (hand, container.state) {
            (Hand::Unpause, State::Paused) => {}
            (Hand::Remove | Hand::Rename, _) => {}
            (Hand::Restart, State::Running | State::Exited(_)) => {}
            (_, State::Running) => {}
            _ => return,
        }
        self.engine.hand(hand, &container.id).await;
        self.meet(match hand {
            Hand::Stop => "stopped by hand",
            Hand::Kill => "killed by hand",
            Hand::Crash => "a process ended by itself",
            Hand::Remove => "removed by hand",
            Hand::Pause => "paused by hand",
            Hand::Unpause => "thawed by hand",
            Hand::Restart => "restarted by hand",
            Hand::Rename => "renamed by hand",
        });
        let home = self.homes.entry(name).or_default();
        home.last = None;
        if hand == Hand::Remove {
            home.touched.insert(component.clone());
            let of = |mark: &Mark, it: &str| mark.name == name && it == component;
            self.marks.retain(|mark| !matches!(&mark.place, Place::Own(it) if of(mark, it)));
            for mark in &mut self.marks {
                if matches!(&mark.place, Place::Anonymous(it, _) if mark.name == name && *it == component) {
                    mark.place = Place::Loose;
                }
            }
            // What needs it may be made anew with it.
            let home = self.homes[&name].clone();
            self.settle_marks(name, &home, false);
        }
    }

    async fn remove_network(&mut self, pick: usize) {
        let look = self.engine.look().await;
        let ours: Vec<&String> =
            look.networks.iter().filter(|(_, it)| self.is_ours(&it.labels)).map(|(id, _)| id).collect();
        let Some(id) = ours.get(pick % ours.len().max(1)) else { return };
        if self.engine.remove_network(id).await {
            self.meet("network removed by hand");
            let of = look.networks[*id].labels.get("haddock.name").cloned().unwrap_or_default();
            if let Some(name) = self.names.iter().position(|name| name.as_str() == of)
                && let Some(home) = self.homes.get_mut(&name)
            {
                // What cannot be started without it is made anew.
                home.last = None;
                home.touched.extend(home.bases.iter().flat_map(|base| base.keys().cloned()).collect::<Vec<_>>());
                let home = home.clone();
                self.settle_marks(name, &home, false);
            }
        }
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

    async fn foreign_now(&self) -> Look {
        let mut look = self.engine.look().await;
        look.containers.retain(|it| self.foreign.containers.iter().any(|other| other.id == it.id));
        look.volumes.retain(|name, _| self.foreign.volumes.contains_key(name));
        look.networks.retain(|id, _| self.foreign.networks.contains_key(id));
        look
    }
}

/// Components that are made anew because their links lead to where the file says again.
fn linked(home: &Home) -> BTreeSet<String> {
    let users = home.bases.iter().flatten().filter(|(_, made)| home.links.keys().any(|key| made.needs.contains(*key)));
    users.map(|(name, _)| name.clone()).collect()
}

/// Whether it could have been known before anything was done.
fn is_refusal(error: &Error) -> bool {
    let known = [
        ErrorKind::ImageMissing,
        ErrorKind::NameTaken,
        ErrorKind::PortTaken,
        ErrorKind::NotFound,
        ErrorKind::ComposeFile,
        ErrorKind::NotSupported,
        ErrorKind::Busy,
    ];
    known.contains(&error.kind())
}

fn environments(
    flaky: &Flaky,
    journal: &JournalId,
    store: &SpecStore,
    engine: &dyn Engine,
    clock: &Arc<Shifted>,
) -> Environments {
    let environments = Environments::new(Arc::new(flaky.clone()), journal.clone(), store.clone(), engine.probing());
    environments.by("the walk").at(Arc::clone(clock) as Arc<dyn Clock>)
}
