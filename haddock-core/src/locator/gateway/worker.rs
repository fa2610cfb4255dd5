//! The threads that serve clients. Each has a runtime of its own, so that a client's connection and those to its
//! instances stay on one core and wake no other thread.

use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;

use super::client::{ClientStream, Watch};
use super::connection::{Connection, Shared, Worker};
use super::exchange;
use super::limits::DEFAULT_HEADER_LINES;

/// How often slow clients are cut, old connections dropped and expired sessions removed.
const UPKEEP_INTERVAL: Duration = Duration::from_millis(250);

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
        let worker = Arc::new(Worker::new(shared));
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
        let connection = Connection::new(worker, &watch, peer);
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

/// Leaves the list of clients when the connection ends, however it ends.
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
            // The client has gone already, or there are no more file handles. In that case others have to end first.
            tracing::debug!(%error, "cannot accept");
            crate::time::sleep(Duration::from_millis(10)).await;
            None
        }
    }
}

async fn serve(connection: Arc<Connection>, stream: TcpStream, place: OwnedSemaphorePermit) {
    let shared = Arc::clone(&connection.worker.shared);
    let stream = ClientStream::new(stream, place, Arc::clone(&connection.watch));
    let service = service_fn(move |request| exchange::serve(Arc::clone(&connection), request));
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

/// The regular work that belongs to no connection.
async fn keep_tidy(worker: Arc<Worker>, first: bool) {
    let shared = &worker.shared;
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
        if first {
            for service in shared.services.directory().services() {
                service.sweep();
                if service.is_traffic_due(now) {
                    let service = Arc::clone(service);
                    tokio::task::spawn_blocking(move || service.note_traffic(false));
                }
            }
        }
    }
}
