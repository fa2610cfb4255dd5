//! A log that another gateway has left.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind as IoErrorKind, Read};
use std::path::Path;

use super::boot::{Boot, HEADER_BYTES, Kind, kind};
use super::record::{RECORD_BYTES, Record, Seal};
use crate::routing::FencingToken;
use crate::time::Timestamp;

/// Large enough for few reads of a log with a million sessions.
const BUFFER_BYTES: usize = 256 * 1024;

/// What a log says of the sessions of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::locator::gateway) struct Logged {
    /// The last two numbers that were about to be on disk. The last may not have got there.
    pub(in crate::locator::gateway) numbers: [Option<FencingToken>; 2],
    /// For an instance with sessions that are not in the log, until when the last of them counts as used.
    pub(in crate::locator::gateway) uncounted: HashMap<u64, Timestamp>,
    /// The mark of each session's instance, and until when the session counts as used.
    pub(in crate::locator::gateway) sessions: HashMap<u64, (u64, Timestamp)>,
}

/// Reads a log. `None`: there is none, it is of another boot or format, or it is damaged. A record at the end that was not
/// written to its end counts for nothing: nobody has seen what it says.
pub(in crate::locator::gateway) fn read(path: &Path, of: &str, present: Option<&Boot>) -> Option<Logged> {
    let mut file = BufReader::with_capacity(BUFFER_BYTES, File::open(path).ok()?);
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header).ok()?;
    let kind = kind(&header, present)?;
    let mut seal = Seal::new(&header, of);
    let (mut logged, mut is_ended) = (Logged::default(), false);
    loop {
        let mut bytes = [0; RECORD_BYTES];
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == IoErrorKind::UnexpectedEof => break,
            Err(_) => return None,
        }
        let before = seal.next;
        let record = seal.read(&bytes)?;
        if is_ended {
            return None;
        }
        match record {
            Record::End { records } => is_ended = records == before,
            record => logged.take(record),
        }
    }
    (is_ended == (kind == Kind::Ended)).then_some(logged)
}

impl Logged {
    fn take(&mut self, record: Record) {
        match record {
            Record::Number(number) => self.numbers = [self.numbers[1], Some(number)],
            Record::Used { id, instance, until } => drop(self.sessions.insert(id, (instance, until))),
            Record::Ended { id } => drop(self.sessions.remove(&id)),
            Record::Uncounted { instance, until } => drop(self.uncounted.insert(instance, until)),
            Record::End { .. } => {}
        }
    }
}
