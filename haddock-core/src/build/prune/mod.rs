//! Removes images that were built here and that nobody needs any more.

use std::collections::BTreeSet;
use std::path::PathBuf;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::built::Built;
use super::inputs::{INPUTS_TAG, is_built_here};
use super::labels;
use super::plan::QUESTIONS;
use crate::error::{ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{HostImage, ImageBuilder, ImageRemoval};
use choose::{Candidate, Named, removable};

mod choose;
mod registry;

pub use registry::{PruneRegistry, PrunedFromRegistry};

/// Which images stay, and which are removed.
///
/// Only images that [`Images`](super::Images) has built are looked at. Of these stay: some of each repository, namely those
/// that were last given a tag; those that containers were made of; those that are named here; and those that another one
/// that stays is built on. An image with names in several repositories counts in each of them, and stays if one of them
/// keeps it. One with a name in a repository that no build has put it into stays: somebody else gave it that name.
///
/// An image without any name is looked at only if its id is in [`memory`](Self::memory): an image that others have built
/// on one of ours has our labels, too.
///
/// ```no_run
/// use haddock_core::build::PruneImages;
/// # use haddock_core::runtime::ImageBuilder;
///
/// # async fn example(engine: &dyn ImageBuilder) -> haddock_core::Result<()> {
/// let prune = PruneImages { keep: 10, dry_run: true, ..PruneImages::default() };
/// for image in prune.prune(engine).await? {
///     println!("{} would be removed: {} bytes", image.id, image.size);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneImages {
    /// How many images of each repository stay: those that were last given a tag.
    pub keep: usize,
    /// The images that stay in any case, such as those of releases to which one may go back: ids, digests (`sha256:…`) and
    /// names.
    pub also: BTreeSet<String>,
    /// Only say what would be removed.
    pub dry_run: bool,
    /// The folder that [`Images::memory`](super::Images::memory) was given. Without it, images without a name stay.
    pub memory: Option<PathBuf>,
}

/// An image that was, or would be, removed; or that should have been, and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedImage {
    /// Its id.
    pub id: String,
    /// All its names.
    pub tags: Vec<ImageReference>,
    /// What it takes on disk, in bytes. What it shares with images that stay is counted, too, so less may become free.
    pub size: u64,
    /// Why it is still there, if the engine did not remove it. It may have lost some of its names.
    #[serde(default)]
    pub stays: Option<String>,
}

impl PruneImages {
    /// Removes images, each before those that it is built on. An image that the engine refuses to remove stops nothing.
    ///
    /// # Errors
    /// [`InvalidImageReference`](ErrorKind::InvalidImageReference) if `also` holds something that is no image; the errors
    /// of the builder. Images that were removed before stay removed.
    pub async fn prune(&self, builder: &dyn ImageBuilder) -> Result<Vec<PrunedImage>> {
        let also = Named::read(&self.also)?;
        let built = Built(self.memory.as_deref());
        let images = ours(builder, &built).await?;
        let in_use: BTreeSet<String> = builder.images_in_use().await?.into_iter().collect();
        let candidates: Vec<_> = images.iter().map(|image| candidate(image, &in_use, &also)).collect();
        let removable = removable(&candidates, self.keep);
        let mut pruned = Vec::with_capacity(removable.len());
        for HostImage { id, tags, size, .. } in removable.into_iter().map(|index| &images[index]) {
            let stays = if self.dry_run { None } else { remove(builder, id).await? };
            if stays.is_none() && !self.dry_run {
                built.forget(id);
            }
            pruned.push(PrunedImage { id: id.clone(), tags: tags.clone(), size: *size, stays });
        }
        Ok(pruned)
    }
}

/// The images on the host that were built by us.
async fn ours(builder: &dyn ImageBuilder, built: &Built<'_>) -> Result<Vec<HostImage>> {
    let labelled = builder.images_with_label(labels::INPUTS).await?;
    let noted = built.among(labelled.iter().map(|image| image.id.as_str()));
    let ours = labelled.iter().filter(|image| noted.contains(image.id.as_str()) || is_built_here(image));
    let asked: Vec<_> = ours.map(|image| with_time(builder, image).boxed()).collect();
    let found: Vec<Option<HostImage>> = stream::iter(asked).buffered(QUESTIONS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// The same with the time at which it last got a name, which lists do not tell; `None` if it has gone meanwhile.
async fn with_time(builder: &dyn ImageBuilder, image: &HostImage) -> Result<Option<HostImage>> {
    let Some(name) = image.tags.iter().chain(&image.digests).next() else { return Ok(Some(image.clone())) };
    // The name may mean another image now.
    Ok(builder.find_image(name).await?.filter(|found| found.id == image.id))
}

fn candidate<'a>(image: &'a HostImage, in_use: &BTreeSet<String>, also: &Named) -> Candidate<'a> {
    let names = || image.tags.iter().chain(&image.digests);
    Candidate {
        id: &image.id,
        repositories: names().map(ImageReference::canonical_repository).collect(),
        at: image.named.or(image.created),
        labels: &image.labels,
        is_found: is_built_here(image),
        is_needed: in_use.contains(&image.id)
            || also.has_id(&image.id)
            || names().any(|name| also.has(name))
            || has_a_name_of_others(image),
    }
}

/// Whether somebody has given it a name in a repository that no build has put it into. That name would go with the image.
fn has_a_name_of_others(image: &HostImage) -> bool {
    is_built_here(image) && image.tags.iter().any(|name| !image.tags.iter().any(|own| is_ours_in(own, name)))
}

/// Whether this is the name by inputs in the repository of another name.
fn is_ours_in(own: &ImageReference, name: &ImageReference) -> bool {
    own.has_repository_of(name) && own.tag().is_some_and(|tag| tag.starts_with(INPUTS_TAG))
}

/// Removes an image. Returns why it stays, if it does.
async fn remove(builder: &dyn ImageBuilder, id: &str) -> Result<Option<String>> {
    match builder.remove_image(id).await {
        Ok(ImageRemoval::Removed) => Ok(None),
        Ok(ImageRemoval::Stays { because }) => Ok(Some(because)),
        Err(error) if error.kind() == ErrorKind::RuntimeRefused => Ok(Some(error.message().to_owned())),
        Err(error) => Err(error),
    }
}
