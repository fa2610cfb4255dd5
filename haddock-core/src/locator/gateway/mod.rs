//! The gateway: a sticky HTTP/1.1 reverse proxy with its locator inside.
//!
//! ```text
//!                    ┌───────────────────────── gateway ─────────────────────────┐
//!   client ── worker ─▶ headers ─▶ cookie ─▶ routing ─▶ upstream (pool) ─────────┼─▶ instance
//!          ◀──────────  passage: gives the place back at the response's end ◀────┼──
//!                    │                         ▲                                 │
//!   controller ──────┼─▶ locator / admin ─▶ service ─▶ store (state directory)   │
//!                    └───────────────────────────────────────────────────────────┘
//! ```
//!
//! - `service_routing` decides and counts, and is pure; `sessions` is its table of live sessions, `shares` its round
//!   robin, `cookie` what a client is given.
//! - `client_cookie` knows a client over its sessions, if that decides where a new one goes.
//! - `application` reads and changes the application's own cookie, if sessions are known by it; `set_cookie` reads what an
//!   answer sets, and `route` makes the prefix that names an instance.
//! - `logged_routing` puts one routing and the log of its sessions behind one lock; `service` carries out the locator's verbs; `store` keeps what outlives a
//!   restart, `session_log` the sessions that live, and `traffic` the record of sessions by minute.
//! - `worker` has the connection of a client, which comes in by the `door`: perhaps with TLS (`tls`), as HTTP/1.1 or HTTP/2
//!   (`http2`), or is sent to https (`redirect`). `client` says how long it keeps us waiting. `exchange` is one request and
//!   its response, and the place to change either: `entry` places it by what it is `recognised` by, `answer` sees to its
//!   session, `headers` checks them and takes headers away, `forwarded` tells the instance of the client, a `placed` request is
//!   counted until it ends, `body` and `passage` carry bodies, `upstream` has the connections to instances, `tunnel` is an upgraded connection, `vanished`
//!   finds clients that are gone.
//! - `probe` answers `haddock check` through a proxy in front; `probe_word` knows its requests.
//! - `admin` is the API for a [`RemoteGateway`](super::remote::RemoteGateway), for people and for Prometheus; what the
//!   latter reads is written by `metrics`.

mod admin;
mod answer;
mod application;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod bench;
mod body;
mod client;
mod client_cookie;
mod config;
mod connection;
mod cookie;
mod door;
mod entry;
mod exchange;
mod forwarded;
mod headers;
mod host;
mod http2;
mod key;
mod limits;
mod locator;
mod logged_routing;
mod metrics;
mod passage;
mod placed;
mod probe;
mod probe_word;
mod recognised;
mod redirect;
mod request_rules;
mod route;
mod service;
mod service_routing;
mod session_log;
mod sessions;
mod set_cookie;
mod shares;
mod socket;
mod store;
mod tls;
mod traffic;
mod tunnel;
mod upstream;
mod vanished;
mod worker;

use std::fmt;
use std::io::ErrorKind as IoErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use socket2::SockRef;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::locator::ServiceLocator;

pub use admin::openapi;
pub(super) use admin::{Hold, Resume, Target};
pub use config::GatewayBuilder;
pub use limits::Limits;
pub use tls::{TlsCertificate, TlsFiles};

use connection::Shared;
use key::Keys;
use probe_word::ProbeWords;
use service::{ServiceFactory, Services};
use service_routing::Before;
use store::Store;
use tls::Certificates;
use worker::Entrance;

