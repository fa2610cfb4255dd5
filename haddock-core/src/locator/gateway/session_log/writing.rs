//! A log that grows.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use super::boot::{Boot, header};
use super::record::{Record, Seal};
use crate::error::{Error, ErrorKind, Result};
use crate::locator::saved::{failed, private};

/// The log of a service.
#[derive(Debug)]
pub(in crate::locator::gateway) struct SessionLog {
    path: PathBuf,
    of: String,
    boot: Option<Boot>,
    /// `None`: there is none, and the next gateway does not know the sessions.
    now: Option<Part>,
    /// What takes its place once it is whole.
    next: Option<Part>,
    /// How often one was begun.
    begun: u64,
    /// It was ended, so nothing more is written.
    is_ended: bool,
    bytes: Vec<u8>,
}

/// A file with records.
#[derive(Debug)]
struct Part {
    file: File,
    seal: Seal,
}

impl Part {
    fn append(&mut self, records: &[Record], bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.clear();
        for record in records {
            self.seal.write(*record, bytes);
        }
        self.file.write_all(bytes)
    }
}

impl SessionLog {
    /// The log in this file, of this service. Nothing is written yet.
    pub(in crate::locator::gateway) fn new(path: PathBuf, of: &str, boot: Option<Boot>) -> Self {
        Self { path, of: of.to_owned(), boot, now: None, next: None, begun: 0, is_ended: false, bytes: Vec::new() }
    }

    /// Appends records. If that is not possible, there is no log any more.
    pub(in crate::locator::gateway) fn append(&mut self, records: &[Record]) {
        if let Some(now) = &mut self.now
            && let Err(error) = now.append(records, &mut self.bytes)
        {
            let path = self.path.display();
            tracing::warn!(%path, %error, "sessions are not logged: after a kill, their number would be unknown");
            self.void();
        }
        self.append_to_next(records);
    }

    fn append_to_next(&mut self, records: &[Record]) {
        if let Some(next) = &mut self.next
            && let Err(error) = next.append(records, &mut self.bytes)
        {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the log of sessions cannot be written anew");
            self.give_up();
        }
    }

    /// Makes sure that no next gateway takes what is there for true.
    pub(in crate::locator::gateway) fn void(&mut self) {
        // One of them does on a full disk, and on one that has become read-only neither could have been written.
        let emptied = self.now.take().is_some_and(|now| now.file.set_len(0).is_ok());
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
            && !emptied
        {
            tracing::error!(path = %self.path.display(), %error, "a log of sessions that is not true any more stays");
        }
    }

    /// How many records it has. `None`: there is no log.
    pub(in crate::locator::gateway) fn records(&self) -> Option<u64> {
        self.now.as_ref().map(|now| now.seal.next)
    }

    /// It was ended too early, and goes on.
    pub(in crate::locator::gateway) fn reopen(&mut self) {
        self.is_ended = false;
    }

    /// Begins to write it anew. Until [`finish`](Self::finish), each record goes into both. Answers which time this is.
    pub(in crate::locator::gateway) fn begin(&mut self) -> Result<u64> {
        if self.is_ended {
            return Err(Error::new(ErrorKind::LocatorUnavailable, "this gateway has ended"));
        }
        let Some(boot) = self.boot.clone() else {
            return Err(Error::new(ErrorKind::NotSupported, "this system does not tell one boot from another")
                .with_hint("a gateway that is killed does not know its sessions here"));
        };
        self.begin_part(Some(&boot))?;
        Ok(self.begun)
    }

    fn begin_part(&mut self, boot: Option<&Boot>) -> Result<()> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| Error::new(ErrorKind::Io, format!("no random number: {error}")))?;
        let header = header(boot, u64::from_ne_bytes(random));
        let beside = self.beside();
        let made = private(&beside, true).and_then(|mut file| {
            file.write_all(header.as_bytes())?;
            Ok(Part { file, seal: Seal::new(header.as_bytes(), &self.of) })
        });
        self.begun += 1;
        self.next = None;
        match made {
            Ok(part) => self.next = Some(part),
            Err(error) => {
                let _ = fs::remove_file(&beside);
                return Err(failed("write", &beside, &error));
            }
        }
        Ok(())
    }

    /// Appends records to the new one alone. Answers whether it is still wanted.
    pub(in crate::locator::gateway) fn append_anew(&mut self, which: u64, records: &[Record]) -> bool {
        if self.begun == which {
            self.append_to_next(records);
        }
        self.begun == which && self.next.is_some()
    }

    /// The new one takes the place of the old one. Answers whether it did.
    pub(in crate::locator::gateway) fn finish(&mut self, which: u64) -> bool {
        if self.begun != which {
            return false;
        }
        let Some(next) = self.next.take() else { return false };
        match fs::rename(self.beside(), &self.path) {
            Ok(()) => {
                self.now = Some(next);
                true
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the log of sessions cannot be written anew");
                self.give_up();
                false
            }
        }
    }

    /// Writes it a last time, from all records. It is on disk when this returns.
    pub(in crate::locator::gateway) fn end(&mut self, records: &[Record]) -> Result<()> {
        self.is_ended = true;
        self.void();
        self.begin_part(None)?;
        let Some(mut part) = self.next.take() else { return Ok(()) };
        let end = [Record::End { records: records.len() as u64 }];
        let written = part
            .append(records, &mut self.bytes)
            .and_then(|()| part.append(&end, &mut self.bytes))
            .and_then(|()| part.file.sync_all())
            .and_then(|()| fs::rename(self.beside(), &self.path))
            .and_then(|()| self.path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()));
        written.map_err(|error| {
            self.give_up();
            failed("write", &self.path, &error)
        })
    }

    fn give_up(&mut self) {
        self.next = None;
        // A half-written file would take up room, and room is what is missing.
        let _ = fs::remove_file(self.beside());
    }

    fn beside(&self) -> PathBuf {
        self.path.with_extension("new")
    }
}

#[cfg(test)]
impl SessionLog {
    /// From now on there is no room for a record.
    pub(in crate::locator::gateway) fn fill_up(&mut self) {
        let full = File::options().write(true).open("/dev/full").expect("it is there");
        self.now.as_mut().expect("a log").file = full;
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
