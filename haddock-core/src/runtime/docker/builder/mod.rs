//! The engine as a builder of images.
//!
//! | file | part |
//! |---|---|
//! | `host` | the images on the host: found, named, and their names taken away |
//! | `build` | a build, by BuildKit or by the classic builder |
//! | `steps`, `trace` | what the classic builder and BuildKit say, as steps and lines |
//! | `session` | what BuildKit asks this side for: credentials, secrets, keys |
//! | `failure` | why a build failed |
//! | `mask` | values of arguments and secrets, kept out of what is shown |
//! | `push`, `registry` | transfers to and from registries, and what these have |

use async_trait::async_trait;

use super::DockerRuntime;
use crate::error::Result;
use crate::image::ImageReference;
use crate::runtime::{
    BuildContext, BuildRequest, BuilderCapabilities, HostImage, ImageBuilder, ImageRemoval, OnOutput,
};

mod build;
mod failure;
mod host;
mod mask;
mod push;
mod registry;
mod session;
mod steps;
mod trace;

pub(super) use host::named;

#[async_trait]
impl ImageBuilder for DockerRuntime {
    async fn builder_capabilities(&self) -> Result<BuilderCapabilities> {
        Ok(BuilderCapabilities { platform: self.engine.platform.clone(), buildkit: self.has_buildkit() })
    }

    async fn find_image(&self, image: &ImageReference) -> Result<Option<HostImage>> {
        self.host_image(&image.to_string()).await
    }

    async fn images_with_label(&self, label: &str) -> Result<Vec<HostImage>> {
        self.labelled_images(label).await
    }

    async fn images_in_use(&self) -> Result<Vec<String>> {
        self.used_images().await
    }

    async fn build_image(&self, request: &BuildRequest, context: BuildContext, output: OnOutput<'_>) -> Result<String> {
        self.build(request, context, output).await
    }

    async fn tag_image(&self, id: &str, name: &ImageReference) -> Result<()> {
        self.name_image(id, name).await
    }

    async fn push_image(&self, image: &ImageReference, output: OnOutput<'_>) -> Result<String> {
        self.push(image, output).await
    }

    async fn pull_image(&self, image: &ImageReference, output: OnOutput<'_>) -> Result<HostImage> {
        self.get_image(image, output).await
    }

    async fn registry_digest(&self, image: &ImageReference) -> Result<Option<String>> {
        self.digest_in_registry(image).await
    }

    async fn untag_image(&self, image: &ImageReference) -> Result<()> {
        // The answer of the contract: what is needed may stay.
        self.take_name(&image.to_string()).await.map(drop)
    }

    async fn remove_image(&self, id: &str) -> Result<ImageRemoval> {
        self.remove(id).await
    }
}
