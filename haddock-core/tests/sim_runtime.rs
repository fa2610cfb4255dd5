//! The simulated runtime keeps the contract of every runtime.
#![cfg(all(feature = "controller", feature = "testing"))]
#![allow(missing_docs)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::container::{ContainerSpec, PublishedPort};
use haddock_core::image::ImageReference;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::runtime::suite::RuntimeHarness;
use haddock_core::{Clock, Timestamp};

/// A clock that a pause moves.
#[derive(Debug, Default)]
struct ByHand(Mutex<u64>);

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + *self.0.lock().expect("nobody panics while holding it"))
    }
}

struct SimHarness {
    runtime: SimRuntime,
    clock: Arc<ByHand>,
}

impl SimHarness {
    fn new() -> Self {
        let clock = Arc::new(ByHand::default());
        let runtime = SimRuntime::new(Arc::clone(&clock) as Arc<dyn Clock>);
        runtime.add_image("serving:1", SimImage::good(Duration::ZERO));
        runtime.add_image("exiting:1", SimImage::ending(Duration::ZERO, Duration::from_millis(5), 3));
        runtime.add_image("stubborn:1", SimImage::good(Duration::ZERO));
        runtime.with(|engine, _| {
            engine.set_image_output("exiting:1", (1..=5).map(|line| format!("line {line}")));
            engine.set_image_stubborn("stubborn:1");
        });
        Self { runtime, clock }
    }
}

fn image(name: &str) -> ImageReference {
    ImageReference::parse(name).expect("valid")
}

#[async_trait]
impl RuntimeHarness for SimHarness {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.runtime
    }

    fn serving(&self) -> ImageReference {
        image("serving:1")
    }

    fn exiting(&self) -> ImageReference {
        image("exiting:1")
    }

    fn stubborn(&self) -> ImageReference {
        image("stubborn:1")
    }

    fn missing(&self) -> ImageReference {
        image("missing:1")
    }

    fn connects(&self) -> bool {
        false
    }

    fn calling(&self, _alias: &str) -> Option<Vec<String>> {
        None
    }

    fn checking(&self, _code: u8) -> Option<Vec<String>> {
        None
    }

    async fn pause(&self) {
        *self.clock.0.lock().expect("nobody panics while holding it") += 10;
    }
}

haddock_core::runtime_suite! { #[tokio::test] Some(SimHarness::new()) }

#[tokio::test]
async fn a_port_is_free_unless_a_container_that_runs_has_it() {
    let SimHarness { runtime, .. } = SimHarness::new();
    let port = PublishedPort { container: 80, host: Some(8000), ..PublishedPort::default() };
    let any = PublishedPort { host: None, ..port.clone() };
    let image = runtime.pull(&image("serving:1"), false).await.expect("it is there");
    let spec = ContainerSpec { name: "web".to_owned(), image, publish: vec![port.clone()], ..ContainerSpec::default() };
    let free = async || (runtime.port_is_free(&port).await, runtime.port_is_free(&any).await);
    let id = runtime.create(&spec).await.expect("created");
    assert_eq!(free().await, (Ok(true), Ok(true)));
    runtime.start(&id).await.expect("started");
    assert_eq!(free().await, (Ok(false), Ok(true)));
    runtime.stop(&id, Duration::ZERO).await.expect("stopped");
    assert_eq!(free().await, (Ok(true), Ok(true)));
}
