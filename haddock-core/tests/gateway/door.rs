//! What a client meets first: TLS, HTTP/2, the PROXY protocol, the way to https.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use haddock_core::ErrorKind;
use haddock_core::locator::gateway::{Gateway, GatewayBuilder, Limits};
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use crate::world::{Instance, World, eventually};

const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate for these names, as files; answers with the certificate.
pub(crate) fn certificate(folder: &Path, file: &str, names: &[&str]) -> CertificateDer<'static> {
    let params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).expect("names");
    let key = KeyPair::generate().expect("a key");
    let signed = params.self_signed(&key).expect("signed");
    std::fs::write(folder.join(format!("{file}.pem")), signed.pem()).expect("written");
    std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).expect("written");
    CertificateDer::from_pem_slice(signed.pem().as_bytes()).expect("a certificate")
}

pub(crate) fn with_tls(builder: GatewayBuilder, folder: &Path, file: &str) -> GatewayBuilder {
    builder.tls(folder.join(format!("{file}.pem")), folder.join(format!("{file}.key")))
}

/// Lets time pass where there is nothing to wait for: that a piece arrives by itself, or that nothing happens.
async fn pause(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

pub(crate) async fn connect(
    to: SocketAddr,
    name: &str,
    trusted: &CertificateDer<'static>,
    protocols: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(to).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

pub(crate) const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// One request by HTTP/1.1 over a stream.
async fn ask<S>(stream: S, path: &str) -> Response<Bytes>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    let request = Request::builder().uri(path).header(header::HOST, "shop.example");
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).expect("valid")).await.expect("a response");
    whole(response).await
}

async fn whole(response: Response<Incoming>) -> Response<Bytes> {
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.expect("a body").to_bytes())
}

