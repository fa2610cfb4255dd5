//! The simulated engine as a builder of images.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;

use super::SimRuntime;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{
    BuildContext, BuildOutput, BuildRequest, BuilderCapabilities, HostImage, ImageBuilder, ImageRemoval, OnOutput,
};

/// Counts a build as running until it is dropped.
struct Running<'a>(&'a SimRuntime);

impl<'a> Running<'a> {
    /// Before the context is read: that takes real time, and in it virtual time may pass.
    fn begin(runtime: &'a SimRuntime) -> Self {
        runtime.with(|engine, _| {
            engine.shelf.running += 1;
            engine.shelf.most_running = engine.shelf.most_running.max(engine.shelf.running);
        });
        Self(runtime)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.with(|engine, _| engine.shelf.running -= 1);
    }
}

impl SimRuntime {
    /// A transfer from or to a registry.
    async fn transfer(&self, output: OnOutput<'_>) -> Result<()> {
        let (time, failure) =
            self.call(|engine, _| Ok((engine.shelf.transfer_time, engine.shelf.registry_fails.clone())))?;
        output(BuildOutput::Transfer { done: 0, total: 1 });
        wait(time).await;
        output(BuildOutput::Transfer { done: 1, total: 1 });
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(feature = "controller")]
async fn wait(time: Duration) {
    if time > Duration::ZERO {
        crate::time::sleep(time).await;
    }
}

/// Without the controller nothing passes time.
#[cfg(not(feature = "controller"))]
async fn wait(_time: Duration) {}

#[async_trait]
impl ImageBuilder for SimRuntime {
    async fn builder_capabilities(&self) -> Result<BuilderCapabilities> {
        self.call(|_, _| Ok(BuilderCapabilities { platform: "linux/amd64".to_owned(), buildkit: true }))
    }

    async fn find_image(&self, image: &ImageReference) -> Result<Option<HostImage>> {
        self.call(|engine, _| Ok(engine.host_image(&image.to_string())))
    }

    async fn images_with_label(&self, label: &str) -> Result<Vec<HostImage>> {
        self.call(|engine, _| Ok(engine.labelled(label)))
    }

    async fn images_in_use(&self) -> Result<Vec<String>> {
        self.call(|engine, _| Ok(engine.made.values().map(|made| engine.images.meant_by(&made.spec.image)).collect()))
    }

    async fn build_image(&self, request: &BuildRequest, context: BuildContext, output: OnOutput<'_>) -> Result<String> {
        let _running = Running::begin(self);
        let context = context.archive.try_concat().await?;
        let (bases, build, time) = self.call(|engine, _| {
            let bases = engine.begin_build(request, context)?;
            let build = engine.shelf.builds.last().expect("just begun").clone();
            Ok((bases, build, engine.shelf.build_time))
        })?;
        output(BuildOutput::Step { text: "FROM scratch".to_owned(), number: 1, of: 1 });
        wait(time).await;
        self.call(|engine, now| engine.complete_build(&build, &bases, now))
    }

    async fn tag_image(&self, id: &str, name: &ImageReference) -> Result<()> {
        self.call(|engine, now| {
            if !engine.images.is_known(id) {
                return Err(Error::new(ErrorKind::ImageMissing, format!("image `{id}` is not on the host")));
            }
            engine.name(id, name, now);
            Ok(())
        })
    }

    async fn push_image(&self, image: &ImageReference, output: OnOutput<'_>) -> Result<String> {
        self.transfer(output).await?;
        self.call(|engine, _| engine.push(image))
    }

    async fn pull_image(&self, image: &ImageReference, output: OnOutput<'_>) -> Result<HostImage> {
        self.transfer(output).await?;
        self.call(|engine, _| {
            engine.fetch(&image.to_string(), true)?;
            Ok(engine.host_image(&image.to_string()).expect("just fetched"))
        })
    }

    async fn registry_digest(&self, image: &ImageReference) -> Result<Option<String>> {
        self.call(|engine, _| match &engine.shelf.registry_fails {
            Some(error) => Err(error.clone()),
            None => Ok(engine.digest_in_registry(image)),
        })
    }

    async fn untag_image(&self, image: &ImageReference) -> Result<()> {
        self.call(|engine, _| {
            engine.untag(&image.to_string());
            Ok(())
        })
    }

    async fn remove_image(&self, id: &str) -> Result<ImageRemoval> {
        self.call(|engine, _| Ok(engine.remove_image(id)))
    }
}
