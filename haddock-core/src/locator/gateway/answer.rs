//! What an answer does with a client's session: the cookie that it is given, and what the application's cookie says.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};

use super::application::SessionCookies;
use super::cookie::Claim;
use super::passage::Passage;
use super::service_routing::Restamp;
use crate::routing::CookieMode;

/// Gives the client a cookie if it has none, or if the stamp of its cookie has passed.
pub(super) fn set_cookie(passage: &mut Passage, headers: &mut HeaderMap, https: bool) {
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
    // Else they would share the session.
    make_private(headers);
}

/// Gives the client for whom a session was placed a cookie by which it is known again, if it has none or an old one.
pub(super) fn set_client_cookie(passage: &Passage, headers: &mut HeaderMap, https: bool) {
    let Some(client) = passage.placement.client else { return };
    let attributes = passage.service.routing().attributes();
    let given = passage.service.clients.given(&client, attributes.for_client(https), passage.connection.now());
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
pub(super) fn tell_of_drain(passage: &Passage, headers: &mut HeaderMap) {
    let Some(name) = passage.terms.rules.draining() else { return };
    headers.remove(name);
    if passage.service.routing().is_draining(&passage.placement) {
        headers.insert(name, HeaderValue::from_static("true"));
    }
}

/// Lets the client's session begin, go on under another value, or end, as the application's cookie says. Adds the prefix
/// to its value.
pub(super) fn follow_the_application(passage: &mut Passage, cookies: &SessionCookies, headers: &mut HeaderMap) {
    if !headers.contains_key(header::SET_COOKIE) {
        return;
    }
    let now = passage.connection.now();
    let routes = &passage.service.routes;
    let given = cookies.given(routes, headers, now);
    if let Some(cookie) = cookies.suspects(&given) {
        let service = &passage.service.name;
        tracing::warn!(%service, cookie, "answers set cookies, but none this one: no session begins. Is `session.cookie` its name?");
    }
    let instance = {
        let mut routing = passage.service.routing();
        if given.ends {
            routing.end_session(&passage.placement, now);
        }
        given.session.and_then(|id| routing.bind(&mut passage.placement, id, now))
    };
    if let Some(instance) = instance.filter(|_| cookies.mode == Some(CookieMode::Prefix)) {
        cookies.seal(routes, headers, &given, instance.as_str());
    }
}
