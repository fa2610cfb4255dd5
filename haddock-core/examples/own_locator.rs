//! A service locator of your own: a router in this process. It passes Haddock's suite, and a release drains on it.
//!
//! ```text
//! cargo run  -p haddock-core --example own_locator --features controller,testing
//! cargo test -p haddock-core --example own_locator --features controller,testing
//! ```
//!
//! A real one would forward requests, or write the table into the configuration of a proxy. It would also keep the table,
//! the newest number and the closed marks on disk before it answers, and put instance and last use into its cookie: a
//! session that it has forgotten after a restart has to find its instance.
#![allow(missing_docs, clippy::print_stdout, reason = "an example says what it does")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use haddock_core::locator::{LocatorCapabilities, ServiceLocator, SessionCount};
use haddock_core::routing::{CloseAnswer, Cohort, Count, InstanceFigures, LocatorReport, RoutingTable, Sessions};
use haddock_core::{Clock, Error, ErrorKind, FencingToken, InstanceId, Result, ServiceName, Timestamp};

/// The router. Clones are the same one.
#[derive(Clone)]
pub struct Router {
    clock: Arc<dyn Clock>,
    since: Timestamp,
    sites: Arc<Mutex<BTreeMap<ServiceName, Site>>>,
}

/// What it knows of one service.
#[derive(Default)]
struct Site {
    newest: FencingToken,
    table: Option<RoutingTable>,
    closed: BTreeSet<InstanceId>,
    figures: BTreeMap<InstanceId, InstanceFigures>,
    /// The tables that were in force, as far back as sessions are counted by them.
    counted: Vec<FencingToken>,
    sessions: BTreeMap<u64, Session>,
    /// How far each instance is behind its share.
    owed: BTreeMap<InstanceId, i64>,
    opened: u64,
}

struct Session {
    instance: InstanceId,
    last_used: Timestamp,
    in_flight: u64,
    failed: bool,
    /// The table under which it began.
    table: FencingToken,
}

/// A request on its way: its instance, and its session if it has one.
pub struct Routed {
    pub instance: InstanceId,
    pub session: Option<u64>,
}

impl Router {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { since: clock.now(), clock, sites: Arc::default() }
    }

    fn sites(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Site>> {
        self.sites.lock().expect("nobody panics while holding it")
    }

    /// Looks at a service as it is now: without the sessions that have expired.
    fn with<T>(&self, service: &ServiceName, look: impl FnOnce(&mut Site, Timestamp) -> T) -> T {
        let (now, mut sites) = (self.clock.now(), self.sites());
        let site = sites.entry(service.clone()).or_default();
        if let Some(table) = &site.table {
            let idle = table.session.idle;
            site.sessions.retain(|_, session| session.in_flight > 0 || now.since(session.last_used) < idle);
        }
        look(site, now)
    }

    /// A client's request: to the instance of its session, else to one in proportion to the shares. `None`: to none.
    pub fn begin(&self, service: &ServiceName, session: Option<u64>, path: &str) -> Option<Routed> {
        self.with(service, |site, now| {
            let known = session.filter(|id| site.sessions.get(id).is_some_and(|it| site.serves(&it.instance)));
            let (instance, session) = match known {
                Some(id) => (site.sessions[&id].instance.clone(), Some(id)),
                None => (site.next()?, site.open(path)),
            };
            let figures = site.figures.entry(instance.clone()).or_default();
            figures.requests_begun += 1;
            figures.in_flight += 1;
            if let Some(id) = session {
                let table = site.table.as_ref()?.number;
                if known.is_none() {
                    figures.sessions_begun += 1;
                    count(&mut figures.cohorts, table, 1, 0);
                }
                let new = Session { instance: instance.clone(), last_used: now, in_flight: 0, failed: false, table };
                site.sessions.entry(id).or_insert(new).in_flight += 1;
            }
            Some(Routed { instance, session })
        })
    }

    /// Its answer has been sent.
    pub fn finish(&self, service: &ServiceName, routed: &Routed, failed: bool) {
        self.with(service, |site, now| {
            let figures = site.figures.entry(routed.instance.clone()).or_default();
            figures.in_flight -= 1;
            figures.requests_failed += u64::from(failed);
            // An eviction has ended it meanwhile, perhaps.
            let Some(session) = routed.session.and_then(|id| site.sessions.get_mut(&id)) else { return };
            if failed && !session.failed {
                figures.sessions_failed += 1;
                count(&mut figures.cohorts, session.table, 0, 1);
            }
            figures.last_seen = Some(now);
            session.failed |= failed;
            session.in_flight -= 1;
            session.last_used = now;
        });
    }
}

