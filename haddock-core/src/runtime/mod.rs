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
mod builder;
#[cfg(feature = "docker")]
pub mod docker;
mod forward;
mod lines;
#[cfg(feature = "controller")]
pub(crate) mod merged;
#[cfg(feature = "controller")]
pub mod probe;
#[cfg(feature = "process")]
pub mod process;
mod registry;
#[cfg(feature = "testing")]
pub mod sim;
#[cfg(feature = "testing")]
pub mod suite;
#[cfg(feature = "controller")]
pub mod turn;

pub use attach::{Attached, CommandControl, CommandInput};
pub use builder::{
    ApartContext, BuildContext, BuildOutput, BuildRequest, BuilderCapabilities, ContextArchive, ContextFile,
    ContextFileKind, ContextFiles, HostImage, ImageBuilder, ImageRemoval, OnOutput,
};
#[doc(hidden)]
pub use futures_core::stream::BoxStream as __BoxStream;
pub use registry::{ImageRegistry, RegistryImage};

/// What a runtime can do beyond what every runtime must. By default that is nothing. Name what yours can do, and leave
/// the rest to `..RuntimeCapabilities::default()`. Then your code still compiles when there are more capabilities.
///
/// A capability that is declared has to exist: each has cases in the [`suite`] that fail without it. This also holds
/// for a runtime around another one. If it passes on what the inner one declares, it must not forget one of its
/// methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RuntimeCapabilities {
    /// Has networks on which containers reach each other by alias. Without it, the network calls do nothing.
    pub networks: bool,
    /// Reports events as they happen. Without it, [`ContainerRuntime::events`] is a stream that stays silent.
    pub events: bool,
    /// Pulls images from registries. Without it, [`ContainerRuntime::pull`] decides what an image is.
    pub pull: bool,
    /// Has volumes that outlive containers. Without it, the volume calls are refused.
    pub volumes: bool,
    /// Runs commands within containers. Without it, [`ContainerRuntime::exec`] is refused.
    pub exec: bool,
    /// Hands the streams of such commands to the caller. Without it, [`ContainerRuntime::attach`] is refused.
    pub attach: bool,
    /// Knows what containers use. Without it, [`ContainerRuntime::usage`] is refused.
    pub usage: bool,
    /// Starts containers that have ended once more. Without it, [`ContainerRuntime::start_again`] is refused, and such
    /// containers are replaced.
    pub start_again: bool,
    /// Lets paused containers go on. Without it, [`ContainerRuntime::unpause`] is refused, and such containers are
    /// replaced.
    pub unpause: bool,
    /// Obeys a component's `pull_policy`. Without it, [`ContainerRuntime::pull_with`] does the same as `pull`, or
    /// refuses.
    pub pull_policies: bool,
    /// Lets existing containers join and leave networks, and knows which are on one. Without it,
    /// [`ContainerRuntime::connect`] and [`disconnect`](ContainerRuntime::disconnect) are refused.
    pub connect: bool,
    /// Follows the log of a container, and knows when a line was written. Without it, [`ContainerRuntime::follow_logs`]
    /// is refused.
    pub follow_logs: bool,
    /// Sees which ports of the host are in use. Without it, [`ContainerRuntime::port_is_free`] says that each is free.
    pub host_ports: bool,
}

