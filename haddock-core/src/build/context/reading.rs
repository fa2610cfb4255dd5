//! Reading a file that must be the one that was scanned.

use std::fs::File;
use std::io::{ErrorKind as IoKind, Read};
use std::path::Path;

use super::entry::{Stamp, changed, unreadable};
use crate::error::Result;

/// An open file. It gives as many bytes as it had in the scan, or fails.
pub(super) struct Reading<'a> {
    file: File,
    source: &'a Path,
    stamp: Stamp,
    left: u64,
}

impl<'a> Reading<'a> {
    /// # Errors
    /// If the file cannot be read, or is not the one of the scan any more.
    pub(super) fn open(source: &'a Path, stamp: Stamp) -> Result<Self> {
        let file = File::open(source).map_err(|error| match error.kind() {
            IoKind::NotFound => changed(source),
            _ => unreadable(source, &error),
        })?;
        let reading = Self { file, source, stamp, left: stamp.size };
        reading.check()?;
        Ok(reading)
    }

    /// Appends the next bytes, at most `most`. Whether there are more: after the last ones, the file is checked once more.
    ///
    /// # Errors
    /// If the file cannot be read, or was changed.
    pub(super) fn read(&mut self, into: &mut Vec<u8>, most: usize) -> Result<bool> {
        let wanted = self.left.min(most as u64);
        let read = (&mut self.file).take(wanted).read_to_end(into);
        let read = read.map_err(|error| unreadable(self.source, &error))? as u64;
        if read < wanted {
            return Err(changed(self.source));
        }
        self.left -= read;
        if self.left == 0 {
            self.check()?;
        }
        Ok(self.left > 0)
    }

    fn check(&self) -> Result<()> {
        let metadata = self.file.metadata().map_err(|error| unreadable(self.source, &error))?;
        if Stamp::of(&metadata).is_same_content(&self.stamp) { Ok(()) } else { Err(changed(self.source)) }
    }
}
