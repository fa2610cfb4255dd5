//! How loops and tasks end: a panic is an error, a lost lease ends what is done under it, and no end is unseen.
#![allow(missing_docs)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::controller::{Controller, Service};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::probe::{Probe, ProbeFailure, Probing};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::journal::{Checkpoint, Commit, Journal, Keep, Lease, LoopEnd};
use haddock_core::locator::sim::SimLocator;
use haddock_core::locator::{LocatorCapabilities, ServiceLocator};
use haddock_core::release::{Phase, RecordedEvent, Request, ServiceState};
use haddock_core::routing::{CloseAnswer, LocatorReport, Number, RoutingTable};
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::testing::{VirtualTime, World};
use haddock_core::{Error, ErrorKind, InstanceId, JournalId, RequestId, Result, ServiceName, Timestamp};

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
    locator: Arc<Locator>,
    journal: Arc<Unsteady>,
    probes: Arc<Probes>,
    controller: Controller,
}

impl Place {
    fn new() -> Self {
        let World { time, runtime, locator, .. } = World::new().expect("a world");
        runtime.run_commands(|_, _| Default::default());
        let locator = Arc::new(Locator { inner: locator, panics: AtomicBool::new(false) });
        let journal = MemoryJournal::new(JournalId::new("j1").expect("valid"));
        let journal = Arc::new(Unsteady { inner: journal, away: AtomicBool::new(false) });
        let probes = Arc::new(Probes { inner: runtime.clone(), count: AtomicUsize::new(0) });
        let builder =
            Controller::builder(Arc::new(runtime.clone()), locator.clone(), journal.clone(), SpecStore::memory());
        let controller = builder.clock(time.clock()).probing(probes.clone()).build();
        Self { time, runtime, locator, journal, probes, controller }
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
        place.locator.panics.store(true, Ordering::SeqCst);
        let error = acting.ended().await.expect_err("it panics");
        assert_eq!(error.kind(), ErrorKind::Panicked, "{error}");
        place.locator.panics.store(false, Ordering::SeqCst);

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
        place.locator.panics.store(true, Ordering::SeqCst);
        let (began, time) = (epoch(&place).await, place.time.clock());
        let from = time.now();
        let minutes = async {
            while time.now() - from < Duration::from_secs(600) {
                tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()).await.expect_err("later");
            }
        };
        place.controller.serve(minutes).await.expect("one loop does not end it");
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
    place.journal.away.store(true, Ordering::SeqCst);
    pass(31);
    let at_its_end = probes();
    pass(60);
    assert_eq!(probes(), at_its_end, "another may be launching it by now");
    place.journal.away.store(false, Ordering::SeqCst);
    place.time.block_on(release.settled()).expect("it goes on when the journal is there again");
    assert!(probes() > at_its_end);
    let state = place.time.block_on(service.status()).expect("readable").expect("released").state;
    assert_eq!(state.instances.values().map(|it| it.phase).collect::<Vec<_>>(), [Phase::Serving], "and the same one");
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
            tokio::time::timeout(Duration::from_secs(59), std::future::pending::<()>()).await.expect_err("later");
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

#[derive(Debug)]
struct Locator {
    inner: SimLocator,
    panics: AtomicBool,
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ServiceLocator for Locator {
    fn capabilities(&self) -> LocatorCapabilities {
        self.inner.capabilities()
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        self.inner.apply(table).await
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: Number) -> Result<CloseAnswer> {
        self.inner.close(service, instance, number).await
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: Number) -> Result<()> {
        self.inner.evict(service, instance, number).await
    }

    async fn hold(&self, service: &ServiceName, instance: &InstanceId, within: Duration) -> Result<()> {
        self.inner.hold(service, instance, within).await
    }

    async fn resume(&self, service: &ServiceName, instance: &InstanceId) -> Result<()> {
        self.inner.resume(service, instance).await
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        assert!(!self.panics.load(Ordering::SeqCst), "a bug in a locator");
        self.inner.observe(service).await
    }
}

#[derive(Debug)]
struct Unsteady {
    inner: MemoryJournal,
    away: AtomicBool,
}

impl fmt::Display for Unsteady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Unsteady {
    fn there(&self) -> Result<&MemoryJournal> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::JournalUnavailable, "it is away")),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl Journal for Unsteady {
    fn id(&self) -> &JournalId {
        self.inner.id()
    }
    async fn load(&self, service: &ServiceName) -> Result<Option<ServiceState>> {
        self.there()?.load(service).await
    }
    async fn services(&self) -> Result<Vec<ServiceName>> {
        self.there()?.services().await
    }
    async fn acquire(&self, service: &ServiceName, holder: &str, lasts: Duration, now: Timestamp) -> Result<Lease> {
        self.there()?.acquire(service, holder, lasts, now).await
    }
    async fn raise_epoch(&self, service: &ServiceName, epoch: u64) -> Result<()> {
        self.there()?.raise_epoch(service, epoch).await
    }
    async fn renew(&self, lease: &Lease, lasts: Duration, now: Timestamp) -> Result<Lease> {
        self.there()?.renew(lease, lasts, now).await
    }
    async fn give_back(&self, lease: &Lease) -> Result<()> {
        self.there()?.give_back(lease).await
    }
    async fn lease(&self, service: &ServiceName, now: Timestamp) -> Result<Option<Lease>> {
        self.there()?.lease(service, now).await
    }
    async fn commit(&self, lease: &Lease, commit: &Commit) -> Result<()> {
        self.there()?.commit(lease, commit).await
    }
    async fn submit(&self, service: &ServiceName, request: &Request) -> Result<()> {
        self.there()?.submit(service, request).await
    }
    async fn pending(&self, service: &ServiceName) -> Result<Vec<Request>> {
        self.there()?.pending(service).await
    }
    async fn history(&self, service: &ServiceName, after: u64, limit: usize) -> Result<Vec<RecordedEvent>> {
        self.there()?.history(service, after, limit).await
    }
    async fn newest(&self, service: &ServiceName) -> Result<u64> {
        self.there()?.newest(service).await
    }
    async fn taken_at(&self, service: &ServiceName, request: &RequestId) -> Result<Option<u64>> {
        self.there()?.taken_at(service, request).await
    }
    async fn checkpoint(&self, service: &ServiceName, upto: u64) -> Result<Checkpoint> {
        self.there()?.checkpoint(service, upto).await
    }
    async fn prune(&self, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<()> {
        self.there()?.prune(service, keep, now).await
    }
    async fn note_end(&self, service: &ServiceName, end: Option<LoopEnd>) -> Result<()> {
        self.there()?.note_end(service, end).await
    }
    async fn last_end(&self, service: &ServiceName) -> Result<Option<LoopEnd>> {
        self.there()?.last_end(service).await
    }
}
