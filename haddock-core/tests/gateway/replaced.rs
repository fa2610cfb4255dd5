//! A newer gateway beside an older one, with the same state directory: under load no request fails, no session is forgotten.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use haddock_core::locator::ServiceLocator as _;
use haddock_core::locator::gateway::{Gateway, GatewayBuilder};
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::locator::suite::Cookies;
use haddock_core::routing::{CloseAnswer, Count, LocatorReport};
use haddock_core::{ErrorKind, InstanceId};
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::door::{BOTH, certificate, connect, with_tls};
use crate::world::{Instance, eventually, get, number, service, table};

const IDLE: Duration = Duration::from_secs(1800);
const GRACE: Duration = Duration::from_secs(60);

fn id(name: &str) -> InstanceId {
    InstanceId::new(name).expect("valid")
}

/// Gateways that follow each other in one directory, at the same addresses.
struct Line {
    dir: tempfile::TempDir,
    /// In which folder of it their state is.
    within: String,
    clients: SocketAddr,
    admin: SocketAddr,
    /// By https.
    tls: bool,
    newest: Option<Gateway>,
    /// Those that were replaced, until they have ended.
    before: Vec<tokio::task::JoinHandle<()>>,
}

impl Line {
    async fn begin() -> Self {
        Self::begin_with(false, "").await.0
    }

    /// The certificate is for those that speak TLS.
    async fn begin_with(tls: bool, within: &str) -> (Self, CertificateDer<'static>) {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut line = Self {
            dir: tempfile::tempdir().expect("a directory"),
            within: within.to_owned(),
            clients: free,
            admin: free,
            tls,
            newest: None,
            before: vec![],
        };
        let own = certificate(line.dir.path(), "shop", &["shop.example"]);
        let gateway = line.builder().start().await.expect("a gateway");
        (line.clients, line.admin) = (gateway.local_addr(), gateway.admin_addr().expect("asked for"));
        line.newest = Some(gateway);
        (line, own)
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join(&self.within).join("state")
    }

    fn builder(&self) -> GatewayBuilder {
        let builder = Gateway::builder().listen(self.clients).admin(self.admin).state_dir(self.state());
        let builder = builder.worker_threads(2).hand_over(true);
        if self.tls { with_tls(builder, self.dir.path(), "shop") } else { builder }
    }

    /// Starts the next one beside the newest.
    async fn next(&mut self) {
        let gateway = self.builder().start().await.expect("a newer gateway");
        assert_eq!((gateway.local_addr(), gateway.admin_addr()), (self.clients, Some(self.admin)));
        let before = self.newest.replace(gateway).expect("running");
        before.replaced().await;
        self.before.push(tokio::spawn(async move { before.shutdown(GRACE).await }));
    }

    fn remote(&self) -> RemoteGateway {
        RemoteGateway::new(&format!("http://{}", self.admin), None).expect("valid")
    }

    /// What the newest says. A call that comes to the one before at the switch fails as if that could not be reached.
    async fn report(&self) -> LocatorReport {
        for _ in 0..3 {
            match self.remote().observe(&service()).await {
                Err(error) if error.kind() == ErrorKind::LocatorUnavailable => {}
                answered => return answered.expect("a report"),
            }
        }
        panic!("nobody answers");
    }

    async fn figures(&self, instance: &str) -> haddock_core::routing::InstanceFigures {
        self.report().await.instances[&id(instance)].clone()
    }

    /// Ends the newest, after all before it have ended by themselves.
    async fn end(mut self) {
        for before in self.before.drain(..) {
            tokio::time::timeout(GRACE / 2, before).await.expect("it ends by itself").expect("no panic");
        }
        self.newest.take().expect("running").shutdown(Duration::from_secs(5)).await;
    }
}

