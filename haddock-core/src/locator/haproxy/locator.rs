//! HAProxy as a locator.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;

use super::advice;
use super::answers::{self, ServerState};
use super::client::Client;
use super::count::{self, Listing};
use super::figures::View;
use super::kept::{Kept, Life, Turn};
use super::plan::{self, Order};
use super::sight::{self, Keeping, Known, Sight};
use crate::error::{Error, ErrorKind, Result};
use crate::locator::{Advice, LocatorCapabilities, ServiceLocator, SessionCount};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{CloseAnswer, Count, FencingToken, InstanceFigures, LocatorReport, RoutingTable, SessionPolicy};
use crate::time::{Clock, Timestamp, sleep};

/// How long a call may take, from the contract of locators.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How often a reloaded HAProxy is looked for. Until it is found, it has no servers and answers 503.
const WATCH_EVERY: Duration = Duration::from_millis(200);
/// A full table drops the oldest entries, one in 256 of its size at once. So it is full from here on.
const FULL_AT: u64 = 128;

/// What all clones of a locator share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) client: Client,
    pub(super) kept: Kept,
    pub(super) backends: BTreeMap<ServiceName, String>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) known: Mutex<BTreeMap<String, Known>>,
    pub(super) listings: Mutex<BTreeMap<String, Listing>>,
    /// Why the last change of a service could not be written to disk.
    pub(super) unsaved: Mutex<BTreeMap<ServiceName, String>>,
    pub(super) watched: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is behind it is only remembered, so it is good enough after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn backend<'s>(&'s self, service: &'s ServiceName) -> &'s str {
        self.backends.get(service).map_or(service.as_str(), String::as_str)
    }

    fn no_backend(&self, service: &ServiceName) -> Error {
        let backend = self.backend(service);
        let message = format!("{} has no backend `{backend}` for `{service}`", self.client);
        Error::new(ErrorKind::LocatorRefused, message)
            .with_hint(format!("add `backend {backend}` to `haproxy.cfg`; `haddock check` prints its lines"))
    }

    pub(super) async fn keeping(&self, backend: &str, sight: &Sight) -> Result<Keeping> {
        let incarnation = sight.process.incarnation;
        let known = lock(&self.known).get(backend).copied();
        if let Some(known) = known.filter(|known| known.incarnation == incarnation) {
            return Ok(known.keeping);
        }
        let keeping = sight::keeping(&self.client, &*self.clock, backend, sight.table.as_ref()).await?;
        let known = Known { incarnation, keeping, named: sight.is_named() };
        lock(&self.known).insert(backend.to_owned(), known);
        Ok(keeping)
    }

    /// The sessions of each server. `fresh`: none that was counted before will do.
    async fn listing(&self, backend: &str, sight: &Sight, fresh: bool) -> Option<Listing> {
        let (incarnation, now) = (sight.process.incarnation, self.clock.now());
        let earlier = lock(&self.listings).get(backend).cloned();
        if let Some(earlier) = earlier.filter(|earlier| !fresh && earlier.is_good(incarnation, now)) {
            return Some(earlier.again());
        }
        let Sight { servers, stats, table, .. } = sight;
        let head = table.as_ref()?;
        let listing = count::list(&self.client, &*self.clock, backend, incarnation, head, servers, stats).await;
        lock(&self.listings).insert(backend.to_owned(), listing.clone());
        Some(listing)
    }

    /// Notes which process it is, and whether its table is full.
    fn note_life(&self, turn: &mut Turn, sight: &Sight) {
        let (now, own) = (self.clock.now(), &mut turn.state.own);
        let incarnation = sight.process.incarnation;
        if own.life.as_ref().is_none_or(|life| life.incarnation != incarnation) {
            let after = own.life.as_ref().map(|life| life.since + Duration::from_millis(1));
            // At most a second too late: then what is not known yet stays unknown a little longer.
            let since = Some(now.before(sight.process.uptime)).max(after).unwrap_or(now);
            own.life = Some(Life { incarnation, since, full: None });
            own.past.clear();
        }
        let full = sight.table.as_ref().is_some_and(|table| table.used >= table.size - table.size / FULL_AT);
        if let Some(life) = own.life.as_mut().filter(|_| full) {
            // Each second would be on disk, else.
            if life.full.is_none_or(|noted| now.since(noted) >= Duration::from_secs(10)) {
                life.full = Some(now);
            }
        }
    }

    async fn order(&self, order: &Order) -> Result<()> {
        match order.answer {
            Some(answer) => self.client.order(&order.command, answer).await,
            None => self.client.ask(&order.command).await.map(|_| ()),
        }
    }

    /// Puts the table into force, as far as HAProxy is not as it says: it is new, or HAProxy was restarted or reloaded,
    /// or somebody has changed a server. Answers with the last look, and whether the table is in force.
    async fn settle(&self, turn: &mut Turn, sight: Sight) -> Result<(Sight, bool)> {
        self.note_life(turn, &sight);
        plan::number(&mut turn.state, &sight.servers);
        self.save(turn).await?;
        let backend = self.backend(&turn.state.service).to_owned();
        let orders = plan::orders(&turn.state, &backend, &sight.servers, sight.is_named());
        if orders.is_empty() {
            self.let_in(&backend, &sight).await?;
            return Ok((sight, true));
        }
        let mut refused = None;
        for order in &orders {
            match self.order(order).await {
                Err(error) if error.kind() == ErrorKind::LocatorUnavailable => return Err(error),
                // The others go on: what is in force should be as near to the table as it can be.
                Err(error) => refused = refused.or(Some(error)),
                Ok(()) => {}
            }
        }
        let service = turn.state.service.clone();
        let sight = sight::look(&self.client, &backend).await?.ok_or_else(|| self.no_backend(&service))?;
        let in_force = plan::orders(&turn.state, &backend, &sight.servers, sight.is_named()).is_empty();
        if let Some(error) = refused.filter(|_| !in_force) {
            tracing::warn!(%error, %service, "the table is not in force at HAProxy");
        }
        if in_force {
            self.let_in(&backend, &sight).await?;
        }
        Ok((sight, in_force))
    }

    /// Lets requests in that have waited since HAProxy's start. All servers are there; the sessions have to be, too, if
    /// peers have them.
    async fn let_in(&self, backend: &str, sight: &Sight) -> Result<()> {
        match plan::let_in(backend, &sight.servers) {
            Some(order) if answers::peers_are_settled(&self.client.ask("show peers").await?) => {
                self.order(&order).await
            }
            _ => Ok(()),
        }
    }

    /// Removes the servers that no table lists any more, once they have no connection.
    async fn remove_leaving(&self, turn: &mut Turn, sight: &Sight, keeping: Keeping) -> Result<()> {
        let leaving = plan::leaving(&turn.state, &sight.servers);
        for (id, _) in leaving.iter().filter(|(id, _)| sight.stats(id.as_str()).busy == 0) {
            self.remove(turn, sight, keeping, id).await?;
        }
        Ok(())
    }

    /// Removes a server that is in maintenance. Answers whether it is gone.
    async fn remove(&self, turn: &mut Turn, sight: &Sight, keeping: Keeping, id: &InstanceId) -> Result<bool> {
        let backend = self.backend(&turn.state.service).to_owned();
        let Some(server) = sight.server(id.as_str()) else { return Ok(true) };
        let answer = self.client.ask(&format!("del server {backend}/{id}")).await?;
        if !answer.starts_with("Server deleted") {
            return Ok(false);
        }
        let view = View { state: &turn.state, sight, keeping, listing: None, now: self.clock.now() };
        let past = view.past(id);
        turn.state.own.past.insert(id.clone(), past);
        turn.state.own.servers.remove(id);
        // An answer that came late may have entered its session again.
        if keeping != Keeping::NoTable {
            self.client.ask(&plan::clear(&backend, server.id).command).await?;
        }
        Ok(true)
    }

    async fn save(&self, turn: &mut Turn) -> Result<()> {
        let service = turn.state.service.clone();
        let saved = turn.save().await;
        let mut unsaved = lock(&self.unsaved);
        match &saved {
            Ok(()) => unsaved.remove(&service),
            Err(error) => unsaved.insert(service, error.message().to_owned()),
        };
        saved
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    // ---- the verbs -----------------------------------------------------------------------------------------------

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        let service = &table.service;
        let mut turn = self.kept.turn(service).await?;
        turn.take_number(table.number)?;
        let backend = self.backend(service);
        let sight = sight::look(&self.client, backend).await?.ok_or_else(|| self.no_backend(service))?;
        turn.state.table = Some(table.clone());
        turn.state.watermarks.raise(table.watermark.as_ref());
        let (sight, in_force) = self.settle(&mut turn, sight).await?;
        self.keeping(backend, &sight).await?;
        turn.forget_the_gone();
        self.save(&mut turn).await?;
        if !in_force {
            let message = format!("{} did not take the table {} of `{service}`", self.client, table.number);
            return Err(Error::new(ErrorKind::LocatorRefused, message)
                .with_hint("`haddock check` says what the backend lacks; `balance` has to be a dynamic algorithm"));
        }
        Ok(())
    }

    async fn close(&self, service: &ServiceName, id: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        let mut turn = self.kept.turn(service).await?;
        turn.take_number(number)?;
        let backend = self.backend(service);
        let sight = sight::look(&self.client, backend).await?;
        let Some(sight) = sight else {
            // Without a backend, nobody gets anything.
            turn.state.closed.insert(id.clone());
            self.save(&mut turn).await?;
            return Ok(CloseAnswer::Closed);
        };
        let (sight, _) = self.settle(&mut turn, sight).await?;
        let keeping = self.keeping(backend, &sight).await?;
        if turn.is_closed(id) || sight.server(id.as_str()).is_none() && !plan::wanted(&turn.state).contains_key(id) {
            turn.state.closed.insert(id.clone());
            self.save(&mut turn).await?;
            return Ok(CloseAnswer::Closed);
        }
        let busy =
            |figures: &InstanceFigures| figures.share.is_some_and(|share| !share.is_zero()) || !figures.is_empty();
        let listing = self.listing(backend, &sight, false).await;
        let view = View { state: &turn.state, sight: &sight, keeping, listing: listing.as_ref(), now: self.now() };
        let figures = view.figures(id);
        if busy(&figures) {
            return Ok(CloseAnswer::Busy(figures));
        }
        // From here on it gets nothing. If something was on its way to it, it is seen now, and may go on.
        self.order(&plan::state(backend, id, "maint")).await?;
        let sight = sight::look(&self.client, backend).await?.ok_or_else(|| self.no_backend(service))?;
        let listing = self.listing(backend, &sight, true).await;
        let view = View { state: &turn.state, sight: &sight, keeping, listing: listing.as_ref(), now: self.now() };
        let figures = view.figures(id);
        if busy(&figures) {
            self.order(&plan::state(backend, id, "ready")).await?;
            return Ok(CloseAnswer::Busy(figures));
        }
        turn.state.closed.insert(id.clone());
        // If it still has an idle connection, it is removed at a later look.
        self.remove(&mut turn, &sight, keeping, id).await?;
        self.save(&mut turn).await?;
        Ok(CloseAnswer::Closed)
    }

    async fn evict(&self, service: &ServiceName, id: &InstanceId, number: FencingToken) -> Result<()> {
        let mut turn = self.kept.turn(service).await?;
        turn.take_number(number)?;
        let backend = self.backend(service);
        let sight = sight::look(&self.client, backend).await?;
        let known = turn.is_closed(id);
        turn.state.closed.insert(id.clone());
        let Some(sight) = sight else { return self.save(&mut turn).await };
        self.note_life(&mut turn, &sight);
        let keeping = self.keeping(backend, &sight).await?;
        if let Some(server) = sight.server(id.as_str()).filter(|_| !known) {
            let listing = self.listing(backend, &sight, true).await;
            let sessions = listing.map_or(Count::Unknown, |it| it.sessions(server.id, 0));
            if let (Count::Exact(sessions), Keeping::Sessions { .. }) = (sessions, keeping) {
                turn.state.own.past.entry(id.clone()).or_default().evicted += sessions;
            }
        }
        // The mark is on disk before it is carried out; an interrupted eviction is completed at the next look.
        let (sight, in_force) = self.settle(&mut turn, sight).await?;
        self.remove_leaving(&mut turn, &sight, keeping).await?;
        self.save(&mut turn).await?;
        let gone = |server: &ServerState| server.is_in_maintenance();
        if !in_force && !sight.server(id.as_str()).is_none_or(gone) {
            let message = format!("{} did not take `{id}` out of service", self.client);
            return Err(Error::new(ErrorKind::LocatorRefused, message));
        }
        Ok(())
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        let mut turn = self.kept.turn(service).await?;
        let backend = self.backend(service);
        if !turn.is_known() {
            let process = sight::process(&self.client).await?;
            return Ok(LocatorReport::new(process.incarnation, self.now().before(process.uptime)));
        }
        let sight = sight::look(&self.client, backend).await?.ok_or_else(|| self.no_backend(service))?;
        let settled = self.settle(&mut turn, sight).await;
        let (sight, in_force) = match settled {
            // What is in force stays so, and is told.
            Err(error) if error.kind() == ErrorKind::Io => {
                let sight = sight::look(&self.client, backend).await?.ok_or_else(|| self.no_backend(service))?;
                let in_force = plan::orders(&turn.state, backend, &sight.servers, sight.is_named()).is_empty();
                (sight, in_force)
            }
            settled => settled?,
        };
        let keeping = self.keeping(backend, &sight).await?;
        self.remove_leaving(&mut turn, &sight, keeping).await?;
        turn.forget_the_gone();
        let _ = self.save(&mut turn).await;
        let blind = View { state: &turn.state, sight: &sight, keeping, listing: None, now: self.now() };
        let listing = if blind.can_count() { self.listing(backend, &sight, false).await } else { None };
        let view = View { listing: listing.as_ref(), now: self.now(), ..blind };
        let unsaved = lock(&self.unsaved).get(service).cloned();
        Ok(LocatorReport { unsaved, ..view.report(in_force) })
    }

    async fn check(&self, service: &ServiceName, policy: &SessionPolicy) -> Result<Vec<Advice>> {
        let turn = self.kept.turn(service).await?;
        let backend = self.backend(service);
        let sight = sight::look(&self.client, backend).await?;
        let keeping = match &sight {
            Some(sight) => sight::keeping(&self.client, &*self.clock, backend, sight.table.as_ref()).await?,
            None => Keeping::NoTable,
        };
        let ours = |server: &&ServerState| turn.state.own.servers.keys().any(|id| id.as_str() == server.name);
        let servers = sight.iter().flat_map(|sight| &sight.servers);
        let foreign: Vec<String> = servers
            .filter(|server| !ours(server) && server.weight > 0 && server.name != plan::READY_SERVER)
            .map(|server| server.name.clone())
            .collect();
        Ok(advice::of(backend, sight.as_ref(), keeping, policy, &foreign))
    }

    /// Registers all servers again at a new process. Answers whether nothing is left to be done.
    async fn restore(&self) -> Result<bool> {
        let mut done = true;
        for service in self.kept.services()? {
            let mut turn = self.kept.turn(&service).await?;
            let backend = self.backend(&service);
            if let Some(sight) = sight::look(&self.client, backend).await? {
                let (sight, in_force) = self.settle(&mut turn, sight).await?;
                // Whether those that waited are in by now, the next look shows.
                done &= !in_force || plan::let_in(backend, &sight.servers).is_none();
            }
        }
        Ok(done)
    }
}

