//! The state directory of a gateway: what is [kept](crate::locator::saved) of each service, the key, the record of traffic.

use std::fs::{self, File, TryLockError};
use std::io::{Seek as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::locator::saved::{self, failed, private};
use crate::name::ServiceName;

/// What a gateway keeps of a service.
pub(super) type Saved = saved::Saved<Own>;

/// What only a gateway keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Own {
    /// The names of the application's cookies by which sessions were known before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) former: Vec<String>,
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
        saved::make_dir(dir)?;
        let store = Self { dir: dir.to_owned(), lock: Arc::new(RwLock::new(Some(take(dir)?))) };
        let known = store.marker().exists();
        Ok((store, known))
    }

    /// Whether no gateway has the directory, as it looks now.
    pub(super) fn is_free(dir: &Path) -> Result<bool> {
        saved::make_dir(dir)?;
        match take(dir) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Busy => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the directory over from the gateway that has it, with its lock.
    pub(super) fn adopt(dir: &Path, mut lock: File) -> (Self, bool) {
        sign(&mut lock);
        let store = Self { dir: dir.to_owned(), lock: Arc::new(RwLock::new(Some(lock))) };
        let known = store.marker().exists();
        (store, known)
    }

    /// The lock once more, for the gateway that takes over.
    pub(super) fn lock_again(&self) -> Result<File> {
        self.if_ours(|| Ok(()))?;
        let lock = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        let again = lock.as_ref().map(File::try_clone).transpose();
        let again = again.map_err(|error| failed("lock", &self.dir, &error))?;
        again.ok_or_else(|| Error::new(ErrorKind::LocatorUnavailable, "this gateway has ended"))
    }

    /// Where a gateway is asked to give its place to another.
    pub(super) fn succession_file(&self) -> PathBuf {
        succession_file(&self.dir)
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

    /// Where the log of a service's sessions is.
    pub(super) fn sessions_file(&self, service: &ServiceName) -> PathBuf {
        self.dir.join(format!("sessions-{service}"))
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

    /// Every service that has a file.
    pub(super) fn services(&self) -> Result<Vec<ServiceName>> {
        saved::services(&self.dir)
    }

    /// What is kept of a service, if anything.
    pub(super) fn load(&self, service: &ServiceName) -> Result<Option<Saved>> {
        saved::load(&self.dir, service)
    }

    /// Keeps it. When this has returned, it is on disk.
    pub(super) fn save(&self, saved: &Saved) -> Result<()> {
        self.if_ours(|| saved::save(&self.dir, saved))
    }

    fn write(&self, path: &Path, text: &[u8]) -> Result<()> {
        self.if_ours(|| saved::write(&self.dir, path, text))
    }

    /// The same, where it is an error that it no longer is.
    pub(super) fn if_ours<T>(&self, write: impl FnOnce() -> Result<T>) -> Result<T> {
        self.beside(write).unwrap_or_else(|| Err(Error::new(ErrorKind::LocatorUnavailable, "this gateway has ended")))
    }
}

/// Where the gateway with this directory is asked to give its place to another.
pub(super) fn succession_file(dir: &Path) -> PathBuf {
    dir.join("gateway.sock")
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
    sign(&mut file);
    Ok(file)
}

/// Says in the lock who has it. The text is for people: the lock works without it, such as on a full disk.
fn sign(file: &mut File) {
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locator::watermarks::Watermarks;
    use crate::name::InstanceId;
    use crate::routing::FencingToken;

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
        let path = saved::file(dir.path(), &saved(1).service);
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
        fs::write(saved::file(dir.path(), &saved(1).service).with_extension("new"), b"half of").expect("written");
        assert_eq!(store.load(&saved(1).service).expect("read"), Some(saved(1)));
    }
}
