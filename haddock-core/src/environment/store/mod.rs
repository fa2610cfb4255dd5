//! Resolved specifications, kept by digest.
//!
//! The journal never holds the value of an environment variable, so it names a specification only by its digest. A
//! controller that takes over finds the specification here, to start replacements and to roll back. The folder is for
//! its owner alone, and the digest is keyed, so that nobody who reads the journal can guess values.
//!
//! A specification that nothing refers to is forgotten, with its values. A writer has a turn until something refers to
//! its specification. Meanwhile no process forgets any.

mod forget;
mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use self::stored::Stored;
use super::EnvironmentSpec;
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;

/// Where specifications are kept. Cheap to clone.
#[derive(Clone)]
pub struct SpecStore {
    key: [u8; 32],
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// As the text that is also written to disk: it takes a tenth of the memory.
    Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>),
    Folder(PathBuf),
}

impl SpecStore {
    /// In memory: gone with the process.
    #[must_use]
    pub fn memory() -> Self {
        Self { key: random(), place: Place::Memory(Arc::default()) }
    }

    /// In a folder. If it does not exist, it is made, for its owner alone. It serves one journal: specifications that
    /// neither this journal nor a container's label names are forgotten.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if it cannot be made, read or written, or if others may read it.
    pub fn directory(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| failed("make", &folder, &error))?;
        let metadata = fs::metadata(&folder).map_err(|error| failed("read", &folder, &error))?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(Error::new(ErrorKind::Io, format!("others may read the folder `{}`", folder.display()))
                .with_hint(format!("it holds values of environment variables: `chmod 700 {}`", folder.display())));
        }
        Ok(Self { key: key(&folder)?, place: Place::Folder(folder) })
    }

    /// Keeps the specification, and answers with its digest: 64 hexadecimal digits, the same for the same
    /// specification as long as the store lives.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if it cannot be written.
    pub fn put(&self, spec: &EnvironmentSpec) -> Result<String> {
        // Maps are sorted and fields have their order: the same specification gives the same text.
        let text = serde_json::to_vec(&Stored::from(spec)).expect("plain data can be written as JSON");
        let digest = self.digest(&text);
        match &self.place {
            Place::Memory(specs) => {
                lock(specs).entry(digest.clone()).or_insert(text);
            }
            Place::Folder(folder) => {
                let path = path(folder, &digest);
                // An existing file is complete, because it was renamed into place.
                if !path.exists() {
                    write(&path, &text).map_err(|error| failed("write", &path, &error))?;
                }
            }
        }
        Ok(digest)
    }

    /// The digest of what instances are made from: of the specification without the rules that a release goes by, such as its
    /// ramp and its guard. Nothing is kept.
    ///
    /// ```
    /// use haddock_core::environment::store::SpecStore;
    /// use haddock_core::environment::compose::{ComposeFile, ResolveOptions};
    ///
    /// # fn main() -> haddock_core::Result<()> {
    /// let spec = |image: &str, rules: &str| {
    ///     let text = format!("
    /// name: shop
    /// services: {{ web: {{ image: \"{image}\", expose: [8080] }} }}
    /// x-haddock: {{ {rules} }}
    /// ");
    ///     ComposeFile::parse("compose.yaml", &text)?.resolve(&ResolveOptions::default()).map(|file| file.spec)
    /// };
    /// let store = SpecStore::memory();
    /// let digest = store.instance_digest(&spec("shop:1", "guard: { tolerate: 1% }")?);
    /// assert_eq!(store.instance_digest(&spec("shop:1", "guard: { tolerate: 2% }")?), digest);
    /// let asked = "release: { ramp: [{ share: 10%, gate: { command: ./smoke-test } }, 100%] }";
    /// assert_eq!(store.instance_digest(&spec("shop:1", asked)?), digest);
    /// assert_ne!(store.instance_digest(&spec("shop:1", "release: { replicas: 2 }")?), digest);
    /// assert_ne!(store.instance_digest(&spec("shop:2", "guard: { tolerate: 1% }")?), digest);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn instance_digest(&self, spec: &EnvironmentSpec) -> String {
        let text = serde_json::to_vec(&Stored::from(&spec.without_rules()));
        self.digest(&text.expect("plain data can be written as JSON"))
    }

    /// The digest of everything that a component's container is made from: its part of the specification, the image (by
    /// the id that the runtime gave), and the names under which others reach it. Nothing is kept.
    #[must_use]
    pub fn fingerprint(&self, spec: &EnvironmentSpec, name: &ComponentName, image: &str) -> String {
        let component = Stored::of_component(spec, name);
        // The entry may be another one now, because a component was added or removed. This component is made anew for
        // it only if its container gets other ports, or the same ports in another order.
        let exposed = spec.components.get(name).and_then(|component| component.expose.first());
        let entry = spec.entry().filter(|entry| entry.component == *name).map(|entry| entry.port);
        let entry = entry.filter(|port| exposed != Some(port));
        let text = serde_json::to_vec(&(component, image, spec.aliases(name), entry));
        self.digest(&text.expect("plain data can be written as JSON"))
    }

    /// Writes down something beside the specifications, under a name with a dot in it.
    pub(crate) fn put_note(&self, name: &str, text: Vec<u8>) -> Result<()> {
        match &self.place {
            Place::Memory(all) => {
                lock(all).insert(name.to_owned(), text);
                Ok(())
            }
            Place::Folder(folder) => {
                let path = folder.join(name);
                write(&path, &text).map_err(|error| failed("write", &path, &error))
            }
        }
    }

    /// What was written down under that name last.
    pub(crate) fn note(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match &self.place {
            Place::Memory(all) => Ok(lock(all).get(name).cloned()),
            Place::Folder(folder) => {
                let path = folder.join(name);
                match fs::read(&path) {
                    Ok(text) => Ok(Some(text)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(failed("read", &path, &error)),
                }
            }
        }
    }

    /// The names under which something is written down.
    pub(crate) fn notes(&self) -> Result<Vec<String>> {
        match &self.place {
            Place::Memory(all) => Ok(lock(all).keys().filter(|name| name.contains('.')).cloned().collect()),
            Place::Folder(folder) => {
                let entries = fs::read_dir(folder).map_err(|error| failed("read", folder, &error))?;
                Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
            }
        }
    }

    /// Forgets what was written down under that name.
    pub(crate) fn remove_note(&self, name: &str) {
        match &self.place {
            Place::Memory(all) => _ = lock(all).remove(name),
            // If it cannot be removed, it is gone already.
            Place::Folder(folder) => _ = fs::remove_file(folder.join(name)),
        }
    }

    /// The folder; `None`: it is in memory.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Memory(_) => None,
            Place::Folder(folder) => Some(folder),
        }
    }

    /// The specification of that digest; `None` if it is not kept here.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if it cannot be read, or is not what was written.
    pub fn get(&self, digest: &str) -> Result<Option<Arc<EnvironmentSpec>>> {
        let folder = match &self.place {
            Place::Memory(specs) => {
                let stored = lock(specs).get(digest).map(|text| serde_json::from_slice::<Stored>(text));
                let specification = |stored: Stored| stored.into_spec().map(Arc::new);
                return stored.map(|stored| specification(stored.expect("it was written here"))).transpose();
            }
            Place::Folder(folder) => folder,
        };
        if !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let path = path(folder, digest);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path, &error)),
        };
        let spoilt = || {
            Error::new(ErrorKind::Io, format!("the specification in `{}` is damaged", path.display()))
                .with_hint("remove it, and release the version again")
        };
        if self.digest(&text) != digest {
            return Err(spoilt());
        }
        // Serde's own text may quote a value.
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| spoilt())?;
        stored.into_spec().map(|spec| Some(Arc::new(spec)))
    }

    /// Forgets every specification but these.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if one cannot be removed.
    pub fn retain(&self, digests: &BTreeSet<String>) -> Result<()> {
        let folder = match &self.place {
            Place::Memory(specs) => {
                lock(specs).retain(|digest, _| digest.contains('.') || digests.contains(digest));
                return Ok(());
            }
            Place::Folder(folder) => folder,
        };
        let entries = fs::read_dir(folder).map_err(|error| failed("read", folder, &error))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if !path.file_name().and_then(|name| name.to_str()).is_some_and(|name| is_needless(name, digests)) {
                continue;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path, &error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn digest(&self, text: &[u8]) -> String {
        blake3::keyed_hash(&self.key, text).to_hex().to_string()
    }
}

impl fmt::Debug for SpecStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Memory(_) => f.write_str("SpecStore(memory)"),
            Place::Folder(folder) => write!(f, "SpecStore({})", folder.display()),
        }
    }
}

