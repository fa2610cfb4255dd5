//! The simulated runtime keeps the contract of every runtime.
#![cfg(all(feature = "controller", feature = "testing"))]
#![allow(missing_docs)]

use std::time::Duration;

use haddock_core::container::{ContainerSpec, PublishedPort};
use haddock_core::runtime::ContainerRuntime;

mod sim_stage;

use sim_stage::{Stage, image};

haddock_core::runtime_suite! { #[tokio::test] Some(Stage::new(|sim| sim)) }

#[tokio::test]
async fn a_port_is_free_unless_a_container_that_runs_has_it() {
    let Stage { runtime, .. } = Stage::new(|sim| sim);
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
