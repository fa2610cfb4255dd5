//! Sends clients that came by http to https.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;

use super::host::is_host;

/// Answers with the same address by https: 308 keeps method and body (RFC 9110, 15.4.9). `port` is that of https.
pub(super) fn answer<B>(request: &Request<B>, port: u16) -> Result<Response<Full<Bytes>>, Infallible> {
    let asked = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let asked = asked.or_else(|| request.headers().get(header::HOST).map(HeaderValue::as_bytes));
    let host = asked.filter(|host| is_host(host)).and_then(|host| std::str::from_utf8(host).ok());
    let location = host.filter(|host| !host.is_empty()).and_then(|host| {
        let name = without_port(host);
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        HeaderValue::try_from(format!("https://{name}{port}{path}")).ok()
    });
    let mut response = Response::new(Full::default());
    match location {
        Some(location) => {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(header::LOCATION, location);
        }
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

/// The host without its port. An address of IPv6 is in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(host: &str, path: &str, port: u16) -> Option<String> {
        let request = Request::builder().uri(path).header(header::HOST, host).body(()).expect("a request");
        let response = answer(&request, port).expect("infallible");
        Some(response.headers().get(header::LOCATION)?.to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn the_same_path_is_asked_for_by_https() {
        for (host, port, expected) in [
            ("shop.example", 443, Some("https://shop.example/a?b=c")),
            ("shop.example:80", 443, Some("https://shop.example/a?b=c")),
            ("shop.example:8080", 8443, Some("https://shop.example:8443/a?b=c")),
            ("[::1]:8080", 8443, Some("https://[::1]:8443/a?b=c")),
            ("[::1]", 443, Some("https://[::1]/a?b=c")),
            ("", 443, None),
            ("a b", 443, None),
        ] {
            assert_eq!(location(host, "/a?b=c", port).as_deref(), expected, "{host}");
        }
    }
}
