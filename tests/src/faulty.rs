//! A runtime of which one call goes wrong, so that a test can go through all of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use haddock_core::container::{
    Attachment, Container, ContainerId, ContainerSpec, Incarnation, Network, NetworkSpec, PullOptions, RuntimeEvent,
    Selector,
};
use haddock_core::image::ImageReference;
use haddock_core::runtime::{ContainerRuntime, RuntimeCapabilities};
use haddock_core::{Error, ErrorKind, Result};
use tokio::sync::Notify;

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not carried out, and fails.
    Fails,
    /// It is carried out, and its answer is lost.
    Lost,
    /// The process dies before it is carried out.
    DiesBefore,
    /// The process dies when it was carried out.
    DiesAfter,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Fails, Self::Lost, Self::DiesBefore, Self::DiesAfter];
}

/// A runtime whose call with the number `at`, counted from 0, goes wrong.
pub struct Faulty {
    inner: Arc<dyn ContainerRuntime>,
    calls: AtomicUsize,
    at: usize,
    fault: Fault,
    dead: Notify,
}

impl Faulty {
    /// Around another runtime.
    pub fn new(inner: Arc<dyn ContainerRuntime>, at: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, calls: AtomicUsize::new(0), at, fault, dead: Notify::new() })
    }

    /// Does some work with it, unless the process dies meanwhile: then `None`, and nothing of the work goes on.
    pub async fn outlive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.dead.notified() => None,
            done = work => Some(done),
        }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if self.calls.fetch_add(1, Ordering::Relaxed) != self.at {
            return call.await;
        }
        let error = Err(Error::new(ErrorKind::RuntimeUnavailable, "a fault for the test"));
        match self.fault {
            Fault::Fails => error,
            Fault::Lost => call.await.and(error),
            Fault::DiesBefore => self.die().await,
            Fault::DiesAfter => {
                let _ = call.await;
                self.die().await
            }
        }
    }

    async fn die(&self) -> ! {
        self.dead.notify_one();
        match std::future::pending::<std::convert::Infallible>().await {}
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty runtime")
    }
}

#[async_trait]
impl ContainerRuntime for Faulty {
    fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities { networks: true, ..self.inner.capabilities() }
    }

    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String> {
        self.call(self.inner.pull(image, refresh)).await
    }

    async fn pull_with(&self, image: &ImageReference, how: &PullOptions) -> Result<String> {
        self.call(self.inner.pull_with(image, how)).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.call(self.inner.create(spec)).await
    }

    async fn start(&self, container: &ContainerId) -> Result<()> {
        self.call(self.inner.start(container)).await
    }

    async fn start_again(&self, life: &Incarnation) -> Result<()> {
        self.call(self.inner.start_again(life)).await
    }

    async fn unpause(&self, container: &ContainerId) -> Result<()> {
        self.call(self.inner.unpause(container)).await
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>> {
        self.call(self.inner.inspect(container)).await
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Container>> {
        self.call(self.inner.list(selector)).await
    }

    async fn stop(&self, container: &ContainerId, grace: Duration) -> Result<()> {
        self.call(self.inner.stop(container, grace)).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<()> {
        self.call(self.inner.remove(container)).await
    }

    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>> {
        self.inner.logs(container, tail).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        self.call(self.inner.create_network(spec)).await
    }

    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>> {
        self.call(self.inner.networks(selector)).await
    }

    async fn members(&self, network: &str) -> Result<Vec<ContainerId>> {
        self.call(self.inner.members(network)).await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.call(self.inner.remove_network(id)).await
    }

    async fn connect(&self, container: &ContainerId, to: &Attachment) -> Result<()> {
        self.call(self.inner.connect(container, to)).await
    }

    async fn disconnect(&self, container: &ContainerId, network: &str) -> Result<()> {
        self.call(self.inner.disconnect(container, network)).await
    }

    async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        self.inner.events(selector).await
    }
}
