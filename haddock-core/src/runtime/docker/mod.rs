//! Containers on a Docker Engine, API 1.41 and newer.
//!
//! ```text
//!   connect ── client ── error     the wire: time limits, and bollard's errors translated
//!                  │
//!   image   container ── body   network ── pool   volume   exec
//! ```
//!
//! This room is the only one that knows bollard. Changes go to the engine at most four at a time: it gets no faster
//! with more (it is bound by its own processor time), and each would only wait longer.
//!
//! An exposed port is reached at the container's own address where the engine runs on this machine, and at an ephemeral
//! published port where it does not ([`Reach`]).

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use ipnet::Ipv4Net;

use super::{Attached, ContainerRuntime, RuntimeCapabilities};
use crate::container::{
    AttachSpec, Attachment, Container, ContainerId, ContainerSpec, ExecSpec, Executed, Incarnation, Network,
    NetworkSpec, RuntimeEvent, Selector, Usage, Volume, VolumeSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;

mod attach;
mod body;
mod client;
mod container;
mod credentials;
mod error;
mod events;
mod exec;
mod image;
mod inspect;
mod logs;
mod network;
mod pool;
mod volume;

use client::Client;
pub use pool::AddressPool;

/// Where the locator and our probes reach an exposed port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// At the container's address on its network: the engine runs on this machine.
    Direct,
    /// At an ephemeral port that the engine publishes on this address of its machine.
    Published(IpAddr),
}

/// How to connect, for [`DockerRuntime::builder`].
#[derive(Debug, Clone)]
pub struct DockerRuntimeBuilder {
    host: Option<String>,
    name: Option<String>,
    pool: AddressPool,
    reach: Option<Reach>,
    credentials: Option<PathBuf>,
}

impl DockerRuntimeBuilder {
    /// The engine's address: `unix:///path`, `tcp://host:port` or `http://host:port`. Without it `DOCKER_HOST` says,
    /// else it is `/var/run/docker.sock`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The name to show in messages, in place of the address.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where subnets come from: each network gets one of `prefix` bits out of one of these blocks. The default is
    /// /26 out of 10.213.0.0/16: 1024 networks of 61 containers.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if there is no block, or a block is smaller than a subnet.
    pub fn address_pool(mut self, blocks: impl IntoIterator<Item = Ipv4Net>, prefix: u8) -> Result<Self> {
        self.pool = AddressPool::new(blocks, prefix)?;
        Ok(self)
    }

    /// Where exposed ports are reached. By default [`Reach::Direct`] on a local socket or a loopback address, and
    /// [`Reach::Published`] on the engine's host otherwise.
    #[must_use]
    pub fn reach(mut self, reach: Reach) -> Self {
        self.reach = Some(reach);
        self
    }

    /// The Docker client's `config.json`, which says what registries get; `None`: they get no credentials. The default
    /// is where `docker login` stores them: in `DOCKER_CONFIG`, else in `~/.docker`.
    #[must_use]
    pub fn credentials(mut self, file: Option<PathBuf>) -> Self {
        self.credentials = file;
        self
    }

    /// Connects, and asks the engine for its version.
    ///
    /// # Errors
    /// [`RuntimeUnavailable`](ErrorKind::RuntimeUnavailable) if nothing answers,
    /// [`NotSupported`](ErrorKind::NotSupported) if it is too old or the address is of a kind that we cannot reach.
    pub async fn connect(self) -> Result<DockerRuntime> {
        let host = self
            .host
            .or_else(|| std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()))
            .unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        let client = Client::connect(&host)?;
        let reach = match self.reach {
            Some(reach) => reach,
            None => client::default_reach(&host).await?,
        };
        let runtime = DockerRuntime {
            name: self.name.unwrap_or_else(|| host.clone()),
            pool: self.pool,
            local: host.starts_with("unix://"),
            reach,
            credentials: self.credentials,
            client,
        };
        runtime.client.check_version().await?;
        Ok(runtime)
    }
}

