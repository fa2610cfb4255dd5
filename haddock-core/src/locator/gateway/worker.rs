//! The threads that serve clients. Each has a runtime of its own, so that a connection and what it asks of instances
//! stay on one core and wake nobody elsewhere.

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};
use http::request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::time::{Clock, Timestamp};

use super::client::{ClientStream, Watch};
use super::config::Limits;
use super::exchange;
use super::forwarded::Peer;
use super::headers::Seen;
use super::probe::Probes;
use super::service::{Directory, Service, Services};
use super::upstream::{Pool, Upstream};

/// How often slow clients are looked for, old connections dropped and sessions let expire.
const ROUND: Duration = Duration::from_millis(250);

/// Header lines that the HTTP library takes by default, and so do we.
pub(super) const DEFAULT_HEADERS: usize = 100;

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) services: Arc<Services>,
    pub(super) limits: Limits,
    pub(super) trusted: Vec<IpNet>,
    pub(super) allow_trace: bool,
    pub(super) probes: Probes,
    pub(super) places: Arc<Semaphore>,
    /// No more connections, no more than the request at hand on those there are.
    pub(super) stop: CancellationToken,
    /// Whatever is still there is cut.
    pub(super) cut: CancellationToken,
    pub(super) connections: AtomicUsize,
}

/// What one thread has.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Pool,
    clients: Mutex<Clients>,
}

/// How long a connection may take, after the end of a response, to be ready for another request.
const READY_AGAIN: Duration = Duration::from_secs(1);

impl Worker {
    /// Takes a connection back whose response has been read to its end, as soon as it is ready for another request: nobody
    /// is to wait for the one before.
    pub(super) fn take_back(self: &Arc<Self>, mut upstream: Upstream, now: Timestamp) {
        if upstream.sender.is_ready() {
            self.pool.put(upstream, now);
        } else if !upstream.sender.is_closed() {
            let worker = Arc::clone(self);
            tokio::spawn(async move {
                if let Ok(Ok(())) = tokio::time::timeout(READY_AGAIN, upstream.sender.ready()).await {
                    worker.pool.put(upstream, worker.shared.clock.now());
                }
            });
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    pub(super) watch: Arc<Watch>,
    kept: Mutex<Kept>,
}

/// What need not be looked up for each request.
#[derive(Debug)]
struct Kept {
    peer: Peer,
    generation: u64,
    directory: Arc<Directory>,
}

impl Connection {
    #[inline]
    pub(super) fn now(&self) -> Timestamp {
        self.worker.shared.clock.now()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.worker.shared.limits
    }

    /// The service that the host means.
    pub(super) fn service(&self, host: Option<&HeaderValue>) -> Option<Arc<Service>> {
        let mut kept = self.kept();
        let services = &self.worker.shared.services;
        let generation = services.generation();
        if kept.generation != generation {
            kept.directory = services.directory();
            kept.generation = generation;
        }
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        kept.directory.of_host(host).cloned()
    }

    /// The address at the other end, and whether what it says of clients is believed.
    pub(super) fn peer(&self) -> (String, bool) {
        self.kept().peer.address()
    }

    pub(super) fn came_by_https(&self, headers: &HeaderMap, seen: &Seen) -> bool {
        self.kept().peer.came_by_https(headers, seen.speaks_of_client)
    }

    pub(super) fn pass_request(&self, parts: &mut request::Parts, seen: &Seen, upgrade: Option<HeaderValue>) {
        super::headers::pass_request(parts, seen, upgrade, &mut self.kept().peer);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a worker on this thread until the gateway is cut.
pub(super) fn run(shared: Arc<Shared>, listener: StdTcpListener, first: bool) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a gateway thread cannot run");
            return;
        }
    };
    runtime.block_on(async move {
        let worker = Arc::new(Worker { shared, pool: Pool::default(), clients: Mutex::default() });
        tokio::spawn(keep_tidy(Arc::clone(&worker), first));
        match TcpListener::from_std(listener) {
            Ok(listener) => accept(&worker, listener).await,
            Err(error) => tracing::error!(%error, "a gateway thread cannot listen"),
        }
        worker.shared.cut.cancelled().await;
    });
}

async fn accept(worker: &Arc<Worker>, listener: TcpListener) {
    let shared = &worker.shared;
    loop {
        let taken = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            taken = next_client(shared, &listener) => taken,
        };
        let Some((stream, peer, place)) = taken else { continue };
        let watch = Arc::new(Watch::new(Arc::clone(&shared.clock)));
        let connection = connection(worker, &watch, peer);
        let key = worker.clients().reserve();
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let task = tokio::spawn({
            let registered = Registered { worker: Arc::clone(worker), key };
            async move {
                serve(connection, stream, place).await;
                drop(registered);
            }
        });
        worker.clients().enter(key, watch, task.abort_handle());
    }
}

