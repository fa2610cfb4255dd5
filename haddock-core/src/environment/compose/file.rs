//! Finding and loading compose files. Only this part reads files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dotenv;
use super::tree::Node;
use super::variables::{Lookup, Variables};
use super::yaml;
use crate::error::{Error, ErrorKind, Result};

/// The names that Compose looks for, in its order.
const FILE_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// The names that Compose merges into the file of the above names.
const OVERRIDE_NAMES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"];
/// The most that is read of a file: far more than any compose file or file of variables has.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// One or more compose files that were read and are YAML. Each is merged over those before it.
#[derive(Clone)]
pub struct ComposeFile {
    pub(super) sources: Vec<Source>,
    pub(super) directory: PathBuf,
    /// The `.env` files that are read if no others are named; later ones win.
    pub(super) dot_env: Vec<PathBuf>,
    pub(super) files: Arc<dyn Files>,
}

/// One compose file.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) name: String,
    /// Its YAML documents.
    pub(super) trees: Vec<Node>,
}

/// Where files come from.
pub(super) trait Files: Send + Sync {
    /// The text of a file; `None` if there is none.
    fn read(&self, path: &Path) -> Result<Option<String>>;

    /// Whether the path is a directory.
    fn is_directory(&self, path: &Path) -> bool;
}

struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<String>> {
        let failed = |reason: String| {
            Error::new(ErrorKind::Io, format!("file `{}` cannot be read: {reason}", path.display()))
                .with_hint("check the path and its permissions")
        };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        // People write `/dev/null` if they have to name a file and mean none.
        if path == Path::new("/dev/null") {
            return Ok(Some(String::new()));
        }
        if !metadata.is_file() {
            return Err(failed("it is not a regular file".to_owned()));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(failed(format!("it has more than {MAX_FILE_BYTES} bytes")));
        }
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => Ok(Some(text)),
            Ok(Err(_)) => Err(failed("it is not UTF-8 text".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }
}

/// No files at all.
struct Nowhere;

impl Files for Nowhere {
    fn read(&self, _: &Path) -> Result<Option<String>> {
        Ok(None)
    }

    fn is_directory(&self, _: &Path) -> bool {
        true
    }
}

impl ComposeFile {
    /// Finds the compose file as Compose does: the files that `COMPOSE_FILE` names, in `variables` or in the
    /// directory's `.env`. If it is not set, `compose.yaml`, `compose.yml`, `docker-compose.yml` or
    /// `docker-compose.yaml` in the directory, or in the nearest parent that has one; and, merged over it, a
    /// `compose.override.yaml` (or another of its names) beside it.
    ///
    /// Its variables are those of the directory's `.env` and of the `.env` beside the file. The directory's win.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none; and those of [`read`](Self::read).
    pub fn find(directory: &Path, variables: &Variables) -> Result<Self> {
        Self::find_with(directory, variables, &[])
    }

    /// As [`find`](Self::find), but looks for `COMPOSE_FILE` in these files of variables instead of the directory's
    /// `.env`. Their relative paths start at the directory.
    ///
    /// # Errors
    /// As [`find`](Self::find); [`NotFound`](ErrorKind::NotFound) if one of the files of variables does not exist.
    pub fn find_with(directory: &Path, variables: &Variables, env_files: &[PathBuf]) -> Result<Self> {
        let directory = absolute(directory)?;
        let found = Self::find_there(&directory, variables, env_files)?;
        let here = directory.join(".env");
        let dot_env = found.dot_env.into_iter().filter(|path| *path != here).chain([here.clone()]).collect();
        Ok(Self { dot_env, ..found })
    }

    fn find_there(directory: &Path, variables: &Variables, env_files: &[PathBuf]) -> Result<Self> {
        let outer = variables_of(directory, variables, env_files)?;
        let set = |name| outer.get(name).filter(|value| !value.is_empty());
        if let Some(names) = set("COMPOSE_FILE") {
            let separator = set("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
            let paths: Vec<PathBuf> = names.split(separator).map(|name| directory.join(name)).collect();
            return Self::read_all(&paths);
        }
        for candidate in directory.ancestors() {
            let beside =
                |names: [&str; 4]| names.map(|name| candidate.join(name)).into_iter().find(|path| path.is_file());
            if let Some(path) = beside(FILE_NAMES) {
                return Self::read_all(&[Some(path), beside(OVERRIDE_NAMES)].into_iter().flatten().collect::<Vec<_>>());
            }
        }
        Err(Error::new(ErrorKind::NotFound, format!("no compose file in `{}` or a parent", directory.display()))
            .with_hint(format!("the file is called `{}`; or name another", FILE_NAMES.join("`, `"))))
    }

    /// Reads a compose file.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`Io`](ErrorKind::Io), and those of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_all(&[path])
    }

    /// Reads compose files. Each is merged over those before it, by the rules of the Compose Specification. Relative
    /// paths start at the directory of the first one, and its `.env` is read.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`NotFound`](ErrorKind::NotFound) if none is named.
    pub fn read_all(paths: &[impl AsRef<Path>]) -> Result<Self> {
        let Some(first) = paths.first() else {
            return Err(Error::new(ErrorKind::NotFound, "no compose file is named").with_hint("name at least one"));
        };
        let directory = absolute(first.as_ref())?.parent().map(Path::to_path_buf).unwrap_or_default();
        let read = |(index, path): (usize, &_)| {
            let path: &Path = AsRef::as_ref(path);
            let name = path.display().to_string();
            let Some(text) = Disk.read(path)? else {
                let error = Error::new(ErrorKind::NotFound, format!("there is no file `{name}`"));
                return Err(error.with_hint("check the path"));
            };
            let trees = yaml::parse(index, &name, &text)?;
            Ok(Source { name, trees })
        };
        let sources = paths.iter().enumerate().map(read).collect::<Result<_>>()?;
        let dot_env = vec![directory.join(".env")];
        Ok(Self { sources, directory, dot_env, files: Arc::new(Disk) })
    }

    /// Takes the text of a compose file. Nothing is read from disk, neither now nor later: there is no `.env`, and
    /// `env_file` finds nothing.
    ///
    /// # Errors
    /// [`ComposeFile`](ErrorKind::ComposeFile) with the place if the text is not YAML or has a key twice.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let directory = Path::new(name).parent().map(Path::to_path_buf).unwrap_or_default();
        let trees = yaml::parse(0, name, text)?;
        let sources = vec![Source { name: name.to_owned(), trees }];
        Ok(Self { sources, directory, dot_env: Vec::new(), files: Arc::new(Nowhere) })
    }

    /// The file's name, as messages show it; the first one's if there are several.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.sources[0].name
    }

    /// Where relative paths of the file start.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The variables of a file in the format of `.env`; `None` if there is no such file. See [`dotenv::parse`].
    pub(super) fn variables_file(
        &self,
        path: &Path,
        outer: Lookup<'_>,
        inner: Lookup<'_>,
    ) -> Result<Option<Variables>> {
        let path = self.directory.join(path);
        let Some(text) = self.files.read(&path)? else { return Ok(None) };
        let shown = path.strip_prefix(&self.directory).unwrap_or(&path).display().to_string();
        dotenv::parse(&shown, &text, outer, inner).map(Some)
    }
}

