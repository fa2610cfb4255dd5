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

use crate::container::{
    AttachSpec, Attachment, Container, ContainerId, ContainerSpec, ExecSpec, Executed, Incarnation, LogLine, LogQuery,
    Network, NetworkSpec, PublishedPort, PullOptions, PullWhen, RuntimeEvent, Selector, Usage, Volume, VolumeSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;

mod attach;
#[cfg(feature = "docker")]
pub mod docker;
mod lines;
#[cfg(feature = "controller")]
pub(crate) mod merged;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "testing")]
pub mod sim;
#[cfg(feature = "testing")]
pub mod suite;
#[cfg(feature = "controller")]
pub mod turn;

pub use attach::{Attached, CommandControl, CommandInput};

/// What a runtime can do beyond what every runtime must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuntimeCapabilities {
    /// Has networks on which containers reach each other by alias. Without, the network calls do nothing.
    pub networks: bool,
    /// Reports events as they happen. Without, [`ContainerRuntime::events`] is a stream that stays silent.
    pub events: bool,
    /// Pulls images from registries. Without, an image is what [`ContainerRuntime::pull`] says it is.
    pub pull: bool,
    /// Has volumes that outlive containers. Without, the volume calls are refused.
    pub volumes: bool,
    /// Runs commands within containers. Without, [`ContainerRuntime::exec`] is refused.
    pub exec: bool,
    /// Hands the streams of such commands to the caller. Without, [`ContainerRuntime::attach`] is refused.
    pub attach: bool,
    /// Knows what containers use. Without, [`ContainerRuntime::usage`] is refused.
    pub usage: bool,
    /// Starts containers that have ended once more. Without, [`ContainerRuntime::start_again`] is refused, and such
    /// containers are replaced.
    pub start_again: bool,
    /// Lets paused containers go on. Without, [`ContainerRuntime::unpause`] is refused, and such containers are replaced.
    pub unpause: bool,
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

    /// As [`pull`](Self::pull), as a component's `pull_policy` and `platform` say. A runtime without registries has what
    /// it has: there, one policy is as another.
    ///
    /// # Errors
    /// As `pull`; [`ImageMissing`](crate::ErrorKind::ImageMissing) if the host has none and no registry may be asked;
    /// [`NotSupported`](crate::ErrorKind::NotSupported) where a platform cannot be chosen, or registries are always asked.
    async fn pull_with(&self, image: &ImageReference, how: &PullOptions) -> Result<String> {
        let PullOptions { when, platform } = how;
        match (when, platform) {
            (_, Some(platform)) => {
                Err(self.cannot(&format!("take images of a platform, as `platform: {platform}` says")))
            }
            (PullWhen::Never, None) if self.capabilities().pull => {
                Err(self.cannot("take an image without asking its registry, as `pull_policy` says"))
            }
            (when, None) => self.pull(image, *when == PullWhen::Refresh).await,
        }
    }

    /// Creates the container without starting it.
    ///
    /// If one of that name exists and carries the [`Identity`](crate::container::Identity) of `spec`, that one is
    /// taken, whatever its other labels are.
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

    /// Starts a container that has ended once more, with its file system and its volumes. `life` is the life that was
    /// seen to have ended: a container that is in another one by now, or that has not ended, is left as it is. So it is
    /// started once, however often this is called.
    ///
    /// # Errors
    /// As [`start`](Self::start); [`NotSupported`](crate::ErrorKind::NotSupported) without that capability.
    async fn start_again(&self, _life: &Incarnation) -> Result<()> {
        Err(self.cannot("start containers again"))
    }

    /// Lets a paused container go on. One that is not paused is left as it is.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound); [`NotSupported`](crate::ErrorKind::NotSupported) without that
    /// capability.
    async fn unpause(&self, _container: &ContainerId) -> Result<()> {
        Err(self.cannot("let paused containers go on"))
    }

    /// The container as it is now, or `None` if there is none. A runtime that has names for containers that are not ours
    /// takes those, too.
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

    /// Removes the container, killing it if it runs. When it answers, the name is free. Volumes that have a name stay.
    async fn remove(&self, container: &ContainerId) -> Result<()>;

    /// The last `tail` lines of standard output and error, oldest first.
    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>>;

    /// The last `tail` lines, and then each as it is written, until the container ends. However long it is quiet, the
    /// stream waits.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) where logs cannot be followed.
    async fn follow_logs(&self, _container: &ContainerId, _tail: usize) -> Result<BoxStream<'static, Result<String>>> {
        Err(self.cannot("follow logs"))
    }

    /// The lines that the query asks for, oldest first, with their times where the runtime knows them.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) where logs cannot be followed, or lines have no times.
    async fn read_log(&self, container: &ContainerId, query: &LogQuery) -> Result<BoxStream<'static, Result<LogLine>>> {
        if query.since.is_some() {
            return Err(self.cannot("tell when a line of a log was written"));
        }
        let tail = query.tail.unwrap_or(usize::MAX);
        match query.follow {
            true => Ok(lines::without_times(self.follow_logs(container, tail).await?)),
            false => Ok(lines::all(self.logs(container, tail).await?)),
        }
    }

    /// Creates the network on a subnet that nothing on the host uses. If one of that name exists and carries the
    /// identity, that one is taken, whatever its other labels are.
    ///
    /// # Errors
    /// [`NameTaken`](crate::ErrorKind::NameTaken),
    /// [`AddressPoolExhausted`](crate::ErrorKind::AddressPoolExhausted).
    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network>;

    /// Every network whose labels the selector matches.
    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>>;

    /// The containers that are on a network now, whoever's they are. A network that is not there has none.
    async fn members(&self, _network: &str) -> Result<Vec<ContainerId>> {
        Ok(Vec::new())
    }

    /// Removes the network by its id, after the last container has left it.
    async fn remove_network(&self, id: &str) -> Result<()>;

    /// Makes a container that is there join a network, or changes nothing if it is on it already.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) without networks.
    async fn connect(&self, _container: &ContainerId, _to: &Attachment) -> Result<()> {
        Err(self.cannot("connect containers to networks"))
    }

    /// Makes a container leave the network of that name. One that is not on it is left as it is.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    async fn disconnect(&self, _container: &ContainerId, _network: &str) -> Result<()> {
        Err(self.cannot("disconnect containers from networks"))
    }

    /// Creates the volume. If one of that name exists and carries the identity, that one is taken, with what is in it,
    /// whatever its other labels are.
    ///
    /// # Errors
    /// [`NameTaken`](crate::ErrorKind::NameTaken); [`NotSupported`](crate::ErrorKind::NotSupported) without volumes.
    async fn create_volume(&self, _spec: &VolumeSpec) -> Result<()> {
        Err(self.cannot("make volumes"))
    }

    /// Every volume whose labels the selector matches.
    async fn volumes(&self, _selector: &Selector) -> Result<Vec<Volume>> {
        Ok(Vec::new())
    }

    /// Removes the volume of that name, and all that is in it, after the last container that has it is gone.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) without volumes.
    async fn remove_volume(&self, _name: &str) -> Result<()> {
        Err(self.cannot("remove volumes"))
    }

    /// The paths at which an image, by the id that [`pull`](Self::pull) gave, wants volumes: what its Dockerfile says by
    /// `VOLUME`.
    async fn image_volumes(&self, _image: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Whether nothing uses the port of the host that is to be published, as far as the runtime can see.
    async fn port_is_free(&self, _port: &PublishedPort) -> Result<bool> {
        Ok(true)
    }

    /// Runs a command within a running container, and answers when it has ended. One that lasts longer than it may is
    /// left to itself.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut); [`NotSupported`](crate::ErrorKind::NotSupported) without exec.
    async fn exec(&self, _container: &ContainerId, _exec: &ExecSpec) -> Result<Executed> {
        Err(self.cannot("run commands within containers"))
    }

    /// Starts a command within a running container, and hands its streams to the caller: no limit on bytes or time. A
    /// command whose caller has gone is left to itself; its input has ended then.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) without attach.
    async fn attach(&self, _container: &ContainerId, _command: &AttachSpec) -> Result<Attached> {
        Err(self.cannot("hand over the streams of commands"))
    }

    /// What a running container has used since it was started.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) without usage.
    async fn usage(&self, _container: &ContainerId) -> Result<Usage> {
        Err(self.cannot("tell what containers use"))
    }

    /// The error of a call that this runtime has no answer to.
    fn cannot(&self, what: &str) -> Error {
        Error::new(ErrorKind::NotSupported, format!("{self} cannot {what}")).with_hint("use another runtime")
    }

    /// Starts, ends and removals of containers whose labels the selector matches, from now on. The stream ends when
    /// the connection does; an event may be missed then, so it only ever wakes, and `list` tells.
    async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>>;
}
