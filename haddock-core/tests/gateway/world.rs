//! A gateway with a clock that is moved by hand, and what the cases of the suite ask of it.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::gateway::{Gateway, GatewayBuilder};
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::locator::suite::{Ask, Cookies, Harness, IGNORED, InFlight};
use haddock_core::routing::{ApplicationCookie, CookieMode, InstanceFigures, Route, RoutingTable, SessionPolicy};
use haddock_core::{Clock, FencingToken, InstanceId, ServiceName, Share, Timestamp};
use http::{Request, header};
use http_body_util::Full;

pub(crate) use crate::instances::{Instance, Instances, Reply, get, path_of, send};

/// A clock that stands still unless it is moved.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_795_000_000_000)))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).expect("short"), Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, time: Duration) {
        self.0.fetch_sub(u64::try_from(time.as_millis()).expect("short"), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) fn service() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

pub(crate) fn number(revision: u64) -> FencingToken {
    FencingToken { epoch: 1, revision }
}

pub(crate) fn table(revision: u64, idle: Duration, routes: &[(&str, SocketAddr, u32)]) -> RoutingTable {
    let route = |(name, address, share): &(&str, SocketAddr, u32)| {
        (InstanceId::new(name).expect("valid"), Route::new(*address, Share::percent(*share)))
    };
    RoutingTable {
        service: service(),
        number: number(revision),
        session: SessionPolicy { idle, ignore: vec![IGNORED.to_owned()], ..SessionPolicy::default() },
        routes: routes.iter().map(route).collect::<BTreeMap<_, _>>(),
        watermark: None,
    }
}

/// The idle time in the table of [`World::with_one`].
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// A gateway with one service and a directory of its own.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) instances: Instances,
    gateway: Mutex<Option<Gateway>>,
    remote: bool,
    application: Option<ApplicationCookie>,
}

impl World {
    /// Its sessions are known by a cookie that the instances set.
    pub(crate) async fn with_cookie(name: &str, mode: CookieMode) -> Self {
        let application = Some(ApplicationCookie { name: name.to_owned(), mode });
        Self { application, instances: Instances::with_cookie(name), ..Self::new(false).await }
    }

    pub(crate) async fn new(remote: bool) -> Self {
        let world = Self::before_it_begins(remote);
        world.begin(|builder| builder).await;
        world
    }

    /// Two that have the same clock, before their gateways begin. The instances are those of the first.
    pub(crate) fn pair(application: Option<(&str, CookieMode)>) -> [Self; 2] {
        let cookie = application.map(|(name, mode)| ApplicationCookie { name: name.to_owned(), mode });
        let instances = application.map_or_else(Instances::default, |(name, _)| Instances::with_cookie(name));
        let first = Self { instances, application: cookie, ..Self::before_it_begins(false) };
        let second = Self { clock: Arc::clone(&first.clock), ..Self::before_it_begins(false) };
        [first, second]
    }

    /// With one instance, `shop-1`, that gets every new session.
    pub(crate) async fn with_one(with: impl FnOnce(GatewayBuilder) -> GatewayBuilder) -> (Self, Instance) {
        let world = Self::before_it_begins(false);
        world.begin(with).await;
        let instance = Instance::start("shop-1").await;
        world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
        (world, instance)
    }

    fn before_it_begins(remote: bool) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a directory"),
            clock: HandClock::new(),
            instances: Instances::default(),
            gateway: Mutex::default(),
            remote,
            application: None,
        }
    }

    pub(crate) async fn begin(&self, with: impl FnOnce(GatewayBuilder) -> GatewayBuilder) {
        let builder = Gateway::builder()
            .admin(SocketAddr::from(([127, 0, 0, 1], 0)))
            .state_dir(self.dir.path().join("state"))
            .worker_threads(2)
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>);
        let gateway = with(builder).start().await.expect("a gateway");
        *self.gateway.lock().expect("not poisoned") = Some(gateway);
    }

    pub(crate) fn kill(&self) {
        self.gateway.lock().expect("not poisoned").take();
    }

    pub(crate) fn take(&self) -> Gateway {
        self.gateway.lock().expect("not poisoned").take().expect("running")
    }

    pub(crate) fn with_gateway<T>(&self, look: impl FnOnce(&Gateway) -> T) -> T {
        look(self.gateway.lock().expect("not poisoned").as_ref().expect("running"))
    }

    /// The figures of an instance.
    pub(crate) async fn figures(&self, instance: &str) -> InstanceFigures {
        let report = self.locator().observe(&service()).await.expect("a report");
        report.instances[&InstanceId::new(instance).expect("valid")].clone()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.lock().expect("not poisoned").as_ref().expect("running").local_addr()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.gateway.lock().expect("not poisoned").as_ref().expect("running").admin_addr().expect("asked for")
    }

    /// The figures for Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        let request = Request::get("/metrics").header(header::HOST, "127.0.0.1").body(Full::default()).expect("valid");
        String::from_utf8(send(self.admin(), request).await.body.to_vec()).expect("text")
    }
}

#[async_trait]
impl Harness for World {
    fn locator(&self) -> Arc<dyn ServiceLocator> {
        if self.remote {
            return Arc::new(RemoteGateway::new(&format!("http://{}", self.admin()), None).expect("valid"));
        }
        self.gateway.lock().expect("not poisoned").as_ref().expect("running").locator()
    }

    fn service(&self) -> ServiceName {
        service()
    }

    fn application(&self) -> Option<ApplicationCookie> {
        self.application.clone()
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn start(&self, instance: &InstanceId) -> SocketAddr {
        self.instances.get(instance).await.address
    }

    async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId> {
        get(self.address(), path_of(ask), cookies).await.instance()
    }

    async fn begin(&self, cookies: &mut Cookies) -> Option<Box<dyn InFlight>> {
        self.instances.begin(self.address(), cookies).await
    }

    async fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }

    async fn restart(&self) -> bool {
        self.kill();
        self.begin(|builder| builder).await;
        true
    }
}

/// Waits for something, with a deadline.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        while !holds().await {
            pause.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
