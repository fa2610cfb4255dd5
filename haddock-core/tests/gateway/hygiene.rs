//! What a proxy has to refuse, to take out and to add, asked for with raw sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::locator::gateway::Limits;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{CookiePolicy, SameSite};
use http::header;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{IDLE, Instance, World, eventually, get, table};

/// Sends bytes and reads until the gateway closes.
async fn raw(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.expect("a connection");
    stream.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("in time");
    if let Err(error) = read {
        assert!(!answer.is_empty(), "{error}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no status: {answer:?}"))
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused_and_reaches_no_instance() {
    let (world, instance) = World::with_one(|builder| builder).await;
    let cases: &[(&str, &[u8])] = &[
        (
            "both lengths",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "both, the other way",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        ),
        ("two lengths that differ", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("a list of lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab"),
        ("a signed length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na"),
        ("a negative length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na"),
        ("a length in hex", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na"),
        ("no length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\na"),
        ("too long a length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\na"),
        ("an encoding that is not chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
        ("chunked not last", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ("chunked and another", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (
            "chunked twice",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "an encoding hidden by a tab",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        ),
        ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a folded line", b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: one\r\n two\r\n\r\n"),
        ("a space before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 0\r\n\r\n"),
        ("a line without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"),
        ("a bare carriage return", b"GET / HTTP/1.1\r\nHost: a\r\nX: one\rY: two\r\n\r\n"),
        ("a zero byte", b"GET / HTTP/1.1\r\nHost: a\r\nX: one\0two\r\n\r\n"),
        ("no host", b"GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("a host that is none", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("a host with a comma and a space", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        ("a target with a user", b"GET http://me@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a target that is no path", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a bad method", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    for (what, bytes) in cases {
        let answer = raw(world.address(), bytes).await;
        assert_eq!(status(&answer), 400, "{what}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: nothing after it is read: {answer}");
    }
    assert_eq!(instance.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
    // And what is in order is served: the cases are refused for what they say they are.
    for good in [
        b"POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab".as_slice(),
        b"POST /echo HTTP/1.1\r\nConnection: close\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nConnection: close\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        b"POST http://a/echo HTTP/1.1\r\nConnection: close\r\nHost: b\r\nContent-Length: 2\r\n\r\nab",
    ] {
        let answer = raw(world.address(), good).await;
        assert!(status(&answer) == 200 && answer.ends_with("ab"), "{answer}");
    }
    assert_eq!(status(&raw(world.address(), b"GET / HTTP/1.0\r\n\r\n").await), 200);
}

#[tokio::test]
async fn a_body_in_bad_chunks_is_the_clients_fault() {
    let (world, _instance) = World::with_one(|builder| builder).await;
    for chunks in
        ["x\r\n", "-1\r\n", "1\r\nab\r\n", "1 \r\n\r\n", "ffffffffffffffffff\r\n", "1\r\na\r\n0\r\nbad trailer\r\n\r\n"]
    {
        let bytes = format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let answer = raw(world.address(), bytes.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{chunks:?}: {answer}");
    }
    let figures = world.locator().observe(&world.service()).await.expect("an answer").instances;
    let figures = figures.values().next().expect("one");
    assert_eq!((figures.requests_failed, figures.in_flight), (0, 0));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_answered_with_431() {
    let (world, _instance) = World::with_one(|builder| builder).await;
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(17 * 1024));
    assert_eq!(status(&raw(world.address(), long.as_bytes()).await), 431);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(120));
    assert_eq!(status(&raw(world.address(), many.as_bytes()).await), 431);
    let fine = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {}\r\n\r\n", "x".repeat(12 * 1024));
    assert_eq!(status(&raw(world.address(), fine.as_bytes()).await), 200);
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let (world, _instance) = World::with_one(|builder| builder).await;
    let answer = raw(world.address(), b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n").await;
    assert_eq!(status(&answer), 405);
}

#[tokio::test]
async fn trace_is_refused_unless_it_is_allowed() {
    let trace = b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (world, instance) = World::with_one(|builder| builder).await;
    assert_eq!(status(&raw(world.address(), trace).await), 405);
    assert_eq!(instance.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
    let (world, instance) = World::with_one(|builder| builder.allow_trace(true)).await;
    assert_eq!(status(&raw(world.address(), trace).await), 200);
    assert_eq!(last(&instance).method, http::Method::TRACE);
}

#[tokio::test]
async fn a_request_of_http_1_0_without_a_host_gets_that_of_its_instance() {
    let (world, instance) = World::with_one(|builder| builder).await;
    // As HAProxy asks whether a server is well, by default.
    let check = b"OPTIONS / HTTP/1.0\r\n\r\n";
    assert_eq!(status(&raw(world.address(), check).await), 200);
    let seen = last(&instance);
    assert_eq!((seen.version, value(&seen, "host")), (http::Version::HTTP_11, instance.address.to_string().as_str()));
    assert!(!seen.headers.contains_key("x-forwarded-host"), "the client has named none");
    // One that it names stays, be it that of the target.
    for named in ["OPTIONS / HTTP/1.0\r\nHost: shop.example\r\n\r\n", "OPTIONS http://shop.example/ HTTP/1.0\r\n\r\n"] {
        raw(world.address(), named.as_bytes()).await;
        assert_eq!(value(&last(&instance), "host"), "shop.example");
    }
    // Sent on to another instance, it has that one's.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let routes = [("shop-0", nobody, 100), ("shop-1", instance.address, 1)];
    world.locator().apply(&table(2, IDLE, &routes)).await.expect("new");
    assert_eq!(status(&raw(world.address(), check).await), 200);
    assert_eq!(value(&last(&instance), "host"), instance.address.to_string());
}

fn last(instance: &Instance) -> http::request::Parts {
    instance.last.lock().expect("not poisoned").take().expect("a request")
}

fn value<'a>(parts: &'a http::request::Parts, name: &str) -> &'a str {
    parts.headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test]
async fn what_is_for_one_hop_is_taken_out() {
    let (world, instance) = World::with_one(|builder| builder).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Secret, close\r\nX-Secret: 1\r\nX-Kept: 2\r\n\
                   Keep-Alive: 5\r\nProxy-Connection: close\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: x\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(status(&raw(world.address(), request.as_bytes()).await), 200);
    let seen = last(&instance);
    for name in ["connection", "x-secret", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect"] {
        assert!(!seen.headers.contains_key(name), "{name} was passed on");
    }
    assert_eq!(value(&seen, "x-kept"), "2");
    assert_eq!(seen.version, http::Version::HTTP_11);
    // Nobody can have our own headers taken out, or the request made another.
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close, X-Forwarded-For, Host, Content-Length\r\n\
                   Content-Length: 2\r\n\r\nab";
    assert!(raw(world.address(), request.as_bytes()).await.ends_with("ab"));
    let seen = last(&instance);
    assert_eq!((value(&seen, "host"), value(&seen, "x-forwarded-for")), ("a", "127.0.0.1"));
}

#[tokio::test]
async fn the_client_is_introduced_and_strangers_are_not_believed() {
    let (world, instance) = World::with_one(|builder| builder).await;
    let request = "GET / HTTP/1.1\r\nHost: shop.example:8080\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\nConnection: close\r\n\r\n";
    let answer = raw(world.address(), request.as_bytes()).await;
    assert!(answer.contains("set-cookie: haddock-shop=") && !answer.contains("SameSite"), "{answer}");
    assert!(!answer.contains("Secure"), "{answer}");
    let seen = last(&instance);
    assert_eq!(seen.headers.get_all("x-forwarded-for").iter().count(), 1);
    assert_eq!(value(&seen, "x-forwarded-for"), "127.0.0.1");
    assert_eq!(value(&seen, "x-forwarded-proto"), "http");
    assert_eq!(value(&seen, "x-forwarded-host"), "shop.example:8080");
    assert_eq!(value(&seen, "forwarded"), "for=127.0.0.1;host=\"shop.example:8080\";proto=http");
    // Nor is anything else passed on by which proxies speak of clients.
    let lies = [
        "X-Real-IP",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Forwarded-Prefix",
        "X-Forwarded-Ssl",
        "X-Forwarded",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Front-End-Https",
        "X-Original-URL",
        "X-Rewrite-URL",
    ];
    let lines: String = lies.iter().map(|name| format!("{name}: evil\r\n")).collect();
    raw(world.address(), format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n").as_bytes()).await;
    let seen = last(&instance);
    for name in lies {
        assert!(!seen.headers.contains_key(name), "{name} of a stranger was passed on");
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_added_to() {
    let (world, instance) = World::with_one(|builder| builder.trust_proxy("127.0.0.0/8".parse().expect("a net"))).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nForwarded: for=6.6.6.6;proto=https\r\n\
                   Connection: close\r\n\r\n";
    let answer = raw(world.address(), request.as_bytes()).await;
    assert!(answer.contains("; Path=/; HttpOnly; SameSite=None; Secure\r\n"), "the client came by https: {answer}");
    let seen = last(&instance);
    assert_eq!(value(&seen, "x-forwarded-for"), "6.6.6.6, 7.7.7.7, 127.0.0.1");
    assert_eq!(value(&seen, "x-forwarded-proto"), "https");
    assert_eq!(value(&seen, "x-forwarded-host"), "shop.example");
    let forwarded = "for=6.6.6.6;host=\"shop.example\";proto=https, for=7.7.7.7, for=127.0.0.1";
    assert_eq!(value(&seen, "forwarded"), forwarded, "the same in the other family");
    // One that knows the other family only is believed just so.
    let request = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=6.6.6.6;proto=https\r\nConnection: close\r\n\r\n";
    let answer = raw(world.address(), request.as_bytes()).await;
    assert!(answer.contains("; Secure"), "the client came by https: {answer}");
    let seen = last(&instance);
    assert_eq!((value(&seen, "x-forwarded-for"), value(&seen, "x-forwarded-proto")), ("6.6.6.6, 127.0.0.1", "https"));
}

#[tokio::test]
async fn the_cookie_is_ours_alone_and_others_are_passed_on() {
    let (world, instance) = World::with_one(|builder| builder).await;
    let mut cookies = Cookies::from([("theirs".to_owned(), "1".to_owned())]);
    let reply = get(world.address(), "/", &mut cookies).await;
    let cookie = reply.headers[header::SET_COOKIE].to_str().expect("text");
    assert!(cookie.starts_with("haddock-shop=") && cookie.ends_with("; Path=/; HttpOnly"), "{cookie}");
    assert_eq!(reply.headers[header::CACHE_CONTROL], "private");
    assert_eq!(value(&last(&instance), "cookie"), "theirs=1");
    get(world.address(), "/", &mut cookies).await;
    assert_eq!(value(&last(&instance), "cookie"), "theirs=1");
    cookies.remove("theirs");
    let reply = get(world.address(), "/", &mut cookies).await;
    assert!(!last(&instance).headers.contains_key("cookie"));
    assert!(!reply.headers.contains_key(header::SET_COOKIE), "its stamp is as good as new");
    world.clock.pass(Duration::from_secs(1));
    assert!(get(world.address(), "/", &mut cookies).await.headers.contains_key(header::SET_COOKIE));
}

#[tokio::test]
async fn a_forged_or_foreign_cookie_opens_a_new_session() {
    let (world, _instance) = World::with_one(|builder| builder).await;
    let mut genuine = Cookies::new();
    get(world.address(), "/", &mut genuine).await;
    let value = genuine["haddock-shop"].clone();
    let altered = [
        value.replace("shop-1", "shop-2"),
        format!("{}A{}", &value[..3], &value[4..]),
        value[..39].to_owned(),
        "x".repeat(200),
        String::new(),
    ];
    for (n, forged) in altered.into_iter().enumerate() {
        if forged == value {
            continue;
        }
        let mut cookies = Cookies::from([("haddock-shop".to_owned(), forged)]);
        let reply = get(world.address(), "/", &mut cookies).await;
        assert_eq!(reply.status, 200);
        assert!(reply.headers.contains_key(header::SET_COOKIE), "case {n}");
        assert_ne!(cookies["haddock-shop"], value);
    }
}

#[tokio::test]
async fn the_cookie_is_as_the_table_wants_it_and_of_two_the_newer_counts() {
    let (world, first) = World::with_one(|builder| builder.trust_proxy("127.0.0.0/8".parse().expect("a net"))).await;
    let https = "GET /app HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n";
    let given = async |cookies: &[&str]| {
        let lines: String = cookies.iter().map(|cookie| format!("Cookie: haddock-shop={cookie}\r\n")).collect();
        let answer = raw(world.address(), format!("{https}{lines}\r\n").as_bytes()).await;
        let line = answer.lines().find_map(|line| line.strip_prefix("set-cookie: haddock-shop="));
        let cookie = line.map(|line| line.split_once(';').expect("attributes"));
        let instance = answer.lines().find_map(|line| line.strip_prefix("x-instance: ")).expect("one").to_owned();
        (cookie.map(|(value, attributes)| (value.to_owned(), attributes.to_owned())), instance)
    };
    let (old, _) = given(&[]).await;
    let (old, attributes) = old.expect("a cookie");
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=None; Secure");

    // The next table moves it. The client keeps the one of before, which no answer sets any more.
    let second = Instance::start("shop-2").await;
    let mut next = table(2, IDLE, &[("shop-1", first.address, 0), ("shop-2", second.address, 100)]);
    next.session.cookie = CookiePolicy {
        same_site: SameSite::Lax,
        domain: Some("example.com".to_owned()),
        path: Some("/app".to_owned()),
        partitioned: true,
    };
    world.locator().apply(&next).await.expect("new");
    world.clock.pass(IDLE / 2);
    let (new, instance) = given(&[&old]).await;
    let (new, attributes) = new.expect("a later stamp");
    assert_eq!(attributes, " Path=/app; Domain=example.com; HttpOnly; SameSite=Lax; Secure; Partitioned");
    assert_eq!(instance, "shop-1");

    // A gateway that knows of neither follows the one that was given last, whatever their order.
    world.restart().await;
    world.clock.pass(IDLE / 2 + Duration::from_secs(1));
    for cookies in [[old.as_str(), &new], [&new, old.as_str()]] {
        assert_eq!(given(&cookies).await.1, "shop-1", "the older one has expired, and the session has not");
        world.restart().await;
    }
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_closed() {
    let limits =
        Limits { head_within: Duration::from_secs(3), keep_alive: Duration::from_secs(30), ..Limits::default() };
    let (world, _instance) = World::with_one(|builder| builder.limits(limits)).await;
    let mut slow = TcpStream::connect(world.address()).await.expect("a connection");
    slow.write_all(b"GET / HTTP/1.1\r\nHost").await.expect("sent");
    let mut idle = TcpStream::connect(world.address()).await.expect("a connection");
    idle.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let mut answer = vec![0; 4096];
    assert!(idle.read(&mut answer).await.expect("an answer") > 0);
    let clock = Arc::clone(&world.clock);
    // The slow one goes first; the clock only runs as long as somebody waits.
    let closed = async |stream: &mut TcpStream, step: u64| {
        let mut passed = 0;
        loop {
            let mut rest = [0; 1024];
            match tokio::time::timeout(Duration::from_millis(300), stream.read(&mut rest)).await {
                Ok(Ok(0) | Err(_)) => return passed,
                Ok(Ok(_)) => {}
                Err(_) => {
                    clock.pass(Duration::from_secs(step));
                    passed += step;
                    assert!(passed < 200, "never closed");
                }
            }
        }
    };
    let passed = closed(&mut slow, 1).await;
    assert!((3..=6).contains(&passed), "{passed} s");
    let passed = closed(&mut idle, 7).await;
    assert!((21..=42).contains(&passed), "{passed} s");
}

#[tokio::test]
async fn no_more_connections_than_allowed_are_served_at_once() {
    let limits = Limits { connections: 4, ..Limits::default() };
    let (world, instance) = World::with_one(|builder| builder.limits(limits).worker_threads(1)).await;
    let mut first = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(world.address()).await.expect("a connection");
        stream.write_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        instance.held().await;
        first.push(stream);
    }
    let mut extra = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(world.address()).await.expect("the kernel takes it");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        extra.push(stream);
    }
    let asked = || instance.asked.load(std::sync::atomic::Ordering::SeqCst);
    eventually("the fourth is served", async || asked() == 4).await;
    // Room is made by those that go.
    drop(extra.remove(0));
    eventually("one that waited is served", async || asked() == 5).await;
    instance.let_go.add_permits(3);
}

/// As `haddock check --url` asks through whatever stands in front.
#[tokio::test]
async fn a_probe_is_answered_with_what_has_arrived_and_reaches_no_instance() {
    let (world, instance) = World::with_one(|builder| builder.trust_proxy("127.0.0.0/8".parse().expect("a net"))).await;
    let asked = || instance.asked.load(std::sync::atomic::Ordering::SeqCst);
    let word = async || {
        let request =
            http::Request::post("/v1/probe").header("host", "127.0.0.1").header("content-type", "application/json");
        let reply = crate::world::send(world.admin(), request.body("null".into()).expect("valid")).await;
        serde_json::from_slice::<String>(&reply.body).expect("a word")
    };
    let probe = async |word: &str| {
        let request = format!(
            "GET /app?a=b&haddock-probe={word} HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: https\r\n\
             Cookie: theirs=secret; haddock-probe=1\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n"
        );
        raw(world.address(), request.as_bytes()).await
    };
    probe("0123").await;
    assert_eq!(asked(), 1, "nobody checks");
    let first = word().await;
    let answer = probe(&first).await;
    let body: serde_json::Value =
        serde_json::from_str(answer.rsplit("\r\n\r\n").next().expect("a body")).unwrap_or_else(|_| panic!("{answer}"));
    assert_eq!((&body["peer"], &body["trusted"], &body["https"]), (&"127.0.0.1".into(), &true.into(), &true.into()));
    assert_eq!(
        (&body["host"], &body["service"], &body["upgrade"]),
        (&"shop.example".into(), &"shop".into(), &true.into())
    );
    assert_eq!(body["cookies"], serde_json::json!(["haddock-probe=1"]), "others are nobody's business");
    assert!(
        !answer.contains("secret")
            && answer.contains("set-cookie: haddock-probe=1; Path=/; HttpOnly; SameSite=None; Secure")
    );
    assert!(probe(&first).await.contains("\"number\":2"));
    assert_eq!(asked(), 1);
    // Another's word, one of before, and one that is a minute old are worth nothing.
    let second = word().await;
    for old in ["", "0123", &first] {
        probe(old).await;
    }
    assert_eq!(asked(), 4);
    world.clock.pass(Duration::from_secs(61));
    probe(&second).await;
    assert_eq!(asked(), 5);
}
