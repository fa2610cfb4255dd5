//! What a build sees of a folder: its files without those that `.dockerignore` leaves out, their digest, and the
//! archive that a builder gets.
//!
//! ```text
//!  scan ─────▶ entries ──┬─▶ digest     is a new build needed? what has changed?
//!  needed ───────┘       └─▶ archive    what the builder gets, made while it is sent
//! ```
//!
//! **Kept as `docker build` does:** path, content, permission bits, targets of symbolic links, which are never followed,
//! FIFOs, and the time of the last change in whole seconds, because steps like `make` compare times. Everything
//! belongs to root. Sockets are left out.
//!
//! **Not as `docker build` does:** several names of one file (hard links) become files of their own, because they do so
//! in most checkouts. Devices are refused. Extended attributes are not kept.
//!
//! **What decides the digest:** path, kind, content, permission bits and target; no time, owner or order, and not where
//! the folder is. The archive has the files of the scan. If one of them has changed since, the archive fails. So an
//! image is never built from something else than the digest says.

mod archive;
mod digest;
mod entry;
mod files;
mod header;
mod needed;
mod reading;
mod scan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use digest::{Change, ContextDigest, KnownFiles};
use entry::{Entry, unreadable};
use files::Files;
use needed::{Dockerfile, Rules};

use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{ApartContext, ContextArchive};
use crate::time::{Clock, SystemClock};

/// A folder as a build sees it: what is left after `.dockerignore`.
///
/// ```
/// use haddock_core::build::context::{Change, Context};
///
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let root = folder.path();
/// # let write = |name: &str, text: &str| std::fs::write(root.join(name), text).expect("written");
/// # for (name, text) in [("Dockerfile", "FROM scratch"), (".dockerignore", "*.log"), ("a.log", "")] { write(name, text) }
/// let before = Context::scan(root, Some(&root.join("Dockerfile")))?.digest(None)?;
/// write("b.log", "left out");
/// write("page.html", "new");
/// let after = Context::scan(root, Some(&root.join("Dockerfile")))?.digest(Some(&before.known))?;
/// assert_eq!(after.changes(&before), [Change::Added("page.html".to_owned())]);
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Context {
    root: PathBuf,
    dockerfile: String,
    /// Sorted by the bytes of the path.
    entries: Arc<Vec<Entry>>,
    /// Those without what only the builder needs, if there is something of that.
    apart: Option<Arc<Files>>,
}

impl Context {
    /// Walks through a folder. `dockerfile` is the path of the Dockerfile, which may be outside of the folder; `None` if it
    /// is no file, and [`archive`](Self::archive) is given its text.
    ///
    /// If there is a file `<dockerfile>.dockerignore`, its patterns decide what is left out, otherwise those of
    /// `.dockerignore` in the root. The Dockerfile and the root's `.dockerignore` are part of a context even if they are
    /// left out: builders need them. They do not get into the image; see [`apart`](Self::apart).
    ///
    /// # Errors
    /// [`ErrorKind::ImageTree`] if the folder or the Dockerfile is missing, for a device, and for a file that vanishes
    /// during the walk; [`ErrorKind::InvalidValue`] with the place for a bad pattern; [`ErrorKind::Io`] for what cannot
    /// be read.
    pub fn scan(root: &Path, dockerfile: Option<&Path>) -> Result<Self> {
        let real = root.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => no_folder(root, "does not exist"),
            _ => unreadable(root, &error),
        })?;
        if !real.is_dir() {
            return Err(no_folder(root, "is not a folder"));
        }
        let found = dockerfile.map_or_else(|| Ok(Dockerfile::of_text()), |file| Dockerfile::find(&real, file))?;
        let rules = Rules::read(&real, dockerfile)?;
        let mut entries = scan::walk(&real, &rules.ignore)?;
        entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let walked = needed::add(&mut entries, &real, &found, &rules)?;
        let apart = walked.and_then(Files::of);
        Ok(Self { root: real, dockerfile: found.path, apart, entries: Arc::new(entries) })
    }

    /// The folder, without symbolic links on the way.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of the Dockerfile in the archive, for [`BuildRequest`](crate::runtime::BuildRequest) and for
    /// [`archive`](Self::archive). A Dockerfile outside of the folder gets a name of its own.
    #[must_use]
    pub fn dockerfile(&self) -> &str {
        &self.dockerfile
    }

    /// If the archive has a Dockerfile or a `.dockerignore` that is left out: the context without it, with this text of the
    /// Dockerfile. `None` also if a name is not UTF-8, because then only an archive can be sent. See
    /// [`BuildContext`](crate::runtime::BuildContext).
    #[must_use]
    pub fn apart(&self, dockerfile: &str) -> Option<ApartContext> {
        let files = self.apart.clone()?;
        Some(ApartContext { dockerfile: dockerfile.into(), files })
    }

    /// Computes the digest. Files are read on all processors, so call it where blocking is allowed.
    ///
    /// What `known` from an earlier digest tells of files that have not changed is not read again. A file that was
    /// changed less than two seconds before it is hashed is read again the next time.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] for a file that cannot be read; [`ErrorKind::ImageTree`] for one that has changed since the scan.
    pub fn digest(&self, known: Option<&KnownFiles>) -> Result<ContextDigest> {
        digest::digest(&self.entries, known, SystemClock::new().now())
    }

    /// The archive, in pieces that are made while they are read. It is the same for the same files with the same times.
    ///
    /// `replaced` has the content of files by their path in the archive, in place of what the folder has, or in
    /// addition. A thread reads the files; it ends when the stream is read to its end, or dropped.
    ///
    /// # Errors
    /// The stream ends with [`ErrorKind::Io`] at a file that cannot be read, and with [`ErrorKind::ImageTree`] at one
    /// that has changed since the scan.
    #[must_use]
    pub fn archive(&self, replaced: BTreeMap<String, Vec<u8>>) -> ContextArchive {
        let entries = if replaced.is_empty() {
            Arc::clone(&self.entries)
        } else {
            Arc::new(archive::with_replaced(self.entries.to_vec(), replaced))
        };
        archive::archive(entries)
    }
}

fn no_folder(root: &Path, why: &str) -> Error {
    Error::new(ErrorKind::ImageTree, format!("context `{}` {why}", root.display())).with_hint("name a folder")
}

#[cfg(test)]
mod archive_tests;
#[cfg(test)]
mod digest_tests;
#[cfg(test)]
mod folder;
#[cfg(test)]
mod scan_tests;
