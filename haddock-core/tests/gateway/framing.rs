//! Requests that are framed in odd ways: each is refused, or reaches the instance as one and the same request.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{World, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends bytes, and reads to the end. `leaves`: then it sends nothing more, which a gateway takes for a client that has gone. It
/// still answers what it refuses.
async fn send(world: &World, bytes: &[u8], leaves: bool) -> String {
    let mut stream = TcpStream::connect(world.address()).await.expect("a connection");
    // It may answer and close before it has all.
    let _ = stream.write_all(bytes).await;
    if leaves {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
    String::from_utf8_lossy(&answer).into_owned()
}

fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.").skip(1);
    lines.filter_map(|line| line.get(2..5)?.parse().ok()).collect()
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_reaches_no_instance() {
    let (world, instance) = World::with_one(|builder| builder).await;
    let post = |head: &str, body: &str| format!("POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{body}").into_bytes();
    let get = |head: &[u8]| [b"GET / HTTP/1.1\r\nHost: a\r\n", head, b"\r\n\r\n"].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a length with an underscore", post("Content-Length: 1_0", "0123456789")),
        ("a length in full-width digits", post("Content-Length: \u{ff11}", "a")),
        ("a length with a comma at the end", post("Content-Length: 4,", "abcd")),
        ("a length and an empty one", post("Content-Length: 4\r\nContent-Length:", "abcd")),
        ("a length with a fraction", post("Content-Length: 4.0", "abcd")),
        ("an encoding with a parameter", post("Transfer-Encoding: chunked;q=1", "0\r\n\r\n")),
        ("an encoding behind a vertical tab", post("Transfer-Encoding: \u{b}chunked", "0\r\n\r\n")),
        ("an encoding in quotes", post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n")),
        ("an encoding that is empty", post("Transfer-Encoding:", "0\r\n\r\n")),
        ("two encodings in two lines", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n")),
        ("both, in other letters", post("tRANSFER-eNCODING: chunked\r\ncONTENT-lENGTH: 4", "0\r\n\r\n")),
        ("an empty header name", get(b": value")),
        ("a name with a bracket", get(b"X(Y: 1")),
        ("a name with a zero byte", get(b"X\0Y: 1")),
        ("a name in quotes", get(b"\"X\": 1")),
        ("a name of bytes above ASCII", get(b"X\xc3\xa9: 1")),
        ("a delete character in a value", get(b"X: a\x7fb")),
        ("an escape character in a value", get(b"X: a\x1bb")),
        ("the first header folded", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_vec()),
        ("a method in a bracket", b"[GET] / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("no method", b" / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("no target", b"GET  HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("a version in small letters", b"GET / http/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("no version", b"GET /\r\n\r\n".to_vec()),
        ("a version that does not exist", b"GET / HTTP/1.7\r\nHost: a\r\n\r\n".to_vec()),
        ("HTTP/2 in the clear", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("a zero byte in the target", b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("a tunnel to a host", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_vec()),
        ("a tunnel to a path", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("another scheme without a host", b"GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("TLS on a port without it", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec()),
    ];
    for (what, bytes) in cases {
        let answer = send(&world, &bytes, false).await;
        let seen = statuses(&answer);
        assert!(seen.iter().all(|status| (400..=505).contains(status)), "{what}: {answer:?}");
        // Who speaks HTTP/2 gets no answer that it could not read.
        let answers = usize::from(what != "HTTP/2 in the clear");
        assert_eq!(seen.len(), answers, "{what}: {answer:?}");
        assert_eq!(instance.asked.load(Ordering::SeqCst), 0, "{what} reached the instance");
    }
}

#[tokio::test]
async fn chunks_that_are_none_end_the_request() {
    let (world, _instance) = World::with_one(|builder| builder).await;
    for (what, body) in [
        ("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a size with a minus", "-5\r\nhello\r\n0\r\n\r\n"),
        ("a size as in C", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("a size that is no number", "five\r\nhello\r\n0\r\n\r\n"),
        ("a size of 17 digits", "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        ("more than its size", "5\r\nhello!\r\n0\r\n\r\n"),
        ("less than its size", "7\r\nhello\r\n0\r\n\r\n"),
        ("no end of the data", "5\r\nhello0\r\n\r\n"),
        ("no last chunk", "5\r\nhello\r\n"),
    ] {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        // Behind it there is another request, which must not be taken for one.
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let answer = send(&world, format!("{head}{body}{smuggled}").as_bytes(), true).await;
        assert!(!answer.contains("smuggled"), "{what}: {answer:?}");
        let seen = statuses(&answer);
        assert!(seen.len() <= 1 && !seen.contains(&200), "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_odd_but_allowed_arrives_as_one_and_the_same_request() {
    let (world, instance) = World::with_one(|builder| builder).await;
    let chunked = |head: &str, body: &str| {
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: {head}\r\n\r\n{body}")
    };
    let post =
        |head: &str, body: &str| format!("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}\r\n\r\n{body}");
    for (what, request, body) in [
        ("empty lines before it", format!("\r\n\r\n{}", post("Content-Length: 5", "hello")), "hello"),
        ("a length with zeros before it", post("Content-Length: 00005", "hello"), "hello"),
        ("a length between spaces", post("Content-Length: \t 5 \t", "hello"), "hello"),
        ("the same length twice", post("Content-Length: 5\r\nContent-Length: 5", "hello"), "hello"),
        (
            "a name that only looks like the encoding",
            post("Transfer_Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
            "0\r\n\r\n",
        ),
        ("chunks", chunked("chunked", "5\r\nhello\r\n0\r\n\r\n"), "hello"),
        ("chunks in large letters", chunked("CHUNKED", "5\r\nhello\r\n0\r\n\r\n"), "hello"),
        ("chunks with extensions", chunked("chunked", "5;a=b;c=\"d\"\r\nhello\r\n0;last\r\n\r\n"), "hello"),
        ("a size with zeros before it", chunked("chunked", "0005\r\nhello\r\n0\r\n\r\n"), "hello"),
        ("one byte a chunk", chunked("chunked", "1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"), "hi"),
        ("trailers", chunked("chunked", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"), "hello"),
        (
            "a trailer that is no trailer",
            chunked("chunked", "5\r\nhello\r\n0\r\nContent-Length: 9\r\nHost: b\r\n\r\n"),
            "hello",
        ),
        ("an empty body in chunks", chunked("chunked", "0\r\n\r\n"), ""),
    ] {
        let answer = send(&world, request.as_bytes(), false).await;
        if what == "the same length twice" && statuses(&answer) == [400] {
            // To refuse it is allowed, too (RFC 9110, 8.6).
            continue;
        }
        assert_eq!(statuses(&answer), [200], "{what}: {answer:?}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{what}: {answer:?}");
        let told = instance.last.lock().expect("not poisoned").take().expect("it was asked");
        let length = told.headers.get_all(header::CONTENT_LENGTH).iter().count();
        let encoding = told.headers.get_all(header::TRANSFER_ENCODING).iter().count();
        assert_eq!(length + encoding, 1, "{what}: one way to know where it ends, {:?}", told.headers);
        assert_eq!(told.headers[header::HOST], "a", "{what}");
    }
}

#[tokio::test]
async fn targets_and_headers_arrive_as_they_were_meant() {
    let (world, instance) = World::with_one(|builder| builder).await;
    let told = |request: &str| {
        let (world, instance, request) = (&world, &instance, request.to_owned());
        async move {
            let answer = send(world, request.as_bytes(), false).await;
            assert!(!statuses(&answer).is_empty(), "{request:?}: {answer:?}");
            instance.last.lock().expect("not poisoned").take().unwrap_or_else(|| panic!("{request:?}: {answer:?}"))
        }
    };
    for (target, arrives) in [
        ("/a%2f..%2Fb?c=%00", "/a%2f..%2Fb?c=%00"),
        ("//a//b", "//a//b"),
        ("/a;jsessionid=1?b=?", "/a;jsessionid=1?b=?"),
        ("http://other.example/a?b", "/a?b"),
        ("HTTP://other.example", "/"),
    ] {
        let parts = told(&format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(parts.uri.to_string(), arrives, "{target}");
        let host = if target.to_ascii_lowercase().starts_with("http") { "other.example" } else { "a" };
        assert_eq!(parts.headers[header::HOST], host, "{target}: the absolute form counts");
    }
    let parts = told("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(parts.uri.to_string(), "*");
    // What `Connection` names is for one hop, but not what makes it this request.
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nX-Hop: 1\r\nX-Stays: 1\r\n\
                   Connection: close, X-Hop, Content-Length, Host\r\n\r\nhi";
    let parts = told(request).await;
    assert!(!parts.headers.contains_key("x-hop") && parts.headers.contains_key("x-stays"));
    assert_eq!(
        (&parts.headers[header::HOST], &parts.headers[header::CONTENT_LENGTH]),
        (&"a".parse().unwrap(), &"2".parse().unwrap())
    );
    // HTTP/2 in the clear is not offered, so the request goes on without it.
    let upgrade = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let parts = told(upgrade).await;
    assert!(!parts.headers.contains_key(header::UPGRADE) && !parts.headers.contains_key("http2-settings"));
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let (world, _instance) = World::with_one(|builder| builder).await;
    let ask = |n: usize| {
        let last = if n == 19 { "Connection: close\r\n" } else { "" };
        format!("GET /page-{n} HTTP/1.1\r\nHost: a\r\n{last}\r\n")
    };
    let requests: String = (0..20).map(ask).collect();
    let answer = send(&world, requests.as_bytes(), false).await;
    assert_eq!(statuses(&answer), [200; 20], "{answer:?}");
    let places: Vec<usize> = (0..20).filter_map(|n| answer.find(&format!("shop-1 /page-{n}"))).collect();
    assert!(places.len() == 20 && places.is_sorted(), "{places:?}");
    // A body that is read to its end is followed by the next request, and by nothing of the body.
    let inner = "GET /inner HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = inner.len();
    let two = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{inner}GET /outer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    );
    let answer = send(&world, two.as_bytes(), false).await;
    assert_eq!(statuses(&answer).iter().filter(|status| **status == 200).count(), 2, "{answer:?}");
    assert!(answer.contains("shop-1 /outer") && !answer.contains("shop-1 /inner"), "{answer:?}");
    eventually("nothing is in flight", async || world.figures("shop-1").await.in_flight == 0).await;
}
