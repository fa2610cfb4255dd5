//! What has to be done so that an environment is as its file says. Pure: nothing is looked up or done here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Component, Dependency, DependencyCondition, EnvironmentSpec};
use crate::container::{Container, ContainerId, ContainerState, NetworkMode, RestartPolicy, label};
use crate::name::ComponentName;

/// An environment as it is wanted.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// What its file says.
    pub spec: &'a EnvironmentSpec,
    /// The components that are to run.
    pub members: &'a BTreeSet<ComponentName>,
    /// For each of them, the digest of everything it is made from.
    pub digests: &'a BTreeMap<ComponentName, String>,
    /// Components whose links were switched while they ran, so that they differ from what they were made from.
    pub relinked: &'a BTreeSet<ComponentName>,
    /// Components whose network is replaced.
    pub moved: &'a BTreeSet<ComponentName>,
    /// Components whose container is on a network that is gone, so that it cannot be started again.
    pub stranded: &'a BTreeSet<ComponentName>,
    /// Whether these are all components. Then any other is removed.
    pub complete: bool,
    /// Components of the file that are not wanted now. Their containers are left as they are.
    pub aside: &'a BTreeSet<ComponentName>,
    /// Containers that ran when the last `up` had ended. If one of them has ended since, somebody stopped it.
    pub ran: &'a BTreeSet<ContainerId>,
    /// Whether ended containers can be started again. If not, they are replaced.
    pub start_again: bool,
    /// Whether paused containers can go on. If not, they are replaced.
    pub unpause: bool,
}

/// What is done with a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// It is made and started.
    Create,
    /// It is there, and is started for the first time.
    Start,
    /// Its container is started again, with its file system and its volumes.
    Restart,
    /// It is paused, and goes on.
    Unpause,
    /// Its container is removed, and another made and started.
    Replace,
    /// It stays as it is.
    Keep,
    /// It is removed.
    Remove,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// It is not there.
    Missing,
    /// It was made and never started.
    NeverStarted,
    /// Its image, or its part of the file, differs from what it was made from.
    Changed,
    /// Its links were switched while it ran.
    Relinked,
    /// Its network differs from the one it was made with.
    Network,
    /// It should run, and has ended with this exit code.
    Ended(i64),
    /// Somebody has paused it.
    Paused,
    /// Its engine could not remove it.
    Dead,
    /// Its engine keeps starting it, as its restart policy says. It is waited for.
    Restarting,
    /// A component that it needs is new.
    Needs(ComponentName),
    /// It has joined the network or another namespace of a component that was started again, so it still has the old
    /// one.
    Joined(ComponentName),
    /// It runs, and is as the file says.
    Runs,
    /// It has done its work: it ended with exit code 0, and is not needed any longer.
    Done,
    /// The file does not have it.
    NotInFile,
}

/// What is done with one component, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The component.
    pub component: ComponentName,
    /// What is done with it.
    pub change: Change,
    /// Why.
    pub cause: Cause,
}

/// What has to be done, in its order: what others need comes first, removals come last.
///
/// `Display` has a line for each component; as JSON it is the list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan(pub Vec<Planned>);

impl Plan {
    /// Compares what is wanted with the containers that carry the environment's labels.
    #[must_use]
    pub fn new(wanted: &Wanted<'_>, found: &[Container]) -> Self {
        let order = order(wanted.spec, wanted.members);
        let mut plan: Vec<Planned> = Vec::new();
        let mut renewed: BTreeSet<&ComponentName> = BTreeSet::new();
        let mut restarted: BTreeSet<&ComponentName> = BTreeSet::new();
        for name in &order {
            let needs = needs(wanted.spec, wanted.members, name);
            let new_need = needs.keys().copied().find(|need| renewed.contains(*need));
            let container = find(found, name);
            let joined = joins(&wanted.spec.components[*name]);
            let left = wanted.members.iter().filter(|other| joined.contains(other.as_str())).find(|other| {
                let is_left = |of: &Container| container.is_some_and(|own| has_left(own, of));
                restarted.contains(other) || find(found, other).is_some_and(is_left)
            });
            let (change, cause) = judge(wanted, name, container, new_need, left);
            match change {
                Change::Create | Change::Replace => _ = renewed.insert(name),
                Change::Start | Change::Restart => _ = restarted.insert(name),
                Change::Unpause | Change::Keep | Change::Remove => {}
            }
            plan.push(Planned { component: (*name).clone(), change, cause });
        }
        let others: BTreeSet<ComponentName> = found.iter().filter_map(Container::component).collect();
        let goes = |name: &ComponentName| match copy_of(wanted.spec, name) {
            _ if wanted.members.contains(name) => false,
            // The component now has fewer replicas.
            Some(of) if !wanted.complete => wanted.members.contains(of) && !wanted.aside.contains(name),
            _ => wanted.complete && !is_aside(wanted.aside, name),
        };
        let others = others.into_iter().filter(goes);
        plan.extend(others.map(|component| Planned { component, change: Change::Remove, cause: Cause::NotInFile }));
        Self(plan)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|planned| planned.change == Change::Keep)
    }

    /// The components with this change.
    pub fn all(&self, change: Change) -> impl Iterator<Item = &ComponentName> {
        self.0.iter().filter(move |planned| planned.change == change).map(|planned| &planned.component)
    }
}

