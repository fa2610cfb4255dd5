//! Bodies that take long, answers that come early, and clients that ask first.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use haddock_core::InstanceId;
use haddock_core::locator::gateway::Limits;
use haddock_core::locator::suite::Harness as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, eventually, service, table};

const IDLE: Duration = Duration::from_secs(60);

/// An instance that is written by hand: what it does with each connection.
async fn instance<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let count = AtomicUsize::new(0);
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(serve(stream, count.fetch_add(1, Ordering::SeqCst)));
        }
    });
    address
}

/// Reads up to the end of a head, and answers with it and what came after.
async fn head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let (mut bytes, mut more) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return (String::from_utf8(bytes).expect("text"), rest);
        }
        match stream.read(&mut more).await.expect("a head") {
            0 => return (String::from_utf8(bytes).expect("text"), Vec::new()),
            n => bytes.extend_from_slice(&more[..n]),
        }
    }
}

/// The body of a request whose head has been read, of that length.
async fn rest(stream: &mut TcpStream, mut body: Vec<u8>, length: usize) -> Vec<u8> {
    let mut more = [0; 4096];
    while body.len() < length {
        match stream.read(&mut more).await.expect("a body") {
            0 => break,
            n => body.extend_from_slice(&more[..n]),
        }
    }
    body
}

async fn world(limits: Limits, at: SocketAddr) -> World {
    let world = World::new(false).await;
    world.kill();
    world.begin(|builder| builder.limits(limits)).await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", at, 100)])).await.expect("new");
    world
}

fn post(length: usize, more: &str) -> Vec<u8> {
    format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n").into_bytes()
}

async fn failed(world: &World) -> u64 {
    let id = InstanceId::new("shop-1").expect("valid");
    world.locator().observe(&service()).await.expect("an answer").instances[&id].requests_failed
}

#[allow(clippy::disallowed_methods, reason = "the pace of the client is what is tried")]
#[tokio::test]
async fn an_upload_that_flows_takes_as_long_as_it_takes_and_only_silence_is_too_long() {
    let at = instance(|mut stream, _| async move {
        let (_, body) = head(&mut stream).await;
        let body = rest(&mut stream, body, 12).await;
        if body == b"to be silent" {
            let _ = stream.read(&mut [0]).await;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    })
    .await;
    let limits = Limits { answer_within: Duration::from_millis(400), ..Limits::default() };
    let world = world(limits, at).await;
    let mut client = TcpStream::connect(world.address()).await.expect("a connection");
    client.write_all(&post(12, "")).await.expect("sent");
    for byte in b"takes 1200ms" {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.write_all(&[*byte]).await.expect("not cut off");
    }
    assert!(head(&mut client).await.0.starts_with("HTTP/1.1 200 "));
    let mut client = TcpStream::connect(world.address()).await.expect("a connection");
    client.write_all(&[post(12, ""), b"to be silent".to_vec()].concat()).await.expect("sent");
    assert!(head(&mut client).await.0.starts_with("HTTP/1.1 504 "));
    eventually("one failure, and that of the silent", async || failed(&world).await == 1).await;
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    const LONG: usize = 4 << 20;
    let at = instance(|mut stream, n| async move {
        head(&mut stream).await;
        let _ = stream
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
            .await;
        // One of two closes at once, with all that it has not read: the kernel then resets the connection.
        if n % 2 == 0 {
            let _ = stream.shutdown().await;
            let mut bytes = vec![0; 1 << 16];
            while let Ok(1..) = stream.read(&mut bytes).await {}
        }
    })
    .await;
    let world = world(Limits::default(), at).await;
    for _ in 0..6 {
        let client = TcpStream::connect(world.address()).await.expect("a connection");
        let (mut reads, mut writes) = client.into_split();
        let sender = tokio::spawn(async move {
            let _ = writes.write_all(&[post(LONG, ""), vec![b'x'; LONG]].concat()).await;
            writes
        });
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), reads.read_to_end(&mut answer)).await;
        read.expect("in time").expect("no reset");
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("too large"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        drop(sender.await);
    }
}