/// Looks for a new process of HAProxy for as long as the locator is in use.
async fn watch(desk: Weak<Desk>) {
    let mut known = None;
    loop {
        sleep(WATCH_EVERY).await;
        let Some(desk) = desk.upgrade() else { return };
        let Ok(process) = sight::process(&desk.client).await else { continue };
        if known != Some(process.incarnation) && matches!(desk.restore().await, Ok(true)) {
            known = Some(process.incarnation);
        }
    }
}

/// An HAProxy, over its runtime API. See [the module](super).
#[derive(Debug, Clone)]
pub struct HaproxyLocator {
    pub(super) desk: Arc<Desk>,
}

impl HaproxyLocator {
    async fn in_time<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        if !self.desk.watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(watch(Arc::downgrade(&self.desk)));
        }
        match tokio::time::timeout(CALL_LIMIT, call).await {
            Ok(result) => result,
            Err(_) => {
                let message = format!("{self} does not answer within {} s", CALL_LIMIT.as_secs());
                Err(Error::new(ErrorKind::LocatorUnavailable, message))
            }
        }
    }
}

impl fmt::Display for HaproxyLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.desk.client.fmt(f)
    }
}

#[async_trait]
impl ServiceLocator for HaproxyLocator {
    /// Whether sessions are counted depends on the stick tables of the backends. Before one was looked at, it is taken
    /// for granted: an instance whose sessions cannot be counted is not closed in any case.
    fn capabilities(&self) -> LocatorCapabilities {
        let known = lock(&self.desk.known);
        let counts = known.values().all(|known| matches!(known.keeping, Keeping::Sessions { .. }));
        let named = known.values().all(|known| known.named);
        LocatorCapabilities {
            // Without a table, no session is kept anywhere.
            keeps_sticky_at_zero: counts,
            session_count: if counts { SessionCount::Exact } else { SessionCount::None },
            atomic_close: true,
            follows_unseen: named,
            ..LocatorCapabilities::default()
        }
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        self.in_time(self.desk.apply(table)).await
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        self.in_time(self.desk.close(service, instance, number)).await
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()> {
        self.in_time(self.desk.evict(service, instance, number)).await
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        self.in_time(self.desk.observe(service)).await
    }

    async fn check(&self, service: &ServiceName, session: &SessionPolicy) -> Result<Vec<Advice>> {
        self.in_time(self.desk.check(service, session)).await
    }
}
