//! The step that brings an environment up, and what must be so afterwards.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use haddock_core::environment::compose::{ComposeFile, ResolveOptions, Resolved};
use haddock_core::environment::environments::{Environments, UpOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::environment::{EnvironmentSpec, Origin};
use haddock_core::{ComponentName, EnvironmentName, Error, ErrorKind, Result};

use super::engine::Look;
use super::file::Part;
use super::flaky::Fault;
use super::known::{Base, Home, Made};
use super::other::ended;
use super::step::{Trouble, UpStep, Who};
use super::world::{Outcome, POLICY, World, environments};

/// How many read files are kept.
const KEPT: usize = 2_000;

impl World<'_> {
    pub(crate) fn text(&self, checkout: usize) -> String {
        self.files[checkout].text(|name| self.engine.image(name), self.engine.run(), self.engine.check())
    }

    pub(crate) fn path(&self, checkout: usize) -> String {
        let folder = self.folder.join(["a", "b"][checkout]).join("shop");
        folder.join("compose.yaml").display().to_string()
    }

    /// Reads a file. Walks write the same files again and again, and reading them takes most of a walk's time. So the
    /// result is kept.
    pub(crate) fn spec(&self, who: Who, extra: bool) -> Result<Arc<Resolved>> {
        thread_local! {
            static READ: RefCell<HashMap<(String, String, bool), Arc<Resolved>>> = RefCell::default();
        }
        let name = &self.names[who.name];
        let key = (self.text(who.checkout), name.to_string(), extra);
        if let Some(known) = READ.with_borrow(|read| read.get(&key).cloned()) {
            return Ok(known);
        }
        let options = ResolveOptions {
            environment: Some(name.clone()),
            profiles: extra.then(|| "extra".to_owned()).into_iter().collect(),
            ..ResolveOptions::default()
        };
        let resolved = Arc::new(ComposeFile::parse("compose.yaml", &key.0)?.resolve(&options)?);
        READ.with_borrow_mut(|read| {
            if read.len() >= KEPT {
                read.clear();
            }
            read.insert(key, Arc::clone(&resolved));
        });
        Ok(resolved)
    }

    pub(crate) fn options(&self, step: &UpStep, resolved: &Resolved) -> UpOptions {
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

    /// The name under which somebody brings an environment up.
    fn asked(&self, name: usize) -> EnvironmentName {
        let name = &self.names[name];
        match self.has(Fault::NamesAreCut) {
            true => EnvironmentName::new(&name.as_str()[..4]).expect("a shorter name"),
            false => name.clone(),
        }
    }

    pub(crate) async fn up(&mut self, step: UpStep) {
        let resolved = match self.spec(step.who, step.extra) {
            Ok(resolved) => resolved,
            Err(error) => {
                let text = self.text(step.who.checkout);
                return self.violate("a file that a walk writes can be read", format!("{error:#}\n{text}"));
            }
        };
        self.comers.insert(step.who);
        let mut spec = resolved.spec.clone();
        let (name, mut options) = (self.asked(step.who.name), self.options(&step, &resolved));
        if let (Some(key), true) = (step.only, self.has(Fault::OnlyIsAll)) {
            let wanted = self.files[step.who.checkout].with_needs(key);
            spec.components.retain(|name, _| wanted.contains(name.as_str()));
            options.only.clear();
        }
        let spec = &spec;
        self.made_from.lock().expect("nobody panics while holding it").0 = self.commits[step.who.checkout];
        let idle = self.folder.join("store").join(format!("{name}.idle"));
        let known = std::fs::read(&idle).ok().filter(|_| self.has(Fault::UpIsNoUse));
        let (before, flaky) = (self.engine.look().await, self.flaky.clone());
        let (outcome, fired) = self
            .run(step.trouble, async |envs| {
                envs.up_unless(&name, spec, &options, flaky.given_up()).await.map(|up| up.plan.to_string())
            })
            .await;
        if self.violation.is_some() {
            return;
        }
        if let Some(known) = known {
            std::fs::write(&idle, known).expect("the store can be written");
        }
        self.after_up(step, &before, outcome, fired).await;
        // A component that ends, and that nobody waits for, runs again at the next `up` if it is still running at the
        // end of this one.
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
    pub(crate) async fn check_again(&mut self, step: UpStep, spec: &EnvironmentSpec, options: &UpOptions) {
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
    pub(crate) async fn ups(&mut self, who: Who) {
        let only = plain(who);
        let Ok(resolved) = self.spec(who, false) else { return };
        self.comers.insert(who);
        let spec = resolved.spec.clone();
        let (name, options) = (self.names[who.name].clone(), self.options(&only, &resolved));
        let before = self.engine.look().await;
        let other = self.another();
        let later = UpOptions { commit: Some("main-later".to_owned()), by: "ben".to_owned(), ..options.clone() };
        let ups = async { tokio::join!(self.envs.up(&name, &spec, &options), other.up(&name, &spec, &later)) };
        let (one, two) = ups.await;
        self.trace.push(format!("    {:?}, {:?}", one.as_ref().err(), two.as_ref().err()));
        self.meet("two at once");
        let outcome = one.and(two).map(|up| up.plan.to_string());
        self.after_up(only, &before, Outcome::Done(outcome), false).await;
    }

    /// The environments as somebody else has them, who waits for us. Two processes would wait for each other with a
    /// lock on a file, and virtual time would stand still meanwhile.
    fn another(&self) -> Environments {
        if !self.has(Fault::NoTurns) {
            return self.envs.clone();
        }
        let store = SpecStore::directory(self.folder.join("another")).expect("a folder");
        environments(&self.flaky, &self.journal, &store, self.engine, &self.clock)
    }

    /// An environment is brought up and taken down at the same time.
    pub(crate) async fn up_and_down(&mut self, who: Who) {
        let is_anothers = self.homes.get(&who.name).is_some_and(|home| home.owner != who.checkout || home.contested);
        let Ok(resolved) = self.spec(who, false) else { return };
        if is_anothers || self.may_be_linked(who.name) {
            return;
        }
        self.comers.insert(who);
        let (name, options) = (self.names[who.name].clone(), self.options(&plain(who), &resolved));
        let before = self.engine.look().await;
        let other = self.another();
        let both = async { tokio::join!(self.envs.up(&name, &resolved.spec, &options), other.down(&name, false)) };
        let (up, down) = both.await;
        self.trace.push(format!("    {:?}, {:?}", up.as_ref().err(), down.as_ref().err()));
        self.meet("up and down at once");
        let after = self.engine.look().await;
        self.check_others(&before, &after, &BTreeSet::from([who.name]));
        if let Err(error) = down {
            return self.violate("a down succeeds if nothing is in its way", format!("{error:#}"));
        }
        self.check_gone(&before, &after, who.name, false);
        self.forget(who.name, false);
        self.homes.remove(&who.name);
    }

    /// An environment is brought up while somebody looks for idle ones.
    pub(crate) async fn up_meanwhile(&mut self, who: Who) {
        let Ok(resolved) = self.spec(who, false) else { return };
        self.comers.insert(who);
        let step = UpStep { again: None, ..plain(who) };
        let (name, options) = (self.names[who.name].clone(), self.options(&step, &resolved));
        let mut before = self.engine.look().await;
        let began = self.now();
        let spec = &resolved.spec;
        let (pruned, up) = match self.has(Fault::PruneDecidesFirst) {
            true => {
                let pruned = self.envs.prune(&POLICY, true).await;
                let up = self.envs.up(&name, spec, &options).await;
                for it in ended(&pruned) {
                    self.envs.down(&it.name, false).await.ok();
                }
                (pruned, up)
            }
            false => tokio::join!(self.envs.prune(&POLICY, false), self.envs.up(&name, spec, &options)),
        };
        self.trace.push(format!("    {pruned:?}, {:?}", up.as_ref().err()));
        self.meet("up while somebody looks");
        if let Ok(pruned) = &pruned {
            self.check_pruned(pruned, false, began);
        }
        let after = self.engine.look().await;
        let ended = ended(&pruned).filter_map(|it| self.names.iter().position(|name| *name == it.name));
        let ended: Vec<usize> = ended.collect();
        // The `up` may have asked for a port of an ended environment just before that was ended.
        let in_time = ended.is_empty() || !up.as_ref().is_err_and(|error| error.kind() == ErrorKind::PortTaken);
        for name in ended {
            self.is_ended(name, &before, &after, name == who.name);
            if name == who.name {
                // `prune` had its turn first, and left these containers. So they count as the state before the `up`.
                let were = self.containers(&before, name);
                let left =
                    self.containers(&after, name).into_iter().filter(|it| were.iter().any(|was| was.id == it.id));
                before.containers.retain(|it| self.name_of(it) != Some(name));
                before.containers.extend(left);
            } else {
                let is_its = |labels: &BTreeMap<String, String>| {
                    self.is_ours(labels)
                        && labels.get("haddock.name").is_some_and(|it| *it == self.names[name].as_str())
                };
                before.containers.retain(|it| self.name_of(it) != Some(name));
                before.networks.retain(|_, it| !is_its(&it.labels));
                before.volumes.retain(|_, it| !is_its(&it.labels));
            }
        }
        self.homes.values_mut().for_each(|home| home.looks += 1);
        self.after_up(step, &before, Outcome::Done(up.map(|up| up.plan.to_string())), !in_time).await;
    }

    pub(crate) async fn after_up(&mut self, step: UpStep, before: &Look, outcome: Outcome<String>, fired: bool) {
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
        for (component, (_, part)) in &active {
            if members.contains(component) {
                let needs = active.iter().filter(|(_, (key, _))| part.needs.contains(key));
                let needs = needs.map(|(name, (_, need))| (name.clone(), need.condition())).collect();
                let image = self.engine.image_id(&part.image);
                let part = Part { extra: false, replicas: 1, ..(*part).clone() };
                base.insert(component.clone(), Made { part, image, needs });
            }
        }
        // What is not asked for stays.
        let stays = |component: &str| match step.only {
            Some(_) => !members.contains(component),
            None => file.is_inactive(component, extra),
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
                // Data was kept even though the file has changed in between.
                home.bases.push(base.clone());
                self.settle_marks(who.name, &home);
                let kept = Home { bases: vec![base], ..home };
                let home = Home {
                    touched: kept.touched.iter().filter(|it| !members.contains(*it)).cloned().collect(),
                    links: BTreeMap::new(),
                    may_link: BTreeSet::new(),
                    idle: vec![file.idle],
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
                home.idle.push(file.idle);
                home.may_link.extend(std::mem::take(&mut home.links).into_values());
                home.last = None;
                // It is unknown whether this counts as a use: it does if the `up` came far enough.
                home.used = Some(self.now());
                home.touched.extend(linked(&home));
                self.settle_marks(who.name, &home);
                let after = self.engine.look().await;
                self.check_others(before, &after, &BTreeSet::from([who.name]));
                if let Some(error) = error {
                    self.meet("up failed");
                    if matches!(step.trouble, Trouble::GivenUp(_)) && fired {
                        self.meet("up given up");
                    }
                    let cleared = !fired || matches!(step.trouble, Trouble::GivenUp(_) | Trouble::Slow(_));
                    if cleared && !step.keep_on_failure {
                        self.check_cleared(before, &after, who.name, error);
                    }
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
}

/// An `up` of all components, without anything special.
fn plain(who: Who) -> UpStep {
    UpStep {
        who,
        person: 0,
        only: None,
        extra: false,
        keep_on_failure: false,
        pull: false,
        trouble: Trouble::None,
        again: Some(false),
    }
}

/// Components that are made anew because their links lead again to where the file says.
fn linked(home: &Home) -> BTreeSet<String> {
    let users =
        home.bases.iter().flatten().filter(|(_, made)| home.links.keys().any(|key| made.needs.contains_key(*key)));
    users.map(|(name, _)| name.clone()).collect()
}

/// Whether the error could be known before anything was done.
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
