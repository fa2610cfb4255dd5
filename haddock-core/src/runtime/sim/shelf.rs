//! What is known of images that were built.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::Error;
use crate::runtime::BuildRequest;
use crate::time::Timestamp;

/// One build that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimBuild {
    /// What was asked for.
    pub request: BuildRequest,
    /// The archive of its context.
    pub context: Vec<u8>,
    /// The images of its `FROM` lines, without `scratch` and the names of stages.
    pub bases: Vec<String>,
}

/// What is known of an image that was built or pushed.
#[derive(Debug, Clone, Default)]
pub(super) struct Detail {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) created: Timestamp,
    pub(super) named: Timestamp,
    pub(super) digests: BTreeSet<String>,
}

/// What a builder has besides the engine's images.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    pub(super) builds: Vec<SimBuild>,
    pub(super) running: usize,
    pub(super) most_running: usize,
    pub(super) build_time: Duration,
    pub(super) transfer_time: Duration,
    pub(super) registry_fails: Option<Error>,
    pub(super) pushed: Vec<String>,
    /// Whether registries refuse to delete images.
    pub(super) deletes_forbidden: bool,
    pub(super) failures: BTreeMap<String, Error>,
    pub(super) details: BTreeMap<String, Detail>,
    /// The ids of images that cannot be removed, and why.
    pub(super) needed: BTreeMap<String, String>,
}
