//! The connection of a client, watched: what it sends is scanned for requests with two lengths, and how long it keeps
//! us waiting is measured.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::time::{Clock, Timestamp};

use super::config::Limits;

/// What is known of a client's connection. Times are milliseconds; 0 is "not".
#[derive(Debug)]
pub(super) struct Watch {
    clock: Arc<dyn Clock>,
    /// Since when no request is being served.
    idle_since: AtomicU64,
    /// Since when a request's head is being sent.
    head_since: AtomicU64,
    /// Since when we wait for more of a request's body.
    body_since: AtomicU64,
    /// Since when the client takes nothing of what we have to send.
    write_since: AtomicU64,
    /// A head came by that has both a content length and a transfer encoding. The HTTP library keeps one of them only.
    both_lengths: AtomicBool,
    /// Upgraded: no longer ours to judge.
    upgraded: AtomicBool,
}

impl Watch {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now().as_millis();
        Self {
            clock,
            idle_since: AtomicU64::new(now),
            head_since: AtomicU64::new(0),
            body_since: AtomicU64::new(0),
            write_since: AtomicU64::new(0),
            both_lengths: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
        }
    }

    /// A request's head has been read.
    #[inline]
    pub(super) fn serve(&self) {
        self.idle_since.store(0, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    /// The request has been answered, as far as we have it.
    #[inline]
    pub(super) fn rest(&self, now: Timestamp) {
        self.idle_since.store(now.as_millis(), Ordering::Relaxed);
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

/// The client's stream.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: TcpStream,
    watch: Arc<Watch>,
    scan: Scan,
}

impl ClientStream {
    pub(super) fn new(stream: TcpStream, watch: Arc<Watch>) -> Self {
        Self { stream, watch, scan: Scan::default() }
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

impl AsyncRead for ClientStream {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        if !new.is_empty() {
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
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = write_together(&mut self.stream, cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Writes several pieces. Few bytes are cheaper copied together and sent than gathered by the kernel.
#[inline]
pub(super) fn write_together(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    bufs: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    const FEW: usize = 4096;
    let stream = Pin::new(stream);
    if let [one] = bufs {
        return stream.poll_write(cx, one);
    }
    let total: usize = bufs.iter().map(|piece| piece.len()).sum();
    if total > FEW {
        return stream.poll_write_vectored(cx, bufs);
    }
    let mut together = [0; FEW];
    let mut filled = 0;
    for piece in bufs {
        together[filled..filled + piece.len()].copy_from_slice(piece);
        filled += piece.len();
    }
    stream.poll_write(cx, &together[..filled])
}

/// Looks for heads that have both lengths in all that goes by.
///
/// It knows no more of HTTP than lines: a block of lines up to an empty one is taken for a head. A body may hold such a
/// block; then a later request *with* a transfer encoding on this connection is refused without need, and nothing
/// worse happens.
#[derive(Debug, Default)]
struct Scan {
    /// The start of the line that is being read, as far as it is needed, if it did not come in one piece.
    line: Vec<u8>,
    length: bool,
    encoding: bool,
}

/// Long enough for the longer of the two names, and what ends it.
const LINE: usize = b"transfer-encoding:".len();

impl Scan {
    /// Says whether a head with both was completed.
    fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = false;
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.line.is_empty() {
                found |= self.end_of_line(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(&line[..line.len().min(LINE)]);
                found |= self.end_of_line(&whole);
            }
        }
        if self.line.len() < LINE {
            self.line.extend_from_slice(&bytes[..bytes.len().min(LINE)]);
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

/// A request's body on its way to an instance.
#[derive(Debug)]
pub(super) struct ClientBody(Option<(Incoming, Arc<Watch>)>);

impl ClientBody {
    pub(super) fn new(incoming: Incoming, watch: &Arc<Watch>) -> Self {
        Self((!incoming.is_end_stream()).then(|| (incoming, Arc::clone(watch))))
    }

    pub(super) fn empty() -> Self {
        Self(None)
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some((incoming, watch)) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        if polled.is_ready() {
            watch.body_since.store(0, Ordering::Relaxed);
        } else if watch.body_since.load(Ordering::Relaxed) == 0 {
            watch.body_since.store(watch.now(), Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(incoming, _)| incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |(incoming, _)| incoming.size_hint())
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let Some((_, watch)) = &self.0 {
            watch.body_since.store(0, Ordering::Relaxed);
        }
    }
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
                let mut scan = Scan::default();
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
        let mut scan = Scan::default();
        assert!(!scan.feed(&[ONE, b"\r\n", OTHER, ONE, b"\r\n"].concat()));
    }
}
