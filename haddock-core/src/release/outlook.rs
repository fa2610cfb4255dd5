//! What is released by itself, and what is not: the words for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::name::{ComponentName, VersionId};
use crate::time::Timestamp;

/// Where a version that was released by itself comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The tag.
    pub tag: String,
    /// When its images were built, or the last of them.
    pub built: Timestamp,
    /// By what hosts may know each of its images: ids and digests. If the pull brings another one, then the tag has come to
    /// mean another image.
    pub images: BTreeMap<ComponentName, BTreeSet<String>>,
}

/// What comes next by itself, as seen by whoever follows the registry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outlook {
    /// Whether somebody follows the registry. It ends with `false` if it is ended in order.
    pub on: bool,
    /// Which tags: repository and pattern.
    pub of: String,
    /// The tag that waits to be released.
    pub tag: Option<String>,
    /// For what it waits, or why nothing can be said.
    pub waits: Option<FollowWait>,
    /// Newer tags than what serves that are not released by themselves, newest first.
    pub skipped: Vec<SkippedTag>,
}

/// A tag that is not released by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkippedTag {
    /// The tag.
    pub tag: String,
    /// The digest that it had.
    pub digest: String,
    /// Why.
    pub why: SkipReason,
}

/// Why a tag is not released by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// A newer tag is released in its place. If that one fails, this one may come.
    Newer(String),
    /// This version has the same images, and was given up.
    GivenUp(VersionId),
    /// Its image does not say when it was built, so nobody knows whether it is newer than what serves.
    Undated,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(tag) => write!(f, "`{tag}` is newer"),
            Self::GivenUp(version) => write!(f, "version {} has the same images, and was given up", version.0),
            Self::Undated => f.write_str("its image does not say when it was built"),
        }
    }
}

/// For what the next tag waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FollowWait {
    /// A release is in progress.
    Release(VersionId),
    /// Something that somebody asked for has not been taken up yet, or waits itself.
    Request,
    /// A freeze.
    Freeze {
        /// When it ends.
        until: Timestamp,
        /// The same, as clocks there show it.
        shown: String,
    },
    /// This image of the same tag is not in the registry yet.
    Image(String),
    /// The service is being retired, or was retired. Somebody has to release it.
    Retired,
    /// The registry does not answer, the compose file is wrong, or the like. It is tried again.
    Trouble(Error),
}

impl FollowWait {
    /// Whether somebody may have to do something, or would wonder why nothing happens.
    #[must_use]
    pub fn is_news(&self) -> bool {
        !matches!(self, Self::Release(_) | Self::Request)
    }

    /// Whether both are the same to somebody who was told of one. What a registry says may differ from one look to the next.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Trouble(one), Self::Trouble(other)) => one.kind() == other.kind(),
            _ => self == other,
        }
    }
}

impl fmt::Display for FollowWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(version) => write!(f, "the release of version {} is in progress", version.0),
            Self::Request => f.write_str("something that was asked for comes first"),
            Self::Freeze { shown, .. } => write!(f, "releases are frozen until {shown}"),
            Self::Image(image) => write!(f, "`{image}` is not in the registry yet"),
            Self::Retired => f.write_str("the service was retired: release it by hand"),
            Self::Trouble(error) => write!(f, "{error}"),
        }
    }
}
