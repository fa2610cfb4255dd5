//! Into an environment's components: commands with their streams in the caller's hands, and logs.

use futures_core::stream::BoxStream;

use super::Environments;
use crate::container::{AttachSpec, ComponentLine, Container, LogQuery};
use crate::error::Result;
use crate::name::EnvironmentName;
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
}
