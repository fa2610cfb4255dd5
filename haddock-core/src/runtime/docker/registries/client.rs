//! Requests to one registry. They block.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, AsHeaderName, CONTENT_TYPE, LINK, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, StatusCode};
use serde::Deserialize;
use ureq::tls::{RootCerts, TlsConfig};

use super::super::credentials::Stored;
use super::challenge::Challenge;
use super::trust::{Trust, host, is_loopback};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;

/// How long a registry may take for one answer.
const LIMIT: Duration = Duration::from_secs(60);
/// Manifests and configurations have kilobytes. What is larger is something else.
const MAX_BODY_BYTES: u64 = 16 * 1024 * 1024;
/// The pages of a list of tags: with 1000 tags each, far more than a repository has.
const MAX_PAGES: usize = 1_000;
const TAGS_OF_A_PAGE: usize = 1_000;
const MAX_REDIRECTS: usize = 5;
/// All kinds of images. A registry may change one that is not named here into another one.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json, \
                         application/vnd.docker.distribution.manifest.v2+json";
const DIGEST: &str = "docker-content-digest";

/// A registry, and how it is talked to.
pub(super) struct RegistryClient {
    agent: ureq::Agent,
    registry: String,
    /// Scheme, host and port.
    origin: String,
    stored: Stored,
    /// The credentials that a repository wanted for a method.
    authorizations: Mutex<BTreeMap<(String, Method), String>>,
}

/// What a registry answered.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn digest(&self) -> Option<&str> {
        self.header(DIGEST)
    }
}

