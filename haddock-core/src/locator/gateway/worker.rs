//! The threads that serve clients. Each has a runtime of its own, so that a client's connection and those to its
//! instances stay on one core and wake no other thread.

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::TlsAcceptor;

use super::client::{ClientStream, Watch};
use super::connection::{Connection, Counted, Registered, Shared, Worker, is_over};
use super::door;
use super::events::Happened;
use super::exchange;
use super::forwarded::Peer;
use super::http2::Streams;
use super::limits::DEFAULT_HEADER_LINES;
use super::redirect;
use super::socket::Socket;
use super::succession::Stage;

/// How often slow clients are cut, old connections dropped and expired sessions removed.
const UPKEEP_INTERVAL: Duration = Duration::from_millis(250);

/// How often it is looked whether certificates have changed.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(1);

/// What clients meet that connect to a listener.
#[derive(Clone)]
pub(super) enum Entrance {
    /// The services, by http.
    Plain,
    /// The services, by https.
    Tls(TlsAcceptor),
    /// The way to https, at this port.
    Redirect(u16),
}

/// Runs a worker on this thread until the gateway is cut.
pub(super) fn run(
    shared: Arc<Shared>,
    listeners: Vec<(StdTcpListener, Entrance)>,
    relay: Option<StdUnixListener>,
    first: bool,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a gateway thread cannot run");
            return;
        }
    };
    runtime.block_on(async move {
        let worker = Arc::new(Worker::new(shared));
        tokio::spawn(keep_tidy(Arc::clone(&worker), first));
        let accepting = listeners.into_iter().map(|(listener, entrance)| {
            let worker = Arc::clone(&worker);
            async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => accept(&worker, listener, entrance).await,
                    Err(error) => tracing::error!(%error, "a gateway thread cannot listen"),
                }
            }
        });
        futures_util::join!(join_all(accepting), accept_relayed(&worker, relay));
        worker.shared.cut.cancelled().await;
    });
}

async fn accept(worker: &Arc<Worker>, listener: TcpListener, entrance: Entrance) {
    let shared = &worker.shared;
    let mut stage = shared.stage.subscribe();
    loop {
        let taken = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            is_over = is_over(&mut stage) => if is_over { return } else { continue },
            taken = next_client(shared, &listener) => taken,
        };
        let Some((stream, peer, place)) = taken else { continue };
        take_in(worker, Some(place), Arrival::Client(stream, peer, entrance.clone()));
    }
}

/// Accepts the requests that the gateway before passes on, each on a connection of its own.
async fn accept_relayed(worker: &Arc<Worker>, relay: Option<StdUnixListener>) {
    let Some(relay) = relay else { return };
    let relay = match UnixListener::from_std(relay) {
        Ok(relay) => relay,
        Err(error) => return tracing::error!(%error, "a gateway thread cannot take over requests"),
    };
    let shared = &worker.shared;
    loop {
        let taken = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            taken = relay.accept() => taken,
        };
        // Its client has a place in the other gateway.
        match taken {
            Ok((stream, _)) => take_in(worker, None, Arrival::Relayed(stream)),
            Err(error) => {
                tracing::debug!(%error, "cannot accept");
                crate::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// What has come in.
enum Arrival {
    Client(TcpStream, SocketAddr, Entrance),
    Relayed(UnixStream),
}

fn take_in(worker: &Arc<Worker>, place: Option<OwnedSemaphorePermit>, arrival: Arrival) {
    let shared = &worker.shared;
    let watch = Arc::new(Watch::new(Arc::clone(&shared.clock)));
    let registered = Registered::reserve(worker);
    let counted = Counted::new(shared);
    let key = registered.key;
    let client = Client { worker: Arc::clone(worker), watch: Arc::clone(&watch), place };
    let task = tokio::spawn(async move {
        match arrival {
            Arrival::Client(stream, peer, entrance) => client.serve(stream, peer, entrance).await,
            Arrival::Relayed(stream) => Box::pin(client.serve_relayed(stream)).await,
        }
        drop((registered, counted));
    });
    worker.clients().enter(key, watch, task.abort_handle());
}

async fn next_client(shared: &Shared, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(&shared.places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            // The client has gone already, or there are no more file handles. In that case others have to end first.
            tracing::debug!(%error, "cannot accept");
            crate::time::sleep(Duration::from_millis(10)).await;
            None
        }
    }
}

/// A client that has connected.
struct Client {
    worker: Arc<Worker>,
    watch: Arc<Watch>,
    place: Option<OwnedSemaphorePermit>,
}

impl Client {
    async fn serve(self, stream: TcpStream, peer: SocketAddr, entrance: Entrance) {
        let shared = &self.worker.shared;
        let (tls, within) = match &entrance {
            Entrance::Tls(tls) => (Some(tls), shared.limits.head_within),
            // Nothing is owed to us before the first request.
            Entrance::Plain | Entrance::Redirect(_) => (None, shared.limits.keep_alive),
        };
        // What is large and soon over is in a box, so that an idle connection has no room for it.
        let opened = Box::pin(door::open(stream, peer, |address| shared.is_trusted(address.ip()), tls));
        let (socket, peer) = match tokio::time::timeout(within, opened).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return tracing::debug!(%error, "a client was not let in"),
            Err(_) => return tracing::debug!("a client took too long to be let in"),
        };
        let result = match entrance {
            Entrance::Redirect(port) => Box::pin(self.redirect(socket, port)).await,
            _ if socket.speaks_http2() => Box::pin(self.serve_http2(socket, peer)).await,
            _ => self.serve_http1(socket, peer).await,
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a client's connection broke");
        }
    }

    /// Serves a request that the gateway before passes on.
    async fn serve_relayed(self, stream: UnixStream) {
        let shared = &self.worker.shared;
        let opened = Box::pin(door::open_relayed(stream, |address| shared.is_trusted(address.ip())));
        let served = match tokio::time::timeout(shared.limits.head_within, opened).await {
            Ok(Ok((socket, peer))) => self.serve_http1(socket, peer).await,
            Ok(Err(error)) => return tracing::warn!(%error, "a request was not taken over"),
            Err(_) => return tracing::warn!("a request that was passed on took too long"),
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a request that was passed on broke");
        }
    }

    async fn serve_http1(self, socket: Socket, peer: Peer) -> hyper::Result<()> {
        let shared = Arc::clone(&self.worker.shared);
        let connection = Connection::new(&self.worker, &self.watch, peer);
        let stream = ClientStream::new(socket, self.place, self.watch);
        let service = service_fn(move |request| Box::pin(exchange::serve(Arc::clone(&connection), request)));
        let served = http1_builder(&shared).serve_connection(TokioIo::new(stream), service).with_upgrades();
        until_stopped(&shared, Box::pin(served), |served| served.graceful_shutdown()).await
    }

    async fn serve_http2(self, socket: Socket, peer: Peer) -> hyper::Result<()> {
        let shared = Arc::clone(&self.worker.shared);
        let streams = Streams::new(&self.worker, &self.watch);
        let stream = ClientStream::new(socket, self.place, self.watch);
        let builder = streams.clone().builder(&shared.limits);
        let worker = self.worker;
        let service = service_fn(move |request| {
            let connection = Connection::new(&worker, &streams.begin(), peer.again());
            exchange::serve(connection, request)
        });
        let served = builder.serve_connection(TokioIo::new(stream), service);
        let mut stage = shared.stage.subscribe();
        let replaced = async move { drop(stage.wait_for(Stage::is_replaced).await) };
        let over = async {
            futures_util::future::select(pin!(shared.stop.cancelled()), pin!(replaced)).await;
        };
        until(over, Box::pin(served), |served| served.graceful_shutdown()).await
    }

    async fn redirect(self, socket: Socket, port: u16) -> hyper::Result<()> {
        let shared = Arc::clone(&self.worker.shared);
        let stream = ClientStream::new(socket, self.place, Arc::clone(&self.watch));
        let service = service_fn(move |request| {
            self.watch.serve(false);
            self.watch.rest(self.worker.shared.clock.now());
            std::future::ready(redirect::answer(&request, port))
        });
        let served = http1_builder(&shared).keep_alive(false).serve_connection(TokioIo::new(stream), service);
        until_stopped(&shared, Box::pin(served), |served| served.graceful_shutdown()).await
    }
}

fn http1_builder(shared: &Shared) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_header_size(shared.limits.header_bytes)
        .max_buf_size(shared.limits.header_bytes.max(8192))
        // Our own limit is coarser and costs nothing per request.
        .header_read_timeout(None);
    if shared.limits.headers != DEFAULT_HEADER_LINES {
        // Another number than the library's default costs an allocation per request.
        builder.max_headers(shared.limits.headers);
    }
    builder
}

