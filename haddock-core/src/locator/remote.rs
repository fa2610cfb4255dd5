//! A gateway in another process, over its admin API.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, version};

use crate::error::{Error, ErrorKind, Result};
use crate::locator::gateway::{Hold, Resume, Target, TlsFiles, authorities, pair};
use crate::locator::{LocatorCapabilities, ServiceLocator, SessionCount};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{
    CloseAnswer, EndedSession, EndedSessions, FencingToken, LocatorReport, RemainingSessions, RoutingTable,
    TrafficRecord,
};
use crate::time::Timestamp;

/// How long a call may take, from the contract of locators.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// The longest answer that is read: the figures of about ten thousand instances.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

const DAY_MILLIS: u64 = 24 * 3600 * 1000;

/// A gateway in another process.
///
/// Each call opens a connection of its own. Calls are rare, and this way a gateway that was replaced is found at once.
#[derive(Clone)]
pub struct RemoteGateway {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
    tls: Option<Tls>,
}

/// How an admin API is called that speaks https.
#[derive(Clone)]
struct Tls {
    name: ServerName<'static>,
    files: CallerTls,
    connector: TlsConnector,
}

/// What a caller of an admin API by https has: files with PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerTls {
    /// The authority of the gateway's certificate, or that certificate itself.
    pub authority: PathBuf,
    /// The caller's own certificate and key, if the gateway wants one.
    pub own: Option<TlsFiles>,
}

impl RemoteGateway {
    /// The gateway whose admin API is at `url`, such as `http://127.0.0.1:8081`, with the token that it wants.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if the URL is not `http://HOST:PORT`, or the token has characters that
    /// a header cannot hold.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self> {
        Self::parse(url, token, "http")
    }

    /// The gateway whose admin API is at `url`, such as `https://gateway.example:8081`, with the token that it wants, if it
    /// wants one. The files are read now.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if the URL is not `https://HOST:PORT`, or a file does not hold what it should;
    /// [`Io`](ErrorKind::Io) if it cannot be read.
    pub fn over_tls(url: &str, token: Option<&str>, tls: &CallerTls) -> Result<Self> {
        let remote = Self::parse(url, token, "https")?;
        let host = remote.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| {
            Error::new(ErrorKind::InvalidValue, format!("`{}` is not a name that a certificate can have", remote.host))
        })?;
        let failed = |error| Error::new(ErrorKind::Io, format!("TLS cannot be set up: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(failed)?
            .with_root_certificates(authorities(&tls.authority)?);
        let config = match &tls.own {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let (chain, key) = pair(files)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let message =
                        format!("`{}` is no key of `{}`: {error}", files.key.display(), files.certificate.display());
                    Error::new(ErrorKind::InvalidValue, message)
                })?
            }
        };
        Ok(Self {
            tls: Some(Tls { name, files: tls.clone(), connector: TlsConnector::from(Arc::new(config)) }),
            ..remote
        })
    }

    fn parse(url: &str, token: Option<&str>, scheme: &str) -> Result<Self> {
        let bad = || {
            // What stands before an `@` may be a password.
            let shown = url.rsplit('@').next().unwrap_or_default();
            Error::new(ErrorKind::InvalidValue, format!("`{shown}` is not the URL of an admin API"))
                .with_hint(format!("it looks like `{scheme}://127.0.0.1:8081`"))
        };
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(bad)?;
        if uri.scheme_str() != Some(scheme) || !uri.path().trim_matches('/').is_empty() || uri.query().is_some() {
            return Err(bad());
        }
        let authorization = match token {
            None => None,
            Some(token) => {
                let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                    Error::new(ErrorKind::InvalidValue, "the token has characters that a header cannot hold")
                })?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let port = authority.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
        Ok(Self { host: authority.host().to_owned(), port, authorization, tls: None })
    }

    /// A route that is missing is one that an older gateway does not have.
    fn older(&self, error: Error, what: &str) -> Error {
        match error.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::NotSupported, format!("{self} {what}"))
                .with_hint("it runs an older Haddock: update it"),
            _ => error,
        }
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: String, body: &impl Serialize) -> Result<T> {
        let unavailable = |what: &dyn fmt::Display| {
            Error::new(ErrorKind::LocatorUnavailable, format!("{self} does not answer: {what}"))
        };
        let body = if method == Method::GET {
            Vec::new()
        } else {
            serde_json::to_vec(body).map_err(|error| {
                Error::new(ErrorKind::LocatorRefused, format!("the call cannot be written down: {error}"))
            })?
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Error::new(ErrorKind::InvalidValue, format!("{self} cannot be called: {error}")))?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        let answered = tokio::time::timeout(CALL_LIMIT, self.send(request)).await;
        let (status, answer) = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.refused_by_tls(&*error).unwrap_or_else(|| unavailable(&error))),
            Err(_) => return Err(unavailable(&format_args!("nothing came within {} s", CALL_LIMIT.as_secs()))),
        };
        let refused = |what: &dyn fmt::Display| {
            Error::new(ErrorKind::LocatorRefused, format!("{self} answered `{}`: {what}", status.as_u16()))
        };
        if status == StatusCode::OK {
            return serde_json::from_slice(&answer).map_err(|error| refused(&error));
        }
        let error = serde_json::from_slice::<Error>(&answer).unwrap_or_else(|error| refused(&error));
        if status == StatusCode::UNAUTHORIZED {
            return Err(error.with_hint("pass the token of the gateway's token file"));
        }
        Err(error)
    }

    /// What is wrong with the certificates, if that is why there is no answer.
    fn refused_by_tls(&self, error: &(dyn std::error::Error + 'static)) -> Option<Error> {
        let files = &self.tls.as_ref()?.files;
        let (message, hint) = match tls_error(error)? {
            TlsError::InvalidCertificate(why) => {
                let authority = files.authority.display();
                let message = format!("{self} has no certificate that `{authority}` vouches for: {why:?}");
                (message, "name the file of the authority that has signed the gateway's certificate".to_owned())
            }
            TlsError::AlertReceived(alert) => match &files.own {
                None => {
                    let message = format!("{self} wants a certificate of who calls ({alert:?})");
                    (message, "name the files of a certificate and its key that its authority has signed".to_owned())
                }
                Some(own) => {
                    let message =
                        format!("{self} does not take the certificate `{}` ({alert:?})", own.certificate.display());
                    (
                        message,
                        "use one for TLS clients that the authority of the gateway's callers has signed".to_owned(),
                    )
                }
            },
            _ => return None,
        };
        Some(Error::new(ErrorKind::LocatorRefused, message).with_hint(hint))
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => exchange(stream, request).await,
            Some(tls) => exchange(tls.connector.connect(tls.name.clone(), stream).await?, request).await,
        }
    }

    async fn first_traffic(&self, service: &ServiceName, from: Timestamp, until: Timestamp) -> Result<TrafficRecord> {
        let (from, until) = (from.as_millis(), until.as_millis());
        let path = format!("/v1/services/{service}/traffic?from={from}&until={until}");
        self.call(Method::GET, path, &()).await.map_err(|error: Error| match error.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::NotSupported, format!("{self} keeps no record of traffic"))
                .with_hint("it runs an older Haddock: update it"),
            _ => error,
        })
    }

    async fn post<T: DeserializeOwned>(&self, service: &ServiceName, verb: &str, body: &impl Serialize) -> Result<T> {
        self.call(Method::POST, format!("/v1/services/{service}/{verb}"), body).await
    }
}

