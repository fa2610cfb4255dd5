//! The inside of the gateway, for its benchmarks. No part of the API.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::name::{InstanceId, ServiceName};
use crate::routing::{FencingToken, Route, RoutingTable, SessionPolicy, Share};
use crate::time::{Clock as _, SystemClock, Timestamp};

use super::cookie::{Claim, Sealer};
use super::key::Keys;
use super::logged_routing::{LoggedRouting, RoutingGuard};
use super::service_routing::{Before, Outcome, Restamp, ServiceRouting};
use super::session_log::{Boot, SessionLog};
use super::sessions::{Begun, Found, SessionTable};
use super::store::Store;
use super::tick::{TICK, Tick};

/// A service with many live sessions.
#[derive(Debug)]
pub struct Crowd {
    routing: ServiceRouting,
    sealer: Sealer,
    table: SessionTable,
    instances: Vec<InstanceId>,
    sessions: Vec<(u64, u32, Vec<u8>)>,
    now: Timestamp,
}

impl Crowd {
    /// With that many sessions on ten instances.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "it does not")]
    pub fn new(sessions: u32) -> Self {
        let service = ServiceName::new("shop").expect("valid");
        let now = Timestamp::from_millis(1_795_000_000_000);
        let sealer = Sealer::new(&Keys::new([7; 32], None), &service);
        let mut routing = ServiceRouting::new(1, now, Before::Listed, sessions, 42);
        let instances: Vec<_> =
            (0..10).map(|n| InstanceId::new(format!("shop-{n}-ab12cd34")).expect("valid")).collect();
        let route = Route::new(([127, 0, 0, 1], 8080).into(), Share::percent(10));
        routing.apply(
            &RoutingTable {
                service,
                number: FencingToken { epoch: 1, revision: 1 },
                session: SessionPolicy { idle: Duration::from_secs(1800), ..SessionPolicy::default() },
                routes: instances.iter().map(|id| (id.clone(), route.clone())).collect(),
                watermark: None,
            },
            now,
        );
        let mut table = SessionTable::new(sessions, Duration::from_secs(1800), Tick(0));
        let mut made = Vec::new();
        for _ in 0..sessions {
            let mut placement = routing.place(None, "/", &[], now).expect("a share");
            let Restamp { instance, stamp, .. } = routing.restamp(&mut placement, now).expect("new");
            let id = placement.session.expect("one").id;
            let mut cookie = Vec::new();
            sealer.seal(Claim { session: id, stamp, instance: instance.as_str() }, &mut cookie);
            routing.finish(&placement, Outcome::Sent, now);
            let slot = table.insert(id, placement.instance, Tick(0), Begun::In(0)).expect("room");
            table.end_request(slot, Tick(0));
            made.push((id, placement.instance, cookie));
        }
        Self { routing, sealer, table, instances, sessions: made, now }
    }

    /// Bytes of the session table for each session.
    #[must_use]
    pub fn bytes_each(&self) -> f64 {
        self.table.bytes() as f64 / self.sessions.len() as f64
    }

    /// What a request brings with it.
    #[must_use]
    pub fn input(&self, n: usize) -> Input {
        let (session, instance, cookie) = &self.sessions[n % self.sessions.len()];
        Input { session: *session, instance: self.instances[*instance as usize].clone(), cookie: cookie.clone() }
    }

    /// Finds a session and marks it as used, as a request does at its begin and at its end.
    pub fn touch(&mut self, input: &Input) -> u32 {
        let Found::Live(slot, instance) = self.table.find(input.session, Tick(0), Tick(1)) else { return u32::MAX };
        self.table.begin_request(slot, Tick(1));
        self.table.end_request(slot, Tick(1));
        instance
    }

    /// Decides where a request of a session goes whose cookie has been checked, and gives its place back.
    pub fn decide(&mut self, input: &Input) -> u32 {
        let claim = Claim { session: input.session, stamp: self.now, instance: input.instance.as_str() };
        let Some(placement) = self.routing.place(Some(claim), "/", &[], self.now) else { return u32::MAX };
        self.routing.finish(&placement, Outcome::Sent, self.now + TICK);
        placement.instance
    }

    /// The same, and counts how long the request took, as the end of each request does.
    pub fn decide_and_time(&mut self, input: &Input) -> u32 {
        let claim = Claim { session: input.session, stamp: self.now, instance: input.instance.as_str() };
        let Some(placement) = self.routing.place(Some(claim), "/", &[], self.now) else { return u32::MAX };
        let took = Duration::from_millis(input.session % 100);
        self.routing.took(&placement, took, Some(took));
        self.routing.finish(&placement, Outcome::Sent, self.now + TICK);
        placement.instance
    }

    /// The same, with the check of the cookie.
    pub fn decide_by_cookie(&mut self, input: &Input) -> u32 {
        let claim = self.sealer.open(&input.cookie);
        let Some(placement) = self.routing.place(claim, "/", &[], self.now) else { return u32::MAX };
        self.routing.finish(&placement, Outcome::Sent, self.now + TICK);
        placement.instance
    }

    /// Makes a cookie.
    pub fn seal(&mut self, input: &Input) -> u32 {
        let mut cookie = Vec::with_capacity(80);
        self.sealer
            .seal(Claim { session: input.session, stamp: self.now, instance: input.instance.as_str() }, &mut cookie);
        u32::from(cookie[0])
    }
}

/// A service whose sessions begin, with or without a log of them.
#[derive(Debug)]
pub struct Opening {
    routing: Mutex<LoggedRouting>,
    clock: SystemClock,
}

impl Opening {
    /// With this state directory. `logs`: whether sessions are logged.
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "it does not")]
    pub fn new(dir: &Path, sessions: u32, logs: bool) -> Self {
        let clock = SystemClock::new();
        let now = clock.now();
        let service = ServiceName::new("shop").expect("valid");
        let mut routing = ServiceRouting::new(1, now, Before::Listed, sessions, 42);
        let id = InstanceId::new("shop-1-ab12cd34").expect("valid");
        let route = Route::new(([127, 0, 0, 1], 8080).into(), Share::percent(100));
        let table = RoutingTable {
            service: service.clone(),
            number: FencingToken { epoch: 1, revision: 1 },
            session: SessionPolicy::default(),
            routes: [(id, route)].into(),
            watermark: None,
        };
        routing.apply(&table, now);
        let (store, _) = Store::open(dir).expect("a directory of its own");
        let boot = if logs { Boot::present() } else { None };
        let log = SessionLog::new(store.sessions_file(&service), service.as_str(), boot);
        Self { routing: Mutex::new(LoggedRouting::begin(routing, log, store, service, now)), clock }
    }

    /// A request that opens a session, from its begin to its end.
    #[allow(clippy::missing_panics_doc, reason = "it does not")]
    pub fn open(&self) {
        let lock = || RoutingGuard::new(self.routing.lock().expect("not poisoned"), &self.clock);
        let now = self.clock.now();
        let placement = lock().place(None, "/", &[], now).expect("a share");
        lock().finish(&placement, Outcome::Sent, now);
    }
}

/// What a request brings with it.
#[derive(Debug)]
pub struct Input {
    session: u64,
    instance: InstanceId,
    cookie: Vec<u8>,
}
