//! The images on the host.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{ImageInspect, ImageSummary};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};

use super::super::DockerRuntime;
use super::super::error::{answer, is_missing, translate};
use super::super::refusal::split;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{HostImage, ImageRemoval};
use crate::time::Timestamp;

impl DockerRuntime {
    pub(super) async fn host_image(&self, name: &str) -> Result<Option<HostImage>> {
        Ok(self.inspect_image(name).await?.map(from_inspect))
    }

    pub(super) async fn labelled_images(&self, label: &str) -> Result<Vec<HostImage>> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = self.client.read("list images", self.client.docker.list_images(Some(options))).await?;
        Ok(images.into_iter().map(from_summary).collect())
    }

    pub(super) async fn used_images(&self) -> Result<Vec<String>> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let containers = self.client.read("list containers", self.client.docker.list_containers(Some(options))).await?;
        let ids: BTreeSet<String> = containers.into_iter().filter_map(|container| container.image_id).collect();
        Ok(ids.into_iter().collect())
    }

    pub(super) async fn name_image(&self, id: &str, name: &ImageReference) -> Result<()> {
        let what = format!("give image `{id}` the name `{name}`");
        let text = name.to_string();
        let (repository, tag) = split(&text);
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        match self.client.change(&what, self.client.docker.tag_image(id, Some(options))).await? {
            Ok(()) => Ok(()),
            Err(error) if is_missing(&error) => Err(not_on_host(id)),
            Err(error) => Err(translate(&what, &error)),
        }
    }

    /// Takes a name or, by its id, a nameless image away. Returns why the engine did not do it, if something needs it.
    pub(super) async fn take_name(&self, name: &str) -> Result<Option<String>> {
        let what = format!("take the name `{name}` away");
        let options = RemoveImageOptionsBuilder::default().force(false).noprune(false).build();
        match self.client.change(&what, self.client.docker.remove_image(name, Some(options), None)).await? {
            Ok(_) => Ok(None),
            Err(error) if is_missing(&error) => Ok(None),
            // A container needs the image, which would have no name any more. To force it would remove the image.
            Err(error) => match answer(&error) {
                Some((409, message)) => Ok(Some(needed_by(message))),
                _ => Err(translate(&what, &error)),
            },
        }
    }

    pub(super) async fn remove(&self, id: &str) -> Result<ImageRemoval> {
        // With its last tag in a repository, an image also loses its digests there.
        for of in [tags, digests] {
            let Some(image) = self.inspect_image(id).await? else { return Ok(ImageRemoval::Removed) };
            for name in of(image) {
                if let Some(because) = self.take_name(&name.to_string()).await? {
                    return Ok(ImageRemoval::Stays { because });
                }
            }
        }
        let Some(image) = self.inspect_image(id).await? else { return Ok(ImageRemoval::Removed) };
        if let Some(name) = image.repo_tags.iter().flatten().find(|name| ImageReference::parse(name).is_ok()) {
            return Ok(ImageRemoval::Stays { because: format!("it has just got the name `{name}`") });
        }
        let needed = self.take_name(id).await?;
        Ok(needed.map_or(ImageRemoval::Removed, |because| ImageRemoval::Stays { because }))
    }
}

fn tags(image: ImageInspect) -> Vec<ImageReference> {
    references(image.repo_tags.unwrap_or_default())
}

fn digests(image: ImageInspect) -> Vec<ImageReference> {
    references(image.repo_digests.unwrap_or_default())
}

/// Why an engine does not remove an image: `conflict: unable to … (must force) - container 3f is using …`.
fn needed_by(message: &str) -> String {
    message.rsplit_once(" - ").map_or(message, |(_, because)| because).trim().to_owned()
}

pub(super) fn not_on_host(name: &str) -> Error {
    Error::new(ErrorKind::ImageMissing, format!("image `{name}` is not on the host"))
        .with_hint("build or pull it, or check its name and tag")
}

fn from_inspect(image: ImageInspect) -> HostImage {
    let named = named(&image);
    HostImage {
        id: image.id.unwrap_or_default(),
        tags: references(image.repo_tags.unwrap_or_default()),
        digests: references(image.repo_digests.unwrap_or_default()),
        labels: image.config.and_then(|config| config.labels).into_iter().flatten().collect(),
        created: image.created.as_deref().and_then(written),
        named,
        size: size(image.size.unwrap_or(0)),
    }
}

fn from_summary(image: ImageSummary) -> HostImage {
    HostImage {
        id: image.id,
        tags: references(image.repo_tags),
        digests: references(image.repo_digests),
        labels: image.labels.into_iter().collect::<BTreeMap<_, _>>(),
        created: since_epoch(image.created.saturating_mul(1000)),
        named: None,
        size: size(image.size),
    }
}

/// Engines write `<none>` for what an image does not have.
fn references(names: Vec<String>) -> Vec<ImageReference> {
    names.iter().filter_map(|name| ImageReference::parse(name).ok()).collect()
}

/// When an image last got a name on its host.
pub(in super::super) fn named(image: &ImageInspect) -> Option<Timestamp> {
    image.metadata.as_ref()?.last_tag_time.as_deref().and_then(written)
}

/// A time as engines write it.
fn written(time: &str) -> Option<Timestamp> {
    since_epoch(time.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

fn since_epoch(millis: i64) -> Option<Timestamp> {
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

fn size(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}
