//! What a proxy does to headers: it refuses what is ambiguous, and removes what is meant for one hop (RFC 9110 section
//! 7.6, RFC 9112). `forwarded` says for whom it asks.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri, Version, request, response};

use super::forwarded::{Peer, speaks_of_client};
use super::host::is_host;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// A request that is not passed on, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str);

impl Refusal {
    /// Whether it is unknown where the next request begins on this connection.
    pub(super) fn is_unreadable(&self) -> bool {
        matches!(self.0, StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED)
    }
}

/// What one pass over the headers of a request has found.
#[derive(Debug, Default)]
pub(super) struct HeaderSummary {
    hosts: u8,
    connection: bool,
    keep_alive: bool,
    proxy_connection: bool,
    te: bool,
    trailer: bool,
    transfer_encoding: bool,
    expect: bool,
    upgrade: bool,
    /// There is a header that speaks of the client.
    pub(super) speaks_of_client: bool,
    /// There is a `Cookie` header.
    pub(super) cookie: bool,
}

/// Checks a request, and refuses what two readers could read in two ways.
pub(super) fn check(parts: &request::Parts, both_lengths: bool, allow_trace: bool) -> Result<HeaderSummary, Refusal> {
    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    let mut seen = HeaderSummary::default();
    for (name, value) in &parts.headers {
        match *name {
            header::HOST => seen.hosts = seen.hosts.saturating_add(1),
            header::CONNECTION => seen.connection = true,
            header::TE => seen.te = true,
            header::TRAILER => seen.trailer = true,
            header::EXPECT => seen.expect = true,
            header::UPGRADE => seen.upgrade = true,
            header::FORWARDED => seen.speaks_of_client = true,
            header::COOKIE => seen.cookie = true,
            header::TRANSFER_ENCODING => {
                if seen.transfer_encoding || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal(BAD, "transfer-encoding other than `chunked`"));
                }
                seen.transfer_encoding = true;
            }
            _ => match name.as_str() {
                "keep-alive" => seen.keep_alive = true,
                "proxy-connection" => seen.proxy_connection = true,
                name => seen.speaks_of_client |= speaks_of_client(name),
            },
        }
    }
    if seen.transfer_encoding && (both_lengths || parts.headers.contains_key(header::CONTENT_LENGTH)) {
        return Err(Refusal(BAD, "both content-length and transfer-encoding"));
    }
    if seen.hosts > 1 {
        return Err(Refusal(BAD, "more than one host"));
    }
    if seen.hosts == 0 && parts.version > Version::HTTP_10 {
        return Err(Refusal(BAD, "no host"));
    }
    if parts.headers.get(header::HOST).is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(Refusal(BAD, "a host that is none"));
    }
    match parts.method {
        Method::CONNECT => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "this is no tunnel")),
        Method::TRACE if !allow_trace => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "TRACE is not allowed")),
        _ => Ok(seen),
    }
}

/// Whether a request is for no host at all, as one of HTTP/1.0 may be.
pub(super) fn is_for_no_host(parts: &request::Parts, seen: &HeaderSummary) -> bool {
    seen.hosts == 0 && !parts.headers.contains_key(header::HOST)
}

/// Makes the request one that can be passed on, and answers with the host that it is for.
pub(super) fn to_origin_form(parts: &mut request::Parts) -> Result<(), Refusal> {
    if parts.uri.scheme().is_none() && parts.uri.authority().is_none() {
        return Ok(());
    }
    // The absolute form: its authority counts, whatever the host header says (RFC 9112, 3.2.2).
    let bad = Refusal(StatusCode::BAD_REQUEST, "a target that is no path");
    let authority = parts.uri.authority().ok_or(bad)?;
    if authority.as_str().contains('@') {
        return Err(bad);
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad)?;
    let path = parts.uri.path_and_query().cloned().ok_or(bad)?;
    parts.headers.insert(header::HOST, host);
    parts.uri = Uri::from(path);
    Ok(())
}

