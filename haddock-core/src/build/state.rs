//! The images of a tree, and which of them this host has.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::inputs::is_built_here;
use super::outside::{self, Ask};
use super::{Images, labels};
use crate::error::{ErrorKind, Result};
use crate::image::ImageReference;
use crate::image::tree::{ImageTree, TreeImage};

/// What this host has of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageState {
    /// An image of the present inputs.
    There,
    /// Only an image of other inputs: a build would make it anew.
    Changed,
    /// None.
    Missing,
    /// The builder does not answer.
    Unknown,
}

impl fmt::Display for ImageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::There => "there",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        })
    }
}

/// An image of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeImageState {
    /// Its name in the tree.
    pub name: String,
    /// Its Dockerfile, relative to the root of the tree.
    pub path: PathBuf,
    /// What it stands on, as its Dockerfile says; `None` for `scratch`.
    pub base: Option<String>,
    /// The images of the tree that it needs, by name.
    pub depends_on: Vec<String>,
    /// The name that people use.
    pub reference: ImageReference,
    /// What this host has of it.
    pub state: ImageState,
}

impl TreeImageState {
    /// The images of a tree at a tag, each after what it needs. No builder is asked: each state is
    /// [`Unknown`](ImageState::Unknown).
    ///
    /// # Errors
    /// [`InvalidImageReference`](ErrorKind::InvalidImageReference) if that is no tag.
    pub fn without_builder(tree: &ImageTree, tag: &str) -> Result<Vec<Self>> {
        tree.images().iter().map(|image| Self::of(image, tag, ImageState::Unknown)).collect()
    }

    fn of(image: &TreeImage, tag: &str, state: ImageState) -> Result<Self> {
        let mut depends_on: Vec<String> = Vec::new();
        for (name, _) in image.tree_needs() {
            if !depends_on.iter().any(|known| known == name) {
                depends_on.push(name.to_owned());
            }
        }
        let reference = image.repository.with_tag(image.tag.as_deref().unwrap_or(tag))?;
        Ok(Self {
            name: image.name.clone(),
            path: image.path.clone(),
            base: image.base.clone(),
            depends_on,
            reference,
            state,
        })
    }
}

impl Images {
    /// The images of the tree, each after what it needs, and what the host has of them. No registry is asked.
    ///
    /// # Errors
    /// [`ImageTree`](ErrorKind::ImageTree) if a context cannot be read.
    pub async fn states(&self) -> Result<Vec<TreeImageState>> {
        let states = match self.on_host().await {
            Ok(states) => states,
            Err(error) if error.kind() == ErrorKind::RuntimeUnavailable => {
                vec![ImageState::Unknown; self.tree.images().len()]
            }
            Err(error) => return Err(error),
        };
        self.tree
            .images()
            .iter()
            .zip(states)
            .map(|(image, state)| TreeImageState::of(image, &self.tag, state))
            .collect()
    }

    async fn on_host(&self) -> Result<Vec<ImageState>> {
        let chosen = self.chosen(&[])?;
        let outside = outside::find(&*self.builder, &chosen, Ask::HostAlone).await?;
        let images = self.with_inputs(self.read_all(&chosen).await?, &outside).await?;
        let built = self.builder.images_with_label(labels::INPUTS).await?;
        let states = images.iter().map(|image| {
            let is_of_it = |tag: &ImageReference| tag.has_repository_of(&image.image.repository);
            match &image.host {
                Some(_) => ImageState::There,
                None if built.iter().filter(|it| is_built_here(it)).any(|it| it.tags.iter().any(is_of_it)) => {
                    ImageState::Changed
                }
                None => ImageState::Missing,
            }
        });
        Ok(states.collect())
    }
}
