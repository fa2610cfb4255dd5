//! From which files an environment is brought up.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where an environment's compose files are. Two folders of the same name are two origins, and so are two checkouts of
/// one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The folder of the first file, with symbolic links resolved.
    pub folder: PathBuf,
    /// The files, with symbolic links resolved.
    pub files: Vec<PathBuf>,
}

impl Origin {
    /// Whether both have a file in common, or the files of `before` are gone, as after a renaming.
    #[must_use]
    #[cfg(feature = "controller")]
    pub(crate) fn continues(&self, before: &Self) -> bool {
        self.files.iter().any(|file| before.files.contains(file)) || !before.files.iter().any(|file| file.exists())
    }
}
