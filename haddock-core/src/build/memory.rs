//! What each image was built from, kept beside the work: for reasons that name files, and for files that need not be
//! read again. Without it everything is read, and the reasons are coarser.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::context::KnownFiles;
use super::inputs::Inputs;
use crate::image::tree::TreeImage;

/// What is kept of one image.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The files of its context, when they were last read.
    pub(super) known: Option<KnownFiles>,
    /// What it was built from, when it was last built or found.
    pub(super) built: Option<Inputs>,
}

impl Remembered {
    /// The same, after it was built from these inputs.
    pub(super) fn with_built(&self, inputs: Inputs) -> Self {
        Self { known: self.known.clone(), built: Some(inputs) }
    }
}

/// The folder of what is kept; without one, nothing is.
pub(super) struct Memory<'a>(pub(super) Option<&'a Path>);

impl Memory<'_> {
    /// Another checkout of the same tree has a memory of its own.
    fn path(&self, image: &TreeImage) -> Option<PathBuf> {
        // Two checkouts may both be called `.`.
        let source = std::path::absolute(image.dockerfile.as_ref().unwrap_or(&image.context)).ok()?;
        let place = format!("{}\0{}", source.display(), image.name);
        Some(self.0?.join(format!("{}.json", blake3::hash(place.as_bytes()).to_hex())))
    }

    /// What is kept of an image. What cannot be read is as nothing: it is made again.
    pub(super) fn read(&self, image: &TreeImage) -> Remembered {
        let bytes = self.path(image).and_then(|path| fs::read(path).ok());
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    pub(super) fn write(&self, image: &TreeImage, remembered: &Remembered) {
        let Some(path) = self.path(image) else { return };
        if let Err(error) = write_whole(&path, remembered) {
            tracing::warn!(image = image.name, %error, "it cannot be kept what the image is built from");
        }
    }
}

/// Makes a folder of what is kept, for this user alone: it names files, and tells what they hash to.
pub(super) fn make_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A reader finds the file as it was, or as it is now.
fn write_whole(path: &Path, remembered: &Remembered) -> std::io::Result<()> {
    make_folder(path.parent().unwrap_or(Path::new(".")))?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = std::io::BufWriter::new(fs::File::create(&beside)?);
    serde_json::to_writer(&mut file, remembered)?;
    file.flush()?;
    fs::rename(&beside, path)
}
