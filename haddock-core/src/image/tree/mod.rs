//! Image trees: folders of Dockerfiles whose images stand on each other.
//!
//! Each file `Dockerfile` or `Containerfile` below the root is an image, built from its folder. Its name is the path of
//! that folder. Which images need which is in the Dockerfiles: in `FROM`, `COPY --from` and `RUN --mount=from=`.
//!
//! ```text
//! images/debian/Dockerfile      FROM debian:13
//! images/java/Dockerfile        FROM debian          the image of the tree
//! images/java/tools/Dockerfile  FROM java
//!                               COPY --from=nginx:1  from a registry
//! ```
//!
//! A name without a tag, or with `latest`, means the image of the tree if there is one of that name. With another tag or a
//! digest, it means an image from a registry.
//!
//! The file `haddock-images.yaml` in the root may say more: a registry for all images, what their tags are made of, and
//! for each image its name, arguments, secrets and so on. `docs/reference/images-file.md` has its keys.
//!
//! ```
//! use haddock_core::image::tree::ImageTree;
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path();
//! # for (name, text) in [("base", "FROM debian:13\n"), ("java", "FROM base\n"), ("shop", "FROM java\n")] {
//! #     std::fs::create_dir(folder.join(name)).unwrap();
//! #     std::fs::write(folder.join(name).join("Dockerfile"), text).unwrap();
//! # }
//! let tree = ImageTree::read(folder)?;
//! let names: Vec<&str> = tree.images().iter().map(|image| image.name.as_str()).collect();
//! assert_eq!(names, ["base", "java", "shop"]);
//! assert_eq!(tree.dependents("java").len(), 1);
//! # Ok::<(), haddock_core::Error>(())
//! ```

mod description;
mod entries;
mod find;
mod image;
mod near;
mod needs;
mod order;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use image::{Need, NeededImage, TreeImage};
pub use schema::schema;

use crate::error::{Error, ErrorKind, Result};
use crate::image::{ImageReference, TagTemplate};
use description::Description;
use near::nearest;

/// The images below a folder.
#[derive(Debug, Clone)]
pub struct ImageTree {
    root: PathBuf,
    images: Vec<TreeImage>,
    tags: TagTemplate,
}

impl ImageTree {
    /// Reads the Dockerfiles below a folder, and its file `haddock-images.yaml` if there is one. Hidden folders,
    /// `node_modules`, `target`, links to folders, and the folders under `ignore` of that file are left out.
    ///
    /// # Errors
    /// [`ImageTree`](ErrorKind::ImageTree) with the place: if there is no Dockerfile, if a file cannot be read, if an
    /// image cannot have the name of its folder, if two have one name, or if images need each other in a circle.
    pub fn read(folder: &Path) -> Result<Self> {
        Self::read_with(folder, &BTreeMap::new())
    }

    /// [`read`](Self::read) with values of `ARG`, for each image whose Dockerfile takes one. They win over those of
    /// `haddock-images.yaml`.
    ///
    /// # Errors
    /// As there; [`InvalidValue`](ErrorKind::InvalidValue) for an argument that no Dockerfile takes.
    pub fn read_with(folder: &Path, args: &BTreeMap<String, String>) -> Result<Self> {
        let description = Description::read(folder)?;
        let paths = find::dockerfiles(folder, &description.ignore)?;
        let mut images = entries::images(folder, paths, &description)?;
        for (name, value) in args {
            let mut taking = images.iter_mut().filter(|image| image.head.takes_arg(name)).peekable();
            if taking.peek().is_none() {
                let message = format!("no Dockerfile below `{}` takes the argument `{name}`", folder.display());
                return Err(Error::new(ErrorKind::InvalidValue, message)
                    .with_hint(format!("correct its name, or write `ARG {name}` into a Dockerfile")));
            }
            taking.for_each(|image| drop(image.args.insert(name.clone(), value.clone())));
        }
        if images.is_empty() {
            let message = format!("there is no Dockerfile below `{}`", folder.display());
            return Err(Error::new(ErrorKind::ImageTree, message)
                .with_hint("name the folder of the images, each in a folder of its own with a file `Dockerfile`")
                .at(find::start_of(folder)));
        }
        refuse_two_of_one_name(&images)?;
        needs::fill(&mut images, description.prefix.as_deref())?;
        Ok(Self { root: folder.to_owned(), images: order::in_order(images)?, tags: description.tags })
    }

    /// Images that are described elsewhere, with what they need.
    #[cfg(feature = "build")]
    pub(crate) fn of(images: Vec<TreeImage>) -> Result<Self> {
        Ok(Self { root: PathBuf::new(), images: order::in_order(images)?, tags: TagTemplate::default() })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All images, each after those that it needs, within that by name.
    #[must_use]
    pub fn images(&self) -> &[TreeImage] {
        &self.images
    }

    /// What the tags of the images are made of.
    #[must_use]
    pub fn tags(&self) -> &TagTemplate {
        &self.tags
    }

    /// The image of this name.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), with the name that was probably meant.
    pub fn get(&self, name: &str) -> Result<&TreeImage> {
        self.images.iter().find(|image| image.name == name).ok_or_else(|| {
            let hint = match nearest(name, self.images.iter().map(|image| &*image.name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let names: Vec<String> = self.images.iter().map(|image| format!("`{}`", image.name)).collect();
                    format!("the images are {}", names.join(", "))
                }
            };
            let message = match self.root.as_os_str().is_empty() {
                true => format!("there is no image `{name}`"),
                false => format!("there is no image `{name}` in `{}`", self.root.display()),
            };
            Error::new(ErrorKind::NotFound, message).with_hint(hint)
        })
    }

    /// These images and all that they need, in order.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn with_needed(&self, names: &[String]) -> Result<Vec<&TreeImage>> {
        let mut wanted = names.iter().map(|name| Ok(self.get(name)?.name.as_str())).collect::<Result<BTreeSet<_>>>()?;
        // What an image needs stands before it.
        for image in self.images.iter().rev() {
            if wanted.contains(image.name.as_str()) {
                wanted.extend(image.tree_needs().map(|(name, _)| name));
            }
        }
        Ok(self.images.iter().filter(|image| wanted.contains(image.name.as_str())).collect())
    }

    /// The images that need this one, also by way of others, in order.
    #[must_use]
    pub fn dependents(&self, name: &str) -> Vec<&TreeImage> {
        let mut changed = BTreeSet::from([name]);
        let mut found = Vec::new();
        for image in &self.images {
            if image.tree_needs().any(|(needed, _)| changed.contains(needed)) {
                changed.insert(&image.name);
                found.push(image);
            }
        }
        found
    }
}

fn refuse_two_of_one_name(images: &[TreeImage]) -> Result<()> {
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for image in images {
        if let Some(other) = seen.insert(&image.name, &image.path) {
            let message = format!("two images have the name `{}`: another is in `{}`", image.name, other.display());
            return Err(Error::new(ErrorKind::ImageTree, message)
                .with_hint("rename one of the folders, or remove one of the files")
                .at(find::start_of(&image.path)));
        }
    }
    let mut kept: BTreeMap<&ImageReference, &str> = BTreeMap::new();
    for image in images {
        if let Some(other) = kept.insert(&image.repository, &image.name) {
            let message = format!("`{}` and `{other}` would both be kept as `{}`", image.name, image.repository);
            return Err(Error::new(ErrorKind::ImageTree, message)
                .with_hint("give one of them another `name`, or rename its folder")
                .at(find::start_of(&image.path)));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
