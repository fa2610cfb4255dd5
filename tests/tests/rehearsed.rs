//! A rehearsal says what a real release does: on a real engine, behind a real gateway, with real sessions.
#![allow(clippy::print_stderr, reason = "figures, for who reads the test's output")]

use std::time::Duration;

use haddock_core::rehearsal::{Errors, Faults, PlannedRelease, Quantiles, Rehearsal, Stay, Times, Traffic};
use haddock_core::release::{Event, RecordedEvent};
use haddock_core::routing::Rate;
use haddock_core::{Timestamp, VersionId};
use haddock_examples::client::Options;
use haddock_examples::show::Load;
use haddock_tests::site::{Draft, Site};
use tokio::time::timeout;

const PLAYER: &str = env!("CARGO_BIN_EXE_player");
const PATIENCE: Duration = Duration::from_secs(120);
const SEEDS: u64 = 200;

/// A service at version 1, many sessions of 100 ms, and how many of them begin in a minute.
async fn open(site: &Site) -> (Load, f64) {
    let stay = Some(Duration::from_millis(100));
    let load =
        Options { sessions: 40, rate: 400.0, stay, slow: 0.0, websockets: 0.0, arrivals: 400.0, ..site.steady(40) };
    let load = site.load(&load).await;
    let before = begun(site).await;
    let _ = timeout(Duration::from_secs(5), std::future::pending::<()>()).await;
    let rate = (begun(site).await - before) as f64 * 12.0;
    (load, rate)
}

/// All sessions that began so far.
async fn begun(site: &Site) -> u64 {
    let status = site.service().status().await.expect("a journal").expect("a service");
    let reports = status.locators.values().filter_map(|report| report.as_ref().ok());
    reports.flat_map(|report| report.instances.values()).map(|figures| figures.sessions_begun).sum()
}

/// When the first of these happened.
fn when(events: &[RecordedEvent], what: &str, is: impl Fn(&Event) -> bool) -> Timestamp {
    events.iter().find(|it| is(&it.event)).unwrap_or_else(|| panic!("it did not happen: {what}")).at
}

/// The same release in virtual time, with the times that the machine took.
fn rehearse(draft: &Draft, events: &[RecordedEvent], per_minute: f64, faults: Faults) -> Rehearsal {
    let traffic = Traffic::steady(per_minute, Stay::exponential(Duration::from_millis(100))).expect("a rate");
    let mut rehearsal = Rehearsal::of_file(&draft.resolve("v2"), traffic).expect("a file");
    let starting = when(events, "starting", |it| matches!(it, Event::InstanceStarting { version: VersionId(2), .. }));
    let ready = when(events, "ready", |it| matches!(it, Event::StageReached { version: VersionId(2), .. }));
    rehearsal.times = Times {
        pull: Duration::from_millis(200),
        start: ready - starting,
        look: Duration::from_millis(200),
        ..Times::default()
    };
    rehearsal.releases = vec![PlannedRelease { faults, ..PlannedRelease::default() }];
    rehearsal
}

fn assert_agrees(what: &str, real: f64, rehearsed: Quantiles) {
    let (low, high) = (rehearsed.p10.expect("it happens") * 0.95, rehearsed.p90.expect("it happens") * 1.05);
    eprintln!("{what}: {real:.1} in reality, {rehearsed:?} rehearsed");
    assert!((low..=high).contains(&real), "{what}: {real} in reality, {low} to {high} rehearsed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_takes_as_long_as_rehearsed() {
    let Some(site) = Site::open(PLAYER).await else { return };
    let mut draft = site.draft();
    (draft.every, draft.settle) = (Duration::from_secs(12), Duration::from_secs(8));
    let acting = site.service().act().await.expect("nobody else acts");
    site.release_and_wait(&site.draft(), "v1").await;
    let (load, per_minute) = open(&site).await;
    site.image("v2").await;
    let already = site.history().await.len();
    let release = site.release(&draft, "v2").await;
    timeout(PATIENCE, release.gone()).await.expect("in time").expect("it is clean");
    let events = site.history().await.split_off(already);
    let asked = when(&events, "asked", |it| matches!(it, Event::RequestTaken { .. }));
    let full = when(&events, "full", |it| matches!(it, Event::ReleaseSettling { .. })) - asked;
    let gone = when(&events, "gone", |it| matches!(it, Event::InstanceGone { .. })) - asked;
    load.stop().await.expect("a summary");
    acting.stop().await.expect("it acted to the end");

    let rehearsed = rehearse(&draft, &events, per_minute, Faults::default()).summary(1, SEEDS).expect("a plan");
    assert_agrees("seconds to the full share", full.as_secs_f64(), rehearsed.to_full_share);
    assert_agrees("seconds until the old version was gone", gone.as_secs_f64(), rehearsed.to_gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_harms_as_many_as_rehearsed() {
    let Some(site) = Site::open(PLAYER).await else { return };
    let mut draft = site.draft();
    (draft.first_stage, draft.every) = (10, Duration::from_secs(3600));
    let acting = site.service().act().await.expect("nobody else acts");
    site.release_and_wait(&site.draft(), "v1").await;
    let (load, per_minute) = open(&site).await;
    site.image("v2").await;
    let already = site.history().await.len();
    let release = site.release(&draft.clone().variable("ERROR_RATE", "0.2"), "v2").await;
    timeout(PATIENCE, release.settled()).await.expect("in time").expect_err("it is given up");
    let only_first =
        |state: &haddock_core::release::ServiceState| state.instances.values().all(|it| it.version == VersionId(1));
    site.until("the candidate is gone", only_first).await;
    let events = site.history().await.split_off(already);
    let harm = site.state().await.versions[&VersionId(2)].harm.expect("a judgement");
    let summary = load.stop().await.expect("a summary");
    acting.stop().await.expect("it acted to the end");

    // What the application fails by request, a session meets as often as it asks.
    let rate = harm.candidate.rate().expect("some began");
    let errors = Some(Errors::always(Rate::new(rate).expect("a rate")));
    let faults = Faults { errors, ..Faults::default() };
    let rehearsal = rehearse(&draft, &events, per_minute, faults);
    let mut harmed: Vec<u64> =
        (1..=SEEDS).map(|seed| rehearsal.run(seed).expect("a plan").releases[0].sessions_harmed).collect();
    harmed.sort_unstable();
    // One release in reality is one of all that are possible: as good as never outside the whole range.
    let (least, most) = (harmed[0], harmed[harmed.len() - 1]);
    eprintln!("{} failed in reality, {least} to {most} were harmed in {SEEDS} rehearsals", summary.failed_sessions);
    assert!(summary.failed_sessions <= most * 2 && summary.failed_sessions * 2 >= least, "{harm}");
}