/// The protocol that the client wants to change to.
pub(super) fn wanted_upgrade(parts: &request::Parts, seen: &HeaderSummary) -> Option<HeaderValue> {
    if !seen.upgrade || parts.version < Version::HTTP_11 || !has_token(&parts.headers, "upgrade") {
        return None;
    }
    let wanted = parts.headers.get(header::UPGRADE)?;
    // With HTTP/2 in the clear, requests would bypass the gateway.
    (!wanted.as_bytes().to_ascii_lowercase().starts_with(b"h2")).then(|| wanted.clone())
}

/// Whether the client asks before it sends the body.
pub(super) fn asks_first(parts: &request::Parts, seen: &HeaderSummary) -> bool {
    seen.expect && parts.version > Version::HTTP_10 && expects_continue(&parts.headers)
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

/// Takes out what `Connection` names.
fn remove_named(headers: &mut HeaderMap) {
    let mut named: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for part in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            // The usual ones are not headers, or are taken out anyway.
            if [b"close".as_slice(), b"keep-alive", b"upgrade", b"te"]
                .iter()
                .any(|usual| part.eq_ignore_ascii_case(usual))
            {
                continue;
            }
            // Without these it would be a different request.
            named.extend(
                HeaderName::from_bytes(part)
                    .ok()
                    .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH),
            );
        }
    }
    for name in named {
        headers.remove(name);
    }
}

/// Removes from a request what was meant for the gateway alone, and adds what the instance has to know.
pub(super) fn pass_request(
    parts: &mut request::Parts,
    seen: &HeaderSummary,
    upgrade: Option<HeaderValue>,
    peer: &mut Peer,
) {
    let headers = &mut parts.headers;
    if seen.connection {
        remove_named(headers);
        headers.remove(header::CONNECTION);
    }
    for (there, name) in [
        (seen.keep_alive, KEEP_ALIVE),
        (seen.proxy_connection, PROXY_CONNECTION),
        (seen.te, header::TE),
        (seen.trailer, header::TRAILER),
        (seen.transfer_encoding, header::TRANSFER_ENCODING),
        (seen.upgrade, header::UPGRADE),
        // Whoever sends the body says it again. Other expectations are the instance's business.
        (seen.expect && expects_continue(headers), header::EXPECT),
    ] {
        if there {
            headers.remove(name);
        }
    }
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade);
    }
    peer.introduce(headers, seen.speaks_of_client);
    parts.version = Version::HTTP_11;
}

/// Removes from a response what was meant for the gateway alone.
pub(super) fn pass_response(parts: &mut response::Parts) {
    let upgrade = if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        parts.headers.get(header::UPGRADE).cloned()
    } else {
        None
    };
    let headers = &mut parts.headers;
    let (mut connection, mut keep_alive, mut proxy_connection) = (false, false, false);
    let (mut te, mut trailer, mut transfer_encoding, mut upgraded) = (false, false, false, false);
    for name in headers.keys() {
        match *name {
            header::CONNECTION => connection = true,
            header::TE => te = true,
            header::TRAILER => trailer = true,
            header::TRANSFER_ENCODING => transfer_encoding = true,
            header::UPGRADE => upgraded = true,
            _ => match name.as_str() {
                "keep-alive" => keep_alive = true,
                "proxy-connection" => proxy_connection = true,
                _ => {}
            },
        }
    }
    if connection {
        remove_named(headers);
    }
    for (there, name) in [
        (connection, header::CONNECTION),
        (keep_alive, KEEP_ALIVE),
        (proxy_connection, PROXY_CONNECTION),
        (te, header::TE),
        (trailer, header::TRAILER),
        (transfer_encoding, header::TRANSFER_ENCODING),
        (upgraded, header::UPGRADE),
    ] {
        if there {
            headers.remove(name);
        }
    }
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade);
    }
    parts.version = Version::HTTP_11;
}
