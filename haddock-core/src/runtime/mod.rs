//! Container runtimes: what starts and stops containers.
//!
//! ```text
//!   controller ──▶ ContainerRuntime ◀── docker    a Docker Engine
//!                                   ◀── process   child processes on loopback ports
//!                                   ◀── sim       containers as data, on a virtual clock
//! ```
//!
//! [`ContainerRuntime`] holds the contract; [`suite`] (feature `testing`) is that contract as tests, for any
//! implementor to run.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::container::{Container, ContainerId, ContainerSpec, Network, NetworkSpec, RuntimeEvent, Selector};
use crate::error::Result;
use crate::image::ImageReference;

#[cfg(feature = "docker")]
pub mod docker;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "testing")]
pub mod sim;
#[cfg(feature = "testing")]
pub mod suite;

/// What a runtime can do beyond what every runtime must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuntimeCapabilities {
    /// Has networks on which containers reach each other by alias. Without, the network calls do nothing.
    pub networks: bool,
    /// Reports events as they happen. Without, [`ContainerRuntime::events`] is a stream that stays silent.
    pub events: bool,
    /// Pulls images from registries. Without, an image is what [`ContainerRuntime::pull`] says it is.
    pub pull: bool,
}

/// A runtime for containers on one host.
///
/// # Contract
///
/// - Every call may be made twice, with the same effect as once.
/// - A call whose future is dropped, or that ends in [`TimedOut`](crate::ErrorKind::TimedOut), may or may not have
///   taken effect; the next [`list`](Self::list) tells.
/// - A call on something that does not exist: `stop` and `remove` answer `Ok`, the rest
///   [`NotFound`](crate::ErrorKind::NotFound).
/// - A runtime that does not answer: [`RuntimeUnavailable`](crate::ErrorKind::RuntimeUnavailable), within 10 s unless
///   the call says otherwise.
/// - No error text holds the value of an environment variable.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + fmt::Display + fmt::Debug + 'static {
    /// What this runtime can do.
    fn capabilities(&self) -> RuntimeCapabilities;

    /// Makes sure that the image is there, and answers with an id that will mean the same image for ever.
    ///
    /// An image that is on the host already is taken as it is if its reference has a digest or `refresh` is false;
    /// else its registry is asked first, and if that has none, the host's is taken. The call lasts as long as the
    /// transfer.
    ///
    /// # Errors
    /// [`ImageMissing`](crate::ErrorKind::ImageMissing), [`RegistryRefused`](crate::ErrorKind::RegistryRefused),
    /// [`RegistryUnavailable`](crate::ErrorKind::RegistryUnavailable).
    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String>;

    /// Creates the container without starting it.
    ///
    /// If one of that name exists and carries all the labels of `spec`, that one is taken.
    ///
    /// # Errors
    /// [`NameTaken`](crate::ErrorKind::NameTaken) if one of that name exists and is another's,
    /// [`ImageMissing`](crate::ErrorKind::ImageMissing).
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId>;

    /// Starts a *created* container. One that runs or has ended is left as it is: a second start is another
    /// incarnation, and that is never what a repeated call wants.
    ///
    /// # Errors
    /// [`PortTaken`](crate::ErrorKind::PortTaken), [`RuntimeRefused`](crate::ErrorKind::RuntimeRefused) with the
    /// runtime's reason.
    async fn start(&self, container: &ContainerId) -> Result<()>;

    /// The container as it is now, or `None` if there is none.
    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>>;

    /// What the container's health check printed last, if it has one and that printed anything.
    async fn health_output(&self, _container: &ContainerId) -> Result<Option<String>> {
        Ok(None)
    }

    /// Every container, running or not, whose labels the selector matches.
    async fn list(&self, selector: &Selector) -> Result<Vec<Container>>;

    /// Asks the container to stop and, after `grace`, kills it. Lasts at most `grace` and 10 s. One that is not
    /// running is left as it is.
    async fn stop(&self, container: &ContainerId, grace: Duration) -> Result<()>;

    /// Removes the container, killing it if it runs. When it answers, the name is free.
    async fn remove(&self, container: &ContainerId) -> Result<()>;

    /// The last `tail` lines of standard output and error, oldest first.
    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>>;

    /// Creates the network on a subnet that nothing on the host uses. If one of that name exists and carries all the
    /// labels, that one is taken.
    ///
    /// # Errors
    /// [`NameTaken`](crate::ErrorKind::NameTaken),
    /// [`AddressPoolExhausted`](crate::ErrorKind::AddressPoolExhausted).
    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network>;

    /// Every network whose labels the selector matches.
    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>>;

    /// Removes the network by its id, after the last container has left it.
    async fn remove_network(&self, id: &str) -> Result<()>;

    /// Starts, ends and removals of containers whose labels the selector matches, from now on. The stream ends when
    /// the connection does; an event may be missed then, so it only ever wakes, and `list` tells.
    async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>>;
}
