//! HTTP/2 in raw frames: what a well-behaved client cannot send.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::version::TLS13;

use crate::door::{certificate, connect, with_tls};
use crate::world::{World, eventually};

const PATIENCE: Duration = Duration::from_secs(20);
/// Types of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
/// Flags.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200`, the entry 8 of HPACK's static table.
const STATUS_200: u8 = 0x88;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Literal fields that are not indexed, in plain text (RFC 7541, 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("short");
        [&[length], text.as_bytes()].concat()
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// How a stream, or its whole connection, has ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Served,
    /// By another status.
    Refused,
    Reset,
    ConnectionClosed,
}

async fn end_of_stream(stream: &mut (impl AsyncRead + Unpin)) -> End {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return End::ConnectionClosed;
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return End::ConnectionClosed;
        }
        match head[3] {
            HEADERS if payload.first() == Some(&STATUS_200) => return End::Served,
            HEADERS => return End::Refused,
            RST_STREAM => return End::Reset,
            GOAWAY => return End::ConnectionClosed,
            _ => {}
        }
    }
}

/// A request, and what is different in it.
fn request(changes: &[(&str, Option<&str>)], more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", "GET"), (":scheme", "https"), (":authority", "shop.example"), (":path", "/x")];
    let changed = |name: &str| changes.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
    let mut fields: Vec<(&str, &str)> =
        usual.iter().filter_map(|(name, value)| Some((*name, changed(name).unwrap_or(Some(value))?))).collect();
    fields.extend(more);
    block(&fields)
}

fn get(more: &[(&str, &str)]) -> Vec<u8> {
    request(&[], more)
}

fn with(name: &str, value: &str) -> Vec<u8> {
    request(&[(name, Some(value))], &[])
}

fn without(name: &str) -> Vec<u8> {
    request(&[(name, None)], &[])
}

/// Sends the frames of the stream 1 on a connection of their own.
async fn sent(world: &World, own: &CertificateDer<'static>, frames: &[Vec<u8>]) -> End {
    let mut stream = connect(world.address(), "shop.example", own, &[b"h2"], &[&TLS13]).await.expect("let in");
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&begin).await.expect("sent");
    for frame in frames {
        // It may be closed before it has all.
        let _ = stream.write_all(frame).await;
    }
    let _ = stream.flush().await;
    tokio::time::timeout(PATIENCE, end_of_stream(&mut stream)).await.expect("in time")
}

#[tokio::test]
async fn what_is_no_request_in_frames_is_refused_and_reaches_no_instance() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = certificate(folder.path(), "shop", &["shop.example"]);
    let (world, instance) = World::with_one(|builder| with_tls(builder, folder.path(), "shop")).await;
    let regular = (":path", "/y");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("no scheme", without(":scheme")),
        ("an empty path", with(":path", "")),
        ("a path without a slash", with(":path", "x")),
        ("a path with a space", with(":path", "/a b")),
        ("a path with a line break", with(":path", "/x HTTP/1.1\r\nHost: other\r\n\r\nGET /y")),
        ("a path with a zero byte", with(":path", "/a\0b")),
        ("a method with a line break", with(":method", "GET / HTTP/1.1\r\nX: 1\r\n\r\nGET")),
        ("a method with a space", with(":method", "GET /y")),
        ("an empty method", with(":method", "")),
        ("a method twice", get(&[(":method", "GET")])),
        ("a path twice", get(&[(":path", "/x")])),
        ("two paths", get(&[regular])),
        ("an authority twice", get(&[(":authority", "shop.example")])),
        ("a path behind a header", block(&[(":method", "GET"), (":scheme", "https"), ("a", "b"), regular])),
        ("a pseudo-header that there is not", get(&[(":proxy", "x")])),
        ("a status", get(&[(":status", "200")])),
        ("an authority with a name and a password", with(":authority", "me:secret@shop.example")),
        ("an authority with a path", with(":authority", "shop.example/x")),
        ("an authority with a line break", with(":authority", "shop.example\r\nX: 1")),
        ("two hosts", get(&[("host", "shop.example"), ("host", "other.example")])),
        ("another host", get(&[("host", "other.example")])),
        ("a name in capitals", get(&[("X-Name", "a")])),
        ("an empty name", get(&[("", "a")])),
        ("a name with a space", get(&[("a b", "c")])),
        ("a name with a colon", get(&[("a:b", "c")])),
        ("a name with a line break", get(&[("a\r\nb", "c")])),
        ("a value with a line break", get(&[("a", "b\r\nhost: other")])),
        ("a value with a line feed", get(&[("a", "b\nc")])),
        ("a value with a zero byte", get(&[("a", "b\0c")])),
        ("connection", get(&[("connection", "close")])),
        ("keep-alive", get(&[("keep-alive", "5")])),
        ("proxy-connection", get(&[("proxy-connection", "close")])),
        ("transfer-encoding", get(&[("transfer-encoding", "chunked")])),
        ("upgrade", get(&[("upgrade", "h2c")])),
        ("te with more than trailers", get(&[("te", "gzip")])),
        ("two lengths", get(&[("content-length", "1"), ("content-length", "2")])),
        ("a length that is no number", get(&[("content-length", "1_0")])),
        ("a tunnel to a host", block(&[(":method", "CONNECT"), (":authority", "shop.example:443")])),
    ];
    for (what, block) in cases {
        let end = sent(&world, &own, &[frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)]).await;
        assert_ne!(end, End::Served, "{what}");
        assert_eq!(instance.asked.load(Ordering::SeqCst), 0, "{what} reached the instance");
    }
    let end = sent(&world, &own, &[frame(HEADERS, END_STREAM | END_HEADERS, 1, &get(&[("te", "trailers")]))]).await;
    assert_eq!((end, instance.asked.load(Ordering::SeqCst)), (End::Served, 1), "what is fine is served");
}