/// How a client speaks.
#[derive(Debug, Clone)]
enum Speaks {
    Http,
    Https(CertificateDer<'static>),
    Http2(CertificateDer<'static>),
}

/// A client's connection.
enum Open {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// A client that keeps its connection as long as it may, and never sends a request again.
struct Client {
    to: SocketAddr,
    speaks: Speaks,
    cookies: Cookies,
    open: Option<Open>,
    connections: u64,
}

impl Client {
    fn new(to: SocketAddr) -> Self {
        Self { to, speaks: Speaks::Http, cookies: Cookies::new(), open: None, connections: 0 }
    }

    async fn connect(&mut self) -> Result<Open, String> {
        self.connections += 1;
        let text = |error: hyper::Error| format!("no handshake: {error}");
        let tls = async |certificate: &CertificateDer<'static>, protocol: &[u8]| {
            let stream = connect(self.to, "shop.example", certificate, &[protocol], &BOTH).await;
            stream.map_err(|error| format!("no TLS: {error}"))
        };
        match &self.speaks {
            Speaks::Http => {
                let stream = TcpStream::connect(self.to).await.map_err(|error| format!("no connection: {error}"))?;
                let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
                tokio::spawn(driver);
                Ok(Open::One(sender))
            }
            Speaks::Https(certificate) => {
                let stream = tls(certificate, b"http/1.1").await?;
                let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
                tokio::spawn(driver);
                Ok(Open::One(sender))
            }
            Speaks::Http2(certificate) => {
                let stream = tls(certificate, b"h2").await?;
                let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
                let (sender, driver) = handshake.await.map_err(text)?;
                tokio::spawn(driver);
                Ok(Open::Two(sender))
            }
        }
    }

    async fn ask(&mut self) -> Result<InstanceId, String> {
        let text: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = match self.speaks {
            Speaks::Http2(_) => Request::post("https://shop.example/echo"),
            _ => Request::post("/echo").header(header::HOST, "shop.example"),
        };
        if !text.is_empty() {
            request = request.header(header::COOKIE, text.join("; "));
        }
        let mut request = request.body(Full::new(Bytes::from("hello"))).expect("valid");
        let response = loop {
            let open = match self.open.take() {
                Some(open) => open,
                None => self.connect().await?,
            };
            match open {
                Open::One(mut sender) => {
                    let answered = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
                    if answered.headers().get(header::CONNECTION).is_none_or(|value| value != "close") {
                        self.open = Some(Open::One(sender));
                    }
                    break answered;
                }
                Open::Two(mut sender) => {
                    let answered = match sender.ready().await {
                        Ok(()) => sender.try_send_request(request).await,
                        // It was told to open another one.
                        Err(_) => continue,
                    };
                    match answered {
                        Ok(answered) => {
                            self.open = Some(Open::Two(sender));
                            break answered;
                        }
                        Err(mut error) => match error.take_message() {
                            // The same, and nothing of it was sent.
                            Some(unsent) => request = unsent,
                            None => return Err(format!("no answer: {:?}", error.into_error())),
                        },
                    }
                }
            }
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| format!("broken off: {error}"))?.to_bytes();
        if parts.status != 200 || body != "hello" {
            return Err(format!("{} {body:?}", parts.status));
        }
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("text");
            if matches!(self.speaks, Speaks::Http) == cookie.contains("; Secure") {
                return Err(format!("the gateway does not know how the client came: {cookie}"));
            }
            let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        id_of(&parts.headers)
    }
}

fn id_of(headers: &http::HeaderMap) -> Result<InstanceId, String> {
    let name = headers.get("x-instance").and_then(|value| value.to_str().ok()).ok_or("no instance")?;
    InstanceId::new(name).map_err(|error| error.to_string())
}

/// An instance that upgrades each connection, and sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
                stream.write_all(answer.as_bytes()).await?;
                let (mut reads, mut writes) = stream.split();
                tokio::io::copy(&mut reads, &mut writes).await
            });
        }
    });
    address
}

/// A connection that was upgraded.
async fn upgrade(stream: &mut TcpStream) {
    let ask = "GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
}

