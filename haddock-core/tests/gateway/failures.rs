//! What counts as failed and as slow, and where it comes from.

use std::net::SocketAddr;
use std::time::Duration;

use haddock_core::InstanceId;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{FailedPolicy, FailureKind, InstanceFigures, RoutingTable, SessionPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Instance, World, eventually, get, service, table};

const IDLE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(2);
const LONGER: Duration = Duration::from_secs(3);

async fn figures(world: &World, name: &str) -> InstanceFigures {
    let id = InstanceId::new(name).expect("valid");
    world.locator().observe(&service()).await.expect("an answer").instances.remove(&id).unwrap_or_default()
}

/// A table with one instance, under this policy.
fn judged(revision: u64, address: SocketAddr, policy: SessionPolicy) -> RoutingTable {
    let plain = table(revision, IDLE, &[("shop-1", address, 100)]);
    RoutingTable { session: SessionPolicy { idle: IDLE, ..policy }, ..plain }
}

fn timed() -> SessionPolicy {
    SessionPolicy { slow: Some(LIMIT), ..SessionPolicy::default() }
}

/// An instance that answers with the status code at the end of the path, `x-failed` if the path names it, and not at all
/// if the path ends with `nothing`.
async fn by_path() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a head"));
            }
            let head = String::from_utf8(head).expect("text");
            let path = head.split_whitespace().nth(1).expect("a path");
            let last = path.rsplit('/').next().expect("one");
            let header = if path.contains("flagged") { "X-Failed: yes\r\n" } else { "" };
            if last != "nothing" {
                let answer = format!("HTTP/1.1 {last} Said\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    address
}

fn kind(path: &str, status: Option<u16>, sessions: u64) -> FailureKind {
    FailureKind { path: path.to_owned(), status, slow: false, sessions }
}

#[tokio::test]
async fn what_has_failed_is_as_the_table_says() {
    for remote in [false, true] {
        let world = World::new(remote).await;
        let address = by_path().await;
        let range = |text: &str| text.parse().expect("a range");
        let failed = FailedPolicy {
            status: vec![range("5xx"), range("418")],
            except: vec![range("503")],
            paths: vec!["/shop".to_owned()],
            except_paths: vec!["/shop/ads".to_owned()],
            header: Some("x-failed".to_owned()),
        };
        let policy = SessionPolicy { failed, ..SessionPolicy::default() };
        world.locator().apply(&judged(1, address, policy)).await.expect("new");
        for path in [
            "/shop/cart/500",
            "/shop/cart/500",
            "/shop/418",
            "/shop/flagged/200",
            "/shop/flagged/503",
            "/shop/nothing",
            // These do not count.
            "/shop/503",
            "/shop/200",
            "/shop/404",
            "/shop/ads/500",
            "/shop/ads/nothing",
            "/shopping/500",
            "/flagged/200",
            "/nothing",
        ] {
            get(world.address(), path, &mut Cookies::new()).await;
        }
        let told = figures(&world, "shop-1").await;
        assert_eq!((told.sessions_begun, told.sessions_failed, told.requests_failed), (14, 6, 6));
        assert_eq!(told.cohorts[0].sessions.failed(), 6);
        let mut kinds = told.failures;
        kinds.sort_by_key(|kind| kind.status);
        let one = |status| kind("/shop", status, 1);
        assert_eq!(kinds, [one(None), one(Some(200)), one(Some(418)), kind("/shop", Some(500), 2), one(Some(503))]);

        // Another table, other rules. A session fails once.
        world.locator().apply(&judged(2, address, SessionPolicy::default())).await.expect("new");
        let mut cookies = Cookies::new();
        for path in ["/shop/flagged/200", "/till/503", "/shop/500"] {
            get(world.address(), path, &mut cookies).await;
        }
        let told = figures(&world, "shop-1").await;
        assert_eq!((told.sessions_failed, told.requests_failed), (7, 8));
        assert!(told.failures.contains(&kind("/till", Some(503), 1)), "{:?}", told.failures);
    }
}

#[tokio::test]
async fn an_instance_that_cannot_be_reached_fails_only_what_counts() {
    let world = World::new(false).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let failed = FailedPolicy { paths: vec!["/shop".to_owned()], ..FailedPolicy::default() };
    let policy = SessionPolicy { failed, ..SessionPolicy::default() };
    world.locator().apply(&judged(1, nobody, policy)).await.expect("new");
    for path in ["/shop?secret=1", "/till"] {
        assert_eq!(get(world.address(), path, &mut Cookies::new()).await.status, 502);
    }
    let told = figures(&world, "shop-1").await;
    assert_eq!((told.sessions_begun, told.sessions_failed, told.last_seen), (2, 1, None));
    assert_eq!(told.failures, [kind("/shop", None, 1)]);
}

#[tokio::test]
async fn what_the_gateway_answers_without_an_instance_is_no_instances_failure() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 0)])).await.expect("new");
    assert_eq!(get(world.address(), "/", &mut Cookies::new()).await.status, 503);
    let told = figures(&world, "shop-1").await;
    assert_eq!((told.sessions_begun, told.requests_failed, told.failures), (0, 0, Vec::new()));
}

