//! Where a request goes, and what is counted. Pure: the time is an argument, nothing is sent and nothing is written.
//!
//! There is one [`ServiceRouting`] per service, behind one lock. A decision counts its request (as in flight, and in its
//! session) before it releases the lock. [`close`](ServiceRouting::close) looks and closes under the same lock, so no request
//! slips in between.

mod application;
mod by_client;
mod cohorts;
mod elsewhere;
mod endings;
mod failures;
mod gone;
mod heard;
mod hold;
mod in_flight;
mod instance;
mod kept;
mod log_outs;
mod logged;
mod news;
mod placement;
mod recorded;
mod remaining;
mod successors;
mod timings;
mod totals;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::name::InstanceId;
use crate::routing::{
    Adopted, CloseAnswer, Count, FencingToken, InstanceFigures, LocatorReport, RoutingTable, SessionPolicy,
};
use crate::time::Timestamp;

use super::application::SessionCookies;
use super::client_cookie::Who;
use super::cookie::{Attributes, Claim, STAMP_AHEAD};
use super::recognised::Recognised;
use super::request_rules::RequestRules;
use super::sessions::{Begun, Found, SessionTable, Slot};
use super::shares::{Choice, Shares};
use super::tick::{TICK, Tick};
use crate::locator::watermarks::Watermarks;
use cohorts::Counted;
use instance::Instance;
use log_outs::LogOuts;
use news::News;
pub(super) use placement::{Blame, Outcome, Placement, Restamp, Session};
use successors::Successors;
pub(super) use timings::{BUCKETS, Histogram, Timings};
pub(super) use totals::Totals;

/// What is known of earlier sessions when the gateway starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// There is a state on disk, or the key is new. Only instances of the table on disk can have sessions.
    Listed,
    /// Nothing is known: any instance may have sessions.
    Any,
}

/// Former cookies of the application that are still read: more settings than a service has in a day.
const MAX_FORMER_COOKIES: usize = 4;

/// How long requests wait at most for an instance that is closing. The controller needs a look and two calls for it.
const CLOSING_LIMIT: Duration = Duration::from_secs(5);

/// The routing of one service.
#[derive(Debug)]
pub(super) struct ServiceRouting {
    incarnation: u64,
    started: Timestamp,
    before: Before,
    newest: FencingToken,
    /// The newest token that is on disk. Only this one is reported as seen.
    newest_on_disk: FencingToken,
    table: Option<RoutingTable>,
    counted: Counted,
    policy: SessionPolicy,
    /// Those of the policy's cookie.
    attributes: Arc<Attributes>,
    /// Those of the policy.
    rules: Arc<RequestRules>,
    /// The cookies of the application by which sessions are known. `None`: they are known by our own cookie.
    cookies: Option<Arc<SessionCookies>>,
    /// The names of those of earlier policies, newest first.
    former: Vec<String>,
    successors: Successors,
    log_outs: LogOuts,
    instances: Vec<Instance>,
    /// Places in `instances` whose instance is forgotten.
    vacant: Vec<u32>,
    /// The totals of instances that were forgotten since somebody asked for all.
    parted: Vec<Totals>,
    /// For each journal, the oldest instance that may still be named. All older ones are closed for ever.
    watermarks: Watermarks,
    by_id: HashMap<InstanceId, u32>,
    sessions: SessionTable,
    new: Shares,
    ignored: Shares,
    /// The instance that was adopted with sessions that are not in the table.
    adopted: Option<(u32, Adopted)>,
    /// Whether an instance may be held now.
    holds: bool,
    last_id: u64,
    /// For the log of sessions.
    news: News,
}

