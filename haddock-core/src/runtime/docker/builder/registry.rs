//! What registries have, and what they give.

use std::time::Duration;

use super::super::DockerRuntime;
use super::super::error::translate;
use super::super::refusal::{missing, refused_as, said};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{BuildOutput, HostImage, OnOutput};

/// How long a registry may take to say what it has.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

impl DockerRuntime {
    pub(super) async fn digest_in_registry(&self, image: &ImageReference) -> Result<Option<String>> {
        let name = image.to_string();
        let what = format!("ask registry `{}` for image `{name}`", image.registry());
        let stored = self.stored(image.registry()).await;
        let docker = self.client.waiting(ANSWER_LIMIT);
        let asked = docker.inspect_registry_image(&name, stored.credentials.clone());
        let error = match self.client.patiently(&what, ANSWER_LIMIT, asked).await {
            Ok(Ok(found)) => return Ok(found.descriptor.digest),
            Ok(Err(error)) => match said(&error) {
                Some(message) => refused_as("did not tell of", &name, message),
                None => translate(&what, &error),
            },
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                Error::new(ErrorKind::RegistryUnavailable, error.message()).with_hint("check that the registry is up")
            }
            Err(error) => error,
        };
        if error.kind() == ErrorKind::ImageMissing { Ok(None) } else { Err(stored.explain(error)) }
    }

    pub(super) async fn get_image(&self, image: &ImageReference, output: OnOutput<'_>) -> Result<HostImage> {
        let name = image.to_string();
        self.fetch(&name, None, &|done, total| output(BuildOutput::Transfer { done, total })).await?;
        self.host_image(&name).await?.ok_or_else(|| missing(&name, "it was removed at once"))
    }
}