/// A running gateway. It runs on threads of its own, in no runtime of the caller, until it is shut down or dropped.
///
/// ```no_run
/// # async fn example() -> haddock_core::Result<()> {
/// use haddock_core::locator::gateway::Gateway;
///
/// let gateway = Gateway::builder().listen(([127, 0, 0, 1], 8080).into()).state_dir("/var/lib/haddock").start().await?;
/// let locator = gateway.locator();
/// println!("clients connect to {}", gateway.local_addr());
/// gateway.shutdown(std::time::Duration::from_secs(10)).await;
/// # Ok(())
/// # }
/// ```
pub struct Gateway {
    local: SocketAddr,
    redirecting: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    locator: locator::GatewayLocator,
    shared: Arc<Shared>,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Gateway {
    /// Sets a gateway up.
    #[must_use]
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    async fn launch(builder: GatewayBuilder) -> Result<Self> {
        let token = admin::token(&builder)?;
        let certificates = if builder.tls.is_empty() { None } else { Some(Certificates::load(builder.tls.clone())?) };
        let services = Arc::new(services(&builder)?);
        let shared = Arc::new(Shared {
            clock: Arc::clone(&builder.clock),
            services: Arc::clone(&services),
            places: Arc::new(Semaphore::new(builder.limits.connections.min(Semaphore::MAX_PERMITS))),
            limits: builder.limits,
            trusted: builder.trusted,
            allow_trace: builder.allow_trace,
            strict_transport: builder.strict_transport.map(|age| {
                HeaderValue::try_from(format!("max-age={}", age.as_secs())).expect("a number is a header's value")
            }),
            certificates: certificates.clone(),
            probe_words: ProbeWords::default(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            connections: std::sync::atomic::AtomicUsize::new(0),
        });
        let listener = match &builder.listener {
            Some(handed) => take_over(handed).map_err(|error| listen_failed(builder.listen, &error))?,
            None => listen(builder.listen)?,
        };
        vanished::watch(&SockRef::from(&listener), shared.limits.tcp_keepalive, shared.limits.stalled)
            .map_err(|error| listen_failed(builder.listen, &error))?;
        let entrance = match certificates {
            Some(certificates) => Entrance::Tls(certificates.acceptor()?),
            None => Entrance::Plain,
        };
        let local = listener.local_addr().map_err(|error| listen_failed(builder.listen, &error))?;
        let mut redirect = match builder.redirect {
            Some(address) => Some((listen(address)?, Entrance::Redirect(local.port()))),
            None => None,
        };
        let redirecting = redirect.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let mut threads = Vec::new();
        for n in 0..builder.workers {
            let listener = listener.try_clone().map_err(|error| listen_failed(builder.listen, &error))?;
            let listeners = [(listener, entrance.clone())].into_iter().chain(redirect.take()).collect();
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name(format!("gateway-{n}"))
                .spawn(move || worker::run(shared, listeners, n == 0))
                .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start a gateway thread: {error}")))?;
            threads.push(thread);
        }
        let locator = locator::GatewayLocator { services };
        let mut admin = None;
        if let Some(address) = builder.admin {
            let listener = listen(address)?;
            admin = Some(listener.local_addr().map_err(|error| listen_failed(address, &error))?);
            threads.push(admin::spawn(listener, locator.clone(), token, Arc::clone(&shared))?);
        }
        Ok(Self { local, redirecting, admin, locator, shared, threads: Mutex::new(threads) })
    }

    /// Where clients connect.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where clients are sent to https.
    #[must_use]
    pub fn redirect_addr(&self) -> Option<SocketAddr> {
        self.redirecting
    }

    /// The certificates that new connections get.
    #[must_use]
    pub fn certificates(&self) -> Vec<TlsCertificate> {
        self.shared.certificates()
    }

    /// Where the admin API listens.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The locator inside.
    #[must_use]
    pub fn locator(&self) -> Arc<dyn ServiceLocator> {
        Arc::new(self.locator.clone())
    }

    /// Takes no more connections, and lets present requests end for at most `grace`. Then it cuts what is left,
    /// upgraded connections too. The next gateway with this state directory knows the sessions, each with the time of its last
    /// use, and goes on counting. After a gateway that was dropped or killed it knows them, too, but a session may live longer by
    /// a sixteenth of [an idle time](crate::routing::SessionPolicy::idle). After a restart of the machine, the number of
    /// sessions is unknown for an idle time, unless the gateway had been shut down.
    pub async fn shutdown(self, grace: Duration) {
        self.shared.stop.cancel();
        let ended = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            while self.shared.connections.load(Ordering::Relaxed) > 0 {
                look.tick().await;
            }
        };
        let _ = tokio::time::timeout(grace, ended).await;
        self.shared.cut.cancel();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = joined.await;
        let services = Arc::clone(&self.locator.services);
        let handed = tokio::task::spawn_blocking(move || {
            services.directory().services().iter().for_each(|service| service.end_log());
        });
        let _ = handed.await;
    }
}

impl GatewayBuilder {
    /// Starts the gateway. When this returns, it takes connections.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) without a state directory, or with an admin address beyond the loopback
    /// and no token, or files that hold no certificate and its key; [`PortTaken`](ErrorKind::PortTaken); [`Busy`](ErrorKind::Busy) if another gateway has the state
    /// directory; [`Io`](ErrorKind::Io) for the files.
    pub async fn start(self) -> Result<Gateway> {
        if self.state_dir.is_none() {
            return Err(Error::new(ErrorKind::InvalidValue, "the gateway has no state directory")
                .with_hint("tables and closed marks have to outlive a restart: name a directory"));
        }
        if self.tls.is_empty() && (self.redirect.is_some() || self.strict_transport.is_some()) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "the gateway cannot send clients to https without a certificate",
            )
            .with_hint("name the files of a certificate and its key"));
        }
        Gateway::launch(self).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.cut.cancel();
        for service in self.locator.services.directory().services() {
            service.note_traffic(true);
        }
        // Somebody may still have the locator. It must not write into the directory, which may be the next gateway's.
        self.locator.services.maker.store.give_back();
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("local", &self.local).field("admin", &self.admin).finish_non_exhaustive()
    }
}

