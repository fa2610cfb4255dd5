//! Connections to instances, kept alive and used again.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::time::Timestamp;

use super::body::ClientBody;
use super::limits::Limits;
use super::socket::write_together;
use super::vanished;

/// A connection that takes one request at a time.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) sender: SendRequest<ClientBody>,
    pub(super) address: SocketAddr,
    /// When its last response ended; `None`: it is new.
    pub(super) idle_since: Option<Timestamp>,
    /// Grows with each piece that goes over it, either way.
    moved: Arc<AtomicU64>,
    /// The task that reads and writes. It ends with this value, which closes the connection.
    _driver: AbortOnDropHandle<()>,
}

impl Upstream {
    /// Grows with each piece that goes over the connection, either way.
    pub(super) fn traffic(&self) -> TrafficCounter {
        TrafficCounter(Arc::clone(&self.moved))
    }
}

/// Tells whether anything has gone over a connection.
#[derive(Debug)]
pub(super) struct TrafficCounter(Arc<AtomicU64>);

/// How often a connection is looked at within the time for which it may be silent: the limit is kept to a sixteenth.
const SILENCE_CHECKS: u32 = 16;

impl TrafficCounter {
    /// Waits until nothing has gone over the connection for this time. Silence that is excused does not count.
    pub(super) async fn silent_for(&self, limit: Duration, is_excused: impl Fn() -> bool) {
        let part = (limit / SILENCE_CHECKS).max(Duration::from_millis(1));
        let so_far = || self.0.load(Ordering::Relaxed);
        let (mut before, mut silent) = (so_far(), 0);
        while silent < SILENCE_CHECKS {
            crate::time::sleep(part).await;
            let now = so_far();
            silent = if now != before || is_excused() { 0 } else { silent + 1 };
            before = now;
        }
    }
}

/// The idle connections of one worker, by address. The newest one is used first, so that those that are not needed grow
/// old and are dropped.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Mutex<HashMap<SocketAddr, Vec<Upstream>>>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Unreachable {
    /// How long it took to find out; zero if it was refused at once.
    pub(super) after: Duration,
}

/// The instance refused the connection at once.
const REFUSED_AT_ONCE: Unreachable = Unreachable { after: Duration::ZERO };

impl Pool {
    /// A connection whose last use was no longer than `at_most` ago.
    pub(super) fn take(&self, address: SocketAddr, at_most: Duration, now: Timestamp) -> Option<Upstream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(&address)?;
        while let Some(connection) = connections.pop() {
            if connection.idle_since.is_some_and(|since| now.since(since) > at_most) {
                // All others are older.
                connections.push(connection);
                return None;
            }
            // One that was closed meanwhile is not ready either.
            if connection.sender.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    /// Takes a connection back that is ready for another request.
    pub(super) fn put(&self, mut connection: Upstream, now: Timestamp) {
        connection.idle_since = Some(now);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(connection.address).or_default().push(connection);
    }

    /// Drops connections that are closed, or have been idle for longer.
    pub(super) fn purge(&self, longer: Duration, now: Timestamp) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, connections| {
            connections.retain(|connection| {
                !connection.sender.is_closed() && connection.idle_since.is_none_or(|since| now.since(since) <= longer)
            });
            !connections.is_empty()
        });
    }

    /// Drops all connections to the address. One of them was dead, so the others probably are, too.
    pub(super) fn forget(&self, address: SocketAddr) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(&address);
    }
}

/// An instance's stream.
#[derive(Debug)]
struct InstanceStream {
    stream: TcpStream,
    moved: Arc<AtomicU64>,
    /// The instance reads no more. It may have answered before, so its answer is still read.
    deaf: bool,
}

impl InstanceStream {
    #[inline]
    fn wrote(&mut self, result: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        match ready!(result) {
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                self.deaf = true;
                Poll::Ready(Ok(all))
            }
            result => {
                self.moved.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncRead for InstanceStream {
    #[inline]
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.moved.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for InstanceStream {
    #[inline]
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result, buf.len())
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = || bufs.iter().map(|piece| piece.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(all()));
        }
        let result = write_together(&mut self.stream, cx, bufs);
        self.wrote(result, all())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Opens a new connection. Its driver runs on this worker until the connection ends.
pub(super) async fn connect(address: SocketAddr, limits: &Limits) -> Result<Upstream, Unreachable> {
    let within = limits.connect_within;
    let stream = match tokio::time::timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "cannot connect");
            return Err(REFUSED_AT_ONCE);
        }
        Err(_) => {
            tracing::debug!(%address, "connecting takes too long");
            return Err(Unreachable { after: within });
        }
    };
    let _ = stream.set_nodelay(true);
    let _ = vanished::watch(&SockRef::from(&stream), limits.tcp_keepalive, limits.answer_within);
    let moved = Arc::new(AtomicU64::new(0));
    let stream = InstanceStream { stream, moved: Arc::clone(&moved), deaf: false };
    let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await.map_err(|error| {
        tracing::debug!(%address, %error, "cannot speak HTTP");
        REFUSED_AT_ONCE
    })?;
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%address, %error, "a connection to an instance broke");
        }
    });
    Ok(Upstream { sender, address, idle_since: None, moved, _driver: AbortOnDropHandle::new(driver) })
}
