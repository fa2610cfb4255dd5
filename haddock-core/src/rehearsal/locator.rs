//! The locator of a rehearsal: it counts sessions and does not keep them. Who has which session is in `crowd`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::name::{InstanceId, VersionId};
use crate::routing::{
    Cohort, Count, FencingToken, InstanceFigures, LocatorCapabilities, LocatorReport, RoutingTable, SessionCount,
    Sessions, Share,
};
use crate::time::Timestamp;

/// Tables by which sessions are counted: the newest, as in the gateway.
const MAX_TABLES: usize = 32;

/// What the locator knows about an instance.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: InstanceId,
    pub(super) version: VersionId,
    /// Its share in the table in force, in hundredths of a percent. `None`: it is not listed.
    pub(super) share: Option<u32>,
    pub(super) closed: bool,
    /// Since when it has ended by itself, if it has.
    pub(super) down_since: Option<u64>,
    pub(super) live: u64,
    pub(super) begun: u64,
    pub(super) failed: u64,
    requests: u64,
    failed_requests: u64,
    evicted: u64,
    last_seen: Option<Timestamp>,
    /// What this instance is owed: smooth weighted round robin, as in the gateway.
    credit: i64,
    /// Its sessions by table; as long as the list of tables.
    cohorts: VecDeque<(Sessions, u64)>,
}

/// The sessions of one service, as numbers.
#[derive(Debug)]
pub(super) struct Locator {
    since: Timestamp,
    newest: FencingToken,
    table: Option<RoutingTable>,
    counted: VecDeque<FencingToken>,
    /// How many tables were ever in force.
    applied: u32,
    pub(super) places: Vec<Place>,
    /// The places that new sessions may go to, in the order of their instances.
    open: Vec<usize>,
    /// Something was counted since the last report.
    pub(super) changed: bool,
    /// The last session of an instance without a share has ended since the last report.
    pub(super) emptied: bool,
}

impl Locator {
    pub(super) fn capabilities() -> LocatorCapabilities {
        LocatorCapabilities {
            keeps_sticky_at_zero: true,
            session_count: SessionCount::Exact,
            atomic_close: true,
            hold: true,
            counts_by_table: true,
            follows_unseen: true,
            counts_by_policy: true,
            // Each of its sessions is of another client.
            by_client: true,
            ..LocatorCapabilities::default()
        }
    }

    pub(super) fn new(since: Timestamp) -> Self {
        Self {
            since,
            newest: FencingToken::default(),
            table: None,
            counted: VecDeque::new(),
            applied: 0,
            places: Vec::new(),
            open: Vec::new(),
            changed: false,
            emptied: false,
        }
    }

    /// The place of an instance.
    pub(super) fn find(&self, id: &InstanceId) -> Option<usize> {
        self.places.iter().position(|place| place.id == *id)
    }

