//! Shows what a proxy in front does to requests: the gateway itself answers a probe with what has arrived.
//!
//! `haddock check --url` asks the admin API for a word and sends it through the proxy. It compares what it sent with
//! what arrived, and the gateway's answer with what came back. While nobody checks, it costs a request one look at a
//! flag.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, Version, request};
use serde::Serialize;

use super::connection::Connection;
use super::cookie;
use super::headers::{HeaderSummary, wanted_upgrade};
use super::passage::ResponseBody;
use super::service::Service;

/// The cookie that is sent and set.
const PROBE_COOKIE: &[u8] = b"haddock-probe";

/// What has arrived.
#[derive(Debug, Serialize)]
struct ArrivedRequest {
    number: u64,
    /// The address that the connection comes from, and whether it is trusted.
    peer: String,
    trusted: bool,
    /// Whether the client came by https, as a trusted peer says.
    https: bool,
    version: &'static str,
    host: Option<String>,
    service: Option<String>,
    cookies: Vec<String>,
    upgrade: bool,
    forwarded_for: Option<String>,
    forwarded_proto: Option<String>,
    forwarded_host: Option<String>,
    forwarded: Option<String>,
    /// The attributes of the cookie that is set.
    attributes: String,
}

/// The answer to a request that has the word. It reaches no instance.
pub(super) fn answer(
    connection: &Connection,
    parts: &request::Parts,
    seen: &HeaderSummary,
    service: Option<&Arc<Service>>,
    https: bool,
) -> Option<Response<ResponseBody>> {
    let now = connection.now();
    let number = connection.worker.shared.probe_words.take(parts.uri.query(), now)?;
    let text = |name: HeaderName| {
        let lines: Vec<&str> = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    };
    let cookies =
        parts.headers.get_all(header::COOKIE).iter().flat_map(|header| header.as_bytes().split(|b| *b == b';'));
    let cookies = cookies.map(|pair| String::from_utf8_lossy(pair.trim_ascii()).into_owned());
    let attributes = service.map(|service| service.routing().attributes());
    let attributes =
        attributes.map_or(b"; Path=/; HttpOnly".to_vec(), |attributes| attributes.for_client(https).to_vec());
    let (peer, trusted) = connection.peer();
    let arrived = ArrivedRequest {
        number,
        peer,
        trusted,
        https,
        version: if parts.version == Version::HTTP_10 { "1.0" } else { "1.1" },
        host: text(header::HOST),
        service: service.map(|service| service.name.to_string()),
        // Other cookies are not shown: they are the client's own business.
        cookies: cookies.filter(|pair| cookie::values(pair.as_bytes(), PROBE_COOKIE).next().is_some()).collect(),
        upgrade: wanted_upgrade(parts, seen).is_some(),
        forwarded_for: text(HeaderName::from_static("x-forwarded-for")),
        forwarded_proto: text(HeaderName::from_static("x-forwarded-proto")),
        forwarded_host: text(HeaderName::from_static("x-forwarded-host")),
        forwarded: text(header::FORWARDED),
        attributes: String::from_utf8_lossy(&attributes).trim_start_matches("; ").to_owned(),
    };
    let body = serde_json::to_vec(&arrived).ok()?;
    let mut response = Response::new(ResponseBody::Text(Some(Bytes::from(body))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // These are the headers of an answer that opens a session.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    let value = [PROBE_COOKIE, format!("={number}").as_bytes(), &attributes].concat();
    headers.extend(HeaderValue::from_maybe_shared(Bytes::from(value)).ok().map(|value| (header::SET_COOKIE, value)));
    connection.watch.rest(now);
    Some(response)
}
