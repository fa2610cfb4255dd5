//! S6: a session's requests go to one instance for as long as that instance can answer and the session has not expired.
//!
//! Judged when a client sends a request with a cookie. If the session has surely not expired, and the instance's entry
//! runs in the life in which the session is, and no locator evicted it for a reason, then the request goes there.
//! If the session has surely expired and has no request under way, it opens a new one: it cannot come back to an instance that is being
//! closed.
//!
//! And when a client sends a request that has a session on the server that was adopted, from before: until the first
//! answer gives it a cookie of the locator's it has only the application's, and its request goes to that server.

use haddock_core::locator::sim::Ticket;

use crate::runner;
use crate::world::{Stay, Tuning, World};

impl World {
    pub(crate) fn check_s6(&mut self, at: usize, stay: Option<&Stay>, ticket: Option<&Ticket>) {
        let Some(stay) = stay else { return };
        let cookie = &stay.cookie;
        if self.surely_expired(cookie) {
            self.meet("request of an expired session");
            if self.plan.returns {
                if ticket.is_some_and(|ticket| !ticket.opened) {
                    self.meet("a session came back");
                }
                return;
            }
            if ticket.is_some_and(|ticket| !ticket.opened) {
                self.violate("S6", format!("{:?} has expired and came back to {}", cookie.session, cookie.instance));
            }
            return;
        }
        let evicted = !self.truth.instances[&cookie.instance].evicted.is_empty();
        let there = self.entry(&cookie.instance).as_ref() == Some(&stay.life);
        if !self.surely_lives(cookie) || evicted || !there {
            if evicted {
                self.meet("request of an evicted session");
            }
            return;
        }
        self.meet("request of a live session");
        if ticket.is_none_or(|ticket| ticket.instance != cookie.instance || ticket.session != cookie.session) {
            let to = ticket.map(|ticket| &ticket.instance);
            let closed = self.posts[at].core.is_closed(&self.service, &cookie.instance);
            let what = format!("{:?} of {} went to {to:?}; closed there: {closed}", cookie.session, cookie.instance);
            self.violate("S6", what);
        }
    }
}

impl World {
    pub(crate) fn check_s6_former(&mut self, at: usize, client: usize, ticket: Option<&Ticket>) {
        let Some(id) = self.server.as_ref().and_then(|server| server.instance.clone()) else { return };
        let evicted = !self.truth_of(&id).evicted.is_empty();
        if self.clients[client].stay.is_some() || evicted || !self.has_former_session(&self.clients[client], &id) {
            return;
        }
        self.meet("request of a session from before");
        let route = self.posts[at].core.table(&self.service).and_then(|table| table.routes.get(&id));
        if route.is_some_and(|route| route.share.is_zero()) {
            self.meet("request of a session from before at share 0");
        }
        if ticket.is_none_or(|ticket| ticket.instance != id) {
            let to = ticket.map(|ticket| &ticket.instance);
            let closed = self.posts[at].core.is_closed(&self.service, &id);
            let what = format!("client {client} has a session on {id} and went to {to:?}; closed there: {closed}");
            self.violate("S6", what);
        }
    }
}

#[test]
fn s6_a_session_stays_on_its_instance() {
    runner::run(
        6_000_000,
        Tuning::DEFAULT,
        &[
            "request of a live session",
            "request of an expired session",
            "request of an evicted session",
            "locator restart",
            "served again after a drain",
            "rollback to a running version",
        ],
    );
}

#[test]
fn s6_a_session_stays_on_its_instance_through_any_locator() {
    // If the idle time grows, sessions that have expired on one locator may live again on another one. See the group of
    // locators.
    let tuning = Tuning { locators: 2, two_idles: 0, ..Tuning::DEFAULT };
    runner::run(
        6_500_000,
        tuning,
        &["request of a live session", "request of an evicted session", "stop while other sessions live"],
    );
}

/// By a cookie of the application, a session comes back after it has expired, through either locator, and often when its
/// instance is about to be closed.
pub(crate) const RETURNING: Tuning = Tuning { locators: 2, two_idles: 0, adopts: 0, returns: 100, ..Tuning::DEFAULT };

#[test]
fn s6_a_session_that_comes_back_while_its_instance_is_closed_stays_on_it() {
    let cases = ["a session came back", "waits for a close", "closing is taken back", "request of a live session"];
    runner::run(6_700_000, RETURNING, &cases);
}
