//! Images: what is on the host, and what registries have.

use std::pin::pin;
use std::time::Duration;

use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;

use super::DockerRuntime;
use super::builder::named;
use super::error::{is_missing, translate};
use super::refusal::{missing, refused, registry, split};
use super::transfer::Transfer;
use crate::container::{PullOptions, PullWhen};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::{Happening, tell};
use crate::time::{Clock, SystemClock};

/// How long a registry may take until the first layer moves. The transfer itself has no limit.
const FIRST_LAYER_LIMIT: Duration = Duration::from_secs(600);

impl DockerRuntime {
    pub(super) async fn pull_by_policy(&self, reference: &str, how: &PullOptions) -> Result<String> {
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
        let Err(error) = self.fetch_observed(reference, platform).await else {
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

    /// Whether an image on the host was pulled longer ago than this, or at an unknown time. A missing image is not old.
    async fn is_older(&self, reference: &str, age: Duration) -> Result<bool> {
        let Some(image) = self.inspect_image(reference).await? else { return Ok(false) };
        Ok(named(&image).is_none_or(|taken| taken + age < SystemClock::new().now()))
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

    /// Tells an observer how far the transfer is.
    async fn fetch_observed(&self, reference: &str, platform: Option<&str>) -> Result<()> {
        let image = || reference.to_owned();
        tell(None, Happening::Pulling { image: image(), done: None, total: None });
        let told = |done, total| {
            tell(None, Happening::Pulling { image: image(), done: Some(done), total: Some(total) });
        };
        self.fetch(reference, platform, &told).await?;
        tell(None, Happening::Pulled { image: image() });
        Ok(())
    }

    /// Gets an image from its registry. `moved` is told how many bytes have moved, and of how many.
    pub(super) async fn fetch(
        &self,
        reference: &str,
        platform: Option<&str>,
        moved: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<()> {
        let (repository, tag) = split(reference);
        let stored = self.stored(registry(repository)).await;
        let options = CreateImageOptionsBuilder::default().from_image(repository).tag(tag);
        let options = platform.into_iter().fold(options, |options, it| options.platform(it)).build();
        let docker = self.client.waiting(FIRST_LAYER_LIMIT);
        let mut progress = pin!(docker.create_image(Some(options), None, stored.credentials.clone()));
        // A failure may come after good items, so the stream is read to its end.
        let mut failed = None;
        let what = format!("pull image `{reference}`");
        let mut transfer = Transfer::default();
        while let Some(item) = self.client.next(&what, &mut progress).await? {
            match item {
                Ok(frame) => {
                    let now =
                        transfer.take(frame.id.as_deref(), frame.status.as_deref(), frame.progress_detail.as_ref());
                    now.into_iter().for_each(|(done, total)| moved(done, total));
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), |error| Err(stored.explain(refused(reference, &error))))
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
        // An image that does not name its variant may be any.
        wanted => wanted.iter().zip(has).all(|(wanted, has)| has.is_none_or(|has| has.is_empty() || has == *wanted)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
