//! Who may call the admin API.
//!
//! On the loopback it needs no token. A web page must not make a browser on the same machine call it. So a call that
//! changes something has to be `application/json`, and its host an address or `localhost`.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, StatusCode, request};
use tokio_rustls::TlsAcceptor;

use crate::error::{Error, ErrorKind, Result};
use crate::locator::gateway::config::GatewayBuilder;
use crate::locator::gateway::key::read_token;
use crate::locator::gateway::tls::Certificates;

/// What a caller has to have.
pub(in crate::locator::gateway) struct Access {
    /// The hash of the token, which is compared in constant time.
    pub(super) token: Option<blake3::Hash>,
    pub(super) tls: Option<AdminTls>,
    /// Whether a caller shows a certificate of its own.
    pub(super) by_certificate: bool,
}

/// How the API speaks https.
pub(super) struct AdminTls {
    pub(super) certificates: Arc<Certificates>,
    pub(super) acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("by_certificate", &self.by_certificate).finish_non_exhaustive()
    }
}

/// What callers of this gateway have to have. Without a token or a certificate the API stays on the loopback.
pub(in crate::locator::gateway) fn access(builder: &GatewayBuilder) -> Result<Access> {
    let token = token(builder)?;
    let tls = match &builder.admin_tls {
        None => None,
        Some(files) => {
            let certificates = Certificates::load(vec![files.clone()])?;
            let acceptor = Arc::clone(&certificates).admin_acceptor(builder.admin_authority.as_deref())?;
            Some(AdminTls { certificates, acceptor })
        }
    };
    Ok(Access { token, tls, by_certificate: builder.admin_authority.is_some() })
}

fn token(builder: &GatewayBuilder) -> Result<Option<blake3::Hash>> {
    let token = match (&builder.token, &builder.token_file) {
        (Some(token), _) => Some(token.0.clone()),
        (None, Some(path)) => Some(read_token(path)?),
        (None, None) => None,
    };
    if let Some(address) = builder.admin
        && token.is_none()
        && builder.admin_authority.is_none()
        && !address.ip().is_loopback()
    {
        let message = format!("the admin API would listen on `{address}` without a token");
        return Err(Error::new(ErrorKind::InvalidValue, message)
            .with_hint("give it a token file, or let it listen on `127.0.0.1`"));
    }
    if let Some(file) = &builder.admin_authority
        && builder.admin_tls.is_none()
    {
        let message = format!("no caller can show a certificate of `{}`: the admin API speaks http", file.display());
        return Err(Error::new(ErrorKind::InvalidValue, message).with_hint("give it a certificate and a key, too"));
    }
    // Kept and compared as a hash, which is compared in constant time.
    Ok(token.map(|token| blake3::hash(token.as_bytes())))
}

/// Whether the caller may call.
pub(super) fn check(access: &Access, parts: &request::Parts) -> Result<(), (StatusCode, Error)> {
    let headers = &parts.headers;
    let refused = |status, message: &str| Err((status, Error::new(ErrorKind::LocatorRefused, message)));
    if let Some(token) = &access.token {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        if given.is_none_or(|given| blake3::hash(given.trim_ascii()) != *token) {
            return refused(StatusCode::UNAUTHORIZED, "the admin API wants another token");
        }
    } else if !access.by_certificate {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !is_local(host) {
            return refused(StatusCode::FORBIDDEN, "the admin API is asked for by address, not by name");
        }
    }
    let kind = headers.get(header::CONTENT_TYPE).map_or(b"".as_slice(), HeaderValue::as_bytes);
    let only_reads = parts.method == Method::GET || parts.method == Method::HEAD;
    if !only_reads && !kind.to_ascii_lowercase().starts_with(b"application/json") {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body has to be `application/json`");
    }
    Ok(())
}

fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for local in ["127.0.0.1:8081", "localhost", "localhost:1", "[::1]:8081", "[::1]", "10.0.0.1"] {
            assert!(is_local(local), "{local}");
        }
        for name in ["", "evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
            assert!(!is_local(name), "{name}");
        }
    }
}
