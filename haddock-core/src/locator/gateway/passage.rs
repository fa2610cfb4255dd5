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
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::Connection;
use super::placed::{Placed, State};
use super::upstream::Upstream;

/// A request that the gateway carries.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) connection: Arc<Connection>,
    pub(super) placed: Placed,
    /// The connection from which the response comes. It goes back to the pool after the end.
    pub(super) upstream: Option<Upstream>,
}

impl Passage {
    pub(super) fn new(connection: Arc<Connection>, placed: Placed) -> Self {
        Self { connection, placed, upstream: None }
    }

    /// Its answer has begun.
    #[inline]
    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.placed.answered(status.as_u16(), headers, || self.connection.watch.waited_for_body());
    }

    /// It gets no answer, or not all of it.
    pub(super) fn lose(&mut self) {
        self.placed.lose();
    }

    /// The response has been read to its end.
    fn complete(&mut self) {
        self.end(true);
    }

    /// It could not be sent, and goes to another instance. Answers `false` if there is none for it.
    pub(super) fn elsewhere(&mut self, tried: &[u32]) -> bool {
        self.placed.elsewhere(tried, || self.connection.watch.waited_for_body())
    }

    fn end(&mut self, reusable: bool) {
        let now = self.connection.now();
        if self.placed.end(now, || self.connection.watch.waited_for_body()) == State::InFlight {
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
    /// The body of another gateway.
    Relayed(Incoming, Arc<Connection>),
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
            Self::Relayed(incoming, connection) => {
                connection.watch.takes_piece();
                let polled = Pin::new(&mut *incoming).poll_frame(cx);
                match &polled {
                    Poll::Pending => {}
                    Poll::Ready(Some(Ok(_))) => connection.watch.gave_piece(),
                    Poll::Ready(_) => connection.watch.rest(connection.now()),
                }
                polled
            }
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
            Self::Stream(incoming, _) | Self::Relayed(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Stream(incoming, _) | Self::Relayed(incoming, _) => incoming.size_hint(),
        }
    }
}

/// The gateway's answers are never errors: a failure is a response, too.
pub(super) type Answer = Result<http::Response<ResponseBody>, Infallible>;
