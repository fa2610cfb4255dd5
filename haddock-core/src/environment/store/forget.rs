//! Writing specifications and forgetting unused ones take turns, among all processes that have the folder open.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{Place, SpecStore, failed};
use crate::error::Result;

/// A turn to put specifications. None is forgotten until it is dropped. The file's lock is the system's: a killed
/// holder frees it at once.
#[derive(Debug)]
pub(crate) struct Putting {
    _file: Option<File>,
}

/// A turn to forget specifications. None is put until it is dropped.
#[derive(Debug)]
pub(crate) struct Forgetting {
    specs: SpecStore,
    _file: File,
}

impl Forgetting {
    /// Forgets every specification but these.
    pub(crate) fn all_but(self, digests: &BTreeSet<String>) -> Result<()> {
        self.specs.retain(digests)
    }
}

impl SpecStore {
    /// Takes a turn to put specifications. Hold it until something that [`Forgetting`] looks at refers to them.
    pub(crate) async fn putting(&self) -> Result<Putting> {
        let Place::Folder(folder) = &self.place else { return Ok(Putting { _file: None }) };
        let path = path(folder);
        let file = open(&path)?;
        let locked = tokio::task::spawn_blocking(move || file.lock_shared().map(|()| file)).await;
        let locked = locked.map_err(std::io::Error::other).and_then(|locked| locked);
        Ok(Putting { _file: Some(locked.map_err(|error| failed("lock", &path, &error))?) })
    }

    /// Takes a turn to forget. `None` while somebody else has a turn, or if nothing is kept beyond the process.
    pub(crate) fn try_forget(&self) -> Result<Option<Forgetting>> {
        let Place::Folder(folder) = &self.place else { return Ok(None) };
        let path = path(folder);
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Forgetting { specs: self.clone(), _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path, &error)),
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("lock")
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map_err(|error| failed("lock", path, &error))
}
