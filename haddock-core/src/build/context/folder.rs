//! A folder for the tests of contexts.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::StreamExt;

use super::Context;
use crate::error::{Error, Result};
use crate::runtime::ContextArchive;

pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    /// With these files. A path that ends with `/` is a folder.
    pub(super) fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    pub(super) fn root(&self) -> PathBuf {
        self.0.path().canonicalize().expect("a path")
    }

    pub(super) fn at(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.root().join(Path::new(path.as_ref()))
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let file = self.at(path);
        let folder = if path.ends_with('/') { &file } else { file.parent().expect("a folder") };
        fs::create_dir_all(folder).expect("a folder");
        if !path.ends_with('/') {
            fs::write(file, text).expect("written");
        }
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        symlink(target, self.at(path)).expect("a link");
    }

    pub(super) fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), Permissions::from_mode(mode)).expect("permissions");
    }

    /// Sets when the content last changed, in seconds since the epoch.
    pub(super) fn touch(&self, path: &str, seconds: u64) {
        let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
        File::open(self.at(path)).and_then(|file| file.set_times(times)).expect("times");
    }

    pub(super) fn scan(&self) -> Result<Context> {
        Context::scan(&self.root(), Some(&self.at("Dockerfile")))
    }

    pub(super) fn context(&self) -> Context {
        self.scan().expect("a context")
    }
}

/// One entry as `tar` finds it in the archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) path: Vec<u8>,
    pub(super) kind: tar::EntryType,
    pub(super) mode: u32,
    pub(super) mtime: u64,
    pub(super) target: Option<Vec<u8>>,
    pub(super) content: Vec<u8>,
}

/// The pieces of an archive, or the error that ends it.
pub(super) async fn read(mut archive: ContextArchive) -> Result<Vec<Vec<u8>>, Error> {
    let mut pieces = Vec::new();
    while let Some(piece) = archive.next().await {
        pieces.push(piece?);
    }
    Ok(pieces)
}

/// The whole archive.
pub(super) async fn packed(context: &Context) -> Vec<u8> {
    read(context.archive(BTreeMap::new())).await.expect("an archive").concat()
}

pub(super) fn unpacked(archive: &[u8]) -> Vec<Packed> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("an archive");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).expect("content");
            let header = entry.header();
            assert_eq!((header.uid().expect("a number"), header.gid().expect("a number")), (0, 0));
            Packed {
                path: entry.path_bytes().into_owned(),
                kind: header.entry_type(),
                mode: header.mode().expect("a mode"),
                mtime: header.mtime().expect("a time"),
                target: entry.link_name_bytes().map(std::borrow::Cow::into_owned),
                content,
            }
        })
        .collect()
}

/// The paths in the archive, with `/` behind folders.
pub(super) async fn paths(context: &Context) -> Vec<String> {
    let packed = unpacked(&packed(context).await);
    packed.iter().map(|entry| OsStr::from_bytes(&entry.path).to_string_lossy().into_owned()).collect()
}

pub(super) fn find<'a>(packed: &'a [Packed], path: &str) -> &'a Packed {
    packed.iter().find(|entry| entry.path == path.as_bytes()).unwrap_or_else(|| panic!("no `{path}`: {packed:?}"))
}
