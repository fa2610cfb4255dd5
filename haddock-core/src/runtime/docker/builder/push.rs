//! Pushes.

use std::pin::pin;
use std::time::Duration;

use bollard::query_parameters::PushImageOptionsBuilder;

use super::super::DockerRuntime;
use super::super::error::translate;
use super::super::refusal::{refused_as, said, split};
use super::super::transfer::Transfer;
use super::host::not_on_host;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{BuildOutput, OnOutput};
use crate::time::sleep;

/// How long a registry may take until the first layer moves. The transfer itself has no limit.
const FIRST_LAYER_LIMIT: Duration = Duration::from_secs(600);
/// The waits before a push that the registry or the way to it has broken is tried again. An engine itself tries each
/// layer five times.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

impl DockerRuntime {
    pub(super) async fn push(&self, image: &ImageReference, output: OnOutput<'_>) -> Result<String> {
        let name = image.to_string();
        if self.inspect_image(&name).await?.is_none() {
            return Err(not_on_host(&name));
        }
        for wait in WAITS {
            match self.push_once(image, &name, output).await {
                Err(error) if may_pass(&error) => {
                    tracing::warn!(image = name, %error, "the push is tried again");
                    sleep(wait).await;
                }
                pushed => return pushed,
            }
        }
        self.push_once(image, &name, output).await
    }

    async fn push_once(&self, image: &ImageReference, name: &str, output: OnOutput<'_>) -> Result<String> {
        let what = format!("push image `{name}`");
        let (repository, tag) = split(name);
        let stored = self.stored(image.registry()).await;
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let docker = self.client.waiting(FIRST_LAYER_LIMIT);
        let mut frames = pin!(docker.push_image(repository, Some(options), stored.credentials.clone()));
        let (mut transfer, mut digest) = (Transfer::default(), None);
        // A failure may come after good items, so the stream is read to its end.
        let mut failure = None;
        while let Some(item) = self.client.next(&what, &mut frames).await? {
            match item {
                Ok(frame) => {
                    let status = frame.status.as_deref();
                    digest = status.and_then(digest_in).or(digest);
                    if let Some((done, total)) = transfer.take(None, status, frame.progress_detail.as_ref()) {
                        output(BuildOutput::Transfer { done, total });
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure {
            return Err(match said(&error) {
                Some(message) if message.contains("does not exist locally") => not_on_host(name),
                Some(message) => stored.explain(refused_as("did not take", name, message)),
                None => translate(&what, &error),
            });
        }
        match digest {
            Some(digest) => Ok(digest),
            // An engine that does not say it knows it.
            None => self.own_digest(name, repository).await,
        }
    }

    async fn own_digest(&self, name: &str, repository: &str) -> Result<String> {
        let image = self.inspect_image(name).await?.ok_or_else(|| not_on_host(name))?;
        let digests = image.repo_digests.unwrap_or_default();
        let of =
            |digest: &String| digest.split_once('@').filter(|(of, _)| *of == repository).map(|(_, it)| it.to_owned());
        digests.iter().rev().find_map(of).ok_or_else(|| {
            let message = format!("the engine pushed image `{name}` and does not know its digest");
            Error::new(ErrorKind::RuntimeRefused, message).with_hint("push it again")
        })
    }
}

/// `v1: digest: sha256:… size: 527`, the last that an engine says of a push.
fn digest_in(status: &str) -> Option<String> {
    let (_, rest) = status.split_once("digest: ")?;
    rest.split_whitespace().next().filter(|digest| digest.starts_with("sha256:")).map(str::to_owned)
}

/// Whether the same push may succeed a moment later.
fn may_pass(error: &Error) -> bool {
    // An error within the registry has not passed during the engine's own attempts. Mostly its disk is full.
    let lasting =
        ["no such host", "toomanyrequests", "no space left on device", "500 Internal Server", "507 Insufficient"];
    error.kind() == ErrorKind::RegistryUnavailable && !lasting.iter().any(|part| error.message().contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_in_the_last_status() {
        assert_eq!(digest_in("v1: digest: sha256:00ff size: 527").as_deref(), Some("sha256:00ff"));
        assert_eq!(digest_in("Pushed"), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (message, passes) in [
            ("dial tcp 127.0.0.1:5999: connect: connection refused", true),
            ("received unexpected HTTP status: 503 Service Unavailable", true),
            ("write: connection reset by peer", true),
            ("received unexpected HTTP status: 500 Internal Server Error", false),
            ("dial tcp: lookup r.local: no such host", false),
            ("denied: requested access to the resource is denied", false),
            ("unauthorized: authentication required", false),
            ("x509: certificate signed by unknown authority", false),
        ] {
            assert_eq!(may_pass(&refused_as("did not take", "r.local/shop:v1", message)), passes, "{message}");
        }
    }
}
