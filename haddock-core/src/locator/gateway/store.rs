//! What outlives a restart: for each service its newest number, its table and its closed marks, in a file of its own.
//!
//! A file is written beside its place, synced and renamed; then the directory is synced. So there is the old or the new
//! file, whenever the power fails.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{FencingToken, RoutingTable};

use super::watermarks::Watermarks;

/// The format of the files. A newer one cannot be read.
const FILE_FORMAT: u32 = 1;

/// What is kept of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    format: u32,
    pub(super) service: ServiceName,
    pub(super) newest: FencingToken,
    pub(super) table: Option<RoutingTable>,
    pub(super) closed: BTreeSet<InstanceId>,
    #[serde(default, skip_serializing_if = "Watermarks::is_empty")]
    pub(super) watermarks: Watermarks,
    /// The names of the application's cookies by which sessions were known before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) former: Vec<String>,
}

impl Saved {
    pub(super) fn new(
        service: ServiceName,
        newest: FencingToken,
        table: Option<RoutingTable>,
        closed: BTreeSet<InstanceId>,
        watermarks: Watermarks,
    ) -> Self {
        Self { format: FILE_FORMAT, service, newest, table, closed, watermarks, former: Vec::new() }
    }

    pub(super) fn with_former(self, former: Vec<String>) -> Self {
        Self { former, ..self }
    }
}

/// The state directory. One gateway has it at a time.
#[derive(Debug, Clone)]
pub(super) struct Store {
    dir: PathBuf,
    /// The lock on it, as long as it is ours.
    lock: Arc<RwLock<Option<File>>>,
}

impl Store {
    /// Takes the directory. If it is missing, it is made for its owner alone. Answers whether a gateway has kept its
    /// state there before.
    pub(super) fn open(dir: &Path) -> Result<(Self, bool)> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| failed("create state directory", dir, &error))?;
        let store = Self { dir: dir.to_owned(), lock: Arc::new(RwLock::new(Some(take(dir)?))) };
        let known = store.marker().exists();
        Ok((store, known))
    }

    /// Notes that the files here name every instance that has sessions from now on.
    pub(super) fn mark(&self) -> Result<()> {
        self.write(&self.marker(), b"{\"format\":1}\n")
    }

    /// Lets the next gateway have the directory. From now on nothing is written.
    pub(super) fn give_back(&self) {
        self.lock.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn key_file(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// Where the record of traffic is.
    pub(super) fn traffic_folder(&self) -> PathBuf {
        self.dir.join("traffic")
    }

    /// Writes what is not part of the state, as long as the directory is ours. `None`: it no longer is.
    pub(super) fn beside<T>(&self, write: impl FnOnce() -> T) -> Option<T> {
        let ours = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        ours.as_ref().map(|_| write())
    }

    fn marker(&self) -> PathBuf {
        self.dir.join("gateway.json")
    }

    fn file(&self, service: &ServiceName) -> PathBuf {
        self.dir.join(format!("service-{service}.json"))
    }

    /// Every service that has a file.
    pub(super) fn services(&self) -> Result<Vec<ServiceName>> {
        let entries = fs::read_dir(&self.dir).map_err(|error| failed("read state directory", &self.dir, &error))?;
        let mut services = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed("read state directory", &self.dir, &error))?;
            let name = entry.file_name();
            let service = name.to_str().and_then(|name| name.strip_prefix("service-")?.strip_suffix(".json"));
            services.extend(service.and_then(|service| ServiceName::new(service).ok()));
        }
        services.sort();
        Ok(services)
    }

    /// What is kept of a service, if anything.
    pub(super) fn load(&self, service: &ServiceName) -> Result<Option<Saved>> {
        let path = self.file(service);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path, &error)),
        };
        let saved: Saved = serde_json::from_slice(&text).map_err(|error| {
            Error::new(ErrorKind::Io, format!("`{}` cannot be understood: {error}", path.display()))
                .with_hint("restore it: without it, what the locator promised to be closed could be opened again")
        })?;
        if saved.format > FILE_FORMAT || saved.service != *service {
            let message = format!("`{}` is of format {} for `{}`", path.display(), saved.format, saved.service);
            return Err(Error::new(ErrorKind::Io, message).with_hint("it was written by a newer Haddock, or moved"));
        }
        Ok(Some(saved))
    }

    /// Keeps it. When this has returned, it is on disk.
    pub(super) fn save(&self, saved: &Saved) -> Result<()> {
        let text = serde_json::to_vec(saved)
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot write down the state: {error}")))?;
        self.write(&self.file(&saved.service), &text)
    }

    fn write(&self, path: &Path, text: &[u8]) -> Result<()> {
        let ours = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        if ours.is_none() {
            return Err(Error::new(ErrorKind::LocatorUnavailable, "this gateway has ended"));
        }
        let beside = path.with_extension("new");
        let written = private(&beside, true)
            .and_then(|mut file| file.write_all(text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, path))
            .and_then(|()| File::open(&self.dir)?.sync_all());
        written.map_err(|error| {
            // A half-written file would take up room, and room is what is missing.
            let _ = fs::remove_file(&beside);
            failed("write", path, &error).with_hint(
                "until it can be, no table is taken up and no instance is reported as closed; what is in force stays so",
            )
        })
    }
}