/// Counts more sessions under the table under which they began, unless that table is forgotten.
fn count(cohorts: &mut Vec<Cohort>, table: FencingToken, begun: u64, failed: u64) {
    if begun > 0 && cohorts.last().is_none_or(|cohort| cohort.table != table) {
        cohorts.push(Cohort { table, sessions: Sessions::NONE, slow: 0 });
    }
    if let Some(cohort) = cohorts.iter_mut().find(|cohort| cohort.table == table) {
        let (begun, failed) = (cohort.sessions.begun() + begun, cohort.sessions.failed() + failed);
        cohort.sessions = Sessions::new(begun, failed).expect("only what began fails, and it fails once");
    }
}

impl Site {
    /// From now on, sessions begin under this table. A release needs the last few.
    fn begin_counting(&mut self, table: FencingToken) {
        self.counted.push(table);
        self.counted.dedup();
        let gone = self.counted.len().saturating_sub(16);
        self.counted.drain(..gone);
        for figures in self.figures.values_mut() {
            figures.cohorts.retain(|cohort| self.counted.contains(&cohort.table));
        }
    }

    /// Takes a call with this number, unless it is older than one that was seen.
    fn take(&mut self, number: FencingToken) -> Result<()> {
        if number < self.newest {
            let message = format!("number {number} is older than {}", self.newest);
            return Err(Error::new(ErrorKind::StaleNumber, message));
        }
        self.newest = number;
        Ok(())
    }

    fn is_closed(&self, instance: &InstanceId) -> bool {
        let covered = self.table.as_ref().and_then(|table| table.watermark.as_ref());
        self.closed.contains(instance) || covered.is_some_and(|watermark| watermark.covers(instance))
    }

    /// Whether sessions of this instance stay on it: whatever its share is.
    fn serves(&self, instance: &InstanceId) -> bool {
        self.table.as_ref().is_some_and(|table| table.routes.contains_key(instance)) && !self.is_closed(instance)
    }

    /// The instance that is furthest behind its share.
    fn next(&mut self) -> Option<InstanceId> {
        let mut total = 0;
        for (instance, route) in &self.table.as_ref()?.routes {
            if !route.share.is_zero() && !self.is_closed(instance) {
                let weight = i64::from(route.share.as_basis_points());
                *self.owed.entry(instance.clone()).or_default() += weight;
                total += weight;
            }
        }
        let mut listed: Vec<_> = self.owed.iter_mut().collect();
        listed.retain(|(instance, _)| self.table.as_ref().is_some_and(|it| it.routes.contains_key(*instance)));
        let (instance, owed) = listed.into_iter().max_by_key(|(_, owed)| **owed).filter(|_| total > 0)?;
        *owed -= total;
        Some(instance.clone())
    }

    /// The id of a new session; `None` on a path that opens none.
    fn open(&mut self, path: &str) -> Option<u64> {
        let opens = !self.table.as_ref()?.session.ignore.iter().any(|ignored| ignored == path);
        self.opened += u64::from(opens);
        opens.then_some(self.opened)
    }

    fn figures(&self, instance: &InstanceId) -> InstanceFigures {
        let live = self.sessions.values().filter(|session| session.instance == *instance).count();
        let route = self.table.as_ref().and_then(|table| table.routes.get(instance));
        InstanceFigures {
            share: route.map(|route| route.share),
            closed: self.is_closed(instance),
            live: Count::Exact(live as u64),
            ..self.figures.get(instance).cloned().unwrap_or_default()
        }
    }
}

