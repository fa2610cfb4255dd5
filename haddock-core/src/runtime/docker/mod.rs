//! Containers on a Docker Engine, API 1.41 and newer.
//!
//! ```text
//!   context ── client ── error     the wire: which engine, time limits, and bollard's errors translated
//!                  │
//!   image   container ── body   network ── pool ── routes   volume   exec
//!     │            │
//!  builder         │               builds, pushes and pulls of images
//!                  │
//!                reach             whether the engine's networks are on this machine
//! ```
//!
//! This room is the only one that knows bollard. Changes go to the engine at most sixteen at a time: it gets no faster
//! with more (it is bound by its own processor time), and each would only wait longer.
//!
//! No value of a variable is in what this room logs. Bollard, which writes through the `log` crate, logs whole requests at
//! `debug`, variables and all: a program that shows its logs leaves the target `bollard` at `info`.
//!
//! An exposed port is reached at the container's own address where the engine's networks are on this machine, and at an
//! ephemeral published port where they are not ([`Reach`]).

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use ipnet::Ipv4Net;
use tokio::sync::OnceCell;

use super::{Attached, ContainerRuntime, RuntimeCapabilities};
use crate::container::{
    AttachSpec, Attachment, Container, ContainerId, ContainerSpec, ExecSpec, Executed, Incarnation, LogLine, LogQuery,
    Network, NetworkSpec, PublishedPort, PullOptions, PullWhen, RuntimeEvent, Selector, Usage, Volume, VolumeSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;

mod attach;
mod body;
mod builder;
mod client;
mod container;
mod context;
mod credentials;
mod error;
mod events;
mod exec;
mod find_reach;
mod health;
mod image;
mod inspect;
mod logs;
mod needs;
mod network;
mod pool;
mod reach;
mod refusal;
mod registries;
mod routes;
mod transfer;
mod volume;

use client::{Client, EngineVersion};
pub use context::EngineSource;
pub use pool::AddressPool;
pub use reach::{Reach, ReachChoice};
pub use registries::DockerRegistries;

/// How to connect, for [`DockerRuntime::builder`].
#[derive(Debug, Clone)]
pub struct DockerRuntimeBuilder {
    host: Option<String>,
    context: Option<String>,
    name: Option<String>,
    pool: AddressPool,
    reach: ReachChoice,
    credentials: Option<PathBuf>,
}

impl DockerRuntimeBuilder {
    /// The engine's address: `unix:///path`, `tcp://host:port` or `http://host:port`. Without it the engine is that of
    /// the `docker` command: by `DOCKER_HOST`, else by the context that `DOCKER_CONTEXT` or `currentContext` of its
    /// `config.json` names, else at `/var/run/docker.sock`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The Docker context whose engine it is, whatever `DOCKER_HOST` says.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.context = Some(name.into());
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
    pub fn address_pool(self, blocks: impl IntoIterator<Item = Ipv4Net>, prefix: u8) -> Result<Self> {
        Ok(self.pool(AddressPool::new(blocks, prefix)?))
    }

    /// Where subnets come from.
    #[must_use]
    pub fn pool(mut self, pool: AddressPool) -> Self {
        self.pool = pool;
        self
    }

    /// Where exposed ports are reached. By default the engine is asked: [`Reach::Direct`] if its networks are on this
    /// machine, and else [`Reach::Published`] on its host. Engines without root and those in virtual machines publish.
    #[must_use]
    pub fn reach(mut self, reach: impl Into<ReachChoice>) -> Self {
        self.reach = reach.into();
        self
    }

    /// The Docker client's `config.json`, which says what registries get; `None`: they get no credentials. The default
    /// is where `docker login` stores them: in `DOCKER_CONFIG`, else in `~/.docker`. The variable `DOCKER_AUTH_CONFIG`
    /// may hold the text of such a file. What it names wins.
    #[must_use]
    pub fn credentials(mut self, file: Option<PathBuf>) -> Self {
        self.credentials = file;
        self
    }

    /// Connects, and asks the engine for its version.
    ///
    /// # Errors
    /// [`RuntimeUnavailable`](ErrorKind::RuntimeUnavailable) if nothing answers,
    /// [`NotSupported`](ErrorKind::NotSupported) if it is too old or the address is of a kind that we cannot reach,
    /// [`NotFound`](ErrorKind::NotFound) if there is no such context.
    pub async fn connect(self) -> Result<DockerRuntime> {
        let located = context::locate(self.host, self.context, context::variable)?;
        let client = Client::connect(&located)?;
        let engine = client.engine().await?;
        Ok(DockerRuntime {
            name: self.name.unwrap_or_else(|| located.host.clone()),
            host: located.host,
            with_tls: located.certificates.is_some(),
            source: located.source,
            engine: Arc::new(engine),
            pool: self.pool,
            reach_choice: self.reach,
            reach: Arc::default(),
            credentials: self.credentials.map(credentials::Store::new),
            client,
        })
    }
}

/// What [`DockerRuntime::report`] says of an engine, for whoever looks for what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineReport {
    /// Its address.
    pub address: String,
    /// Who named that address.
    pub source: EngineSource,
    /// Its version, such as `28.5.2`.
    pub version: String,
    /// The newest API that it speaks, such as `1.51`.
    pub api: String,
    /// Where exposed ports are reached.
    pub reach: Reach,
    /// Why there.
    pub why: String,
    /// Where subnets come from.
    pub pool: AddressPool,
    /// How many of them are free.
    pub free: u64,
    /// The routes of this machine and the like that keep subnets from being used.
    pub in_the_way: Vec<String>,
}