#[tokio::test]
async fn a_body_in_frames_that_is_not_as_long_as_announced_is_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = certificate(folder.path(), "shop", &["shop.example"]);
    let (world, instance) = World::with_one(|builder| with_tls(builder, folder.path(), "shop")).await;
    let post = |length: &str| {
        let fields = request(&[(":method", Some("POST")), (":path", Some("/echo"))], &[("content-length", length)]);
        frame(HEADERS, END_HEADERS, 1, &fields)
    };
    let body = |flags| frame(DATA, flags, 1, b"abcd");
    let trailers = |fields: &[(&str, &str)]| frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields));
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("shorter than announced", vec![post("5"), body(END_STREAM)]),
        ("longer than announced", vec![post("3"), body(END_STREAM)]),
        ("none where one was announced", vec![post("4"), frame(DATA, END_STREAM, 1, &[])]),
        ("capitals in the trailers", vec![post("4"), body(0), trailers(&[("X-Name", "a")])]),
        ("headers within headers", vec![frame(HEADERS, END_STREAM, 1, &get(&[])), post("4")]),
        ("data before headers", vec![body(END_STREAM)]),
        ("headers on the stream of the connection", vec![frame(HEADERS, END_STREAM | END_HEADERS, 0, &get(&[]))]),
        ("an even stream", vec![frame(HEADERS, END_STREAM | END_HEADERS, 2, &get(&[]))]),
        (
            "a stream that depends on itself",
            vec![frame(HEADERS, 0x20 | END_STREAM | END_HEADERS, 1, &[&[0, 0, 0, 1, 0][..], &get(&[])].concat())],
        ),
        (
            "padding longer than the frame",
            vec![frame(HEADERS, 0x08 | END_STREAM | END_HEADERS, 1, &[&[255][..], &get(&[])].concat())],
        ),
        (
            "an index of HPACK that there is not",
            vec![frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff, 0xff, 0xff, 0x0f])],
        ),
    ];
    for (what, frames) in cases {
        assert_ne!(sent(&world, &own, &frames).await, End::Served, "{what}");
        // What was passed on before the fault showed leaves nothing behind.
        eventually(what, async || world.figures("shop-1").await.in_flight == 0).await;
    }
    // The HTTP library takes no notice of a pseudo-header in the trailers. The instance does not see it.
    let odd = [post("4"), body(0), trailers(&[(":path", "/y")])];
    for fine in [&odd[..], &[post("4"), body(END_STREAM)]] {
        assert_eq!(sent(&world, &own, fine).await, End::Served);
        let seen = instance.last.lock().expect("not poisoned").take().expect("asked");
        assert_eq!(seen.uri.path(), "/echo");
    }
}
