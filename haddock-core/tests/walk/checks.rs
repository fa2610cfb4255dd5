//! The invariants.
//!
//! | name | what must hold |
//! |---|---|
//! | an up succeeds if nothing is in its way | it fails only for an image, a name or a port that it cannot have |
//! | what the file says runs, and nothing else of that name | after an `up` each component has one container, which is as the file says, and no other component has any |
//! | what an up does not name stays | components of other profiles, and those that `only` leaves out |
//! | data stays | what was written to a volume is in it, and in its component's container, until `down --volumes`; what was written to a container is there until its part of the file changes |
//! | another environment is never touched | by an operation on one |
//! | what is foreign is left alone | at all times |
//! | a second up changes nothing, and diff is clean | a commit later, too |
//! | a failed up leaves what ran | all, if it is refused; what the file did not change, if not; and nothing that it made |
//! | what is over is gone | containers and networks after `down`, and with `--volumes` all volumes |
//! | what others link to stays | its `down` is refused |
//! | what is used is not ended | by `prune`, before its time, without two looks, or while somebody keeps it |

use std::collections::BTreeSet;

use haddock_core::environment::environments::Pruned;
use haddock_core::environment::idle::IdleVerdict;
use haddock_core::{Error, ErrorKind, Timestamp};

use super::engine::{Look, Seen, State};
use super::file::Part;
use super::known::{Home, Place};
use super::step::UpStep;
use super::world::{POLICY, World};

const EXCUSE: &str = "an up succeeds if nothing is in its way";
const RUNS: &str = "what the file says runs, and nothing else of that name";
const STAYS: &str = "what an up does not name stays";
const DATA: &str = "data stays";
const OTHERS: &str = "another environment is never touched";
const FOREIGN: &str = "what is foreign is left alone";
const FAILED: &str = "a failed up leaves what ran";
const GONE: &str = "what is over is gone";
const USED: &str = "what is used is not ended";

