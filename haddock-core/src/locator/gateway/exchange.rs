//! One request and its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, request};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::body::{ClientBody, wait_for_continue};
use super::connection::Connection;
use super::cookie::{self, Claim};
use super::headers::{self, HeaderSummary, Refusal};
use super::passage::{Answer, Passage, ResponseBody, Terms};
use super::probe;
use super::service::Service;
use super::service_routing::{Placement, Restamp};
use super::tunnel;
use super::upstream::{self, TrafficCounter, Upstream};

/// How long an idle connection of the pool is surely still open. After that, the instance may be about to close it. Then only
/// a request that may be sent twice takes it, and a copy of that request is kept.
const SURELY_OPEN_LIMIT: Duration = Duration::from_millis(100);

/// Pauses between two attempts to reach the instance of a session: each is twice as long as the one before.
const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(20);
const MAX_RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Serves a request.
pub(super) async fn serve(connection: Arc<Connection>, request: Request<Incoming>) -> Answer {
    connection.watch.serve(!request.body().is_end_stream());
    let mut response = match exchange(&connection, request).await {
        Ok(response) => response,
        Err(refusal) => {
            connection.watch.rest(connection.now());
            if refusal.is_unreadable() {
                connection.watch.leave_unread();
            }
            refuse(refusal)
        }
    };
    // What the client still sends is not read as a request, so it has to know that this connection takes no more.
    if connection.watch.has_unread() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn refuse(Refusal(status, why): Refusal) -> Response<ResponseBody> {
    let text = format!("{}: {why}\n", status.as_u16());
    let mut response = Response::new(ResponseBody::Text(Some(Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

const NO_INSTANCE: Refusal = Refusal(StatusCode::SERVICE_UNAVAILABLE, "no instance takes new sessions");
const TOO_MANY_WAITING: Refusal = Refusal(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait for the instance");
const NO_ANSWER: Refusal = Refusal(StatusCode::BAD_GATEWAY, "the instance did not answer");
const NOT_REACHED: Refusal = Refusal(StatusCode::BAD_GATEWAY, "the instance cannot be reached");

async fn exchange(connection: &Arc<Connection>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Refusal> {
    let (mut parts, incoming) = request.into_parts();
    let allow_trace = connection.worker.shared.allow_trace;
    let seen = headers::check(&parts, connection.watch.both_lengths(), allow_trace)?;
    headers::to_origin_form(&mut parts)?;
    let no_host = headers::is_for_no_host(&parts, &seen);
    let service = connection.service(parts.headers.get(header::HOST));
    let https = connection.came_by_https(&parts.headers, &seen);
    if connection.worker.shared.probe_words.is_armed()
        && let Some(answer) = probe::answer(connection, &parts, &seen, service.as_ref(), https)
    {
        return Ok(answer);
    }
    let service = service.ok_or(NO_INSTANCE)?;

    let (passage, ours) = enter(connection, &service, &parts, &seen).await?;
    if seen.cookie && ours {
        strip_cookie(&mut parts.headers, &service.cookie);
    }
    let upgrade = headers::wanted_upgrade(&parts, &seen);
    let asks_first = headers::asks_first(&parts, &seen) && !incoming.is_end_stream();
    let client_side = if upgrade.is_some() { parts.extensions.remove::<OnUpgrade>() } else { None };
    connection.pass_request(&mut parts, &seen, upgrade);

    let mut request = Request::from_parts(parts, ClientBody::new(incoming, &connection.watch));
    if asks_first {
        request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        wait_for_continue(&mut request);
    }
    let (response, mut passage) = send(connection, passage, request, no_host).await?;
    let (mut parts, incoming) = response.into_parts();
    let upgraded = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    passage.answered(parts.status, &parts.headers);
    if upgraded && client_side.is_none() {
        passage.lose();
        return Err(Refusal(StatusCode::BAD_GATEWAY, "the instance changed the protocol unasked"));
    }
    headers::pass_response(&mut parts);
    if passage.placement.session.is_some() {
        set_cookie(&mut passage, &mut parts.headers, https);
    }
    if let Some(client_side) = client_side.filter(|_| upgraded) {
        let instance_side = parts.extensions.remove::<OnUpgrade>();
        passage.upgrade();
        connection.watch.upgrade();
        tokio::spawn(tunnel::carry_both(client_side, instance_side, passage));
        return Ok(Response::from_parts(parts, ResponseBody::Text(None)));
    }
    Ok(Response::from_parts(parts, ResponseBody::stream(incoming, passage)))
}

/// Places the request. Answers whether it has a cookie of our name, which the instance must not see. Without such a
/// cookie, the client may have a session from before its instance was adopted.
async fn enter(
    connection: &Arc<Connection>,
    service: &Arc<Service>,
    parts: &request::Parts,
    seen: &HeaderSummary,
) -> Result<(Passage, bool), Refusal> {
    let mut claim: Option<Claim<'_>> = None;
    let mut ours = false;
    if seen.cookie {
        for header in parts.headers.get_all(header::COOKIE) {
            for value in cookie::values(header.as_bytes(), &service.cookie) {
                ours = true;
                // A client has two cookies after the cookie's path or domain was changed. The newer stamp counts.
                claim = service.sealer.open(value).into_iter().chain(claim).max_by_key(|claim| claim.stamp);
            }
        }
    }
    loop {
        if let Some(placed) = place(connection, service, parts, claim, seen.cookie && !ours) {
            let (placement, terms) = placed.ok_or(NO_INSTANCE)?;
            let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
            return Ok((Passage::new(Arc::clone(connection), Arc::clone(service), placement, terms, path), ours));
        }
        if !service.wait(claim.as_ref(), connection.limits().held).await {
            return Err(TOO_MANY_WAITING);
        }
    }
}

/// Decides where the request goes. The outer `None`: it has to wait. The inner one: there is no instance for it.
fn place(
    connection: &Connection,
    service: &Service,
    parts: &request::Parts,
    claim: Option<Claim<'_>>,
    foreign: bool,
) -> Option<Option<(Placement, Terms)>> {
    let now = connection.now();
    let path = parts.uri.path();
    let mut routing = service.routing();
    if routing.held(claim.as_ref(), now).is_some() {
        return None;
    }
    let adopted = if foreign { routing.place_foreign(|name| carries(&parts.headers, name), path, now) } else { None };
    let placement = adopted.or_else(|| routing.place(claim, path, &[], now));
    Some(placement.map(|placement| (placement, Terms { rules: routing.rules(), began: now })))
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

/// Gives the client a cookie if it has none, or if the stamp of its cookie has passed.
fn set_cookie(passage: &mut Passage, headers: &mut HeaderMap, https: bool) {
    let now = passage.connection.now();
    let restamp = passage.service.routing().restamp(&mut passage.placement, now);
    let Some(Restamp { instance, stamp, attributes }) = restamp else { return };
    let Some(session) = passage.placement.session else { return };
    let mut text = Vec::with_capacity(160);
    text.extend_from_slice(&passage.service.cookie);
    text.push(b'=');
    passage.service.sealer.seal(Claim { session: session.id, stamp, instance: instance.as_str() }, &mut text);
    text.extend_from_slice(attributes.for_client(https));
    let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) else { return };
    headers.append(header::SET_COOKIE, value);
    // No cache may give this response to another client: they would share the session.
    let is_private = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        [b"private".as_slice(), b"no-store"].iter().any(|word| value.windows(word.len()).any(|part| part == *word))
    });
    if !is_private {
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// Sends the request to its instance, and to another one as long as that is allowed.
async fn send(
    connection: &Arc<Connection>,
    mut passage: Passage,
    mut request: Request<ClientBody>,
    no_host: bool,
) -> Result<(Response<Incoming>, Passage), Refusal> {
    let limits = connection.limits();
    let mut tried = Vec::new();
    let mut fresh = false;
    let mut pause = FIRST_RETRY_PAUSE;
    let mut waited = Duration::ZERO;
    loop {
        let address = passage.placement.address;
        if no_host {
            // It goes out as HTTP/1.1, which needs a host (RFC 9112, 3.2): the instance's address.
            let host = HeaderValue::try_from(address.to_string()).unwrap_or(HeaderValue::from_static(""));
            request.headers_mut().insert(header::HOST, host);
        }
        // Sending it twice has the effect of once (RFC 9110, 9.2.2), and it has no body that the first attempt would
        // use up.
        let replay = request.method().is_idempotent() && request.body().is_end_stream();
        let pooled = if fresh {
            None
        } else {
            let at_most = if replay { limits.pool_idle } else { SURELY_OPEN_LIMIT };
            connection.worker.pool.take(address, at_most, connection.now())
        };
        let upstream = match pooled {
            Some(upstream) => Ok(upstream),
            None => upstream::connect(address, limits).await,
        };
        match upstream {
            Ok(upstream) => match try_send(connection, passage, request, upstream, replay).await {
                SendResult::Answered(response, passage) => return Ok((response, passage)),
                SendResult::Refused(refusal) => return Err(refusal),
                SendResult::Again(back, again) => {
                    (request, passage) = (again, back);
                    fresh = true;
                    continue;
                }
                SendResult::NotReached(back, again) => (request, passage) = (again, back),
            },
            Err(upstream::Unreachable { after }) => waited += after,
        }
        // It could not be sent, and is still complete.
        fresh = false;
        if passage.placement.is_sticky() {
            // Only its own instance has the session.
            let still_there = passage.service.routing().address(&passage.placement);
            match still_there {
                Some(_) if waited >= limits.retry_within => {
                    passage.not_sent();
                    return Err(NOT_REACHED);
                }
                Some(address) => {
                    crate::time::sleep(pause).await;
                    waited += pause;
                    pause = (pause * 2).min(MAX_RETRY_PAUSE);
                    passage.placement.address = address;
                    continue;
                }
                // An eviction ended the session meanwhile, so this request opens a new one.
                None => {}
            }
        }
        tried.push(passage.placement.instance);
        let service = Arc::clone(&passage.service);
        let path = passage.move_on();
        let (placement, terms) = {
            let (now, mut routing) = (connection.now(), service.routing());
            let placement = routing.place(None, path.path(), &tried, now).ok_or(NOT_REACHED)?;
            (placement, Terms { rules: routing.rules(), began: now })
        };
        passage = Passage::new(Arc::clone(connection), service, placement, terms, path);
    }
}

#[allow(clippy::large_enum_variant, reason = "passed once, from one frame to the next")]
enum SendResult {
    Answered(Response<Incoming>, Passage),
    Refused(Refusal),
    /// The pooled connection was dead. Try again on a new one.
    Again(Passage, Request<ClientBody>),
    /// Nothing of it was sent.
    NotReached(Passage, Request<ClientBody>),
}

async fn try_send(
    connection: &Arc<Connection>,
    mut passage: Passage,
    request: Request<ClientBody>,
    mut upstream: Upstream,
    replay: bool,
) -> SendResult {
    let reused = upstream.idle_since.is_some();
    let address = upstream.address;
    let long_idle = upstream.idle_since.is_some_and(|since| connection.now().since(since) > SURELY_OPEN_LIMIT);
    let copy = (long_idle && replay).then(|| head_of(&request));
    let moved = upstream.traffic();
    match unless_silent(connection, &moved, upstream.sender.try_send_request(request)).await {
        Some(Ok(response)) => {
            passage.upstream = Some(upstream);
            SendResult::Answered(response, passage)
        }
        Some(Err(mut error)) => {
            if reused {
                connection.worker.pool.forget(address);
            }
            match error.take_message() {
                Some(request) if reused => SendResult::Again(passage, request),
                Some(request) => SendResult::NotReached(passage, request),
                None => {
                    let error = error.into_error();
                    tracing::debug!(%address, %error, "no response");
                    if error.is_user() {
                        return SendResult::Refused(Refusal(StatusCode::BAD_REQUEST, "a body that cannot be read"));
                    }
                    // An answer that cannot be read is an answer, too: the request is not sent again.
                    if let Some(request) = copy.filter(|_| !error.is_parse()) {
                        return SendResult::Again(passage, request);
                    }
                    passage.lose();
                    SendResult::Refused(NO_ANSWER)
                }
            }
        }
        None => {
            passage.lose();
            SendResult::Refused(Refusal(StatusCode::GATEWAY_TIMEOUT, "the instance took too long"))
        }
    }
}

/// Waits for an answer. `None` if nothing went over the instance's connection, either way, for as long as it may be
/// silent. Time spent waiting for the client does not count.
async fn unless_silent<A>(
    connection: &Connection,
    moved: &TrafficCounter,
    answer: impl Future<Output = A>,
) -> Option<A> {
    let limit = connection.limits().answer_within;
    tokio::select! {
        biased;
        answer = answer => Some(answer),
        () = moved.silent_for(limit, || connection.watch.is_waiting_for_body()) => None,
    }
}

/// A copy of the request, without a body.
fn head_of(request: &Request<ClientBody>) -> Request<ClientBody> {
    let mut copy = Request::new(ClientBody::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy
}