async fn says_back(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).await.expect("sent");
    let mut back = vec![0; word.len()];
    stream.read_exact(&mut back).await.expect("it comes back");
    assert_eq!(back, word);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_request_fails_and_no_session_moves_or_is_forgotten() {
    let line = Line::begin().await;
    under_load(line, |_| Speaks::Http).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_in_a_directory_whose_path_is_too_long_for_a_socket() {
    let (line, _) = Line::begin_with(false, &"long".repeat(50)).await;
    under_load(line, |_| Speaks::Http).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_by_https_and_by_http_2() {
    let (line, own) = Line::begin_with(true, "").await;
    under_load(line, |n| if n % 2 == 0 { Speaks::Https(own.clone()) } else { Speaks::Http2(own.clone()) }).await;
}

/// Three hand-overs, under the load of clients that speak so.
async fn under_load(mut line: Line, speaks: impl Fn(u64) -> Speaks) {
    let both = [Instance::start("shop-1").await, Instance::start("shop-2").await];
    let routes = |old, new| [("shop-1", both[0].address, old), ("shop-2", both[1].address, new)];
    line.remote().apply(&table(1, IDLE, &routes(50, 50))).await.expect("new");
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    const CLIENTS: u64 = 24;
    for n in 0..CLIENTS {
        let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
        let mut client = Client { speaks: speaks(n), ..Client::new(line.clients) };
        clients.spawn(async move {
            let home = client.ask().await?;
            while !stop.load(Ordering::SeqCst) {
                let at = client.ask().await?;
                if at != home {
                    return Err(format!("moved from {home} to {at}"));
                }
                asked.fetch_add(1, Ordering::SeqCst);
                if n % 3 == 0 {
                    // A person who thinks: its connection is idle at most hand-overs.
                    tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>()).await.ok();
                }
            }
            Ok::<_, String>((home, client.connections))
        });
    }
    eventually("all have sessions", async || line.sessions().await == Some(CLIENTS)).await;
    for _ in 0..3 {
        let before = asked.load(Ordering::SeqCst);
        eventually("there is load", async || asked.load(Ordering::SeqCst) > before + 200).await;
        line.next().await;
        assert_eq!(line.sessions().await, Some(CLIENTS), "as many as before");
        let before = asked.load(Ordering::SeqCst);
        eventually("the load goes on", async || asked.load(Ordering::SeqCst) > before + 200).await;
        assert_eq!(line.sessions().await, Some(CLIENTS), "and as many later");
    }
    stop.store(true, Ordering::SeqCst);
    let mut reconnected = 0;
    while let Some(client) = clients.join_next().await {
        let (_, connections) = client.expect("no panic").unwrap_or_else(|error| panic!("a request failed: {error}"));
        reconnected += connections - 1;
    }
    assert!(reconnected >= CLIENTS, "their connections ended, in order: {reconnected}");
    line.end().await;
}

impl Line {
    /// The sessions on all instances.
    async fn sessions(&self) -> Option<u64> {
        let report = self.report().await;
        let all = report.instances.values().map(|figures| match figures.live {
            Count::Exact(live) => Some(live),
            _ => None,
        });
        all.sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_stays_and_counts_until_it_has_ended() {
    let mut line = Line::begin().await;
    let (old, new) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    let ws = echo().await;
    let routes = |shares: [u32; 3]| {
        [("shop-1", old.address, shares[0]), ("shop-2", new.address, shares[1]), ("ws", ws, shares[2])]
    };
    line.remote().apply(&table(1, IDLE, &routes([100, 0, 0]))).await.expect("new");
    let clients = line.clients;
    let held = tokio::spawn(async move { get(clients, "/hold", &mut Cookies::new()).await });
    old.held().await;
    line.remote().apply(&table(2, IDLE, &routes([0, 0, 100]))).await.expect("newer");
    let mut socket = TcpStream::connect(line.clients).await.expect("a connection");
    upgrade(&mut socket).await;
    says_back(&mut socket, b"before").await;
    line.remote().apply(&table(3, IDLE, &routes([0, 100, 0]))).await.expect("newer");
    for _ in 0..3 {
        line.next().await;
        let (busy, upgraded) = (line.figures("shop-1").await, line.figures("ws").await);
        assert_eq!(
            (busy.in_flight, busy.live, upgraded.upgraded, upgraded.live),
            (1, Count::Exact(1), 1, Count::Exact(1))
        );
        says_back(&mut socket, b"meanwhile").await;
    }
    let busy = line.remote().close(&service(), &id("shop-1"), number(4)).await.expect("an answer");
    assert!(matches!(busy, CloseAnswer::Busy(figures) if figures.in_flight == 1));
    old.let_go.add_permits(1);
    assert_eq!(held.await.expect("no panic").instance(), Some(id("shop-1")), "it was answered by the first");
    eventually("it is told", async || line.figures("shop-1").await.in_flight == 0).await;
    assert_eq!(line.figures("shop-1").await.live, Count::Exact(1), "the session lives for its idle time");
    drop(socket);
    eventually("it is told", async || line.figures("ws").await.upgraded == 0).await;
    line.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_on_an_old_connection_goes_through_the_new_one() {
    let mut line = Line::begin().await;
    let ws = echo().await;
    let plain = Instance::start("shop-1").await;
    line.remote().apply(&table(1, IDLE, &[("shop-1", plain.address, 100)])).await.expect("new");
    let mut socket = TcpStream::connect(line.clients).await.expect("a connection");
    let ask = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    socket.write_all(ask.as_bytes()).await.expect("sent");
    let mut answer = vec![0; 4096];
    let read = socket.read(&mut answer).await.expect("an answer");
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    line.next().await;
    line.remote().apply(&table(2, IDLE, &[("shop-1", plain.address, 0), ("ws", ws, 100)])).await.expect("new");
    upgrade(&mut socket).await;
    says_back(&mut socket, b"over two gateways").await;
    assert_eq!(line.figures("ws").await.upgraded, 1);
    drop(socket);
    eventually("it has ended", async || line.figures("ws").await.upgraded == 0).await;
    line.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_serve_leaves_the_old_one_as_it_was() {
    let line = Line::begin().await;
    let instance = Instance::start("shop-1").await;
    line.remote().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    let mut client = Client::new(line.clients);
    client.ask().await.expect("an answer");
    // It cannot read the state, after it has been given all.
    let state = line.state();
    let kept = std::fs::read(state.join("service-shop.json")).expect("there");
    std::fs::write(state.join("service-shop.json"), "no table").expect("ours");
    let error = line.builder().start().await.expect_err("no state");
    assert_eq!(error.kind(), ErrorKind::Io);
    std::fs::write(state.join("service-shop.json"), kept).expect("ours");
    eventually("it goes on", async || line.remote().observe(&service()).await.is_ok()).await;
    client.ask().await.expect("the same connection goes on");
    assert_eq!(client.connections, 1);
    assert_eq!(line.figures("shop-1").await.live, Count::Exact(1));
    // Neither one that leaves in the middle of it.
    {
        use std::io::Write as _;
        let mut stranger = std::os::unix::net::UnixStream::connect(state.join("gateway.sock")).expect("it listens");
        stranger.write_all(&[9, 0, 0, 0, 1]).expect("sent");
    }
    client.ask().await.expect("the same connection goes on");
    let mut line = line;
    line.next().await;
    assert_eq!(line.figures("shop-1").await.live, Count::Exact(1));
    client.ask().await.expect("it is passed on");
    line.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_owner_of_the_directory_gives_and_a_replaced_one_says_nothing_wrong() {
    let mut line = Line::begin().await;
    let other = tempfile::tempdir().expect("a directory");
    let error = line.builder().state_dir(other.path().join("state")).start().await.expect_err("the port");
    assert_eq!(error.kind(), ErrorKind::PortTaken);
    let error = line.builder().hand_over(false).start().await.expect_err("the directory");
    assert_eq!(error.kind(), ErrorKind::Busy);
    let old = line.newest.as_ref().expect("running").locator();
    old.observe(&service()).await.expect("a report");
    line.next().await;
    let error = old.observe(&service()).await.expect_err("it does not know any more");
    assert_eq!(error.kind(), ErrorKind::LocatorUnavailable);
    old.apply(&table(9, IDLE, &[])).await.expect_err("it has nothing to say any more");
    // The lock has moved, too.
    let error = line.builder().hand_over(false).start().await.expect_err("the directory");
    assert_eq!(error.kind(), ErrorKind::Busy);
    line.end().await;
}
