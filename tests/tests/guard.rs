//! The guard on a real engine, under load: what is harmful is given up by itself, what is clean goes all the way, and one bad
//! replica goes alone.
#![allow(clippy::print_stderr, reason = "figures, for who reads the test's output")]

use std::time::Duration;

use haddock_core::release::guard::Finding;
use haddock_core::release::{Event, PhaseName, Verdict};
use haddock_core::{ErrorKind, Share, VersionId};
use haddock_examples::client::Options;
use haddock_examples::show::Load;
use haddock_tests::site::{Draft, Site, tell_to_fail};
use tokio::time::timeout;

const PLAYER: &str = env!("CARGO_BIN_EXE_player");
const PATIENCE: Duration = Duration::from_secs(120);

/// Many short sessions of a few requests each.
fn short(site: &Site) -> Options {
    let stay = Some(Duration::from_millis(100));
    Options { sessions: 40, rate: 400.0, stay, slow: 0.0, websockets: 0.0, arrivals: 400.0, ..site.steady(40) }
}

/// A service at version 1 under load.
async fn open(change: impl FnOnce(&mut Draft)) -> Option<(Site, Draft, Load, haddock_core::controller::Acting)> {
    let site = Site::open(PLAYER).await?;
    let mut draft = site.draft();
    change(&mut draft);
    let acting = site.service().act().await.expect("nobody else acts");
    site.release_and_wait(&draft, "v1").await;
    let load = site.load(&short(&site)).await;
    Some((site, draft, load, acting))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_with_errors_is_given_up_by_itself() {
    let Some((site, mut draft, load, acting)) = open(|_| {}).await else { return };
    site.image("v2").await;
    draft.first_stage = 10;
    draft.every = Duration::from_secs(3600);
    let release = site.release(&draft.clone().variable("ERROR_RATE", "0.03"), "v2").await;
    let counted = count_failed(&site);
    let ended = timeout(PATIENCE, release.settled()).await.expect("it is given up");
    assert_eq!(ended.expect_err("it is harmful").kind(), ErrorKind::Harmful);
    let alone = |state: &haddock_core::release::ServiceState| {
        state.release.is_none() && state.instances.values().all(|instance| instance.version == VersionId(1))
    };
    site.until("the candidate is gone", alone).await;
    site.assert_only(VersionId(1)).await;
    let counted = counted.await.expect("it counts to the end");
    let summary = load.stop().await.expect("a summary");
    acting.stop().await.expect("it acted to the end");

    let state = site.state().await;
    let harm = state.versions[&VersionId(2)].harm.expect("a judgement");
    assert_eq!(state.versions[&VersionId(2)].verdict, Verdict::Bad);
    eprintln!("{harm}; clients saw {} failed sessions, the gateway {counted}", summary.failed_sessions);
    assert!(harm.finding == Finding::Harmful && harm.extra.low > 0.01, "{harm}");
    assert!(harm.baseline.is_some_and(|base| base.begun() > harm.candidate.begun() && base.failed() == 0), "{harm}");
    // Nobody retries, so clients and gateway have to agree. Between the last look and the end, more may have failed.
    assert!(harm.candidate.failed() <= counted && counted <= summary.failed_sessions, "{summary:#?}");
    assert!(summary.failed_sessions <= counted + 10, "{counted}: {summary:#?}");

    // The good version never lost its share, and history says all in the right order.
    let events = site.history().await;
    let log = events.iter().find_map(|it| match &it.event {
        Event::InstanceGone { log, .. } if !log.is_empty() => Some(log.clone()),
        _ => None,
    });
    assert_eq!(log.expect("what the instance left")[0], "component `web`: running");
    let position = |what: &str, is: &dyn Fn(&Event) -> bool| {
        events.iter().position(|recorded| is(&recorded.event)).unwrap_or_else(|| panic!("no event: {what}"))
    };
    let judged = position("judged", &|event| matches!(event, Event::Judged { version: VersionId(2), .. }));
    let back = position("given back", &|event| matches!(event, Event::ReleaseAborted { version: VersionId(2), .. }));
    let ended = position(
        "ended",
        &|event| matches!(event, Event::InstanceFailed { error, .. } if error.kind() == ErrorKind::Harmful),
    );
    assert!(judged < back && back < ended);
    let first = state.instances.keys().next().expect("it serves").clone();
    let lost_its_share = events.iter().skip_while(|it| !matches!(it.event, Event::ReleaseSettled { .. })).any(|it| {
        matches!(&it.event, Event::SharesAsked { shares, .. } if shares.get(&first).is_none_or(|share| share.is_zero()))
    });
    assert!(!lost_its_share, "the good version kept its share");
}

/// Reads the failed sessions of version 2 from the gateway, until it is gone.
fn count_failed(site: &Site) -> tokio::task::JoinHandle<u64> {
    let service = site.service().clone();
    tokio::spawn(async move {
        let mut most = 0;
        loop {
            let Ok(Some(status)) = service.status().await else { continue };
            let ours = status.state.instances_of(VersionId(2)).map(|(id, _)| id.clone()).collect::<Vec<_>>();
            let figures = status.locators.values().filter_map(|report| report.as_ref().ok());
            let failed = figures.flat_map(|report| ours.iter().filter_map(|id| report.instances.get(id)));
            most = failed.map(|figures| figures.sessions_failed).sum::<u64>().max(most);
            if status.state.versions.contains_key(&VersionId(2)) && status.state.release.is_none() && ours.is_empty() {
                return most;
            }
            let _ = timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_turns_bad_after_its_full_share_goes_back() {
    let Some((site, mut draft, load, acting)) = open(|_| {}).await else { return };
    site.image("v2").await;
    (draft.first_stage, draft.every) = (50, Duration::from_secs(3));
    let old = load_that_stays(&site).await;
    let release = site.release(&draft, "v2").await;
    timeout(PATIENCE, release.settled()).await.expect("in time").expect("it is clean");
    for address in addresses(&site, VersionId(2)).await {
        tell_to_fail(address, 0.5).await;
    }
    let is_back = |state: &haddock_core::release::ServiceState| state.known_good == Some(VersionId(1));
    site.until("the old version serves again", is_back).await;
    drop(old);
    let alone = |state: &haddock_core::release::ServiceState| {
        state.instances.values().all(|instance| instance.version == VersionId(1))
    };
    site.until("the bad one is gone", alone).await;
    site.assert_only(VersionId(1)).await;
    let went_back = site.events(|event| matches!(event, Event::WentBack { .. }).then_some(())).await;
    assert_eq!(went_back.len(), 1);
    load.stop().await.expect("a summary");
    acting.stop().await.expect("it acted to the end");
}

/// Sessions on version 1 that stay, so that it drains for long.
async fn load_that_stays(site: &Site) -> Load {
    site.load(&Options { stay: None, slow: 0.0, websockets: 0.0, ..site.steady(5) }).await
}

async fn addresses(site: &Site, version: VersionId) -> Vec<std::net::SocketAddr> {
    site.state().await.instances_of(version).filter_map(|(_, instance)| instance.address()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_replica_of_a_good_version_goes_alone() {
    let Some((site, _, load, acting)) = open(|draft| draft.replicas = 3).await else { return };
    let state = site.state().await;
    let (bad, instance) = state.instances_of(VersionId(1)).nth(1).expect("three of them");
    tell_to_fail(instance.address().expect("it serves"), 0.3).await;
    let (bad, others) = (bad.clone(), state.instances.keys().filter(|id| *id != bad).cloned().collect::<Vec<_>>());
    let replaced = |state: &haddock_core::release::ServiceState| {
        let serving = state.instances.values().filter(|it| it.is(PhaseName::Serving)).count();
        !state.instances.contains_key(&bad) && serving == 3
    };
    let state = site.until("the bad one is replaced", replaced).await;
    assert!(others.iter().all(|id| state.instances.contains_key(id)), "the others stay");
    assert_eq!(state.asked_share_of(VersionId(1)), Share::FULL);
    let failed = site.events(|event| match event {
        Event::InstanceFailed { instance, error } => Some((instance, error.kind())),
        _ => None,
    });
    assert_eq!(failed.await, [(bad, ErrorKind::Harmful)]);
    load.stop().await.expect("a summary");
    acting.stop().await.expect("it acted to the end");
}
