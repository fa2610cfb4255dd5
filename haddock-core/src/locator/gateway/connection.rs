//! A client's connection, the thread that serves it, and what all threads share.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};
use http::request;
use ipnet::IpNet;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::time::{Clock, Timestamp};

use super::client::Watch;
use super::forwarded::Peer;
use super::headers::HeaderSummary;
use super::limits::Limits;
use super::probe_word::ProbeWords;
use super::service::Service;
use super::services::{Directory, Services};
use super::succession::Stage;
use super::tls::{Certificates, TlsCertificate};
use super::upstream::{Pool, Upstream};

/// How long a connection to an instance may take, after the end of a response, to be ready for another request.
const READY_AGAIN_LIMIT: Duration = Duration::from_secs(1);

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) services: Arc<Services>,
    pub(super) limits: Limits,
    pub(super) trusted: Vec<IpNet>,
    pub(super) allow_trace: bool,
    /// What clients that came by https are told to do next time (RFC 6797).
    pub(super) strict_transport: Option<HeaderValue>,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) probe_words: ProbeWords,
    pub(super) places: Arc<Semaphore>,
    /// Ends the gateway in peace: no new connections, and no further request on the present ones.
    pub(super) stop: CancellationToken,
    /// Cuts all connections that are left.
    pub(super) cut: CancellationToken,
    pub(super) connections: AtomicUsize,
    /// Whether this gateway decides where requests go.
    pub(super) stage: watch::Sender<Stage>,
}

impl Shared {
    pub(super) fn is_replaced(&self) -> bool {
        self.stage.borrow().is_replaced()
    }

    /// Where another gateway takes requests, as soon as it is certain that it has taken over. `None`: it has not.
    pub(super) async fn successor(&self) -> Option<Arc<Path>> {
        let mut stage = self.stage.subscribe();
        let certain = stage.wait_for(|stage| *stage != Stage::Passes).await.ok()?;
        if let Stage::Replaced(to) = &*certain { Some(Arc::clone(to)) } else { None }
    }
}

/// A connection, as counted among those that are left.
pub(super) struct Counted(Arc<Shared>);

impl Counted {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Waits until another gateway is about to take over. Then it answers, as soon as it is certain, whether that one has.
pub(super) async fn is_over(stage: &mut watch::Receiver<Stage>) -> bool {
    // An error means that the gateway has ended.
    let passes = stage.wait_for(|stage| *stage != Stage::Serves).await.is_err();
    passes || stage.wait_for(|stage| *stage != Stage::Passes).await.is_ok_and(|stage| stage.is_replaced())
}

impl Shared {
    /// The certificates that new connections get.
    pub(super) fn certificates(&self) -> Vec<TlsCertificate> {
        self.certificates.as_ref().map(|certificates| certificates.shown()).unwrap_or_default()
    }

    /// Whether whoever has this address may say for whom it asks.
    pub(super) fn is_trusted(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|net| net.contains(&address))
    }
}

/// What one thread has.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Pool,
    clients: Mutex<Clients>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, pool: Pool::default(), clients: Mutex::default() }
    }

    /// Takes a connection back whose response has been read to its end. It goes into the pool once it is ready for
    /// another request, so that nobody waits for the previous one.
    pub(super) fn take_back(self: &Arc<Self>, mut upstream: Upstream, now: Timestamp) {
        if upstream.sender.is_ready() {
            self.pool.put(upstream, now);
        } else if !upstream.sender.is_closed() {
            let worker = Arc::clone(self);
            tokio::spawn(async move {
                if let Ok(Ok(())) = tokio::time::timeout(READY_AGAIN_LIMIT, upstream.sender.ready()).await {
                    worker.pool.put(upstream, worker.shared.clock.now());
                }
            });
        }
    }

    pub(super) fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) worker: Arc<Worker>,
    pub(super) watch: Arc<Watch>,
    kept: Mutex<Lookups>,
}

/// What is kept so that it is not looked up for each request.
#[derive(Debug)]
struct Lookups {
    peer: Peer,
    generation: u64,
    directory: Arc<Directory>,
}

impl Connection {
    pub(super) fn new(worker: &Arc<Worker>, watch: &Arc<Watch>, peer: Peer) -> Arc<Self> {
        let shared = &worker.shared;
        let generation = shared.services.generation();
        let kept = Lookups { peer, generation, directory: shared.services.directory() };
        Arc::new(Self { worker: Arc::clone(worker), watch: Arc::clone(watch), kept: Mutex::new(kept) })
    }

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

    /// The address at the other end, and whether it is trusted.
    pub(super) fn peer(&self) -> (String, bool) {
        self.kept().peer.address()
    }

    /// The client's address, and whether it came by https.
    pub(super) fn client(&self) -> (IpAddr, bool) {
        let kept = self.kept();
        let address = kept.peer.address().0.parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        (address, kept.peer.is_https())
    }

    /// What a client that came to us by https is told to do next time.
    pub(super) fn strict_transport(&self) -> Option<&HeaderValue> {
        let told = self.worker.shared.strict_transport.as_ref()?;
        self.kept().peer.is_https().then_some(told)
    }

    pub(super) fn came_by_https(&self, headers: &HeaderMap, seen: &HeaderSummary) -> bool {
        self.kept().peer.came_by_https(headers, seen.speaks_of_client)
    }

    pub(super) fn pass_request(&self, parts: &mut request::Parts, seen: &HeaderSummary, upgrade: Option<HeaderValue>) {
        super::headers::pass_request(parts, seen, upgrade, &mut self.kept().peer);
    }

    fn kept(&self) -> MutexGuard<'_, Lookups> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections of clients, so that slow ones can be found.
#[derive(Debug, Default)]
pub(super) struct Clients {
    places: Vec<Option<(Arc<Watch>, AbortHandle)>>,
    free: Vec<usize>,
}

impl Clients {
    pub(super) fn reserve(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }

    pub(super) fn enter(&mut self, key: usize, watch: Arc<Watch>, task: AbortHandle) {
        self.places[key] = Some((watch, task));
    }

    pub(super) fn leave(&mut self, key: usize) {
        self.places[key] = None;
        self.free.push(key);
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &(Arc<Watch>, AbortHandle)> {
        self.places.iter().flatten()
    }
}

/// A place in the list of clients that may be too slow. It is given back when the connection or the stream ends, however it
/// ends.
pub(super) struct Registered {
    worker: Arc<Worker>,
    pub(super) key: usize,
}

impl Registered {
    pub(super) fn reserve(worker: &Arc<Worker>) -> Self {
        Self { worker: Arc::clone(worker), key: worker.clients().reserve() }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.worker.clients().leave(self.key);
    }
}
