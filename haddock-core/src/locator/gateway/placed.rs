//! A request that has been placed, and what is counted of it.
//!
//! It may be answered, broken, given up by the client, or forgotten. Its placement ends exactly once: when it is
//! [ended](Placed::end) or dropped. The gateway carries most requests itself, as a [`Passage`](super::passage::Passage).
//! Other proxies carry those for which they [ask](super::admin).

use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderMap;
use http::uri::PathAndQuery;

use crate::time::Timestamp;

use super::application::SessionCookies;
use super::client_cookie::Who;
use super::request_rules::RequestRules;
use super::service::Service;
use super::service_routing::{Blame, Outcome, Placement};

/// A request that has been placed.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) service: Arc<Service>,
    pub(super) placement: Placement,
    /// What counts as failed and as slow, since when it is on its way, and what its session is known by.
    pub(super) terms: Terms,
    path: PathAndQuery,
    outcome: Outcome,
    /// How long it took until its answer began, if it has.
    first_byte: Option<Duration>,
    /// How long it took in all, if whoever carries it has told.
    duration: Option<Duration>,
    /// Whether it was counted as failed.
    is_failed: bool,
    state: State,
}

/// Under which rules a request began, and when.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) rules: Arc<RequestRules>,
    pub(super) began: Timestamp,
    /// The cookies of the application by which sessions are known, if they are.
    pub(super) cookies: Option<Arc<SessionCookies>>,
}

/// Whether it is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is.
    InFlight,
    /// Its connection is upgraded.
    Upgraded,
    /// It has ended.
    Over,
}

impl Placed {
    pub(super) fn new(service: Arc<Service>, placement: Placement, terms: Terms, path: PathAndQuery) -> Self {
        let (outcome, state) = (Outcome::Sent, State::InFlight);
        Self { service, placement, terms, path, outcome, first_byte: None, duration: None, is_failed: false, state }
    }

    #[inline]
    pub(super) fn now(&self) -> Timestamp {
        self.service.now()
    }

    /// Its answer has begun. `waited` is the time that was spent waiting for the client's body: it does not count.
    #[inline]
    pub(super) fn answered(&mut self, status: u16, headers: &HeaderMap, waited: impl FnOnce() -> Duration) {
        self.first_byte = Some(self.now().since(self.terms.began));
        if self.terms.rules.is_failed(self.path.path(), status, headers) {
            self.fail(Some(status));
        }
        self.check_time(Some(status), waited);
    }

    /// Its answer has begun, as whoever carries it tells. Without `first_byte`, it has begun now. Without `failed`, the
    /// status decides.
    pub(super) fn told(&mut self, status: u16, failed: Option<bool>, first_byte: Option<Duration>) {
        let is_first = self.first_byte.is_none();
        let took = *self.first_byte.get_or_insert(first_byte.unwrap_or(self.service.now().since(self.terms.began)));
        let path = self.path.path();
        if failed.unwrap_or_else(|| self.terms.rules.is_failed(path, status, &HeaderMap::new())) {
            self.fail(Some(status));
        }
        if is_first && self.terms.rules.is_slow(self.path.path(), took) {
            self.blame(true, Some(status));
        }
    }

    /// It has ended after this time, as whoever carries it tells. Without one, it has ended now.
    pub(super) fn told_duration(&mut self, duration: Option<Duration>) {
        self.duration = duration;
    }

    /// It gets no answer, or not all of it.
    pub(super) fn lose(&mut self) {
        if self.terms.rules.is_lost(self.path.path()) {
            self.fail(None);
        }
    }

    /// It could not be sent.
    pub(super) fn not_sent(&mut self) {
        self.outcome = Outcome::Unreachable;
        self.lose();
    }

    fn fail(&mut self, status: Option<u16>) {
        if !std::mem::replace(&mut self.is_failed, true) {
            self.blame(false, status);
        }
    }

    /// Counts it as slow if its answer begins too late, or has not begun for too long.
    #[inline]
    fn check_time(&mut self, status: Option<u16>, waited: impl FnOnce() -> Duration) {
        if self.terms.rules.times() {
            let took = self.now().since(self.terms.began);
            if self.terms.rules.is_slow(self.path.path(), took.saturating_sub(waited())) {
                self.blame(true, status);
            }
        }
    }

    fn blame(&mut self, slow: bool, status: Option<u16>) {
        self.service.routing().blame(&mut self.placement, Blame { slow, path: self.path.path(), status });
    }

    /// Ends the placement, because the request could not be sent, and places it elsewhere. `tried` are instances that could
    /// not be reached. Answers `false` if there is no other instance for it: then it has ended.
    pub(super) fn elsewhere(&mut self, tried: &[u32], waited: impl FnOnce() -> Duration) -> bool {
        self.not_sent();
        self.check_time(None, waited);
        self.state = State::Over;
        let now = self.now();
        let who = self.placement.client.map(Who::Known);
        let by_application = self.terms.cookies.as_ref().is_some_and(|cookies| cookies.mode.is_some());
        let placement = {
            let mut routing = self.service.routing();
            routing.move_on(&self.placement, now);
            self.terms.rules = routing.rules();
            match by_application {
                true => routing.place_unopened(who, self.path.path(), tried, now),
                false => routing.place_for(who, self.path.path(), tried, now),
            }
        };
        let Some(placement) = placement else { return false };
        self.placement = placement;
        self.terms.began = now;
        (self.outcome, self.state, self.is_failed) = (Outcome::Sent, State::InFlight, false);
        true
    }

    /// The connection is upgraded.
    pub(super) fn upgrade(&mut self) {
        if std::mem::replace(&mut self.state, State::Upgraded) == State::InFlight {
            self.service.routing().upgrade(&self.placement);
        }
    }

    /// Ends the placement, and says what it was until now.
    pub(super) fn end(&mut self, now: Timestamp, waited: impl FnOnce() -> Duration) -> State {
        let state = std::mem::replace(&mut self.state, State::Over);
        if state == State::InFlight && self.first_byte.is_none() {
            self.check_time(None, waited);
        }
        if state == State::Over {
            return state;
        }
        let mut routing = self.service.routing();
        if let Some(first_byte) = self.first_byte {
            let whole = (state == State::InFlight).then(|| self.duration.unwrap_or(now.since(self.terms.began)));
            routing.took(&self.placement, first_byte, whole);
        }
        match state {
            State::Upgraded => routing.finish_upgraded(&self.placement, now),
            _ => routing.finish(&self.placement, self.outcome, now),
        }
        state
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        self.end(self.now(), || Duration::ZERO);
    }
}
