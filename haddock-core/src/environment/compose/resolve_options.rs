//! The options for resolving a compose file: for what purpose, and with which values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::variables::Variables;
use crate::image::ImageReference;
use crate::name::{ComponentName, EnvironmentName};

/// The variable that [`ResolveOptions::tag`] sets.
pub(super) const TAG: &str = "TAG";

/// What a compose file is resolved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// An environment of its own, such as one for tests. It has a copy of every component.
    #[default]
    Environment,
    /// A release. Versions run side by side, so a versioned component must not use what only one can have, such as a
    /// port of the host.
    Release,
}

/// What fills in a compose file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolveOptions {
    /// The environment that the file is resolved for: the value of `COMPOSE_PROJECT_NAME`. If there is none, the value
    /// is the service's name in a release, and otherwise the project's name as in Compose.
    pub environment: Option<EnvironmentName>,
    /// The caller's environment. It wins over `.env`.
    pub variables: Variables,
    /// The tag that the release names: the value of `TAG`. It wins over the environment.
    pub tag: Option<String>,
    /// Further variables that the release names. An image that mentions one makes its component versioned.
    pub release_variables: BTreeMap<String, String>,
    /// Images that take the place of the file's, by component.
    pub images: BTreeMap<ComponentName, ImageReference>,
    /// Files of variables instead of the `.env` next to the compose file; later ones win. Relative paths start at the
    /// compose file's directory.
    pub env_files: Vec<PathBuf>,
    /// The active profiles. `*` means all. If none is named here, those in the variable `COMPOSE_PROFILES` are active.
    /// The environment has a component with `profiles` only if one of them is active.
    pub profiles: BTreeSet<String>,
    /// The components that are to run, with those that they need. If there are none here, all are to run. Otherwise, a
    /// component that is not to run and has an error is left out, and the error is only a note.
    pub only: BTreeSet<ComponentName>,
    /// What the file is resolved for.
    pub purpose: Purpose,
}
