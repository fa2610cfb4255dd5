//! Two gateways with the same key in front of the same instances: clients come through one and the other by turns.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use haddock_core::locator::suite::{Ask, Cookies, Harness, InFlight};
use haddock_core::locator::{LocatorCapabilities, ServiceLocator, SessionCount};
use haddock_core::routing::{
    ApplicationCookie, CloseAnswer, CookieMode, Count, FencingToken, InstanceFigures, LocatorReport, RoutingTable,
};
use haddock_core::{InstanceId, Result, ServiceName, Timestamp};

use crate::world::{World, get, path_of, service};

const KEY: [u8; 32] = [7; 32];

/// Two gateways as one locator, as a controller sees them: each gets each call, and figures add up.
#[derive(Debug)]
struct Both([Arc<dyn ServiceLocator>; 2]);

impl fmt::Display for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two gateways")
    }
}

/// An instance's figures of both. What only one of them names, the other has nothing on.
fn together(a: &InstanceFigures, b: &InstanceFigures) -> InstanceFigures {
    let live = match (a.live, b.live) {
        (Count::Exact(0), other) | (other, Count::Exact(0)) => other,
        // A session that both have seen counts twice.
        (Count::Exact(a) | Count::AtMost(a), Count::Exact(b) | Count::AtMost(b)) => Count::AtMost(a + b),
        _ => Count::Unknown,
    };
    InstanceFigures {
        share: a.share.min(b.share),
        closed: a.closed && b.closed,
        live,
        in_flight: a.in_flight + b.in_flight,
        upgraded: a.upgraded + b.upgraded,
        sessions_begun: a.sessions_begun + b.sessions_begun,
        requests_begun: a.requests_begun + b.requests_begun,
        sessions_failed: a.sessions_failed + b.sessions_failed,
        requests_failed: a.requests_failed + b.requests_failed,
        sessions_evicted: a.sessions_evicted + b.sessions_evicted,
        last_seen: a.last_seen.max(b.last_seen),
        ..InstanceFigures::default()
    }
}

#[async_trait]
impl ServiceLocator for Both {
    fn capabilities(&self) -> LocatorCapabilities {
        let [one, _] = &self.0;
        // Tables are counted by each gateway for itself, and what both have seen counts twice. Between the looks at both, and
        // between the two closes, a session may come: that is what the controller's rounds are for.
        LocatorCapabilities {
            session_count: SessionCount::UpperBound,
            counts_by_table: false,
            atomic_close: false,
            ..one.capabilities()
        }
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        try_join_all(self.0.iter().map(|it| it.apply(table))).await.map(drop)
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        // One that has something left is asked first, and refuses. Then none has closed.
        let mut members = Vec::new();
        for member in &self.0 {
            let figures = member.observe(service).await?.instances.remove(instance).unwrap_or_default();
            members.push((figures.is_empty(), member));
        }
        members.sort_by_key(|(is_empty, _)| *is_empty);
        for (_, member) in members {
            if let CloseAnswer::Busy(figures) = member.close(service, instance, number).await? {
                return Ok(CloseAnswer::Busy(figures));
            }
        }
        Ok(CloseAnswer::Closed)
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()> {
        try_join_all(self.0.iter().map(|it| it.evict(service, instance, number))).await.map(drop)
    }

    async fn hold(&self, service: &ServiceName, instance: &InstanceId, within: Duration) -> Result<()> {
        try_join_all(self.0.iter().map(|it| it.hold(service, instance, within))).await.map(drop)
    }

    async fn resume(&self, service: &ServiceName, instance: &InstanceId) -> Result<()> {
        try_join_all(self.0.iter().map(|it| it.resume(service, instance))).await.map(drop)
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        let reports = try_join_all(self.0.iter().map(|it| it.observe(service))).await?;
        let [a, b] = &reports[..] else { panic!("there are two") };
        let mut instances = BTreeMap::new();
        for id in a.instances.keys().chain(b.instances.keys()) {
            let of = |report: &LocatorReport| report.instances.get(id).cloned().unwrap_or_default();
            instances.insert(id.clone(), together(&of(a), &of(b)));
        }
        Ok(LocatorReport {
            newest: a.newest.max(b.newest),
            table: a.table.min(b.table),
            instances,
            ..LocatorReport::new(a.incarnation ^ b.incarnation.rotate_left(1), a.counting_since.max(b.counting_since))
        })
    }
}

/// Two gateways, the instances of the first, and clients that change over with each request.
pub(crate) struct Group {
    worlds: [World; 2],
    turn: AtomicUsize,
}

impl Group {
    pub(crate) async fn new(application: Option<(&str, CookieMode)>) -> Self {
        let worlds = World::pair(application);
        for world in &worlds {
            world.begin(|builder| builder.key(KEY)).await;
        }
        // Their key is not new: somebody may have sessions from before. After an idle time nobody has.
        worlds[0].pass(worlds[0].idle() * 2).await;
        Self { worlds, turn: AtomicUsize::new(0) }
    }

    /// Where the next request goes.
    fn address(&self) -> SocketAddr {
        self.worlds[self.turn.fetch_add(1, Ordering::Relaxed) % 2].address()
    }
}

#[async_trait]
impl Harness for Group {
    fn locator(&self) -> Arc<dyn ServiceLocator> {
        Arc::new(Both([self.worlds[0].locator(), self.worlds[1].locator()]))
    }

    fn service(&self) -> ServiceName {
        service()
    }

    fn application(&self) -> Option<ApplicationCookie> {
        self.worlds[0].application()
    }

    fn idle(&self) -> Duration {
        self.worlds[0].idle()
    }

    fn now(&self) -> Timestamp {
        self.worlds[0].now()
    }

    async fn start(&self, instance: &InstanceId) -> SocketAddr {
        self.worlds[0].start(instance).await
    }

    async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId> {
        get(self.address(), path_of(ask), cookies).await.instance()
    }

    async fn begin(&self, cookies: &mut Cookies) -> Option<Box<dyn InFlight>> {
        self.worlds[0].instances.begin(self.address(), cookies).await
    }

    async fn pass(&self, time: Duration) {
        // Both have the same clock.
        self.worlds[0].pass(time).await;
    }

    async fn restart(&self) -> bool {
        for world in &self.worlds {
            world.kill();
            world.begin(|builder| builder.key(KEY)).await;
        }
        true
    }
}