/// The error of TLS that led to another one.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        let within = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = within.and_then(|within| within.downcast_ref::<TlsError>()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let call = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES).collect().await?.to_bytes();
        Ok((status, body))
    };
    tokio::pin!(call, connection);
    tokio::select! {
        answer = &mut call => answer,
        // The connection may end with the last byte of the answer.
        _ = &mut connection => call.await,
    }
}

impl fmt::Display for RemoteGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "gateway at `{scheme}://{}:{}`", self.host, self.port)
    }
}

impl fmt::Debug for RemoteGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteGateway").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

#[async_trait]
impl ServiceLocator for RemoteGateway {
    fn capabilities(&self) -> LocatorCapabilities {
        LocatorCapabilities {
            keeps_sticky_at_zero: true,
            session_count: SessionCount::Exact,
            atomic_close: true,
            hold: true,
            counts_by_table: true,
            adoption: true,
            follows_unseen: true,
            counts_by_policy: true,
            by_client: true,
            closes_in_rounds: true,
        }
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        self.post(&table.service, "apply", table).await
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        self.post(service, "close", &Target { instance: instance.clone(), number }).await
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()> {
        self.post(service, "evict", &Target { instance: instance.clone(), number }).await
    }

    async fn hold(&self, service: &ServiceName, instance: &InstanceId, within: Duration) -> Result<()> {
        self.post(service, "hold", &Hold { instance: instance.clone(), within }).await
    }

    async fn resume(&self, service: &ServiceName, instance: &InstanceId) -> Result<()> {
        self.post(service, "resume", &Resume { instance: instance.clone() }).await
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        self.call(Method::GET, format!("/v1/services/{service}"), &()).await
    }

    async fn remaining(&self, service: &ServiceName, instance: &InstanceId) -> Result<RemainingSessions> {
        let path = format!("/v1/services/{service}/instances/{instance}/remaining");
        self.call(Method::GET, path, &()).await.map_err(|error| self.older(error, "cannot say what is left"))
    }

    async fn ended_sessions(&self, service: &ServiceName, from: u64) -> Result<EndedSessions> {
        let answer = self.call(Method::GET, format!("/v1/services/{service}/ended?from={from}"), &()).await;
        answer.map_err(|error| self.older(error, "cannot say which sessions have ended"))
    }

    async fn end_sessions(&self, service: &ServiceName, sessions: &[EndedSession]) -> Result<()> {
        let answer = self.call(Method::POST, format!("/v1/services/{service}/ended"), &sessions).await;
        answer.map_err(|error| self.older(error, "does not hear which sessions have ended"))
    }

    async fn traffic(&self, service: &ServiceName, from: Timestamp, until: Timestamp) -> Result<TrafficRecord> {
        let mut record = self.first_traffic(service, from, until).await?;
        loop {
            // An answer has whole days, unless it is the last one. That ends now, if more was asked for.
            let before = record.until;
            if before >= until || before.as_millis() % DAY_MILLIS != 0 {
                return Ok(record);
            }
            record.join(self.first_traffic(service, before, until).await?);
            if record.until <= before {
                return Ok(record);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        for good in ["http://127.0.0.1:8081", "http://localhost:8081/", "http://[::1]:8081", "http://gateway"] {
            assert!(RemoteGateway::new(good, None).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:8081", "https://a:1", "http://a:1/admin", "http://user:secret@a:1", "http://a?x"] {
            let error = RemoteGateway::new(bad, None).expect_err(bad);
            assert!(!error.to_string().contains("secret"), "{error}");
            assert_eq!(error.kind(), ErrorKind::InvalidValue);
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let remote = RemoteGateway::new("http://a:1", Some("sesame-sesame")).expect("valid");
        assert!(!format!("{remote:?} {remote}").contains("sesame"));
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_unavailable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        drop(listener);
        let remote = RemoteGateway::new(&url, None).expect("valid");
        let error = remote.observe(&ServiceName::new("shop").expect("valid")).await.expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::LocatorUnavailable);
        assert!(error.is_retryable());
    }
}