#[tokio::test]
async fn nobody_waits_behind_a_request_that_was_answered_before_it_was_read() {
    const LONG: usize = 8 << 20;
    let at = instance(|mut stream, _| async move {
        // It answers and keeps the connection, but of a body it reads nothing, ever.
        while head(&mut stream).await.0.starts_with("GET ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.expect("sent");
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.expect("sent");
        std::future::pending::<()>().await;
    })
    .await;
    let limits = Limits { answer_within: Duration::from_secs(5), ..Limits::default() };
    let world = world(limits, at).await;
    let (mut reads, mut writes) = TcpStream::connect(world.address()).await.expect("a connection").into_split();
    let sender = tokio::spawn(async move {
        let _ = writes.write_all(&[post(LONG, ""), vec![b'x'; LONG]].concat()).await;
        writes
    });
    let mut answer = [0; 12];
    reads.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    for _ in 0..4 {
        let mut next = TcpStream::connect(world.address()).await.expect("a connection");
        next.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
        let answer = tokio::time::timeout(Duration::from_secs(2), head(&mut next)).await.expect("nobody waits");
        assert!(answer.0.starts_with("HTTP/1.1 200 "), "{}", answer.0);
    }
    assert_eq!(failed(&world).await, 0);
    sender.abort();
}

#[tokio::test]
async fn a_client_that_asks_first_gets_the_answer_of_the_instance() {
    let at = instance(|mut stream, n| async move {
        let (text, body) = head(&mut stream).await;
        let asked = text.to_ascii_lowercase().contains("\r\nexpect: 100-continue\r\n") && body.is_empty();
        let answer: &[u8] = match n {
            _ if !asked => b"HTTP/1.1 400 Not Asked\r\nContent-Length: 0\r\n\r\n",
            0 => b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n",
            // One says that it wants the body; one, as HTTP/1.0 had it, says nothing and waits.
            1 => b"HTTP/1.1 100 Continue\r\n\r\n",
            _ => b"",
        };
        stream.write_all(answer).await.expect("sent");
        if n > 0 && rest(&mut stream, body, 3).await == b"abc" {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.expect("sent");
        } else {
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    let world = world(Limits::default(), at).await;
    let ask = async || {
        let mut client = TcpStream::connect(world.address()).await.expect("a connection");
        client.write_all(&post(3, "Expect: 100-continue\r\n")).await.expect("sent");
        let first = tokio::time::timeout(Duration::from_secs(10), head(&mut client)).await.expect("in time").0;
        (client, first)
    };
    let (_, first) = ask().await;
    assert!(first.starts_with("HTTP/1.1 413 "), "no 100 of the gateway's own: {first}");
    assert!(first.to_ascii_lowercase().contains("connection: close"), "the body may still come: {first}");
    for what in ["it wants it", "it says nothing"] {
        let (mut client, first) = ask().await;
        assert_eq!(first, "HTTP/1.1 100 Continue\r\n\r\n", "{what}");
        client.write_all(b"abc").await.expect("sent");
        assert!(head(&mut client).await.0.starts_with("HTTP/1.1 200 "), "{what}");
    }
    // Nobody asks for a body that there is not, and an expectation that is none of HTTP's is for nobody.
    let mut client = TcpStream::connect(world.address()).await.expect("a connection");
    client.write_all(&post(0, "Expect: 100-continue\r\n")).await.expect("sent");
    assert!(head(&mut client).await.0.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_still_sends() {
    let at = instance(|_, _| async {}).await;
    let world = world(Limits::default(), at).await;
    for (status, start) in [
        ("431", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(1 << 20))),
        (
            "400",
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: {}\r\n\r\n{}",
                1 << 21,
                "x".repeat(1 << 21)
            ),
        ),
    ] {
        for _ in 0..4 {
            let (mut reads, mut writes) = TcpStream::connect(world.address()).await.expect("a connection").into_split();
            let bytes = start.clone().into_bytes();
            let sender = tokio::spawn(async move {
                let _ = writes.write_all(&bytes).await;
                writes
            });
            let mut answer = Vec::new();
            reads.read_to_end(&mut answer).await.expect("no reset");
            let answer = String::from_utf8(answer).expect("text");
            assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
            drop(sender.await);
        }
    }
}
