//! Images: what is on the host, and what registries have.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::CreateImageOptionsBuilder;

use super::error::{answer, is_missing, translate};
use super::{DockerRuntime, credentials};
use crate::container::{PullOptions, PullWhen};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::{Happening, tell};
use crate::time::{Clock, SystemClock, Timestamp};

/// How long a registry may take until the first layer moves; the transfer itself has no limit.
const RESOLVE: Duration = Duration::from_secs(600);

/// Bytes of an image after which its transfer is told again.
const STEP: u64 = 512 * 1024;

impl DockerRuntime {
    pub(super) async fn pull_image(&self, reference: &str, how: &PullOptions) -> Result<String> {
        let PullOptions { when, platform } = how;
        let platform = platform.as_deref();
        let ask_the_registry_first = !reference.contains('@')
            && match when {
                PullWhen::Refresh => true,
                PullWhen::OlderThan(age) => self.is_older(reference, *age).await?,
                PullWhen::Never | PullWhen::Missing => false,
            };
        if !ask_the_registry_first && let Some(id) = self.local_image(reference, platform).await? {
            return Ok(id);
        }
        if *when == PullWhen::Never {
            let of = platform.map(|platform| format!(" for `{platform}`")).unwrap_or_default();
            let message = format!("image `{reference}`{of} is not on the host, and its `pull_policy` asks no registry");
            return Err(Error::new(ErrorKind::ImageMissing, message)
                .with_hint("build or pull it on the host, or let `pull_policy` be `missing`"));
        }
        let Err(error) = self.fetch(reference, platform).await else {
            let found = self.local_image(reference, platform).await?;
            return found.ok_or_else(|| missing(reference, "it was removed at once, or is for another platform"));
        };
        if error.kind() == ErrorKind::RuntimeUnavailable {
            return Err(error);
        }
        match self.local_image(reference, platform).await? {
            Some(id) => {
                tracing::warn!(image = reference, %error, "the host's own image is taken");
                Ok(id)
            }
            None => Err(error),
        }
    }

    /// Whether an image on the host was taken longer ago than that, or nobody knows when. One that is not there is not old.
    async fn is_older(&self, reference: &str, age: Duration) -> Result<bool> {
        let Some(image) = self.inspect_image(reference).await? else { return Ok(false) };
        let taken = image.metadata.and_then(|metadata| metadata.last_tag_time);
        let taken = taken.and_then(|taken| taken.parse::<jiff::Timestamp>().ok());
        let taken = taken.and_then(|taken| u64::try_from(taken.as_millisecond()).ok()).map(Timestamp::from_millis);
        Ok(taken.is_none_or(|taken| taken + age < SystemClock::new().now()))
    }

    /// The id of an image on the host, if it is for that platform.
    async fn local_image(&self, reference: &str, platform: Option<&str>) -> Result<Option<String>> {
        let Some(image) = self.inspect_image(reference).await? else { return Ok(None) };
        Ok(image.id.clone().filter(|_| platform.is_none_or(|platform| is_for(&image, platform))))
    }

    pub(super) async fn inspect_image(&self, reference: &str) -> Result<Option<ImageInspect>> {
        let what = format!("inspect image `{reference}`");
        match self.client.ask(&what, self.client.docker.inspect_image(reference)).await? {
            Ok(image) => Ok(Some(image)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(translate(&what, &error)),
        }
    }

    /// The paths at which an image wants volumes.
    pub(super) async fn volumes_of_image(&self, id: &str) -> Result<Vec<String>> {
        let image = self.inspect_image(id).await?.ok_or_else(|| missing(id, "it was removed meanwhile"))?;
        Ok(image.config.and_then(|config| config.volumes).unwrap_or_default().into_iter().collect())
    }

    async fn fetch(&self, reference: &str, platform: Option<&str>) -> Result<()> {
        let (repository, tag) = split(reference);
        let credentials = match &self.credentials {
            Some(file) => credentials::stored(file, registry(repository)).await,
            None => None,
        };
        let options = CreateImageOptionsBuilder::default().from_image(repository).tag(tag);
        let options = platform.into_iter().fold(options, |options, it| options.platform(it)).build();
        let docker = self.client.waiting(RESOLVE);
        let mut progress = pin!(docker.create_image(Some(options), None, credentials));
        // The failure comes after good items: read to the end.
        let mut failed = None;
        let what = format!("pull image `{reference}`");
        let mut transfer = Transfer::begin(reference);
        while let Some(item) = self.client.next(&what, &mut progress).await? {
            match item {
                Ok(frame) => transfer.take(&frame),
                Err(error) => failed = Some(error),
            }
        }
        if failed.is_none() {
            tell(None, Happening::Pulled { image: reference.to_owned() });
        }
        failed.map_or(Ok(()), |error| Err(refused(reference, &error)))
    }
}

/// Whether an image is for `os/architecture[/variant]`, or for `os` or `architecture` alone.
fn is_for(image: &ImageInspect, platform: &str) -> bool {
    let os = image.os.as_deref().unwrap_or("linux");
    let has = [Some(os), image.architecture.as_deref(), image.variant.as_deref()];
    let platform = platform.to_lowercase();
    let wanted: Vec<&str> = platform.split('/').collect();
    match wanted.as_slice() {
        [one] => has[..2].contains(&Some(*one)),
        // One that says nothing of its variant may be any.
        wanted => wanted.iter().zip(has).all(|(wanted, has)| has.is_none_or(|has| has.is_empty() || has == *wanted)),
    }
}

/// How much of an image is there.
struct Transfer<'a> {
    image: &'a str,
    /// For each layer, the bytes that are there and those of all of it.
    layers: BTreeMap<String, (u64, u64)>,
    told: u64,
}