/// Whether a file is a specification that is none of these, or the beginning of one whose writer was killed.
fn is_needless(name: &str, digests: &BTreeSet<String>) -> bool {
    let Some((digest, rest)) = name.split_once('.') else { return false };
    let is_spec = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_spec && if rest == "json" { !digests.contains(digest) } else { rest.ends_with(".new") }
}

fn lock<T>(specs: &Mutex<T>) -> MutexGuard<'_, T> {
    specs.lock().expect("nobody panics while holding the specifications")
}

fn path(folder: &Path, digest: &str) -> PathBuf {
    folder.join(format!("{digest}.json"))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {what} `{}`: {error}", path.display()))
}

/// The folder's key. If two processes open a new folder at once, one of them makes the key.
fn key(folder: &Path) -> Result<[u8; 32]> {
    let path = folder.join("key");
    if !path.exists() {
        let new = temporary(&path);
        let made = create(&new, &random::<32>()).and_then(|()| fs::hard_link(&new, &path));
        let _ = fs::remove_file(&new);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("write", &path, &error)),
            _ => {}
        }
    }
    let mut key = [0; 32];
    let read = fs::File::open(&path).and_then(|mut file| file.read_exact(&mut key));
    read.map_err(|error| failed("read", &path, &error))?;
    Ok(key)
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension(format!("{:016x}.new", u64::from_ne_bytes(random())))
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Writes the file whole or not at all, and on disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = temporary(path);
    let written = create(&new, bytes).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written?;
    // The file's name is on disk only when the folder is.
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::container::{HealthCheck, PublishedPort, Sensitive};
    use crate::environment::{
        Asks, Component, DependencyCondition, Entry, GateSpec, Hook, HookCommand, Link, Readiness, Receiver,
        ReleaseSettings, ServiceSettings,
    };
    use crate::image::ImageReference;
    use crate::name::{LinkAlias, ServiceName};
    use crate::routing::SessionPolicy;

    const SECRET: &str = "hunter2";

    fn spec(password: &str) -> EnvironmentSpec {
        let name = |name: &str| ComponentName::new(name).expect("a name");
        let component = Component {
            versioned: true,
            entrypoint: Some(vec!["/shop".into()]),
            command: None,
            environment: BTreeMap::from([("PASSWORD".to_owned(), Sensitive::new(password))]),
            expose: vec![8080],
            ports: vec![PublishedPort {
                container: 80,
                host_address: Some([127, 0, 0, 1].into()),
                ..PublishedPort::default()
            }],
            depends_on: BTreeMap::from([
                (name("a"), DependencyCondition::Started.into()),
                (name("b"), DependencyCondition::Healthy.into()),
                (name("c"), DependencyCondition::CompletedSuccessfully.into()),
            ]),
            links: vec![Link { component: name("oracle"), alias: LinkAlias::new("db").expect("an alias") }],
            health_check: Some(HealthCheck {
                test: vec!["CMD".into(), "/check".into()],
                interval: Some(Duration::from_millis(1500)),
                timeout: None,
                retries: Some(3),
                start_period: None,
                start_interval: None,
            }),
            labels: BTreeMap::from([("team".to_owned(), "shop".to_owned())]),
            stop_grace_period: Some(Duration::from_secs(3)),
            stop_signal: Some("SIGINT".into()),
            ..Component::new(ImageReference::parse("registry.local:5000/shop:v1").expect("a reference"))
        };
        EnvironmentSpec {
            settings: Some(ServiceSettings {
                service: ServiceName::new("shop").expect("a name"),
                entry: Entry { component: name("web"), port: 8080 },
                ready: Readiness::default(),
                session: SessionPolicy::default(),
                release: ReleaseSettings::default(),
                notify: 1,
            }),
            hooks: BTreeMap::from([(
                Hook::Serving,
                HookCommand {
                    component: Some(name("web")),
                    command: vec![Sensitive::new(SECRET)],
                    within: Duration::from_secs(3),
                },
            )]),
            gates: BTreeMap::from([
                (0, GateSpec { asks: Asks::Command(vec![Sensitive::new(SECRET)]), within: Duration::from_secs(3) }),
                (1, GateSpec { asks: Asks::Call("smoke".into()), within: GateSpec::DEFAULT_WITHIN }),
            ]),
            notify: vec![Receiver::new(&format!("http://chat/{SECRET}"))],
            components: BTreeMap::from([(name("web"), component)]),
            ..EnvironmentSpec::default()
        }
    }

    #[test]
    fn what_is_put_is_got_by_any_who_opens_the_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("specs");
        for store in [SpecStore::memory(), SpecStore::directory(&path).expect("a store")] {
            let digest = store.put(&spec(SECRET)).expect("kept");
            assert_eq!(store.put(&spec(SECRET)).expect("kept"), digest);
            assert_ne!(store.put(&spec("other")).expect("kept"), digest, "a value is part of the specification");
            assert_eq!(store.get(&digest).expect("read").as_deref(), Some(&spec(SECRET)));
            assert_eq!(store.get("../key").expect("read"), None);
            assert_eq!(store.get(&"0".repeat(64)).expect("read"), None);
        }
        let again = SpecStore::directory(&path).expect("a store");
        let digest = again.put(&spec(SECRET)).expect("kept");
        assert_eq!(
            SpecStore::directory(&path).expect("a store").get(&digest).expect("read"),
            Some(spec(SECRET).into())
        );

        again.retain(&BTreeSet::from([digest.clone()])).expect("forgotten");
        assert_eq!(fs::read_dir(&path).expect("a list").count(), 2, "the key and one specification");
        again.retain(&BTreeSet::new()).expect("forgotten");
        assert_eq!(again.get(&digest).expect("read"), None);
    }

    #[test]
    fn only_the_owner_reads_it_and_the_digest_tells_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = ["one", "other"].map(|name| SpecStore::directory(folder.path().join(name)).expect("a store"));
        let digests = stores.each_ref().map(|store| store.put(&spec(SECRET)).expect("kept"));
        assert_ne!(digests[0], digests[1], "each store has a key of its own");
        for entry in fs::read_dir(folder.path().join("one")).expect("a list") {
            let mode = entry.expect("an entry").metadata().expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(!format!("{stores:?}").contains(SECRET));

        let open = folder.path().join("open");
        fs::create_dir(&open).expect("a folder");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("opened");
        assert_eq!(SpecStore::directory(&open).expect_err("others may read it").kind(), ErrorKind::Io);
    }

    #[test]
    fn a_spoilt_file_is_told_and_its_values_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SpecStore::directory(folder.path().join("specs")).expect("a store");
        let digest = store.put(&spec(SECRET)).expect("kept");
        let path = folder.path().join("specs").join(format!("{digest}.json"));
        let text = fs::read_to_string(&path).expect("readable");
        for spoilt in [text.replace("8080", "8081"), text[..text.len() / 2].to_owned(), String::new()] {
            fs::write(&path, spoilt).expect("spoilt");
            let error = store.get(&digest).expect_err("it is spoilt");
            assert!(error.kind() == ErrorKind::Io && !format!("{error:#}").contains(SECRET), "{error:?}");
        }
    }
}
