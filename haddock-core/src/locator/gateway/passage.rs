//! A request's way through the gateway: its placement, and the response's body.
//!
//! A request may be answered, broken, given up by the client, or dropped with its connection. Its placement ends
//! exactly once: when its [`Passage`] ends or is dropped.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderMap;
use http::uri::PathAndQuery;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::time::Timestamp;

use super::application::SessionCookies;
use super::connection::Connection;
use super::request_rules::RequestRules;
use super::service::Service;
use super::service_routing::{Blame, Outcome, Placement};
use super::upstream::Upstream;

/// A request that has been placed.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) connection: Arc<Connection>,
    pub(super) service: Arc<Service>,
    pub(super) placement: Placement,
    /// What counts as failed and as slow, since when it is on its way, and what its session is known by.
    pub(super) terms: Terms,
    path: PathAndQuery,
    /// The connection from which the response comes. It goes back to the pool after the end.
    pub(super) upstream: Option<Upstream>,
    outcome: Outcome,
    /// Whether its answer has begun.
    is_answered: bool,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Upgraded,
    Over,
}

impl Passage {
    pub(super) fn new(
        connection: Arc<Connection>,
        service: Arc<Service>,
        placement: Placement,
        terms: Terms,
        path: PathAndQuery,
    ) -> Self {
        Self {
            connection,
            service,
            placement,
            terms,
            path,
            upstream: None,
            outcome: Outcome::Sent,
            is_answered: false,
            is_failed: false,
            state: State::InFlight,
        }
    }

    /// Its answer has begun.
    #[inline]
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.is_answered = true;
        if self.terms.rules.is_failed(self.path.path(), status.as_u16(), headers) {
            self.fail(Some(status.as_u16()));
        }
        self.check_time(Some(status.as_u16()));
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

    /// Counts it as slow if its answer begins too late, or has not begun for too long. Time spent waiting for the client's
    /// body does not count.
    #[inline]
    fn check_time(&mut self, status: Option<u16>) {
        if self.terms.rules.times() {
            let took = self.connection.now().since(self.terms.began);
            if self.terms.rules.is_slow(self.path.path(), took.saturating_sub(self.connection.watch.waited_for_body()))
            {
                self.blame(true, status);
            }
        }
    }

    fn blame(&mut self, slow: bool, status: Option<u16>) {
        self.service.routing().blame(&mut self.placement, Blame { slow, path: self.path.path(), status });
    }

    /// The response has been read to its end.
    fn complete(&mut self) {
        self.end(true);
    }

    /// Ends the placement of a request that could not be sent and goes to another instance.
    pub(super) fn move_on(mut self) -> PathAndQuery {
        self.not_sent();
        self.check_time(None);
        self.state = State::Over;
        let now = self.connection.now();
        self.service.routing().move_on(&self.placement, now);
        self.path.clone()
    }

    /// The connection is upgraded.
    pub(super) fn upgrade(&mut self) {
        self.state = State::Upgraded;
        self.service.routing().upgrade(&self.placement);
    }

    fn end(&mut self, reusable: bool) {
        let state = std::mem::replace(&mut self.state, State::Over);
        if state == State::InFlight && !self.is_answered {
            self.check_time(None);
        }
        let now = self.connection.now();
        match state {
            State::InFlight => self.service.routing().finish(&self.placement, self.outcome, now),
            State::Upgraded => self.service.routing().finish_upgraded(&self.placement, now),
            State::Over => return,
        }
        if state == State::InFlight {
            self.connection.watch.rest(now);
            // If the instance answered early, the request may still be on its way.
            if let Some(upstream) = self.upstream.take()
                && reusable
                && !self.connection.watch.has_unread()
            {
                self.connection.worker.take_back(upstream, now);
            }
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// A response's body.
#[derive(Debug)]
pub(super) enum ResponseBody {
    /// A text of the gateway.
    Text(Option<Bytes>),
    /// The instance's body.
    Stream(Incoming, Passage),
}

impl ResponseBody {
    pub(super) fn stream(incoming: Incoming, mut passage: Passage) -> Self {
        if incoming.is_end_stream() {
            passage.complete();
        }
        Self::Stream(incoming, passage)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Stream(incoming, passage) => {
                passage.connection.watch.takes_piece();
                let polled = Pin::new(&mut *incoming).poll_frame(cx);
                match &polled {
                    Poll::Pending => {}
                    Poll::Ready(Some(Ok(_))) => {
                        passage.connection.watch.gave_piece();
                        // A reader that knows the length does not ask again after the last piece.
                        if incoming.is_end_stream() {
                            passage.complete();
                        }
                    }
                    Poll::Ready(None) => passage.complete(),
                    Poll::Ready(Some(Err(_))) => {
                        passage.lose();
                        passage.end(false);
                    }
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Stream(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Stream(incoming, _) => incoming.size_hint(),
        }
    }
}

/// The gateway's answers are never errors: a failure is a response, too.
pub(super) type Answer = Result<http::Response<ResponseBody>, Infallible>;
