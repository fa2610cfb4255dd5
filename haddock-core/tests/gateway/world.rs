//! A gateway with a clock that is moved by hand, instances that answer with their name, and clients.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::gateway::{Gateway, GatewayBuilder};
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::locator::suite::{Ask, Cookies, Harness, IGNORED, InFlight};
use haddock_core::routing::{ApplicationCookie, CookieMode, InstanceFigures, Route, RoutingTable, SessionPolicy};
use haddock_core::{Clock, FencingToken, InstanceId, ServiceName, Share, Timestamp};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// A clock that stands still unless it is moved.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_795_000_000_000)))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).expect("short"), Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, time: Duration) {
        self.0.fetch_sub(u64::try_from(time.as_millis()).expect("short"), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

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
    let mut request = Request::builder().uri(path).header(header::HOST, "shop.example");
    if !cookies.is_empty() {
        let text: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header(header::COOKIE, text.join("; "));
    }
    let request = request.body(Full::new(Bytes::new())).expect("valid");
    let reply = send(to, request).await;
    for cookie in reply.headers.get_all(header::SET_COOKIE) {
        let pair = cookie.to_str().expect("text").split(';').next().expect("a pair");
        let (name, value) = pair.split_once('=').expect("a pair");
        if value.is_empty() {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
    reply
}

pub(crate) async fn send(to: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    let stream = TcpStream::connect(to).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.expect("a response").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Reply { status: parts.status, headers: parts.headers, body }
}

pub(crate) fn service() -> ServiceName {
    ServiceName::new("shop").expect("valid")
}

pub(crate) fn number(revision: u64) -> FencingToken {
    FencingToken { epoch: 1, revision }
}

pub(crate) fn table(revision: u64, idle: Duration, routes: &[(&str, SocketAddr, u32)]) -> RoutingTable {
    let route = |(name, address, share): &(&str, SocketAddr, u32)| {
        (InstanceId::new(name).expect("valid"), Route::new(*address, Share::percent(*share)))
    };
    RoutingTable {
        service: service(),
        number: number(revision),
        session: SessionPolicy { idle, ignore: vec![IGNORED.to_owned()], ..SessionPolicy::default() },
        routes: routes.iter().map(route).collect::<BTreeMap<_, _>>(),
        watermark: None,
    }
}

/// A gateway with one service and a directory of its own.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) instances: Mutex<HashMap<InstanceId, Arc<Instance>>>,
    gateway: Mutex<Option<Gateway>>,
    remote: bool,
    application: Option<ApplicationCookie>,
}

impl World {
    /// Its sessions are known by a cookie that the instances set.
    pub(crate) async fn with_cookie(name: &str, mode: CookieMode) -> Self {
        let application = Some(ApplicationCookie { name: name.to_owned(), mode });
        Self { application, ..Self::new(false).await }
    }

    pub(crate) async fn new(remote: bool) -> Self {
        let world = Self {
            dir: tempfile::tempdir().expect("a directory"),
            clock: HandClock::new(),
            instances: Mutex::default(),
            gateway: Mutex::default(),
            remote,
            application: None,
        };
        world.begin(|builder| builder).await;
        world
    }

    pub(crate) async fn begin(&self, with: impl FnOnce(GatewayBuilder) -> GatewayBuilder) {
        let builder = Gateway::builder()
            .admin(SocketAddr::from(([127, 0, 0, 1], 0)))
            .state_dir(self.dir.path().join("state"))
            .worker_threads(2)
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>);
        let gateway = with(builder).start().await.expect("a gateway");
        *self.gateway.lock().expect("not poisoned") = Some(gateway);
    }

    pub(crate) fn kill(&self) {
        self.gateway.lock().expect("not poisoned").take();
    }

    pub(crate) fn take(&self) -> Gateway {
        self.gateway.lock().expect("not poisoned").take().expect("running")
    }

    pub(crate) fn with_gateway<T>(&self, look: impl FnOnce(&Gateway) -> T) -> T {
        look(self.gateway.lock().expect("not poisoned").as_ref().expect("running"))
    }

    /// The figures of an instance.
    pub(crate) async fn figures(&self, instance: &str) -> InstanceFigures {
        let report = self.locator().observe(&service()).await.expect("a report");
        report.instances[&InstanceId::new(instance).expect("valid")].clone()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gateway.lock().expect("not poisoned").as_ref().expect("running").local_addr()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.gateway.lock().expect("not poisoned").as_ref().expect("running").admin_addr().expect("asked for")
    }

    /// The figures for Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        let request = Request::get("/metrics").header(header::HOST, "127.0.0.1").body(Full::default()).expect("valid");
        String::from_utf8(send(self.admin(), request).await.body.to_vec()).expect("text")
    }

    async fn instance(&self, id: &InstanceId) -> Arc<Instance> {
        let known = self.instances.lock().expect("not poisoned").get(id).cloned();
        match known {
            Some(instance) => instance,
            None => {
                let instance = Arc::new(Instance::start(id.as_str()).await);
                *instance.session.lock().expect("not poisoned") = self.application.clone().map(|cookie| cookie.name);
                self.instances.lock().expect("not poisoned").insert(id.clone(), Arc::clone(&instance));
                instance
            }
        }
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

#[async_trait]
impl Harness for World {
    fn locator(&self) -> Arc<dyn ServiceLocator> {
        if self.remote {
            return Arc::new(RemoteGateway::new(&format!("http://{}", self.admin()), None).expect("valid"));
        }
        self.gateway.lock().expect("not poisoned").as_ref().expect("running").locator()
    }

    fn service(&self) -> ServiceName {
        service()
    }

    fn application(&self) -> Option<ApplicationCookie> {
        self.application.clone()
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn start(&self, instance: &InstanceId) -> SocketAddr {
        self.instance(instance).await.address
    }

    async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId> {
        let path = match ask {
            Ask::Page => "/",
            Ask::Failure => "/fail",
            Ask::Probe => IGNORED,
        };
        get(self.address(), path, cookies).await.instance()
    }

    async fn begin(&self, cookies: &mut Cookies) -> Option<Box<dyn InFlight>> {
        let address = self.address();
        // Of a held request the head is not there yet: a session that is to be held needs its cookie before.
        if cookies.is_empty() {
            get(address, "/", cookies).await;
        }
        let mut sent = cookies.clone();
        let reply = tokio::spawn(async move { get(address, "/hold", &mut sent).await });
        let instances: Vec<_> =
            self.instances.lock().expect("not poisoned").iter().map(|(id, it)| (id.clone(), Arc::clone(it))).collect();
        let waits = instances.iter().map(|(id, instance)| {
            Box::pin(async move {
                instance.held().await;
                (id.clone(), Arc::clone(&instance.let_go))
            })
        });
        let ((instance, let_go), ..) = futures_util::future::select_all(waits).await;
        Some(Box::new(HeldRequest { instance, let_go, reply }))
    }

    async fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }

    async fn restart(&self) -> bool {
        self.kill();
        self.begin(|builder| builder).await;
        true
    }
}

/// Waits for something, with a deadline.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        while !holds().await {
            pause.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}
