//! What happens to requests when instances fail, connections break, protocols change and gateways end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use haddock_core::locator::ServiceLocator;
use haddock_core::locator::gateway::{Gateway, Limits};
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{Count, InstanceFigures};
use haddock_core::{ErrorKind, InstanceId, ServiceName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Instance, Reply, World, eventually, get, number, service, table};

const IDLE: Duration = Duration::from_secs(60);

async fn figures(world: &World, name: &str) -> InstanceFigures {
    let id = InstanceId::new(name).expect("valid");
    world.locator().observe(&service()).await.expect("an answer").instances.remove(&id).unwrap_or_default()
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound")
}

#[tokio::test]
async fn a_new_session_goes_on_to_another_instance_if_its_own_cannot_be_reached() {
    let world = World::new(false).await;
    let (dead, well) = (nobody().await, Instance::start("shop-2").await);
    world.locator().apply(&table(1, IDLE, &[("shop-1", dead, 50), ("shop-2", well.address, 50)])).await.expect("new");
    for _ in 0..6 {
        let mut cookies = Cookies::new();
        assert_eq!(get(world.address(), "/", &mut cookies).await.status, 200);
        assert_eq!(get(world.address(), "/", &mut cookies).await.status, 200);
    }
    let dead = figures(&world, "shop-1").await;
    assert_eq!((dead.live, dead.in_flight, dead.last_seen), (Count::Exact(0), 0, None));
    assert!(
        dead.sessions_begun > 0 && dead.sessions_begun == dead.sessions_failed,
        "no connection is a failure: {dead:?}"
    );
    assert_eq!(figures(&world, "shop-2").await.live, Count::Exact(6));
    well.stop();
    eventually("nobody is left", async || get(world.address(), "/", &mut Cookies::new()).await.status == 502).await;
}

#[tokio::test]
async fn a_session_waits_for_its_own_instance_and_goes_nowhere_else() {
    let world = World::new(false).await;
    let (own, other) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    let (address, routes) =
        (own.address, |share| [("shop-1", own.address, share), ("shop-2", other.address, 100 - share)]);
    world.locator().apply(&table(1, IDLE, &routes(100))).await.expect("new");
    let mut cookies = Cookies::new();
    get(world.address(), "/", &mut cookies).await;
    world.locator().apply(&table(2, IDLE, &routes(0))).await.expect("new");
    own.stop();
    eventually("it is gone", async || TcpStream::connect(address).await.is_err()).await;
    let waiting = {
        let (to, mut cookies) = (world.address(), cookies.clone());
        tokio::spawn(async move { get(to, "/", &mut cookies).await })
    };
    eventually("the request is under way", async || figures(&world, "shop-1").await.in_flight == 1).await;
    let _again = Instance::start_at("shop-1", address).await;
    let reply: Reply = waiting.await.expect("no panic");
    assert_eq!(reply.instance(), Some(InstanceId::new("shop-1").expect("valid")));
    drop(_again);
    eventually("it is gone", async || TcpStream::connect(address).await.is_err()).await;
    assert_eq!(get(world.address(), "/", &mut cookies).await.status, 502, "after two seconds");
    let figures = figures(&world, "shop-1").await;
    assert_eq!((figures.live, figures.sessions_failed, figures.in_flight), (Count::Exact(1), 1, 0));
    assert_eq!(other.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_session_whose_instance_is_evicted_while_it_waits_begins_anew() {
    let world = World::new(false).await;
    let (dead, other) = (nobody().await, Instance::start("shop-2").await);
    let own = Instance::start_at("shop-1", dead).await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", dead, 100), ("shop-2", other.address, 0)])).await.expect("new");
    let mut cookies = Cookies::new();
    get(world.address(), "/", &mut cookies).await;
    world.locator().apply(&table(2, IDLE, &[("shop-1", dead, 0), ("shop-2", other.address, 100)])).await.expect("new");
    drop(own);
    eventually("it is gone", async || TcpStream::connect(dead).await.is_err()).await;
    let waiting = {
        let to = world.address();
        tokio::spawn(async move { get(to, "/", &mut cookies).await })
    };
    eventually("the request is under way", async || figures(&world, "shop-1").await.in_flight == 1).await;
    world.locator().evict(&service(), &InstanceId::new("shop-1").expect("valid"), number(3)).await.expect("new");
    let reply = waiting.await.expect("no panic");
    assert_eq!(reply.instance(), Some(InstanceId::new("shop-2").expect("valid")));
    assert_eq!(figures(&world, "shop-1").await.in_flight, 0);
}

/// An instance that serves one request on each connection and then, when told to, closes it without a word.
async fn closing_instance() -> (SocketAddr, Arc<tokio::sync::Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let close = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&close);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let told = Arc::clone(&told);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                if stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    told.notified().await;
                }
            });
        }
    });
    (address, close)
}

