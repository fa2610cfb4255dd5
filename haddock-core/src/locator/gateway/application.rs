//! Sessions that are known by a cookie of the application: what a request brings, and what an answer sets.
//!
//! A session's id is a keyed hash of the cookie's value. So the table of sessions is the same as for the gateway's own
//! cookie. In the mode `prefix`, the client's value also has a [prefix](super::route) that names the instance. It is added
//! to `Set-Cookie`, and taken away from `Cookie`.
//!
//! After the settings have changed, clients still have the cookies of before. So the names of the former cookies are kept,
//! and requests are read for them, too.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::header::{self, Entry, HeaderMap, HeaderValue};

use crate::routing::{ApplicationCookie, CookieMode};
use crate::time::Timestamp;

use super::recognised::Sought;
use super::route::RouteSealer;
use super::set_cookie::{self, Scope, unquoted};

/// Cookies of these names that are looked at in one request. A browser sends one for each path, longest path first.
const MAX_COOKIES: usize = 8;
/// Browsers keep no cookie whose name and value are longer together (RFC 6265bis, 5.6).
const MAX_COOKIE_BYTES: usize = 4096;

/// Answers with other cookies after which it is said that none had the one that was named: probably its name is wrong.
const SUSPICIOUS_ANSWERS: u32 = 200;

/// By which cookies of the application the sessions of a service are known.
#[derive(Debug)]
pub(super) struct SessionCookies {
    /// The names: that of the policy in force first, then the former ones.
    names: Vec<Box<[u8]>>,
    /// How sessions are known now. `None`: by the gateway's own cookie.
    pub(super) mode: Option<CookieMode>,
    /// Answers that set other cookies, as long as none has set the one that is named.
    others: AtomicU32,
}

/// What a request has brought.
#[derive(Debug, Default)]
pub(super) struct Arrived<'a> {
    pub(super) sought: Vec<Sought<'a>>,
    /// The prefixes that the instance must not see.
    pub(super) prefixes: Vec<Prefix>,
}

/// Where a prefix is: in which `Cookie` header, and which of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix {
    header: usize,
    bytes: Range<usize>,
}

/// What an answer does with the client's session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Whether the session that the client had has ended.
    pub(super) ends: bool,
    /// The session that the client has from now on, if the answer names one.
    pub(super) session: Option<u64>,
    /// The values that are set: in which `Set-Cookie` header, and which of its bytes.
    values: Vec<(usize, Range<usize>)>,
}

impl SessionCookies {
    /// `None`: all sessions are known by the gateway's own cookie.
    pub(super) fn of(policy: Option<&ApplicationCookie>, former: &[String]) -> Option<Self> {
        let names: Vec<Box<[u8]>> =
            policy.map(|cookie| &cookie.name).into_iter().chain(former).map(|name| name.as_bytes().into()).collect();
        (!names.is_empty()).then(|| Self { names, mode: policy.map(|cookie| cookie.mode), others: AtomicU32::new(0) })
    }

