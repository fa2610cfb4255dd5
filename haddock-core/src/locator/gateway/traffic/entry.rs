//! The format of the record: an entry says what changed in some time.
//!
//! A file begins with [`HEADER`]. Then come frames: the length of the payload as two bytes, the first four bytes of the
//! payload's BLAKE3 hash, and the payload, which is a [`Frame`] in postcard's encoding. Numbers there take as few bytes
//! as they need, so an instance takes some ten bytes a minute.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::name::InstanceId;
use crate::routing::Share;

pub(super) const HEADER: &[u8] = b"haddock traffic 1\n";
/// The length and the checksum of a frame.
const FRAME_HEAD: usize = 2 + 4;

/// What changed from one moment until another. It was all in the last minute of that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// In seconds since the Unix epoch.
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) rows: Vec<Row>,
}

/// What changed on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) instance: InstanceId,
    pub(super) share: Option<Share>,
    pub(super) begun: u64,
    pub(super) ended: u64,
    pub(super) failed: u64,
    pub(super) live: Option<u64>,
}

/// A row on disk: the number of its instance, then as in [`Row`].
type Numbered = (u32, Option<Share>, u64, u64, u64, Option<u64>);

#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    /// An instance, which gets the next number of the file, from 0.
    Instance(InstanceId),
    Entry {
        from: u64,
        lasts: u64,
        rows: Vec<Numbered>,
    },
}

/// The instances of a file, by their numbers.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    numbers: HashMap<InstanceId, u32>,
    names: Vec<InstanceId>,
}

impl Names {
    fn add(&mut self, instance: InstanceId) -> u32 {
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(instance.clone(), number);
        self.names.push(instance);
        number
    }
}

/// The bytes of an entry, and those of the instances that are new in the file. `None`: it is too large to be written.
pub(super) fn write(entry: &Entry, names: &mut Names) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rows = Vec::with_capacity(entry.rows.len());
    for row in &entry.rows {
        let number = match names.numbers.get(&row.instance) {
            Some(number) => *number,
            None => {
                put(&Frame::Instance(row.instance.clone()), &mut bytes)?;
                names.add(row.instance.clone())
            }
        };
        rows.push((number, row.share, row.begun, row.ended, row.failed, row.live));
    }
    put(&Frame::Entry { from: entry.from, lasts: entry.until.saturating_sub(entry.from), rows }, &mut bytes)?;
    Some(bytes)
}

fn put(frame: &Frame, bytes: &mut Vec<u8>) -> Option<()> {
    let payload = postcard::to_allocvec(frame).ok()?;
    let length = u16::try_from(payload.len()).ok()?;
    bytes.extend(length.to_le_bytes());
    bytes.extend(checksum(&payload));
    bytes.extend(payload);
    Some(())
}

fn checksum(payload: &[u8]) -> [u8; 4] {
    let mut sum = [0; 4];
    sum.copy_from_slice(&blake3::hash(payload).as_bytes()[..4]);
    sum
}

/// What a file says, as far as it can be read.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) entries: Vec<Entry>,
    pub(super) names: Names,
    /// How many of its bytes could be read. What follows was torn when the power failed, or is damaged.
    pub(super) length: usize,
}

/// Reads a file. `None`: it is none of ours, or of a newer format.
pub(super) fn read(bytes: &[u8]) -> Option<Content> {
    let mut rest = bytes.strip_prefix(HEADER)?;
    let mut content = Content::default();
    while let Some((frame, after)) = take(rest) {
        match frame {
            Frame::Instance(instance) => drop(content.names.add(instance)),
            Frame::Entry { from, lasts, rows } => {
                let row = |(number, share, begun, ended, failed, live): (u32, _, _, _, _, _)| {
                    let instance = content.names.names.get(usize::try_from(number).ok()?)?.clone();
                    Some(Row { instance, share, begun, ended, failed, live })
                };
                let rows = rows.into_iter().filter_map(row).collect();
                content.entries.push(Entry { from, until: from.saturating_add(lasts), rows });
            }
        }
        rest = after;
    }
    content.length = bytes.len() - rest.len();
    Some(content)
}

fn take(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME_HEAD)?;
    let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
    let (payload, rest) = rest.split_at_checked(length)?;
    if checksum(payload) != head[2..] {
        return None;
    }
    Some((postcard::from_bytes(payload).ok()?, rest))
}
