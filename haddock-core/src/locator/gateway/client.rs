//! The connection of a client. What it sends is scanned for requests with two lengths. How long it keeps us waiting is
//! measured.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use crate::time::{Clock, Timestamp};

use super::limits::Limits;
use super::socket::Socket;

/// What is known of a client's connection. Times are in milliseconds; 0 means that nothing is waited for.
#[derive(Debug)]
pub(super) struct Watch {
    clock: Arc<dyn Clock>,
    /// Since when no request is being served.
    idle_since: AtomicU64,
    /// Since when a request's head is being sent.
    head_since: AtomicU64,
    /// Since when we wait for more of a request's body.
    body_since: AtomicU64,
    /// How long we have waited for this request's body before, in milliseconds.
    body_waited: AtomicU64,
    /// The client may still send bytes that nobody reads: the rest of a body, or of what is no request.
    unread: AtomicBool,
    /// Since when the client does not take what we send.
    write_since: AtomicU64,
    /// A head had both a content length and a transfer encoding. The HTTP library keeps only one of them.
    both_lengths: AtomicBool,
    /// The connection is upgraded, so the time limits no longer apply.
    upgraded: AtomicBool,
    /// The connection is being cut, so nothing is waited for.
    cut: AtomicBool,
    /// The connection carries streams of HTTP/2: when it is idle depends on them, and each has a watch of its own.
    multiplexed: AtomicBool,
    /// The streams that are being served.
    streams: AtomicUsize,
}