#[tokio::test]
async fn a_pooled_connection_that_died_is_noticed_whatever_the_method() {
    let world = World::new(false).await;
    let (address, close) = closing_instance().await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", address, 100)])).await.expect("new");
    // Whoever has been answered knows that the worker has looked at what came before: the end of the connection too.
    let noticed = async || {
        for _ in 0..2 {
            let mut stream = TcpStream::connect(world.address()).await.expect("a connection");
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 400"));
        }
    };
    for _ in 0..20 {
        assert_eq!(get(world.address(), "/", &mut Cookies::new()).await.status, 200);
        close.notify_waiters();
        noticed().await;
        let request = http::Request::post("/").header("host", "a").body("x".into()).expect("valid");
        assert_eq!(crate::world::send(world.address(), request).await.status, 200);
        close.notify_waiters();
        noticed().await;
    }
    assert_eq!(figures(&world, "shop-1").await.requests_failed, 0);
}

#[tokio::test]
async fn a_response_that_breaks_off_is_a_failure_and_a_client_that_leaves_is_none() {
    let world = World::new(false).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok").await;
        }
    });
    let well = Instance::start("shop-2").await;
    let routes = |broken| [("shop-1", address, broken), ("shop-2", well.address, 100 - broken)];
    world.locator().apply(&table(1, IDLE, &routes(100))).await.expect("new");
    let mut stream = TcpStream::connect(world.address()).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.ends_with(b"ok"), "what there was is passed on");
    eventually("it is counted", async || figures(&world, "shop-1").await.sessions_failed == 1).await;
    assert_eq!(figures(&world, "shop-1").await.in_flight, 0);

    world.locator().apply(&table(2, IDLE, &routes(0))).await.expect("new");
    let mut stream = TcpStream::connect(world.address()).await.expect("a connection");
    stream.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    well.held().await;
    assert_eq!(figures(&world, "shop-2").await.in_flight, 1);
    drop(stream);
    eventually("its place is given back", async || figures(&world, "shop-2").await.in_flight == 0).await;
    let figures = figures(&world, "shop-2").await;
    assert_eq!((figures.requests_failed, figures.sessions_failed), (0, 0));
}

#[tokio::test]
async fn an_instance_that_takes_too_long_is_a_failure() {
    let world = World::new(false).await;
    world.kill();
    let limits = Limits { answer_within: Duration::from_millis(100), ..Limits::default() };
    world.begin(|builder| builder.limits(limits)).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    assert_eq!(get(world.address(), "/hold", &mut Cookies::new()).await.status, 504);
    let figures = figures(&world, "shop-1").await;
    assert_eq!((figures.requests_failed, figures.sessions_failed, figures.in_flight), (1, 1, 0));
}