impl<'a> Transfer<'a> {
    fn begin(image: &'a str) -> Self {
        tell(None, Happening::Pulling { image: image.to_owned(), done: None, total: None });
        Self { image, layers: BTreeMap::new(), told: 0 }
    }

    fn take(&mut self, frame: &CreateImageInfo) {
        let Some(layer) = &frame.id else { return };
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        let detail = frame.progress_detail.as_ref();
        match (frame.status.as_deref(), detail.and_then(|it| Some((bytes(it.current)?, bytes(it.total)?)))) {
            (Some("Downloading"), Some(now)) => drop(self.layers.insert(layer.clone(), now)),
            (Some("Download complete" | "Verifying Checksum"), _) => {
                let Some(known) = self.layers.get_mut(layer) else { return };
                known.0 = known.1;
            }
            _ => return,
        }
        let (done, total) = self.layers.values().fold((0, 0), |(done, total), it| (done + it.0, total + it.1));
        // Engines say it a hundred times a second.
        if done >= self.told + STEP || done == total {
            self.told = done;
            let image = self.image.to_owned();
            tell(None, Happening::Pulling { image, done: Some(done), total: Some(total) });
        }
    }
}

/// Repository and tag or digest. Without either the tag is `latest`: the engine would take every tag there is.
fn split(reference: &str) -> (&str, &str) {
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
fn registry(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

fn missing(reference: &str, why: &str) -> Error {
    let message = format!("image `{reference}` is not on the host and not in its registry: {why}");
    Error::new(ErrorKind::ImageMissing, message).with_hint("push it, or check its name and tag")
}

/// Tells the failures of a pull apart, by the texts of Docker 20.10 to 29 and of the registries behind it.
fn refused(reference: &str, error: &BollardError) -> Error {
    let message = match error {
        BollardError::DockerStreamError { error } => error.as_str(),
        error => match answer(error) {
            Some((_, message)) => message,
            None => return translate(&format!("pull image `{reference}`"), error),
        },
    };
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
        return Error::new(ErrorKind::RegistryRefused, message)
            .with_hint("give the engine the registry's certificate, or list it under `insecure-registries`");
    }
    if has(&["invalid reference format", "invalid tag", "must be lowercase"]) {
        return Error::new(ErrorKind::InvalidImageReference, format!("`{reference}` is not an image: {message}"));
    }
    if has(&["not found"]) && !has(&["no such host", "lookup "]) {
        return missing(reference, message);
    }
    // No such host, connection refused, time-outs, 5xx, rate limits, and what we have no word for.
    Error::new(ErrorKind::RegistryUnavailable, format!("registry `{host}` did not give image `{reference}`: {message}"))
        .with_hint(
            "check that the registry is up and that the engine's machine reaches it; a release tries again by itself",
        )
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
    fn an_image_is_for_a_platform_or_not() {
        let arm = ImageInspect {
            os: Some("linux".to_owned()),
            architecture: Some("arm64".to_owned()),
            variant: Some("v8".to_owned()),
            ..ImageInspect::default()
        };
        for (platform, expected) in [
            ("linux/arm64", true),
            ("linux/arm64/v8", true),
            ("arm64", true),
            ("linux", true),
            ("LINUX/ARM64", true),
            ("linux/amd64", false),
            ("linux/arm64/v7", false),
            ("amd64", false),
        ] {
            assert_eq!(is_for(&arm, platform), expected, "{platform}");
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
