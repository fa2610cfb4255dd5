//! The controller itself, on simulated runtime and locator, in time that passes at once.
#![cfg(all(feature = "controller", feature = "testing"))]
#![allow(missing_docs)]

use std::time::Duration;

use haddock_core::controller::Controller;
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::locator::sim::SimLocator;
use haddock_core::runtime::sim::SimRuntime;
use haddock_core::testing::{VirtualTime, World};
use haddock_core::{ServiceName, VersionId};

const HOUR: Duration = Duration::from_secs(3600);

const FILE: &str = "
name: shop
services:
  web: { image: 'shop:${TAG}', expose: ['8080'] }
x-haddock:
  ready: /health
  session: { idle: 1h }
  release: { ramp: [10%, 100%], every: 10m, settle: 10m }
";

struct Scene {
    time: VirtualTime,
    runtime: SimRuntime,
    locator: SimLocator,
    controller: Controller,
    shop: ServiceName,
}

impl Scene {
    fn new() -> Self {
        let World { time, runtime, locator, controller, .. } = World::new().expect("a runtime");
        Self { time, runtime, locator, controller, shop: ServiceName::new("shop").expect("valid") }
    }

    fn spec(tag: &str) -> EnvironmentSpec {
        let options = ResolveOptions { tag: Some(tag.into()), purpose: Purpose::Release, ..ResolveOptions::default() };
        ComposeFile::parse("compose.yaml", FILE).expect("YAML").resolve(&options).expect("good").spec
    }

    fn release(&self, tag: &str) -> VersionId {
        let service = self.controller.service(self.shop.clone());
        self.time.block_on(async {
            let release = service.release(&Self::spec(tag), "a test", None).await.expect("submitted");
            release.settled().await.expect("settles")
        })
    }
}

#[test]
fn eight_hours_of_drain_pass_at_once() {
    let scene = Scene::new();
    let service = scene.controller.service(scene.shop.clone());
    let acting = scene.time.block_on(service.act()).expect("free");
    let one = scene.release("v1");
    let ticket = scene.locator.begin(&scene.shop, None, false).expect("version 1 serves");
    let mut cookie = scene.locator.finish(&scene.shop, &ticket, false).expect("a cookie");

    let two = scene.release("v2");
    assert!(two > one);
    let began = scene.time.clock().now();
    while scene.time.clock().now() - began < 8 * HOUR {
        scene.time.advance(HOUR / 4);
        let ticket = scene.locator.begin(&scene.shop, Some(&cookie), false).expect("it is followed");
        assert_eq!(ticket.instance, cookie.instance, "the session stays");
        cookie = scene.locator.finish(&scene.shop, &ticket, false).expect("it lives");
    }
    let alone = scene.time.block_on(service.wait_for(|state| state.instances_of(one).count() == 0));
    assert!(alone.expect("readable").known_good == Some(two));
    let drained = scene.time.clock().now() - began;
    assert!(drained >= 9 * HOUR, "not before the session had expired: {drained:?}");
    assert_eq!(scene.runtime.with(|engine, now| engine.containers(now).count()), 1);
    scene.time.block_on(acting.stop()).expect("it acted all along");
}

#[test]
fn nothing_happens_and_no_time_passes_outside_a_call() {
    let scene = Scene::new();
    let service = scene.controller.service(scene.shop.clone());
    let _acting = scene.time.block_on(service.act()).expect("free");
    scene.release("v1");
    let (now, state) = (scene.time.clock().now(), scene.time.block_on(service.status()));
    std::thread::yield_now();
    assert_eq!(scene.time.clock().now(), now);
    assert_eq!(scene.time.block_on(service.status()).expect("readable"), state.expect("readable"));
}

#[test]
fn serving_acts_for_whatever_the_journal_comes_to_know() {
    let scene = Scene::new();
    let service = scene.controller.service(scene.shop.clone());
    scene.time.block_on(async {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = scene.controller.serve(async { drop(stopped.await) });
        let released = async {
            let release = service.release(&Scene::spec("v1"), "a test", None).await.expect("submitted");
            release.settled().await.expect("settles");
            stop.send(()).expect("it serves");
        };
        let (served, ()) = tokio::join!(served, released);
        served.expect("ends when it is told to");
        service.try_act().await.expect("readable").expect("the lease was given back").stop().await.expect("acted");
    });
}
