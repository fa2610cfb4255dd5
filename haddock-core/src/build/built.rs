//! Which images were built here, by id, kept beside the work.
//!
//! The labels of an image do not tell it: an image that others build on it inherits them. Its names tell it, until it
//! loses them. An id means the same image for ever, so an image whose id is kept here was built here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::memory::make_folder;

/// The folder of what is kept; without one, nothing is.
pub(super) struct Built<'a>(pub(super) Option<&'a Path>);

impl Built<'_> {
    fn folder(&self) -> Option<PathBuf> {
        Some(self.0?.join("built"))
    }

    /// Keeps the id of an image that was just built. Each has a file of its own, so builds may run at the same time.
    pub(super) fn note(&self, id: &str) {
        let Some(folder) = self.folder() else { return };
        let noted = make_folder(&folder).and_then(|()| fs::write(folder.join(file_name(id)), ""));
        if let Err(error) = noted {
            tracing::warn!(id, %error, "it cannot be kept that the image was built here");
        }
    }

    /// An image that is gone needs no file.
    pub(super) fn forget(&self, id: &str) {
        if let Some(folder) = self.folder() {
            // A file that stays means an image that nobody has: it does no harm.
            let _ = fs::remove_file(folder.join(file_name(id)));
        }
    }

    /// The ids of these that were built here.
    pub(super) fn among<'i>(&self, ids: impl Iterator<Item = &'i str>) -> BTreeSet<&'i str> {
        let Some(folder) = self.folder() else { return BTreeSet::new() };
        let names = fs::read_dir(&folder).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<BTreeSet<_>>>()
        });
        match names {
            Ok(names) => ids.filter(|id| names.contains(&file_name(id))).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "it cannot be read which images were built here");
                BTreeSet::new()
            }
        }
    }
}

/// `sha256:…` with a character that every file system takes.
fn file_name(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}