/// Why a request got no answer.
enum Failure {
    /// The registry or its certificate cannot be trusted.
    Trust(String),
    Other(String),
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl RegistryClient {
    /// Finds out whether it speaks HTTPS or, where that is allowed, plain HTTP. No credentials are sent for that.
    pub(super) fn find(registry: &str, stored: Stored, trust: &Trust) -> Result<Self> {
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&trust.authorities)).build();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(tls);
        // No proxy reaches a loopback address of this machine.
        let config = if trust.is_loopback { config.proxy(None) } else { config };
        let agent: ureq::Agent = config.build().into();
        let client = |scheme: &str| Self {
            agent: agent.clone(),
            registry: registry.to_owned(),
            origin: format!("{scheme}://{registry}"),
            stored: Stored::default(),
            authorizations: Mutex::default(),
        };
        let ping = |client: &Self| client.send(&Method::GET, &format!("{}/v2/", client.origin), None);
        // A server with TLS answers a plain request with 400, or not at all.
        let is_plain = || ping(&client("http")).is_ok_and(|answer| answer.status != StatusCode::BAD_REQUEST);
        // On loopback nobody listens, and a server without TLS may wait for the rest of a request that it cannot read.
        if trust.is_loopback && is_plain() {
            return Ok(Self { stored, ..client("http") });
        }
        let secure = client("https");
        let client = match ping(&secure) {
            Ok(_) => secure,
            Err(_) if trust.may_be_plain && !trust.is_loopback && is_plain() => client("http"),
            Err(failure) => return Err(secure.failed(failure)),
        };
        Ok(Self { stored, ..client })
    }

    pub(super) fn tags(&self, repository: &ImageReference) -> Result<Vec<String>> {
        let name = repository.repository();
        let mut url = format!("{}/v2/{name}/tags/list?n={TAGS_OF_A_PAGE}", self.origin);
        let mut tags = Vec::new();
        for _ in 0..MAX_PAGES {
            let answer = self.call(&Method::GET, name, &url)?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(tags);
            }
            let page: Tags = self.read(&self.good(&answer)?.body, "its list of tags")?;
            tags.extend(page.tags.into_iter().flatten());
            let Some(next) = answer.header(LINK).and_then(next_page) else { return Ok(tags) };
            url = resolved(&url, next)
                .filter(|next| origin(next) == Some(self.origin.as_str()))
                .ok_or_else(|| self.odd(&format!("the next page of its tags is elsewhere: `{next}`")))?;
        }
        Err(self.odd("its list of tags does not end"))
    }

    pub(super) fn digest(&self, image: &ImageReference) -> Result<Option<String>> {
        let answer = self.call(&Method::HEAD, image.repository(), &self.manifest_url(image))?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = self.good(&answer)?;
        let digest = answer.digest().map(str::to_owned);
        digest.map(Some).ok_or_else(|| self.odd(&format!("it does not tell the digest of `{image}`")))
    }

    /// The manifest of this digest, or of this tag.
    pub(super) fn manifest(&self, image: &ImageReference) -> Result<Option<Answer>> {
        self.get(image, &self.manifest_url(image))
    }

    /// A part of an image.
    pub(super) fn blob(&self, image: &ImageReference, digest: &str) -> Result<Option<Answer>> {
        self.get(image, &format!("{}/v2/{}/blobs/{digest}", self.origin, image.repository()))
    }

    pub(super) fn delete(&self, image: &ImageReference) -> Result<()> {
        if image.digest().is_none() {
            return Err(Error::new(ErrorKind::NotSupported, format!("`{image}` has no digest to delete it by")));
        }
        let answer = self.call(&Method::DELETE, image.repository(), &self.manifest_url(image))?;
        let is_unsupported = answer.status == StatusCode::METHOD_NOT_ALLOWED
            || (answer.status == StatusCode::BAD_REQUEST
                && String::from_utf8_lossy(&answer.body).contains("UNSUPPORTED"));
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            _ if is_unsupported => {
                let message = format!("registry `{}` does not allow that images are deleted", self.registry);
                Err(Error::new(ErrorKind::NotSupported, message).with_hint(
                    "allow it, and restart the registry: `storage: { delete: { enabled: true } }` in its `config.yml`, or \
                     `REGISTRY_STORAGE_DELETE_ENABLED=true`",
                ))
            }
            _ => self.good(&answer).map(drop),
        }
    }

    fn manifest_url(&self, image: &ImageReference) -> String {
        let by = image.digest().or(image.tag()).unwrap_or("latest");
        format!("{}/v2/{}/manifests/{by}", self.origin, image.repository())
    }

    fn get(&self, image: &ImageReference, url: &str) -> Result<Option<Answer>> {
        let answer = self.call(&Method::GET, image.repository(), url)?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.good(&answer)?;
        Ok(Some(answer))
    }

    /// Reads JSON of the registry.
    pub(super) fn read<'b, T: Deserialize<'b>>(&self, body: &'b [u8], what: &str) -> Result<T> {
        serde_json::from_slice(body).map_err(|_| self.odd(&format!("{what} cannot be understood")))
    }

    /// Asks, with credentials if it wants some.
    fn call(&self, method: &Method, repository: &str, url: &str) -> Result<Answer> {
        let key = (repository.to_owned(), method.clone());
        let known = self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let answer = self.follow(method, url, known.as_deref())?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // None was sent, or a token that is too old.
        let challenges = answer.headers.get_all(WWW_AUTHENTICATE);
        let challenge = Challenge::read(challenges.iter().filter_map(|header| header.to_str().ok()));
        let Some(wanted) = self.authorization(challenge)?.filter(|wanted| Some(wanted) != known.as_ref()) else {
            return Ok(answer);
        };
        let answer = self.follow(method, url, Some(&wanted))?;
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).insert(key, wanted);
        Ok(answer)
    }

    /// Asks, and follows redirects. Only this registry gets the credentials.
    fn follow(&self, method: &Method, url: &str, authorization: Option<&str>) -> Result<Answer> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let ours = authorization.filter(|_| origin(&url) == Some(self.origin.as_str()));
            let answer = self.send(method, &url, ours).map_err(|failure| self.failed(failure))?;
            let is_redirect = answer.status.is_redirection() && *method != Method::DELETE;
            let Some(next) = answer.header(LOCATION).filter(|_| is_redirect) else { return Ok(answer) };
            let next = resolved(&url, next);
            let is_safe = |next: &String| next.starts_with("https://") || url.starts_with("http://");
            url = next.filter(is_safe).ok_or_else(|| self.odd("it redirects to somewhere that is not safe"))?;
        }
        Err(self.odd("it redirects too often"))
    }

    fn send(&self, method: &Method, url: &str, authorization: Option<&str>) -> std::result::Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(url).header(ACCEPT, MANIFESTS);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(()).map_err(|_| Failure::Other("its address is not valid".to_owned()))?;
        self.run(request)
    }

    fn run(&self, request: Request<impl ureq::AsSendBody>) -> std::result::Result<Answer, Failure> {
        let (head, mut body) = self.agent.run(request).map_err(why)?.into_parts();
        let body = body.with_config().limit(MAX_BODY_BYTES).read_to_vec().map_err(why)?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// The header that answers a challenge, if there are credentials for it.
    fn authorization(&self, challenge: Option<Challenge>) -> Result<Option<String>> {
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(self.basic()),
            Some(Challenge::Token { realm, service, scope }) => self.token(&realm, service, scope).map(Some),
        }
    }

    fn basic(&self) -> Option<String> {
        let stored = self.stored.credentials.as_ref()?;
        let (name, password) = (stored.username.as_ref()?, stored.password.as_ref()?);
        Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
    }

    /// A token of the server that the registry names.
    fn token(&self, realm: &str, service: Option<String>, scope: Option<String>) -> Result<String> {
        // The registry chooses who gets the password: nobody may read it on the way, as nobody may on the way to itself.
        let is_plain = self.origin.starts_with("http://")
            && realm_host(realm).is_some_and(|it| is_loopback(it) || host(it) == host(&self.registry));
        if !realm.starts_with("https://") && !is_plain {
            return Err(self.odd("it wants a token of a server that is not safe"));
        }
        let mut fields = vec![("client_id", "haddock".to_owned())];
        fields.extend(service.map(|service| ("service", service)));
        fields.extend(scope.map(|scope| ("scope", scope)));
        let identity = self.stored.credentials.as_ref().and_then(|stored| stored.identitytoken.clone());
        let asked = if let Some(identity) = identity {
            fields.extend([("grant_type", "refresh_token".to_owned()), ("refresh_token", identity)]);
            let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
            let request = Request::post(realm).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            request.body(form.join("&")).map(|request| self.run(request))
        } else {
            let query: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
            let joint = if realm.contains('?') { '&' } else { '?' };
            let mut request = Request::get(format!("{realm}{joint}{}", query.join("&")));
            if let Some(basic) = self.basic() {
                request = request.header(AUTHORIZATION, basic);
            }
            request.body(()).map(|request| self.run(request))
        };
        let answer = asked.map_err(|_| self.odd("the address of its tokens is not valid"))?;
        let answer = answer.map_err(|failure| self.failed(failure))?;
        let token: Token = self.read(&self.good(&answer)?.body, "its token")?;
        let token = token.token.or(token.access_token).ok_or_else(|| self.odd("its token is missing"))?;
        Ok(format!("Bearer {token}"))
    }

    /// The answer, if it is a good one.
    fn good<'a>(&self, answer: &'a Answer) -> Result<&'a Answer> {
        let registry = &self.registry;
        match answer.status {
            status if status.is_success() => Ok(answer),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let message = format!("registry `{registry}` refused it: {status}");
                let hint = format!("`docker login {registry}`, as a user who may read, and delete if that is wanted");
                Err(self.stored.explain(Error::new(ErrorKind::RegistryRefused, message).with_hint(hint)))
            }
            status => {
                let message = format!("registry `{registry}` answered {status}");
                Err(Error::new(ErrorKind::RegistryUnavailable, message).with_hint("look into its log, then try again"))
            }
        }
    }

    fn failed(&self, failure: Failure) -> Error {
        let registry = &self.registry;
        match failure {
            Failure::Trust(why) => Error::new(
                ErrorKind::RegistryRefused,
                format!("registry `{registry}` cannot be trusted: {why}"),
            )
            .with_hint(format!(
                "put the certificate of its authority at `/etc/docker/certs.d/{registry}/ca.crt` of this machine; \
                         if it speaks plain HTTP, list it under the engine's `insecure-registries`"
            )),
            Failure::Other(why) => {
                let message = format!("registry `{registry}` does not answer: {why}");
                Error::new(ErrorKind::RegistryUnavailable, message)
                    .with_hint("check that it is up and that this machine reaches it")
            }
        }
    }

    /// It does something that registries do not do.
    pub(super) fn odd(&self, what: &str) -> Error {
        let message = format!("registry `{}` is not understood: {what}", self.registry);
        Error::new(ErrorKind::RegistryUnavailable, message).with_hint("is that the address of a registry?")
    }
}

