//! The spec store: resolved environments by digest, values of environment variables and all.
//!
//! A journal never holds such values, but a successor needs them to start replacements and to roll back. So they are
//! kept beside it, readable by their owner alone. The digest is keyed with a random key of the store: a short value
//! cannot be guessed from it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Component, DependencyCondition, EnvironmentSpec, Link, ServiceSettings};
use crate::container::{HealthCheck, PublishedPort, Sensitive};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::name::ComponentName;

/// Keeps resolved environments by digest. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct SpecStore {
    place: Arc<Place>,
}

enum Place {
    Memory { key: [u8; 32], specs: Mutex<BTreeMap<String, Arc<EnvironmentSpec>>> },
    Directory { key: [u8; 32], path: PathBuf },
}

impl SpecStore {
    /// A store that is gone with the process.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the system gives no random numbers.
    pub fn memory() -> Result<Self> {
        Ok(Self { place: Arc::new(Place::Memory { key: random_key()?, specs: Mutex::default() }) })
    }

    /// A store in a directory, which is made, open to its owner alone, if it is not there.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if it cannot be made or read, or others may look into it.
    pub fn directory(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|e| failed("make", &path, &e))?;
        let mode = fs::metadata(&path).map_err(|e| failed("look at", &path, &e))?.permissions().mode();
        if mode & 0o077 != 0 {
            let message = format!("the spec store `{}` may be read by others", path.display());
            return Err(Error::new(ErrorKind::Io, message).with_hint(format!("run `chmod 700 {}`", path.display())));
        }
        let key = key_of(&path)?;
        Ok(Self { place: Arc::new(Place::Directory { key, path }) })
    }

    /// Keeps the specification, and answers with its digest. The same specification has the same digest.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io).
    pub fn put(&self, spec: &EnvironmentSpec) -> Result<String> {
        let text = serde_json::to_vec(&Stored::from(spec))
            .map_err(|error| Error::new(ErrorKind::Io, format!("a specification cannot be written: {error}")))?;
        let digest = self.digest(&text);
        match &*self.place {
            Place::Memory { specs, .. } => {
                let mut specs = specs.lock().unwrap_or_else(PoisonError::into_inner);
                specs.insert(digest.clone(), Arc::new(spec.clone()));
            }
            Place::Directory { path, .. } => {
                let file = path.join(format!("{digest}.json"));
                if !file.exists() {
                    write_whole(&file, &text).map_err(|error| failed("write", &file, &error))?;
                }
            }
        }
        Ok(digest)
    }

    /// The specification with this digest, if it was ever put here.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if it cannot be read, or is not what was put here.
    pub fn get(&self, digest: &str) -> Result<Option<Arc<EnvironmentSpec>>> {
        match &*self.place {
            Place::Memory { specs, .. } => {
                Ok(specs.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned())
            }
            Place::Directory { path, .. } => {
                if digest.is_empty() || !digest.chars().all(|c| c.is_ascii_hexdigit()) {
                    return Ok(None);
                }
                let file = path.join(format!("{digest}.json"));
                let text = match fs::read(&file) {
                    Ok(text) => text,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(failed("read", &file, &error)),
                };
                let stored: Option<Stored> = serde_json::from_slice(&text).ok();
                match stored.filter(|_| self.digest(&text) == digest) {
                    Some(stored) => Ok(Some(Arc::new(stored.into()))),
                    None => Err(Error::new(ErrorKind::Io, format!("`{}` was changed by somebody", file.display()))),
                }
            }
        }
    }

    fn digest(&self, text: &[u8]) -> String {
        let (Place::Memory { key, .. } | Place::Directory { key, .. }) = &*self.place;
        blake3::keyed_hash(key, text).to_hex()[..32].to_owned()
    }
}

impl fmt::Debug for SpecStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.place {
            Place::Memory { .. } => f.write_str("SpecStore(memory)"),
            Place::Directory { path, .. } => write!(f, "SpecStore({})", path.display()),
        }
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what} `{}`: {error}", path.display()))
}

fn random_key() -> Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| Error::new(ErrorKind::Io, format!("the system gives no random numbers: {error}")))?;
    Ok(key)
}

/// The store's key; makes one if there is none. Of two that make one at once, one wins and both read it.
fn key_of(store: &Path) -> Result<[u8; 32]> {
    let path = store.join("key");
    if !path.exists() {
        let made = store.join(format!(".key.{}", std::process::id()));
        write_whole(&made, &random_key()?).map_err(|error| failed("write", &made, &error))?;
        let linked = fs::hard_link(&made, &path);
        fs::remove_file(&made).map_err(|error| failed("remove", &made, &error))?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("write", &path, &error)),
            _ => {}
        }
    }
    let mut key = [0; 32];
    let read = File::open(&path).and_then(|mut file| file.read_exact(&mut key));
    read.map_err(|error| failed("read", &path, &error))?;
    Ok(key)
}

