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
//! - `logged_routing` puts one routing and the log of its sessions behind one lock. `service` carries out the locator's
//!   verbs, and `services` are all of them, by name and by host. `store` keeps what outlives a restart, `session_log` the
//!   sessions that live, and `traffic` the record of sessions by minute.
//! - `worker` has the connection of a client, which comes in by the `door`: perhaps with TLS (`tls`), as HTTP/1.1 or HTTP/2
//!   (`http2`), or is sent to https (`redirect`). `client` says how long it keeps us waiting. `exchange` is one request and
//!   its response, and the place to change either: `entry` places it by what it is `recognised` by, `answer` sees to its
//!   session, `headers` checks them and takes headers away, `forwarded` tells the instance of the client, a `placed` request is
//!   counted until it ends, `body` and `passage` carry bodies, `upstream` has the connections to instances, `tunnel` is an upgraded connection, `vanished`
//!   finds clients that are gone.
//! - `listeners` are its sockets; `succession` lets a newer gateway take its place while both run.
//! - `probe` answers `haddock check` through a proxy in front; `probe_word` knows its requests.
//! - `events` keeps what has happened, for those that want to be told at once.
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
mod events;
mod exchange;
mod forwarded;
mod headers;
mod host;
mod http2;
mod key;
mod limits;
mod listeners;
mod locator;
mod logged_routing;
mod metrics;
mod passage;
mod placed;
mod probe;
mod probe_word;
mod reach;
mod recognised;
mod redirect;
mod request_rules;
mod route;
mod service;
mod service_routing;
mod services;
mod session_log;
mod sessions;
mod set_cookie;
mod shares;
mod socket;
mod store;
mod succession;
mod tick;
mod tls;
mod traffic;
mod tunnel;
mod upstream;
mod vanished;
mod worker;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use socket2::SockRef;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::locator::ServiceLocator;

pub use admin::openapi;
pub(super) use admin::{Hold, Resume, Target};
pub use config::GatewayBuilder;
pub use limits::Limits;
pub use tls::{TlsCertificate, TlsFiles};
pub(super) use tls::{authorities, pair};

use connection::Shared;
use events::Events;
use key::Keys;
use listeners::{Listeners, Relay};
use probe_word::ProbeWords;
use service::ServiceFactory;
use service_routing::Before;
use services::Services;
use store::Store;
use succession::{Heritage, Predecessor, Stage};
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
    /// The gateway whose place this one has taken, and where that passes requests on.
    predecessor: Option<(Predecessor, PathBuf)>,
}

impl Gateway {
    /// Sets a gateway up.
    #[must_use]
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    fn launch(builder: GatewayBuilder) -> Result<Self> {
        let access = admin::access(&builder)?;
        let certificates = if builder.tls.is_empty() { None } else { Some(Certificates::load(builder.tls.clone())?) };
        let dir = builder.state_dir.as_deref().expect("asked for by the builder");
        let incarnation = incarnation()?;
        let (listeners, (store, known), heritage) = if builder.hand_over && !Store::is_free(dir)? {
            let mut heritage = Heritage::ask(&store::succession_file(dir))?;
            let listeners = Listeners::open(&builder, Some(&mut heritage))?;
            let path = dir.join(format!("relay-{incarnation:x}.sock"));
            let relay = Relay::open(&path)?;
            let switched = heritage.switch(&path)?;
            (listeners, Store::adopt(dir, switched.lock), Some((heritage, switched.left, path, relay)))
        } else {
            let store = Store::open(dir)?;
            (Listeners::open(&builder, None)?, store, None)
        };
        let services = Arc::new(open_services(&builder, incarnation, store, known)?);
        for (name, left) in heritage.iter().flat_map(|(_, left, ..)| left) {
            if let Some(service) = services.get(name) {
                service.hear(&[], left);
            }
        }
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
            stage: watch::Sender::new(Stage::Serves),
        });
        let estate = listeners.again()?;
        let Listeners { clients: listener, redirect, admin: admin_listener } = listeners;
        vanished::watch(&SockRef::from(&listener), shared.limits.tcp_keepalive, shared.limits.stalled)
            .map_err(|error| listeners::failed(builder.listen, &error))?;
        let entrance = match certificates {
            Some(certificates) => Entrance::Tls(certificates.acceptor()?),
            None => Entrance::Plain,
        };
        let local = listener.local_addr().map_err(|error| listeners::failed(builder.listen, &error))?;
        let mut redirect = redirect.map(|listener| (listener, Entrance::Redirect(local.port())));
        let redirecting = redirect.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
        let mut threads = Vec::new();
        for n in 0..builder.workers {
            let listener = listener.try_clone().map_err(|error| listeners::failed(builder.listen, &error))?;
            let listeners = [(listener, entrance.clone())].into_iter().chain(redirect.take()).collect();
            let relay = heritage.as_ref().map(|(.., relay)| relay.again()).transpose()?;
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name(format!("gateway-{n}"))
                .spawn(move || worker::run(shared, listeners, relay, n == 0))
                .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start a gateway thread: {error}")))?;
            threads.push(thread);
        }
        let locator = locator::GatewayLocator { services };
        let mut admin = None;
        if let Some(listener) = admin_listener {
            admin = listener.local_addr().ok();
            threads.push(admin::spawn(listener, locator.clone(), access, Arc::clone(&shared))?);
        }
        if builder.hand_over {
            threads.push(succession::spawn(estate, Arc::clone(&shared))?);
        }
        let mut predecessor = None;
        if let Some((heritage, _, path, _)) = heritage {
            let (before, thread) = heritage.serve(Arc::clone(&shared.services))?;
            predecessor = Some((before, path));
            threads.push(thread);
        }
        Ok(Self { local, redirecting, admin, locator, shared, threads: Mutex::new(threads), predecessor })
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
    ///
    /// After a gateway that [was replaced](Self::replaced), connections are not told to end. Each ends with the next request on it.
    pub async fn shutdown(self, grace: Duration) {
        let is_replaced = self.shared.is_replaced();
        if !is_replaced {
            self.shared.stop.cancel();
        }
        let ended = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            while self.shared.connections.load(Ordering::Relaxed) > 0 || (is_replaced && self.has_something_left()) {
                look.tick().await;
            }
        };
        let _ = tokio::time::timeout(grace, ended).await;
        self.shared.stop.cancel();
        self.shared.cut.cancel();
        self.leave_predecessor();
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

