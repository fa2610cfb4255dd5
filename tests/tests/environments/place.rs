//! Where environments are brought up: a corner of a runtime, and a state directory.

use std::collections::BTreeMap;
use std::sync::Arc;

use haddock_core::container::ContainerId;
use haddock_core::environment::environments::{Environments, Up, UpOptions};
use haddock_core::environment::probe::NetworkProbing;
use haddock_core::environment::store::SpecStore;
use haddock_core::environment::{Component, DependencyCondition, EnvironmentSpec};
use haddock_core::runtime::ContainerRuntime;
use haddock_core::{ComponentName, EnvironmentName, Result};
use haddock_tests::environment::{Corner, after, checked, component, linked, name};

pub(crate) struct Place<'a> {
    pub(crate) corner: Corner<'a>,
    runtime: Arc<dyn ContainerRuntime>,
    state: tempfile::TempDir,
}

impl<'a> Place<'a> {
    pub(crate) fn new(corner: Corner<'a>, runtime: Arc<dyn ContainerRuntime>) -> Self {
        Self { corner, runtime, state: tempfile::tempdir().expect("a folder") }
    }

    /// The environments, as another process would open them.
    pub(crate) fn environments(&self) -> Environments {
        self.environments_on(Arc::clone(&self.runtime))
    }

    pub(crate) fn environments_on(&self, runtime: Arc<dyn ContainerRuntime>) -> Environments {
        let specs = SpecStore::directory(self.state.path().join("specs")).expect("a store");
        Environments::new(runtime, self.corner.journal.clone(), specs, Arc::new(NetworkProbing))
    }

    /// A name that nobody else has on the engine.
    pub(crate) fn name(&self, name: &str) -> EnvironmentName {
        EnvironmentName::new(format!("{}-{name}", self.corner.journal)).expect("letters and digits")
    }

    /// An oracle with a health check, a migration, an application that needs both, and a proxy in front.
    pub(crate) async fn shop(&self) -> EnvironmentSpec {
        let harness = self.corner.harness;
        let oracle = checked(component(harness, &["serve"]), harness.checking(0).expect("health checks are run"));
        let mut migrate = component(harness, &["exit", "0"]);
        migrate.expose.clear();
        let migrate = after(migrate, "oracle", DependencyCondition::Healthy);
        let app = linked(component(harness, &["serve"]), "oracle", "db");
        let app = after(app, "migrate", DependencyCondition::CompletedSuccessfully);
        let web = linked(component(harness, &["serve"]), "app", "app");
        self.spec([("oracle", oracle), ("migrate", migrate), ("app", app), ("web", web)]).await
    }

    pub(crate) async fn spec(&self, components: impl IntoIterator<Item = (&str, Component)>) -> EnvironmentSpec {
        (*self.corner.plan(1, components).await.spec).clone()
    }

    pub(crate) async fn up(&self, environment: &EnvironmentName, spec: &EnvironmentSpec) -> Result<Up> {
        self.environments().up(environment, spec, &UpOptions::default()).await
    }

    /// The containers of an environment.
    pub(crate) async fn ids(&self, environment: &EnvironmentName) -> BTreeMap<ComponentName, ContainerId> {
        let found = self.environments().get(environment).await.expect("it is there");
        found.components.into_iter().map(|(name, container)| (name, container.id)).collect()
    }
}

/// Those of these components whose container is another than before.
pub(crate) fn renewed(
    before: &BTreeMap<ComponentName, ContainerId>,
    after: &BTreeMap<ComponentName, ContainerId>,
) -> Vec<String> {
    let renewed = after.iter().filter(|(name, id)| before.get(*name) != Some(*id));
    renewed.map(|(name, _)| name.to_string()).collect()
}

pub(crate) fn changed(spec: &EnvironmentSpec, component: &str) -> EnvironmentSpec {
    let mut changed = spec.clone();
    let environment = &mut changed.components.get_mut(&name(component)).expect("a component").environment;
    environment.insert("CHANGED".to_owned(), haddock_core::container::Sensitive::new("yes"));
    changed
}