impl ServiceRouting {
    pub(super) fn new(incarnation: u64, started: Timestamp, before: Before, capacity: u32, seed: u64) -> Self {
        let policy = SessionPolicy::default();
        let news = News::new(policy.idle);
        Self {
            incarnation,
            started,
            before,
            newest: FencingToken::default(),
            newest_on_disk: FencingToken::default(),
            table: None,
            counted: Counted::default(),
            sessions: SessionTable::new(capacity, policy.idle, Tick(0)),
            attributes: Arc::new(Attributes::of(&policy.cookie)),
            rules: Arc::new(RequestRules::of(&policy)),
            cookies: None,
            former: Vec::new(),
            successors: Successors::default(),
            log_outs: LogOuts::new(started),
            policy,
            instances: Vec::new(),
            vacant: Vec::new(),
            parted: Vec::new(),
            watermarks: Watermarks::default(),
            by_id: HashMap::new(),
            new: Shares::default(),
            ignored: Shares::default(),
            adopted: None,
            holds: false,
            last_id: seed,
            news,
        }
    }

    // ---- what the locator is asked to do; the caller has checked the number --------------------------------------

    /// Notes a number that was seen.
    pub(super) fn note(&mut self, number: FencingToken) {
        self.newest = self.newest.max(number);
    }

    /// What follows the value of a cookie.
    pub(super) fn attributes(&self) -> Arc<Attributes> {
        Arc::clone(&self.attributes)
    }

    /// What counts as failed and as slow.
    pub(super) fn rules(&self) -> Arc<RequestRules> {
        Arc::clone(&self.rules)
    }

    /// The cookies of the application by which sessions are known.
    pub(super) fn cookies(&self) -> Option<Arc<SessionCookies>> {
        self.cookies.clone()
    }

    /// The former names, once this policy is in force.
    fn former_after(&self, policy: &SessionPolicy) -> Vec<String> {
        let name = |policy: &SessionPolicy| policy.application.as_ref().map(|cookie| cookie.name.clone());
        let (before, now) = (name(&self.policy), name(policy));
        let mut former = self.former.clone();
        if before != now {
            former.insert(0, before.unwrap_or_default());
        }
        let mut seen = std::collections::BTreeSet::new();
        former.retain(|name| !name.is_empty() && now.as_ref() != Some(name) && seen.insert(name.clone()));
        former.truncate(MAX_FORMER_COOKIES);
        former
    }

    /// Puts a table into force.
    pub(super) fn apply(&mut self, table: &RoutingTable, now: Timestamp) {
        self.note(table.number);
        self.watermarks.raise(table.watermark.as_ref());
        for instance in &mut self.instances {
            instance.share = None;
            if !table.routes.get(&instance.id).is_some_and(|route| route.closing) {
                instance.closing = None;
            }
        }
        self.adopted = None;
        for (id, route) in &table.routes {
            let at = self.instance(id, Some(route.address));
            let instance = &mut self.instances[at as usize];
            if !instance.closed {
                instance.address = route.address;
                instance.share = Some(route.share);
                instance.version = route.version;
                if route.closing {
                    // A table that is sent again does not let them wait longer.
                    instance.closing = instance.closing.or(Some(now + CLOSING_LIMIT));
                }
                self.adopted = self.adopted.take().or_else(|| Some((at, route.adopted.clone()?)));
            }
        }
        self.former = self.former_after(&table.session);
        let cookies = SessionCookies::of(table.session.application.as_ref(), &self.former);
        if !matches!((&self.cookies, &cookies), (Some(old), Some(new)) if old.is_as(new)) {
            self.cookies = cookies.map(Arc::new);
        }
        if self.policy != table.session {
            self.policy = table.session.clone();
            self.attributes = Arc::new(Attributes::of(&self.policy.cookie));
            self.rules = Arc::new(RequestRules::of(&self.policy));
            let now = self.tick(now);
            self.sessions.set_idle(self.policy.idle, now);
            self.refine();
        }
        self.table = Some(table.clone());
        self.counted.begin(table.number);
        self.forget_the_gone();
        self.note_holds();
        self.weigh();
    }

    /// Closes the instance if it has no share and nothing on it. It is reported once it is [on
    /// disk](Self::now_on_disk).
    pub(super) fn close(&mut self, id: &InstanceId, number: FencingToken, now: Timestamp) -> CloseAnswer {
        self.note(number);
        let at = self.instance(id, None);
        let figures = self.figures(at, now);
        if !self.instances[at as usize].closed
            && (figures.share.is_some_and(|share| !share.is_zero()) || !figures.is_empty())
        {
            return CloseAnswer::Busy(figures);
        }
        let instance = &mut self.instances[at as usize];
        instance.closed = true;
        instance.share = None;
        CloseAnswer::Closed
    }

