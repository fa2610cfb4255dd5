//! What to launch, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::container::{Attachment, ContainerSpec, Selector, label};
use crate::environment::plan::needs;
use crate::environment::{Component, DependencyCondition, EnvironmentSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName, InstanceId, JournalId};

/// What to launch.
#[derive(Debug, Clone)]
pub struct LaunchPlan {
    /// The journal that the environment belongs to.
    pub journal: JournalId,
    /// The uid of the environment: an instance's, or [`InstanceId::of_environment`].
    pub instance: InstanceId,
    /// The environment's name, by which its containers are called; `None`: it is an instance, and they are called by
    /// the uid.
    pub name: Option<EnvironmentName>,
    /// The epoch under which it is launched.
    pub epoch: u64,
    /// What the environment looks like.
    pub spec: Arc<EnvironmentSpec>,
    /// The components to launch; the others run elsewhere, or not at all.
    pub members: BTreeSet<ComponentName>,
    /// The image of each member, by the id that the runtime's `pull` gave.
    pub images: BTreeMap<ComponentName, String>,
    /// The digest of `spec`. What is there is taken over only if it was made from the same.
    pub spec_digest: String,
    /// The digests of components that are told apart one by one, in place of `spec_digest`.
    pub digests: BTreeMap<ComponentName, String>,
    /// Labels that everything gets besides.
    pub labels: BTreeMap<String, String>,
    /// How long the launch may take.
    pub within: Duration,
}

/// For each component, what has to be there before it starts.
pub(super) type Order = BTreeMap<ComponentName, BTreeMap<ComponentName, DependencyCondition>>;

impl LaunchPlan {
    /// For each member, what has to be there before it starts. A link means the order, as in Compose.
    pub(super) fn order(&self) -> Result<Order> {
        let order = order(&self.spec, &self.members);
        match ranks(&order) {
            Some(_) => Ok(order),
            None => Err(Error::new(ErrorKind::ComposeFile, "components wait for each other in a circle")
                .with_hint("remove one of the `depends_on` or `links` in the circle")),
        }
    }

    /// What its network is called, and what its containers' names begin with.
    pub(super) fn prefix(&self) -> &str {
        self.name.as_ref().map_or(self.instance.as_str(), EnvironmentName::as_str)
    }

    /// Labels of what is made. What the user wrote cannot take the place of ours.
    pub(super) fn labels(&self, component: Option<(&ComponentName, &Component)>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        if let Some((name, component)) = component {
            let theirs = component.labels.iter().filter(|(key, _)| !key.starts_with("haddock."));
            labels.extend(theirs.map(|(key, value)| (key.clone(), value.clone())));
            labels.insert(label::COMPONENT.to_owned(), name.to_string());
            let rank = ranks(&order(&self.spec, &self.members)).and_then(|ranks| ranks.get(name).copied());
            labels.insert(label::RANK.to_owned(), rank.unwrap_or_default().to_string());
            if let Some(grace) = component.stop_grace_period {
                labels.insert(label::GRACE.to_owned(), grace.as_millis().to_string());
            }
        }
        labels.extend(self.labels.clone());
        labels.insert(label::JOURNAL.to_owned(), self.journal.to_string());
        labels.insert(label::ENVIRONMENT.to_owned(), self.instance.to_string());
        if let Some(name) = &self.name {
            labels.insert(label::NAME.to_owned(), name.to_string());
        }
        labels.insert(label::EPOCH.to_owned(), self.epoch.to_string());
        labels.insert(label::SPEC.to_owned(), self.digest(component.map(|(name, _)| name)).to_owned());
        labels
    }

    fn digest(&self, component: Option<&ComponentName>) -> &str {
        component.and_then(|name| self.digests.get(name)).unwrap_or(&self.spec_digest)
    }

    pub(super) fn container(&self, name: &ComponentName, component: &Component) -> Result<ContainerSpec> {
        let image = self.images.get(name).ok_or_else(|| {
            let message = format!("no image was pulled for component `{name}` (`{}`)", component.image);
            Error::new(ErrorKind::ImageMissing, message).with_hint("pull the images of all that is launched first")
        })?;
        let mut expose = component.expose.clone();
        if let Some(entry) = self.spec.entry().filter(|entry| entry.component == *name) {
            if !expose.contains(&entry.port) {
                expose.push(entry.port);
            }
            // The entry's port comes first: a runtime that tells a process one port tells it this one.
            expose.sort_by_key(|port| *port != entry.port);
        }
        Ok(ContainerSpec {
            name: format!("{}-{name}", self.prefix()),
            image: image.clone(),
            entrypoint: component.entrypoint.clone(),
            command: component.command.clone(),
            environment: component.environment.clone(),
            labels: self.labels(Some((name, component))),
            network: Some(Attachment { network: self.prefix().to_owned(), aliases: self.spec.aliases(name) }),
            expose,
            publish: component.ports.clone(),
            health_check: component.health_check.clone(),
            stop_signal: component.stop_signal.clone(),
        })
    }

    /// Whether what carries these labels was made for this plan: its network, or that component. Its epoch may be an
    /// earlier one.
    pub(super) fn made(&self, labels: &BTreeMap<String, String>, component: Option<&ComponentName>) -> bool {
        Selector::environment(&self.journal, &self.instance).matches(labels)
            && labels.get(label::SPEC).map(String::as_str) == Some(self.digest(component))
    }
}

/// What has to be there before each of these components starts. A link means the order, as in Compose; a condition in
/// `depends_on` says more.
fn order(spec: &EnvironmentSpec, members: &BTreeSet<ComponentName>) -> Order {
    let of = |name: &ComponentName| needs(spec, members, name).into_iter().map(|(need, when)| (need.clone(), when));
    members
        .iter()
        .filter(|name| spec.components.contains_key(*name))
        .map(|name| (name.clone(), of(name).collect()))
        .collect()
}

/// How many starts come before each component's; `None` if they go in a circle.
fn ranks(order: &Order) -> Option<BTreeMap<ComponentName, usize>> {
    let mut ranks: BTreeMap<ComponentName, usize> = BTreeMap::new();
    while ranks.len() < order.len() {
        let ready: Vec<(ComponentName, usize)> = order
            .iter()
            .filter(|(name, needs)| !ranks.contains_key(*name) && needs.keys().all(|need| ranks.contains_key(need)))
            .map(|(name, needs)| (name.clone(), needs.keys().map(|need| ranks[need] + 1).max().unwrap_or(0)))
            .collect();
        if ready.is_empty() {
            return None;
        }
        ranks.extend(ready);
    }
    Some(ranks)
}