/// Serves a connection to its end. When the gateway stops, it is told so once. The connection is in a box, as it would
/// otherwise take its room several times in the futures around it.
async fn until_stopped<C: Future<Output = hyper::Result<()>>>(
    shared: &Shared,
    served: Pin<Box<C>>,
    shut_down: impl Fn(Pin<&mut C>),
) -> hyper::Result<()> {
    until(shared.stop.cancelled(), served, shut_down).await
}

async fn until<C: Future<Output = hyper::Result<()>>>(
    stop: impl Future<Output = ()>,
    mut served: Pin<Box<C>>,
    shut_down: impl Fn(Pin<&mut C>),
) -> hyper::Result<()> {
    let mut stop = pin!(stop);
    let mut stopping = false;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if !stopping && stop.as_mut().poll(cx).is_ready() {
            stopping = true;
            shut_down(served.as_mut());
        }
        served.as_mut().poll(cx)
    })
    .await
}

/// The regular work that belongs to no connection.
async fn keep_tidy(worker: Arc<Worker>, first: bool) {
    let shared = &worker.shared;
    let mut certificates_at = shared.clock.now() + CERTIFICATES_INTERVAL;
    let mut round = tokio::time::interval(UPKEEP_INTERVAL);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        let now = shared.clock.now();
        for (watch, task) in worker.clients().all() {
            if watch.is_too_slow(&shared.limits, now) {
                watch.cut();
                task.abort();
            }
        }
        worker.pool.purge(shared.limits.pool_idle, now);
        if let Some(certificates) = shared.certificates.as_ref().filter(|_| first && certificates_at <= now) {
            certificates_at = now + CERTIFICATES_INTERVAL;
            let certificates = Arc::clone(certificates);
            let (events, clock) = (Arc::clone(&shared.services.maker.events), Arc::clone(&shared.clock));
            tokio::task::spawn_blocking(move || {
                if certificates.refresh() {
                    events.note(clock.now(), Happened::CertificatesReloaded);
                }
            });
        }
        if first {
            for service in shared.services.directory().services() {
                service.sweep();
                if service.is_log_due(now) {
                    let service = Arc::clone(service);
                    tokio::task::spawn_blocking(move || service.keep_log());
                }
                if *shared.stage.borrow() == Stage::Serves && service.is_traffic_due(now) {
                    let service = Arc::clone(service);
                    tokio::task::spawn_blocking(move || service.note_traffic(false));
                }
            }
        }
    }
}