    /// How long a session lives after its last request, in milliseconds.
    pub(super) fn idle(&self) -> u64 {
        let idle = self.table.as_ref().map(|table| table.session.idle).unwrap_or_default();
        u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)
    }

    /// Puts a table into force. A call with an older number than the newest is ignored.
    pub(super) fn apply(&mut self, table: &RoutingTable, version_of: impl Fn(&InstanceId) -> Option<VersionId>) {
        if table.number < self.newest {
            return;
        }
        self.newest = table.number;
        for place in &mut self.places {
            place.share = None;
        }
        for (id, route) in &table.routes {
            let at = match (self.find(id), version_of(id)) {
                (Some(at), _) => at,
                (None, Some(version)) => self.settle(id.clone(), version),
                (None, None) => continue,
            };
            self.places[at].share = Some(route.share.as_basis_points());
        }
        if self.counted.back() != Some(&table.number) {
            self.begin_cohort(table.number);
        }
        self.table = Some(table.clone());
        self.find_open();
    }

    fn settle(&mut self, id: InstanceId, version: VersionId) -> usize {
        self.places.push(Place {
            id,
            version,
            share: None,
            closed: false,
            down_since: None,
            live: 0,
            begun: 0,
            failed: 0,
            requests: 0,
            failed_requests: 0,
            evicted: 0,
            last_seen: None,
            credit: 0,
            cohorts: self.counted.iter().map(|_| (Sessions::NONE, 0)).collect(),
        });
        self.places.len() - 1
    }

    fn begin_cohort(&mut self, table: FencingToken) {
        self.applied += 1;
        self.counted.push_back(table);
        let full = self.counted.len() > MAX_TABLES;
        if full {
            self.counted.pop_front();
        }
        for place in &mut self.places {
            place.cohorts.push_back((Sessions::NONE, 0));
            if full {
                place.cohorts.pop_front();
            }
        }
    }

    fn find_open(&mut self) {
        let mut open: Vec<usize> = (0..self.places.len())
            .filter(|at| !self.places[*at].closed && self.places[*at].share.is_some_and(|share| share > 0))
            .collect();
        open.sort_by(|a, b| self.places[*a].id.cmp(&self.places[*b].id));
        for place in self.places.iter_mut().filter(|place| place.share.is_none()) {
            place.credit = 0;
        }
        self.open = open;
    }

    /// Closes an instance on which nothing is left, or all the same.
    pub(super) fn close(&mut self, id: &InstanceId, number: FencingToken, even_if_busy: bool) {
        if number < self.newest {
            return;
        }
        self.newest = number;
        let Some(at) = self.find(id) else { return };
        let place = &mut self.places[at];
        if even_if_busy || (place.live == 0 && place.share.unwrap_or_default() == 0) {
            place.closed = true;
            self.find_open();
        }
    }

    /// The place of the next new session; `None`: nobody takes it. An instance that does not answer is passed over.
    pub(super) fn next(&mut self) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for at in &self.open {
            let place = &mut self.places[*at];
            if place.down_since.is_some() {
                continue;
            }
            let weight = i64::from(place.share.unwrap_or_default());
            total += weight;
            place.credit += weight;
            let credit = place.credit;
            if best.is_none_or(|best| credit > self.places[best].credit) {
                best = Some(*at);
            }
        }
        let best = best?;
        self.places[best].credit -= total;
        Some(best)
    }

    /// A session begins. Returns by which table it is counted.
    pub(super) fn begin(&mut self, at: usize, now: u64) -> u32 {
        self.changed = true;
        let place = &mut self.places[at];
        place.live += 1;
        place.begun += 1;
        place.requests += 1;
        place.last_seen = Some(Timestamp::from_millis(now));
        if let Some((sessions, _)) = place.cohorts.back_mut() {
            sessions.count_begun();
        }
        self.applied
    }

    /// The counts of a table at a place, if they are still kept.
    fn cohort(&mut self, at: usize, table: u32) -> Option<&mut (Sessions, u64)> {
        let age = (self.applied - table) as usize;
        let cohorts = &mut self.places[at].cohorts;
        let place = cohorts.len().checked_sub(1 + age)?;
        cohorts.get_mut(place)
    }

    /// A session has its first failed request, of so many.
    pub(super) fn fail(&mut self, at: usize, table: u32, requests: u32) {
        self.changed = true;
        if let Some((sessions, _)) = self.cohort(at, table) {
            sessions.count_failed();
        }
        let place = &mut self.places[at];
        place.failed += 1;
        place.failed_requests += u64::from(requests);
    }

    /// A session has its first slow request.
    pub(super) fn slow(&mut self, at: usize, table: u32) {
        self.changed = true;
        if let Some((_, slow)) = self.cohort(at, table) {
            *slow += 1;
        }
    }

    /// A session has expired, after so many requests.
    pub(super) fn end(&mut self, at: usize, requests: u32) {
        self.changed = true;
        let place = &mut self.places[at];
        place.live -= 1;
        place.requests += u64::from(requests.saturating_sub(1));
        self.emptied |= place.live == 0 && place.share.unwrap_or_default() == 0;
    }

    /// Sessions end because their instance is closed.
    pub(super) fn evict(&mut self, at: usize, sessions: u64) {
        self.changed = true;
        let place = &mut self.places[at];
        place.live -= sessions;
        place.evicted += sessions;
    }

    pub(super) fn report(&mut self) -> LocatorReport {
        (self.changed, self.emptied) = (false, false);
        let watermark = self.table.as_ref().and_then(|table| table.watermark.as_ref());
        let gone: BTreeSet<&InstanceId> =
            self.places.iter().map(|it| &it.id).filter(|id| watermark.is_some_and(|it| it.covers(id))).collect();
        let known =
            |place: &&Place| place.share.is_some() || place.live > 0 || (place.closed && !gone.contains(&place.id));
        let instances: BTreeMap<_, _> =
            self.places.iter().filter(known).map(|place| (place.id.clone(), place.figures(&self.counted))).collect();
        LocatorReport {
            newest: self.newest,
            table: self.table.as_ref().map(|table| table.number),
            instances,
            counted: self.counted.iter().copied().collect(),
            ..LocatorReport::new(1, self.since)
        }
    }
}

impl Place {
    /// Its part of the new sessions.
    pub(super) fn share_in_force(&self) -> u32 {
        if self.closed { 0 } else { self.share.unwrap_or_default() }
    }

    fn figures(&self, counted: &VecDeque<FencingToken>) -> InstanceFigures {
        let cohorts = counted.iter().zip(&self.cohorts).filter(|(_, (sessions, _))| sessions.begun() > 0);
        InstanceFigures {
            share: self.share.map(|_| Share::basis_points(self.share_in_force())),
            closed: self.closed,
            live: Count::Exact(self.live),
            sessions_begun: self.begun,
            requests_begun: self.requests,
            sessions_failed: self.failed,
            requests_failed: self.failed_requests,
            sessions_evicted: self.evicted,
            last_seen: self.last_seen,
            cohorts: cohorts
                .map(|(table, (sessions, slow))| Cohort { table: *table, sessions: *sessions, slow: *slow })
                .collect(),
            ..InstanceFigures::default()
        }
    }
}
