//! One at a time for each environment: within this process, and among those that share a state directory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::error::{Error, ErrorKind, Result};
use crate::name::EnvironmentName;

#[derive(Debug)]
pub(super) struct Locks {
    folder: Option<PathBuf>,
    local: Mutex<BTreeMap<EnvironmentName, Arc<tokio::sync::Mutex<()>>>>,
}

/// A turn, which ends when it is dropped. The file's lock is the system's: a killed holder frees it at once.
pub(super) struct Turn {
    _file: Option<File>,
    _local: OwnedMutexGuard<()>,
}

impl Locks {
    pub(super) fn new(folder: Option<&Path>) -> Self {
        Self { folder: folder.map(Path::to_path_buf), local: Mutex::default() }
    }

    /// Waits for the turn.
    pub(super) async fn take(&self, name: &EnvironmentName) -> Result<Turn> {
        let local = {
            let mut local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(local.entry(name.clone()).or_default())
        };
        let local = local.lock_owned().await;
        let Some(folder) = &self.folder else { return Ok(Turn { _file: None, _local: local }) };
        let path = folder.join(format!("{name}.lock"));
        let failed =
            |error: std::io::Error| Error::new(ErrorKind::Io, format!("cannot lock `{}`: {error}", path.display()));
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        // Whoever has it may take minutes: not on a thread that others need.
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        let file = locked.map_err(std::io::Error::other).and_then(|locked| locked).map_err(failed)?;
        Ok(Turn { _file: Some(file), _local: local })
    }
}