    /// Whether they say the same.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.names == other.names && self.mode == other.mode
    }

    /// Notes an answer that sets cookies. Answers the name once, when it is time to say that no answer has set it.
    pub(super) fn suspects(&self, given: &Given) -> Option<&str> {
        if *given != Given::default() {
            self.others.store(u32::MAX, Ordering::Relaxed);
            return None;
        }
        let counted = self.others.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |others| {
            (others < SUSPICIOUS_ANSWERS).then(|| others + 1)
        });
        (counted == Ok(SUSPICIOUS_ANSWERS - 1)).then(|| std::str::from_utf8(self.names.first()?).ok()).flatten()
    }

    /// Finds out which sessions a request may belong to.
    pub(super) fn arrived<'a>(&self, routes: &RouteSealer, headers: &'a HeaderMap, path: &'a str) -> Arrived<'a> {
        let mut arrived = Arrived::default();
        for name in &self.names {
            for (header, text) in headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).enumerate() {
                for value in values(text, name).take(MAX_COOKIES - arrived.sought.len()) {
                    let routed = routes.open(&text[value.clone()]);
                    let plain = routed.map_or(&text[value.clone()], |routed| routed.plain);
                    if routed.is_some() {
                        let bytes = value.start..value.end - plain.len();
                        arrived.prefixes.push(Prefix { header, bytes });
                    }
                    if !plain.is_empty() {
                        let instance = routed.map(|routed| routed.instance);
                        arrived.sought.push(Sought { id: routes.id(plain), instance });
                    }
                }
            }
        }
        if arrived.sought.is_empty() {
            // What stands in a path is what the application has written into its pages: never a prefix.
            let found = self.names.iter().find_map(|name| in_path(path.as_bytes(), name));
            arrived.sought.extend(found.map(|value| Sought { id: routes.id(value), instance: None }));
        }
        arrived
    }

    /// Finds out what an answer sets.
    pub(super) fn given(&self, routes: &RouteSealer, headers: &HeaderMap, now: Timestamp) -> Given {
        let mut given = Given::default();
        let Some(name) = self.names.first().filter(|_| self.mode.is_some()) else { return given };
        // The last word on each cookie of the name: those of other paths or domains are other cookies.
        let mut last: Vec<(Scope<'_>, Option<&[u8]>)> = Vec::new();
        for (header, text) in headers.get_all(header::SET_COOKIE).iter().map(HeaderValue::as_bytes).enumerate() {
            let Some(cookie) = set_cookie::read(text, name, now) else { continue };
            let value = (!cookie.deletes).then(|| &text[cookie.value.clone()]);
            if value.is_some() {
                given.values.push((header, cookie.value));
            }
            let before = last.iter().position(|(scope, _)| *scope == cookie.scope).map(|at| last.remove(at));
            // Even if a new value follows: the application has ended the session, and begins another.
            given.ends |= value.is_some() && before.is_some_and(|(_, value)| value.is_none());
            last.push((cookie.scope, value));
        }
        let value = last.iter().rev().find_map(|(_, value)| *value);
        given.ends |= !last.is_empty() && value.is_none();
        given.session = value.map(|value| routes.id(value));
        given
    }

    /// Gives the values that an answer sets a prefix that names this instance.
    pub(super) fn seal(&self, routes: &RouteSealer, headers: &mut HeaderMap, given: &Given, instance: &str) {
        let name = self.names.first().map_or(0, |name| name.len());
        change(headers, header::SET_COOKIE, |header, text| {
            let (_, value) = given.values.iter().find(|(at, _)| *at == header)?;
            let mut longer = text[..value.start].to_vec();
            routes.seal(instance, &text[value.clone()], &mut longer);
            longer.extend_from_slice(&text[value.start..]);
            let prefix = longer.len() - text.len();
            // A browser would drop it. Then the table alone knows the session.
            (name + value.len() + prefix <= MAX_COOKIE_BYTES).then_some(longer)
        });
    }
}

/// Takes the prefixes away.
pub(super) fn take_away(headers: &mut HeaderMap, prefixes: &[Prefix]) {
    if prefixes.is_empty() {
        return;
    }
    change(headers, header::COOKIE, |header, text| {
        let mut cut: Vec<_> = prefixes.iter().filter(|prefix| prefix.header == header).map(|it| &it.bytes).collect();
        cut.sort_by_key(|bytes| bytes.start);
        let (mut rest, mut from) = (Vec::with_capacity(text.len()), 0);
        for bytes in &cut {
            rest.extend_from_slice(&text[from..bytes.start]);
            from = bytes.end;
        }
        rest.extend_from_slice(&text[from..]);
        (!cut.is_empty()).then_some(rest)
    });
}

/// Replaces headers of one name. `None`: this one stays as it is.
fn change(headers: &mut HeaderMap, name: header::HeaderName, new: impl Fn(usize, &[u8]) -> Option<Vec<u8>>) {
    let Entry::Occupied(mut entry) = headers.entry(name) else { return };
    for (at, value) in entry.iter_mut().enumerate() {
        let changed = new(at, value.as_bytes()).map(|text| HeaderValue::from_maybe_shared(Bytes::from(text)));
        if let Some(Ok(changed)) = changed {
            *value = changed;
        }
    }
}

/// Where the values of the cookies called `name` are in one `Cookie` header, without quotes around them.
fn values<'t>(text: &'t [u8], name: &'t [u8]) -> impl Iterator<Item = Range<usize>> + 't {
    let mut next = 0;
    text.split(|byte| *byte == b';').filter_map(move |pair| {
        let (start, end) = (next, next + pair.len());
        next = end + 1;
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..equals].trim_ascii() == name).then(|| unquoted(text, start + equals + 1..end))
    })
}

/// The value that a path has for the cookie: `/shop;jsessionid=5A3C/cart`. The case of the name does not matter.
fn in_path<'t>(path: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let parameters = path.split(|byte| *byte == b'/').flat_map(|segment| segment.split(|byte| *byte == b';').skip(1));
    let named = parameters.filter_map(|parameter| {
        let (key, value) = parameter.split_at_checked(name.len())?;
        let value = value.strip_prefix(b"=")?;
        (key.eq_ignore_ascii_case(name) && !value.is_empty()).then_some(value)
    });
    named.last()
}

#[cfg(test)]
#[path = "application_tests.rs"]
mod tests;
