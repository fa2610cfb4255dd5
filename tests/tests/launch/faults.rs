//! A launch and a teardown that fail at each of their calls, and are done again.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use haddock_core::container::{Container, ContainerId, ContainerSpec, Network, NetworkSpec, RuntimeEvent, Selector};
use haddock_core::environment::launch::{launch, teardown};
use haddock_core::image::ImageReference;
use haddock_core::runtime::{ContainerRuntime, RuntimeCapabilities};
use haddock_core::{Error, ErrorKind, Result};
use haddock_tests::environment::Corner;
use haddock_tests::process::ProcessHarness;

/// A runtime of which one call fails: before it takes effect, or after.
struct Faulty<'a> {
    inner: &'a dyn ContainerRuntime,
    calls: AtomicUsize,
    fails: usize,
    late: bool,
}

impl Faulty<'_> {
    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let failing = self.calls.fetch_add(1, Ordering::Relaxed) == self.fails;
        let fault = || Err(Error::new(ErrorKind::RuntimeUnavailable, "a fault for the test"));
        if failing && !self.late {
            return fault();
        }
        let done = call.await;
        if failing { fault() } else { done }
    }
}

impl fmt::Debug for Faulty<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl fmt::Display for Faulty<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a faulty runtime")
    }
}

#[async_trait]
impl ContainerRuntime for Faulty<'static> {
    fn capabilities(&self) -> RuntimeCapabilities {
        RuntimeCapabilities { networks: true, ..self.inner.capabilities() }
    }
    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String> {
        self.call(self.inner.pull(image, refresh)).await
    }
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.call(self.inner.create(spec)).await
    }
    async fn start(&self, container: &ContainerId) -> Result<()> {
        self.call(self.inner.start(container)).await
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
    async fn remove_network(&self, id: &str) -> Result<()> {
        self.call(self.inner.remove_network(id)).await
    }
    async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        self.inner.events(selector).await
    }
}

#[tokio::test]
async fn a_launch_and_a_teardown_that_fail_at_any_call_are_done_by_the_next() {
    let harness: &'static ProcessHarness = Box::leak(Box::new(ProcessHarness::new(env!("CARGO_BIN_EXE_fixture"))));
    for late in [false, true] {
        let mut failed = [0, 0];
        for fails in 0.. {
            let corner = Corner::new(harness);
            let plan = super::cases::shop(&corner).await;
            let faulty = || Faulty { inner: &harness.runtime, calls: AtomicUsize::new(0), fails, late };

            let launched = launch(&faulty(), &plan).await;
            if launched.is_err() {
                failed[0] += 1;
                launch(&harness.runtime, &plan).await.expect("the next does it");
            }
            assert_eq!(corner.inventory().await.0.len(), 4, "call {fails}");
            let down = teardown(&faulty(), &plan.journal, &plan.instance, Some(&plan.spec)).await;
            if down.is_err() {
                failed[1] += 1;
                teardown(&harness.runtime, &plan.journal, &plan.instance, None).await.expect("the next does it");
            }
            assert_eq!(corner.inventory().await, (vec![], 0), "call {fails}");
            if launched.is_ok() && down.is_ok() && fails > 60 {
                break;
            }
        }
        assert!(failed[0] >= 12 && failed[1] >= 5, "the faults were met: {failed:?}");
    }
}