#[tokio::test]
async fn a_client_by_https_is_served_and_the_instance_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = certificate(folder.path(), "shop", &["shop.example"]);
    let (world, instance) = World::with_one(|builder| {
        with_tls(builder, folder.path(), "shop").strict_transport(Duration::from_secs(31_536_000))
    })
    .await;
    for versions in [&BOTH[..1], &BOTH[1..]] {
        let stream = connect(world.address(), "shop.example", &own, &[b"http/1.1"], versions).await.expect("let in");
        let answer = ask(stream, "/a").await;
        assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, b"shop-1 /a".as_slice()));
        assert_eq!(answer.headers()[header::STRICT_TRANSPORT_SECURITY], "max-age=31536000");
        let cookie = answer.headers()[header::SET_COOKIE].to_str().expect("text").to_owned();
        assert!(cookie.contains("; Secure"), "{cookie}");
        let told = instance.last.lock().expect("not poisoned").take().expect("it was asked").headers;
        assert_eq!(told["x-forwarded-proto"], "https");
        assert!(told["forwarded"].to_str().expect("text").contains("proto=https"));
    }
    let shown = world.with_gateway(|gateway| gateway.certificates());
    assert_eq!(shown[0].names, ["shop.example"]);
    // Who speaks http here is no client.
    let mut plain = TcpStream::connect(world.address()).await.expect("a connection");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("it ends");
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name_and_read_again_when_it_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let shop = certificate(folder.path(), "shop", &["shop.example"]);
    let wiki = certificate(folder.path(), "wiki", &["*.wiki.example"]);
    let (world, _instance) =
        World::with_one(|builder| with_tls(with_tls(builder, folder.path(), "shop"), folder.path(), "wiki")).await;
    let to = world.address();
    let mut open = connect(to, "shop.example", &shop, &[], &BOTH).await.expect("its own");
    connect(to, "de.wiki.example", &wiki, &[], &BOTH).await.expect("by a wildcard");
    connect(to, "wiki.example", &wiki, &[], &BOTH).await.expect_err("no wildcard is for that, so it gets the first");
    // A certificate that is replaced before its key cannot be used.
    let newer = certificate(folder.path(), "newer", &["shop.example"]);
    std::fs::rename(folder.path().join("newer.pem"), folder.path().join("shop.pem")).expect("renamed");
    world.clock.pass(Duration::from_secs(2));
    pause(Duration::from_millis(600)).await;
    connect(to, "shop.example", &shop, &[], &BOTH).await.expect("the one before stays");
    std::fs::rename(folder.path().join("newer.key"), folder.path().join("shop.key")).expect("renamed");
    let replaced = tokio::time::timeout(PATIENCE, async {
        while connect(to, "shop.example", &newer, &[], &BOTH).await.is_err() {
            world.clock.pass(Duration::from_secs(2));
            pause(Duration::from_millis(50)).await;
        }
    });
    replaced.await.expect("the new one is used");
    // A connection from before goes on.
    open.write_all(b"GET /old HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    let _ = open.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A client that speaks HTTP/2.
async fn http2<B>(to: SocketAddr, own: &CertificateDer<'static>) -> hyper::client::conn::http2::SendRequest<B>
where
    B: http_body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = connect(to, "shop.example", own, &[b"h2", b"http/1.1"], &BOTH).await.expect("let in");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

fn asks(path: &str) -> http::request::Builder {
    Request::builder().version(Version::HTTP_2).uri(format!("https://shop.example{path}"))
}

#[tokio::test]
async fn http_2_is_served_side_by_side_and_sessions_stick() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = certificate(folder.path(), "shop", &["shop.example"]);
    let (world, instance) = World::with_one(|builder| with_tls(builder, folder.path(), "shop")).await;
    let mut client = http2(world.address(), &own).await;
    // One that is held does not hold up the others.
    let held = client.send_request(asks("/hold").body(Full::new(Bytes::new())).expect("valid"));
    let held = tokio::spawn(held);
    instance.held().await;
    let body = Bytes::from(vec![b'x'; 300_000]);
    let first = client.send_request(asks("/echo").body(Full::new(body.clone())).expect("valid")).await;
    let first = whole(first.expect("a response")).await;
    assert_eq!((first.status(), first.body()), (StatusCode::OK, &body));
    let cookie =
        first.headers()[header::SET_COOKIE].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    // Cookies come in pieces (RFC 9113, 8.2.3). The instance gets one line, without ours.
    let request =
        asks("/next?x=1").header(header::COOKIE, "a=1").header(header::COOKIE, cookie).header(header::COOKIE, "b=2");
    let next = client.send_request(request.body(Full::new(Bytes::new())).expect("valid")).await.expect("a response");
    let next = whole(next).await;
    assert_eq!(&next.body()[..], b"shop-1 /next");
    assert!(next.headers().get(header::SET_COOKIE).is_none(), "its session goes on");
    let told = instance.last.lock().expect("not poisoned").take().expect("it was asked");
    assert_eq!(told.headers[header::COOKIE], "a=1; b=2");
    assert_eq!(told.headers.get_all(header::COOKIE).iter().count(), 1);
    assert_eq!(
        (&told.headers[header::HOST], told.uri.to_string()),
        (&"shop.example".parse().expect("valid"), "/next?x=1".to_owned())
    );
    instance.let_go.add_permits(1);
    assert_eq!(held.await.expect("it ran").expect("a response").status(), StatusCode::OK);
    assert_eq!(world.figures("shop-1").await.in_flight, 0);
    assert_eq!(world.figures("shop-1").await.sessions_begun, 2);
}

#[tokio::test]
async fn a_stream_that_is_too_slow_ends_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = certificate(folder.path(), "shop", &["shop.example"]);
    let limits = Limits { stalled: Duration::from_secs(20), ..Limits::default() };
    let (world, instance) = World::with_one(|builder| with_tls(builder, folder.path(), "shop").limits(limits)).await;
    let mut client = http2(world.address(), &own).await;
    // It announces a body and never sends it.
    let never = StreamBody::new(futures_util::stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>());
    let slow = tokio::spawn(client.send_request(asks("/echo").method("POST").body(never.boxed()).expect("valid")));
    eventually("it is asked", async || instance.asked.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    world.clock.pass(Duration::from_secs(30));
    let ended = tokio::time::timeout(PATIENCE, slow).await.expect("in time").expect("it ran");
    assert!(ended.is_err(), "the stream is reset");
    // The others of the connection go on, and what came to nothing counts no more.
    let other =
        client.send_request(asks("/b").body(Empty::new().map_err(|never| match never {}).boxed()).expect("valid"));
    let other = tokio::time::timeout(PATIENCE, other).await.expect("in time").expect("the connection is open");
    assert_eq!(whole(other).await.status(), StatusCode::OK);
    eventually("nothing is in flight", async || world.figures("shop-1").await.in_flight == 0).await;
}

#[tokio::test]
async fn what_is_no_request_of_http_2_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = certificate(folder.path(), "shop", &["shop.example"]);
    let (world, instance) = World::with_one(|builder| with_tls(builder, folder.path(), "shop")).await;
    let mut client = http2::<Full<Bytes>>(world.address(), &own).await;
    let cases = [
        ("another host", asks("/").header(header::HOST, "other.example"), 400),
        ("a tunnel", Request::builder().version(Version::HTTP_2).method("CONNECT").uri("shop.example:443"), 405),
        ("trace", asks("/").method("TRACE"), 405),
    ];
    for (what, request, status) in cases {
        let answer = client.send_request(request.body(Full::new(Bytes::new())).expect("valid")).await.expect(what);
        assert_eq!(answer.status(), status, "{what}");
    }
    assert_eq!(instance.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
    let same = asks("/same").header(header::HOST, "shop.example").body(Full::new(Bytes::new())).expect("valid");
    assert_eq!(client.send_request(same).await.expect("a response").status(), StatusCode::OK);
}

#[tokio::test]
async fn streams_that_are_reset_at_once_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let own = certificate(folder.path(), "shop", &["shop.example"]);
    let (world, _instance) = World::with_one(|builder| with_tls(builder, folder.path(), "shop")).await;
    for _ in 0..3 {
        let mut client = http2::<Full<Bytes>>(world.address(), &own).await;
        for _ in 0..2_000 {
            let asked = client.send_request(asks("/reset").body(Full::new(Bytes::new())).expect("valid"));
            // Dropped before it is answered: the stream is reset.
            if futures_util::FutureExt::now_or_never(asked).is_some_and(|answer| answer.is_err()) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let mut client = http2::<Full<Bytes>>(world.address(), &own).await;
    let answer = client.send_request(asks("/still").body(Full::new(Bytes::new())).expect("valid")).await;
    assert_eq!(answer.expect("others are served").status(), StatusCode::OK);
    eventually("nothing is in flight", async || world.figures("shop-1").await.in_flight == 0).await;
}

/// Sends these bytes to a gateway, and answers with what the instance was told of the client, if it was asked.
async fn told(world: &World, instance: &Instance, pieces: &[&[u8]]) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(world.address()).await.expect("a connection");
    stream.set_nodelay(true).expect("set");
    for piece in pieces {
        // It may be cut before the last piece.
        let _ = stream.write_all(piece).await;
        pause(Duration::from_millis(20)).await;
    }
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
    let headers = instance.last.lock().expect("not poisoned").take()?.headers;
    let text = |name: &str| headers[name].to_str().expect("text").to_owned();
    Some((text("x-forwarded-for"), text("forwarded")))
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";

/// A header of version 2: for a client of IPv4 at 203.0.113.7.
fn version_2(command: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, 0x11, 0, 12, 203, 0, 113, 7, 10, 0, 0, 1, 0xc0, 0, 1, 0xbb]);
    header
}

