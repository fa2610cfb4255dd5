//! Service locators.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use haddock_core::locator::gateway::{Gateway, Limits, TlsFiles};
use haddock_core::locator::haproxy::HaproxyLocator;
use haddock_core::locator::remote::{CallerTls, RemoteGateway};
use haddock_core::locator::{Advice, ServiceLocator};
use haddock_core::routing::{ApplicationCookie, SessionPolicy};
use haddock_core::{Error, ErrorKind, Result, ServiceName};
use listenfd::ListenFd;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::call::Call;
use crate::convert::{none, seconds, to_python};
use crate::driver::Driver;
use crate::error::{Raised, raise};
use crate::home::Home;

pub(crate) struct Inner {
    pub(crate) locator: Arc<dyn ServiceLocator>,
    addresses: Option<(SocketAddr, Option<SocketAddr>)>,
    gateway: Mutex<Option<Gateway>>,
}

/// A service locator.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Locator {
    pub(crate) inner: Home<Inner>,
}

impl Locator {
    pub(crate) fn new(locator: Arc<dyn ServiceLocator>) -> Self {
        Self { inner: Home::new(Inner { locator, addresses: None, gateway: Mutex::new(None) }) }
    }
}

#[pymethods]
impl Locator {
    /// Where clients of the gateway connect.
    fn listen_address(&self) -> PyResult<Option<String>> {
        Ok(self.inner.get()?.addresses.map(|(listen, _)| listen.to_string()))
    }

    /// Where the gateway's admin API listens.
    fn admin_address(&self) -> PyResult<Option<String>> {
        Ok(self.inner.get()?.addresses.and_then(|(_, admin)| admin).map(|admin| admin.to_string()))
    }

    /// Whether another gateway has taken the place of this one.
    fn is_replaced(&self) -> PyResult<bool> {
        let inner = self.inner.get()?;
        let gateway = inner.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(gateway.as_ref().is_some_and(Gateway::is_replaced))
    }

    /// What its configuration lacks for a service with these sessions, as findings of that name.
    fn advice(&self, name: String, service: &str, idle: f64, cookie: Option<String>) -> PyResult<Call> {
        let (locator, service) = (Arc::clone(&self.inner.get()?.locator), ServiceName::new(service).raised()?);
        let application = cookie.map(ApplicationCookie::new);
        let session = SessionPolicy { idle: seconds(idle)?, application, ..SessionPolicy::default() };
        Ok(Driver::Real
            .call(async move { Ok(findings(&name, locator.check(&service, &session).await?)) }, |py, findings| {
                to_python(py, &findings)
            }))
    }

    /// Ends the gateway: it takes no more connections, and gives requests in flight that many seconds.
    fn shutdown(&self, grace: f64) -> PyResult<Call> {
        let grace = seconds(grace)?;
        let gateway = self.inner.get()?.gateway.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Driver::Real.call(
            async move {
                if let Some(gateway) = gateway {
                    gateway.shutdown(grace).await;
                }
                Ok(())
            },
            |py, ()| Ok(none(py)),
        ))
    }
}

/// Advice as findings of that name.
pub(crate) fn findings(name: &str, advice: Vec<Advice>) -> Vec<Value> {
    let state = |advice: &Advice| if advice.is_problem { "problem" } else { "warning" };
    let each = advice
        .into_iter()
        .map(|advice| json!({ "name": name, "state": state(&advice), "says": advice.says, "fix": advice.fix }));
    each.collect()
}

/// An address, such as `127.0.0.1:8080`.
pub(crate) fn address(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| {
        Error::new(ErrorKind::InvalidValue, format!("`{text}` is not an address"))
            .with_hint("it looks like `127.0.0.1:8080`")
    })
}

/// The listening socket that this process was started with, if there is one (`sd_listen_fds(3)`).
fn socket() -> Result<Option<TcpListener>> {
    ListenFd::from_env().take_tcp_listener(0).map_err(|error| {
        Error::new(ErrorKind::Io, format!("the socket that was handed over cannot be used: {error}"))
            .with_hint("it has to be a TCP socket that listens")
    })
}

