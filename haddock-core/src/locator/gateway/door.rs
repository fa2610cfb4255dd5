//! What a client meets first: the header of the PROXY protocol if a trusted peer sends one, then TLS.

use std::io;
use std::net::SocketAddr;

use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::forwarded::Peer;
use super::socket::Socket;

/// The longest header of version 1 (PROXY protocol, 2.1).
const MAX_LINE_BYTES: usize = 107;
/// The longest header that is read. One of version 2 that is longer has only extensions that nobody here reads, and no sender of
/// it is known.
const MAX_PROXY_HEADER_BYTES: usize = 4096;
/// A header of version 2 without addresses.
const MIN_VERSION_2_BYTES: usize = 16;
/// With these bytes a header begins (PROXY protocol, 2.1 and 2.2).
const VERSION_1: &[u8] = b"PROXY ";
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Lets a client in. `is_trusted` says which addresses may speak for others.
///
/// # Errors
/// What a peer sent that is none of this, or that it left.
pub(super) async fn open(
    mut stream: TcpStream,
    peer: SocketAddr,
    is_trusted: impl Fn(SocketAddr) -> bool,
    tls: Option<&TlsAcceptor>,
) -> io::Result<(Socket, Peer)> {
    let mut client = Some(peer).filter(|_| is_trusted(peer));
    if client.is_some() {
        client = proxied(&mut stream).await?.or(client);
    }
    let client = client.unwrap_or(peer);
    let peer = Peer::new(client, is_trusted(client), tls.is_some());
    let socket = match tls {
        None => Socket::Plain(stream),
        Some(tls) => Socket::Tls(Box::new(tls.accept(stream).await?)),
    };
    Ok((socket, peer))
}

/// Lets a request in that the gateway before passes on.
pub(super) async fn open_relayed(
    mut stream: UnixStream,
    is_trusted: impl Fn(SocketAddr) -> bool,
) -> io::Result<(Socket, Peer)> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a header of the PROXY protocol that is none");
    // The last of these says how long the rest is (PROXY protocol, 2.2).
    let mut header = vec![0; MIN_VERSION_2_BYTES];
    stream.read_exact(&mut header).await?;
    let rest = u16::from_be_bytes([header[MIN_VERSION_2_BYTES - 2], header[MIN_VERSION_2_BYTES - 1]]);
    header.resize(MIN_VERSION_2_BYTES + usize::from(rest), 0);
    stream.read_exact(&mut header[MIN_VERSION_2_BYTES..]).await?;
    let HeaderResult::V2(Ok(header)) = HeaderResult::parse(&header) else { return Err(invalid()) };
    let client = of_version_2(&header).ok_or_else(invalid)?;
    let is_tls = |extension: &v2::TypeLengthValue<'_>| {
        extension.kind == v2::Type::SSL as u8 && extension.value.first().is_some_and(|client| client & 1 == 1)
    };
    let https = header.tlvs().flatten().any(|extension| is_tls(&extension));
    Ok((Socket::Relayed(stream), Peer::new(client, is_trusted(client), https)))
}

/// The client that the peer speaks for. `None`: it sends no header, or speaks for itself.
async fn proxied(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = [0; MAX_PROXY_HEADER_BYTES];
    let mut known = 0;
    loop {
        let seen = stream.peek(&mut header).await?;
        let text = &header[..seen];
        if seen == 0 || !may_begin(text) {
            return Ok(None);
        }
        let parsed = HeaderResult::parse(text);
        if parsed.is_incomplete() && may_go_on(text) {
            if seen == known {
                // The kernel answers at once with what it has; only time brings more.
                crate::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            known = seen;
            continue;
        }
        let (length, client) = match parsed {
            HeaderResult::V1(Ok(header)) => (header.header.len(), of_version_1(&header.addresses)),
            HeaderResult::V2(Ok(header)) => (header.len(), of_version_2(&header)),
            HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a header of the PROXY protocol that is none"));
            }
        };
        stream.read_exact(&mut header[..length]).await?;
        return Ok(client);
    }
}

fn may_begin(text: &[u8]) -> bool {
    [VERSION_1, VERSION_2].iter().any(|begin| {
        let length = begin.len().min(text.len());
        text[..length] == begin[..length]
    })
}

/// Whether more bytes could complete the header. The parser takes a line of version 1 that lacks a part for incomplete.
fn may_go_on(text: &[u8]) -> bool {
    let most = if text.starts_with(VERSION_1) { MAX_LINE_BYTES } else { MAX_PROXY_HEADER_BYTES };
    text.len() < most && !(text.starts_with(VERSION_1) && text.windows(2).any(|pair| pair == b"\r\n"))
}

fn of_version_1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(it) => Some(SocketAddr::from((it.source_address, it.source_port))),
        v1::Addresses::Tcp6(it) => Some(SocketAddr::from((it.source_address, it.source_port))),
        v1::Addresses::Unknown => None,
    }
}

fn of_version_2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    // `LOCAL`: the peer asks for itself, as for a health check.
    if header.command == v2::Command::Local {
        return None;
    }
    match &header.addresses {
        v2::Addresses::IPv4(it) => Some(SocketAddr::from((it.source_address, it.source_port))),
        v2::Addresses::IPv6(it) => Some(SocketAddr::from((it.source_address, it.source_port))),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}
