//! A journal is lost and found again by the labels of containers, through the controller, in virtual time.
#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use haddock_core::container::ContainerSpec;
use haddock_core::controller::{RecoverOptions, Service, find_journals};
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::environment::{EnvironmentSpec, ServiceSettings};
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::locator::sim::Cookie;
use haddock_core::release::{Adoption, Event};
use haddock_core::testing::World;
use haddock_core::{ErrorKind, JournalId, ServiceName};

const HOUR: Duration = Duration::from_secs(3600);

const FILE: &str = "
name: shop
services:
  web: { image: 'shop:${TAG}', expose: ['8080'] }
x-haddock:
  session: { idle: 1h }
  release: { ramp: [10%, 100%], every: 10m, settle: 10m }
";

fn spec(tag: &str) -> EnvironmentSpec {
    let options = ResolveOptions { tag: Some(tag.into()), ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", FILE).expect("YAML").resolve(&options).expect("good").spec
}

struct Scene {
    world: World,
    shop: ServiceName,
}

impl Scene {
    fn new() -> Self {
        let world = World::new().expect("a runtime");
        Self { world, shop: ServiceName::new("shop").expect("valid") }
    }

    /// The service, in a journal that is empty, and whose id is this.
    fn service(&self, journal: &str, specs: &SpecStore) -> Service {
        let journal = MemoryJournal::new(JournalId::new(journal).expect("valid"));
        self.world.controller_of(Arc::new(journal), specs).service(self.shop.clone())
    }

    fn release(&self, service: &Service, tag: &str) {
        self.world.time.block_on(async {
            let release = service.release(&spec(tag), "a test", None).await.expect("submitted");
            release.settled().await.expect("settles");
        });
    }

    fn session(&self) -> Cookie {
        let ticket = self.world.locator.begin(&self.shop, None, false).expect("served");
        self.world.locator.finish(&self.shop, &ticket, false).expect("a cookie")
    }

    fn goes_on(&self, cookie: &Cookie) -> bool {
        let ticket = self.world.locator.begin(&self.shop, Some(cookie), false).expect("served");
        self.world.locator.finish(&self.shop, &ticket, false);
        ticket.session == cookie.session
    }

    fn containers(&self) -> usize {
        self.world.containers()
    }
}

#[test]
fn the_journal_of_the_labels_is_recovered_and_nobody_notices() {
    let scene = Scene::new();
    let service = scene.service("lost", &scene.world.specs);
    let acting = scene.world.time.block_on(service.act()).expect("free");
    scene.release(&service, "v1");
    let old = scene.session();
    scene.release(&service, "v2");
    let new = scene.session();
    drop(acting);

    let found = scene.world.time.block_on(find_journals(&scene.world.runtime)).expect("it answers");
    let [journal] = &found[..] else { panic!("there is one: {found:?}") };
    assert_eq!((journal.id.as_str(), journal.containers), ("lost", 2));
    assert!(journal.services.contains(&scene.shop));

    let service = scene.service(journal.id.as_str(), &scene.world.specs);
    let state = scene.world.time.block_on(service.recover(RecoverOptions::default())).expect("enough is left");
    assert_eq!(state.instances.len(), 2);
    let good = state.known_good.expect("version 2 has everything");
    assert_eq!(state.versions[&good].new.images["web"], "shop:v2");
    let history = scene.world.time.block_on(service.events(0).next()).expect("readable");
    assert!(matches!(history[0].event, Event::Recovered { .. }));
    let again = scene.world.time.block_on(service.recover(RecoverOptions::default())).expect_err("it is not lost");
    assert_eq!(again.kind(), ErrorKind::NothingToDo);

    let _acting = scene.world.time.block_on(service.act()).expect("free");
    scene.world.time.advance(HOUR / 2);
    assert!(scene.goes_on(&old) && scene.goes_on(&new), "nobody noticed");
    assert_eq!(scene.containers(), 2);
    scene.release(&service, "v3");
    scene.world.time.advance(3 * HOUR);
    assert_eq!(scene.containers(), 1, "all others have drained");
}

#[test]
fn without_the_spec_store_a_file_may_stand_for_what_is_missing() {
    let scene = Scene::new();
    let service = scene.service("lost", &scene.world.specs);
    let acting = scene.world.time.block_on(service.act()).expect("free");
    scene.release(&service, "v1");
    drop(acting);
    let empty = SpecStore::memory();
    let service = scene.service("lost", &empty);
    let error = scene.world.time.block_on(service.recover(RecoverOptions::default())).expect_err("the store is lost");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let options = RecoverOptions { spec: Some(spec("v1")), ..RecoverOptions::default() };
    scene.world.time.block_on(service.recover(options)).expect("the file stands for it");
    let _acting = scene.world.time.block_on(service.act()).expect("free");
    scene.release(&service, "v2");
}

#[test]
fn one_that_does_not_answer_recovers_nothing() {
    let scene = Scene::new();
    let service = scene.service("lost", &scene.world.specs);
    let error = scene.world.time.block_on(service.recover(RecoverOptions::default())).expect_err("there is nothing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    scene.world.locator.set_down(true);
    let error = scene.world.time.block_on(service.recover(RecoverOptions::default())).expect_err("it is down");
    assert_eq!(error.kind(), ErrorKind::LocatorUnavailable);
    assert!(scene.world.time.block_on(service.status()).expect("readable").is_none(), "nothing was written");
}

#[test]
fn a_server_is_adopted_released_from_and_reported() {
    let scene = Scene::new();
    let plain = ContainerSpec {
        name: "tomcat".into(),
        image: "tomcat:9".into(),
        environment: Default::default(),
        labels: Default::default(),
        expose: vec![8080],
        ..ContainerSpec::default()
    };
    let address = scene.world.runtime.with(|engine, now| {
        let id = engine.create(&plain).expect("the name is free");
        engine.start(&id, now).expect("it was created");
        engine.inspect(&id, now).expect("it was created").addresses[&8080]
    });
    scene.world.time.advance(Duration::from_secs(10));
    let service = scene.service("j1", &scene.world.specs);
    let _acting = scene.world.time.block_on(service.act()).expect("free");
    let settings = ServiceSettings::external(scene.shop.clone(), address);
    let adoption = Adoption { address, settings, cookie: Some("JSESSIONID".into()) };
    let server = scene.world.time.block_on(service.adopt_with(adoption, "a test")).expect("it answers");
    scene.world.time.advance(Duration::from_secs(60));
    scene.release(&service, "v2");
    assert_ne!(scene.session().instance, server);
    let ticket = scene.world.locator.begin_foreign(&scene.shop, "JSESSIONID", false).expect("served");
    assert_eq!((&ticket.instance, ticket.address), (&server, address));
    let mut cookie = scene.world.locator.finish(&scene.shop, &ticket, false).expect("a cookie");
    for _ in 0..16 {
        scene.world.time.advance(HOUR / 2);
        let ticket = scene.world.locator.begin(&scene.shop, Some(&cookie), false).expect("served");
        assert_eq!(ticket.instance, server, "its clients notice nothing");
        cookie = scene.world.locator.finish(&scene.shop, &ticket, false).expect("it lives");
    }
    scene.world.time.advance(2 * HOUR);
    let history = scene.world.time.block_on(service.events(0).next()).expect("readable");
    let reported = Event::ExternalReleased { instance: server, address };
    assert!(history.iter().any(|recorded| recorded.event == reported));
    assert!(scene.world.runtime.answers(address), "it still runs");
    assert_eq!(scene.containers(), 2);
}

#[test]
fn what_is_recovered_is_what_runs_although_its_registry_has_a_newer_one() {
    let scene = Scene::new();
    let text = FILE.replace("expose:", "pull_policy: always, expose:");
    let options = ResolveOptions { tag: Some("v1".into()), ..ResolveOptions::default() };
    let spec = ComposeFile::parse("compose.yaml", &text).expect("YAML").resolve(&options).expect("good").spec;
    let service = scene.service("lost", &scene.world.specs);
    let acting = scene.world.time.block_on(service.act()).expect("free");
    scene.world.time.block_on(async {
        service.release(&spec, "a test", None).await.expect("submitted").settled().await.expect("settles");
    });
    drop(acting);
    let images = || {
        scene.world.runtime.with(|engine, now| engine.containers(now).map(|it| it.image.clone()).collect::<Vec<_>>())
    };
    let running = images();
    scene.world.runtime.with(|engine, _| engine.push_image("shop:v1", "newer"));
    let service = scene.service("lost", &scene.world.specs);
    let state = scene.world.time.block_on(service.recover(RecoverOptions::default())).expect("enough is left");
    let pins =
        state.versions.values().filter_map(|version| version.pins.as_ref()).flat_map(|pins| pins.values().cloned());
    assert_eq!(pins.collect::<Vec<_>>(), running);
}
