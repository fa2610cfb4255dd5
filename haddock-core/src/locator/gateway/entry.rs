//! How a request is placed: by the cookies that it brings.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;

use super::application::{self, Prefix, SessionCookies};
use super::client_cookie::{self, Who};
use super::cookie;
use super::headers::Refusal;
use super::placed::{Placed, Terms};
use super::recognised::Recognised;
use super::service::Service;
use super::service_routing::Placement;

pub(super) const NO_INSTANCE: Refusal = Refusal(StatusCode::SERVICE_UNAVAILABLE, "no instance takes new sessions");
const TOO_MANY_WAITING: Refusal = Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait for the instance");

/// What the instance must not see of a request's cookies.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    /// Whether there is a cookie of our name.
    own: bool,
    /// Whether there may be one for clients.
    client: bool,
    prefixes: Vec<Prefix>,
}

impl Hidden {
    pub(super) fn take_away(&self, headers: &mut HeaderMap, service: &Service) {
        // First the prefixes, because our own cookies are counted when it is said where they are.
        application::take_away(headers, &self.prefixes);
        if self.own {
            strip_cookie(headers, &service.cookie);
        }
        if self.client {
            strip_cookie(headers, &service.clients.name);
        }
    }
}

/// A request that is to be placed.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    pub(super) headers: &'a HeaderMap,
    /// Whether it has cookies.
    pub(super) has_cookies: bool,
    pub(super) path: PathAndQuery,
}

/// Places the request. Without a cookie of ours, the client may have a session from before its instance was adopted. It waits
/// as long as its instance is held, if not `most` requests wait already.
pub(super) async fn enter(service: &Arc<Service>, request: Arrival<'_>, most: usize) -> Result<Entered, Refusal> {
    let headers = request.headers;
    let (mut by, mut hidden) = (Recognised::default(), Hidden::default());
    if request.has_cookies {
        for header in headers.get_all(header::COOKIE) {
            hidden.client |= client_cookie::may_be_in(header.as_bytes());
            for value in cookie::values(header.as_bytes(), &service.cookie) {
                hidden.own = true;
                // A client has two cookies after the cookie's path or domain was changed. The newer stamp counts.
                by.own = service.sealer.open(value).into_iter().chain(by.own).max_by_key(|claim| claim.stamp);
            }
        }
    }
    if service.is_by_client() {
        by.who = Some(Who::Comes { headers, sealer: &service.clients });
    }
    let cookies = service.cookies();
    let mut foreign = request.has_cookies && !hidden.own;
    if let Some(cookies) = &cookies {
        let arrived = cookies.arrived(&service.routes, headers, request.path.path());
        (by.sought, by.by_application) = (arrived.sought, cookies.mode.is_some());
        // A prefix is ours, too: where it leads nowhere any more, the client is new.
        foreign &= arrived.prefixes.is_empty();
        hidden.prefixes = arrived.prefixes;
    }
    loop {
        match place(service, &request, &by, cookies.as_ref(), foreign) {
            Place::Found(placed) => {
                let (placement, terms) = placed.ok_or(NO_INSTANCE)?;
                return Ok(Entered::Here(Placed::new(Arc::clone(service), placement, terms, request.path), hidden));
            }
            Place::Given => return Ok(Entered::Given),
            Place::Held => {}
        }
        if !service.wait(&by, most).await {
            return Err(TOO_MANY_WAITING);
        }
    }
}

/// What becomes of a request that has come in.
#[allow(clippy::large_enum_variant, reason = "passed once, from one frame to the next")]
pub(super) enum Entered {
    /// It is placed.
    Here(Placed, Hidden),
    /// Another gateway decides, or is about to.
    Given,
}

/// Where a request goes.
enum Place {
    /// `None`: there is no instance for it.
    Found(Option<(Placement, Terms)>),
    /// Its instance is held.
    Held,
    /// Another gateway decides, or is about to.
    Given,
}

/// Decides where the request goes.
fn place(
    service: &Service,
    request: &Arrival<'_>,
    by: &Recognised<'_>,
    cookies: Option<&Arc<SessionCookies>>,
    foreign: bool,
) -> Place {
    let now = service.now();
    let path = request.path.path();
    let mut routing = service.routing();
    if routing.is_given() {
        return Place::Given;
    }
    if routing.held(by, now).is_some() {
        return Place::Held;
    }
    let carries = foreign.then_some(|name: Option<&str>| carries(request.headers, name));
    let placement = if cookies.is_some() {
        routing.place_recognised(by, carries, path, now)
    } else {
        let adopted = carries.and_then(|carries| routing.place_foreign(carries, path, now));
        adopted.or_else(|| routing.follow_or_place(by, path, now))
    };
    let terms = |rules| Terms { rules, began: now, cookies: cookies.map(Arc::clone) };
    Place::Found(placement.map(|placement| (placement, terms(routing.rules()))))
}

/// Whether the client has a cookie of the application with that name; for `None`, with any name.
fn carries(headers: &HeaderMap, name: Option<&str>) -> bool {
    let mut headers = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    headers.any(|header| match name {
        Some(name) => cookie::values(header, name.as_bytes()).next().is_some(),
        None => cookie::has_foreign(header),
    })
}

fn strip_cookie(headers: &mut HeaderMap, name: &[u8]) {
    let header::Entry::Occupied(entry) = headers.entry(header::COOKIE) else { return };
    let (_, old) = entry.remove_entry_mult();
    let kept: Vec<HeaderValue> = old
        .filter_map(|value| HeaderValue::from_maybe_shared(Bytes::from(cookie::without(value.as_bytes(), name)?)).ok())
        .collect();
    for value in kept {
        headers.append(header::COOKIE, value);
    }
}
