//! The digest of a context, and what has changed since an earlier one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use blake3::{Hash, Hasher};
use serde::{Deserialize, Serialize};

use super::entry::{Content, Entry, Stamp};
use super::reading::Reading;
use crate::error::Result;
use crate::time::Timestamp;

/// How much of a file is read at once, in bytes.
const READ_BYTES: usize = 128 * 1024;
/// A file that was changed so shortly before it is hashed may be changed once more without another time: file systems
/// count in ticks of up to two seconds (FAT). Git calls such a file racy, see `racy-git` in its manual.
const RACY: Duration = Duration::from_secs(2);
/// The characters of a short hash. They need not withstand an attacker: they only tell what to show as changed.
const SHORT_HASH_CHARS: usize = 16;
/// Changes when the way to compute a digest does.
const VERSION: &[u8] = b"haddock context 1";

/// What a context holds, in short. Equal digests mean equal images, as far as the context decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextDigest {
    /// The digest of everything, in hexadecimal.
    pub digest: String,
    /// A short hash of each file, folder and link, by path. In a path, bytes that are not UTF-8 are written as `\xff`.
    pub files: BTreeMap<String, String>,
    /// What the next [`Context::digest`](super::Context::digest) need not read again.
    pub known: KnownFiles,
}

impl ContextDigest {
    /// What has been added, changed or removed since an earlier digest, by path.
    #[must_use]
    pub fn changes(&self, before: &Self) -> Vec<Change> {
        let paths: BTreeSet<&String> = self.files.keys().chain(before.files.keys()).collect();
        let change = |path: &String| match (before.files.get(path), self.files.get(path)) {
            (None, _) => Some(Change::Added(path.clone())),
            (_, None) => Some(Change::Removed(path.clone())),
            (before, now) => (before != now).then(|| Change::Changed(path.clone())),
        };
        paths.into_iter().filter_map(change).collect()
    }
}

/// How a path of a context differs from before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there.
    Added(String),
    /// Its kind, content, permissions or target are others.
    Changed(String),
    /// It is not there any more.
    Removed(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(path) => write!(f, "`{path}` is new"),
            Self::Changed(path) => write!(f, "`{path}` has changed"),
            Self::Removed(path) => write!(f, "`{path}` is gone"),
        }
    }
}

/// The digests of files that have been read, each with what shows whether the file is still the same. Keep it between
/// builds: then files that have not changed are not read again. It may be lost at any time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KnownFiles(BTreeMap<String, Known>);

/// Size, time of the content's last change, time of the last change of anything, inode, digest. A list and not a
/// structure, because tens of thousands of them are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known(u64, i64, i64, u64, String);

impl Known {
    fn new(stamp: Stamp, hash: Hash) -> Self {
        Self(stamp.size, stamp.mtime, stamp.ctime, stamp.inode, hash.to_hex().to_string())
    }

    fn hash_of(&self, stamp: Stamp) -> Option<Hash> {
        let Self(size, mtime, ctime, inode, hash) = self;
        let known = Stamp { size: *size, mtime: *mtime, ctime: *ctime, inode: *inode };
        Hash::from_hex(hash).ok().filter(|_| known == stamp)
    }
}

/// The digest of these entries. `now` is the time before the first file is read.
pub(super) fn digest(entries: &[Entry], known: Option<&KnownFiles>, now: Timestamp) -> Result<ContextDigest> {
    let hashes = hashes(entries, known)?;
    let mut whole = Hasher::new();
    whole.update(VERSION);
    let mut found = ContextDigest { digest: String::new(), files: BTreeMap::new(), known: KnownFiles::default() };
    for (entry, hash) in entries.iter().zip(hashes) {
        let of_entry = entry_hash(entry, hash);
        whole.update(&(entry.path.len() as u64).to_le_bytes()).update(&entry.path).update(of_entry.as_bytes());
        let path = entry.shown();
        if let Content::File { stamp, .. } = entry.content
            && !is_racy(stamp, now)
        {
            found.known.0.insert(path.clone(), Known::new(stamp, hash));
        }
        found.files.insert(path, of_entry.to_hex()[..SHORT_HASH_CHARS].to_owned());
    }
    found.digest = whole.finalize().to_hex().to_string();
    Ok(found)
}

fn is_racy(stamp: Stamp, now: Timestamp) -> bool {
    let last = stamp.mtime.max(stamp.ctime) / 1_000_000;
    u64::try_from(last).unwrap_or(0) > now.before(RACY).as_millis()
}

fn entry_hash(entry: &Entry, content: Hash) -> Hash {
    let kind = match entry.content {
        Content::Folder => b'd',
        Content::Fifo => b'p',
        Content::Link(_) => b'l',
        Content::File { .. } | Content::Text(_) => b'f',
    };
    Hasher::new().update(&[kind]).update(&entry.mode.to_le_bytes()).update(content.as_bytes()).finalize()
}

/// The hash of each entry's content, computed on all processors.
///
/// Entries are taken in order, and each that was taken is finished. So if several cannot be read, the error is always
/// that of the first.
fn hashes(entries: &[Entry], known: Option<&KnownFiles>) -> Result<Vec<Hash>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = entries.get(index) else { return done };
            let hash = content_hash(entry, known, &mut buffer);
            if hash.is_err() {
                next.store(entries.len(), Ordering::Relaxed);
            }
            done.push((index, hash));
        }
    };
    let mut all = thread::scope(|scope| {
        let others = thread::available_parallelism().map_or(0, |number| number.get() - 1);
        // If the system refuses a thread, the others do its work.
        let others: Vec<_> =
            (0..others).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let mut all = work();
        for other in others {
            all.extend(other.join().expect("hashing does not panic"));
        }
        all
    });
    all.sort_unstable_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, hash)| hash).collect()
}

fn content_hash(entry: &Entry, known: Option<&KnownFiles>, buffer: &mut Vec<u8>) -> Result<Hash> {
    Ok(match &entry.content {
        Content::Folder | Content::Fifo => blake3::hash(b""),
        Content::Link(target) => blake3::hash(target),
        Content::Text(text) => blake3::hash(text),
        Content::File { source, stamp } => {
            let known = known.and_then(|known| known.0.get(&entry.shown())?.hash_of(*stamp));
            known.map_or_else(|| file_hash(source, *stamp, buffer), Ok)?
        }
    })
}

fn file_hash(source: &Path, stamp: Stamp, buffer: &mut Vec<u8>) -> Result<Hash> {
    let mut reading = Reading::open(source, stamp)?;
    let mut hasher = Hasher::new();
    while {
        buffer.clear();
        let more = reading.read(buffer, READ_BYTES)?;
        hasher.update(buffer);
        more
    } {}
    Ok(hasher.finalize())
}
