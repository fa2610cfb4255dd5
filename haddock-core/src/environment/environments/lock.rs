//! Turns: an environment is changed by one call at a time, in this process and in all that share a state directory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
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

    /// The turn, if nobody has it now.
    pub(super) fn try_take(&self, name: &EnvironmentName) -> Result<Option<Turn>> {
        let Ok(local) = self.local(name).try_lock_owned() else { return Ok(None) };
        let Some(folder) = &self.folder else { return Ok(Some(Turn { _file: None, _local: local })) };
        let path = folder.join(format!("{name}.lock"));
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Turn { _file: Some(file), _local: local })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
        }
    }

    fn local(&self, name: &EnvironmentName) -> Arc<tokio::sync::Mutex<()>> {
        let mut local = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(local.entry(name.clone()).or_default())
    }

    /// Waits for the turn.
    pub(super) async fn take(&self, name: &EnvironmentName) -> Result<Turn> {
        let local = self.local(name).lock_owned().await;
        let Some(folder) = &self.folder else { return Ok(Turn { _file: None, _local: local }) };
        let path = folder.join(format!("{name}.lock"));
        let file = open(&path)?;
        // The holder may take minutes. So the wait is not on a thread that others need.
        let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
        let file = locked.map_err(std::io::Error::other).and_then(|locked| locked);
        let file = file.map_err(|error| failed(&path, &error))?;
        Ok(Turn { _file: Some(file), _local: local })
    }
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot lock `{}`: {error}", path.display()))
}
