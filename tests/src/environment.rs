//! Environments of the fixture, for tests of launch and teardown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use haddock_core::container::{HealthCheck, Selector};
use haddock_core::environment::launch::LaunchPlan;
use haddock_core::environment::{Component, DependencyCondition, Entry, EnvironmentSpec, Link};
use haddock_core::environment::{Readiness, ReleaseSettings, ServiceSettings};
use haddock_core::routing::SessionPolicy;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::suite::{PORT, RuntimeHarness};
use haddock_core::{ComponentName, InstanceId, JournalId, LinkAlias, ServiceName};

/// A component's name.
#[must_use]
pub fn name(name: &str) -> ComponentName {
    ComponentName::new(name).expect("a name")
}

/// A component that runs the fixture with these words.
pub fn component(harness: &dyn RuntimeHarness, words: &[&str]) -> Component {
    Component {
        versioned: true,
        command: Some(words.iter().map(|word| (*word).to_owned()).collect()),
        expose: vec![PORT],
        ..Component::new(harness.serving())
    }
}

/// The component, which waits for another.
#[must_use]
pub fn after(mut component: Component, other: &str, condition: DependencyCondition) -> Component {
    component.depends_on.insert(name(other), condition.into());
    component
}

/// The component, with a link to another.
#[must_use]
pub fn linked(mut component: Component, other: &str, alias: &str) -> Component {
    component.links.push(Link { component: name(other), alias: LinkAlias::new(alias).expect("an alias") });
    component
}

/// The component, with a health check every 100 ms that is unhealthy after two failures.
#[must_use]
pub fn checked(mut component: Component, test: Vec<String>) -> Component {
    component.health_check = Some(HealthCheck {
        test,
        interval: Some(Duration::from_millis(100)),
        timeout: Some(Duration::from_secs(5)),
        retries: Some(2),
        ..HealthCheck::default()
    });
    component
}

/// A journal's corner of a runtime.
pub struct Corner<'a> {
    /// The harness that it is on.
    pub harness: &'a dyn RuntimeHarness,
    /// The journal, used by nobody else.
    pub journal: JournalId,
}

impl<'a> Corner<'a> {
    /// A new one.
    ///
    /// # Panics
    /// Never: its name is well formed.
    #[must_use]
    pub fn new(harness: &'a dyn RuntimeHarness) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let unique = format!("corner{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { harness, journal: JournalId::new(unique).expect("letters and digits") }
    }

    /// The runtime.
    #[must_use]
    pub fn runtime(&self) -> &'a dyn ContainerRuntime {
        self.harness.runtime()
    }

    /// Its `number`-th instance.
    ///
    /// # Panics
    /// Never: its name is well formed.
    #[must_use]
    pub fn instance(&self, number: u64) -> InstanceId {
        InstanceId::new(format!("{}-{number}", self.journal)).expect("letters and digits")
    }

    /// A plan for these components, with `web` as the entry.
    ///
    /// # Panics
    /// If the fixture's image cannot be had.
    pub async fn plan(&self, number: u64, components: impl IntoIterator<Item = (&str, Component)>) -> LaunchPlan {
        let image = self.runtime().pull(&self.harness.serving(), false).await.expect("the image is there");
        let components: BTreeMap<ComponentName, Component> =
            components.into_iter().map(|(key, component)| (name(key), component)).collect();
        LaunchPlan {
            journal: self.journal.clone(),
            instance: self.instance(number),
            name: None,
            epoch: 1,
            shared: None,
            members: components.keys().cloned().collect(),
            digests: BTreeMap::new(),
            generations: BTreeMap::new(),
            again: BTreeMap::new(),
            unpause: BTreeSet::new(),
            images: components.keys().map(|key| (key.clone(), image.clone())).collect(),
            spec: Arc::new(EnvironmentSpec {
                settings: Some(ServiceSettings {
                    service: ServiceName::new("shop").expect("a name"),
                    entry: Entry { component: name("web"), port: PORT },
                    ready: Readiness::default(),
                    session: SessionPolicy::default(),
                    release: ReleaseSettings::default(),
                    notify: 0,
                }),
                components,
                ..EnvironmentSpec::default()
            }),
            spec_digest: "digest-1".to_owned(),
            within: Duration::from_secs(60),
        }
    }

    /// The names of all that is there, and how many networks.
    ///
    /// # Panics
    /// If the runtime does not answer.
    pub async fn inventory(&self) -> (Vec<String>, usize) {
        let ours = Selector::journal(&self.journal);
        let mut names: Vec<String> =
            self.runtime().list(&ours).await.expect("a list").into_iter().map(|it| it.name).collect();
        names.sort_unstable();
        (names, self.runtime().networks(&ours).await.expect("a list").len())
    }

    /// Removes all that is there.
    ///
    /// # Panics
    /// If the runtime refuses.
    pub async fn clean(&self) {
        let ours = Selector::journal(&self.journal);
        for container in self.runtime().list(&ours).await.expect("a list") {
            self.runtime().remove(&container.id).await.expect("removed");
        }
        for network in self.runtime().networks(&ours).await.expect("a list") {
            self.runtime().remove_network(&network.id).await.expect("removed");
        }
    }
}