/// A Docker Engine. Cheap to clone.
#[derive(Clone)]
pub struct DockerRuntime {
    client: Client,
    name: String,
    pool: AddressPool,
    local: bool,
    reach: Reach,
    credentials: Option<PathBuf>,
}

impl DockerRuntime {
    /// How to connect.
    #[must_use]
    pub fn builder() -> DockerRuntimeBuilder {
        DockerRuntimeBuilder {
            host: None,
            name: None,
            pool: AddressPool::default(),
            reach: None,
            credentials: credentials::default_file(),
        }
    }

    /// Connects to the engine at `host`, else where `DOCKER_HOST` says, else at `/var/run/docker.sock`.
    ///
    /// # Errors
    /// As [`DockerRuntimeBuilder::connect`].
    pub async fn connect(host: Option<&str>) -> Result<Self> {
        let builder = Self::builder();
        match host {
            Some(host) => builder.host(host),
            None => builder,
        }
        .connect()
        .await
    }
}

impl fmt::Display for DockerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "docker at {}", self.name)
    }
}

impl fmt::Debug for DockerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerRuntime").field("name", &self.name).field("reach", &self.reach).finish_non_exhaustive()
    }
}

#[async_trait]
impl ContainerRuntime for DockerRuntime {
    fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities {
            networks: true,
            events: true,
            pull: true,
            volumes: true,
            exec: true,
            attach: true,
            usage: true,
            start_again: true,
            unpause: true,
        }
    }

    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String> {
        self.pull_image(&image.to_string(), refresh).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.create_container(spec).await
    }

    async fn start(&self, container: &ContainerId) -> Result<()> {
        self.start_container(container).await
    }

    async fn start_again(&self, life: &Incarnation) -> Result<()> {
        self.start_container_again(life).await
    }

    async fn unpause(&self, container: &ContainerId) -> Result<()> {
        self.unpause_container(container).await
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>> {
        self.inspect_container(&container.0).await
    }

    async fn health_output(&self, container: &ContainerId) -> Result<Option<String>> {
        self.last_health_output(&container.0).await
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Container>> {
        self.list_containers(selector).await
    }

    async fn stop(&self, container: &ContainerId, grace: Duration) -> Result<()> {
        self.stop_container(container, grace).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<()> {
        self.remove_container(container).await
    }

    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>> {
        self.container_logs(container, tail).await
    }

    async fn follow_logs(&self, container: &ContainerId, tail: usize) -> Result<BoxStream<'static, Result<String>>> {
        self.follow_container_logs(container, tail).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        self.create_subnet(spec).await
    }

    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>> {
        self.list_networks(selector).await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.remove_subnet(id).await
    }

    async fn connect(&self, container: &ContainerId, to: &Attachment) -> Result<()> {
        self.connect_network(container, to).await
    }

    async fn disconnect(&self, container: &ContainerId, network: &str) -> Result<()> {
        self.disconnect_network(container, network).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        self.make_volume(spec).await
    }

    async fn volumes(&self, selector: &Selector) -> Result<Vec<Volume>> {
        self.list_volumes(selector).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.drop_volume(name).await
    }

    async fn image_volumes(&self, image: &str) -> Result<Vec<String>> {
        self.volumes_of_image(image).await
    }

    async fn exec(&self, container: &ContainerId, exec: &ExecSpec) -> Result<Executed> {
        self.run(container, exec).await
    }

    async fn attach(&self, container: &ContainerId, command: &AttachSpec) -> Result<Attached> {
        self.attach_to(container, command).await
    }

    async fn usage(&self, container: &ContainerId) -> Result<Usage> {
        self.container_usage(container).await
    }

    async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        self.container_events(selector).await
    }
}

/// The engine's label filter for these labels.
fn label_filter(labels: &BTreeMap<String, String>) -> Vec<String> {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// Whether a thing that exists is the one that was asked for: it has all the labels.
fn carries(existing: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| existing.get(key) == Some(value))
}

/// A thing of our name that is another's.
fn name_taken(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::NameTaken, format!("a {what} `{name}` exists and is not ours"))
        .with_hint(format!("remove the {what}, or choose another name"))
}