#[tokio::test]
async fn bodies_are_streamed_both_ways() {
    let world = World::new(false).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    world.locator().apply(&table(1, IDLE, &[("shop-1", address, 100)])).await.expect("new");
    let mut client = TcpStream::connect(world.address()).await.expect("a connection");
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await
        .expect("sent");
    let (mut instance, _) = listener.accept().await.expect("the request is there before its body is complete");
    let mut seen = String::new();
    let mut expect = async |stream: &mut TcpStream, what: &str| {
        let read = async {
            let mut buffer = [0; 4096];
            while !seen.contains(what) {
                let n = stream.read(&mut buffer).await.expect("bytes");
                assert!(n > 0, "{what} is missing in {seen}");
                seen.push_str(std::str::from_utf8(&buffer[..n]).expect("text"));
            }
            seen.clear();
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.unwrap_or_else(|_| panic!("{what} does not come"));
    };
    expect(&mut instance, "abc").await;
    instance.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await.expect("sent");
    expect(&mut client, "one").await;
    client.write_all(b"3\r\ndef\r\n0\r\n\r\n").await.expect("sent");
    expect(&mut instance, "def").await;
    instance.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.expect("sent");
    expect(&mut client, "two").await;
}

#[tokio::test]
async fn an_upgraded_connection_passes_and_keeps_its_session() {
    let world = World::new(false).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    world.locator().apply(&table(1, IDLE, &[("shop-1", address, 100)])).await.expect("new");
    let mut client = TcpStream::connect(world.address()).await.expect("a connection");
    let request = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let (mut instance, _) = listener.accept().await.expect("a connection");
    let mut buffer = [0; 4096];
    let n = instance.read(&mut buffer).await.expect("a request");
    let seen = String::from_utf8_lossy(&buffer[..n]).to_ascii_lowercase();
    assert!(seen.contains("connection: upgrade\r\n") && seen.contains("upgrade: websocket\r\n"), "{seen}");
    instance
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        .await
        .expect("sent");
    let mut seen = String::new();
    while !seen.ends_with("hello") {
        let n = client.read(&mut buffer).await.expect("bytes");
        assert!(n > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&buffer[..n]).expect("text"));
    }
    assert!(seen.starts_with("HTTP/1.1 101") && seen.contains("set-cookie: haddock-shop="), "{seen}");
    client.write_all(b"world").await.expect("sent");
    let n = instance.read(&mut buffer).await.expect("bytes");
    assert_eq!(&buffer[..n], b"world");
    let open = figures(&world, "shop-1").await;
    assert_eq!((open.upgraded, open.in_flight, open.live), (1, 0, Count::Exact(1)));
    world.clock.pass(IDLE * 10);
    assert_eq!(figures(&world, "shop-1").await.live, Count::Exact(1), "an open connection is not idle");
    drop(client);
    assert_eq!(instance.read(&mut buffer).await.expect("the end"), 0);
    drop(instance);
    eventually("it has ended", async || figures(&world, "shop-1").await.upgraded == 0).await;
    assert_eq!(figures(&world, "shop-1").await.live, Count::Exact(1));
    world.clock.pass(IDLE + world.late());
    assert_eq!(figures(&world, "shop-1").await.live, Count::Exact(0));
}

#[tokio::test]
async fn a_refused_upgrade_is_a_plain_response() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    let request =
        http::Request::get("/chat").header("host", "a").header("connection", "upgrade").header("upgrade", "x");
    let reply = crate::world::send(world.address(), request.body("".into()).expect("valid")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, b"shop-1 /chat".as_slice()));
    assert_eq!(figures(&world, "shop-1").await.in_flight, 0);
}

#[tokio::test]
async fn services_are_told_apart_by_host() {
    let dir = tempfile::tempdir().expect("a directory");
    let name = |name| ServiceName::new(name).expect("valid");
    let gateway = Gateway::builder()
        .state_dir(dir.path())
        .service(name("shop"), ["shop.example"])
        .service(name("bank"), ["bank.example", "money.example"])
        .start()
        .await
        .expect("a gateway");
    let (shop, bank) = (Instance::start("shop-1").await, Instance::start("bank-1").await);
    gateway.locator().apply(&table(1, IDLE, &[("shop-1", shop.address, 100)])).await.expect("new");
    let mut other = table(1, IDLE, &[("bank-1", bank.address, 100)]);
    other.service = name("bank");
    gateway.locator().apply(&other).await.expect("new");
    let ask = async |host: &str| {
        let request = http::Request::get("/").header("host", host).body("".into()).expect("valid");
        crate::world::send(gateway.local_addr(), request).await
    };
    for host in ["shop.example", "SHOP.example:8080", "shop.example."] {
        let reply = ask(host).await;
        assert_eq!(reply.body.as_ref(), b"shop-1 /", "{host}");
        assert!(reply.headers["set-cookie"].to_str().expect("text").starts_with("haddock-shop="));
    }
    for host in ["bank.example", "money.example"] {
        assert_eq!(ask(host).await.body.as_ref(), b"bank-1 /", "{host}");
    }
    assert_eq!(ask("other.example").await.status, 503);
    let hosts = gateway.locator().observe(&name("bank")).await.expect("an answer").hosts;
    assert_eq!(hosts, ["bank.example", "money.example"], "an application may answer no other");
    other.service = name("pub");
    let error = gateway.locator().apply(&other).await.expect_err("not named");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_shutdown_lets_the_requests_at_hand_end() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    let to = world.address();
    // An idle connection does not hold it up.
    let _idle = TcpStream::connect(to).await.expect("a connection");
    let waiting = tokio::spawn(async move { get(to, "/hold", &mut Cookies::new()).await });
    instance.held().await;
    let ending = tokio::spawn(world.take().shutdown(Duration::from_secs(20)));
    eventually("it takes no more", async || TcpStream::connect(to).await.is_err()).await;
    instance.let_go.add_permits(1);
    assert_eq!(waiting.await.expect("no panic").status, 200);
    tokio::time::timeout(Duration::from_secs(10), ending).await.expect("at once").expect("no panic");
}