#[tokio::test]
async fn a_session_is_slow_if_an_answer_begins_too_late() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&judged(1, instance.address, timed())).await.expect("new");
    let slow = async || {
        let told = figures(&world, "shop-1").await;
        assert_eq!(told.sessions_failed, 0);
        (told.cohorts[0].slow, told.failures.iter().filter(|kind| kind.slow).map(|kind| kind.sessions).sum::<u64>())
    };
    let held = |cookies: &Cookies| {
        let (to, mut cookies) = (world.address(), cookies.clone());
        tokio::spawn(async move { get(to, "/hold", &mut cookies).await })
    };
    let mut cookies = Cookies::new();
    get(world.address(), "/", &mut cookies).await;
    for (takes, expected) in [(LIMIT, 0), (LONGER, 1), (LONGER, 1)] {
        let asks = held(&cookies);
        instance.held().await;
        world.clock.pass(takes);
        instance.let_go.add_permits(1);
        asks.await.expect("no panic");
        assert_eq!(slow().await, (expected, expected), "{takes:?}");
    }
    // Another session gives up.
    let mut stream = TcpStream::connect(world.address()).await.expect("a connection");
    stream.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    instance.held().await;
    world.clock.pass(LONGER);
    drop(stream);
    eventually("it is counted", async || slow().await == (2, 2)).await;
    let kinds = figures(&world, "shop-1").await.failures;
    let late = |status| FailureKind { path: "/hold".to_owned(), status, slow: true, sessions: 1 };
    assert!(kinds.contains(&late(Some(200))) && kinds.contains(&late(None)), "{kinds:?}");
}

#[tokio::test]
async fn a_client_that_sends_its_body_slowly_does_not_make_the_instance_slow() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&judged(1, instance.address, timed())).await.expect("new");
    let mut client = TcpStream::connect(world.address()).await.expect("a connection");
    client
        .write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\n")
        .await
        .expect("sent");
    eventually("it is under way", async || figures(&world, "shop-1").await.in_flight == 1).await;
    eventually("the instance has its head", async || instance.asked.load(std::sync::atomic::Ordering::SeqCst) == 1)
        .await;
    for piece in ["ab", "cd"] {
        world.clock.pass(LONGER);
        client.write_all(piece.as_bytes()).await.expect("sent");
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.ends_with("abcd"), "{answer}");
    let told = figures(&world, "shop-1").await;
    assert_eq!((told.sessions_begun, told.cohorts[0].slow, told.failures), (1, 0, Vec::new()));
}

#[tokio::test]
async fn of_a_websocket_only_its_opening_counts() {
    let world = World::new(false).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    world.locator().apply(&judged(1, address, timed())).await.expect("new");
    for (takes, expected) in [(Duration::ZERO, 0), (LONGER, 1)] {
        let mut client = TcpStream::connect(world.address()).await.expect("a connection");
        let ask = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        client.write_all(ask).await.expect("sent");
        let (mut instance, _) = listener.accept().await.expect("a connection");
        let mut buffer = [0; 4096];
        assert!(instance.read(&mut buffer).await.expect("a request") > 0);
        world.clock.pass(takes);
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        instance.write_all(answer).await.expect("sent");
        assert!(client.read(&mut buffer).await.expect("an answer") > 0);
        eventually("it is open", async || figures(&world, "shop-1").await.upgraded == 1).await;
        let slow = async || figures(&world, "shop-1").await.cohorts[0].slow;
        assert_eq!(slow().await, expected, "told while it is open");
        world.clock.pass(LONGER);
        drop((client, instance));
        eventually("it has ended", async || figures(&world, "shop-1").await.upgraded == 0).await;
        assert_eq!((slow().await, figures(&world, "shop-1").await.requests_failed), (expected, 0));
    }
}
