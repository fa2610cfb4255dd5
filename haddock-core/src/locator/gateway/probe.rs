//! What a proxy in front makes of requests: a request that the gateway answers itself, with what has arrived.
//!
//! `haddock check --url` asks the admin API for a word, sends it through the proxy, and compares what it sent with what
//! arrived, and what was answered with what came back. For as long as nobody checks, it costs a request one look at a flag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, Version, request};
use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

use super::cookie;
use super::headers::{Seen, wanted_upgrade};
use super::passage::ResponseBody;
use super::service::Service;
use super::worker::Connection;

/// How long a word is good for.
const LASTS: Duration = Duration::from_secs(60);

/// What the query says before the word.
const PARAMETER: &str = "haddock-probe=";

/// The cookie that is sent and set.
const COOKIE: &[u8] = b"haddock-probe";

/// The word that is good now.
#[derive(Debug, Default)]
pub(super) struct Probes {
    armed: AtomicBool,
    current: Mutex<Option<Probe>>,
}

#[derive(Debug)]
struct Probe {
    word: String,
    until: Timestamp,
    /// How many were answered: an answer out of a cache has a number that was there before.
    answered: u64,
}

/// What has arrived.
#[derive(Debug, Serialize)]
struct Arrived {
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

impl Probes {
    /// A word that is good for a minute. The one before is no longer.
    pub(super) fn arm(&self, now: Timestamp) -> Result<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| Error::new(ErrorKind::Io, format!("no random word: {error}")))?;
        let word: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        *self.current() = Some(Probe { word: word.clone(), until: now + LASTS, answered: 0 });
        self.armed.store(true, Ordering::Relaxed);
        Ok(word)
    }

    #[inline]
    pub(super) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// The number of this request, if it has the word.
    fn take(&self, query: Option<&str>, now: Timestamp) -> Option<u64> {
        let mut current = self.current();
        let probe = current.as_mut().filter(|probe| now < probe.until);
        let Some(probe) = probe else {
            self.armed.store(false, Ordering::Relaxed);
            return None;
        };
        let word = query?.split('&').find_map(|pair| pair.strip_prefix(PARAMETER))?;
        if word != probe.word {
            return None;
        }
        probe.answered += 1;
        Some(probe.answered)
    }

    fn current(&self) -> MutexGuard<'_, Option<Probe>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to a request that has the word. It reaches no instance.
pub(super) fn answer(
    connection: &Connection,
    parts: &request::Parts,
    seen: &Seen,
    service: Option<&Arc<Service>>,
    https: bool,
) -> Option<Response<ResponseBody>> {
    let now = connection.now();
    let number = connection.worker.shared.probes.take(parts.uri.query(), now)?;
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
    let arrived = Arrived {
        number,
        peer,
        trusted,
        https,
        version: if parts.version == Version::HTTP_10 { "1.0" } else { "1.1" },
        host: text(header::HOST),
        service: service.map(|service| service.name.to_string()),
        // Others are the client's own business.
        cookies: cookies.filter(|pair| cookie::values(pair.as_bytes(), COOKIE).next().is_some()).collect(),
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
    // As an answer of an instance that opens a session.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    let value = [COOKIE, format!("={number}").as_bytes(), &attributes].concat();
    headers.extend(HeaderValue::from_maybe_shared(Bytes::from(value)).ok().map(|value| (header::SET_COOKIE, value)));
    connection.watch.rest(now);
    Some(response)
}
