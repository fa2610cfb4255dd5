//! What a context holds: files, folders and links.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::error::{Error, ErrorKind};

/// The bits of a mode that the engine's client sends: permissions, set-user-ID, set-group-ID and sticky.
const SENT_MODE_BITS: u32 = 0o7777;

/// One thing in a context, as it was when the context was scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// From the root, with `/` between its parts, in the bytes of the file system.
    pub(super) path: Vec<u8>,
    /// The permission bits.
    pub(super) mode: u32,
    /// When the content last changed, in seconds since the epoch.
    pub(super) mtime: u64,
    /// What it is, and what it holds.
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Folder,
    Fifo,
    /// Where a symbolic link points to.
    Link(Vec<u8>),
    File {
        source: PathBuf,
        stamp: Stamp,
    },
    /// A file that is in memory.
    Text(Vec<u8>),
}

impl Entry {
    pub(super) fn new(path: Vec<u8>, metadata: &Metadata, content: Content) -> Self {
        let mode = metadata.mode() & SENT_MODE_BITS;
        Self { path, mode, mtime: u64::try_from(metadata.mtime()).unwrap_or(0), content }
    }

    /// A file that no folder holds. Its time is that of the epoch, so that it is the same in every build.
    pub(super) fn text(path: &str, text: Vec<u8>) -> Self {
        Self { path: path.into(), mode: 0o644, mtime: 0, content: Content::Text(text) }
    }

    /// The path as text. Bytes that are not UTF-8 are written as `\xff`.
    pub(super) fn shown(&self) -> String {
        std::str::from_utf8(&self.path).map_or_else(|_| self.path.escape_ascii().to_string(), str::to_owned)
    }
}

/// What changes when somebody writes to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// In bytes.
    pub(super) size: u64,
    /// When the content last changed, in nanoseconds since the epoch. Programs can set it.
    pub(super) mtime: i64,
    /// When content, mode, owner or number of names last changed, in nanoseconds since the epoch. No program can set it.
    pub(super) ctime: i64,
    pub(super) inode: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Whether the content is the same, if nobody has set a time. A new name or another owner does not matter.
    pub(super) fn is_same_content(&self, other: &Self) -> bool {
        Self { ctime: other.ctime, ..*self } == *other
    }
}

/// Reading failed.
pub(super) fn unreadable(path: &std::path::Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read `{}`: {error}", path.display()))
        .with_hint("make it readable, or name it in `.dockerignore`")
}

/// Somebody wrote to a file, or removed it, since the scan.
pub(super) fn changed(path: &std::path::Path) -> Error {
    Error::new(ErrorKind::ImageTree, format!("`{}` changed while the context was read", path.display()))
        .with_hint("build again when nothing writes to it, or name it in `.dockerignore`")
}