#[tokio::test]
async fn who_connects_between_two_gateways_waits_in_the_socket_that_both_are_given() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = held.local_addr().expect("bound");
    world.kill();
    world.begin(|builder| builder.listener(held.try_clone().expect("a handle"))).await;
    assert_eq!(world.address(), to);
    let mut cookies = Cookies::new();
    assert_eq!(get(to, "/", &mut cookies).await.status, 200);

    world.kill();
    let mut between = cookies.clone();
    let waiting = tokio::spawn(async move { get(to, "/", &mut between).await });
    let connected = TcpStream::connect(to).await;
    connected.expect("nobody is refused while there is no gateway");
    world.begin(|builder| builder.listener(held)).await;
    let reply = waiting.await.expect("no panic");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.instance().as_ref().map(InstanceId::as_str), Some("shop-1"));
    assert_eq!(get(to, "/", &mut cookies).await.status, 200);
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let world = World::new(false).await;
    world.kill();
    world.begin(|builder| builder.admin_token("a-token-that-nobody-guesses")).await;
    let url = format!("http://{}", world.admin());
    for token in [None, Some("a-token-that-somebody-guessed")] {
        let remote = RemoteGateway::new(&url, token).expect("valid");
        let error = remote.observe(&service()).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::LocatorRefused);
        assert!(!error.to_string().contains("guess"), "{error}");
    }
    let remote = RemoteGateway::new(&url, Some("a-token-that-nobody-guesses")).expect("valid");
    assert!(remote.observe(&service()).await.expect("an answer").instances.is_empty());
    assert_eq!(get(world.admin(), "/health", &mut Cookies::new()).await.status, 200);
    assert_eq!(get(world.admin(), "/metrics", &mut Cookies::new()).await.status, 401);
}

#[tokio::test]
async fn beyond_the_loopback_there_is_no_admin_api_without_a_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = Gateway::builder().state_dir(dir.path()).admin(([0, 0, 0, 0], 0).into());
    let error = gateway.clone().start().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::InvalidValue);
    assert!(gateway.admin_token("a-token-that-nobody-guesses").start().await.is_ok());
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_the_admin_api() {
    let world = World::new(true).await;
    let post = |kind: &str, host: &str| {
        let request = http::Request::post("/v1/services/shop/evict").header("host", host).header("content-type", kind);
        request.body(r#"{"instance":"shop-1","number":{"epoch":9,"revision":9}}"#.into()).expect("valid")
    };
    assert_eq!(crate::world::send(world.admin(), post("text/plain", "127.0.0.1")).await.status, 415);
    assert_eq!(crate::world::send(world.admin(), post("application/json", "evil.example")).await.status, 403);
    assert!(!figures(&world, "shop-1").await.closed);
    assert_eq!(crate::world::send(world.admin(), post("application/json", "localhost:1")).await.status, 200);
    assert!(figures(&world, "shop-1").await.closed);
}

#[tokio::test]
async fn a_taken_port_is_said_to_be_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let dir = tempfile::tempdir().expect("a directory");
    let gateway = Gateway::builder().state_dir(dir.path()).listen(taken.local_addr().expect("bound"));
    assert_eq!(gateway.start().await.expect_err("taken").kind(), ErrorKind::PortTaken);
}

