//! The admin API: the locator over HTTP, and what people and Prometheus want to see.
//!
//! - `routes` is the table of all routes. A `route` has its method, path, types, description and what it does in one place.
//!   `call` is what a call brings, `answers` how it is answered, `bodies` what callers send, beside the types of
//!   [`crate::routing`]. The `context` is what they work with.
//! - `asked` has the requests that other proxies carry.
//! - `feed` writes events as a stream.
//! - `auth` says who may call.
//! - `openapi` describes the routes for programs, with the `schemas` of types whose JSON is not that of their fields.
//!
//! Bodies are JSON. An error is a serialised [`Error`], with a status for those who read no further.

mod answers;
mod asked;
mod auth;
mod bodies;
mod call;
mod context;
mod feed;
mod openapi;
mod route;
mod routes;
mod schemas;

use std::convert::Infallible;
use std::net::TcpListener as StdTcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};

use super::connection::{Shared, is_over};
use super::locator::GatewayLocator;

pub(super) use auth::access;
pub(in crate::locator) use bodies::{Hold, Resume, Target};
pub use openapi::openapi;

use answers::{Answer, json, refusal};
use asked::Asked;
use auth::Access;
use call::Call;
use context::{Context, SessionCounts};
use feed::Cut;
use route::Route;

/// How long a caller may take to be let in by https.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How often routes are ended of which nothing was reported, and numbers of sessions are told if they have changed.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Admin {
    context: Arc<Context>,
    access: Access,
    routes: Vec<Route>,
}

/// Serves the API on a thread of its own: it answers however busy the workers are.
pub(super) fn spawn(
    listener: StdTcpListener,
    locator: GatewayLocator,
    access: Access,
    shared: Arc<Shared>,
) -> Result<JoinHandle<()>> {
    let cannot = |error| Error::new(ErrorKind::Io, format!("cannot serve the admin API: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener).map_err(cannot)?
    };
    let context = Arc::new(Context { locator, asked: Asked::new(Arc::clone(&shared)), shared, description: openapi() });
    let admin = Arc::new(Admin { context, access, routes: routes::routes() });
    std::thread::Builder::new()
        .name("gateway-admin".to_owned())
        .spawn(move || {
            let shared = Arc::clone(&admin.context.shared);
            let keeps_tidy = keep_tidy(Arc::clone(&admin));
            let served = async { tokio::join!(accept(admin, listener), keeps_tidy) };
            runtime.block_on(shared.cut.run_until_cancelled(served));
        })
        .map_err(cannot)
}

/// The regular work of the API.
async fn keep_tidy(admin: Arc<Admin>) {
    let context = &admin.context;
    let mut round = tokio::time::interval(UPKEEP_INTERVAL);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut counts = SessionCounts::default();
    loop {
        round.tick().await;
        context.asked.end_overdue();
        counts.tell(context);
        if let Some(tls) = &admin.access.tls {
            let certificates = Arc::clone(&tls.certificates);
            let _ = tokio::task::spawn_blocking(move || certificates.refresh()).await;
        }
    }
}

async fn accept(admin: Arc<Admin>, listener: TcpListener) {
    let mut stage = admin.context.shared.stage.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            is_over = is_over(&mut stage) => if is_over { break } else { continue },
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
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
            let Some(tls) = &admin.access.tls else { return serve(admin, stream).await };
            match tokio::time::timeout(HANDSHAKE_LIMIT, tls.acceptor.accept(stream)).await {
                Ok(Ok(stream)) => serve(Arc::clone(&admin), stream).await,
                Ok(Err(error)) => tracing::info!(%error, "a caller of the admin API was not let in"),
                Err(_) => tracing::debug!("a caller of the admin API took too long to be let in"),
            }
        });
    }
    // The listener is another gateway's. Whoever is connected still gets an answer.
    drop(listener);
    std::future::pending().await
}

/// Serves a caller until it goes away.
async fn serve(admin: Arc<Admin>, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let cut = CancellationToken::new();
    let whole = cut.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let admin = Arc::clone(&admin);
        request.extensions_mut().insert(Cut(cut.clone()));
        async move { Ok::<_, Infallible>(Admin::serve(admin, request).await) }
    });
    let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Some(Err(error)) = whole.run_until_cancelled(served).await {
        tracing::debug!(%error, "a caller of the admin API went away");
    }
}

impl Admin {
    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if let Err(error) = self.context.shared.services.check() {
            return refusal(&error);
        }
        let (parts, body) = request.into_parts();
        let found = self.find(&parts.method, parts.uri.path());
        if !found.as_ref().is_some_and(|(route, _)| route.public)
            && let Err((status, error)) = auth::check(&self.access, &parts)
        {
            return json(status, &error);
        }
        let Some((route, named)) = found else { return self.no_route(&parts.method, parts.uri.path()) };
        route
            .carry_out(Arc::clone(&self.context), Call { named, parts }, body)
            .await
            .unwrap_or_else(|error| refusal(&error))
    }

    /// The route of a call, and what its path names.
    fn find(&self, method: &Method, path: &str) -> Option<(&Route, Vec<(&'static str, String)>)> {
        // HTTP leaves out the body of an answer to HEAD.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let mut routes = self.routes.iter().filter(|route| route.method == *method);
        routes.find_map(|route| Some((route, route.matches(path)?)))
    }

    fn no_route(&self, method: &Method, path: &str) -> Answer {
        let error = Error::new(ErrorKind::NotFound, format!("the admin API has no `{method} {path}`"));
        let error = error.with_hint("`GET /v1/openapi.json` lists what it has");
        let there = self.routes.iter().filter(|route| route.matches(path).is_some());
        let allowed: Vec<&str> = there.map(|route| route.method.as_str()).collect();
        if allowed.is_empty() {
            return refusal(&error);
        }
        let mut answer = json(StatusCode::METHOD_NOT_ALLOWED, &error);
        if let Ok(allowed) = HeaderValue::try_from(allowed.join(", ")) {
            answer.headers_mut().insert(header::ALLOW, allowed);
        }
        answer
    }
}
