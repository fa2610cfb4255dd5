//! What is counted of one instance.

use std::net::SocketAddr;

use super::cohorts::{Cohorts, Counted};
use super::endings::Endings;
use super::failures::Kinds;
use super::timings::Timings;
use crate::locator::gateway::session_log::instance_mark;
use crate::name::InstanceId;
use crate::routing::{Count, InstanceFigures, Share};
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: InstanceId,
    /// What it is called in the log of sessions.
    pub(super) mark: u64,
    pub(super) address: SocketAddr,
    /// `None`: not listed.
    pub(super) share: Option<Share>,
    /// The number of its version, as the table says.
    pub(super) version: Option<u64>,
    /// It gets nothing more, ever.
    pub(super) closed: bool,
    /// Whether the close is on disk. Only then it is reported.
    pub(super) closed_on_disk: bool,
    /// Until when requests for it wait.
    pub(super) held: Option<Timestamp>,
    /// No session comes back to it: it is about to be closed. Until this time, requests that would bring one back wait.
    pub(super) closing: Option<Timestamp>,
    /// It was closed by an eviction. Its sessions that are still in the table no longer count.
    pub(super) evicted: bool,
    pub(super) live: u64,
    /// Sessions that an eviction ended and that are still in the session table.
    pub(super) left_over: u64,
    pub(super) in_flight: u64,
    pub(super) upgraded: u64,
    /// What the gateway whose place this one has taken still has in flight, and upgraded.
    pub(super) elsewhere: (u64, u64),
    /// Requests in flight whose sessions are not in the table because it was full.
    pub(super) uncounted: u64,
    /// The last use, at the latest, of a session that is not in the table. Until it has surely expired, the number of
    /// live sessions is unknown.
    pub(super) uncounted_until: Option<Timestamp>,
    /// What the log of sessions says of that.
    pub(super) uncounted_logged: Option<Timestamp>,
    pub(super) sessions_begun: u64,
    /// Sessions that left the session table, or that an eviction ended.
    pub(super) sessions_ended: u64,
    pub(super) requests_begun: u64,
    pub(super) sessions_failed: u64,
    pub(super) requests_failed: u64,
    pub(super) sessions_evicted: u64,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) cohorts: Cohorts,
    pub(super) kinds: Kinds,
    pub(super) endings: Endings,
    pub(super) timings: Timings,
}

impl Instance {
    /// One that is not listed, and has counted nothing.
    pub(super) fn new(id: InstanceId, address: SocketAddr, closed: bool, uncounted_until: Option<Timestamp>) -> Self {
        Self {
            mark: instance_mark(&id),
            id,
            address,
            share: None,
            version: None,
            closed,
            closed_on_disk: closed,
            held: None,
            closing: None,
            evicted: false,
            live: 0,
            left_over: 0,
            in_flight: 0,
            upgraded: 0,
            elsewhere: (0, 0),
            uncounted: 0,
            uncounted_until,
            uncounted_logged: None,
            sessions_begun: 0,
            sessions_ended: 0,
            requests_begun: 0,
            sessions_failed: 0,
            requests_failed: 0,
            sessions_evicted: 0,
            last_seen: None,
            cohorts: Cohorts::default(),
            kinds: Kinds::default(),
            endings: Endings::default(),
            timings: Timings::default(),
        }
    }

    pub(super) fn takes_requests(&self) -> bool {
        self.share.is_some() && !self.closed
    }

    /// Whether a session that is not counted here may come back to it.
    pub(super) fn takes_back(&self) -> bool {
        self.takes_requests() && self.closing.is_none()
    }

    /// Until when requests for it wait, if they do.
    pub(super) fn held_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.held.filter(|until| now < *until)
    }

    /// Whether neither a request nor an entry of the session table uses it.
    pub(super) fn is_bare(&self) -> bool {
        self.live == 0
            && self.left_over == 0
            && self.in_flight == 0
            && self.upgraded == 0
            && self.uncounted == 0
            && self.elsewhere == (0, 0)
    }

    /// Counts a session that has left the session table.
    pub(super) fn session_left(&mut self) {
        if self.evicted {
            self.left_over -= 1;
        } else {
            self.live -= 1;
            self.sessions_ended += 1;
        }
    }

    /// Its figures, with this number of live sessions. A close is reported once it is on disk.
    pub(super) fn figures(&self, live: Count, counted: &Counted) -> InstanceFigures {
        InstanceFigures {
            share: self.share,
            closed: self.closed && self.closed_on_disk,
            live,
            in_flight: self.in_flight + self.elsewhere.0,
            upgraded: self.upgraded + self.elsewhere.1,
            sessions_begun: self.sessions_begun,
            requests_begun: self.requests_begun,
            sessions_failed: self.sessions_failed,
            requests_failed: self.requests_failed,
            sessions_evicted: self.sessions_evicted,
            last_seen: self.last_seen,
            cohorts: self.cohorts.of(counted),
            failures: self.kinds.all(),
        }
    }
}
