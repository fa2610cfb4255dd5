//! The state directory: what HAProxy does not keep for us.
//!
//! Several processes may work with one HAProxy, such as `haddock serve` and `haddock status`. So nothing is remembered
//! between two calls: each call locks its service, reads the file, and writes it.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::locator::saved::{self, Saved, failed, private};
use crate::name::{InstanceId, ServiceName};
use crate::routing::FencingToken;
use crate::time::{Timestamp, sleep};

/// How often the lock is tried, and for how long. A call that holds it may take 5 s.
const LOCK_EVERY: Duration = Duration::from_millis(10);
const LOCK_TRIES: u32 = 400;

/// What is kept of a service besides its table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Own {
    /// The ids of the servers that were added and not removed.
    #[serde(default)]
    pub(super) servers: BTreeMap<InstanceId, u32>,
    /// The largest id that was ever given. HAProxy would give a removed server's id again, and with it its sessions.
    #[serde(default)]
    pub(super) last_id: u32,
    /// The HAProxy that was seen last.
    #[serde(default)]
    pub(super) life: Option<Life>,
    /// What removed servers had counted, in that HAProxy.
    #[serde(default)]
    pub(super) past: BTreeMap<InstanceId, Past>,
}

/// One process of HAProxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Life {
    pub(super) incarnation: u64,
    /// It was started at this time, or a little earlier.
    pub(super) since: Timestamp,
    /// When the stick table was last seen full: then HAProxy drops sessions, and nobody can count them.
    #[serde(default)]
    pub(super) full: Option<Timestamp>,
}

/// What was counted on servers of one instance that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Past {
    #[serde(default)]
    pub(super) begun: u64,
    #[serde(default)]
    pub(super) requests: u64,
    #[serde(default)]
    pub(super) failed: u64,
    #[serde(default)]
    pub(super) evicted: u64,
    #[serde(default)]
    pub(super) last_seen: Option<Timestamp>,
}

pub(super) type State = Saved<Own>;

/// The directory.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) dir: PathBuf,
}

/// One call's turn at a service. Nobody else reads or writes its file meanwhile.
#[derive(Debug)]
pub(super) struct Turn {
    dir: PathBuf,
    lock: Arc<File>,
    on_disk: Option<State>,
    pub(super) state: State,
}

impl Kept {
    /// Makes the directory, if it is missing.
    pub(super) fn open(dir: PathBuf) -> Result<Self> {
        saved::make_dir(&dir)?;
        Ok(Self { dir })
    }

    /// Every service that has a table.
    pub(super) fn services(&self) -> Result<Vec<ServiceName>> {
        saved::services(&self.dir)
    }

    pub(super) async fn turn(&self, service: &ServiceName) -> Result<Turn> {
        let path = self.dir.join(format!("{service}.lock"));
        let file = private(&path, false).map_err(|error| failed("open", &path, &error))?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => {
                    tries += 1;
                    sleep(LOCK_EVERY).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let message = format!("another process works on `{service}` at this HAProxy, and does not end");
                    return Err(Error::new(ErrorKind::LocatorUnavailable, message));
                }
                Err(TryLockError::Error(error)) => return Err(failed("lock", &path, &error)),
            }
        }
        let on_disk: Option<State> = saved::load(&self.dir, service)?;
        let new = || State::new(service.clone(), FencingToken::default(), None, Default::default(), Default::default());
        let state = on_disk.clone().unwrap_or_else(new);
        Ok(Turn { dir: self.dir.clone(), lock: Arc::new(file), on_disk, state })
    }
}

impl Turn {
    /// Whether anything was ever kept of the service.
    pub(super) fn is_known(&self) -> bool {
        self.on_disk.is_some()
    }

    /// Refuses a number that is older than one that was seen, and takes any other.
    pub(super) fn take_number(&mut self, number: FencingToken) -> Result<()> {
        let newest = self.state.newest;
        if number < newest {
            let message =
                format!("number {number} for `{}` is older than {newest}, which was seen", self.state.service);
            return Err(Error::new(ErrorKind::StaleNumber, message));
        }
        self.state.newest = number;
        Ok(())
    }

    /// Whether the instance gets nothing, for ever.
    pub(super) fn is_closed(&self, instance: &InstanceId) -> bool {
        self.state.closed.contains(instance) || self.state.watermarks.cover(instance)
    }

    /// Forgets what a watermark covers and HAProxy does not have.
    pub(super) fn forget_the_gone(&mut self) {
        let State { closed, watermarks, own, table, .. } = &mut self.state;
        let named = |id: &InstanceId| table.as_ref().is_some_and(|table| table.routes.contains_key(id));
        let gone = |id: &InstanceId| watermarks.cover(id) && !own.servers.contains_key(id);
        closed.retain(|id| !gone(id));
        own.past.retain(|id, _| !gone(id) || named(id));
    }

    /// Writes it down, if anything has changed. When this has returned, it is on disk.
    pub(super) async fn save(&mut self) -> Result<()> {
        if self.on_disk.as_ref() == Some(&self.state) {
            return Ok(());
        }
        // The lock is held until it is written, even if the caller goes away.
        let (dir, state, lock) = (self.dir.clone(), self.state.clone(), Arc::clone(&self.lock));
        let written = tokio::task::spawn_blocking(move || {
            let written = saved::save(&dir, &state);
            drop(lock);
            written
        });
        written.await.map_err(|error| Error::new(ErrorKind::Io, format!("the state is not written: {error}")))??;
        self.on_disk = Some(self.state.clone());
        Ok(())
    }
}