/// Takes the directory's lock. It ends with the process, however that ends.
fn take(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let mut file = private(&path, false).map_err(|error| failed("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok());
            let holder = holder.map(|process| format!(", process {process}")).unwrap_or_default();
            let message = format!("state directory `{}` is in use by another gateway{holder}", dir.display());
            return Err(Error::new(ErrorKind::Busy, message)
                .with_hint("stop that one, or give this one a directory of its own"));
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock", &path, &error)),
    }
    // The text is for people. The lock works without it, such as on a full disk.
    let _ = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    Ok(file)
}

/// Opens a file to write it. If it is missing, it is made for its owner alone.
fn private(path: &Path, empty: bool) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(empty).mode(0o600).open(path)
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(revision: u64) -> Saved {
        let closed = [InstanceId::new("shop-1").expect("valid")].into();
        let newest = FencingToken { epoch: 1, revision };
        Saved::new(ServiceName::new("shop").expect("valid"), newest, None, closed, Watermarks::default())
    }

    #[test]
    fn what_was_saved_last_is_loaded() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, known) = Store::open(&dir.path().join("a/b")).expect("made");
        assert!(!known);
        store.mark().expect("written");
        assert_eq!(store.load(&saved(1).service).expect("read"), None);
        for revision in [1, 2] {
            store.save(&saved(revision)).expect("written");
        }
        store.give_back();
        assert_eq!(store.save(&saved(3)).expect_err("not ours any more").kind(), ErrorKind::LocatorUnavailable);
        let (store, known) = Store::open(&dir.path().join("a/b")).expect("there");
        assert!(known);
        assert_eq!(store.load(&saved(1).service).expect("read"), Some(saved(2)));
        assert_eq!(store.services().expect("read"), [saved(1).service]);
    }

    #[test]
    fn one_has_the_directory_at_a_time_and_nobody_else_can_look_into_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("state/gateway");
        let (store, _) = Store::open(&path).expect("made");
        let error = Store::open(&path).expect_err("taken");
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.message().contains(&format!("process {}", std::process::id())), "{error}");
        store.save(&saved(1)).expect("ours");
        for (made, mode) in [("state", 0o700), ("state/gateway", 0o700)]
            .into_iter()
            .chain(["state/gateway/lock", "state/gateway/service-shop.json"].map(|file| (file, 0o600)))
        {
            let metadata = fs::metadata(dir.path().join(made)).expect("made");
            assert_eq!(metadata.permissions().mode() & 0o777, mode, "{made}");
        }
    }

    #[test]
    fn a_torn_or_newer_file_is_an_error_and_not_an_empty_state() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(dir.path()).expect("made");
        store.save(&saved(1)).expect("written");
        let path = store.file(&saved(1).service);
        let text = fs::read_to_string(&path).expect("there");
        fs::write(&path, &text[..text.len() / 2]).expect("written");
        assert_eq!(store.load(&saved(1).service).expect_err("torn").kind(), ErrorKind::Io);
        fs::write(&path, text.replace("\"format\":1", "\"format\":2")).expect("written");
        assert!(store.load(&saved(1).service).expect_err("newer").message().contains("format 2"));
    }

    #[test]
    fn a_crash_before_the_rename_leaves_the_old_state() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(dir.path()).expect("made");
        store.save(&saved(1)).expect("written");
        fs::write(store.file(&saved(1).service).with_extension("new"), b"half of").expect("written");
        assert_eq!(store.load(&saved(1).service).expect("read"), Some(saved(1)));
    }
}