/// A Docker Engine. Cheap to clone.
#[derive(Clone)]
pub struct DockerRuntime {
    client: Client,
    name: String,
    host: String,
    with_tls: bool,
    source: EngineSource,
    engine: Arc<EngineVersion>,
    pool: AddressPool,
    reach_choice: ReachChoice,
    /// With why. Whoever needs it first finds it out.
    reach: Arc<OnceCell<(Reach, String)>>,
    credentials: Option<credentials::Store>,
}

impl DockerRuntime {
    /// How to connect.
    #[must_use]
    pub fn builder() -> DockerRuntimeBuilder {
        DockerRuntimeBuilder {
            host: None,
            context: None,
            name: None,
            pool: AddressPool::default(),
            reach: ReachChoice::Auto,
            credentials: credentials::default_file(),
        }
    }

    /// Connects to the engine at `host`, else to that of the `docker` command.
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

    /// What is stored for a registry.
    async fn stored(&self, registry: &str) -> credentials::Stored {
        match &self.credentials {
            Some(store) => store.get(registry).await,
            None => credentials::Stored::default(),
        }
    }

    /// What the engine is, how its containers are reached, and what keeps subnets of the pool from being used.
    ///
    /// # Errors
    /// [`RuntimeUnavailable`](ErrorKind::RuntimeUnavailable).
    pub async fn report(&self) -> Result<EngineReport> {
        let (reach, why) = self.reach_and_why().await?.clone();
        let (free, in_the_way) = self.look_at_pool().await?;
        let EngineVersion { version, api: (major, minor), .. } = &*self.engine;
        Ok(EngineReport {
            address: self.host.clone(),
            source: self.source.clone(),
            version: version.clone(),
            api: format!("{major}.{minor}"),
            reach,
            why,
            pool: self.pool.clone(),
            free,
            in_the_way,
        })
    }
}

impl fmt::Display for DockerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "docker at {}", self.name)
    }
}

impl fmt::Debug for DockerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerRuntime")
            .field("name", &self.name)
            .field("reach", &self.reach.get())
            .finish_non_exhaustive()
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
            pull_policies: true,
            connect: true,
            follow_logs: true,
            host_ports: self.host.starts_with("unix:"),
        }
    }

    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String> {
        let when = if refresh { PullWhen::Refresh } else { PullWhen::Missing };
        self.pull_with(image, &PullOptions { when, platform: None }).await
    }

    async fn pull_with(&self, image: &ImageReference, how: &PullOptions) -> Result<String> {
        self.pull_by_policy(&image.to_string(), how).await
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

    async fn read_log(&self, container: &ContainerId, query: &LogQuery) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.read_container_log(container, query).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        self.create_subnet(spec).await
    }

    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>> {
        self.list_networks(selector).await
    }

    async fn members(&self, network: &str) -> Result<Vec<ContainerId>> {
        self.network_members(network).await
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

    async fn port_is_free(&self, port: &PublishedPort) -> Result<bool> {
        let Some(host) = port.host.filter(|_| self.host.starts_with("unix:") && port.protocol.is_tcp()) else {
            return Ok(true);
        };
        let address = port.host_address.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
        // Whoever may not listen there cannot tell.
        let taken = |error: std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
        Ok(!std::net::TcpListener::bind((address, host)).is_err_and(taken))
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

/// A thing of our name that is another's.
fn name_taken(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::NameTaken, format!("a {what} `{name}` exists and is not ours"))
        .with_hint(format!("remove the {what}, or choose another name"))
}
