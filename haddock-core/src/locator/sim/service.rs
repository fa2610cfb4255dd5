//! What a locator knows about one service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::session::{Cookie, LocatorRules, SessionId, Ticket};
use crate::error::{Error, ErrorKind, Result};
use crate::name::InstanceId;
use crate::routing::{
    Cohort, Count, FencingToken, InstanceFigures, Route, RoutingTable, SessionBy, Sessions, Share, client_number,
    version_of_client,
};
use crate::time::Timestamp;

/// Tables by which sessions are counted: the newest.
const MAX_TABLES: usize = 32;

/// How a session came to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// It was there before this request.
    Before,
    /// It begins, and chance decided where.
    ByChance,
    /// It begins, and its client's cookie decided where.
    ByCookie,
}

/// One service.
#[derive(Debug, Clone, Default)]
pub(super) struct SimService {
    // On disk:
    pub(super) newest: FencingToken,
    pub(super) table: Option<RoutingTable>,
    pub(super) closed: BTreeSet<InstanceId>,
    // In memory:
    tallies: BTreeMap<InstanceId, Tally>,
    sessions: BTreeMap<SessionId, Session>,
    /// The tables that were in force since counting began.
    counted: Vec<FencingToken>,
    /// Smooth weighted round robin: what each instance with a share is owed.
    credit: BTreeMap<InstanceId, i64>,
}

#[derive(Debug, Clone)]
struct Session {
    instance: InstanceId,
    last_end: Timestamp,
    in_flight: u32,
    failed: bool,
    /// Whether it began here since counting began.
    is_own: bool,
    /// The table under which it began here.
    cohort: Option<FencingToken>,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    in_flight: u64,
    upgraded: u64,
    sessions_begun: u64,
    requests_begun: u64,
    sessions_failed: u64,
    requests_failed: u64,
    sessions_evicted: u64,
    last_seen: Option<Timestamp>,
    cohorts: BTreeMap<FencingToken, Sessions>,
}

impl SimService {
    fn idle(&self) -> Duration {
        self.table.as_ref().map(|table| table.session.idle).unwrap_or_default()
    }

    /// Refuses a number that is older than the newest, and notes the newest.
    pub(super) fn take_number(&mut self, rules: &LocatorRules, number: FencingToken) -> Result<()> {
        if number < self.newest && rules.refuse_older {
            let message = format!("number {number} is older than {}, the newest seen", self.newest);
            return Err(Error::new(ErrorKind::StaleNumber, message));
        }
        self.newest = self.newest.max(number);
        Ok(())
    }

    pub(super) fn apply(&mut self, table: &RoutingTable) {
        self.credit.retain(|id, _| table.routes.contains_key(id));
        self.table = Some(table.clone());
        self.counted.push(table.number);
        self.counted.dedup();
        if self.counted.len() > MAX_TABLES {
            let gone = self.counted.remove(0);
            for tally in self.tallies.values_mut() {
                tally.cohorts.remove(&gone);
            }
        }
    }

    /// The tables by which sessions are counted, oldest first.
    pub(super) fn counted(&self) -> Vec<FencingToken> {
        self.counted.clone()
    }