impl World<'_> {
    /// Nothing that existed before the walk has changed.
    pub(crate) fn check_foreign(&mut self, look: &Look) {
        let foreign = self.foreign.clone();
        for it in &foreign.containers {
            let now = look.containers.iter().find(|other| other.id == it.id);
            if now != Some(it) {
                self.violate(FOREIGN, format!("container `{}` was {it:?}, and is {now:?}", it.name));
            }
        }
        for (name, it) in &foreign.volumes {
            if look.volumes.get(name) != Some(it) {
                self.violate(FOREIGN, format!("volume `{name}` is another"));
            }
        }
        for (id, it) in &foreign.networks {
            if look.networks.get(id) != Some(it) {
                self.violate(FOREIGN, format!("network `{}` is another", it.name));
            }
        }
    }

    /// Everything that was written still exists somewhere.
    pub(crate) fn check_data(&mut self, look: &Look) {
        for mark in self.marks.clone() {
            let in_volume = look.volumes.values().any(|volume| volume.marks.contains(&mark.number));
            let of = |it: &&Seen, component: &str| {
                self.is_of(it, mark.name) && it.label("haddock.component") == Some(component)
            };
            let is_there = match &mark.place {
                Place::Named(_) | Place::Anonymous(..) | Place::Loose => in_volume,
                Place::Own(component) => {
                    let mut own = look.containers.iter().filter(|it| of(it, component));
                    own.any(|it| it.marks.contains(&mark.number))
                }
            };
            if !is_there {
                let what = format!("what was written for `{}` at {:?} is gone", self.names[mark.name], mark.place);
                self.violate(DATA, what);
            }
        }
    }

    /// What was written to the volumes of these components is in those that their containers have.
    pub(crate) fn check_attached(&mut self, name: usize, members: &BTreeSet<String>, look: &Look) {
        let home = self.homes[&name].clone();
        for mark in self.marks.clone() {
            if mark.name != name {
                continue;
            }
            for it in self.containers(look, name) {
                let Some(component) = it.label("haddock.component").filter(|it| members.contains(*it)) else {
                    continue;
                };
                let Some(made) = home.bases[0].get(component) else { continue };
                let named = made.part.named();
                let path = match &mark.place {
                    Place::Named(key) => named.iter().find(|(_, it)| *it == key).map(|(path, _)| *path),
                    Place::Anonymous(of, path) => (of == component).then_some(*path),
                    Place::Own(_) | Place::Loose => None,
                };
                let Some(path) = path else { continue };
                let volume = it.mounts.get(path).and_then(|volume| look.volumes.get(volume));
                if !volume.is_some_and(|volume| volume.marks.contains(&mark.number)) {
                    self.violate(
                        DATA,
                        format!("`{}` does not find at `{path}` what was written to {:?}", it.name, mark.place),
                    );
                }
            }
        }
    }

    /// Nothing of other environments has changed.
    pub(crate) fn check_others(&mut self, before: &Look, after: &Look, names: &BTreeSet<usize>) {
        let of = |it: &Seen| self.name_of(it).is_some_and(|name| names.contains(&name));
        let volumes: BTreeSet<&String> =
            before.containers.iter().filter(|it| of(it)).flat_map(|it| it.mounts.values()).collect();
        let named = |labels: &std::collections::BTreeMap<String, String>| {
            let name = labels.get("haddock.name").filter(|_| self.is_ours(labels));
            name.is_some_and(|name| names.iter().any(|at| self.names[*at].as_str() == name))
        };
        let mut wrong = Vec::new();
        for it in before.containers.iter().filter(|it| !of(it)) {
            let now = after.containers.iter().find(|other| other.id == it.id);
            // Some change by themselves.
            let restless =
                it.state == State::Restarting || ["once", "fails"].iter().any(|name| it.image.contains(name));
            let same = |now: &Seen| match restless {
                true => (&now.name, &now.marks) == (&it.name, &it.marks),
                false => now == it,
            };
            if !now.is_some_and(same) {
                wrong.push(format!("container `{}` was {it:?}, and is {now:?}", it.name));
            }
        }
        for (volume, it) in before.volumes.iter().filter(|(name, it)| !volumes.contains(name) && !named(&it.labels)) {
            if after.volumes.get(volume) != Some(it) {
                wrong.push(format!("volume `{volume}` is another"));
            }
        }
        for (id, it) in before.networks.iter().filter(|(_, it)| !named(&it.labels)) {
            if after.networks.get(id) != Some(it) {
                wrong.push(format!("network `{}` is another", it.name));
            }
        }
        for what in wrong {
            self.violate(OTHERS, what);
        }
    }

    /// After an `up` that succeeded.
    pub(crate) fn check_runs(&mut self, step: UpStep, before: &Look, after: &Look, members: &BTreeSet<String>) {
        let name = step.who.name;
        let home = self.homes[&name].clone();
        let of =
            |look: &Look| -> Vec<Seen> { look.containers.iter().filter(|it| self.is_of(it, name)).cloned().collect() };
        let (were, are) = (of(before), of(after));
        let component = |it: &Seen| it.label("haddock.component").unwrap_or_default().to_owned();
        for member in members {
            let made = &home.bases[0][member];
            let found: Vec<&Seen> = are.iter().filter(|it| component(it) == *member).collect();
            let [one] = found.as_slice() else {
                self.violate(RUNS, format!("`{member}` has {} containers", found.len()));
                continue;
            };
            if let Some(what) = differs(one, &made.part, &made.image) {
                self.violate(RUNS, format!("`{}`: {what}", one.name));
            }
        }
        let file = self.files[step.who.checkout].clone();
        let may_stay = |it: &str| step.only.is_some() || file.is_inactive(it, step.extra);
        for it in are.iter().filter(|it| !members.contains(&component(it)) && !may_stay(&component(it))) {
            self.violate(RUNS, format!("`{}` is there, and the file does not have it", it.name));
        }
        for it in were.iter().filter(|it| !members.contains(&component(it)) && may_stay(&component(it))) {
            self.meet("something that an up does not name");
            let now = are.iter().find(|other| other.id == it.id);
            let same = |now: &Seen| now.state == it.state || it.state == State::Restarting || it.image.contains("once");
            if !now.is_some_and(same) {
                self.violate(STAYS, format!("`{}` was {:?}, and is {:?}", it.name, it.state, now.map(|it| it.state)));
            }
        }
        for it in &were {
            let state = match it.state {
                State::Paused => "up of what was paused",
                State::Exited(_) => "up of what was stopped",
                State::Restarting => "up of what was restarting",
                State::Created => "up of what was never started",
                State::Running | State::Other => continue,
            };
            self.meet(state);
        }
        let changed = were.iter().any(|it| are.iter().any(|now| now.id != it.id && component(now) == component(it)));
        if changed {
            self.meet("replaced");
        }
    }

    /// An `up` that failed had a reason to.
    pub(crate) fn check_excuse(&mut self, step: UpStep, before: &Look, members: &BTreeSet<String>, error: &Error) {
        let file = self.files[step.who.checkout].clone();
        let active = file.active(step.extra);
        let bad = |part: &Part| ["gone", "never", "fails"].iter().any(|image| part.image.starts_with(image));
        let parts: Vec<&Part> =
            active.iter().filter(|(name, _)| members.contains(*name)).map(|(_, (_, it))| *it).collect();
        let ports: Vec<u16> = parts.iter().filter_map(|part| part.port).collect();
        let twice = ports.iter().collect::<BTreeSet<_>>().len() < ports.len();
        let others = before.containers.iter().filter(|it| !self.is_of(it, step.who.name));
        let taken = others.flat_map(|it| &it.ports).any(|port| ports.contains(port));
        // A container of this environment that stays may have the port.
        let stays = before.containers.iter().filter(|it| self.is_of(it, step.who.name));
        let stays = stays.filter(|it| it.label("haddock.component").is_none_or(|it| !members.contains(it)));
        let stays = stays.flat_map(|it| &it.ports).any(|port| ports.contains(port));
        let others = self.homes.get(&step.who.name).is_some_and(|it| it.contested || it.owner != step.who.checkout);
        // An environment that was taken down may have left volumes with this name.
        let came = |it: &super::step::Who| it.name == step.who.name && it.checkout != step.who.checkout;
        let others = others || (error.kind() == ErrorKind::NameTaken && self.comers.iter().any(came));
        let collides = step.who.name == 0 && (self.setup.container || self.setup.network || self.setup.volume);
        let unnamed = step.only.is_some_and(|key| !active.values().any(|(it, _)| *it == key));
        let stale = members.is_empty();
        let port = error.kind() == ErrorKind::PortTaken && (twice || taken || stays);
        let excused = parts.iter().any(|part| bad(part)) || port || collides || unnamed || stale || others;
        if !excused {
            self.violate(EXCUSE, format!("{:?}: {error:#}", error.kind()));
        }
    }

    /// An `up` that was refused has changed nothing.
    pub(crate) fn check_unchanged(&mut self, before: &Look, after: &Look, name: usize, kept: bool, error: &Error) {
        let of = |look: &Look| -> Vec<_> {
            let ours = look.containers.iter().filter(|it| self.is_of(it, name) && it.state != State::Restarting);
            ours.map(|it| (it.name.clone(), it.id.clone(), it.life, it.state == State::Running)).collect()
        };
        let (were, mut are) = (of(before), of(after));
        if kept {
            are.retain(|it| were.iter().any(|other| other.1 == it.1));
        }
        if were != are {
            self.violate(FAILED, format!("`{error}`, but of {were:?} there are {are:?}"));
        }
    }

    /// An `up` that failed has removed what it made.
    pub(crate) fn check_cleared(&mut self, before: &Look, after: &Look, name: usize, error: &Error) {
        let was_there = |it: &&Seen| before.containers.iter().any(|other| other.id == it.id);
        let made = after.containers.iter().filter(|it| self.is_of(it, name)).find(|it| !was_there(it));
        if let Some(made) = made {
            self.violate(FAILED, format!("`{error}`, and `{}` is there", made.name));
        }
    }

    /// Components that the file did not change run as before.
    pub(crate) fn check_kept(&mut self, before: &Look, after: &Look, name: usize, home: &Home) {
        for it in self.containers(before, name).into_iter().filter(|it| it.state == State::Running) {
            let component = it.label("haddock.component").unwrap_or_default();
            if !home.keeps(component) || ["once", "fails"].iter().any(|image| it.image.contains(image)) {
                continue;
            }
            let now = after.containers.iter().find(|other| other.id == it.id);
            if !now.is_some_and(|now| (now.life, now.state) == (it.life, it.state)) {
                self.violate(FAILED, format!("`{}` ran, and is {:?}", it.name, now.map(|now| now.state)));
            }
        }
    }

    /// After a `down` that succeeded.
    pub(crate) fn check_gone(&mut self, before: &Look, after: &Look, name: usize, volumes: bool) {
        let left: Vec<&Seen> = after.containers.iter().filter(|it| self.is_of(it, name)).collect();
        let ours = |labels: &std::collections::BTreeMap<String, String>| {
            self.is_ours(labels) && labels.get("haddock.name").map(String::as_str) == Some(self.names[name].as_str())
        };
        let networks: Vec<&str> =
            after.networks.values().filter(|it| ours(&it.labels)).map(|it| it.name.as_str()).collect();
        let had = before.containers.iter().filter(|it| self.is_of(it, name)).flat_map(|it| it.mounts.values());
        let mut kept: Vec<&String> = had.filter(|it| after.volumes.contains_key(*it)).collect();
        kept.extend(after.volumes.iter().filter(|(_, it)| ours(&it.labels)).map(|(name, _)| name));
        let what = match () {
            () if !left.is_empty() => format!("container `{}` is there", left[0].name),
            () if !networks.is_empty() => format!("networks {networks:?} are there"),
            () if volumes && !kept.is_empty() => format!("volumes {kept:?} are there"),
            () => return,
        };
        self.violate(GONE, what);
    }

    /// Each environment that was ended was unused for long enough, was looked at before, and nobody keeps it.
    pub(crate) fn check_pruned(&mut self, pruned: &[Pruned], dry: bool, began: Timestamp) {
        for it in pruned {
            let Some(name) = self.names.iter().position(|name| *name == it.name) else { continue };
            let Some(home) = self.homes.get(&name).cloned() else { continue };
            let policy = (POLICY.stop_after.unwrap_or_default(), POLICY.remove_after.unwrap_or_default());
            let minutes = |it: u64| std::time::Duration::from_secs(it * 60);
            let limits = home.idle.iter().map(|idle| {
                let (stop, remove) = idle.map_or(policy, |(stop, remove)| (minutes(stop), minutes(remove)));
                if matches!(it.verdict, IdleVerdict::Stop { .. }) { stop } else { remove }
            });
            let least = limits.min().unwrap_or_default();
            if !matches!(it.verdict, IdleVerdict::Stop { .. } | IdleVerdict::Remove { .. }) {
                continue;
            }
            self.meet(if dry { "idle, in a dry run" } else { "idle" });
            let since = home.used.map(|used| began.since(used));
            if since.is_some_and(|since| since < least) {
                self.violate(USED, format!("`{}` was brought up {since:?} ago: {:?}", it.name, it.verdict));
            }
            if home.looks == 0 && home.last.is_some() && !dry {
                self.violate(USED, format!("`{}` was looked at once: {:?}", it.name, it.verdict));
            }
            if home.keep_until.is_some_and(|until| until > began) {
                self.violate(USED, format!("`{}` is kept: {:?}", it.name, it.verdict));
            }
        }
    }
}

