//! What is to be done with the images of a tree.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The options of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildOptions {
    /// Only these images, and what they need; empty: all.
    pub images: Vec<String>,
    /// Push each image as soon as it is there.
    pub push: bool,
    /// Leave alone what has not changed: it gets no new tag, and is not pushed, unless its registry does not have it.
    pub changed: bool,
    /// Ask registries whether images outside of the tree have moved.
    pub pull: bool,
    /// Build all anew, also what has not changed.
    pub no_cache: bool,
    /// Push although the tree differs from its commit.
    pub allow_dirty: bool,
}

/// What is done with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BuildAction {
    /// It is built.
    Build,
    /// It is on the host, and stays.
    Keep,
    /// It is taken from its registry, where another machine has pushed it.
    Pull,
}

impl fmt::Display for BuildAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "build",
            Self::Keep => "keep",
            Self::Pull => "pull",
        })
    }
}