/// Without credentials.
impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryClient").field("origin", &self.origin).finish_non_exhaustive()
    }
}

fn why(error: ureq::Error) -> Failure {
    Failure::Other(match error {
        ureq::Error::Tls(why) => return Failure::Trust(why.to_owned()),
        ureq::Error::Rustls(error) => return Failure::Trust(error.to_string()),
        // A failed handshake comes as an error of the connection.
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            return Failure::Trust(error.to_string());
        }
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::HostNotFound => "its host is not found".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be connected to".to_owned(),
        ureq::Error::Timeout(_) => format!("no answer within {} s", LIMIT.as_secs()),
        ureq::Error::BodyExceedsLimit(_) => "its answer is too large".to_owned(),
        // Other errors may contain an address with a token.
        _ => "it cannot be reached".to_owned(),
    })
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> Option<&str> {
    let after_scheme = url.find("://")? + 3;
    let end = url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |end| after_scheme + end);
    Some(&url[..end])
}

/// Host and port of a server of tokens without TLS.
fn realm_host(realm: &str) -> Option<&str> {
    origin(realm)?.strip_prefix("http://")
}

/// Where a link leads that stands at this URL. Only whole ones and those that begin with a slash are understood.
fn resolved(at: &str, link: &str) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("http://") {
        return Some(link.to_owned());
    }
    (link.starts_with('/') && !link.starts_with("//")).then(|| Some(format!("{}{link}", origin(at)?)))?
}

/// `<address>; rel="next"`.
fn next_page(link: &str) -> Option<&str> {
    let (address, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
    relation.to_ascii_lowercase().replace('"', "").contains("rel=next").then_some(address)
}

/// As a value in a query or a form.
fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_and_origins_compared_whole() {
        assert_eq!(origin("https://r.local:5000/v2/a?n=1"), Some("https://r.local:5000"));
        assert_ne!(origin("https://r.local.evil.example/"), Some("https://r.local"));
        assert_eq!(origin("https://r.local@evil.example/"), Some("https://r.local@evil.example"));
        let at = "http://r.local/v2/a/tags/list";
        assert_eq!(resolved(at, "/v2/a?last=b").as_deref(), Some("http://r.local/v2/a?last=b"));
        assert_eq!(resolved(at, "https://s3.local/x").as_deref(), Some("https://s3.local/x"));
        assert_eq!((resolved(at, "//evil.example/"), resolved(at, "ftp://a/")), (None, None));
        assert_eq!(next_page("</v2/a/tags/list?last=b&n=1>; rel=\"next\""), Some("/v2/a/tags/list?last=b&n=1"));
        assert_eq!(next_page("</v2/a>; rel=\"prev\""), None);
        assert_eq!(encoded("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
    }
}
