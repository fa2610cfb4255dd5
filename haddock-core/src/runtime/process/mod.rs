//! Instances as child processes on loopback ports: real traffic with no Docker.
//!
//! An image is a command line, registered under a reference. A container is a folder and, once started, a process
//! group of its own, which outlives the controlling process:
//!
//! ```text
//!   folder/images/ID.json           a command line
//!   folder/containers/NAME/
//!       container.json              labels, ports, how to stop it
//!       launch.json                 command line and environment; only the owner may read it
//!       starting                    who started it, and when
//!       run                         written by the process itself: boot id and start time
//!       exit                        written when it has ended: the exit code
//!       log                         standard output and error
//! ```
//!
//! The state of a container is read from these files and `/proc`, and never remembered. So any process that opens the
//! folder sees the same. A process is found by pid *and* start time, so a reused pid is not taken for it.
//!
//! What the process is told:
//!
//! | variable | value |
//! |---|---|
//! | `PORT` | the loopback port to listen on for the first exposed port |
//! | `PORT_8080` | the one for the exposed port 8080, and so for each |
//! | `ORACLE_ADDRESS` | where the linked `oracle` listens with its first exposed port: `127.0.0.1:20001` |
//! | `ORACLE_ADDRESS_1521` | the same for its port 1521, and so for each |
//! | `ORACLE_PORT_1521_TCP_ADDR`, `…_TCP_PORT` | the same, as Docker's legacy links had it |
//!
//! From our own environment it gets `PATH`, `HOME`, `TMPDIR` and `LANG`. Variables of the component win.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use super::{ContainerRuntime, RuntimeCapabilities};
use crate::container::{Container, ContainerId, ContainerSpec, ContainerState, Network, NetworkSpec};
use crate::container::{RuntimeEvent, Selector};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;

mod child;
mod events;
mod folder;
mod health;
mod life;
mod own_events;
mod ports;
mod shared;
mod variables;

use folder::{Folder, Record};
use health::Checks;
use own_events::OwnEvents;
use shared::Shared;

/// What to run, for [`ProcessRuntime::builder`].
#[derive(Debug, Clone)]
pub struct ProcessRuntimeBuilder {
    folder: PathBuf,
    name: Option<String>,
    images: BTreeMap<String, Vec<String>>,
}

impl ProcessRuntimeBuilder {
    /// Registers a command line under an image reference. The first word is the program (the entry point, to a
    /// compose file), the others are its arguments (the command).
    #[must_use]
    pub fn image<W: Into<String>>(
        mut self,
        reference: impl Into<String>,
        command: impl IntoIterator<Item = W>,
    ) -> Self {
        self.images.insert(reference.into(), command.into_iter().map(Into::into).collect());
        self
    }

    /// The name to show in messages, in place of the folder.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Opens the folder, or makes it. Containers that are in it are known again.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the folder cannot be made or written,
    /// [`InvalidValue`](ErrorKind::InvalidValue) if a command line is empty.
    pub fn build(self) -> Result<ProcessRuntime> {
        if let Some((reference, _)) = self.images.iter().find(|(_, command)| command.is_empty()) {
            return Err(Error::new(ErrorKind::InvalidValue, format!("image `{reference}` has an empty command line")));
        }
        let folder = Folder::open(&self.folder)?;
        let name = self.name.unwrap_or_else(|| self.folder.display().to_string());
        let shared =
            Shared { folder, name, images: self.images, checks: Checks::default(), own_events: OwnEvents::default() };
        Ok(ProcessRuntime { shared: Arc::new(shared) })
    }
}

/// A folder of child processes. Cheap to clone; any number of them, in any number of processes, may share a folder.
#[derive(Clone)]
pub struct ProcessRuntime {
    shared: Arc<Shared>,
}

impl ProcessRuntime {
    /// A runtime that keeps its containers in this folder.
    pub fn builder(folder: impl Into<PathBuf>) -> ProcessRuntimeBuilder {
        ProcessRuntimeBuilder { folder: folder.into(), name: None, images: BTreeMap::new() }
    }

    fn describe(&self, record: &Record) -> Container {
        let life = record.life();
        let running = life.state == ContainerState::Running;
        let addresses = if running { record.addresses() } else { BTreeMap::new() };
        Container {
            id: record.id(),
            name: record.name.clone(),
            labels: record.labels.clone(),
            health: self.shared.checks.health(record, running),
            state: life.state,
            started: life.started,
            addresses,
            published: BTreeMap::new(),
            image: String::new(),
            networks: Vec::new(),
            network_ids: BTreeMap::new(),
        }
    }

    fn find(&self, container: &ContainerId) -> Result<Option<Record>> {
        self.shared.folder.by_id(container)
    }

    fn must_find(&self, container: &ContainerId) -> Result<Record> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no container `{container}`"));
        self.find(container)?.ok_or_else(missing)
    }
}

impl fmt::Display for ProcessRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "processes in {}", self.shared.name)
    }
}

impl fmt::Debug for ProcessRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessRuntime").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities { events: true, ..RuntimeCapabilities::default() }
    }

    async fn pull(&self, image: &ImageReference, _refresh: bool) -> Result<String> {
        let reference = image.to_string();
        // A pinned id may be asked for again after its reference has moved on.
        if self.shared.folder.image(&reference)?.is_some() {
            return Ok(reference);
        }
        let Some(command) = self.shared.images.get(&reference) else {
            return Err(Error::new(ErrorKind::ImageMissing, format!("no command line is registered as `{reference}`"))
                .with_hint("register it with `ProcessRuntime::builder(..).image(reference, command)`"));
        };
        self.shared.folder.keep_image(command)
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.shared.folder.create(spec)
    }

    async fn start(&self, container: &ContainerId) -> Result<()> {
        let record = self.must_find(container)?;
        let peers = self.shared.folder.peers(&record)?;
        child::start(&record, &peers, Arc::clone(&self.shared)).await
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>> {
        Ok(self.find(container)?.map(|record| self.describe(&record)))
    }

    async fn health_output(&self, container: &ContainerId) -> Result<Option<String>> {
        Ok(self.shared.checks.output(container))
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Container>> {
        let all = self.shared.folder.all()?;
        Ok(all.iter().filter(|record| selector.matches(&record.labels)).map(|record| self.describe(record)).collect())
    }

    async fn stop(&self, container: &ContainerId, grace: Duration) -> Result<()> {
        if let Some(record) = self.find(container)? {
            child::stop(&record, grace, &self.shared).await?;
        }
        Ok(())
    }

    async fn remove(&self, container: &ContainerId) -> Result<()> {
        if let Some(record) = self.find(container)? {
            child::stop(&record, Duration::ZERO, &self.shared).await?;
            self.shared.checks.forget(container);
            self.shared.folder.remove(&record)?;
            self.shared.own_events.tell(&record, "destroy");
        }
        Ok(())
    }

    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>> {
        self.must_find(container)?.log(tail)
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        // All share the loopback interface: a network is only the name under which containers are linked.
        spec.only_a_name(&"the process runtime")?;
        Ok(Network::created(&spec.name, spec))
    }

    async fn networks(&self, _selector: &Selector) -> Result<Vec<Network>> {
        Ok(Vec::new())
    }

    async fn remove_network(&self, _id: &str) -> Result<()> {
        Ok(())
    }

    async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        let told = self.shared.own_events.subscribe();
        events::watch(Arc::new(self.clone()), told, selector.clone()).await
    }
}