    /// Forgets the sessions that have expired.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let idle = self.idle();
        self.sessions.retain(|_, session| session.in_flight > 0 || session.last_end + idle > now);
    }

    /// Whether a request goes to the instance in its cookie.
    pub(super) fn follows(&self, rules: &LocatorRules, cookie: &Cookie, now: Timestamp) -> bool {
        let listed = self.table.as_ref().is_some_and(|table| table.routes.contains_key(&cookie.instance));
        if !listed || self.closed.contains(&cookie.instance) {
            return false;
        }
        if let Some(session) = self.sessions.get(&cookie.session) {
            return session.instance == cookie.instance;
        }
        let lives = cookie.last_use + self.idle() > now || !rules.expire_cookies;
        if !self.sessions_come_back() {
            return rules.follow_unseen && lives;
        }
        // The application's cookie does not say when it was last used.
        rules.follow_unseen && !(rules.keep_out_while_closing && self.is_closing(&cookie.instance))
    }

    /// Whether a session may come back after it has expired: it is known by a cookie of the application.
    fn sessions_come_back(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.session.application.is_some())
    }

    fn is_closing(&self, instance: &InstanceId) -> bool {
        let route = self.table.as_ref().and_then(|table| table.routes.get(instance));
        route.is_some_and(|route| route.closing) && !self.closed.contains(instance)
    }

    /// Whether a request with this cookie waits, because its instance is about to be closed.
    pub(super) fn waits(&self, rules: &LocatorRules, cookie: &Cookie) -> bool {
        let known = self.sessions.get(&cookie.session).is_some_and(|session| session.instance == cookie.instance);
        rules.keep_out_while_closing && self.sessions_come_back() && self.is_closing(&cookie.instance) && !known
    }

    /// The instance for a request that has only a cookie of this name: one that was adopted with sessions that are
    /// known by such a cookie, if there is one.
    pub(super) fn adopted(&self, cookie: &str, now: Timestamp) -> Option<InstanceId> {
        let routes = self.table.iter().flat_map(|table| &table.routes);
        let adopts = |route: &Route| {
            let adopted = route.adopted.as_ref().filter(|adopted| now < adopted.until);
            adopted.is_some_and(|adopted| adopted.cookie.as_ref().is_none_or(|name| name == cookie))
        };
        routes.into_iter().find(|(id, route)| adopts(route) && !self.closed.contains(*id)).map(|(id, _)| id.clone())
    }

    /// The instance that the next new session goes to: smooth weighted round robin over the shares in force. The client may
    /// decide of which version it is.
    pub(super) fn next(&mut self, client: u64) -> Option<InstanceId> {
        let table = self.table.as_ref()?;
        let open = || table.routes.iter().filter(|(id, route)| !route.share.is_zero() && !self.closed.contains(*id));
        let version = match table.session.by {
            SessionBy::Session => None,
            SessionBy::Client => {
                let mut shares: BTreeMap<Option<u64>, u32> = BTreeMap::new();
                for (_, route) in open() {
                    *shares.entry(route.version).or_default() += route.share.as_basis_points();
                }
                Some(version_of_client(&shares, |version| client_number(client, version))?)
            }
        };
        let open = open().filter(|(_, route)| version.is_none_or(|version| version == route.version));
        let mut total = 0;
        let mut best: Option<(i64, InstanceId)> = None;
        for (id, route) in open {
            let weight = i64::from(route.share.as_basis_points());
            total += weight;
            let credit = self.credit.entry(id.clone()).or_default();
            *credit += weight;
            if best.as_ref().is_none_or(|(most, _)| *credit > *most) {
                best = Some((*credit, id.clone()));
            }
        }
        let (_, chosen) = best?;
        if let Some(credit) = self.credit.get_mut(&chosen) {
            *credit -= total;
        }
        Some(chosen)
    }

    /// Begins a request of a session. Returns where it goes.
    pub(super) fn begin(
        &mut self,
        session: SessionId,
        instance: &InstanceId,
        opened: Opened,
        upgraded: bool,
        now: Timestamp,
    ) -> Option<SocketAddr> {
        let address = self.table.as_ref()?.routes.get(instance)?.address;
        let cohort = self.counted.last().copied().filter(|_| opened == Opened::ByChance);
        let is_own = opened != Opened::Before;
        let fresh = Session { instance: instance.clone(), last_end: now, in_flight: 0, failed: false, is_own, cohort };
        self.sessions.entry(session).or_insert(fresh).in_flight += 1;
        let tally = self.tallies.entry(instance.clone()).or_default();
        tally.sessions_begun += u64::from(opened != Opened::Before);
        if let Some(cohort) = cohort {
            tally.cohorts.entry(cohort).or_default().count_begun();
        }
        tally.requests_begun += 1;
        if upgraded {
            tally.upgraded += 1;
        } else {
            tally.in_flight += 1;
        }
        Some(address)
    }

    /// Ends a request. Returns whether its session lives on.
    pub(super) fn finish(&mut self, ticket: &Ticket, failed: bool, now: Timestamp) -> bool {
        let tally = self.tallies.entry(ticket.instance.clone()).or_default();
        if ticket.upgraded {
            tally.upgraded = tally.upgraded.saturating_sub(1);
        } else {
            tally.in_flight = tally.in_flight.saturating_sub(1);
        }
        tally.requests_failed += u64::from(failed);
        let Some(session) = self.sessions.get_mut(&ticket.session) else { return false };
        tally.last_seen = Some(now);
        if failed && !session.failed && session.is_own {
            tally.sessions_failed += 1;
            if let Some(sessions) = session.cohort.and_then(|cohort| tally.cohorts.get_mut(&cohort)) {
                sessions.count_failed();
            }
        }
        session.failed |= failed;
        session.in_flight = session.in_flight.saturating_sub(1);
        session.last_end = now;
        true
    }

    /// Closes it; its sessions end. Requests in flight are not cut.
    pub(super) fn evict(&mut self, instance: &InstanceId) {
        if !self.closed.insert(instance.clone()) {
            return;
        }
        let before = self.sessions.len();
        self.sessions.retain(|_, session| session.instance != *instance);
        let ended = u64::try_from(before - self.sessions.len()).unwrap_or(u64::MAX);
        self.tallies.entry(instance.clone()).or_default().sessions_evicted += ended;
    }

    /// The figures of instances that are listed or closed, or that have anything on them. `since`: when counting began
    /// anew, if sessions from before may live.
    pub(super) fn figures(
        &self,
        rules: &LocatorRules,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> BTreeMap<InstanceId, InstanceFigures> {
        let unknown = since.is_some_and(|since| since + self.idle() > now);
        let mut all: BTreeMap<InstanceId, InstanceFigures> = BTreeMap::new();
        for (id, tally) in &self.tallies {
            let cohorts = tally.cohorts.iter();
            let cohorts = cohorts.map(|(table, sessions)| Cohort { table: *table, sessions: *sessions, slow: 0 });
            let figures = InstanceFigures {
                in_flight: tally.in_flight,
                upgraded: tally.upgraded,
                sessions_begun: tally.sessions_begun,
                requests_begun: tally.requests_begun,
                sessions_failed: tally.sessions_failed,
                requests_failed: tally.requests_failed,
                sessions_evicted: tally.sessions_evicted,
                last_seen: tally.last_seen,
                cohorts: cohorts.collect(),
                ..InstanceFigures::default()
            };
            all.insert(id.clone(), figures);
        }
        for (id, route) in self.table.iter().flat_map(|table| &table.routes) {
            all.entry(id.clone()).or_default().share = Some(route.share);
        }
        for id in &self.closed {
            let figures = all.entry(id.clone()).or_default();
            figures.closed = true;
            figures.share = figures.share.map(|_| Share::ZERO);
        }
        for session in self.sessions.values() {
            let figures = all.entry(session.instance.clone()).or_default();
            if let Count::Exact(live) = figures.live {
                figures.live = Count::Exact(live + 1);
            }
        }
        for (id, route) in self.table.iter().flat_map(|table| &table.routes) {
            let awaited = route.adopted.as_ref().is_some_and(|adopted| now < adopted.until);
            let figures = all.entry(id.clone()).or_default();
            if awaited && rules.unknown_while_adopted && !figures.closed {
                figures.live = Count::Unknown;
            }
        }
        let watermark = self.table.as_ref().and_then(|table| table.watermark.as_ref());
        let is_gone = |id: &InstanceId| watermark.is_some_and(|watermark| watermark.covers(id));
        all.retain(|id, figures| figures.share.is_some() || (figures.closed && !is_gone(id)) || !figures.is_empty());
        if unknown {
            for figures in all.values_mut().filter(|figures| !figures.closed) {
                figures.live = Count::Unknown;
            }
        }
        all
    }

    pub(super) fn restart(&mut self, persist: bool) {
        let table = self.table.take();
        let counted = table.iter().map(|table| table.number).collect();
        let (newest, closed) =
            if persist { (self.newest, std::mem::take(&mut self.closed)) } else { Default::default() };
        *self = Self { newest, table, closed, counted, ..Self::default() };
    }
}
