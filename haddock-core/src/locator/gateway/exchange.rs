//! One request and its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::answer;
use super::body::{ClientBody, wait_for_continue};
use super::connection::Connection;
use super::entry::{self, Arrival, Entered, NO_INSTANCE};
use super::headers::{self, Refusal};
use super::http2;
use super::passage::{Answer, Passage, ResponseBody};
use super::probe;
use super::succession;
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
    // The same if another gateway has taken over: the next one goes there.
    if (connection.watch.has_unread() || connection.worker.shared.is_replaced())
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
        && !connection.watch.is_multiplexed()
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(told) = connection.strict_transport() {
        response.headers_mut().entry(header::STRICT_TRANSPORT_SECURITY).or_insert_with(|| told.clone());
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

const NO_ANSWER: Refusal = Refusal(StatusCode::BAD_GATEWAY, "the instance did not answer");
const NOT_REACHED: Refusal = Refusal(StatusCode::BAD_GATEWAY, "the instance cannot be reached");

async fn exchange(connection: &Arc<Connection>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Refusal> {
    let (mut parts, incoming) = request.into_parts();
    if connection.watch.is_multiplexed() {
        http2::to_http1(&mut parts)?;
    }
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

    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let (placed, hidden) = loop {
        let arrival = Arrival { headers: &parts.headers, has_cookies: seen.cookie, path: path.clone() };
        match entry::enter(&service, arrival, connection.limits().held).await? {
            Entered::Here(placed, hidden) => break (placed, hidden),
            Entered::Given => {}
        }
        if let Some(to) = connection.worker.shared.successor().await {
            let asks_first = headers::asks_first(&parts, &seen) && !incoming.is_end_stream();
            return succession::pass_on(connection, parts, incoming, asks_first, &to).await;
        }
    };
    let passage = Passage::new(Arc::clone(connection), placed);
    hidden.take_away(&mut parts.headers, &service);
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
    // First the session, so that it is the session that has failed if the answer is a failure.
    let cookies = passage.placed.terms.cookies.clone().filter(|cookies| cookies.mode.is_some());
    if let Some(cookies) = &cookies {
        answer::follow_the_application(&mut passage.placed, cookies, &mut parts.headers);
    }
    passage.answered(parts.status, &parts.headers);
    if upgraded && client_side.is_none() {
        passage.lose();
        return Err(Refusal(StatusCode::BAD_GATEWAY, "the instance changed the protocol unasked"));
    }
    headers::pass_response(&mut parts);
    answer::tell_of_drain(&passage.placed, &mut parts.headers);
    if cookies.is_none() && passage.placed.placement.session.is_some() {
        answer::set_cookie(&mut passage.placed, &mut parts.headers, https);
    }
    answer::set_client_cookie(&passage.placed, &mut parts.headers, https);
    if let Some(client_side) = client_side.filter(|_| upgraded) {
        let instance_side = parts.extensions.remove::<OnUpgrade>();
        passage.placed.upgrade();
        connection.watch.upgrade();
        tokio::spawn(tunnel::carry_both(client_side, instance_side, passage));
        return Ok(Response::from_parts(parts, ResponseBody::Text(None)));
    }
    Ok(Response::from_parts(parts, ResponseBody::stream(incoming, passage)))
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
        let address = passage.placed.placement.address;
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
        if passage.placed.placement.is_sticky() {
            // Only its own instance has the session.
            let still_there = passage.placed.service.routing().address(&passage.placed.placement);
            match still_there {
                Some(_) if waited >= limits.retry_within => {
                    passage.placed.not_sent();
                    return Err(NOT_REACHED);
                }
                Some(address) => {
                    crate::time::sleep(pause).await;
                    waited += pause;
                    pause = (pause * 2).min(MAX_RETRY_PAUSE);
                    passage.placed.placement.address = address;
                    continue;
                }
                // An eviction ended the session meanwhile, so this request opens a new one.
                None => {}
            }
        }
        tried.push(passage.placed.placement.instance);
        if !passage.elsewhere(&tried) {
            return Err(NOT_REACHED);
        }
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
