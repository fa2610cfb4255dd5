//! What is known about environments from the steps taken: what they were made from, and what was written where.

use std::collections::{BTreeMap, BTreeSet};

use haddock_core::Timestamp;

use super::engine::{Look, State};
use super::file::Part;
use super::step::UpStep;
use super::world::World;

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a volume that has a name in the file.
    Named(&'static str),
    /// In an unnamed volume of a component.
    Anonymous(String, &'static str),
    /// In a component's container.
    Own(String),
    /// In a volume that no component has any more.
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
    /// The components that it needs, each with what has to be true before this one starts.
    pub(crate) needs: BTreeMap<String, &'static str>,
}

pub(crate) type Base = BTreeMap<String, Made>;

/// What is known about an environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Home {
    pub(crate) owner: usize,
    /// Both checkouts have tried to bring it up, and it is unknown to which it belongs.
    pub(crate) contested: bool,
    /// What it was made from. There are several if an operation failed that may or may not have changed it.
    pub(crate) bases: Vec<Base>,
    /// Components that may be made anew although the file does not change.
    pub(crate) touched: BTreeSet<String>,
    /// The links that lead elsewhere: the component, and to which environment.
    pub(crate) links: BTreeMap<&'static str, usize>,
    /// Environments to which links may also lead, because it is unknown whether an operation that failed has changed
    /// them.
    pub(crate) may_link: BTreeSet<usize>,
    /// After how many minutes its file lets it be stopped and removed. Several, as in `bases`.
    pub(crate) idle: Vec<Option<(u64, u64)>>,
    /// When it was last brought up.
    pub(crate) used: Option<Timestamp>,
    pub(crate) keep_until: Option<Timestamp>,
    /// How often `prune` has really looked at it since then.
    pub(crate) looks: u32,
    pub(crate) last: Option<UpStep>,
}

impl Home {
    /// Whether the component, and everything that it needs, is the same in all of `bases`.
    pub(crate) fn keeps(&self, component: &str) -> bool {
        let Some((first, rest)) = self.bases.split_first() else { return false };
        let Some(made) = first.get(component) else { return false };
        !self.touched.contains(component)
            && rest.iter().all(|base| base.get(component) == Some(made))
            && made.needs.keys().all(|need| self.keeps(need))
    }
}

impl World<'_> {
    /// Forgets marks that may be gone after the last operation, and no others.
    pub(crate) fn settle_marks(&mut self, name: usize, home: &Home) {
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

    /// Each container of the environment writes a mark into each of its places.
    pub(crate) async fn write(&mut self, name: usize, look: &Look) {
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
}
