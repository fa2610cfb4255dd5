//! Why a registry did not do what it was asked for, and the parts of references that engines ask for.

use bollard::errors::Error as BollardError;

use super::error::{answer, translate};
use crate::error::{Error, ErrorKind};

/// Repository and tag or digest. Without either the tag is `latest`: the engine would take every tag there is.
pub(super) fn split(reference: &str) -> (&str, &str) {
    if let Some((repository, digest)) = reference.split_once('@') {
        // `repository:tag@digest`: the digest decides.
        return (without_tag(repository).0, digest);
    }
    let (repository, tag) = without_tag(reference);
    (repository, tag.unwrap_or("latest"))
}

fn without_tag(reference: &str) -> (&str, Option<&str>) {
    match reference.rsplit_once(':') {
        // A slash after the colon: that was the registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (reference, None),
    }
}

/// The registry that a repository is in: the first part, if it looks like a host.
pub(super) fn registry(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

pub(super) fn missing(reference: &str, why: &str) -> Error {
    let message = format!("image `{reference}` is not on the host and not in its registry: {why}");
    Error::new(ErrorKind::ImageMissing, message).with_hint("push it, or check its name and tag")
}

/// Classifies the failure of a pull.
pub(super) fn refused(reference: &str, error: &BollardError) -> Error {
    match said(error) {
        Some(message) => refused_as("did not give", reference, message),
        None => translate(&format!("pull image `{reference}`"), error),
    }
}

/// What the engine said when it refused or failed.
pub(super) fn said(error: &BollardError) -> Option<&str> {
    match error {
        BollardError::DockerStreamError { error } => Some(error),
        error => answer(error).map(|(_, message)| message),
    }
}

/// Classifies a failure by the texts of Docker 20.10 to 29 and of the registries behind it. `not_done`: what the registry
/// did not do with the image.
pub(super) fn refused_as(not_done: &str, reference: &str, message: &str) -> Error {
    let message = message.trim();
    let text = message.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if has(&["manifest unknown", "name unknown", "not found: manifest", "no such image", "no matching manifest"]) {
        return missing(reference, message);
    }
    let host = registry(split(reference).0);
    if has(&["pull access denied", "unauthorized", "denied", "no basic auth", "forbidden", "authentication required"]) {
        let message = format!("registry `{host}` refused image `{reference}`: {message}");
        return Error::new(ErrorKind::RegistryRefused, message)
            .with_hint(format!("check the image's name, or `docker login {host}`"));
    }
    if has(&["server gave http response to https client", "certificate"]) {
        let message = format!("registry `{host}` cannot be trusted: {message}");
        return Error::new(ErrorKind::RegistryRefused, message).with_hint(format!(
            "give the engine the certificate of the registry's authority, as `/etc/docker/certs.d/{host}/ca.crt` on \
                 its machine, or list the registry under `insecure-registries`"
        ));
    }
    if has(&["invalid reference format", "invalid tag", "must be lowercase"]) {
        return Error::new(ErrorKind::InvalidImageReference, format!("`{reference}` is not an image: {message}"));
    }
    if has(&["not found"]) && !has(&["no such host", "lookup "]) {
        return missing(reference, message);
    }
    let unavailable = |hint: &str| {
        let message = format!("registry `{host}` {not_done} image `{reference}`: {message}");
        Error::new(ErrorKind::RegistryUnavailable, message).with_hint(hint)
    };
    if has(&["500 internal server error", "507 insufficient storage"]) {
        // A registry whose disk is full says no more than this.
        return unavailable(
            "the registry itself failed: look into its log, and whether it has space left, then try again",
        );
    }
    // This covers unknown hosts, refused connections, time-outs, 5xx, rate limits, and unknown texts.
    unavailable("check that the registry is up and that the engine's machine reaches it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split() {
        for (reference, repository, tag, host) in [
            ("shop", "shop", "latest", "docker.io"),
            ("team/shop:v1", "team/shop", "v1", "docker.io"),
            ("localhost:5000/shop", "localhost:5000/shop", "latest", "localhost:5000"),
            ("r.local:5000/a/b:v1", "r.local:5000/a/b", "v1", "r.local:5000"),
            ("r.local/a:v1@sha256:00", "r.local/a", "sha256:00", "r.local"),
        ] {
            assert_eq!(split(reference), (repository, tag));
            assert_eq!(registry(repository), host);
        }
    }

    #[test]
    fn failures_of_pulls_are_told_apart() {
        let kind = |message: &str| {
            let error = BollardError::DockerResponseServerError { status_code: 500, message: message.to_owned() };
            refused("r.local:5000/shop:v9", &error).kind()
        };
        for (message, expected) in [
            (
                "manifest for r.local:5000/shop:v9 not found: manifest unknown: manifest unknown",
                ErrorKind::ImageMissing,
            ),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", ErrorKind::ImageMissing),
            (
                "Head \"http://r.local:5000/v2/shop/manifests/v9\": no basic auth credentials",
                ErrorKind::RegistryRefused,
            ),
            ("unauthorized: authentication required", ErrorKind::RegistryRefused),
            (
                "pull access denied for shop, repository does not exist or may require 'docker login': denied",
                ErrorKind::RegistryRefused,
            ),
            (
                "Get \"https://r.local:5000/v2/\": http: server gave HTTP response to HTTPS client",
                ErrorKind::RegistryRefused,
            ),
            (
                "Get \"http://127.0.0.1:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
                ErrorKind::RegistryUnavailable,
            ),
            (
                "Get \"https://r.local/v2/\": dial tcp: lookup r.local on 10.0.0.1:53: no such host",
                ErrorKind::RegistryUnavailable,
            ),
            ("toomanyrequests: You have reached your pull rate limit", ErrorKind::RegistryUnavailable),
            ("received unexpected HTTP status: 503 Service Unavailable", ErrorKind::RegistryUnavailable),
        ] {
            assert_eq!(kind(message), expected, "{message}");
        }
    }
}