/// The connections of clients, so that slow ones can be found.
#[derive(Debug, Default)]
struct Clients {
    places: Vec<Option<(Arc<Watch>, AbortHandle)>>,
    free: Vec<usize>,
}

impl Clients {
    fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }

    fn enter(&mut self, key: usize, watch: Arc<Watch>, task: AbortHandle) {
        self.places[key] = Some((watch, task));
    }

    fn leave(&mut self, key: usize) {
        self.places[key] = None;
        self.free.push(key);
    }
}

/// Leaves when the connection ends, however it does.
struct Registered {
    worker: Arc<Worker>,
    key: usize,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.worker.clients().leave(self.key);
        self.worker.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn next_client(shared: &Shared, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(&shared.places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            // The client has gone already, or we are out of file handles; then it helps to let others end.
            tracing::debug!(%error, "cannot accept");
            crate::time::sleep(Duration::from_millis(10)).await;
            None
        }
    }
}

fn connection(worker: &Arc<Worker>, watch: &Arc<Watch>, peer: SocketAddr) -> Arc<Connection> {
    let shared = &worker.shared;
    let address = peer.ip().to_canonical();
    let peer = Peer::new(peer, shared.trusted.iter().any(|net| net.contains(&address)));
    let generation = shared.services.generation();
    let kept = Kept { peer, generation, directory: shared.services.directory() };
    Arc::new(Connection { worker: Arc::clone(worker), watch: Arc::clone(watch), kept: Mutex::new(kept) })
}

async fn serve(connection: Arc<Connection>, stream: TcpStream, place: OwnedSemaphorePermit) {
    let shared = Arc::clone(&connection.worker.shared);
    let stream = ClientStream::new(stream, place, Arc::clone(&connection.watch));
    let service = service_fn(move |request| exchange::serve(Arc::clone(&connection), request));
    let mut builder = http1::Builder::new();
    builder
        .max_header_size(shared.limits.header_bytes)
        .max_buf_size(shared.limits.header_bytes.max(8192))
        // Ours is coarser and costs nothing for each request.
        .header_read_timeout(None);
    if shared.limits.headers != DEFAULT_HEADERS {
        // Another number than the library's own costs it an allocation for each request.
        builder.max_headers(shared.limits.headers);
    }
    let served = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut served = pin!(served);
    let mut stop = pin!(shared.stop.cancelled());
    let mut stopping = false;
    let result = std::future::poll_fn(|cx: &mut Context<'_>| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            served.as_mut().graceful_shutdown();
        }
        served.as_mut().poll(cx)
    });
    if let Err(error) = result.await {
        tracing::debug!(%error, "a client's connection broke");
    }
}

/// The work that is nobody's in particular.
async fn keep_tidy(worker: Arc<Worker>, first: bool) {
    let shared = &worker.shared;
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        let now = shared.clock.now();
        for (watch, task) in worker.clients().places.iter().flatten() {
            if watch.is_too_slow(&shared.limits, now) {
                watch.cut();
                task.abort();
            }
        }
        worker.pool.purge(shared.limits.pool_idle, now);
        if first {
            for service in shared.services.directory().services() {
                service.sweep();
            }
        }
    }
}
