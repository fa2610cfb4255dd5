//! Builds the images of a tree, and moves them to and from their registries.
//!
//! ```text
//!   ImageTree ─▶ inputs of each image ─▶ plan: build, keep or pull ─▶ ImageBuilder
//!                 Dockerfile, context,         why, for people
//!                 arguments, bases
//! ```
//!
//! An image is known by a digest of all that it is made of, its [inputs](Images::plan). It gets a tag of that digest,
//! beside the tag that people use. So an image of the same inputs is found on this host, and also in a registry that
//! another machine has pushed it to. What is found is not built again.
//!
//! ```no_run
//! # use std::sync::Arc;
//! use haddock_core::build::{BuildOptions, Images};
//! use haddock_core::image::tree::ImageTree;
//! use haddock_core::runtime::docker::DockerRuntime;
//!
//! # async fn example() -> haddock_core::Result<()> {
//! let tree = ImageTree::read("images".as_ref())?;
//! let images = Images::of(tree, Arc::new(DockerRuntime::connect(None).await?), "main-3f2a1bc")?;
//! for image in images.build(&BuildOptions::default(), &|event| println!("{event:?}")).await? {
//!     println!("{} {}: {}", image.reference, image.action, image.because);
//! }
//! # Ok(())
//! # }
//! ```

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::image::tree::{ImageTree, TreeImage};
use crate::image::{ImageReference, Revision};
use crate::runtime::ImageBuilder;

mod built;
mod components;
pub mod context;
mod event;
mod inputs;
pub mod labels;
mod memory;
mod options;
mod outside;
mod perform;
mod picture;
mod plan;
mod prune;
mod state;
mod transfer;

pub use components::component_tree;
pub use event::{BuildEvent, BuildHappening, OnBuildEvent};
pub use options::{BuildAction, BuildOptions};
pub use perform::BuiltImage;
pub use plan::{BuildPlan, PlannedImage};
pub use prune::{PruneImages, PruneRegistry, PrunedFromRegistry, PrunedImage};
pub use state::{ImageState, TreeImageState};
pub use transfer::Transferred;

/// The images of a tree, at one tag, on one host.
#[derive(Debug, Clone)]
pub struct Images {
    tree: Arc<ImageTree>,
    builder: Arc<dyn ImageBuilder>,
    tag: String,
    revision: Option<Revision>,
    memory: Option<PathBuf>,
    at_once: NonZeroUsize,
}

impl Images {
    /// The images of this tree, at this tag.
    ///
    /// # Errors
    /// [`InvalidImageReference`](crate::ErrorKind::InvalidImageReference) if that is no tag.
    pub fn of(tree: ImageTree, builder: Arc<dyn ImageBuilder>, tag: &str) -> Result<Self> {
        for image in tree.images() {
            image.repository.with_tag(image.tag.as_deref().unwrap_or(tag))?;
        }
        let at_once = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(Self { tree: Arc::new(tree), builder, tag: tag.to_owned(), revision: None, memory: None, at_once })
    }

    /// The commit that the tree is at. It is noted on each image that is built, and the images of a dirty one are not
    /// pushed.
    #[must_use]
    pub fn revision(mut self, revision: Revision) -> Self {
        self.revision = Some(revision);
        self
    }

    /// A folder in which it is kept what each image was built from. With it, a plan names the files that have changed,
    /// and files that have not changed are not read again. It may be removed at any time.
    #[must_use]
    pub fn memory(mut self, folder: impl Into<PathBuf>) -> Self {
        self.memory = Some(folder.into());
        self
    }

    /// How many images are built at the same time. By default as many as this machine has processors: with
    /// more, those that others wait for take longer.
    #[must_use]
    pub fn at_once(mut self, images: NonZeroUsize) -> Self {
        self.at_once = images;
        self
    }

    /// The tree.
    #[must_use]
    pub fn tree(&self) -> &ImageTree {
        &self.tree
    }

    /// The name of an image at the tag, or at its own one.
    fn reference(&self, image: &TreeImage) -> ImageReference {
        image
            .repository
            .with_tag(image.tag.as_ref().unwrap_or(&self.tag))
            .expect("the tag was tried when this was made")
    }

    /// These images and all that they need, each after what it needs; of none: all.
    fn chosen(&self, names: &[String]) -> Result<Vec<&TreeImage>> {
        if names.is_empty() { Ok(self.tree.images().iter().collect()) } else { self.tree.with_needed(names) }
    }
}