    /// Closes the instance and ends its sessions.
    pub(super) fn evict(&mut self, id: &InstanceId, number: FencingToken) {
        self.note(number);
        let at = self.instance(id, None) as usize;
        let instance = &mut self.instances[at];
        instance.closed = true;
        instance.evicted = true;
        instance.share = None;
        instance.sessions_evicted += instance.live;
        instance.sessions_ended += instance.live;
        instance.left_over += std::mem::take(&mut instance.live);
        instance.uncounted_until = None;
        self.weigh();
    }

    /// All figures. They are exact once [`sweep`](Self::sweep) has reached the end.
    pub(super) fn report(&mut self, now: Timestamp) -> LocatorReport {
        self.forget_the_gone();
        let mut instances = BTreeMap::new();
        for (at, instance) in (0..).zip(&self.instances) {
            let figures = self.figures(at, now);
            // It is neither listed nor closed, so it is reported only while something is on it.
            if instance.closed || figures.share.is_some() || !figures.is_empty() {
                instances.insert(instance.id.clone(), figures);
            }
        }
        LocatorReport {
            newest: self.newest_on_disk,
            table: self.table.as_ref().map(|table| table.number),
            instances,
            counted: self.counted.numbers(),
            ..LocatorReport::new(self.incarnation, self.started)
        }
    }

    /// Removes expired sessions, looking at no more than `budget`. Answers whether it reached the end.
    pub(super) fn sweep(&mut self, now: Timestamp, budget: u32) -> bool {
        let now = self.tick(now);
        let Self { sessions, instances, .. } = self;
        sessions.sweep(now, budget, |at| instances[at as usize].session_left())
    }

    // ---- what a request asks for ---------------------------------------------------------------------------------