impl fmt::Debug for ComposeFile {
    /// Shows the names only, because values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.sources.iter().map(|source| source.name.as_str()).collect();
        f.debug_tuple("ComposeFile").field(&names).finish()
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| {
        Error::new(ErrorKind::Io, format!("path `{}` cannot be made absolute: {error}", path.display()))
    })
}

/// The variables of these files, or of the directory's `.env` if there are none. The caller's variables win.
fn variables_of(directory: &Path, variables: &Variables, env_files: &[PathBuf]) -> Result<Variables> {
    let dot_env = [PathBuf::from(".env")];
    let mut all = Variables::default();
    for path in if env_files.is_empty() { &dot_env[..] } else { env_files } {
        let Some(text) = Disk.read(&directory.join(path))? else {
            if env_files.is_empty() {
                continue;
            }
            let message = format!("file `{}` of variables does not exist", path.display());
            return Err(Error::new(ErrorKind::NotFound, message).with_hint("check the path"));
        };
        let outer = |name: &str| variables.get(name).or_else(|| all.get(name)).map(str::to_owned);
        let file = dotenv::parse(&path.display().to_string(), &text, &outer, &|_| None)?;
        file.iter().for_each(|(name, value)| all.set(name, value.expose()));
    }
    variables.iter().for_each(|(name, value)| all.set(name, value.expose()));
    Ok(all)
}
