//! Commands within an environment's components, and their logs.

use std::time::Duration;

use futures_core::stream::BoxStream;

use super::Environments;
use crate::container::{AttachSpec, ComponentLine, Container, ContainerId, ExecSpec, Executed, LogQuery};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName};
use crate::runtime::Attached;
use crate::runtime::merged::merged;

impl Environments {
    /// Starts a command within a component's container, and hands its streams to the caller.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`NotSupported`](crate::ErrorKind::NotSupported), and the runtime's.
    pub async fn attach(&self, name: &EnvironmentName, component: &str, command: &AttachSpec) -> Result<Attached> {
        self.mark_used(name);
        let container = self.container(name, component).await?;
        let attached = self.runtime.attach(&container, command).await;
        attached.map_err(|error| error.of_component(&container, &component))
    }

    /// The logs of these components as one, each line with the component that wrote it; of all if none is named.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`NotSupported`](crate::ErrorKind::NotSupported), and the runtime's.
    pub async fn read_logs(
        &self,
        name: &EnvironmentName,
        components: &[String],
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<ComponentLine>>> {
        let environment = self.get(name).await?;
        for component in components {
            self.container(name, component).await?;
        }
        let wanted = |it: &Container| match it.component() {
            Some(component) => components.is_empty() || components.iter().any(|name| *name == component.as_str()),
            None => false,
        };
        let containers: Vec<Container> = environment.components.into_values().filter(wanted).collect();
        merged(&*self.runtime, &containers, query).await
    }

    /// Runs a command within a component's container, and answers when it has ended.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`TimedOut`](ErrorKind::TimedOut) after `within`, and the runtime's.
    pub async fn exec(
        &self,
        name: &EnvironmentName,
        component: &str,
        command: &[String],
        within: Duration,
    ) -> Result<Executed> {
        self.mark_used(name);
        let container = self.container(name, component).await?;
        let ran = self.runtime.exec(&container, &ExecSpec::new(command, within)).await;
        ran.map_err(|error| error.of_component(&container, &component))
    }

    /// The last lines of a component's log, oldest first.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), and the runtime's.
    pub async fn logs(&self, name: &EnvironmentName, component: &str, tail: usize) -> Result<Vec<String>> {
        let container = self.container(name, component).await?;
        self.runtime.logs(&container, tail).await.map_err(|error| error.of_component(&container, &component))
    }

    /// The last lines of a component's log, and then each as it is written, until its container ends.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`NotSupported`](ErrorKind::NotSupported), and the runtime's.
    pub async fn follow_logs(
        &self,
        name: &EnvironmentName,
        component: &str,
        tail: usize,
    ) -> Result<BoxStream<'static, Result<String>>> {
        let container = self.container(name, component).await?;
        let followed = self.runtime.follow_logs(&container, tail).await;
        followed.map_err(|error| error.of_component(&container, &component))
    }

    async fn container(&self, name: &EnvironmentName, component: &str) -> Result<ContainerId> {
        let environment = self.get(name).await?;
        let container = environment.components.get(component).ok_or_else(|| {
            let known: Vec<&str> = environment.components.keys().map(ComponentName::as_str).collect();
            let message = format!("environment `{name}` has no component `{component}`");
            Error::new(ErrorKind::NotFound, message).with_hint(format!("it has `{}`", known.join("`, `")))
        })?;
        Ok(container.id.clone())
    }
}
