//! How loops and tasks end: a panic is an error, a lost lease ends all tasks under it, and every end is reported.
#![allow(missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::controller::{Controller, Service, Watcher};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::probe::{Probe, ProbeFailure, Probing};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::Journal;
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::release::{Action, PhaseName, Request, ServiceState};
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::testing::{Call, Fault, Faulty, VirtualTime, World};
use haddock_core::{Error, ErrorKind, JournalId, RequestId, Result, ServiceName};

const FILE: &str = "
name: shop
services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }
x-haddock:
  entry: 'web:8080'
  ready: { within: 10m }
  release: { ramp: [100%], settle: 0s, hooks: { serving: 'consume' } }
";

fn spec(tag: &str) -> EnvironmentSpec {
    let options = ResolveOptions { tag: Some(tag.into()), purpose: Purpose::Release, ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", FILE).expect("YAML").resolve(&options).expect("good").spec
}

/// A locator, and a journal, that do as they are told.
struct Place {
    time: VirtualTime,
    runtime: SimRuntime,
    /// Whether the locator has a bug.
    panics: Arc<AtomicBool>,
    /// Whether the journal is away.
    away: Arc<AtomicBool>,
    journal: Arc<Faulty<MemoryJournal>>,
    probes: Arc<Probes>,
    controller: Controller,
}

impl Place {
    fn new() -> Self {
        let World { time, runtime, locator, .. } = World::new().expect("a world");
        runtime.run_commands(|_, _| Default::default());
        let (panics, away) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let bug = Arc::clone(&panics);
        let locator = Arc::new(Faulty::new(locator, move |call: Call| {
            assert!(call.method != "observe" || !bug.load(Ordering::SeqCst), "a bug in a locator");
            None
        }));
        let journal = MemoryJournal::new(JournalId::new("j1").expect("valid"));
        let gone = Arc::clone(&away);
        let journal = Arc::new(Faulty::new(journal, move |_: Call| {
            let error = Error::new(ErrorKind::JournalUnavailable, "it is away");
            gone.load(Ordering::SeqCst).then_some(Fault::Fails(error))
        }));
        let probes = Arc::new(Probes { inner: runtime.clone(), count: AtomicUsize::new(0) });
        let builder = Controller::builder(Arc::new(runtime.clone()), locator, journal.clone(), SpecStore::memory());
        let controller = builder.clock(time.clock()).probing(probes.clone()).build();
        Self { time, runtime, panics, away, journal, probes, controller }
    }

    fn service(&self) -> Service {
        self.controller.service(ServiceName::new("shop").expect("valid"))
    }
}

#[test]
fn a_task_that_panics_is_ended_with_an_error() {
    let place = Place::new();
    place.runtime.run_commands(|_, _| panic!("no such thing"));
    let service = place.service();
    place.time.block_on(async {
        let acting = service.act().await.expect("free");
        let release = service.release(&spec("v1"), "the test", None).await.expect("asked for");
        let error = release.settled().await.expect_err("its hook never runs");
        assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
        assert!(error.message().contains("`hook` panicked: no such thing"), "{error}");
        acting.stop().await.expect("the loop goes on");
    });
}

#[test]
fn a_loop_that_panics_is_seen_and_gives_its_lease_back() {
    let place = Place::new();
    let service = place.service();
    place.time.block_on(async {
        let mut acting = service.act().await.expect("free");
        let release = service.release(&spec("v1"), "the test", None).await.expect("asked for");
        release.settled().await.expect("settles");
        place.panics.store(true, Ordering::SeqCst);
        let error = acting.ended().await.expect_err("it panics");
        assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
        place.panics.store(false, Ordering::SeqCst);

        let status = service.status().await.expect("readable").expect("released");
        assert_eq!(status.ended.as_ref().map(|end| end.error.kind()), Some(ErrorKind::Panicked));
        assert_eq!(status.summary().ended, status.ended, "people see it, too");
        assert_eq!(service.acting().await.expect("readable"), None, "the lease was given back");
        let acting = service.act().await.expect("free at once");
        let release = service.release(&spec("v2"), "the test", None).await.expect("asked for");
        release.settled().await.expect("settles");
        assert_eq!(service.status().await.expect("readable").expect("released").ended, None, "that is past");
        acting.stop().await.expect("it acted");
    });
}

#[test]
fn serving_begins_again_after_a_panic_but_not_at_once_for_ever() {
    let place = Place::new();
    let service = place.service();
    place.time.block_on(async {
        place.journal.submit(service.name(), &asking()).await.expect("submitted");
        place.panics.store(true, Ordering::SeqCst);
        let began = epoch(&place).await;
        place.controller.serve(passed(Duration::from_secs(600))).await.expect("one loop does not end it");
        let tries = epoch(&place).await - began;
        assert!((5..=20).contains(&tries), "{tries} tries in ten minutes");
    });
}

async fn epoch(place: &Place) -> u64 {
    let service = place.service();
    let now = place.time.clock().now();
    let lease = place.journal.acquire(service.name(), "the test", Duration::ZERO, now).await.expect("free");
    lease.epoch
}

fn asking() -> Request {
    let text = r#"{ "id": "r1", "at": 1, "by": "the test", "verb": "pause" }"#;
    Request::read(RequestId::new("r1").expect("valid"), text)
}

#[test]
fn a_lost_lease_ends_what_is_carried_out_under_it() {
    let place = Place::new();
    place.runtime.add_image("shop:v1", SimImage::good(Duration::from_secs(300)));
    let service = place.service();
    let probes = || place.probes.count.load(Ordering::SeqCst);
    let pass = |seconds| place.time.advance(Duration::from_secs(seconds));
    let acting = place.time.block_on(service.act()).expect("free");
    let release = place.time.block_on(service.release(&spec("v1"), "the test", None)).expect("asked for");
    pass(10);
    assert!(probes() > 0, "it is being launched");
    place.away.store(true, Ordering::SeqCst);
    pass(31);
    let at_its_end = probes();
    pass(60);
    assert_eq!(probes(), at_its_end, "another may be launching it by now");
    place.away.store(false, Ordering::SeqCst);
    place.time.block_on(release.settled()).expect("it goes on when the journal is there again");
    assert!(probes() > at_its_end);
    let state = place.time.block_on(service.status()).expect("readable").expect("released").state;
    assert_eq!(
        state.instances.values().map(|it| it.phase.name()).collect::<Vec<_>>(),
        [PhaseName::Serving],
        "and the same one"
    );
    place.time.block_on(acting.stop()).expect("it acted all along");
}

#[test]
fn a_lease_that_is_too_short_is_refused() {
    let World { runtime, locator, .. } = World::new().expect("a world");
    let builder = || {
        let journal = Arc::new(MemoryJournal::new(JournalId::new("j1").expect("valid")));
        Controller::builder(Arc::new(runtime.clone()), Arc::new(locator.clone()), journal, SpecStore::memory())
    };
    let error = builder().lease(Duration::from_secs(5)).err().expect("nothing would be carried out");
    assert_eq!(error.kind(), ErrorKind::InvalidValue);
    assert!(error.hint().is_some_and(|hint| hint.contains("15 s")), "{error:?}");
    builder().lease(Duration::from_secs(15)).map(drop).expect("long enough");
}

/// The least lease is long enough: with ticks that are far longer, too.
#[test]
fn under_the_least_lease_everything_is_carried_out() {
    let World { time, runtime, locator, .. } = World::new().expect("a world");
    runtime.run_commands(|_, _| Default::default());
    let journal = Arc::new(MemoryJournal::new(JournalId::new("j1").expect("valid")));
    let builder =
        Controller::builder(Arc::new(runtime.clone()), Arc::new(locator), journal.clone(), SpecStore::memory());
    let builder = builder.clock(time.clock()).probing(Arc::new(runtime)).tick(Duration::from_secs(60));
    let controller = builder.lease(Duration::from_secs(15)).expect("long enough").build();
    let service = controller.service(ServiceName::new("shop").expect("valid"));
    time.block_on(async {
        let acting = service.act().await.expect("free");
        for tag in ["v1", "v2"] {
            let release = service.release(&spec(tag), "the test", None).await.expect("asked for");
            release.settled().await.expect("settles");
        }
        for _ in 0..10 {
            passed(Duration::from_secs(59)).await;
            assert!(service.acting().await.expect("readable").is_some(), "the lease is renewed in time");
        }
        acting.stop().await.expect("it acted");
    });
}

#[derive(Debug)]
struct Probes {
    inner: SimRuntime,
    count: AtomicUsize,
}

#[async_trait]
impl Probing for Probes {
    async fn probe(&self, probe: &Probe, limit: Duration) -> Result<(), ProbeFailure> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.inner.probe(probe, limit).await
    }
}