/// Writes a file that is there whole or not at all, for its owner alone.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A specification with its values in the open: what a file of the store holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    settings: ServiceSettings,
    components: BTreeMap<ComponentName, StoredComponent>,
}

#[derive(Serialize, Deserialize)]
struct StoredComponent {
    image: ImageReference,
    versioned: bool,
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    environment: BTreeMap<String, String>,
    expose: Vec<u16>,
    ports: Vec<PublishedPort>,
    depends_on: BTreeMap<ComponentName, DependencyCondition>,
    links: Vec<Link>,
    health_check: Option<HealthCheck>,
    labels: BTreeMap<String, String>,
    stop_grace_period: Option<Duration>,
    stop_signal: Option<String>,
}

impl From<&EnvironmentSpec> for Stored {
    fn from(spec: &EnvironmentSpec) -> Self {
        let stored = |component: &Component| StoredComponent {
            image: component.image.clone(),
            versioned: component.versioned,
            entrypoint: component.entrypoint.clone(),
            command: component.command.clone(),
            environment: component.environment.iter().map(|(k, v)| (k.clone(), v.expose().to_owned())).collect(),
            expose: component.expose.clone(),
            ports: component.ports.clone(),
            depends_on: component.depends_on.clone(),
            links: component.links.clone(),
            health_check: component.health_check.clone(),
            labels: component.labels.clone(),
            stop_grace_period: component.stop_grace_period,
            stop_signal: component.stop_signal.clone(),
        };
        Self {
            settings: spec.settings.clone(),
            components: spec.components.iter().map(|(name, component)| (name.clone(), stored(component))).collect(),
        }
    }
}

impl From<Stored> for EnvironmentSpec {
    fn from(stored: Stored) -> Self {
        let component = |stored: StoredComponent| Component {
            image: stored.image,
            versioned: stored.versioned,
            entrypoint: stored.entrypoint,
            command: stored.command,
            environment: stored.environment.into_iter().map(|(k, v)| (k, Sensitive::new(v))).collect(),
            expose: stored.expose,
            ports: stored.ports,
            depends_on: stored.depends_on,
            links: stored.links,
            health_check: stored.health_check,
            labels: stored.labels,
            stop_grace_period: stored.stop_grace_period,
            stop_signal: stored.stop_signal,
        };
        Self {
            settings: stored.settings,
            components: stored.components.into_iter().map(|(name, stored)| (name, component(stored))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::compose::{ComposeFile, ResolveOptions};

    const FILE: &str = "
        name: shop
        services:
          web: { image: \"shop:${TAG}\", environment: { PASSWORD: hush }, expose: [80], links: [db], healthcheck: { test: [CMD, ok], interval: 1s } }
          db: { image: \"db:${TAG}\", stop_grace_period: 3s }
        x-haddock: { entry: \"web:80\" }
    ";

    fn spec() -> EnvironmentSpec {
        let options = ResolveOptions { tag: Some("v1".into()), ..ResolveOptions::default() };
        ComposeFile::parse("compose.yaml", FILE).and_then(|file| file.resolve(&options)).expect("valid").spec
    }

    #[test]
    fn what_is_put_is_what_is_got_also_by_the_next_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("specs");
        let digest = SpecStore::directory(&path).expect("made").put(&spec()).expect("written");
        let store = SpecStore::directory(&path).expect("opened");
        assert_eq!(store.put(&spec()).expect("known"), digest);
        assert_eq!(store.get(&digest).expect("read").as_deref(), Some(&spec()));
        assert_eq!(store.get("0123").expect("read"), None);
        assert_eq!(store.get("../key").expect("read"), None);
        let memory = SpecStore::memory().expect("made");
        let digest = memory.put(&spec()).expect("kept");
        assert_eq!(memory.get(&digest).expect("read").as_deref(), Some(&spec()));
    }

    #[test]
    fn only_the_owner_reads_it_and_a_change_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("specs");
        let store = SpecStore::directory(&path).expect("made");
        let digest = store.put(&spec()).expect("written");
        let file = path.join(format!("{digest}.json"));
        for private in [&path.join("key"), &file] {
            assert_eq!(fs::metadata(private).expect("there").permissions().mode() & 0o777, 0o600);
        }
        let text = fs::read_to_string(&file).expect("readable");
        fs::write(&file, text.replace("hush", "loud")).expect("written");
        let error = store.get(&digest).expect_err("changed");
        assert!(!error.to_string().contains("loud"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
        assert_eq!(SpecStore::directory(&path).expect_err("open to all").kind(), ErrorKind::Io);
    }

    #[test]
    fn digests_of_two_stores_differ() {
        let (one, two) = (SpecStore::memory().expect("made"), SpecStore::memory().expect("made"));
        assert_ne!(one.put(&spec()).expect("kept"), two.put(&spec()).expect("kept"));
    }
}