#[async_trait]
impl ServiceLocator for Router {
    // What is not named here is left out of the suite, and refused where somebody asks for it.
    fn capabilities(&self) -> LocatorCapabilities {
        LocatorCapabilities {
            keeps_sticky_at_zero: true,
            session_count: SessionCount::Exact,
            atomic_close: true, // one lock is held for the look and its effect
            counts_by_table: true,
            follows_unseen: true,
            counts_by_policy: true,
            ..LocatorCapabilities::default()
        }
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        self.with(&table.service, |site, _| {
            site.take(table.number)?;
            site.table = Some(table.clone());
            site.owed.clear();
            site.begin_counting(table.number);
            Ok(())
        })
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        self.with(service, |site, _| {
            site.take(number)?;
            let figures = site.figures(instance);
            let has_share = figures.share.is_some_and(|share| !share.is_zero());
            if !figures.closed && (has_share || !figures.is_empty()) {
                return Ok(CloseAnswer::Busy(figures));
            }
            site.closed.insert(instance.clone());
            Ok(CloseAnswer::Closed)
        })
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()> {
        self.with(service, |site, _| {
            site.take(number)?;
            let before = site.sessions.len();
            site.sessions.retain(|_, session| session.instance != *instance);
            let ended = before - site.sessions.len();
            site.figures.entry(instance.clone()).or_default().sessions_evicted += ended as u64;
            site.closed.insert(instance.clone());
            Ok(())
        })
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        self.with(service, |site, _| {
            let listed = site.table.iter().flat_map(|table| table.routes.keys());
            let told: BTreeSet<InstanceId> = listed.chain(&site.closed).cloned().collect();
            Ok(LocatorReport {
                newest: site.newest,
                table: site.table.as_ref().map(|table| table.number),
                counted: site.counted.clone(),
                instances: told.into_iter().map(|id| (id.clone(), site.figures(&id))).collect(),
                ..LocatorReport::new(1, self.since)
            })
        })
    }
}

impl fmt::Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the router")
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

/// Two releases on it, in time that passes at once.
fn main() -> Result<()> {
    use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
    use haddock_core::testing::World;

    let file = "
name: shop
services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }
x-haddock: { session: { idle: 1h }, release: { ramp: [10%, 100%], every: 10m } }
";
    let world = World::new()?;
    let router = Router::new(world.time.clock());
    let controller = world.controller_with(Arc::new(router.clone()));
    let release = |tag: &str| {
        let options = ResolveOptions { tag: Some(tag.into()), purpose: Purpose::Release, ..ResolveOptions::default() };
        let spec = ComposeFile::parse("compose.yaml", file)?.resolve(&options)?.spec;
        let service = controller.service(spec.service()?.service.clone());
        world.time.block_on(async {
            let acting = service.act().await?;
            let version = service.release(&spec, "me", None).await?.settled().await?;
            println!("version {version} has settled");
            acting.stop().await
        })
    };
    let shop = ServiceName::new("shop")?;
    release("v1")?;
    let first = router.begin(&shop, None, "/").expect("version 1 serves");
    release("v2")?; // while that request lasts
    let again = router.begin(&shop, first.session, "/").expect("its session lives");
    println!("a session stays on {}", again.instance);
    println!("a new one begins on {}", router.begin(&shop, None, "/").expect("version 2 serves").instance);
    Ok(())
}

/// What the suite has to know of it: how a client asks, and how time passes.
#[cfg(test)]
pub mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use haddock_core::locator::suite::{Ask, Cookies, Harness, IGNORED, InFlight};

    use super::*;

    /// A clock that the suite moves.
    #[derive(Debug, Default)]
    pub struct ByHand(Mutex<Duration>);

    impl Clock for ByHand {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_893_456_000_000) + *self.0.lock().expect("nobody panics while holding it")
        }
    }

    /// The locator that is tried, around the router or not, and the router's clients.
    pub struct Stage {
        clock: Arc<ByHand>,
        router: Router,
        locator: Arc<dyn ServiceLocator>,
    }

    impl Stage {
        pub fn new(around: impl FnOnce(Router) -> Arc<dyn ServiceLocator>) -> Self {
            let clock = Arc::new(ByHand::default());
            let router = Router::new(Arc::clone(&clock) as Arc<dyn Clock>);
            Self { clock, locator: around(router.clone()), router }
        }

        fn begin(&self, cookies: &mut Cookies, path: &str) -> Option<Routed> {
            let session = cookies.get("session").and_then(|id| id.parse().ok());
            let routed = self.router.begin(&self.service(), session, path)?;
            if let Some(id) = routed.session {
                cookies.insert("session".to_owned(), id.to_string());
            }
            Some(routed)
        }
    }

    struct Begun(Router, ServiceName, Routed);

    #[async_trait]
    impl InFlight for Begun {
        fn instance(&self) -> InstanceId {
            self.2.instance.clone()
        }

        async fn finish(self: Box<Self>) {
            self.0.finish(&self.1, &self.2, false);
        }
    }

    #[async_trait]
    impl Harness for Stage {
        fn locator(&self) -> Arc<dyn ServiceLocator> {
            Arc::clone(&self.locator)
        }

        fn service(&self) -> ServiceName {
            ServiceName::new("suite").expect("a plain name")
        }

        fn idle(&self) -> Duration {
            Duration::from_secs(60)
        }

        fn now(&self) -> Timestamp {
            self.clock.now()
        }

        async fn start(&self, _instance: &InstanceId) -> SocketAddr {
            ([127, 0, 0, 1], 8080).into() // nothing is forwarded
        }

        async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId> {
            let routed = self.begin(cookies, if ask == Ask::Probe { IGNORED } else { "/" })?;
            self.router.finish(&self.service(), &routed, ask == Ask::Failure);
            Some(routed.instance)
        }

        async fn begin(&self, cookies: &mut Cookies) -> Option<Box<dyn InFlight>> {
            let routed = self.begin(cookies, "/")?;
            Some(Box::new(Begun(self.router.clone(), self.service(), routed)))
        }

        async fn pass(&self, time: Duration) {
            *self.clock.0.lock().expect("nobody panics while holding it") += time;
        }

        async fn restart(&self) -> bool {
            false // it has nothing on disk
        }
    }

    haddock_core::locator_suite!(Stage::new(|router| Arc::new(router)));
}
