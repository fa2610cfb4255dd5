//! Commands within an environment's components, with their streams in the caller's hands.

use super::Environments;
use crate::container::AttachSpec;
use crate::error::Result;
use crate::name::EnvironmentName;
use crate::runtime::Attached;

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
}