/// Starts a gateway in this process.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one for each setting")]
pub(crate) fn gateway(
    listen: &str,
    handed_over: bool,
    admin: Option<&str>,
    state: PathBuf,
    services: BTreeMap<String, Vec<String>>,
    token_file: Option<PathBuf>,
    admin_tls: Option<(PathBuf, PathBuf)>,
    admin_client_ca: Option<PathBuf>,
    key_file: Option<PathBuf>,
    trust_proxy: Vec<String>,
    worker_threads: Option<usize>,
    sessions: Option<u32>,
    tcp_keepalive: Option<f64>,
    tunnel_idle: Option<f64>,
    allow_trace: bool,
    tls: Vec<(PathBuf, PathBuf)>,
    redirect: Option<&str>,
    strict_transport: Option<f64>,
    hand_over: bool,
) -> PyResult<Call> {
    let mut builder = Gateway::builder().listen(address(listen).raised()?).state_dir(state);
    if let Some(listener) = handed_over.then(socket).transpose().raised()?.flatten() {
        builder = builder.listener(listener);
    }
    if let Some(admin) = admin {
        builder = builder.admin(address(admin).raised()?);
    }
    for (name, hosts) in services {
        builder = builder.service(ServiceName::new(name).raised()?, hosts);
    }
    if let Some(path) = token_file {
        builder = builder.admin_token_file(path);
    }
    if let Some((certificate, key)) = admin_tls {
        builder = builder.admin_tls(certificate, key);
    }
    if let Some(path) = admin_client_ca {
        builder = builder.admin_client_ca(path);
    }
    if let Some(path) = key_file {
        builder = builder.key_file(path);
    }
    for peers in trust_proxy {
        let error = Error::new(ErrorKind::InvalidValue, format!("`{peers}` is not a network"))
            .with_hint("it looks like `10.0.0.0/8`");
        builder = builder.trust_proxy(peers.parse().map_err(|_| raise(&error))?);
    }
    for (certificate, key) in tls {
        builder = builder.tls(certificate, key);
    }
    if let Some(plain) = redirect {
        builder = builder.redirect(address(plain).raised()?);
    }
    if let Some(age) = strict_transport {
        builder = builder.strict_transport(seconds(age)?);
    }
    if let Some(workers) = worker_threads {
        builder = builder.worker_threads(workers);
    }
    let mut limits = Limits::default();
    limits.sessions = sessions.unwrap_or(limits.sessions);
    limits.tcp_keepalive = tcp_keepalive.map(seconds).transpose()?;
    limits.tunnel_idle = tunnel_idle.map(seconds).transpose()?;
    builder = builder.limits(limits).allow_trace(allow_trace).hand_over(hand_over);
    Ok(Driver::Real.call(builder.start(), |py, gateway| {
        let inner = Inner {
            locator: gateway.locator(),
            addresses: Some((gateway.local_addr(), gateway.admin_addr())),
            gateway: Mutex::new(Some(gateway)),
        };
        Ok(Py::new(py, Locator { inner: Home::new(inner) })?.into_any())
    }))
}

/// The gateway whose admin API is at this address. With an authority, it is called by https; `own`: with a certificate and its key.
#[pyfunction]
pub(crate) fn remote_gateway(
    url: &str,
    token: Option<&str>,
    authority: Option<PathBuf>,
    own: Option<(PathBuf, PathBuf)>,
) -> PyResult<Locator> {
    let own = own.map(|(certificate, key)| TlsFiles { certificate, key });
    let remote = match authority {
        Some(authority) => RemoteGateway::over_tls(url, token, &CallerTls { authority, own }),
        None => RemoteGateway::new(url, token),
    };
    Ok(Locator::new(Arc::new(remote.raised()?)))
}

/// An HAProxy, by its socket, with the names of backends that differ from their services.
#[pyfunction]
pub(crate) fn haproxy(socket: &str, state: PathBuf, backends: BTreeMap<String, String>) -> PyResult<Locator> {
    let mut builder = HaproxyLocator::builder(socket.parse().raised()?, state);
    for (service, backend) in backends {
        builder = builder.backend(ServiceName::new(service).raised()?, backend);
    }
    Ok(Locator::new(Arc::new(builder.open().raised()?)))
}
