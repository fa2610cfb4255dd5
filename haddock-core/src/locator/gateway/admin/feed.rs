//! Events as `text/event-stream`, the format of server-sent events (HTML, 9.2).
//!
//! ```text
//!   id: 1f3a.17
//!   event: instance_closed
//!   data: {"at":1795000000000,"event":"instance_closed","service":"shop","instance":"shop-1-ab12cd34"}
//! ```
//!
//! An id names the life of the gateway and the number of the event.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Waiting, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answers::Answer;
use crate::error::{Error, ErrorKind, Result};
use crate::locator::gateway::events::{Event, Events, Happened, Reader};
use crate::name::ServiceName;
use crate::time::Clock;

pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// How often a stream without events says that it is alive. Proxies cut what is silent for 30 s or more.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long a reader may take nothing while there is something to take. Then its connection is cut.
const SLOW_READER_LIMIT: Duration = Duration::from_secs(15);

/// Events that are taken from the ring, and that wait for the connection.
const BATCH: usize = 16;

/// Ends a connection, whatever is still to be written to it.
#[derive(Debug, Clone)]
pub(super) struct Cut(pub(super) CancellationToken);

/// A stream that somebody wants to read.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) events: Arc<Events>,
    pub(super) incarnation: u64,
    pub(super) clock: Arc<dyn Clock>,
    /// `None`: of all services.
    pub(super) service: Option<ServiceName>,
    pub(super) cut: Cut,
}

impl Feed {
    /// Begins it, after the event that the reader has seen last.
    pub(super) fn begin(self, asked: &HeaderMap) -> Result<Answer> {
        let too_many = || Error::new(ErrorKind::Busy, "too many read the events").with_hint("ask again later");
        let reader = self.events.reader().ok_or_else(too_many)?;
        let last = asked.get("last-event-id").and_then(|id| id.to_str().ok());
        let newest = self.events.newest();
        // One of another life is not known, so all since then are lost.
        let seen = last.map(|id| self.number(id).filter(|number| *number <= newest));
        let (written, body) = mpsc::channel(BATCH);
        tokio::spawn(self.write(reader, seen.unwrap_or(Some(newest)), written));
        let mut answer = Response::new(Written(body).boxed_unsync());
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (incarnation, number) = id.split_once('.')?;
        number.parse().ok().filter(|_| incarnation == format!("{:x}", self.incarnation))
    }

    /// Writes events until the reader goes away. `seen` is the last one that it has seen. `None`: it is not known.
    async fn write(self, _reader: Reader, seen: Option<u64>, to: mpsc::Sender<Bytes>) {
        let mut further = self.events.watch();
        let (mut seen, mut has_lost) = seen.map_or((0, true), |seen| (seen, false));
        if !self.send(&to, Bytes::from_static(b"retry: 2000\n\n")).await {
            return;
        }
        loop {
            further.borrow_and_update();
            let (first, events) = self.events.after(seen, BATCH);
            if has_lost || first > seen + 1 {
                let lost = Event { at: self.clock.now(), happened: Happened::Lost };
                if !self.send(&to, self.frame(first - 1, &lost)).await {
                    return;
                }
                has_lost = false;
            }
            seen = first - 1;
            let is_up_to_date = events.is_empty();
            for event in events {
                seen += 1;
                let service = event.happened.service();
                let concerns = self.service.is_none() || service.is_none() || service == self.service.as_ref();
                if concerns && !self.send(&to, self.frame(seen, &event)).await {
                    return;
                }
            }
            if is_up_to_date {
                tokio::select! {
                    changed = further.changed() => if changed.is_err() { return },
                    () = to.closed() => return,
                    () = crate::time::sleep(KEEP_ALIVE_INTERVAL) => {
                        if !self.send(&to, Bytes::from_static(b":\n\n")).await {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn frame(&self, number: u64, event: &Event) -> Bytes {
        // JSON in one line. It has no values that could not be written.
        let data = serde_json::to_string(event).unwrap_or_default();
        format!("id: {:x}.{number}\nevent: {}\ndata: {data}\n\n", self.incarnation, event.happened.name()).into()
    }

    /// Answers whether it was taken.
    async fn send(&self, to: &mpsc::Sender<Bytes>, piece: Bytes) -> bool {
        match tokio::time::timeout(SLOW_READER_LIMIT, to.send(piece)).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                tracing::debug!("a reader of events was too slow");
                self.cut.0.cancel();
                false
            }
        }
    }
}

/// A stream that is written as it comes.
struct Written(mpsc::Receiver<Bytes>);

impl Body for Written {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Waiting<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{SystemClock, Timestamp};

    fn feed(events: &Arc<Events>) -> (Feed, CancellationToken) {
        let (clock, cut) = (Arc::new(SystemClock::new()), CancellationToken::new());
        (Feed { events: Arc::clone(events), incarnation: 7, clock, service: None, cut: Cut(cut.clone()) }, cut)
    }

    async fn next(answer: &mut Answer) -> String {
        let frame = answer.body_mut().frame().await.expect("more").expect("infallible");
        String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_reads_nothing_is_cut_and_what_is_silent_says_that_it_lives() {
        let events = Events::new();
        let (silent, cut) = feed(&events);
        let mut answer = silent.begin(&HeaderMap::new()).expect("begun");
        assert_eq!(next(&mut answer).await, "retry: 2000\n\n");
        assert_eq!(next(&mut answer).await, ":\n\n");
        assert_eq!(next(&mut answer).await, ":\n\n");
        for n in 0..100 {
            events.note(Timestamp::from_millis(n), Happened::CertificatesReloaded);
        }
        tokio::time::timeout(Duration::from_secs(60), cut.cancelled()).await.expect("cut");
        assert!(!events.is_read(), "it is no reader any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missed_is_told_or_said_to_be_lost() {
        let events = Events::new();
        for n in 1..=3 {
            events.note(Timestamp::from_millis(n), Happened::CertificatesReloaded);
        }
        let from = |id: &str| {
            let asked = HeaderMap::from_iter([("last-event-id".parse().expect("a name"), id.parse().expect("valid"))]);
            feed(&events).0.begin(&asked).expect("begun")
        };
        for (id, first) in [
            ("7.1", "id: 7.2\nevent: certificates_reloaded\ndata: {\"at\":2,"),
            ("7.2", "id: 7.3\nevent: certificates_reloaded\n"),
            ("7.3", ":\n"),
            ("7.4", "id: 7.0\nevent: lost\n"),
            ("6.1", "id: 7.0\nevent: lost\n"),
            ("nonsense", "id: 7.0\nevent: lost\n"),
        ] {
            let mut answer = from(id);
            next(&mut answer).await;
            let told = next(&mut answer).await;
            assert!(told.starts_with(first), "{id}: {told}");
        }
        for n in 4..=2000 {
            events.note(Timestamp::from_millis(n), Happened::CertificatesReloaded);
        }
        let mut answer = from("7.3");
        next(&mut answer).await;
        assert!(next(&mut answer).await.starts_with("id: 7.976\nevent: lost\n"));
        assert!(next(&mut answer).await.starts_with("id: 7.977\n"));
    }
}
