//! The other steps: those that take environments down, link, keep and prune them, and those of people who change things
//! without telling us.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use haddock_core::environment::Target;
use haddock_core::environment::environments::{Pruned, Switch};
use haddock_core::environment::idle::{IdlePolicy, IdleVerdict};
use haddock_core::{ComponentName, ErrorKind, Result};

use super::engine::{Look, Seen, State};
use super::file::KEYS;
use super::flaky::Fault;
use super::known::{Mark, Place};
use super::step::{Hand, NAMES, Trouble, Who};
use super::world::{Outcome, POLICY, World};

impl World<'_> {
    pub(crate) async fn down(&mut self, who: Who, volumes: bool, trouble: Trouble) {
        if self.homes.get(&who.name).is_some_and(|home| home.owner != who.checkout) {
            return;
        }
        let name = self.names[who.name].clone();
        let before = self.engine.look().await;
        let linking = self.homes.values().any(|home| home.links.values().any(|to| *to == who.name));
        let may_link = self.may_be_linked(who.name);
        let links = self.without_links(who.name);
        let (outcome, fired) = self.run(trouble, async |envs| envs.down(&name, volumes).await).await;
        for (path, text) in links {
            std::fs::write(path, text).expect("the store can be written");
        }
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
            Outcome::Done(Err(error)) if error.kind() == ErrorKind::Busy && may_link => {
                self.meet("down of what others link to");
                self.check_unchanged(&before, &after, who.name, false, &error);
            }
            Outcome::Done(Err(error)) if !fired => {
                self.violate("a down succeeds if nothing is in its way", format!("{error:#}"));
            }
            _ => {
                self.forget(who.name, volumes);
                if let Some(home) = self.homes.get_mut(&who.name) {
                    home.last = None;
                }
            }
        }
    }

    /// The environment is taken down, perhaps only half of it.
    pub(crate) fn forget(&mut self, name: usize, volumes: bool) {
        self.marks.retain(|mark| mark.name != name || !(volumes || matches!(mark.place, Place::Own(_))));
        for mark in self.marks.iter_mut().filter(|mark| mark.name == name) {
            if matches!(mark.place, Place::Anonymous(..)) {
                mark.place = Place::Loose;
            }
        }
        for home in self.homes.values_mut() {
            home.links.retain(|_, to| *to != name);
            home.may_link.remove(&name);
        }
    }

    pub(crate) async fn link(&mut self, who: Who, key: &'static str, back: bool, live: bool, trouble: Trouble) {
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
        // Components that use it may be made anew, now or at the next `up`; and components that use those.
        let mut changed: BTreeSet<String> = BTreeSet::from([key.to_owned()]);
        for base in &home.bases {
            for _ in &KEYS {
                let users = base.iter().filter(|(_, made)| made.needs.keys().any(|need| changed.contains(need)));
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
            // It is unknown whether the link has been switched.
            home.may_link.extend(std::mem::take(&mut home.links).into_values());
        }
        if matches!(outcome, Outcome::Done(Ok(_))) {
            self.meet(if back { "link back" } else { "link" });
        }
        self.settle_marks(who.name, &home);
        self.homes.insert(who.name, home);
        let after = self.engine.look().await;
        self.check_others(&before, &after, &BTreeSet::from([who.name]));
    }

    pub(crate) async fn keep(&mut self, who: Who, time: Duration) {
        let name = self.names[who.name].clone();
        if self.envs.keep(&name, time).await.is_ok() {
            self.meet("kept");
            let until = self.now() + time;
            if let Some(home) = self.homes.get_mut(&who.name) {
                home.keep_until = Some(until);
            }
        }
    }

    pub(crate) async fn prune(&mut self, dry: bool, trouble: Trouble) {
        let before = self.engine.look().await;
        let began = self.now();
        let counts = dry && self.has(Fault::DryRunsCount);
        let policy = if counts { IdlePolicy::default() } else { POLICY };
        let (outcome, _) = self.run(trouble, async |envs| envs.prune(&policy, dry && !counts).await).await;
        let after = self.engine.look().await;
        let ended: BTreeSet<usize> = match &outcome {
            Outcome::Done(Ok(pruned)) => {
                self.check_pruned(pruned, dry, began);
                // An environment for which this failed may be half stopped or removed.
                let failed = |it: &Pruned| matches!(it.verdict, IdleVerdict::Failed { .. });
                let ended = pruned.iter().filter(|it| !dry && (is_over(it) || failed(it)));
                ended.filter_map(|it| self.names.iter().position(|name| *name == it.name)).collect()
            }
            _ => (0..NAMES.len()).collect(),
        };
        self.check_others(&before, &after, &ended);
        for name in ended {
            self.is_ended(name, &before, &after, false);
        }
        if !dry {
            self.homes.values_mut().for_each(|home| home.looks += 1);
        }
    }
    /// The environment was stopped, or removed without its volumes, because nobody used it. `is_back`: somebody has
    /// brought it up since.
    pub(crate) fn is_ended(&mut self, name: usize, before: &Look, after: &Look, is_back: bool) {
        let were: BTreeSet<_> = self.containers(before, name).into_iter().map(|it| it.id).collect();
        let left = self.containers(after, name).into_iter().filter(|it| were.contains(&it.id)).count();
        if left == were.len() {
            return;
        }
        self.forget(name, false);
        if left == 0 {
            self.meet("removed, for nobody used it");
            if !is_back {
                self.homes.remove(&name);
            }
        } else if let Some(home) = self.homes.get_mut(&name) {
            home.last = None;
        }
    }

    /// Whether another may have a link that leads to it.
    pub(crate) fn may_be_linked(&self, name: usize) -> bool {
        let mut all = self.homes.values();
        all.any(|home| home.may_link.contains(&name) || home.links.values().any(|to| *to == name))
    }

    /// If that fault is planted, removes the links from the records of other environments. Returns the records as they
    /// were.
    fn without_links(&self, name: usize) -> Vec<(PathBuf, Vec<u8>)> {
        let others = self.names.iter().enumerate().filter(|(at, _)| *at != name && self.has(Fault::LinksAreNotAsked));
        let paths = others.map(|(_, other)| self.folder.join("store").join(format!("{other}.up")));
        let known: Vec<_> = paths.filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?))).collect();
        for (path, text) in &known {
            let mut record: serde_json::Value = serde_json::from_slice(text).expect("JSON");
            record["links"] = serde_json::json!({});
            std::fs::write(path, record.to_string()).expect("the store can be written");
        }
        known
    }

    pub(crate) async fn hand(&mut self, hand: Hand, pick: usize) {
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
            // Components that need it may be made anew with it.
            let home = self.homes[&name].clone();
            self.settle_marks(name, &home);
        }
    }

    pub(crate) async fn remove_network(&mut self, pick: usize) {
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
                // Containers that cannot be started without the network are made anew.
                home.last = None;
                home.touched.extend(home.bases.iter().flat_map(|base| base.keys().cloned()).collect::<Vec<_>>());
                let home = home.clone();
                self.settle_marks(name, &home);
            }
        }
    }
}

fn is_over(pruned: &Pruned) -> bool {
    matches!(pruned.verdict, IdleVerdict::Stop { .. } | IdleVerdict::Remove { .. })
}

/// The environments that a look has ended.
pub(crate) fn ended(pruned: &Result<Vec<Pruned>>) -> impl Iterator<Item = &Pruned> {
    pruned.iter().flatten().filter(|it| is_over(it))
}