/// How a container differs from its part of the file.
fn differs(it: &Seen, part: &Part, image: &str) -> Option<String> {
    // If nobody waits for its end, it may not have ended yet.
    if it.state != State::Running && !(part.is_once() && it.state == State::Exited(0)) {
        return Some(format!("it is {:?}", it.state));
    }
    let mounts: BTreeSet<&str> = it.mounts.keys().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = part.named().into_keys().chain(part.anonymous()).collect();
    let ports: BTreeSet<u16> = part.port.into_iter().collect();
    let networks = 1 + usize::from(part.back);
    let command = part.command.to_string();
    match () {
        () if it.image != image => Some(format!("its image is `{}`, not `{image}`", it.image)),
        () if !part.is_once() && it.command.last() != Some(&command) => {
            Some(format!("its command is {:?}", it.command))
        }
        () if it.variable != Some(part.variable.to_string()) => Some(format!("its variable is {:?}", it.variable)),
        () if it.label("walk.label") != Some(&part.label.to_string()) => Some("its label is another".to_owned()),
        () if mounts != wanted => Some(format!("it has volumes at {mounts:?}, not at {wanted:?}")),
        () if it.networks.len() != networks => Some(format!("its networks are {:?}", it.networks)),
        () if !part.is_once() && it.ports != ports => Some(format!("its ports on the host are {:?}", it.ports)),
        () => None,
    }
}
