//! Instances that answer with their name, and their clients. The tests of HAProxy have them, too.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use haddock_core::InstanceId;
use haddock_core::locator::suite::{Ask, Cookies, IGNORED, InFlight};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// An instance: answers with its name; on `/hold` only when it is let go.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) address: SocketAddr,
    /// One word for each request that is held.
    pub(crate) holding: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
    pub(crate) let_go: Arc<Semaphore>,
    pub(crate) asked: Arc<AtomicU64>,
    /// The head of the last request, as it came.
    pub(crate) last: Arc<Mutex<Option<http::request::Parts>>>,
    /// What the answers to requests for a path set.
    pub(crate) sets: Arc<Mutex<HashMap<String, Vec<String>>>>,
    /// The name of a session cookie that it sets in each answer to a request without one of its own.
    pub(crate) session: Arc<Mutex<Option<String>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Instance {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_at(name, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(name: &str, at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (held, holding) = mpsc::unbounded_channel();
        let (let_go, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
        let last = Arc::new(Mutex::new(None));
        let (sets, session) = (Arc::<Mutex<HashMap<String, Vec<String>>>>::default(), Arc::default());
        let answer =
            {
                let (name, let_go, asked, last) =
                    (name.to_owned(), Arc::clone(&let_go), Arc::clone(&asked), Arc::clone(&last));
                let (sets, session): (Arc<Mutex<HashMap<_, _>>>, Arc<Mutex<Option<String>>>) =
                    (Arc::clone(&sets), Arc::clone(&session));
                move |request: Request<Incoming>| {
                    let (name, let_go, asked, last, held) =
                        (name.clone(), Arc::clone(&let_go), Arc::clone(&asked), Arc::clone(&last), held.clone());
                    let (sets, session) = (Arc::clone(&sets), Arc::clone(&session));
                    async move {
                        asked.fetch_add(1, Ordering::SeqCst);
                        let (parts, body) = request.into_parts();
                        let path = parts.uri.path().to_owned();
                        let mut set = sets.lock().expect("not poisoned").get(&path).cloned().unwrap_or_default();
                        if let Some(cookie) = session.lock().expect("not poisoned").clone() {
                            let text = |value: &http::HeaderValue| value.to_str().expect("text").to_owned();
                            let sent: Vec<String> = parts.headers.get_all(header::COOKIE).iter().map(text).collect();
                            if !sent.join("; ").split("; ").any(|pair| {
                                pair.starts_with(&format!("{cookie}=")) && pair.ends_with(&format!(".{name}"))
                            }) {
                                static NEXT: AtomicU64 = AtomicU64::new(0xA000);
                                let id = NEXT.fetch_add(1, Ordering::SeqCst);
                                set.push(format!("{cookie}={id:X}.{name}; Path=/; HttpOnly"));
                            }
                        }
                        *last.lock().expect("not poisoned") = Some(parts);
                        let mut response = Response::new(Full::new(Bytes::new()));
                        match path.as_str() {
                            "/hold" => {
                                held.send(()).expect("somebody waits");
                                let_go.acquire().await.expect("open").forget();
                            }
                            "/fail" => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
                            "/echo" => {
                                if let Ok(body) = body.collect().await {
                                    *response.body_mut() = Full::new(body.to_bytes());
                                }
                            }
                            _ => *response.body_mut() = Full::new(Bytes::from(format!("{name} {path}"))),
                        }
                        let value = name.parse().expect("a plain name");
                        response.headers_mut().insert("x-instance", value);
                        for cookie in set {
                            response.headers_mut().append(header::SET_COOKIE, cookie.parse().expect("valid"));
                        }
                        Ok::<_, Infallible>(response)
                    }
                }
            };
        let server = tokio::spawn(async move {
            // Dropped with the server, so that an instance that is stopped answers nothing more.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let answer = answer.clone();
                connections.spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
            }
        });
        Self { address, holding: tokio::sync::Mutex::new(holding), let_go, asked, last, sets, session, server }
    }

    /// Waits until a request is held.
    pub(crate) async fn held(&self) {
        let held = async { self.holding.lock().await.recv().await };
        tokio::time::timeout(Duration::from_secs(10), held).await.expect("in time").expect("running");
    }

    pub(crate) fn stop(&self) {
        self.server.abort();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn instance(&self) -> Option<InstanceId> {
        InstanceId::new(self.headers.get("x-instance")?.to_str().ok()?).ok()
    }
}

/// One request on a connection of its own, with these cookies, which it updates.
pub(crate) async fn get(to: SocketAddr, path: &str, cookies: &mut Cookies) -> Reply {
    try_get(to, path, cookies).await.expect("a response")
}

/// The same. `None`: nobody answers.
pub(crate) async fn try_get(to: SocketAddr, path: &str, cookies: &mut Cookies) -> Option<Reply> {
    let mut request = Request::builder().uri(path).header(header::HOST, "shop.example");
    if !cookies.is_empty() {
        let text: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header(header::COOKIE, text.join("; "));
    }
    let reply = try_send(to, request.body(Full::new(Bytes::new())).expect("valid")).await?;
    for cookie in reply.headers.get_all(header::SET_COOKIE) {
        let pair = cookie.to_str().expect("text").split(';').next().expect("a pair");
        let (name, value) = pair.split_once('=').expect("a pair");
        if value.is_empty() {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
    Some(reply)
}

pub(crate) async fn send(to: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    try_send(to, request).await.expect("a response")
}

async fn try_send(to: SocketAddr, request: Request<Full<Bytes>>) -> Option<Reply> {
    let stream = TcpStream::connect(to).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(Reply { status: parts.status, headers: parts.headers, body })
}

/// The path of what a client asks for.
pub(crate) fn path_of(ask: Ask) -> &'static str {
    match ask {
        Ask::Page => "/",
        Ask::Failure => "/fail",
        Ask::Probe => IGNORED,
    }
}

/// Those that a test has started.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    /// The cookie by which they know sessions.
    cookie: Option<String>,
    known: Mutex<HashMap<InstanceId, Arc<Instance>>>,
}

impl Instances {
    /// They know sessions by this cookie, which they set.
    pub(crate) fn with_cookie(name: &str) -> Self {
        Self { cookie: Some(name.to_owned()), ..Self::default() }
    }

    /// Starts it, unless it runs.
    pub(crate) async fn get(&self, id: &InstanceId) -> Arc<Instance> {
        let known = self.known.lock().expect("not poisoned").get(id).cloned();
        match known {
            Some(instance) => instance,
            None => {
                let instance = Arc::new(Instance::start(id.as_str()).await);
                *instance.session.lock().expect("not poisoned") = self.cookie.clone();
                self.known.lock().expect("not poisoned").insert(id.clone(), Arc::clone(&instance));
                instance
            }
        }
    }

    /// Waits until one of them holds a request, and answers what lets it go.
    pub(crate) async fn held(&self) -> (InstanceId, Arc<Semaphore>) {
        let instances: Vec<_> =
            self.known.lock().expect("not poisoned").iter().map(|(id, it)| (id.clone(), Arc::clone(it))).collect();
        let waits = instances.iter().map(|(id, instance)| {
            Box::pin(async move {
                instance.held().await;
                (id.clone(), Arc::clone(&instance.let_go))
            })
        });
        futures_util::future::select_all(waits).await.0
    }

    /// A request over a proxy at `to` that one of them holds.
    pub(crate) async fn begin(&self, to: SocketAddr, cookies: &mut Cookies) -> Option<Box<dyn InFlight>> {
        // Of a held request the head is not there yet: a session that is to be held needs its cookie before.
        if cookies.is_empty() {
            try_get(to, "/", cookies).await;
        }
        let mut sent = cookies.clone();
        let reply = tokio::spawn(async move { get(to, "/hold", &mut sent).await });
        let (instance, let_go) = self.held().await;
        Some(Box::new(HeldRequest { instance, let_go, reply }))
    }
}

struct HeldRequest {
    instance: InstanceId,
    let_go: Arc<Semaphore>,
    reply: tokio::task::JoinHandle<Reply>,
}

#[async_trait]
impl InFlight for HeldRequest {
    fn instance(&self) -> InstanceId {
        self.instance.clone()
    }

    async fn finish(self: Box<Self>) {
        self.let_go.add_permits(1);
        assert_eq!(self.reply.await.expect("no panic").instance(), Some(self.instance));
    }
}
