//! An image of a tree, and what it needs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::image::dockerfile::{Dockerfile, ImageUse, platform_args};
use crate::image::{BuildSecret, ImageReference};

/// An image of a tree.
#[derive(Clone)]
pub struct TreeImage {
    /// Its name: that in `haddock-images.yaml`, else the path of its folder from the root, with `/`, in small letters.
    /// That of an image in the root is the root folder's name.
    pub name: String,
    /// The path of its Dockerfile from the root, as messages show it.
    pub path: PathBuf,
    /// The folder that it is built from.
    pub context: PathBuf,
    /// Its Dockerfile; `None` if its text is in no file of its own.
    pub dockerfile: Option<PathBuf>,
    /// What its Dockerfile says about images.
    pub head: Dockerfile,
    /// Where it is kept, with the tag `latest`; see [`ImageReference::with_tag`].
    pub repository: ImageReference,
    /// Its own tag, in place of the one that all images of the tree get.
    pub tag: Option<String>,
    /// More names that it gets, whole.
    pub more_names: Vec<ImageReference>,
    /// Whether only other images need it. Then it gets no name but that of its inputs, and is not pushed.
    pub is_part: bool,
    /// The stage that becomes the image; the last one if there is none.
    pub target: Option<String>,
    /// The values of `ARG`.
    pub args: BTreeMap<String, String>,
    /// Files that steps may read.
    pub secrets: Vec<BuildSecret>,
    /// Whether steps may use the keys of this user's agent.
    pub ssh: bool,
    /// `os/architecture[/variant]`; that of the builder if there is none.
    pub platform: Option<String>,
    /// Lines of `/etc/hosts` in the steps, as `name:address`.
    pub extra_hosts: Vec<String>,
    /// The network of the steps; the builder's default if there is none.
    pub network: Option<String>,
    /// Whether its registries are asked for the images that it needs from outside, although the host may have them.
    pub pull: bool,
    /// Whether its steps are all run when it is built. If nothing has changed, it is not built.
    pub no_cache: bool,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// The image that it stands on, as its Dockerfile names it, with the values of arguments; `None` for `scratch`.
    pub base: Option<String>,
    /// The images that its build needs, in order of its Dockerfile, each as often as it is named.
    pub needs: Vec<Need>,
}

/// An image that a build needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Which.
    pub image: NeededImage,
    /// Where the Dockerfile names it.
    pub used: ImageUse,
}

/// Which image a build needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NeededImage {
    /// The image of this name in the tree.
    Tree(String),
    /// One from elsewhere.
    Outside(ImageReference),
}

/// Without the values of arguments, which may be secret.
impl fmt::Debug for TreeImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TreeImage")
            .field("name", &self.name)
            .field("path", &self.path)
            .field("args", &self.args.keys())
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl TreeImage {
    /// An image that is built from a folder, by a Dockerfile that is in no file.
    pub(crate) fn new(name: String, repository: ImageReference, context: PathBuf, head: Dockerfile) -> Self {
        Self {
            name,
            path: PathBuf::new(),
            context,
            dockerfile: None,
            head,
            repository,
            tag: None,
            more_names: Vec::new(),
            is_part: false,
            target: None,
            args: BTreeMap::new(),
            secrets: Vec::new(),
            ssh: false,
            platform: None,
            extra_hosts: Vec::new(),
            network: None,
            pull: false,
            no_cache: false,
            labels: BTreeMap::new(),
            base: None,
            needs: Vec::new(),
        }
    }

    /// The images of the tree that its build needs, each as often as it is named.
    pub fn tree_needs(&self) -> impl Iterator<Item = (&str, &ImageUse)> {
        self.needs.iter().filter_map(|need| match &need.image {
            NeededImage::Tree(name) => Some((name.as_str(), &need.used)),
            NeededImage::Outside(_) => None,
        })
    }

    /// The values with which its Dockerfile is read: its arguments, and those that its platform gives.
    #[must_use]
    pub fn values_of_args(&self) -> BTreeMap<String, String> {
        let mut values = self.platform.as_deref().map(platform_args).unwrap_or_default();
        values.extend(self.args.clone());
        values
    }
}
