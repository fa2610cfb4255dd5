//! The options for bringing up an environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::environment::{EnvironmentSpec, Origin};
use crate::name::{ComponentName, ServiceName};

/// The options of an [`up`](super::Environments::up).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpOptions {
    /// Only these components, and what they need; empty: all.
    pub only: BTreeSet<ComponentName>,
    /// Leave what was made, if it fails.
    pub keep_on_failure: bool,
    /// Give containers that are created or replaced new unnamed volumes. The former volumes stay on the engine until
    /// the environment is taken down with its volumes.
    pub renew_anonymous_volumes: bool,
    /// Ask registries for newer images, even if the host has an image of that name.
    pub pull: bool,
    /// The specification of the file's service, if it differs from that of an environment of this name. A promotion
    /// releases it.
    pub for_service: Option<EnvironmentSpec>,
    /// The ids of images that are taken in place of what the file names.
    pub images: BTreeMap<ComponentName, String>,
    /// Who asks.
    pub by: String,
    /// From which VCS commit, with `-dirty` if there were changes.
    pub commit: Option<String>,
    /// The compose file, as messages show it.
    pub file: Option<String>,
    /// Where the compose files are. An environment that was brought up from another folder is refused.
    pub origin: Option<Origin>,
    /// Take the environment over although it was brought up from another folder: the project has moved.
    pub take_over: bool,
    /// Components that the file has and that are not wanted now, such as those of a profile that is not active. They
    /// are left as they are.
    pub aside: BTreeSet<ComponentName>,
    /// The service whose instances share the environment; `None`: it is not shared.
    pub shared_by: Option<ServiceName>,
}
