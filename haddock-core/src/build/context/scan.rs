//! The walk through a context's folder.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::entry::{Content, Entry, Stamp, changed, unreadable};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ignore::{Ignore, Matched};

/// All that the rules do not leave out, in no order.
pub(super) fn walk(root: &Path, ignore: &Ignore) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut folders = vec![(Vec::new(), ignore.root())];
    while let Some((folder, rules)) = folders.pop() {
        let source = root.join(OsStr::from_bytes(&folder));
        let listed = fs::read_dir(&source).and_then(|found| found.collect::<io::Result<Vec<DirEntry>>>());
        for found in listed.map_err(|error| unreadable(&source, &error))? {
            let name = found.file_name();
            let path = if folder.is_empty() { name.as_bytes().to_vec() } else { join(&folder, name.as_bytes()) };
            // Patterns are text: in a name that is not UTF-8, each odd byte counts as a character of its own.
            let rules = rules.enter(&name.to_string_lossy());
            visit(&found, path, rules, &mut entries, &mut folders)?;
        }
    }
    Ok(entries)
}

fn visit<'a>(
    found: &DirEntry,
    path: Vec<u8>,
    rules: Matched<'a>,
    entries: &mut Vec<Entry>,
    folders: &mut Vec<(Vec<u8>, Matched<'a>)>,
) -> Result<()> {
    let source = found.path();
    if !rules.is_excluded() {
        let metadata = found.metadata().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => changed(&source),
            _ => unreadable(&source, &error),
        })?;
        entries.extend(entry(path.clone(), &source, &metadata)?);
    }
    let kind = found.file_type().map_err(|error| unreadable(&source, &error))?;
    if kind.is_dir() && rules.may_descend() {
        folders.push((path, rules));
    }
    Ok(())
}

/// What is there; none for a socket, which no archive can hold.
pub(super) fn entry(path: Vec<u8>, source: &Path, metadata: &Metadata) -> Result<Option<Entry>> {
    let kind = metadata.file_type();
    let content = if kind.is_dir() {
        Content::Folder
    } else if kind.is_file() {
        Content::File { source: source.to_owned(), stamp: Stamp::of(metadata) }
    } else if kind.is_symlink() {
        let target = fs::read_link(source).map_err(|error| unreadable(source, &error))?;
        Content::Link(target.into_os_string().into_vec())
    } else if kind.is_fifo() {
        Content::Fifo
    } else if kind.is_socket() {
        return Ok(None);
    } else {
        let message = format!("`{}` is a device, which does not belong into an image", source.display());
        return Err(Error::new(ErrorKind::ImageTree, message).with_hint("remove it, or name it in `.dockerignore`"));
    };
    Ok(Some(Entry::new(path, metadata, content)))
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    [folder, b"/", name].concat()
}
