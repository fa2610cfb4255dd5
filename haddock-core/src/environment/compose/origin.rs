//! Where a compose file is.

use std::path::{Path, PathBuf};

use super::ComposeFile;
use crate::environment::Origin;

impl ComposeFile {
    /// Where the files are; `None` if the text was in no file.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        let folder = self.directory.canonicalize().ok()?;
        let files = self.sources.iter().map(|source| Path::new(&source.name).canonicalize());
        Some(Origin { folder, files: files.collect::<Result<Vec<PathBuf>, _>>().ok()? })
    }
}