#[tokio::test]
async fn a_response_without_a_body_keeps_its_length() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    let request = http::Request::head("/").header("host", "a").body("".into()).expect("valid");
    let reply = crate::world::send(world.address(), request).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 0));
    assert_eq!(reply.headers["content-length"], "8", "as for `shop-1 /`");
    assert_eq!(figures(&world, "shop-1").await.in_flight, 0);
}

/// Without a table it is 503 and never a guess, also after a restart.
#[tokio::test]
async fn a_gateway_that_has_no_table_serves_nobody() {
    let world = World::new(false).await;
    assert_eq!(get(world.address(), "/", &mut Cookies::new()).await.status, 503);
    world.restart().await;
    let reply = get(world.address(), "/", &mut Cookies::new()).await;
    assert_eq!(reply.status, 503);
    assert!(reply.headers.contains_key("retry-after") && !reply.headers.contains_key("set-cookie"));
}

/// A state that cannot be understood is no empty state: what was promised to be closed could be opened again.
#[tokio::test]
async fn a_gateway_does_not_start_with_a_damaged_state() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    world.kill();
    let file = world.dir.path().join("state/service-shop.json");
    let text = std::fs::read(&file).expect("there");
    std::fs::write(&file, &text[..text.len() / 2]).expect("written");
    let error = Gateway::builder().state_dir(world.dir.path().join("state")).start().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.hint().is_some());
}

/// With a key that others have, an empty directory does not mean that no session lives.
#[tokio::test]
async fn with_a_shared_key_and_no_state_the_count_is_unknown_at_first() {
    let world = World::new(false).await;
    world.kill();
    std::fs::remove_dir_all(world.dir.path().join("state")).expect("ours");
    world.begin(|builder| builder.key([7; 32])).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    assert_eq!(figures(&world, "shop-1").await.live, Count::Unknown);
    world.clock.pass(IDLE);
    assert_eq!(figures(&world, "shop-1").await.live, Count::Exact(0));
}

/// Two gateways with one key route alike, while the key is rotated too.
#[tokio::test]
async fn gateways_that_share_a_key_follow_each_others_cookies() {
    let (first, second, third) = (World::new(false).await, World::new(false).await, World::new(false).await);
    let (one, two) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    let mut cookies = Cookies::new();
    for (world, shares, old, new) in [(&first, [100, 0], [1; 32], [2; 32]), (&second, [0, 100], [2; 32], [3; 32])] {
        world.kill();
        world.begin(|builder| builder.rotated_key(new, old)).await;
        let routes = [("shop-1", one.address, shares[0]), ("shop-2", two.address, shares[1])];
        world.locator().apply(&table(1, IDLE, &routes)).await.expect("new");
    }
    get(first.address(), "/", &mut cookies).await;
    let reply = get(second.address(), "/", &mut cookies.clone()).await;
    assert_eq!(reply.instance(), Some(InstanceId::new("shop-1").expect("valid")), "made with its previous key");
    third
        .locator()
        .apply(&table(1, IDLE, &[("shop-1", one.address, 0), ("shop-2", two.address, 100)]))
        .await
        .expect("new");
    let reply = get(third.address(), "/", &mut cookies).await;
    assert_eq!(reply.instance(), Some(InstanceId::new("shop-2").expect("valid")), "a foreign cookie is worth nothing");
}

