//! What an answer does with a client's session: the cookie that it is given, and what the application's cookie says.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};

use super::application::SessionCookies;
use super::cookie::Claim;
use super::placed::Placed;
use super::service_routing::Restamp;
use crate::routing::CookieMode;

/// Gives the client a cookie if it has none, or if the stamp of its cookie has passed.
pub(super) fn set_cookie(placed: &mut Placed, headers: &mut HeaderMap, https: bool) {
    let now = placed.now();
    let restamp = placed.service.routing().restamp(&mut placed.placement, now);
    let Some(Restamp { instance, stamp, attributes }) = restamp else { return };
    let Some(session) = placed.placement.session else { return };
    let mut text = Vec::with_capacity(160);
    text.extend_from_slice(&placed.service.cookie);
    text.push(b'=');
    placed.service.sealer.seal(Claim { session: session.id, stamp, instance: instance.as_str() }, &mut text);
    text.extend_from_slice(attributes.for_client(https));
    let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(text)) else { return };
    headers.append(header::SET_COOKIE, value);
    // Else they would share the session.
    make_private(headers);
}

/// Gives the client for whom a session was placed a cookie by which it is known again, if it has none or an old one.
pub(super) fn set_client_cookie(placed: &Placed, headers: &mut HeaderMap, https: bool) {
    let Some(client) = placed.placement.client else { return };
    let attributes = placed.service.routing().attributes();
    let given = placed.service.clients.given(&client, attributes.for_client(https), placed.now());
    let Some(Ok(value)) = given.map(|text| HeaderValue::from_maybe_shared(Bytes::from(text))) else { return };
    headers.append(header::SET_COOKIE, value);
    make_private(headers);
}

/// No cache may give this response, with its cookies, to another client.
fn make_private(headers: &mut HeaderMap) {
    let is_private = headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
        let value = value.as_bytes().to_ascii_lowercase();
        [b"private".as_slice(), b"no-store"].iter().any(|word| value.windows(word.len()).any(|part| part == *word))
    });
    if !is_private {
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// Tells the client that its instance drains, if the settings ask for it. Nobody else can say so: an instance's own header of
/// that name is taken away.
pub(super) fn tell_of_drain(placed: &Placed, headers: &mut HeaderMap) {
    let Some(name) = placed.terms.rules.draining() else { return };
    headers.remove(name);
    if placed.service.routing().is_draining(&placed.placement) {
        headers.insert(name, HeaderValue::from_static("true"));
    }
}

/// Lets the client's session begin, go on under another value, or end, as the application's cookie says. Adds the prefix
/// to its value.
pub(super) fn follow_the_application(placed: &mut Placed, cookies: &SessionCookies, headers: &mut HeaderMap) {
    if !headers.contains_key(header::SET_COOKIE) {
        return;
    }
    let now = placed.now();
    let routes = &placed.service.routes;
    let given = cookies.given(routes, headers, now);
    if let Some(cookie) = cookies.suspects(&given) {
        let service = &placed.service.name;
        tracing::warn!(%service, cookie, "answers set cookies, but none this one: no session begins. Is `session.cookie` its name?");
    }
    let instance = {
        let mut routing = placed.service.routing();
        if given.ends {
            routing.end_session(&placed.placement, now);
        }
        given.session.and_then(|id| routing.bind(&mut placed.placement, id, now))
    };
    if let Some(instance) = instance.filter(|_| cookies.mode == Some(CookieMode::Prefix)) {
        cookies.seal(routes, headers, &given, instance.as_str());
    }
}
