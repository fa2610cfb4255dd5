//! The containers of an instance: their logs, and commands within them.

use futures_core::stream::BoxStream;
use futures_util::future::try_join_all;

use super::service::Service;
use crate::container::{AttachSpec, ComponentLine, Container, LogQuery, Selector};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, InstanceId};
use crate::release::{PhaseName, ServiceState};
use crate::runtime::Attached;
use crate::runtime::merged::merged;

impl Service {
    /// The instance that a command is about if none is named: the newest instance of the newest version that serves.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if none serves; the hint lists those that there are.
    pub async fn serving_instance(&self) -> Result<InstanceId> {
        let state = self.known().await?;
        let serving = state.instances.iter().filter(|(_, it)| it.is(PhaseName::Serving) && !it.is_external());
        let newest = serving.max_by_key(|(id, instance)| (instance.version, instance.since, (*id).clone()));
        newest.map(|(id, _)| id.clone()).ok_or_else(|| {
            let error = Error::new(ErrorKind::NotFound, format!("no instance of `{}` serves", self.name()));
            error.with_hint(instances(&state))
        })
    }

    /// The containers of an instance, the entry component first. For those that the service shares, see
    /// [`Environments`](crate::environment::environments::Environments).
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the service has no such instance, or it has no containers; the runtime's.
    pub async fn containers(&self, instance: &InstanceId) -> Result<Vec<Container>> {
        let state = self.known().await?;
        let Some(known) = state.instances.get(instance) else {
            let message = format!("`{}` has no instance `{instance}`", self.name());
            return Err(Error::new(ErrorKind::NotFound, message).with_hint(instances(&state)));
        };
        let ours = Selector::environment(self.ports.journal.id(), instance);
        let mut containers = self.ports.runtime.list(&ours).await?;
        if containers.is_empty() {
            let what = if known.is_external() { "it was adopted from outside" } else { "it is gone, or not made yet" };
            let message = format!("instance `{instance}` has no containers: {what}");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        let entry = self.ports.specification(&state, known.version).ok();
        let entry = entry.and_then(|spec| spec.service().ok().map(|settings| settings.entry.component.clone()));
        let rank = |container: &Container| (container.component() != entry, container.name.clone());
        containers.sort_by_key(rank);
        Ok(containers)
    }

    /// The container of a component of an instance. Without a name, that of the entry component.
    ///
    /// # Errors
    /// As [`containers`](Self::containers).
    pub async fn container(&self, instance: &InstanceId, component: Option<&str>) -> Result<Container> {
        let containers = self.containers(instance).await?;
        let name = |it: &Container| it.component().map(|name: ComponentName| name.to_string());
        let known: Vec<String> = containers.iter().filter_map(name).collect();
        let found =
            containers.into_iter().find(|it| component.is_none_or(|wanted| name(it).as_deref() == Some(wanted)));
        found.ok_or_else(|| {
            let message = format!("instance `{instance}` has no component `{}`", component.unwrap_or_default());
            Error::new(ErrorKind::NotFound, message).with_hint(format!("it has `{}`", known.join("`, `")))
        })
    }

    /// Starts a command within a component of an instance, and hands its streams to the caller. Without a name, it runs
    /// within the entry component.
    ///
    /// # Errors
    /// As [`containers`](Self::containers); [`NotSupported`](ErrorKind::NotSupported).
    pub async fn attach(
        &self,
        instance: &InstanceId,
        component: Option<&str>,
        command: &AttachSpec,
    ) -> Result<Attached> {
        let container = self.container(instance, component).await?;
        let attached = self.ports.runtime.attach(&container.id, command).await;
        attached.map_err(|error| match container.component() {
            Some(component) => error.of_component(&container.id, &component),
            None => error,
        })
    }

    /// The merged logs of these components of an instance, each line with the component that wrote it. Without names,
    /// the logs of all components.
    ///
    /// # Errors
    /// As [`containers`](Self::containers); [`NotSupported`](ErrorKind::NotSupported).
    pub async fn read_logs(
        &self,
        instance: &InstanceId,
        components: &[String],
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<ComponentLine>>> {
        let containers = match components.is_empty() {
            true => self.containers(instance).await?,
            false => {
                let named = components.iter().map(|name| self.container(instance, Some(name)));
                try_join_all(named).await?
            }
        };
        merged(&*self.ports.runtime, &containers, query).await
    }

    async fn known(&self) -> Result<ServiceState> {
        let loaded = self.ports.journal.load(self.name()).await?.filter(|state| !state.is_forgotten());
        loaded.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no service `{}`", self.name())))
    }
}

/// A hint that lists the instances.
fn instances(state: &ServiceState) -> String {
    let there: Vec<&str> = state.instances.keys().map(InstanceId::as_str).collect();
    if there.is_empty() { "release it first".to_owned() } else { format!("it has `{}`", there.join("`, `")) }
}