    /// Decides where a request goes. `tried` are instances that could not be reached. `None`: there is no instance for
    /// it.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn place(
        &mut self,
        claim: Option<Claim<'_>>,
        path: &str,
        tried: &[u32],
        now: Timestamp,
    ) -> Option<Placement> {
        if let Some(claim) = claim
            && let Some(placement) = self.follow(claim, now)
        {
            return Some(placement);
        }
        self.place_for(None, path, tried, now)
    }

    /// Decides where a request without a session of ours goes. `who` may decide of which version its instance is.
    pub(super) fn place_for(
        &mut self,
        who: Option<Who<'_>>,
        path: &str,
        tried: &[u32],
        now: Timestamp,
    ) -> Option<Placement> {
        if self.is_ignored(path) {
            let Self { ignored, instances, .. } = self;
            let is_free = |at: u32| !tried.contains(&at) && instances[at as usize].held_at(now).is_none();
            let at = ignored.pick(is_free)?;
            return Some(self.take_place(at, None));
        }
        let (at, client) = self.pick(Choice::InTurn, who, tried, now)?;
        Some(Placement { client, ..self.open(at, false, now) })
    }

    /// Follows the cookie of ours, or else [places](Self::place_for) the request.
    pub(super) fn follow_or_place(&mut self, by: &Recognised<'_>, path: &str, now: Timestamp) -> Option<Placement> {
        by.own.and_then(|claim| self.follow(claim, now)).or_else(|| self.place_for(by.who, path, &[], now))
    }

    /// Decides where a request goes that has cookies, but none of ours. It goes to the adopted instance if it may
    /// belong to a session from before the adoption. `None`: it is treated as any other request.
    ///
    /// `carries` tells whether the request has a cookie of that name; for `None`, whether it has any cookie.
    pub(super) fn place_foreign(
        &mut self,
        carries: impl FnOnce(Option<&str>) -> bool,
        path: &str,
        now: Timestamp,
    ) -> Option<Placement> {
        let at = self.adopted_for(carries, now)?;
        Some(if self.is_ignored(path) { self.take_place(at, None) } else { self.open(at, true, now) })
    }

    /// The adopted instance, if a request with these cookies may belong to a session from before.
    fn adopted_for(&self, carries: impl FnOnce(Option<&str>) -> bool, now: Timestamp) -> Option<u32> {
        let (at, adopted) = self.adopted.as_ref()?;
        let awaits = now < adopted.until && self.instances[*at as usize].takes_requests();
        (awaits && carries(adopted.cookie.as_deref())).then_some(*at)
    }

    fn is_ignored(&self, path: &str) -> bool {
        self.policy.ignore.iter().any(|ignored| ignored == path)
    }

    /// Opens a session.
    fn open(&mut self, at: u32, foreign: bool, now: Timestamp) -> Placement {
        let id = self.next_id();
        self.open_as(id, at, foreign, now)
    }

    fn open_as(&mut self, id: u64, at: u32, foreign: bool, now: Timestamp) -> Placement {
        // Chance did not bring a session here that its client had before. So it belongs to no cohort.
        let begun = if foreign { Begun::Apart } else { self.counted.now() };
        let slot = self.enter(id, at, now, begun);
        let instance = &mut self.instances[at as usize];
        instance.sessions_begun += 1;
        if !foreign {
            instance.cohorts.begin(&self.counted);
        }
        self.take_place(at, Some(Session { id, opened: true, foreign, slot, begun, stamp: None }))
    }

    /// Follows a genuine cookie, if its instance still takes requests and the session has not expired.
    fn follow(&mut self, claim: Claim<'_>, now: Timestamp) -> Option<Placement> {
        // Another gateway's clock may be ahead of ours. That must not prolong a session.
        let stamp = claim.stamp.min(now + STAMP_AHEAD);
        let (stamp_tick, now_tick) = (self.tick_after(stamp), self.tick(now));
        let (at, slot) = match self.sessions.find(claim.session, stamp_tick, now_tick) {
            Found::Live(slot, at) => {
                let instance = &self.instances[at as usize];
                if instance.id.as_str() != claim.instance {
                    return None;
                }
                if !instance.takes_requests() {
                    self.sessions.remove(slot);
                    self.instances[at as usize].session_left();
                    return None;
                }
                self.sessions.begin_request(slot, self.tick_after(now));
                (at, Some(slot))
            }
            Found::Expired(at) => {
                self.instances[at as usize].session_left();
                return None;
            }
            Found::Missing => {
                let at = *self.by_id.get(claim.instance)?;
                if !self.instances[at as usize].takes_requests() || now.since(stamp) >= self.policy.idle {
                    return None;
                }
                (at, self.enter(claim.session, at, stamp.max(now), Begun::Elsewhere))
            }
        };
        let session = Session {
            id: claim.session,
            opened: false,
            foreign: false,
            slot,
            begun: Begun::Elsewhere,
            stamp: Some(stamp),
        };
        Some(self.take_place(at, Some(session)))
    }

    // ---- parts ---------------------------------------------------------------------------------------------------

    fn take_place(&mut self, at: u32, session: Option<Session>) -> Placement {
        let instance = &mut self.instances[at as usize];
        instance.in_flight += 1;
        instance.requests_begun += 1;
        if session.is_some_and(|session| session.slot.is_none()) {
            instance.uncounted += 1;
        }
        Placement { instance: at, address: instance.address, session, client: None, unopened: None }
    }

    fn give_back(&mut self, placement: &Placement, outcome: Outcome, now: Timestamp) {
        if let Some(session) = placement.session {
            let tick = self.tick_after(now);
            match session.slot {
                Some(slot) => self.sessions.end_request(slot, tick),
                None => {
                    self.instances[placement.instance as usize].uncounted -= 1;
                    self.uncounted_use(placement.instance, now);
                }
            }
        }
        let instance = &mut self.instances[placement.instance as usize];
        if placement.session.is_some() && outcome != Outcome::Unreachable {
            instance.last_seen = Some(now);
        }
    }

    /// Puts a session into the table. `None` if that is full.
    fn enter(&mut self, id: u64, at: u32, now: Timestamp, begun: Begun) -> Option<Slot> {
        let used = self.tick_after(now);
        let slot = match self.sessions.insert(id, at, used, begun) {
            Some(slot) => Some(slot),
            None => {
                self.sweep(now, 64);
                self.sessions.insert(id, at, used, begun)
            }
        };
        match slot {
            Some(_) => self.instances[at as usize].live += 1,
            None => self.log_uncounted(at, now),
        }
        slot
    }

    fn uncounted_use(&mut self, at: u32, now: Timestamp) {
        let instance = &mut self.instances[at as usize];
        if !instance.evicted {
            instance.uncounted_until = instance.uncounted_until.max(Some(now));
            self.log_uncounted(at, now);
        }
    }

    fn figures(&self, at: u32, now: Timestamp) -> InstanceFigures {
        let instance = &self.instances[at as usize];
        let awaited = self.adopted.as_ref().is_some_and(|(which, adopted)| *which == at && now < adopted.until);
        let unknown = awaited
            || (instance.uncounted > 0 && !instance.evicted)
            || instance.uncounted_until.is_some_and(|last| now.since(last) < self.policy.idle);
        let live = if unknown && !instance.closed { Count::Unknown } else { Count::Exact(instance.live) };
        instance.figures(live, &self.counted)
    }

    /// The place of the instance with that id. A new instance gets one.
    fn instance(&mut self, id: &InstanceId, address: Option<SocketAddr>) -> u32 {
        if let Some(at) = self.by_id.get(id) {
            return *at;
        }
        // An instance that a watermark covers was closed before, or never existed.
        let gone = self.watermarks.cover(id);
        let address = address.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        let uncounted_until = (self.before == Before::Any).then_some(self.started);
        let at = self.settle(Instance::new(id.clone(), address, gone, uncounted_until));
        self.by_id.insert(id.clone(), at);
        if let Some(until) = uncounted_until {
            self.log_uncounted(at, until);
        }
        at
    }

    fn weigh(&mut self) {
        let weights = |instances: &[Instance]| {
            let mut lines: Vec<(InstanceId, u32, u32)> = (0..)
                .zip(instances)
                .filter_map(|(at, instance)| Some((instance.id.clone(), at, instance.share?.as_basis_points())))
                .collect();
            lines.sort();
            lines.into_iter().map(|(_, at, weight)| (at, weight)).collect::<Vec<_>>()
        };
        let weights = weights(&self.instances);
        self.new.set(weights.iter().copied());
        self.ignored.set(weights.into_iter());
    }

    /// The next session id. SplitMix64 (Steele, Lea and Flood 2014) gives every id once in 2^64. It begins at a random
    /// number, so that other gateways and earlier incarnations give other ids. It does no harm that ids can be guessed:
    /// a cookie needs its MAC.
    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut id = self.last_id;
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        id ^ (id >> 31)
    }

    /// The tick that `now` lies in.
    #[inline]
    fn tick(&self, now: Timestamp) -> Tick {
        self.tick_of(now, 0)
    }

    /// The first tick that is not before `used`, so that nothing expires early.
    #[inline]
    fn tick_after(&self, used: Timestamp) -> Tick {
        self.tick_of(used, TICK_MILLIS - 1)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "ticks wrap, and older than a year is old enough")]
    fn tick_of(&self, time: Timestamp, plus: i64) -> Tick {
        const YEAR: i64 = 365 * 24 * 3600 * 1000;
        let millis = time.as_millis().wrapping_sub(self.started.as_millis()).cast_signed();
        Tick((millis.max(-YEAR) + plus).div_euclid(TICK_MILLIS) as u32)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it is 50")]
const TICK_MILLIS: i64 = TICK.as_millis() as i64;

#[cfg(test)]
#[path = "service_routing_tests.rs"]
mod tests;

#[cfg(all(test, feature = "testing"))]
#[path = "service_routing_agrees_tests.rs"]
mod agrees_tests;