impl Watch {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now().as_millis();
        Self {
            clock,
            idle_since: AtomicU64::new(now),
            head_since: AtomicU64::new(0),
            body_since: AtomicU64::new(0),
            body_waited: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            write_since: AtomicU64::new(0),
            both_lengths: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            multiplexed: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
        }
    }

    /// What is known of a stream of this connection. It is never idle, because it ends with its answer.
    pub(super) fn of_stream(connection: &Self) -> Self {
        let watch = Self::new(Arc::clone(&connection.clock));
        watch.idle_since.store(0, Ordering::Relaxed);
        watch.multiplexed.store(true, Ordering::Relaxed);
        watch
    }

    /// From now on, the connection carries streams.
    pub(super) fn multiplex(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
    }

    pub(super) fn begin_stream(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.idle_since.store(0, Ordering::Relaxed);
    }

    pub(super) fn end_stream(&self) {
        if self.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.idle_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Whether it is a stream, or the connection of streams.
    #[inline]
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    /// The client got a piece of a stream's response. Until it asks for the next, it may be too slow.
    #[inline]
    pub(super) fn gave_piece(&self) {
        if self.is_multiplexed() {
            self.write_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// The client takes the next piece.
    #[inline]
    pub(super) fn takes_piece(&self) {
        if self.is_multiplexed() {
            self.write_since.store(0, Ordering::Relaxed);
        }
    }

    /// A request's head has been read, and whether a body follows.
    #[inline]
    pub(super) fn serve(&self, has_body: bool) {
        self.idle_since.store(0, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        self.unread.store(has_body, Ordering::Relaxed);
        self.body_waited.store(0, Ordering::Relaxed);
    }

    /// We wait for more of the body.
    pub(super) fn wait_for_body(&self) {
        if self.body_since.load(Ordering::Relaxed) == 0 {
            self.body_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A piece of the body has come. `last`: it is the last one.
    pub(super) fn read_body(&self, last: bool) {
        self.stop_waiting_for_body();
        if last {
            self.unread.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn stop_waiting_for_body(&self) {
        let waited = self.waited_for_body();
        self.body_since.store(0, Ordering::Relaxed);
        self.body_waited.store(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long we have waited for this request's body.
    pub(super) fn waited_for_body(&self) -> Duration {
        let since = self.body_since.load(Ordering::Relaxed);
        let now = if since == 0 { Duration::ZERO } else { self.clock.now().since(Timestamp::from_millis(since)) };
        now + Duration::from_millis(self.body_waited.load(Ordering::Relaxed))
    }

    pub(super) fn is_waiting_for_body(&self) -> bool {
        self.body_since.load(Ordering::Relaxed) != 0
    }

    /// The rest of what the client sends will not be read.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether the client may have sent bytes that nobody reads.
    #[inline]
    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// The connection is about to be cut.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Whether the client still sends. If we closed now, it could lose the answer that we have written.
    fn is_sending(&self) -> bool {
        let head = self.head_since.load(Ordering::Relaxed) != 0;
        let over = self.upgraded.load(Ordering::Relaxed) || self.cut.load(Ordering::Relaxed) || self.is_multiplexed();
        !over && (head || self.has_unread())
    }

    /// The request has been answered. From now on the connection is idle.
    #[inline]
    pub(super) fn rest(&self, now: Timestamp) {
        if !self.is_multiplexed() {
            self.idle_since.store(now.as_millis(), Ordering::Relaxed);
        }
    }

    pub(super) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// Whether a head on this connection had both lengths.
    #[inline]
    pub(super) fn both_lengths(&self) -> bool {
        self.both_lengths.load(Ordering::Relaxed)
    }

    /// Whether the client has kept us waiting for too long.
    pub(super) fn is_too_slow(&self, limits: &Limits, now: Timestamp) -> bool {
        let longer = |since: &AtomicU64, limit: Duration| {
            let since = since.load(Ordering::Relaxed);
            since != 0 && now.since(Timestamp::from_millis(since)) > limit
        };
        if self.upgraded.load(Ordering::Relaxed) {
            return false;
        }
        let idle_limit = if self.head_since.load(Ordering::Relaxed) == 0 { limits.keep_alive } else { Duration::MAX };
        longer(&self.idle_since, idle_limit)
            || longer(&self.head_since, limits.head_within)
            || longer(&self.body_since, limits.stalled)
            || longer(&self.write_since, limits.stalled)
    }

    fn now(&self) -> u64 {
        self.clock.now().as_millis()
    }
}

/// The client's stream, with its place among those that are served at once.
#[derive(Debug)]
pub(super) struct ClientStream {
    open: Option<(Socket, Option<OwnedSemaphorePermit>)>,
    watch: Arc<Watch>,
    scan: LengthScan,
    /// The client has closed its side.
    ended: bool,
}

impl ClientStream {
    pub(super) fn new(stream: Socket, place: Option<OwnedSemaphorePermit>, watch: Arc<Watch>) -> Self {
        Self { open: Some((stream, place)), watch, scan: LengthScan::default(), ended: false }
    }

    #[inline]
    fn stream(&mut self) -> &mut Socket {
        &mut self.open.as_mut().expect("taken when it is dropped").0
    }

    #[inline]
    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        let since = &self.watch.write_since;
        if result.is_pending() {
            if since.load(Ordering::Relaxed) == 0 {
                since.store(self.watch.now(), Ordering::Relaxed);
            }
        } else if since.load(Ordering::Relaxed) != 0 {
            since.store(0, Ordering::Relaxed);
        }
        result
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        let Some((stream, place)) = self.open.take() else { return };
        if !self.ended
            && self.watch.is_sending()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                linger(stream).await;
                drop(place);
            });
        }
    }
}

/// How long a client that still sends is listened to after its answer, and how long it may be silent meanwhile: as nginx
/// has it (`lingering_time`, `lingering_timeout`).
const LINGER_LIMIT: Duration = Duration::from_secs(30);
const LINGER_SILENCE_LIMIT: Duration = Duration::from_secs(5);

/// Closes a connection whose client still sends. If it were closed at once, the kernel would answer these bytes with a
/// reset, and the client would lose what it has not read of our answer (RFC 9112, 9.6).
async fn linger(mut stream: Socket) {
    let _ = stream.shutdown().await;
    let discard = async {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(Ok(1..)) = tokio::time::timeout(LINGER_SILENCE_LIMIT, stream.read(&mut bytes)).await {}
    };
    let _ = tokio::time::timeout(LINGER_LIMIT, discard).await;
}

impl AsyncRead for ClientStream {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(this.stream()).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        if new.is_empty() {
            this.ended = buf.remaining() > 0;
        } else if !this.watch.is_multiplexed() {
            let watch = &this.watch;
            if watch.idle_since.load(Ordering::Relaxed) != 0 && watch.head_since.load(Ordering::Relaxed) == 0 {
                watch.head_since.store(watch.now(), Ordering::Relaxed);
            }
            if !watch.both_lengths.load(Ordering::Relaxed) && this.scan.feed(new) {
                watch.both_lengths.store(true, Ordering::Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(self.stream()).poll_write(cx, buf);
        self.wrote(result)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(self.stream()).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()).poll_shutdown(cx)
    }
}

/// Looks for heads with both lengths in all that the client sends.
///
/// It knows only lines: it takes a block of lines up to an empty one for a head. A body may hold such a block. Then a
/// later request *with* a transfer encoding on this connection is refused without need. Nothing worse happens.
#[derive(Debug, Default)]
struct LengthScan {
    /// The start of a line that did not come in one piece, as far as it is needed.
    line: Vec<u8>,
    length: bool,
    encoding: bool,
}

/// How much of a line is kept: the longer of the two names, and the colon.
const KEPT_LINE_BYTES: usize = b"transfer-encoding:".len();

impl LengthScan {
    /// Answers whether a head with both lengths was completed.
    fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = false;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.line.is_empty() {
                found |= self.end_of_line(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(&line[..line.len().min(KEPT_LINE_BYTES)]);
                found |= self.end_of_line(&whole);
            }
        }
        if self.line.len() < KEPT_LINE_BYTES {
            self.line.extend_from_slice(&bytes[..bytes.len().min(KEPT_LINE_BYTES)]);
        }
        found
    }

    fn end_of_line(&mut self, line: &[u8]) -> bool {
        match line {
            [] | [b'\r'] => {
                let both = self.length && self.encoding;
                (self.length, self.encoding) = (false, false);
                return both;
            }
            [b'c' | b'C', ..] => self.length |= starts_with(line, b"content-length"),
            [b't' | b'T', ..] => self.encoding |= starts_with(line, b"transfer-encoding"),
            _ => {}
        }
        false
    }
}

fn starts_with(line: &[u8], name: &[u8]) -> bool {
    line.len() > name.len()
        && line[..name.len()].eq_ignore_ascii_case(name)
        && matches!(line[name.len()], b':' | b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: &[u8] =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX: y\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    const ONE: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\nX-Transfer-Encoding: no\r\n\r\nabc";
    const OTHER: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-Content-Length: 3\r\n\r\n0\r\n\r\n";

    proptest! {
        #[test]
        fn both_lengths_are_found_however_the_bytes_are_cut(cuts in prop::collection::vec(1_usize..40, 1..40)) {
            for (text, both) in [(BOTH, true), (ONE, false), (OTHER, false)] {
                let mut scan = LengthScan::default();
                let (mut rest, mut found) = (text, false);
                for cut in cuts.iter().cycle() {
                    let (piece, later) = rest.split_at((*cut).min(rest.len()));
                    found |= scan.feed(piece);
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
                prop_assert_eq!(found, both);
            }
        }
    }

    #[test]
    fn one_length_each_in_two_requests_is_not_both() {
        let mut scan = LengthScan::default();
        assert!(!scan.feed(&[ONE, b"\r\n", OTHER, ONE, b"\r\n"].concat()));
    }
}