impl Gateway {
    /// Waits until another gateway has taken the place of this one; see [`hand_over`](GatewayBuilder::hand_over). From then on, this
    /// one has only the connections that it had, and [`shutdown`](Self::shutdown) waits for the last of them. WebSockets go on until
    /// they end by themselves or the grace is over. A request that comes on one of these connections is passed on to the other
    /// gateway, and the connection ends with the answer.
    pub async fn replaced(&self) {
        let mut stage = self.shared.stage.subscribe();
        let replaced = stage.wait_for(Stage::is_replaced).await.is_ok();
        debug_assert!(replaced, "the sender is ours");
    }

    /// Whether another gateway has taken the place of this one.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.shared.is_replaced()
    }

    /// Whether it, or a gateway before it, still has requests or upgraded connections.
    fn has_something_left(&self) -> bool {
        let directory = self.shared.services.directory();
        let is_busy = directory.services().iter().any(|service| !service.routing().left().is_empty());
        is_busy || self.predecessor.as_ref().is_some_and(|(before, _)| before.is_there())
    }

    fn leave_predecessor(&self) {
        if let Some((before, relay)) = &self.predecessor {
            before.leave();
            let _ = std::fs::remove_file(relay);
        }
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
        // It waits for the disk, and perhaps for another gateway.
        let launched = tokio::task::spawn_blocking(|| Gateway::launch(self)).await;
        launched.unwrap_or_else(|error| Err(Error::new(ErrorKind::Io, format!("the gateway gave up: {error}"))))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.cut.cancel();
        self.leave_predecessor();
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

/// A number that no gateway had before.
fn incarnation() -> Result<u64> {
    let mut incarnation = [0; 8];
    getrandom::fill(&mut incarnation)
        .map_err(|error| Error::new(ErrorKind::Io, format!("no random incarnation: {error}")))?;
    // Many readers of JSON have only 53 bits for a number.
    Ok(u64::from_ne_bytes(incarnation) >> 11)
}

/// The state of all services. `known`: whether a gateway has kept its state there before.
fn open_services(builder: &GatewayBuilder, incarnation: u64, store: Store, known: bool) -> Result<Services> {
    let (keys, fresh) = match (&builder.keys, &builder.key_file) {
        (Some(keys), _) => (keys.clone(), false),
        (None, Some(path)) => Keys::from_file(path)?,
        (None, None) => Keys::from_file(&store.key_file())?,
    };
    // With a new key, there are no older cookies to follow.
    let before = if known || fresh { Before::Listed } else { Before::Any };
    let maker = ServiceFactory {
        keys,
        store: store.clone(),
        clock: Arc::clone(&builder.clock),
        incarnation,
        started: builder.clock.now(),
        before,
        capacity: builder.limits.sessions,
        events: Events::new(),
    };
    let services = Services::new(maker, &builder.services)?;
    if !known {
        store.mark()?;
    }
    Ok(services)
}
