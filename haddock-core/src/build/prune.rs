//! Removes images that were built here and that nobody needs any more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::inputs::is_built_here;
use super::labels;
use super::plan::QUESTIONS;
use crate::error::Result;
use crate::image::ImageReference;
use crate::runtime::{HostImage, ImageBuilder};

/// Which images stay, and which are removed.
///
/// Only images that [`Images`](super::Images) has built are looked at. Of these stay: some of each repository, namely those
/// that were last given a tag; those that containers were made of; those that are named here; and those that another one
/// that stays is built on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneImages {
    /// How many images of each repository stay: those that were last given a tag.
    pub keep: usize,
    /// The ids of images that stay in any case, such as those of releases to which one may go back.
    pub also: BTreeSet<String>,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// An image that is, or would be, removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedImage {
    /// Its id.
    pub id: String,
    /// All its names.
    pub tags: Vec<ImageReference>,
    /// What it takes on disk, in bytes. What it shares with images that stay is counted, too, so less may become free.
    pub size: u64,
}

impl PruneImages {
    /// Removes images, oldest last.
    ///
    /// # Errors
    /// Those of the builder. Images that were removed before stay removed.
    pub async fn prune(&self, builder: &dyn ImageBuilder) -> Result<Vec<PrunedImage>> {
        let ours = builder.images_with_label(labels::INPUTS).await?.into_iter().filter(is_built_here);
        let names: Vec<ImageReference> = ours.filter_map(|image| image.tags.into_iter().next()).collect();
        let asked: Vec<_> = names.iter().map(|name| builder.find_image(name)).collect();
        let images: Vec<Option<HostImage>> = stream::iter(asked).buffered(QUESTIONS).try_collect().await?;
        let images: Vec<HostImage> = images.into_iter().flatten().collect();
        let in_use = builder.images_in_use().await?.into_iter().collect();
        let removed = self.removable(&images, &in_use);
        let mut pruned = Vec::with_capacity(removed.len());
        for image in removed {
            if !self.dry_run {
                for tag in &image.tags {
                    builder.untag_image(tag).await?;
                }
            }
            pruned.push(PrunedImage { id: image.id.clone(), tags: image.tags.clone(), size: image.size });
        }
        Ok(pruned)
    }

    /// What may go, so that each image comes before those that it is built on.
    fn removable<'a>(&self, images: &'a [HostImage], in_use: &BTreeSet<String>) -> Vec<&'a HostImage> {
        let mut newest_first: Vec<&HostImage> = images.iter().collect();
        newest_first.sort_by_key(|image| (Reverse(image.named.or(image.created)), image.id.clone()));
        let mut of_each: BTreeMap<String, usize> = BTreeMap::new();
        let mut kept: BTreeSet<&str> = BTreeSet::new();
        for image in &newest_first {
            let count = of_each.entry(repository(image)).or_default();
            if *count < self.keep || in_use.contains(&image.id) || self.also.contains(&image.id) {
                kept.insert(&image.id);
            }
            *count += 1;
        }
        loop {
            let stays = newest_first.iter().filter(|image| kept.contains(image.id.as_str()));
            let bases: BTreeSet<&String> = stays.filter_map(|image| image.labels.get(labels::BASE_INPUTS)).collect();
            let is_base = |image: &&&HostImage| image.labels.get(labels::INPUTS).is_some_and(|it| bases.contains(it));
            let more: Vec<&str> = newest_first.iter().filter(is_base).map(|image| image.id.as_str()).collect();
            let before = kept.len();
            kept.extend(more);
            if kept.len() == before {
                break;
            }
        }
        newest_first.retain(|image| !kept.contains(image.id.as_str()));
        newest_first
    }
}

/// The repository of an image's first name.
fn repository(image: &HostImage) -> String {
    image.tags.first().map(|tag| format!("{}/{}", tag.registry(), tag.repository())).unwrap_or_default()
}
