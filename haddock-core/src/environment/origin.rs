//! From which files an environment is brought up.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where an environment's compose files are: two folders of one name, or two checkouts of one project, are two origins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The folder of the first file, without links.
    pub folder: PathBuf,
    /// The files, without links.
    pub files: Vec<PathBuf>,
}

impl Origin {
    /// Whether both have a file in common, or the other's have gone, as one that was given another name has.
    #[must_use]
    #[cfg(feature = "controller")]
    pub(crate) fn continues(&self, before: &Self) -> bool {
        self.files.iter().any(|file| before.files.contains(file)) || !before.files.iter().any(|file| file.exists())
    }
}
