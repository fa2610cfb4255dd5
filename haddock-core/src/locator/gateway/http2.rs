//! HTTP/2 towards clients. Each stream is served as a request of HTTP/1.1 is, and cut by itself if it is too slow.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{StatusCode, Uri, Version, request};
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::TokioTimer;

use super::client::Watch;
use super::connection::{Registered, Worker};
use super::headers::Refusal;
use super::limits::Limits;

/// Requests that one connection may have at once: as nginx and others allow.
const MAX_STREAMS: u32 = 128;
/// A client that does not answer a ping has gone.
const PING_ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Runs the streams of a connection, each as a task of its own.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    worker: Arc<Worker>,
    connection: Arc<Watch>,
    /// The stream that is about to be run. The library asks for its service and runs the answer in one go.
    next: Arc<Mutex<Option<Arc<Watch>>>>,
}

impl Streams {
    pub(super) fn new(worker: &Arc<Worker>, connection: &Arc<Watch>) -> Self {
        connection.multiplex();
        Self { worker: Arc::clone(worker), connection: Arc::clone(connection), next: Arc::default() }
    }

    /// A stream begins: what is known of it.
    pub(super) fn begin(&self) -> Arc<Watch> {
        let watch = Arc::new(Watch::of_stream(&self.connection));
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&watch));
        watch
    }

    pub(super) fn builder(self, limits: &Limits) -> Builder<Self> {
        let mut builder = Builder::new(self);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(limits.tcp_keepalive)
            .keep_alive_timeout(PING_ANSWER_LIMIT);
        builder
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let Some(watch) = self.next.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            tokio::spawn(stream);
            return;
        };
        let registered = Registered::reserve(&self.worker);
        let key = registered.key;
        let running = Running(Arc::clone(&self.connection));
        self.connection.begin_stream();
        let task = tokio::spawn(async move {
            stream.await;
            drop((registered, running));
        });
        self.worker.clients().enter(key, watch, task.abort_handle());
    }
}

/// A stream that runs. Without any, its connection is idle.
struct Running(Arc<Watch>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end_stream();
    }
}

/// Makes a request of HTTP/2 one of HTTP/1.1 (RFC 9113, 8.3.1 and 8.2.3). The library has refused what is malformed.
pub(super) fn to_http1(parts: &mut request::Parts) -> Result<(), Refusal> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    if let Some(authority) = parts.uri.authority() {
        if authority.as_str().contains('@') {
            return Err(Refusal(BAD, "a host that is none"));
        }
        let bad = Refusal(BAD, "a host that is none");
        let authority = HeaderValue::from_str(authority.as_str()).map_err(|_| bad)?;
        let mut hosts = parts.headers.get_all(header::HOST).into_iter();
        if hosts.any(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes())) {
            return Err(Refusal(BAD, "two hosts"));
        }
        parts.headers.insert(header::HOST, authority);
    }
    if let Some(path) = parts.uri.path_and_query().cloned() {
        parts.uri = Uri::from(path);
    }
    let cookies: Vec<&[u8]> = parts.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1 {
        let joined = HeaderValue::from_bytes(&cookies.join(&b"; "[..]));
        parts.headers.insert(header::COOKIE, joined.map_err(|_| Refusal(BAD, "a cookie that is none"))?);
    }
    parts.version = Version::HTTP_11;
    Ok(())
}
