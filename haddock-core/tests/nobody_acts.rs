//! Somebody who waits for the end of a release that nobody carries out gets an error.
#![cfg(all(feature = "controller", feature = "testing"))]
#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::Controller;
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::testing::World;
use haddock_core::{Error, ErrorKind, JournalId, SystemClock};

fn spec(text: &str, purpose: Purpose) -> EnvironmentSpec {
    let options = ResolveOptions { tag: Some("v1".into()), purpose, ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", text).expect("YAML").resolve(&options).expect("good").spec
}

fn shop() -> EnvironmentSpec {
    spec("name: shop\nservices: { web: { image: 'shop:${TAG}', expose: ['8080'] } }", Purpose::Release)
}

fn world() -> World {
    World::new().expect("a runtime")
}

fn nobody<T: std::fmt::Debug>(result: Result<T, Error>) -> Error {
    let error = result.expect_err("nobody acts");
    assert_eq!(error.kind(), ErrorKind::NobodyActs, "{error}");
    assert!(error.hint().is_some());
    error
}

#[test]
fn a_release_that_nobody_carries_out() {
    let world = world();
    let service = world.service(&shop()).expect("a service");
    world.time.block_on(async {
        let release = service.release(&shop(), "a test", None).await.expect("submitted");
        nobody(release.settled().await);
        nobody(release.gone().await);
    });
}

#[test]
fn a_guard_that_was_dropped_at_once() {
    let world = world();
    let service = world.service(&shop()).expect("a service");
    world.time.block_on(async {
        drop(service.act().await.expect("nobody else acts"));
        let release = service.release(&shop(), "a test", None).await.expect("submitted");
        nobody(release.settled().await);
    });
}

/// As long as somebody acts, a release may take as long as it takes.
#[test]
fn one_that_takes_long_is_waited_for() {
    let world = world();
    world.runtime.with(|engine, _| engine.set_other_images(None));
    let slow = haddock_core::runtime::sim::SimImage::good(Duration::from_secs(150));
    world.runtime.with(|engine, _| engine.add_image("shop:v1", slow));
    let text = "name: shop\nservices: { web: { image: 'shop:${TAG}', expose: ['8080'] } }\n\
                x-haddock: { ready: { within: 10m } }";
    let began = world.time.clock().now();
    world.release(&spec(text, Purpose::Release)).expect("it settles");
    assert!(world.time.clock().now() - began >= Duration::from_secs(150));
}

#[test]
fn a_controller_whose_clock_stands_still() {
    let world = world();
    let journal = MemoryJournal::new(JournalId::new("j2").expect("valid"));
    let runtime = Arc::new(world.runtime.clone());
    let forgotten =
        Controller::builder(runtime.clone(), Arc::new(world.locator.clone()), Arc::new(journal), SpecStore::memory())
            .probing(runtime)
            .clock(Arc::new(SystemClock::new()))
            .build();
    let service = forgotten.service(shop().service().expect("a service").service.clone());
    world.time.block_on(async {
        let _acting = service.act().await.expect("nobody else acts");
        let release = service.release(&shop(), "a test", None).await.expect("submitted");
        let error = nobody(release.settled().await);
        assert!(error.message().contains("clock"), "{error}");
    });
}

#[test]
fn a_file_that_was_resolved_for_an_environment_by_itself() {
    let claims = "name: shop\nservices: { web: { image: 'shop:${TAG}', ports: ['8080:8080'] } }\nx-haddock: { entry: 'web:8080' }";
    let world = world();
    let error = world.release(&spec(claims, Purpose::Environment)).expect_err("two versions cannot have one port");
    assert_eq!(error.kind(), ErrorKind::ComposeFile);
    assert!(error.message().contains("8080"), "{error}");
    let service = world.service(&spec(claims, Purpose::Environment)).expect("a service");
    assert!(world.time.block_on(service.status()).expect("readable").is_none(), "nothing was asked for");
}