/// Ends when so much time has passed.
async fn passed(time: Duration) {
    drop(tokio::time::timeout(time, std::future::pending::<()>()).await);
}

/// Counts the tries of a loop that cannot begin.
#[derive(Debug, Default)]
struct Ends(AtomicUsize);

impl Watcher for Ends {
    fn ended(&self, _: &ServiceName, _: &Error) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_service_that_cannot_be_read_is_tried_at_growing_intervals() {
    let World { time, runtime, locator, .. } = World::new().expect("a world");
    let journal = MemoryJournal::new(JournalId::new("j1").expect("valid"));
    let journal = Arc::new(Faulty::new(journal, |call: Call| {
        (call.method == "load").then(|| Fault::Fails(Error::new(ErrorKind::JournalTooNew, "another's")))
    }));
    let ends = Arc::new(Ends::default());
    let builder = Controller::builder(Arc::new(runtime), Arc::new(locator), journal.clone(), SpecStore::memory());
    let controller = builder.clock(time.clock()).watcher(ends.clone()).build();
    time.block_on(async {
        let shop = ServiceName::new("shop").expect("valid");
        journal.submit(&shop, &asking()).await.expect("submitted");
        controller.serve(passed(Duration::from_secs(600))).await.expect("one service does not end it");
    });
    let tries = ends.0.load(Ordering::SeqCst);
    assert!((5..=20).contains(&tries), "{tries} tries in ten minutes");
}

#[test]
fn serving_outlasts_a_journal_that_is_away() {
    let place = Place::new();
    place.away.store(true, Ordering::SeqCst);
    let back = async {
        passed(Duration::from_secs(60)).await;
        place.away.store(false, Ordering::SeqCst);
        let release = place.service().release(&spec("v1"), "the test", None).await.expect("asked for");
        release.settled().await.expect("it is served again");
    };
    place.time.block_on(place.controller.serve(back)).expect("it goes on");
}

#[test]
fn one_that_was_fenced_notes_nothing() {
    let place = Place::new();
    let service = place.service();
    place.time.block_on(async {
        let mut acting = service.act().await.expect("free");
        place.journal.raise_epoch(service.name(), 99).await.expect("another has taken over");
        assert_eq!(acting.ended().await.expect_err("fenced").kind(), ErrorKind::Fenced);
        assert_eq!(place.journal.last_end(service.name()).await.expect("readable"), None, "the other acts");
    });
}

#[test]
fn a_loop_that_ends_ends_its_tasks() {
    let place = Place::new();
    place.runtime.add_image("shop:v1", SimImage::good(Duration::from_secs(300)));
    let service = place.service();
    let probes = || place.probes.count.load(Ordering::SeqCst);
    let acting = place.time.block_on(service.act()).expect("free");
    place.time.block_on(service.release(&spec("v1"), "the test", None)).expect("asked for");
    place.time.advance(Duration::from_secs(10));
    assert!(probes() > 0, "it is being launched");
    place.time.block_on(acting.stop()).expect("it acted");
    let at_its_end = probes();
    place.time.advance(Duration::from_secs(25));
    assert_eq!(probes(), at_its_end, "another may be launching it by now");
}

/// What the lease has left when an action begins.
#[derive(Debug)]
struct Begins(Arc<AtomicBool>, AtomicUsize);

impl Watcher for Begins {
    fn acting(&self, _: &ServiceState, _: &Action) {
        self.1.fetch_add(usize::from(self.0.load(Ordering::SeqCst)), Ordering::SeqCst);
    }
}

#[test]
fn nothing_begins_under_a_lease_that_is_about_to_run_out() {
    let World { time, runtime, locator, .. } = World::new().expect("a world");
    runtime.run_commands(|_, _| Default::default());
    let slow = Arc::new(AtomicBool::new(true));
    let so = Arc::clone(&slow);
    let journal = MemoryJournal::new(JournalId::new("j1").expect("valid"));
    let journal = Arc::new(Faulty::new(journal, move |call: Call| {
        let late = call.method == "commit" && so.load(Ordering::SeqCst);
        late.then_some(Fault::Late(Duration::from_secs(26)))
    }));
    let begins = Arc::new(Begins(Arc::clone(&slow), AtomicUsize::new(0)));
    let builder = Controller::builder(Arc::new(runtime.clone()), Arc::new(locator), journal, SpecStore::memory());
    let controller = builder.clock(time.clock()).probing(Arc::new(runtime)).watcher(begins.clone()).build();
    let service = controller.service(ServiceName::new("shop").expect("valid"));
    let acting = time.block_on(service.act()).expect("free");
    let release = time.block_on(service.release(&spec("v1"), "the test", None)).expect("asked for");
    time.advance(Duration::from_secs(180));
    assert_eq!(begins.1.load(Ordering::SeqCst), 0, "4 s are left of the lease, and a call may take 5 s");
    slow.store(false, Ordering::SeqCst);
    time.block_on(release.settled()).expect("it is decided again");
    time.block_on(acting.stop()).expect("it acted");
}
