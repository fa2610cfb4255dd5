//! The verbs, through a controller whose runtime and locator are simulated.
#![allow(missing_docs)]

mod site;

use std::time::Duration;

use haddock_core::container::{PullOptions, PullWhen};
use haddock_core::controller::ReleaseOptions;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::environment::{EnvironmentSpec, ServiceSettings};
use haddock_core::locator::ServiceLocator as _;
use haddock_core::release::{Adoption, Event, Verb};
use haddock_core::runtime::sim::SimImage;
use haddock_core::{ErrorKind, ServiceName, Share};
use tokio::net::TcpListener;

use site::Site;

fn spec(tag: &str) -> EnvironmentSpec {
    let text = "services: { shop: { image: \"shop:${TAG}\", expose: [\"8080\"] } }\nx-haddock: { entry: \"shop:8080\" }\nname: shop";
    let options = ResolveOptions { tag: Some(tag.into()), ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", text).expect("a compose file").resolve(&options).expect("resolved").spec
}

#[tokio::test]
async fn a_server_that_answers_is_adopted_and_one_is_enough() {
    let site = Site::new();
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    let settings = ServiceSettings::external(site.name.clone(), address);
    let acting = site.service.act().await.expect("nobody else acts");
    let instance = site.service.adopt(address, settings.clone(), "me").await.expect("it answers");
    let serves = |state: &haddock_core::release::ServiceState| state.asked.as_ref().is_some_and(|asked| asked.in_force);
    site.service.wait_for(serves).await.expect("a state");
    let report = site.locator.observe(&site.name).await.expect("it answers");
    assert_eq!(report.instances[&instance].share, Some(Share::FULL));
    let again = site.service.adopt(address, settings, "me").await.expect_err("there is one");
    assert_eq!(again.kind(), ErrorKind::NothingToDo);
    acting.stop().await.expect("nobody took over");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_with_the_reason() {
    let site = Site::new();
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = server.local_addr().expect("bound");
    drop(server);
    let mut settings = ServiceSettings::external(site.name.clone(), address);
    settings.ready.within = Duration::from_millis(200);
    let _acting = site.service.act().await.expect("nobody else acts");
    let error = site.service.adopt(address, settings, "me").await.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::NeverReady);
    assert!(error.message().contains("connection refused"), "{error}");
    let mut events = site.service.events(0);
    let mut released = false;
    while !released {
        let page = events.next().await.expect("the history");
        released = page.iter().any(|recorded| matches!(recorded.event, Event::ExternalReleased { .. }));
    }
}

#[tokio::test]
async fn what_cannot_be_adopted_is_refused_at_once() {
    let site = Site::new();
    for bad in ["0.0.0.0:8080", "127.0.0.1:0"] {
        let address = bad.parse().expect("an address");
        let settings = ServiceSettings::external(site.name.clone(), address);
        let error = site.service.adopt(address, settings, "me").await.expect_err(bad);
        assert_eq!(error.kind(), ErrorKind::InvalidValue);
    }
    for bad in ["", "JSESSIONID=", "a b", "a;b"] {
        let address = "127.0.0.1:80".parse().expect("an address");
        let settings = ServiceSettings::external(site.name.clone(), address);
        let adoption = Adoption { address, settings, cookie: Some(bad.to_owned()) };
        let error = site.service.adopt_with(adoption, "me").await.expect_err(bad);
        assert_eq!(error.kind(), ErrorKind::InvalidValue, "it would find no session");
    }
    let address = "127.0.0.1:80".parse().expect("an address");
    let settings = ServiceSettings::external(ServiceName::new("blog").expect("valid"), address);
    let error = site.service.adopt(address, settings, "me").await.expect_err("of another service");
    assert_eq!(error.kind(), ErrorKind::InvalidName);
}

#[tokio::test]
async fn what_is_being_released_already_is_not_asked_for_once_more() {
    let Site { service, .. } = Site::new();
    let first = service.release(&spec("v1"), "me", None).await.expect("a request");
    assert!(!first.is_attached());
    let again = service.release(&spec("v1"), "you", None).await.expect("a request");
    assert_eq!((again.request(), again.is_attached()), (first.request(), true));
    let force = ReleaseOptions { force: true, ..ReleaseOptions::default() };
    let forced = service.release_with(&spec("v1"), "me", force).await.expect("a request");
    assert_ne!(forced.request(), first.request());
    let other = service.release(&spec("v2"), "me", None).await.expect("a request");
    assert!(!other.is_attached());
    let back = service.release(&spec("v1"), "me", None).await.expect("a request");
    assert!(!back.is_attached(), "version 2 comes after it");
    service.submit(Verb::Abort, "me").await.expect("a request");
    let after = service.release(&spec("v1"), "me", None).await.expect("a request");
    assert!(!after.is_attached(), "it may be what is aborted");
}

#[tokio::test]
async fn a_release_in_progress_is_attached_to_until_it_is_aborted() {
    let site = Site::new();
    let service = &site.service;
    let acting = service.act().await.expect("nobody else acts");
    // Its image is nowhere yet, and will be waited for.
    let first = service.release(&spec("v1"), "me", None).await.expect("a request");
    let error = first.settled().await.expect_err("there is no such image");
    assert_eq!(error.kind(), ErrorKind::ImageMissing);
    let again = service.release(&spec("v1"), "me", None).await.expect("a request");
    assert!(!again.is_attached(), "that one is over");
    acting.stop().await.expect("nobody took over");
}

#[tokio::test]
async fn an_abort_while_an_instance_is_launched_leaves_nothing() {
    let Site { service, runtime, .. } = Site::of(SimImage::never_ready());
    let acting = service.act().await.expect("nobody else acts");
    service.release(&spec("v1"), "me", None).await.expect("asked for");
    service.wait_for(|state| !state.instances.is_empty()).await.expect("it is launched");
    service.ask(Verb::Abort, "me").await.expect("there is a release");
    let gone = service.wait_for(|state| state.instances.is_empty() && state.release.is_none());
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("in time").expect("a state");
    assert_eq!(runtime.with(|engine, now| engine.containers(now).count()), 0);
    acting.stop().await.expect("it acted");
}

/// A release asks for images as the file says, whichever controller carries it out; a rollback takes what was there.
#[tokio::test]
async fn a_release_asks_for_images_as_its_file_says() {
    let spec = |tag: &str| {
        let text = "name: shop
services:
  shop: { image: 'shop:${TAG}', expose: ['8080'], pull_policy: POLICY, platform: linux/arm64 }
  side: { image: 'side:${TAG}', pull_policy: missing }
  last: { image: 'last:${TAG}' }
x-haddock: { entry: 'shop:8080', release: { ramp: [100%], every: 0s, settle: 0s } }";
        let text = text.replace("POLICY", if tag == "v1" { "never" } else { "always" });
        let options = ResolveOptions { tag: Some(tag.into()), ..ResolveOptions::default() };
        ComposeFile::parse("compose.yaml", &text).expect("a compose file").resolve(&options).expect("resolved").spec
    };
    let site = Site::of(SimImage::good(Duration::ZERO));
    let arm = Some("linux/arm64".to_owned());
    for (tag, when) in [("v1", PullWhen::Never), ("v2", PullWhen::Refresh)] {
        let asked = site.service.release(&spec(tag), "me", None).await.expect("a request");
        // Who asked for it is not who carries it out.
        let service = site.restarted();
        let acting = service.act().await.expect("nobody else acts");
        service.follow(asked.request().clone()).settled().await.expect("it serves");
        acting.stop().await.expect("nobody took over");
        let mut pulled = site.runtime.with(|engine, _| engine.pulled().to_vec());
        pulled.retain(|(image, _)| image.ends_with(tag));
        pulled.sort_by(|a, b| a.0.cmp(&b.0));
        let how: Vec<&PullOptions> = pulled.iter().map(|(_, how)| how).collect();
        let expected = [(PullWhen::Refresh, None), (when, arm.clone()), (PullWhen::Missing, None)]
            .map(|(when, platform)| PullOptions { when, platform });
        assert_eq!(how, expected.iter().collect::<Vec<_>>(), "last, shop, side: {pulled:?}");
    }
    let before = site.runtime.with(|engine, _| engine.pulled().len());
    let service = site.restarted();
    let acting = service.act().await.expect("nobody else acts");
    service.rollback("me").await.expect("a request").settled().await.expect("it serves");
    acting.stop().await.expect("nobody took over");
    let (pulled, made) = site.runtime.with(|engine, now| {
        let ids: Vec<_> = engine.containers(now).map(|container| container.id.clone()).collect();
        let made =
            ids.iter().filter_map(|id| engine.made_from(id)).map(|spec| (spec.image.clone(), spec.options.clone()));
        (engine.pulled().len(), made.collect::<Vec<_>>())
    });
    assert_eq!(pulled, before, "what was good is taken by its id");
    let of_shop: Vec<_> = made.iter().filter(|(image, _)| image.contains("shop:v1")).collect();
    assert!(!of_shop.is_empty() && of_shop.iter().all(|(_, options)| options.platform == arm), "{made:?}");
}