/// A runtime for containers on one host.
///
/// # Contract
///
/// - Every call may be made twice, with the same effect as once.
/// - A call whose future is dropped, or that ends in [`TimedOut`](crate::ErrorKind::TimedOut), may or may not have
///   taken effect; the next [`list`](Self::list) shows which.
/// - A call on something that does not exist: `stop` and `remove` return `Ok`, the others
///   [`NotFound`](crate::ErrorKind::NotFound).
/// - A runtime that does not answer: the error is [`RuntimeUnavailable`](crate::ErrorKind::RuntimeUnavailable), within
///   10 s unless the call says otherwise.
/// - A specification may ask for what this implementation does not know yet, such as a new
///   [`NetworkMode`](crate::container::NetworkMode): the error is [`NotSupported`](crate::ErrorKind::NotSupported).
///   Nothing that was asked for is left out silently.
/// - No error text holds the value of an environment variable.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + fmt::Display + fmt::Debug + 'static {
    /// What this runtime can do.
    fn capabilities(&self) -> RuntimeCapabilities;

    /// Makes sure that the image is on the host. Returns an id that means the same image for ever.
    ///
    /// An image on the host is used as it is if its reference has a digest or `refresh` is false. Otherwise its
    /// registry is asked first, and if that does not have it, the image of the host is used. The call lasts as long as
    /// the transfer.
    ///
    /// # Errors
    /// [`ImageMissing`](crate::ErrorKind::ImageMissing), [`RegistryRefused`](crate::ErrorKind::RegistryRefused),
    /// [`RegistryUnavailable`](crate::ErrorKind::RegistryUnavailable).
    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String>;

    /// As [`pull`](Self::pull), but obeys a component's `pull_policy` and `platform`. For a runtime without registries,
    /// all policies are the same.
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
    /// If a container of this name exists and carries the [`Identity`](crate::container::Identity) of `spec`, it is
    /// taken over, whatever its other labels are.
    ///
    /// # Errors
    /// [`NameTaken`](crate::ErrorKind::NameTaken) if one of that name exists and is another's,
    /// [`ImageMissing`](crate::ErrorKind::ImageMissing).
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId>;

    /// Starts a *created* container. A container that runs or has ended is left as it is: a second start would be
    /// another incarnation, and a repeated call never wants that.
    ///
    /// # Errors
    /// [`PortTaken`](crate::ErrorKind::PortTaken), [`RuntimeRefused`](crate::ErrorKind::RuntimeRefused) with the
    /// runtime's reason.
    async fn start(&self, container: &ContainerId) -> Result<()>;

    /// Starts a container that has ended once more, with its file system and its volumes. `life` is the life that was
    /// seen to have ended. A container that is in another life by now, or that has not ended, is left as it is. So it
    /// is started only once, however often this is called.
    ///
    /// # Errors
    /// As [`start`](Self::start); [`NotSupported`](crate::ErrorKind::NotSupported) without that capability.
    async fn start_again(&self, _life: &Incarnation) -> Result<()> {
        Err(self.cannot("start containers again"))
    }

    /// Lets a paused container go on. If it is not paused, nothing is done.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound); [`NotSupported`](crate::ErrorKind::NotSupported) without that
    /// capability.
    async fn unpause(&self, _container: &ContainerId) -> Result<()> {
        Err(self.cannot("let paused containers go on"))
    }

    /// The container as it is now, or `None` if there is none. If the runtime has names for containers that are not
    /// ours, it accepts these, too.
    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>>;

    /// What the container's health check printed last, if it has one and that printed anything.
    async fn health_output(&self, _container: &ContainerId) -> Result<Option<String>> {
        Ok(None)
    }

    /// Every container, running or not, whose labels the selector matches.
    async fn list(&self, selector: &Selector) -> Result<Vec<Container>>;

    /// Asks the container to stop, and kills it after `grace`. Lasts at most `grace` and 10 s. If it does not run,
    /// nothing is done.
    async fn stop(&self, container: &ContainerId, grace: Duration) -> Result<()>;

    /// Removes the container, and kills it if it runs. When this returns, the name is free. Named volumes stay.
    async fn remove(&self, container: &ContainerId) -> Result<()>;

    /// The last `tail` lines of standard output and error, oldest first.
    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>>;

    /// The last `tail` lines, and then each line as it is written, until the container ends. While nothing is written,
    /// the stream waits, however long.
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

    /// Creates the network on a subnet that nothing on the host uses. If a network of this name exists and carries the
    /// identity, it is taken over, whatever its other labels are.
    ///
    /// # Errors
    /// [`NameTaken`](crate::ErrorKind::NameTaken),
    /// [`AddressPoolExhausted`](crate::ErrorKind::AddressPoolExhausted).
    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network>;

    /// Every network whose labels the selector matches.
    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>>;

    /// The containers that are on a network now, no matter to whom they belong. A network that does not exist has none.
    async fn members(&self, _network: &str) -> Result<Vec<ContainerId>> {
        Ok(Vec::new())
    }

    /// Removes the network by its id, once the last container has left it. For a network that is gone, this succeeds.
    ///
    /// # Errors
    /// [`RuntimeRefused`](crate::ErrorKind::RuntimeRefused) while a container is on it, whether it runs or not.
    async fn remove_network(&self, id: &str) -> Result<()>;

    /// Lets an existing container join a network. If it is on it already, nothing is done.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) without networks.
    async fn connect(&self, _container: &ContainerId, _to: &Attachment) -> Result<()> {
        Err(self.cannot("connect containers to networks"))
    }

    /// Lets a container leave the network of this name. If it is not on it, nothing is done.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    async fn disconnect(&self, _container: &ContainerId, _network: &str) -> Result<()> {
        Err(self.cannot("disconnect containers from networks"))
    }

    /// Creates the volume. If a volume of this name exists and carries the identity, it is taken over with its
    /// contents, whatever its other labels are.
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

    /// Removes the volume of this name with its contents, once the last container that has it is gone.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) without volumes.
    async fn remove_volume(&self, _name: &str) -> Result<()> {
        Err(self.cannot("remove volumes"))
    }

    /// The paths at which an image wants volumes, as `VOLUME` in its Dockerfile says. The image is given by the id that
    /// [`pull`](Self::pull) returned.
    async fn image_volumes(&self, _image: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Whether the port of the host is free to be published, as far as the runtime can see.
    async fn port_is_free(&self, _port: &PublishedPort) -> Result<bool> {
        Ok(true)
    }

    /// Runs a command within a running container, and returns when it has ended. A command that takes longer than it
    /// may is left running.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut); [`NotSupported`](crate::ErrorKind::NotSupported) without exec.
    async fn exec(&self, _container: &ContainerId, _exec: &ExecSpec) -> Result<Executed> {
        Err(self.cannot("run commands within containers"))
    }

    /// Starts a command within a running container, and hands its streams to the caller, without a limit on bytes or
    /// time. If the caller goes away, the input of the command ends, and the command is left running.
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

    /// The error of a call that this runtime does not support.
    fn cannot(&self, what: &str) -> Error {
        Error::new(ErrorKind::NotSupported, format!("{self} cannot {what}")).with_hint("use another runtime")
    }

    /// Starts, ends and removals of containers whose labels the selector matches, from now on. The stream ends when the
    /// connection does. Then events may be missed, so an event only wakes the caller, and `list` shows what has
    /// happened.
    async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>>;
}