/// What is done with a component, and why. `new_need`: a component that it needs and that is made anew. `left`: a
/// component whose namespace it has joined, and that was started again or will be.
fn judge(
    wanted: &Wanted<'_>,
    name: &ComponentName,
    found: Option<&Container>,
    new_need: Option<&ComponentName>,
    left: Option<&ComponentName>,
) -> (Change, Cause) {
    let Some(container) = found else { return (Change::Create, Cause::Missing) };
    if container.labels.get(label::SPEC) != wanted.digests.get(name) {
        return (Change::Replace, Cause::Changed);
    }
    if wanted.moved.contains(name) {
        return (Change::Replace, Cause::Network);
    }
    if wanted.relinked.contains(name) {
        return (Change::Replace, Cause::Relinked);
    }
    let again = |can: bool, change: Change, cause: Cause| (if can { change } else { Change::Replace }, cause);
    let is_stranded = wanted.stranded.contains(name);
    match container.state {
        ContainerState::Created if !is_stranded => (Change::Start, Cause::NeverStarted),
        ContainerState::Removing => (Change::Create, Cause::Missing),
        ContainerState::Dead => (Change::Replace, Cause::Dead),
        ContainerState::Exited { .. } if is_done(wanted.spec, wanted.members, wanted.ran, name, container) => {
            (Change::Keep, Cause::Done)
        }
        _ if new_need.is_some() => (Change::Replace, Cause::Needs(new_need.expect("seen").clone())),
        _ if is_stranded => (Change::Replace, Cause::Network),
        ContainerState::Created => (Change::Start, Cause::NeverStarted),
        ContainerState::Exited { code, .. } => again(wanted.start_again, Change::Restart, Cause::Ended(code)),
        _ if left.is_some() => again(wanted.start_again, Change::Restart, Cause::Joined(left.expect("seen").clone())),
        ContainerState::Paused => again(wanted.unpause, Change::Unpause, Cause::Paused),
        ContainerState::Restarting { .. } => (Change::Keep, Cause::Restarting),
        ContainerState::Running => (Change::Keep, Cause::Runs),
    }
}

/// Whether a component has done its work: it ended with exit code 0, and nothing says that it should still run. `ran`:
/// containers that ran when the last `up` had ended.
pub(crate) fn is_done(
    spec: &EnvironmentSpec,
    members: &BTreeSet<ComponentName>,
    ran: &BTreeSet<ContainerId>,
    name: &ComponentName,
    container: &Container,
) -> bool {
    if !container.has_succeeded() {
        return false;
    }
    let component = &spec.components[name];
    let needed: Vec<Dependency> = members.iter().filter_map(|other| needs(spec, members, other).remove(name)).collect();
    let completes = |need: &Dependency| need.condition == DependencyCondition::CompletedSuccessfully;
    if !component.expose.is_empty() || needed.iter().any(|need| !completes(need)) {
        return false;
    }
    let checked = component.health_check.as_ref().is_some_and(|check| check.test.first().is_none_or(|it| it != "NONE"));
    let policy = matches!(component.restart, Some(RestartPolicy::Always | RestartPolicy::UnlessStopped));
    // If another waits for its end, its work is done. Else it is meant to run if it ran, or if the file says so.
    !needed.is_empty() || !(checked || policy || ran.contains(&container.id))
}

/// Whether a container that has joined a namespace of `other` is still in that of an earlier life of it. It joins at
/// its own start, so this is so if `other` was started later.
pub(crate) fn has_left(own: &Container, other: &Container) -> bool {
    own.started < other.started
}

/// The components whose namespaces a component joins.
pub(crate) fn joins(component: &Component) -> BTreeSet<&str> {
    let network = match &component.network_mode {
        Some(NetworkMode::Service(other)) => Some(other.as_str()),
        _ => None,
    };
    let options = &component.options;
    let spaces = [&options.ipc, &options.pid, &options.uts].into_iter().flatten();
    network.into_iter().chain(spaces.filter_map(|space| space.strip_prefix("service:"))).collect()
}

