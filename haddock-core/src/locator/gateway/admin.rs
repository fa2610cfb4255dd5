//! The admin API: the locator over HTTP, and what people and Prometheus want to see.
//!
//! ```text
//!   GET  /health                          200 as long as the gateway runs
//!   GET  /metrics                         Prometheus text
//!   GET  /v1/services                     { service: report, … }
//!   GET  /v1/services/SERVICE             LocatorReport
//!   GET  /v1/services/SERVICE/traffic?from=&until=    TrafficRecord, or its first days     milliseconds since the epoch
//!   GET  /v1/services/SERVICE/instances/INSTANCE/remaining            RemainingSessions
//!   POST /v1/services/SERVICE/apply       RoutingTable               → null
//!   POST /v1/services/SERVICE/close       { instance, number }       → CloseAnswer
//!   POST /v1/services/SERVICE/evict       { instance, number }       → null
//!   POST /v1/services/SERVICE/hold        { instance, within }       → null     within: milliseconds
//!   POST /v1/services/SERVICE/resume      { instance }               → null
//!   GET  /v1/certificates                 [{ file, names, ends }]    ends: milliseconds since the epoch
//!   POST /v1/probe                        null                       → a word for `?haddock-probe=WORD`, good for a minute
//! ```
//!
//! Bodies are JSON. An error is a serialised [`Error`], with a status for those who read no further.
//!
//! On the loopback it needs no token. A web page must not make a browser on the same machine call it. So a call that
//! changes something has to be `application/json`, and its host an address or `localhost`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::error::{Error, ErrorKind, Result};
use crate::locator::ServiceLocator;
use crate::name::{InstanceId, ServiceName};
use crate::routing::{FencingToken, RoutingTable, millis};
use crate::time::Timestamp;

use super::config::GatewayBuilder;
use super::connection::Shared;
use super::key::read_token;
use super::locator::GatewayLocator;
use super::metrics;

/// The largest body that is read: a table of about ten thousand instances.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Which instance to close or evict, and the number of the decision.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::locator) struct Target {
    pub(in crate::locator) instance: InstanceId,
    pub(in crate::locator) number: FencingToken,
}

/// Which instance to hold, and for how long.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::locator) struct Hold {
    pub(in crate::locator) instance: InstanceId,
    #[serde(with = "millis")]
    pub(in crate::locator) within: Duration,
}

/// Which instance to let go.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::locator) struct Resume {
    pub(in crate::locator) instance: InstanceId,
}

/// The token that callers need. Without one the API stays on the loopback.
pub(super) fn token(builder: &GatewayBuilder) -> Result<Option<blake3::Hash>> {
    let token = match (&builder.token, &builder.token_file) {
        (Some(token), _) => Some(token.0.clone()),
        (None, Some(path)) => Some(read_token(path)?),
        (None, None) => None,
    };
    if let Some(address) = builder.admin
        && token.is_none()
        && !address.ip().is_loopback()
    {
        let message = format!("the admin API would listen on `{address}` without a token");
        return Err(Error::new(ErrorKind::InvalidValue, message)
            .with_hint("give it a token file, or let it listen on `127.0.0.1`"));
    }
    // Kept and compared as a hash, which is compared in constant time.
    Ok(token.map(|token| blake3::hash(token.as_bytes())))
}

#[derive(Debug)]
struct Admin {
    locator: GatewayLocator,
    token: Option<blake3::Hash>,
    shared: Arc<Shared>,
}