fn services(builder: &GatewayBuilder) -> Result<Services> {
    let dir = builder.state_dir.as_deref().expect("asked for by the builder");
    let (store, known) = Store::open(dir)?;
    let (keys, fresh) = match (&builder.keys, &builder.key_file) {
        (Some(keys), _) => (keys.clone(), false),
        (None, Some(path)) => Keys::from_file(path)?,
        (None, None) => Keys::from_file(&store.key_file())?,
    };
    // With a new key, there are no older cookies to follow.
    let before = if known || fresh { Before::Listed } else { Before::Any };
    let mut incarnation = [0; 8];
    getrandom::fill(&mut incarnation)
        .map_err(|error| Error::new(ErrorKind::Io, format!("no random incarnation: {error}")))?;
    let maker = ServiceFactory {
        keys,
        store: store.clone(),
        clock: Arc::clone(&builder.clock),
        // Many readers of JSON have only 53 bits for a number.
        incarnation: u64::from_ne_bytes(incarnation) >> 11,
        started: builder.clock.now(),
        before,
        capacity: builder.limits.sessions,
    };
    let services = Services::new(maker, &builder.services)?;
    if !known {
        store.mark()?;
    }
    Ok(services)
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener> {
    let bind = || {
        let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Accepted connections inherit it.
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        // As many as Linux allows by default.
        socket.listen(4096)?.into_std()
    };
    bind().map_err(|error| listen_failed(address, &error))
}

/// Prepares a socket that somebody else has made, as [`listen`] prepares its own.
fn take_over(listener: &std::net::TcpListener) -> std::io::Result<std::net::TcpListener> {
    listener.set_nonblocking(true)?;
    SockRef::from(listener).set_tcp_nodelay(true)?;
    listener.try_clone()
}

fn listen_failed(address: SocketAddr, error: &std::io::Error) -> Error {
    let kind = if error.kind() == IoErrorKind::AddrInUse { ErrorKind::PortTaken } else { ErrorKind::Io };
    Error::new(kind, format!("cannot listen on `{address}`: {error}"))
}
