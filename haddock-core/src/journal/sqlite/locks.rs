//! The operating-system locks beside the leases: they end with their process.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::file::private_file;
use crate::error::{Error, ErrorKind, Result};
use crate::name::ServiceName;

/// The locks that this process holds through one journal.
pub(super) struct Locks {
    journal: PathBuf,
    held: Mutex<BTreeMap<ServiceName, Held>>,
}

struct Held {
    /// The epoch of the lease beside it.
    epoch: u64,
    /// Closed, it gives the lock back.
    _file: File,
}

/// Whether a lock is held here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// It was taken just now: nobody else has it.
    Taken,
    /// It was held here already, beside an earlier lease.
    Already,
    /// Another process has it.
    No,
}

impl Locks {
    pub(super) fn new(journal: &Path) -> Self {
        Self { journal: journal.to_owned(), held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock of a service, beside no lease yet, unless it is held somewhere.
    pub(super) fn take(&self, service: &ServiceName) -> Result<Holds> {
        let mut held = self.held();
        if held.contains_key(service) {
            return Ok(Holds::Already);
        }
        let path = self.path(service);
        // Whoever can read it can lock it.
        let private = private_file().open(&path).and_then(|file| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        });
        let file = private.map_err(|error| {
            Error::new(ErrorKind::JournalUnavailable, format!("cannot open `{}`: {error}", path.display()))
        })?;
        match file.try_lock() {
            Ok(()) => {
                held.insert(service.clone(), Held { epoch: 0, _file: file });
                Ok(Holds::Taken)
            }
            Err(TryLockError::WouldBlock) => Ok(Holds::No),
            Err(TryLockError::Error(error)) => {
                let message = format!("cannot lock `{}`: {error}", path.display());
                Err(Error::new(ErrorKind::JournalUnavailable, message))
            }
        }
    }

    /// From now on it stands beside the lease of that epoch.
    pub(super) fn stand_beside(&self, service: &ServiceName, epoch: u64) {
        if let Some(held) = self.held().get_mut(service) {
            held.epoch = epoch;
        }
    }

    /// Whether it stands beside the lease of that epoch.
    pub(super) fn stands_beside(&self, service: &ServiceName, epoch: u64) -> bool {
        self.held().get(service).is_some_and(|held| held.epoch == epoch)
    }

    /// Gives it back, if it stands beside the lease of that epoch: a later one may be of this process too.
    pub(super) fn give_back(&self, service: &ServiceName, epoch: u64) {
        let mut held = self.held();
        if held.get(service).is_some_and(|held| held.epoch == epoch) {
            held.remove(service);
        }
    }

    /// Whether a process that lives holds it, as far as can be told.
    pub(super) fn is_held(&self, service: &ServiceName) -> bool {
        if self.held().contains_key(service) {
            return true;
        }
        // A shared lock, given back at once: two that look do not see each other.
        let looked = OpenOptions::new().read(true).open(self.path(service)).map(|file| file.try_lock_shared());
        !matches!(looked, Ok(Ok(())))
    }

    fn path(&self, service: &ServiceName) -> PathBuf {
        let mut path = self.journal.clone().into_os_string();
        path.push(format!(".{service}.lock"));
        path.into()
    }
}
