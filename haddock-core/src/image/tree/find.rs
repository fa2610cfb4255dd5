//! Finds the Dockerfiles of a tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Place, Result};

/// The names of a Dockerfile.
pub(super) const FILE_NAMES: [&str; 2] = ["Dockerfile", "Containerfile"];
/// Folders of what tools fetch and make. A Dockerfile there belongs to somebody else.
const LEFT_OUT: [&str; 2] = ["node_modules", "target"];

/// The paths of all Dockerfiles below a folder, from there, in order. Hidden folders, `node_modules`, `target`, links to
/// folders, and the folders to ignore are left out.
pub(super) fn dockerfiles(root: &Path, ignore: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let inside = fs::canonicalize(root).map_err(|error| unreadable(root, &error))?;
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        let refuse = |error: io::Error| unreadable(if folder.as_os_str().is_empty() { root } else { &folder }, &error);
        for entry in fs::read_dir(root.join(&folder)).map_err(refuse)? {
            let entry = entry.map_err(refuse)?;
            let kind = entry.file_type().map_err(refuse)?;
            let (path, name) = (folder.join(entry.file_name()), entry.file_name());
            let name = name.to_string_lossy();
            if kind.is_dir() {
                if !name.starts_with('.') && !LEFT_OUT.contains(&name.as_ref()) && !ignore.contains(&path) {
                    open.push(path);
                }
            } else if FILE_NAMES.contains(&name.as_ref()) {
                // A link may lead to a file of the tree, not out of it.
                let real = fs::canonicalize(entry.path()).map_err(|error| unreadable(&path, &error))?;
                if real.is_file() && real.starts_with(&inside) {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a Dockerfile. `shown` is its path for messages.
pub(super) fn text(root: &Path, shown: &Path) -> Result<String> {
    let bytes = fs::read(root.join(shown)).map_err(|error| unreadable(shown, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        Error::new(ErrorKind::ImageTree, "the file is not UTF-8")
            .with_hint("save it as UTF-8")
            .at(Place { line, ..start_of(shown) })
    })
}

/// The start of a file.
pub(super) fn start_of(path: &Path) -> Place {
    Place { file: path.display().to_string(), line: 1, column: 1, key: String::new() }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::ImageTree, format!("`{}` cannot be read: {error}", path.display()))
        .with_hint("check that it exists, and who may read it")
        .at(start_of(path))
}
