//! One record of a log: 24 bytes of what it says and 8 of a checksum.

use serde::{Deserialize, Serialize};

use crate::name::InstanceId;
use crate::routing::FencingToken;
use crate::time::Timestamp;

pub(super) const RECORD_BYTES: usize = 32;
const SAYS_BYTES: usize = 24;

/// The times of a record have 48 bits: until the year 10889. What it is takes the rest of that word.
const KIND_SHIFT: u32 = 56;
const TIME_MASK: u64 = (1 << 48) - 1;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::locator::gateway) enum Record {
    /// This number is about to be the newest on disk.
    Number(FencingToken),
    /// The session lives on the instance with this mark, and counts as used until then.
    Used { id: u64, instance: u64, until: Timestamp },
    /// The session has ended before it expired.
    Ended { id: u64 },
    /// The instance with this mark has sessions that are not in the log. The last of them counts as used until then.
    Uncounted { instance: u64, until: Timestamp },
    /// The log ends here, after so many records.
    End { records: u64 },
}

const NUMBER: u64 = 1;
const USED: u64 = 2;
const ENDED: u64 = 3;
const UNCOUNTED: u64 = 4;
const END: u64 = 5;

/// What an instance is called in a log: as short as a session's id.
pub(in crate::locator::gateway) fn instance_mark(instance: &InstanceId) -> u64 {
    first_word(blake3::hash(instance.as_str().as_bytes()).as_bytes())
}

/// Makes and checks the records of one file.
#[derive(Debug, Clone)]
pub(super) struct Seal {
    key: [u8; 32],
    /// The place of the next record.
    pub(super) next: u64,
}

impl Seal {
    /// For a file with this header. `of` is whose it is.
    pub(super) fn new(header: &[u8], of: &str) -> Self {
        Self { key: *blake3::hash(&[header, of.as_bytes()].concat()).as_bytes(), next: 0 }
    }

    /// Writes the next record to `out`.
    pub(super) fn write(&mut self, record: Record, out: &mut Vec<u8>) {
        let says = says(record);
        out.extend_from_slice(&says);
        out.extend_from_slice(&self.sum(&says).to_le_bytes());
        self.next += 1;
    }

    /// Reads the next record. `None`: it is none, or not the next one of this file.
    pub(super) fn read(&mut self, bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
        let (says, sum) = bytes.split_first_chunk::<SAYS_BYTES>()?;
        if self.sum(says).to_le_bytes() != sum {
            return None;
        }
        self.next += 1;
        said(says)
    }

    fn sum(&self, says: &[u8; SAYS_BYTES]) -> u64 {
        let mut message = [0; SAYS_BYTES + size_of::<u64>()];
        message[..SAYS_BYTES].copy_from_slice(says);
        message[SAYS_BYTES..].copy_from_slice(&self.next.to_le_bytes());
        first_word(blake3::keyed_hash(&self.key, &message).as_bytes())
    }
}

fn says(record: Record) -> [u8; SAYS_BYTES] {
    let timed = |kind: u64, until: Timestamp| kind << KIND_SHIFT | until.as_millis().min(TIME_MASK);
    let words = match record {
        Record::Number(FencingToken { epoch, revision }) => [NUMBER << KIND_SHIFT, epoch, revision],
        Record::Used { id, instance, until } => [timed(USED, until), id, instance],
        Record::Ended { id } => [ENDED << KIND_SHIFT, id, 0],
        Record::Uncounted { instance, until } => [timed(UNCOUNTED, until), 0, instance],
        Record::End { records } => [END << KIND_SHIFT, records, 0],
    };
    let mut bytes = [0; SAYS_BYTES];
    for (bytes, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn said(bytes: &[u8; SAYS_BYTES]) -> Option<Record> {
    let [what, first, second] = [0, 8, 16].map(|at| first_word(&bytes[at..]));
    let until = Timestamp::from_millis(what & TIME_MASK);
    match what >> KIND_SHIFT {
        NUMBER => Some(Record::Number(FencingToken { epoch: first, revision: second })),
        USED => Some(Record::Used { id: first, instance: second, until }),
        ENDED => Some(Record::Ended { id: first }),
        UNCOUNTED => Some(Record::Uncounted { instance: second, until }),
        END => Some(Record::End { records: first }),
        _ => None,
    }
}

fn first_word(bytes: &[u8]) -> u64 {
    let mut word = [0; size_of::<u64>()];
    word.copy_from_slice(&bytes[..size_of::<u64>()]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_in_its_place_and_nowhere_else() {
        let until = Timestamp::from_millis(1_795_000_000_123);
        let records = [
            Record::Number(FencingToken { epoch: u64::MAX, revision: 7 }),
            Record::Used { id: u64::MAX, instance: 3, until },
            Record::Ended { id: 9 },
            Record::Uncounted { instance: u64::MAX, until },
            Record::End { records: 4 },
        ];
        let (mut seal, mut bytes) = (Seal::new(b"one", "shop"), Vec::new());
        records.into_iter().for_each(|record| seal.write(record, &mut bytes));
        let read = |mut seal: Seal, from: usize| {
            let parts = bytes[from..].chunks_exact(RECORD_BYTES);
            parts.map(|part| seal.read(part.try_into().expect("a record"))).collect::<Vec<_>>()
        };
        assert_eq!(read(Seal::new(b"one", "shop"), 0), records.map(Some));
        assert_eq!(read(Seal::new(b"one", "shop"), RECORD_BYTES), [None; 4], "not in their places");
        assert_eq!(read(Seal::new(b"two", "shop"), 0), [None; 5], "of another file");
        assert_eq!(read(Seal::new(b"one", "shops"), 0), [None; 5], "of another service");
    }
}