#[tokio::test]
async fn a_trusted_peer_says_for_whom_it_speaks() {
    let (world, instance) =
        World::with_one(|builder| builder.trust_proxy("127.0.0.0/8".parse().expect("a network"))).await;
    let one_of = |client: &str| Some((client.to_owned(), format!("for={client};host=\"shop.example\";proto=http")));
    // The client's own header is a stranger's.
    let v1: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 49152 443\r\n";
    assert_eq!(told(&world, &instance, &[v1, ASK]).await, one_of("203.0.113.7"));
    assert_eq!(told(&world, &instance, &[&v1[..9], &v1[9..], ASK]).await, one_of("203.0.113.7"), "in pieces");
    assert_eq!(told(&world, &instance, &[&[v1, ASK].concat()]).await, one_of("203.0.113.7"), "in one piece");
    assert_eq!(told(&world, &instance, &[&version_2(1), ASK]).await, one_of("203.0.113.7"));
    let v6: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 49152 443\r\n";
    let (client, _) = told(&world, &instance, &[v6, ASK]).await.expect("asked");
    assert_eq!(client, "2001:db8::7");
    // For itself, and without a header, the trusted peer is believed.
    for itself in [&b"PROXY UNKNOWN\r\n"[..], &version_2(0), b""] {
        let (chain, _) = told(&world, &instance, &[itself, ASK]).await.expect("asked");
        assert_eq!(chain, "6.6.6.6, 127.0.0.1", "{itself:?}");
    }
    for wrong in [&b"PROXY TCP4 nonsense\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x99\x11\0\x0c0123456789ab"] {
        assert_eq!(told(&world, &instance, &[wrong, ASK]).await, None, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_stranger_speaks_for_itself_alone() {
    let (world, instance) = World::with_one(|builder| builder).await;
    assert_eq!(told(&world, &instance, &[b"PROXY TCP4 203.0.113.7 10.0.0.1 49152 443\r\n", ASK]).await, None);
    assert_eq!(told(&world, &instance, &[&version_2(1), ASK]).await, None);
}

#[tokio::test]
async fn who_comes_by_http_is_sent_to_https() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "shop", &["shop.example"]);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (world, instance) = World::with_one(|builder| with_tls(builder, folder.path(), "shop").redirect(any)).await;
    let to = world.with_gateway(|gateway| gateway.redirect_addr()).expect("it listens");
    let answer = ask(TcpStream::connect(to).await.expect("a connection"), "/a?b=c").await;
    assert_eq!(answer.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(answer.headers()[header::LOCATION], format!("https://shop.example:{}/a?b=c", world.address().port()));
    assert_eq!(instance.asked.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn files_that_are_no_certificate_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "shop", &["shop.example"]);
    certificate(folder.path(), "other", &["other.example"]);
    std::fs::write(folder.path().join("empty.pem"), "").expect("written");
    let at = |file: &str| folder.path().join(file);
    for (cert, key, kind, named) in [
        ("shop.pem", "missing.key", ErrorKind::Io, "missing.key"),
        ("shop.pem", "other.key", ErrorKind::InvalidValue, "another key than the certificate"),
        ("shop.pem", "shop.pem", ErrorKind::InvalidValue, "has no private key"),
        ("empty.pem", "shop.key", ErrorKind::InvalidValue, "has no certificate"),
        ("shop.key", "shop.key", ErrorKind::InvalidValue, "has no certificate"),
    ] {
        let state = tempfile::tempdir().expect("a folder");
        let error = Gateway::builder().state_dir(state.path()).tls(at(cert), at(key)).start().await.expect_err(named);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
    }
    let state = tempfile::tempdir().expect("a folder");
    let error = Gateway::builder()
        .state_dir(state.path())
        .strict_transport(Duration::from_secs(60))
        .start()
        .await
        .expect_err("no files");
    assert_eq!(error.kind(), ErrorKind::InvalidValue);
}
