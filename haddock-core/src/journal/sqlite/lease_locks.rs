//! The operating-system locks that belong to the leases. A lock ends with its process.

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
    /// The epoch of the lease that the lock belongs to; 0: it belongs to none yet.
    epoch: u64,
    /// Closing the file gives the lock back.
    _file: File,
}

/// Whether a lock is held here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// It was taken just now: nobody else has it.
    Taken,
    /// It was held here already, for an earlier lease.
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

    /// Takes the lock of a service, unless it is held somewhere. It belongs to no lease yet.
    pub(super) fn take(&self, service: &ServiceName) -> Result<Holds> {
        let mut held = self.held();
        if held.contains_key(service) {
            return Ok(Holds::Already);
        }
        let path = self.path(service);
        // Whoever can read the file can lock it. So only its owner can.
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

    /// From now on the lock belongs to the lease of that epoch.
    pub(super) fn stand_beside(&self, service: &ServiceName, epoch: u64) {
        if let Some(held) = self.held().get_mut(service) {
            held.epoch = epoch;
        }
    }

    /// Whether the lock belongs to the lease of that epoch.
    pub(super) fn stands_beside(&self, service: &ServiceName, epoch: u64) -> bool {
        self.held().get(service).is_some_and(|held| held.epoch == epoch)
    }

    /// Gives the lock back, if it belongs to the lease of that epoch. It may belong to a later lease of this process by
    /// now.
    pub(super) fn give_back(&self, service: &ServiceName, epoch: u64) {
        let mut held = self.held();
        if held.get(service).is_some_and(|held| held.epoch == epoch) {
            held.remove(service);
        }
    }

    /// Whether a living process holds the lock. If that cannot be found out, the answer is yes.
    pub(super) fn is_held(&self, service: &ServiceName) -> bool {
        if self.held().contains_key(service) {
            return true;
        }
        // A shared lock that is given back at once, so that two processes that look here do not disturb each other.
        let looked = OpenOptions::new().read(true).open(self.path(service)).map(|file| file.try_lock_shared());
        !matches!(looked, Ok(Ok(())))
    }

    fn path(&self, service: &ServiceName) -> PathBuf {
        let mut path = self.journal.clone().into_os_string();
        path.push(format!(".{service}.lock"));
        path.into()
    }
}
