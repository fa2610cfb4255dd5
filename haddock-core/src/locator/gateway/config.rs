//! How a gateway is set up.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::error::{Error, ErrorKind, Result};
use crate::name::ServiceName;
use crate::time::{Clock, SystemClock};

use super::Gateway;
use super::key::Keys;

/// What a gateway bears from clients and instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that a request's head may have, at least 8192; a longer one is answered with 431.
    pub header_bytes: usize,
    /// Header lines that a request may have; more are answered with 431.
    pub headers: usize,
    /// How long a client may take for a request's head, from its first byte.
    pub head_within: Duration,
    /// How long a kept-alive connection of a client may be idle.
    pub keep_alive: Duration,
    /// How long a client may neither send the body that it announced nor take the response.
    pub stalled: Duration,
    /// Connections of clients at once, upgraded ones among them; more wait to be accepted.
    pub connections: usize,
    /// How long connecting to an instance may take.
    pub connect_within: Duration,
    /// How long a request of a session is tried on its instance when that refuses connections.
    pub retry_within: Duration,
    /// How long nothing may go over the connection to an instance before its response begins, neither of the request nor of
    /// an answer; then 504. An upload that flows takes as long as it takes, and waiting for a client does not count.
    pub answer_within: Duration,
    /// How long a connection may be silent, to a client or to an instance, before the other end is asked whether it is still
    /// there (TCP keepalive). One that is gone without a word, as where a network was lost, counts for about twice as long and
    /// not for ever; so does one that acknowledges nothing of what it is sent. At least a second. `None`: it is never asked,
    /// and what is gone may count for ever.
    pub tcp_keepalive: Option<Duration>,
    /// How long nothing may go over an upgraded connection, a WebSocket, before it is ended. `None`: for ever, as long as both
    /// ends are there.
    pub tunnel_idle: Option<Duration>,
    /// How long an idle connection to an instance is kept.
    pub pool_idle: Duration,
    /// Requests of each service that may wait at once while an instance is held; more are answered with 503.
    pub held: usize,
    /// Sessions of each service that can be counted, 32 bytes each. With more, the counts are unknown.
    pub sessions: u32,
}

impl Default for Limits {
    /// 16 KiB and 100 lines of head within 10 s; 75 s kept alive; 60 s stalled; 10 000 connections; 2 s to connect and
    /// to retry; 5 min to answer; asked after 60 s of silence whether it is there; no limit on idle upgraded connections; 15 s
    /// in the pool; 10 000 that wait; a million sessions.
    fn default() -> Self {
        Self {
            header_bytes: 16 * 1024,
            headers: super::worker::DEFAULT_HEADERS,
            head_within: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            stalled: Duration::from_secs(60),
            connections: 10_000,
            connect_within: Duration::from_secs(2),
            retry_within: Duration::from_secs(2),
            answer_within: Duration::from_secs(300),
            tcp_keepalive: Some(Duration::from_secs(60)),
            tunnel_idle: None,
            pool_idle: Duration::from_secs(15),
            held: 10_000,
            sessions: 1_000_000,
        }
    }
}

/// Sets a [`Gateway`] up.
#[derive(Debug, Clone)]
pub struct GatewayBuilder {
    pub(super) listen: SocketAddr,
    pub(super) listener: Option<Arc<TcpListener>>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) token: Option<Token>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) keys: Option<Keys>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) services: Vec<(ServiceName, Vec<String>)>,
    pub(super) trusted: Vec<IpNet>,
    pub(super) allow_trace: bool,
    pub(super) workers: usize,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
}

/// What a caller of the admin API has to know. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(pub(super) String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Default for GatewayBuilder {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            listener: None,
            admin: None,
            token: None,
            token_file: None,
            state_dir: None,
            keys: None,
            key_file: None,
            services: Vec::new(),
            trusted: Vec::new(),
            allow_trace: false,
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4)),
            limits: Limits::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl GatewayBuilder {
    /// Where clients connect. Default: a free port on the loopback.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// A socket that listens already, in place of [`listen`](Self::listen): handed over by systemd, or held by whoever
    /// starts the gateway again when it dies. Clients that connect while there is no gateway wait for the next one in
    /// the socket's queue, and none is refused.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Where the admin API listens. Default: nowhere. Beyond the loopback it needs a token.
    #[must_use]
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.admin = Some(address);
        self
    }

    /// What callers of the admin API have to send as `Authorization: Bearer …`.
    #[must_use]
    pub fn admin_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Token(token.into()));
        self
    }

    /// A file, readable by its owner only, that holds the token.
    #[must_use]
    pub fn admin_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = Some(path.into());
        self
    }

    /// The directory in which tables and closed marks outlive a restart. Required; made if missing, for its owner alone. One
    /// gateway at a time has it.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// The key that signs the cookies. Gateways that share it route alike. Default: a key file in the state directory.
    #[must_use]
    pub fn key(mut self, current: [u8; 32]) -> Self {
        let previous = self.keys.as_ref().and_then(|keys| keys.previous().copied());
        self.keys = Some(Keys::new(current, previous));
        self
    }

    /// While keys are being rotated: the key, and the one before it, whose cookies are still taken.
    #[must_use]
    pub fn rotated_key(mut self, current: [u8; 32], previous: [u8; 32]) -> Self {
        self.keys = Some(Keys::new(current, Some(previous)));
        self
    }

    /// A file, readable by its owner only, with the key as 64 hex digits and, while keys are being rotated, the one
    /// before it on a second line. Made if missing.
    #[must_use]
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_file = Some(path.into());
        self
    }

    /// A service, and the host names under which clients ask for it. One service may have none: it takes every host
    /// that no other has. Default: the first service that gets a table takes all.
    #[must_use]
    pub fn service(mut self, name: ServiceName, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.services.push((name, hosts.into_iter().map(Into::into).collect()));
        self
    }

    /// Peers whose `Forwarded` and `X-Forwarded-*` headers are believed and kept, such as what terminates TLS.
    #[must_use]
    pub fn trust_proxy(mut self, peers: IpNet) -> Self {
        self.trusted.push(peers);
        self
    }

    /// Whether TRACE is passed on. By default it is answered with 405: what answers it shows the headers that it got, those
    /// among them that proxies add and scripts must not read.
    #[must_use]
    pub fn allow_trace(mut self, allow: bool) -> Self {
        self.allow_trace = allow;
        self
    }

    /// Threads that serve clients, each with a runtime of its own. Default: one for each core, at most 4.
    #[must_use]
    pub fn worker_threads(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// What is borne from clients and instances.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The clock by which sessions expire.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the gateway. When this returns, it takes connections.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) without a state directory, or with an admin address beyond the loopback
    /// and no token; [`PortTaken`](ErrorKind::PortTaken); [`Busy`](ErrorKind::Busy) if another gateway has the state
    /// directory; [`Io`](ErrorKind::Io) for the files.
    pub async fn start(self) -> Result<Gateway> {
        if self.state_dir.is_none() {
            return Err(Error::new(ErrorKind::InvalidValue, "the gateway has no state directory")
                .with_hint("tables and closed marks have to outlive a restart: name a directory"));
        }
        Gateway::launch(self).await
    }
}