/// Opens a WebSocket through the gateway; answers with both its ends.
async fn upgraded(world: &World, instances: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(world.address()).await.expect("a connection");
    client
        .write_all(b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await
        .expect("sent");
    let (mut instance, _) = instances.accept().await.expect("a connection");
    let mut buffer = [0; 4096];
    assert!(instance.read(&mut buffer).await.expect("a request") > 0);
    instance
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await
        .expect("sent");
    assert!(client.read(&mut buffer).await.expect("a response") > 12);
    (client, instance)
}

/// A gateway within these limits, before an instance that is written by hand.
async fn before_a_listener(limits: Limits) -> (World, TcpListener) {
    let world = World::new(false).await;
    world.kill();
    world.begin(|builder| builder.limits(limits).worker_threads(1)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    world.locator().apply(&table(1, IDLE, &[("shop-1", address, 100)])).await.expect("new");
    (world, listener)
}

/// The kernel's timer of a connection (`/proc/net/tcp`): which one runs, and the seconds until it fires.
fn timer(from: SocketAddr, to: SocketAddr) -> (u8, u64) {
    let hex = |address: SocketAddr| {
        let std::net::IpAddr::V4(ip) = address.ip() else { panic!("an address of IPv4") };
        format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port())
    };
    let text = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let line = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = line.into_iter().find(|words| words[1] == hex(from) && words[2] == hex(to)).expect("open");
    let (which, when) = line[5].split_once(':').expect("a timer");
    let number = |text| u64::from_str_radix(text, 16).expect("a number");
    (u8::try_from(number(which)).expect("small"), number(when) / 100)
}

/// The timer that asks a silent peer whether it is still there.
const KEEPALIVE: u8 = 2;

#[tokio::test]
async fn who_is_silent_is_asked_whether_it_is_still_there_on_both_sides() {
    for (keepalive, wanted) in [(Some(Duration::from_secs(30)), (KEEPALIVE, 20..31)), (None, (0, 0..1))] {
        let (world, listener) = before_a_listener(Limits { tcp_keepalive: keepalive, ..Limits::default() }).await;
        let (client, instance) = upgraded(&world, &listener).await;
        let sides = [
            (world.address(), client.local_addr().expect("open")),
            (instance.peer_addr().expect("open"), instance.local_addr().expect("open")),
        ];
        for (ours, theirs) in sides {
            eventually("the timer runs", async || {
                let (which, when) = timer(ours, theirs);
                (which, true) == (wanted.0, wanted.1.contains(&when))
            })
            .await;
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "that time passes is what is tried")]
#[tokio::test]
async fn a_tunnel_may_be_idle_for_as_long_as_it_likes_unless_that_is_limited() {
    let mut buffer = [0; 16];
    let (world, listener) = before_a_listener(Limits::default()).await;
    let (mut client, _instance) = upgraded(&world, &listener).await;
    world.clock.pass(IDLE * 1000);
    let read = tokio::time::timeout(Duration::from_millis(600), client.read(&mut buffer)).await;
    assert!(read.is_err(), "it was ended");

    let limits = Limits { tunnel_idle: Some(Duration::from_secs(3)), ..Limits::default() };
    let (world, listener) = before_a_listener(limits).await;
    let (mut client, mut instance) = upgraded(&world, &listener).await;
    // One word in either direction is enough.
    for n in 0..8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (from, to) = if n % 2 == 0 { (&mut client, &mut instance) } else { (&mut instance, &mut client) };
        from.write_all(b"word").await.expect("open");
        assert_eq!(to.read(&mut buffer).await.expect("open"), 4);
    }
    for side in [&mut client, &mut instance] {
        let read = tokio::time::timeout(Duration::from_secs(20), side.read(&mut buffer)).await.expect("it is ended");
        assert!(matches!(read, Ok(0) | Err(_)));
    }
    eventually("its place is given back", async || figures(&world, "shop-1").await.upgraded == 0).await;
}

#[tokio::test]
async fn upgraded_connections_are_among_those_that_are_served_at_once() {
    let (world, listener) = before_a_listener(Limits { connections: 3, ..Limits::default() }).await;
    let mut tunnels = Vec::new();
    for _ in 0..3 {
        tunnels.push(upgraded(&world, &listener).await);
    }
    // A task that served the request before may not have ended yet.
    eventually("each counts once", async || world.metrics().await.contains("\nhaddock_client_connections 3\n")).await;
    let mut waits = TcpStream::connect(world.address()).await.expect("the kernel takes it");
    waits.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let asked = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(asked.is_err(), "no place was left");
    drop(tunnels.pop());
    tokio::time::timeout(Duration::from_secs(10), listener.accept()).await.expect("room was made").expect("asked");
}