/// The component of which this is a further replica. `None` if the file has a component of this name.
fn copy_of<'n>(spec: &EnvironmentSpec, name: &'n ComponentName) -> Option<&'n str> {
    if spec.components.contains_key(name) {
        return None;
    }
    numbered(name)
}

/// The name without the number of a further replica: `web` for `web-2`.
fn numbered(name: &ComponentName) -> Option<&str> {
    let (of, number) = name.as_str().rsplit_once('-')?;
    number.parse::<u32>().is_ok_and(|number| number > 1).then_some(of)
}

/// Whether it, or the component that it is a replica of, is left as it is.
fn is_aside(aside: &BTreeSet<ComponentName>, name: &ComponentName) -> bool {
    aside.contains(name) || numbered(name).is_some_and(|of| aside.contains(of))
}

fn find<'c>(found: &'c [Container], name: &ComponentName) -> Option<&'c Container> {
    found.iter().find(|container| container.is_of(name))
}

/// The members that a component needs, each with what has to be true of it before the component starts. A member is not
/// needed if something outside takes its place.
pub(crate) fn needs<'a>(
    spec: &'a EnvironmentSpec,
    members: &BTreeSet<ComponentName>,
    name: &ComponentName,
) -> BTreeMap<&'a ComponentName, Dependency> {
    let component = &spec.components[name];
    let joined = joins(component);
    let has_from = |other: &ComponentName| component.volumes_from.iter().any(|from| from.component == *other);
    let joined = spec.components.keys().filter(move |other| joined.contains(other.as_str()) || has_from(other));
    let joined = joined.map(|other| (other, DependencyCondition::Started.into()));
    let links = component.links.iter().map(|link| (&link.component, DependencyCondition::Started.into()));
    let all = joined.chain(links).chain(component.depends_on.iter().map(|(name, dependency)| (name, *dependency)));
    // A release runs this before it launches a version. An environment runs it before the components of a version.
    let before = spec.before().filter(|_| component.versioned || spec.entry().is_some_and(|it| it.component == *name));
    let before = before.map(|before| (&before.component, DependencyCondition::CompletedSuccessfully.into()));
    let all = all.chain(before);
    all.filter(|(need, _)| *need != name && members.contains(*need) && !spec.targets.contains_key(*need)).collect()
}

/// The members, each after those that it needs. If they were in a circle, which no file has, the order would begin
/// somewhere in it.
fn order<'a>(spec: &EnvironmentSpec, members: &'a BTreeSet<ComponentName>) -> Vec<&'a ComponentName> {
    let mut left: BTreeSet<&ComponentName> = members.iter().collect();
    let mut order = Vec::new();
    while let Some(first) = left.first().copied() {
        let free = |name: &&&ComponentName| needs(spec, members, name).keys().all(|need| !left.contains(*need));
        let next = left.iter().find(free).map_or(first, |name| *name);
        left.remove(next);
        order.push(next);
    }
    order
}

/// These components and all that they need, or all there are if none is named.
#[must_use]
pub fn with_needs(spec: &EnvironmentSpec, only: &BTreeSet<ComponentName>) -> BTreeSet<ComponentName> {
    let all: BTreeSet<ComponentName> = spec.components.keys().cloned().collect();
    if only.is_empty() {
        return all;
    }
    let mut members = BTreeSet::new();
    let mut open: Vec<ComponentName> = only.iter().filter(|name| all.contains(*name)).cloned().collect();
    while let Some(name) = open.pop() {
        if members.insert(name.clone()) {
            open.extend(needs(spec, &all, &name).into_keys().cloned());
        }
    }
    members
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Unpause => "unpause",
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Remove => "remove",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::NeverStarted => f.write_str("it was never started"),
            Self::Changed => f.write_str("its image or its part of the file has changed"),
            Self::Network => f.write_str("its network is another than it was made with"),
            Self::Relinked => f.write_str("its links were switched while it ran"),
            Self::Ended(code) => write!(f, "it has ended with exit code {code}"),
            Self::Paused => f.write_str("it is paused"),
            Self::Dead => f.write_str("its engine could not remove it"),
            Self::Restarting => f.write_str("its engine starts it again and again"),
            Self::Needs(need) => write!(f, "`{need}`, which it needs, is new"),
            Self::Joined(other) => write!(f, "`{other}`, whose namespace it has joined, was started again"),
            Self::Runs => f.write_str("it runs and is as the file says"),
            Self::Done => f.write_str("it has done its work"),
            Self::NotInFile => f.write_str("the file does not have it"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for planned in &self.0 {
            writeln!(f, "{:<8} {}: {}", planned.change.to_string(), planned.component, planned.cause)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
