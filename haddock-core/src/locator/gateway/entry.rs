//! How a request is placed: by the cookies that it brings.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{StatusCode, request};

use super::application::{self, Prefix, SessionCookies};
use super::client_cookie::{self, Who};
use super::connection::Connection;
use super::cookie;
use super::headers::{HeaderSummary, Refusal};
use super::passage::{Passage, Terms};
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

/// Places the request. Without a cookie of ours, the client may have a session from before its instance was adopted.
pub(super) async fn enter(
    connection: &Arc<Connection>,
    service: &Arc<Service>,
    parts: &request::Parts,
    seen: &HeaderSummary,
) -> Result<(Passage, Hidden), Refusal> {
    let (mut by, mut hidden) = (Recognised::default(), Hidden::default());
    if seen.cookie {
        for header in parts.headers.get_all(header::COOKIE) {
            hidden.client |= client_cookie::may_be_in(header.as_bytes());
            for value in cookie::values(header.as_bytes(), &service.cookie) {
                hidden.own = true;
                // A client has two cookies after the cookie's path or domain was changed. The newer stamp counts.
                by.own = service.sealer.open(value).into_iter().chain(by.own).max_by_key(|claim| claim.stamp);
            }
        }
    }
    if service.is_by_client() {
        by.who = Some(Who::Comes { headers: &parts.headers, sealer: &service.clients });
    }
    let cookies = service.cookies();
    let mut foreign = seen.cookie && !hidden.own;
    if let Some(cookies) = &cookies {
        let arrived = cookies.arrived(&service.routes, &parts.headers, parts.uri.path());
        (by.sought, by.by_application) = (arrived.sought, cookies.mode.is_some());
        // A prefix is ours, too: where it leads nowhere any more, the client is new.
        foreign &= arrived.prefixes.is_empty();
        hidden.prefixes = arrived.prefixes;
    }
    loop {
        if let Some(placed) = place(connection, service, parts, &by, cookies.as_ref(), foreign) {
            let (placement, terms) = placed.ok_or(NO_INSTANCE)?;
            let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
            return Ok((Passage::new(Arc::clone(connection), Arc::clone(service), placement, terms, path), hidden));
        }
        if !service.wait(&by, connection.limits().held).await {
            return Err(TOO_MANY_WAITING);
        }
    }
}

/// Decides where the request goes. The outer `None`: it has to wait. The inner one: there is no instance for it.
fn place(
    connection: &Connection,
    service: &Service,
    parts: &request::Parts,
    by: &Recognised<'_>,
    cookies: Option<&Arc<SessionCookies>>,
    foreign: bool,
) -> Option<Option<(Placement, Terms)>> {
    let now = connection.now();
    let path = parts.uri.path();
    let mut routing = service.routing();
    if routing.held(by, now).is_some() {
        return None;
    }
    let carries = foreign.then_some(|name: Option<&str>| carries(&parts.headers, name));
    let placement = if cookies.is_some() {
        routing.place_recognised(by, carries, path, now)
    } else {
        let adopted = carries.and_then(|carries| routing.place_foreign(carries, path, now));
        adopted.or_else(|| routing.follow_or_place(by, path, now))
    };
    let terms = |rules| Terms { rules, began: now, cookies: cookies.map(Arc::clone) };
    Some(placement.map(|placement| (placement, terms(routing.rules()))))
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
