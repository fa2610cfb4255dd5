//! A service is taken away, through the controller, in virtual time.
#![allow(missing_docs)]

use std::time::Duration;

use haddock_core::controller::{Acting, Service};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::locator::sim::{Cookie, SimLocator};
use haddock_core::release::{Event, Verb};
use haddock_core::runtime::sim::SimRuntime;
use haddock_core::testing::{VirtualTime, World};
use haddock_core::{ErrorKind, ServiceName};

const MINUTE: Duration = Duration::from_secs(60);

fn spec() -> EnvironmentSpec {
    let text = "name: shop
services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }
x-haddock: { session: { idle: 1h }, release: { ramp: [100%], every: 1m, settle: 1m } }";
    let options = ResolveOptions { tag: Some("v1".into()), ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", text).expect("YAML").resolve(&options).expect("good").spec
}

/// A service with one version that serves, and one session on it.
struct Scene {
    time: VirtualTime,
    runtime: SimRuntime,
    locator: SimLocator,
    service: Service,
    acting: Acting,
    session: Cookie,
}

impl Scene {
    fn new() -> Self {
        let World { time, runtime, locator, controller, .. } = World::new().expect("a runtime");
        let name = ServiceName::new("shop").expect("valid");
        let service = controller.service(name.clone());
        let acting = time.block_on(async {
            let acting = service.act().await.expect("nobody else acts");
            let release = service.release(&spec(), "a test", None).await.expect("submitted");
            release.settled().await.expect("settles");
            acting
        });
        let ticket = locator.begin(&name, None, false).expect("served");
        let session = locator.finish(&name, &ticket, false).expect("a cookie");
        Self { time, runtime, locator, service, acting, session }
    }

    fn goes_on(&self) -> bool {
        let ticket = self.locator.begin(self.service.name(), Some(&self.session), false);
        let same = ticket.as_ref().is_some_and(|ticket| ticket.session == self.session.session);
        ticket.into_iter().for_each(|ticket| _ = self.locator.finish(self.service.name(), &ticket, false));
        same
    }

    fn is_served(&self) -> bool {
        let ticket = self.locator.begin(self.service.name(), None, false);
        ticket.is_some_and(|ticket| self.locator.finish(self.service.name(), &ticket, false).is_some())
    }

    fn containers(&self) -> usize {
        self.runtime.with(|engine, now| engine.containers(now).count())
    }

    fn retirements(&self) -> usize {
        let told = self.time.block_on(async { self.service.events(0).next().await }).expect("readable");
        told.iter().filter(|it| matches!(it.event, Event::ServiceRetired)).count()
    }

    fn end(self) {
        self.time.block_on(self.acting.stop()).expect("nobody took over");
    }
}

#[test]
fn it_drains_and_is_forgotten_and_a_second_call_changes_nothing() {
    let scene = Scene::new();
    scene.time.block_on(scene.service.retire("me")).expect("taken up");
    scene.time.advance(30 * MINUTE);
    assert!(scene.goes_on(), "the session goes on");
    assert!(!scene.is_served(), "and nobody else comes");
    scene.time.block_on(scene.service.retire("you")).expect("it goes on");
    let state = scene.time.block_on(scene.service.status()).expect("readable").expect("it drains").state;
    assert_eq!(state.retiring.map(|retirement| retirement.by), Some("me".to_owned()));
    let before = scene.time.clock().now();
    scene.time.block_on(scene.service.retired()).expect("its last session expires");
    assert!(scene.time.clock().now() - before >= 59 * MINUTE, "the session had an hour");
    assert_eq!((scene.containers(), scene.retirements()), (0, 1));
    assert!(scene.time.block_on(scene.service.status()).expect("readable").is_none(), "it is forgotten");
    scene.time.block_on(scene.service.retired()).expect("so it is");
    for gone in
        [scene.time.block_on(scene.service.retire("me")), scene.time.block_on(scene.service.plan_retire()).map(drop)]
    {
        assert_eq!(gone.expect_err("nothing is left of it").kind(), ErrorKind::NothingToDo);
    }
    scene.end();
}

#[test]
fn one_that_is_called_off_serves_on() {
    let scene = Scene::new();
    scene.time.block_on(scene.service.retire("me")).expect("taken up");
    scene.time.advance(10 * MINUTE);
    assert!(!scene.is_served());
    scene.time.block_on(scene.service.ask(Verb::Abort, "me")).expect("taken up");
    scene.time.advance(10 * MINUTE);
    assert!(scene.is_served() && scene.goes_on());
    let error = scene.time.block_on(scene.service.retired()).expect_err("it serves");
    assert_eq!(error.kind(), ErrorKind::NothingToDo);
    scene.time.advance(180 * MINUTE);
    assert_eq!((scene.containers(), scene.retirements()), (1, 0));
    scene.end();
}

#[test]
fn nothing_is_stopped_while_the_gateway_is_away() {
    let scene = Scene::new();
    scene.time.block_on(scene.service.retire("me")).expect("taken up");
    scene.time.advance(MINUTE);
    scene.locator.set_down(true);
    scene.time.advance(180 * MINUTE);
    assert_eq!((scene.containers(), scene.retirements()), (1, 0), "nobody knows what lives on it");
    scene.locator.set_down(false);
    scene.time.block_on(scene.service.retired()).expect("its session has expired");
    assert_eq!((scene.containers(), scene.retirements()), (0, 1));
    scene.end();
}
