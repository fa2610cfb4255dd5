//! A routing, and the log of its sessions. Both are behind one lock, so that the log says what the routing decided, in that
//! order, and before anybody else can see it.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, MutexGuard};

use super::service_routing::ServiceRouting;
use super::session_log::{Record, SessionLog};
use super::store::Store;
use super::succession::{Heir, Left};
use crate::error::Result;
use crate::name::ServiceName;
use crate::time::{Clock, Timestamp};

/// A log is written anew when it has so many records more than twice the sessions that live: some 130 KB.
const SLACK_RECORDS: u64 = 4096;
/// Sessions that are written at a time where nobody waits.
const BATCH: u32 = 64 * 1024;

/// A routing with its log.
#[derive(Debug)]
pub(super) struct LoggedRouting {
    routing: ServiceRouting,
    log: SessionLog,
    store: Store,
    records: Vec<Record>,
    service: ServiceName,
    /// Another gateway decides, or is about to.
    given: Option<Given>,
}

/// What the gateway that decides has to hear.
#[derive(Debug, Default)]
struct Given {
    records: Vec<Record>,
    heir: Option<Arc<Heir>>,
    told: Vec<Left>,
}

impl LoggedRouting {
    /// Begins the log, with the sessions that the routing knows already.
    pub(super) fn begin(
        routing: ServiceRouting,
        log: SessionLog,
        store: Store,
        service: ServiceName,
        now: Timestamp,
    ) -> Self {
        let mut new = Self { routing, log, store, records: Vec::new(), service, given: None };
        new.begin_first_log(now);
        new
    }

    fn begin_first_log(&mut self, now: Timestamp) {
        match self.begin_new_log(now) {
            Ok(which) => {
                let mut next = Some(0);
                while let Some(from) = next {
                    next = self.write_part(which, from, BATCH, now).flatten();
                }
                self.finish_new_log(which);
            }
            Err(error) => {
                tracing::warn!(%error, "sessions are not logged: after a kill, their number would be unknown");
            }
        }
        if self.log.records().is_none() {
            // What is there is not true from now on.
            self.log.void();
        }
    }

    /// Writes down what has changed.
    fn flush(&mut self, now: Timestamp) {
        let Self { routing, log, store, records, service, given } = self;
        records.clear();
        routing.take_news(now, records);
        if let Some(given) = given {
            given.records.append(records);
            let left = routing.left();
            if let Some(heir) = given.heir.as_ref().filter(|_| !given.records.is_empty() || left != given.told) {
                heir.tell(service, &given.records, &left);
                given.records.clear();
                given.told = left;
            }
        } else if !records.is_empty() {
            store.beside(|| log.append(records));
        }
    }

    /// Whether the log has grown too much, was lost, or has another grain than it should.
    pub(super) fn wants_new_log(&self) -> bool {
        if self.given.is_some() {
            return false;
        }
        let is_long = |records| records > self.routing.live() * 2 + SLACK_RECORDS;
        self.log.records().is_none_or(is_long) || self.routing.has_other_grain()
    }

    /// Begins to write it anew, and answers which time this is.
    pub(super) fn begin_new_log(&mut self, now: Timestamp) -> Result<u64> {
        self.flush(now);
        let Self { routing, log, store, .. } = self;
        store.if_ours(|| {
            let which = log.begin()?;
            let head = routing.begin_log(false, now);
            log.append_anew(which, &head);
            Ok(which)
        })
    }

    /// Writes the sessions in a part of the table. Answers where the next part begins. The outer `None`: it came to nothing.
    pub(super) fn write_part(&mut self, which: u64, from: u32, most: u32, now: Timestamp) -> Option<Option<u32>> {
        self.flush(now);
        let Self { routing, log, store, records, .. } = self;
        records.clear();
        let next = routing.log_part(false, from, most, now, records);
        store.beside(|| log.append_anew(which, records)).filter(|wanted| *wanted).map(|_| next)
    }

    /// The new one takes the place of the old one.
    pub(super) fn finish_new_log(&mut self, which: u64) {
        let Self { routing, log, store, .. } = self;
        if store.beside(|| log.finish(which)) == Some(true) {
            routing.log_begun();
        }
    }

    /// Ends the log: the next gateway knows the sessions as they are now.
    pub(super) fn end_log(&mut self, now: Timestamp) -> Result<()> {
        if self.given.is_some() {
            return Ok(());
        }
        self.flush(now);
        let Self { routing, log, store, .. } = self;
        let mut records = routing.begin_log(true, now);
        routing.log_part(true, 0, u32::MAX, now, &mut records);
        store.if_ours(|| log.end(&records))
    }
}

/// What becomes of it when another gateway takes over.
impl LoggedRouting {
    /// Ends the log, and places no request from now on. Answers what is in flight.
    pub(super) fn give(&mut self, now: Timestamp) -> Result<Vec<Left>> {
        self.end_log(now)?;
        let told = self.routing.left();
        self.given = Some(Given { told: told.clone(), ..Given::default() });
        Ok(told)
    }

    /// Whether another gateway decides, or is about to.
    #[inline]
    pub(super) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Nothing came of it.
    pub(super) fn take_back(&mut self, now: Timestamp) {
        if self.given.take().is_some() {
            self.log.reopen();
            self.begin_first_log(now);
        }
    }

    /// The other one decides. What becomes of the requests that are left, it is told.
    pub(super) fn has_heir(&mut self, heir: Arc<Heir>, now: Timestamp) {
        if let Some(given) = &mut self.given {
            given.heir = Some(heir);
        }
        self.flush(now);
    }
}

/// A routing that is locked.
pub(super) struct RoutingGuard<'a> {
    inner: MutexGuard<'a, LoggedRouting>,
    clock: &'a dyn Clock,
}

impl<'a> RoutingGuard<'a> {
    pub(super) fn new(inner: MutexGuard<'a, LoggedRouting>, clock: &'a dyn Clock) -> Self {
        Self { inner, clock }
    }
}

impl RoutingGuard<'_> {
    /// Whether another gateway decides, or is about to: then no request is placed here.
    #[inline]
    pub(super) fn is_given(&self) -> bool {
        self.inner.is_given()
    }
}

impl Deref for RoutingGuard<'_> {
    type Target = ServiceRouting;

    #[inline]
    fn deref(&self) -> &ServiceRouting {
        &self.inner.routing
    }
}

impl DerefMut for RoutingGuard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut ServiceRouting {
        &mut self.inner.routing
    }
}

impl Drop for RoutingGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.inner.routing.has_news() || self.inner.is_given() {
            self.inner.flush(self.clock.now());
        }
    }
}

#[cfg(test)]
#[path = "logged_routing_tests.rs"]
mod tests;
