//! The files of a context one by one, for builders that ask for those that they do not have yet.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::entry::{Content, Entry};
use super::reading::Reading;
use crate::error::Result;
use crate::runtime::{ContextFile, ContextFileKind, ContextFiles};

/// The size of a piece in bytes: what BuildKit's own client sends.
const PIECE_BYTES: usize = 32 * 1024;
/// The permission bits of a folder that is on the way to a file, and is left out itself.
const FOLDER_MODE: u32 = 0o755;

/// Entries, each folder before what is in it.
#[derive(Debug)]
pub(super) struct Files(Vec<Entry>);

impl Files {
    /// These entries, with the folders on the way to each. Paths are texts in the protocol: `None` if one is not UTF-8.
    pub(super) fn of(mut entries: Vec<Entry>) -> Option<Arc<Self>> {
        if entries.iter().any(|entry| std::str::from_utf8(&entry.path).is_err()) {
            return None;
        }
        let known: BTreeSet<Vec<u8>> = entries.iter().map(|entry| entry.path.clone()).collect();
        let on_the_way = entries.iter().flat_map(|entry| {
            let ends = entry.path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
            ends.map(|end| entry.path[..end].to_vec()).collect::<Vec<_>>()
        });
        let missing: BTreeSet<Vec<u8>> = on_the_way.filter(|folder| !known.contains(folder)).collect();
        let folder = |path| Entry { path, mode: FOLDER_MODE, mtime: 0, content: Content::Folder };
        entries.extend(missing.into_iter().map(folder));
        // As a walk finds them: what is in `a` comes before `a-b`.
        entries.sort_by_cached_key(|entry| {
            entry.path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect::<Vec<u8>>()
        });
        Some(Arc::new(Self(entries)))
    }
}

impl ContextFiles for Files {
    fn list(&self) -> Vec<ContextFile> {
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        let files = self.0.iter().map(|entry| ContextFile {
            path: path(&entry.path),
            mode: entry.mode,
            mtime: entry.mtime,
            kind: match &entry.content {
                Content::Folder => ContextFileKind::Folder,
                Content::Fifo => ContextFileKind::Fifo,
                Content::Link(target) => ContextFileKind::Link(path(target)),
                Content::File { stamp, .. } => ContextFileKind::File { size: stamp.size },
                Content::Text(text) => ContextFileKind::File { size: text.len() as u64 },
            },
        });
        files.collect()
    }

    fn read(&self, index: usize, to: &mut dyn FnMut(Vec<u8>) -> bool) -> Result<()> {
        match self.0.get(index).map(|entry| &entry.content) {
            Some(Content::Text(text)) => drop(to(text.clone())),
            Some(Content::File { source, stamp }) => {
                let mut reading = Reading::open(source, *stamp)?;
                loop {
                    let mut piece = Vec::with_capacity(PIECE_BYTES);
                    let more = reading.read(&mut piece, PIECE_BYTES)?;
                    if (!piece.is_empty() && !to(piece)) || !more {
                        break;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
