//! How a gateway is set up.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::name::ServiceName;
use crate::time::{Clock, SystemClock};

use super::key::Keys;
use super::limits::Limits;
use super::tls::TlsFiles;

/// Sets a [`Gateway`](super::Gateway) up.
#[derive(Debug, Clone)]
pub struct GatewayBuilder {
    pub(super) listen: SocketAddr,
    pub(super) listener: Option<Arc<TcpListener>>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) token: Option<Token>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) admin_tls: Option<TlsFiles>,
    pub(super) admin_authority: Option<PathBuf>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) keys: Option<Keys>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) services: Vec<(ServiceName, Vec<String>)>,
    pub(super) trusted: Vec<IpNet>,
    pub(super) allow_trace: bool,
    pub(super) tls: Vec<TlsFiles>,
    pub(super) redirect: Option<SocketAddr>,
    pub(super) strict_transport: Option<Duration>,
    pub(super) workers: usize,
    pub(super) limits: Limits,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hand_over: bool,
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
            admin_tls: None,
            admin_authority: None,
            state_dir: None,
            keys: None,
            key_file: None,
            services: Vec::new(),
            trusted: Vec::new(),
            allow_trace: false,
            tls: Vec::new(),
            redirect: None,
            strict_transport: None,
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4)),
            limits: Limits::default(),
            clock: Arc::new(SystemClock::new()),
            hand_over: false,
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

    /// A socket that listens already, in place of [`listen`](Self::listen): from systemd, or from the program that
    /// restarts the gateway when it dies. Clients that connect while there is no gateway wait in the socket's queue for
    /// the next one. None is refused.
    #[must_use]
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Where the admin API listens. Default: nowhere. Beyond the loopback it needs a
    /// [token](Self::admin_token_file), or callers with [certificates](Self::admin_client_ca).
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

    /// A certificate and its key, as PEM: the admin API then speaks https and nothing else. Changed files are used for new
    /// connections within some seconds.
    #[must_use]
    pub fn admin_tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.admin_tls = Some(TlsFiles { certificate: certificate.into(), key: key.into() });
        self
    }

    /// A file with the certificates of authorities, as PEM. Each caller of the admin API then needs a certificate that one of
    /// them has signed for TLS clients, and the token as well if there is one. It needs [`admin_tls`](Self::admin_tls).
    #[must_use]
    pub fn admin_client_ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.admin_authority = Some(file.into());
        self
    }

    /// The directory in which tables and closed marks outlive a restart. It is required. If it is missing, it is made
    /// for its owner alone. Only one gateway at a time can use it.
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

    /// The key, and the one before it, whose cookies are still accepted while keys are rotated.
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

    /// A service, and the host names under which clients ask for it. One service may have no names: it takes all other
    /// hosts. Default: the first service that gets a table takes all hosts.
    #[must_use]
    pub fn service(mut self, name: ServiceName, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.services.push((name, hosts.into_iter().map(Into::into).collect()));
        self
    }

    /// Peers whose `Forwarded` and `X-Forwarded-*` headers are believed and kept, such as a proxy that terminates TLS.
    #[must_use]
    pub fn trust_proxy(mut self, peers: IpNet) -> Self {
        self.trusted.push(peers);
        self
    }

    /// Whether TRACE is passed on. By default it is answered with 405, because its answer shows all headers, also those
    /// that proxies add and that scripts must not read.
    #[must_use]
    pub fn allow_trace(mut self, allow: bool) -> Self {
        self.allow_trace = allow;
        self
    }

    /// A certificate and its key. With at least one, clients connect by https: TLS 1.2 or 1.3, HTTP/2 or HTTP/1.1. With
    /// several, the first that is for the name that a client asks for counts, else the first of all. Changed files are used for
    /// new connections within some seconds.
    #[must_use]
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.tls.push(TlsFiles { certificate: certificate.into(), key: key.into() });
        self
    }

    /// Where clients may come by http, to be sent to https at the same host. It needs a certificate.
    #[must_use]
    pub fn redirect(mut self, address: SocketAddr) -> Self {
        self.redirect = Some(address);
        self
    }

    /// Tells clients that came by https to use nothing else for this long, as `Strict-Transport-Security` (RFC 6797). Default:
    /// they are told nothing. An instance that says it itself counts.
    #[must_use]
    pub fn strict_transport(mut self, max_age: Duration) -> Self {
        self.strict_transport = Some(max_age);
        self
    }

    /// Threads that serve clients, each with a runtime of its own. Default: one for each core, at most 4.
    #[must_use]
    pub fn worker_threads(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Whether it takes the place of a gateway that runs with the same state directory, and gives its own to the next one that is
    /// started so. Default: neither, and a second gateway with the directory is refused.
    ///
    /// It takes the listeners of the same addresses, the tables and the sessions. No request fails, and no session is forgotten.
    /// The other one goes on with the requests and WebSockets that it has; see [`replaced`](super::Gateway::replaced). Both have
    /// to run as the same user, on the same machine.
    #[must_use]
    pub fn hand_over(mut self, hands_over: bool) -> Self {
        self.hand_over = hands_over;
        self
    }

    /// The limits for clients and instances.
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
}