/// Serves the API on a thread of its own: it answers however busy the workers are.
pub(super) fn spawn(
    listener: StdTcpListener,
    locator: GatewayLocator,
    token: Option<blake3::Hash>,
    shared: Arc<Shared>,
) -> Result<JoinHandle<()>> {
    let cannot = |error| Error::new(ErrorKind::Io, format!("cannot serve the admin API: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener).map_err(cannot)?
    };
    let admin = Arc::new(Admin { locator, token, shared });
    std::thread::Builder::new()
        .name("gateway-admin".to_owned())
        .spawn(move || {
            let cut = admin.shared.cut.clone();
            runtime.block_on(cut.run_until_cancelled(accept(admin, listener)));
        })
        .map_err(cannot)
}

async fn accept(admin: Arc<Admin>, listener: TcpListener) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a caller of the admin API");
                crate::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(admin.serve(request).await) }
            });
            let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            if let Err(error) = served.await {
                tracing::debug!(%error, "a caller of the admin API went away");
            }
        });
    }
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    async fn serve(&self, request: Request<Incoming>) -> Answer {
        if request.uri().path() == "/health" {
            return text(StatusCode::OK, "text/plain", "ok\n");
        }
        match self.check(&request) {
            Ok(()) => {}
            Err((status, error)) => return json(status, &error),
        }
        match self.dispatch(request).await {
            Ok(answer) => answer,
            Err(error) => json(status_of(&error), &error),
        }
    }

    fn check(&self, request: &Request<Incoming>) -> Result<(), (StatusCode, Error)> {
        let headers = request.headers();
        let refused = |status, message: &str| Err((status, Error::new(ErrorKind::LocatorRefused, message)));
        if let Some(token) = &self.token {
            let given = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
            if given.is_none_or(|given| blake3::hash(given.trim_ascii()) != *token) {
                return refused(StatusCode::UNAUTHORIZED, "the admin API wants another token");
            }
        } else {
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            if !is_local(host) {
                return refused(StatusCode::FORBIDDEN, "the admin API is asked for by address, not by name");
            }
        }
        let kind = headers.get(header::CONTENT_TYPE).map_or(b"".as_slice(), HeaderValue::as_bytes);
        if request.method() != Method::GET && !kind.to_ascii_lowercase().starts_with(b"application/json") {
            return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body has to be `application/json`");
        }
        Ok(())
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Answer> {
        let (parts, body) = request.into_parts();
        let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let get = parts.method == Method::GET;
        let post = parts.method == Method::POST;
        match path.as_slice() {
            ["metrics"] if get => {
                let reports = self.reports().await;
                // Upgraded connections are no longer counted by the workers.
                let figures = reports.iter().flat_map(|(_, report)| report.instances.values());
                let upgraded: u64 = figures.map(|figures| figures.upgraded).sum();
                let connections = self.shared.connections.load(Ordering::Relaxed) as u64 + upgraded;
                Ok(text(
                    StatusCode::OK,
                    "text/plain; version=0.0.4",
                    metrics::render(&reports, connections, &self.shared.certificates()),
                ))
            }
            ["v1", "probe"] if post => Ok(json(StatusCode::OK, &self.shared.probe_words.arm(self.shared.clock.now())?)),
            ["v1", "certificates"] if get => Ok(json(StatusCode::OK, &self.shared.certificates())),
            ["v1", "services"] if get => {
                Ok(json(StatusCode::OK, &self.reports().await.into_iter().collect::<BTreeMap<_, _>>()))
            }
            ["v1", "services", service] if get => {
                Ok(json(StatusCode::OK, &self.locator.observe(&ServiceName::new(service)?).await?))
            }
            ["v1", "services", service, "instances", instance, "remaining"] if get => {
                let (service, instance) = (ServiceName::new(service)?, InstanceId::new(instance)?);
                Ok(json(StatusCode::OK, &self.locator.remaining(&service, &instance).await?))
            }
            ["v1", "services", service, "traffic"] if get => {
                let (from, until) = (asked(&parts, "from")?, asked(&parts, "until")?);
                Ok(json(StatusCode::OK, &self.locator.first_traffic(&ServiceName::new(service)?, from, until).await?))
            }
            ["v1", "services", service, "apply"] if post => {
                let table: RoutingTable = read(body).await?;
                if table.service.as_str() != *service {
                    let message = format!("the table is for `{}` and was sent to `{service}`", table.service);
                    return Err(Error::new(ErrorKind::LocatorRefused, message));
                }
                Ok(json(StatusCode::OK, &self.locator.apply(&table).await?))
            }
            ["v1", "services", service, "close"] if post => {
                let Target { instance, number } = read(body).await?;
                Ok(json(StatusCode::OK, &self.locator.close(&ServiceName::new(service)?, &instance, number).await?))
            }
            ["v1", "services", service, "evict"] if post => {
                let Target { instance, number } = read(body).await?;
                Ok(json(StatusCode::OK, &self.locator.evict(&ServiceName::new(service)?, &instance, number).await?))
            }
            ["v1", "services", service, "hold"] if post => {
                let Hold { instance, within } = read(body).await?;
                Ok(json(StatusCode::OK, &self.locator.hold(&ServiceName::new(service)?, &instance, within).await?))
            }
            ["v1", "services", service, "resume"] if post => {
                let Resume { instance } = read(body).await?;
                Ok(json(StatusCode::OK, &self.locator.resume(&ServiceName::new(service)?, &instance).await?))
            }
            _ => {
                let message = format!("the admin API has no `{} {}`", parts.method, parts.uri.path());
                Err(Error::new(ErrorKind::NotFound, message))
            }
        }
    }

    async fn reports(&self) -> Vec<(ServiceName, crate::routing::LocatorReport)> {
        let directory = self.shared.services.directory();
        directory.services().iter().map(|service| (service.name.clone(), service.report())).collect()
    }
}

/// A time of the query.
fn asked(parts: &Parts, name: &str) -> Result<Timestamp> {
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next();
    let time = value.and_then(|value| value.parse().ok()).map(Timestamp::from_millis);
    time.ok_or_else(|| {
        let message = format!("`{name}` has to be a time in milliseconds since the Unix epoch");
        Error::new(ErrorKind::LocatorRefused, message)
    })
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T> {
    let refused = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::LocatorRefused, format!("the body cannot be understood: {error}"))
    };
    let bytes = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| refused(&error))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| refused(&error))
}

fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

fn status_of(error: &Error) -> StatusCode {
    match error.kind() {
        ErrorKind::StaleNumber => StatusCode::CONFLICT,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::InvalidName | ErrorKind::InvalidValue | ErrorKind::LocatorRefused => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(bytes) => text(status, "application/json", bytes),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
    }
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for local in ["127.0.0.1:8081", "localhost", "localhost:1", "[::1]:8081", "[::1]", "10.0.0.1"] {
            assert!(is_local(local), "{local}");
        }
        for name in ["", "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
            assert!(!is_local(name), "{name}");
        }
    }
}
