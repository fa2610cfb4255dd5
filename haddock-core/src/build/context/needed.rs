//! The files that the builder itself needs: the Dockerfile and `.dockerignore`.
//!
//! They are sent even if the rules leave them out. The classic builder then decides by the `.dockerignore` in the
//! archive whether they get into the image.

use std::fs;
use std::io::ErrorKind as IoKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::entry::{Content, Entry, unreadable};
use super::scan;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ignore::Ignore;

/// The name of the rules in the root, and in the archive.
const IGNORE_FILE: &str = ".dockerignore";
/// What a Dockerfile outside of the context is called in the archive. Always the same, so that the builder's cache holds.
const OUTSIDE: &str = ".dockerfile.haddock";

/// The Dockerfile.
pub(super) struct Dockerfile {
    /// Where it is, without symbolic links on the way; `None` if it is no file.
    source: Option<PathBuf>,
    /// Its path in the archive.
    pub(super) path: String,
    is_outside: bool,
}

impl Dockerfile {
    /// One whose text comes from elsewhere.
    pub(super) fn of_text() -> Self {
        Self { source: None, path: OUTSIDE.to_owned(), is_outside: true }
    }

    /// `root` has no symbolic links on the way.
    pub(super) fn find(root: &Path, given: &Path) -> Result<Self> {
        let source = fs::canonicalize(given).map_err(|error| match error.kind() {
            IoKind::NotFound => missing(given),
            _ => unreadable(given, &error),
        })?;
        if !source.is_file() {
            let message = format!("Dockerfile `{}` is not a file", given.display());
            return Err(Error::new(ErrorKind::ImageTree, message).with_hint("name the Dockerfile itself"));
        }
        let inside = source.strip_prefix(root).ok().map(|path| path.as_os_str().as_bytes().to_vec());
        let is_outside = inside.is_none();
        let path = String::from_utf8(inside.unwrap_or_else(|| OUTSIDE.into())).map_err(|_| {
            let message = format!("the path of the Dockerfile `{}` is not UTF-8", source.display());
            Error::new(ErrorKind::ImageTree, message).with_hint("rename it")
        })?;
        Ok(Self { source: Some(source), path, is_outside })
    }
}

/// The rules of a context, and where they are from.
pub(super) struct Rules {
    pub(super) ignore: Ignore,
    /// Whether they are not those of the root's `.dockerignore`.
    of_dockerfile: bool,
}

impl Rules {
    /// `<dockerfile>.dockerignore` wins over `.dockerignore` in the root. `dockerfile` is the path as it was given.
    pub(super) fn read(root: &Path, dockerfile: Option<&Path>) -> Result<Self> {
        let beside = dockerfile.map(|dockerfile| {
            let mut beside = dockerfile.as_os_str().to_owned();
            beside.push(IGNORE_FILE);
            (PathBuf::from(beside), true)
        });
        for (file, of_dockerfile) in beside.into_iter().chain([(root.join(IGNORE_FILE), false)]) {
            if let Some(text) = read_if_there(&file)? {
                let name = file.display().to_string();
                let text = String::from_utf8(text).map_err(|_| {
                    Error::new(ErrorKind::ImageTree, format!("`{name}` is not UTF-8")).with_hint("save it as UTF-8")
                })?;
                return Ok(Self { ignore: Ignore::parse(&name, &text)?, of_dockerfile });
            }
        }
        Ok(Self { ignore: Ignore::none(), of_dockerfile: false })
    }
}

/// Adds what the builder needs to the sorted entries of a walk. If something of that must not get into the image, it gives
/// the entries as they were.
pub(super) fn add(
    entries: &mut Vec<Entry>,
    root: &Path,
    dockerfile: &Dockerfile,
    rules: &Rules,
) -> Result<Option<Vec<Entry>>> {
    let ignore = root.join(IGNORE_FILE);
    let writes_ignore = dockerfile.is_outside || rules.of_dockerfile;
    let lacks = |path: &str| position(entries, path).is_err();
    let adds_ignore = lacks(IGNORE_FILE) && (writes_ignore || ignore.symlink_metadata().is_ok());
    let adds = adds_ignore || lacks(&dockerfile.path) || dockerfile.source.is_none();
    let walked = adds.then(|| entries.clone());
    let is_dockerfile_kept = match &dockerfile.source {
        Some(source) => keep(entries, &dockerfile.path, source)?,
        None => false,
    };
    let is_ignore_kept = keep(entries, IGNORE_FILE, &ignore)?;
    if writes_ignore {
        let lines = [(IGNORE_FILE, is_ignore_kept), (dockerfile.path.as_str(), is_dockerfile_kept)];
        let old = read_if_there(&ignore)?.unwrap_or_default();
        let text = [old, lines.map(|(path, is_kept)| line(path, is_kept)).concat().into_bytes()].concat();
        match position(entries, IGNORE_FILE) {
            Ok(found) => entries[found].content = Content::Text(text),
            Err(place) => entries.insert(place, Entry::text(IGNORE_FILE, text)),
        }
    }
    Ok(walked)
}

/// Adds a file, if it is there and was left out. Whether it was not: then it may get into the image.
fn keep(entries: &mut Vec<Entry>, path: &str, source: &Path) -> Result<bool> {
    let place = match position(entries, path) {
        Ok(_) => return Ok(true),
        Err(place) => place,
    };
    match fs::symlink_metadata(source) {
        Ok(metadata) => {
            if let Some(entry) = scan::entry(path.into(), source, &metadata)? {
                entries.insert(place, entry);
            }
            Ok(false)
        }
        Err(error) if error.kind() == IoKind::NotFound => Ok(false),
        Err(error) => Err(unreadable(source, &error)),
    }
}

fn position(entries: &[Entry], path: &str) -> std::result::Result<usize, usize> {
    entries.binary_search_by(|entry| entry.path.as_slice().cmp(path.as_bytes()))
}

/// A line of `.dockerignore` that says of one path whether it is kept.
fn line(path: &str, is_kept: bool) -> String {
    let mut line = String::from(if is_kept { "\n!" } else { "\n" });
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            line.push('\\');
        }
        line.push(c);
    }
    line + "\n"
}

fn read_if_there(file: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == IoKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(file, &error)),
    }
}

fn missing(given: &Path) -> Error {
    let error = Error::new(ErrorKind::ImageTree, format!("there is no Dockerfile `{}`", given.display()));
    let name = given.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let folder = given.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let similar = names
        .map(|other| other.into_vec())
        .find_map(|other| String::from_utf8(other).ok().filter(|other| other.to_lowercase() == name));
    match similar {
        Some(other) => error.with_hint(format!("there is `{other}`: write the name in the same case")),
        None => error.with_hint("create it, or name another"),
    }
}
