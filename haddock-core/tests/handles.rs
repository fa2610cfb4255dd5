//! The verbs of a release's handle, and the ways in which a release that is waited for can end.
#![allow(missing_docs)]

mod site;

use std::time::Duration;

use haddock_core::controller::{Release, Service};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
use haddock_core::release::{Progress, Verb};
use haddock_core::runtime::sim::SimImage;
use haddock_core::{Error, ErrorKind, ServiceName, VersionId};

use site::Site;

/// The ramp of the first tag is over at once; that of any other is held until somebody advances it.
fn spec(tag: &str, queue: &str) -> EnvironmentSpec {
    let ramp = if tag == "v1" { "[100%], every: 0s, settle: 0s" } else { "[50%, 100%], every: 1h, settle: 1h" };
    let text = format!(
        "name: shop\nservices: {{ shop: {{ image: 'shop:${{TAG}}', expose: ['8080'] }} }}\n\
         x-haddock: {{ entry: 'shop:8080', release: {{ ramp: {ramp}, queue: {queue} }} }}\n"
    );
    let options = ResolveOptions { tag: Some(tag.into()), ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", &text).expect("a compose file").resolve(&options).expect("resolved").spec
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it ends")
}

async fn ask(service: &Service, tag: &str, queue: &str) -> Release {
    service.release(&spec(tag, queue), "me", None).await.expect("a request")
}

/// A site at version 1.
async fn settled() -> (Site, haddock_core::controller::Acting, Release) {
    let site = Site::of(SimImage::good(Duration::ZERO));
    let acting = site.service.act().await.expect("nobody else acts");
    let first = ask(&site.service, "v1", "newest").await;
    assert_eq!(in_time(first.settled()).await.expect("it settles"), VersionId(1));
    (site, acting, first)
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.expect_err("it is refused, or did not settle").kind()
}

#[tokio::test]
async fn a_handle_steers_its_own_release_and_no_other() {
    let (site, _acting, first) = settled().await;
    let second = ask(&site.service, "v2", "newest").await;
    in_time(site.service.wait_for(|state| state.release.is_some())).await.expect("it begins");
    for refused in [first.abort("me").await, first.pause("me").await, first.advance("me").await] {
        assert_eq!(kind(refused), ErrorKind::NothingToDo);
    }
    let third = ask(&site.service, "v3", "newest").await;
    in_time(site.service.wait_for(|state| state.queued.is_some())).await.expect("it waits");
    assert_eq!(kind(third.pause("me").await), ErrorKind::NothingToDo);
    in_time(third.abort("me")).await.expect("it is dropped");
    assert_eq!(kind(in_time(third.settled()).await), ErrorKind::ReleaseAborted);
    assert_eq!(third.summary().await.expect("a summary").phase, Progress::Aborted);
    in_time(second.pause("me")).await.expect("it goes on");
    in_time(second.resume("me")).await.expect("it goes on");
    in_time(second.abort("me")).await.expect("it goes on");
    assert_eq!(kind(in_time(second.settled()).await), ErrorKind::ReleaseAborted);
    assert_eq!(kind(second.abort("me").await), ErrorKind::NothingToDo, "it is over");
}

#[tokio::test]
async fn a_release_that_was_overtaken_is_told_from_one_that_was_aborted() {
    let (site, _acting, _) = settled().await;
    let second = ask(&site.service, "v2", "newest").await;
    in_time(site.service.wait_for(|state| state.release.is_some())).await.expect("it begins");
    let skipped = ask(&site.service, "v3", "newest").await;
    let last = ask(&site.service, "v4", "supersede").await;
    assert_eq!(kind(in_time(skipped.settled()).await), ErrorKind::ReleaseSuperseded);
    assert_eq!(kind(in_time(second.settled()).await), ErrorKind::ReleaseSuperseded);
    in_time(site.service.wait_for(|state| state.release.as_ref().is_some_and(|it| it.version == VersionId(3))))
        .await
        .ok();
    in_time(last.abort("me")).await.expect("it goes on");
    assert_eq!(kind(in_time(last.settled()).await), ErrorKind::ReleaseAborted);
}

#[tokio::test]
async fn a_rollback_during_a_release_ends_with_its_abort() {
    let (site, _acting, _) = settled().await;
    let second = ask(&site.service, "v2", "newest").await;
    in_time(site.service.wait_for(|state| state.release.is_some())).await.expect("it begins");
    let back = site.service.rollback("me").await.expect("a request");
    assert_eq!(in_time(back.settled()).await.expect("it is back"), VersionId(1));
    assert_eq!(in_time(back.gone()).await.expect("nothing of version 2 is left"), VersionId(1));
    assert_eq!(back.summary().await.expect("a summary").phase, Progress::Settled);
    assert_eq!(kind(in_time(second.settled()).await), ErrorKind::ReleaseAborted);
    // This is what a script does when it learns of the abort.
    let again = site.service.rollback("me").await.expect("a request");
    assert_eq!(kind(in_time(again.settled()).await), ErrorKind::NothingToDo);
    assert_eq!(
        site.service.plan_verb(&Verb::Rollback).await.map_err(|error| error.kind()),
        Err(ErrorKind::NothingToDo)
    );
}

#[tokio::test]
async fn what_was_never_released_is_not_steered_and_leaves_no_trace() {
    let site = Site::of(SimImage::good(Duration::ZERO));
    let typo = site.restarted_as(ServiceName::new("shpo").expect("valid"));
    for verb in [Verb::Pause, Verb::Resume, Verb::Advance, Verb::Abort, Verb::Rollback, Verb::Retire] {
        assert_eq!(kind(typo.plan_verb(&verb).await), ErrorKind::NothingToDo);
        assert_eq!(kind(typo.submit(verb, "me").await), ErrorKind::NothingToDo);
    }
    assert_eq!(kind(typo.rollback("me").await.map(drop)), ErrorKind::NothingToDo);
    assert!(typo.status().await.expect("the journal answers").is_none());
    let acting = typo.act().await.expect("nobody else acts");
    assert!(typo.status().await.expect("the journal answers").is_none());
    acting.stop().await.expect("nobody took over");
}
