//! The record of traffic: sessions begun, ended and failed, minute by minute, on disk.
//!
//! ```text
//!   counters of the routing ──once a minute──▶ recorder ──▶ files      traffic/SERVICE.2026-11-24, one a day
//!                                                │             │
//!                                                └── reading ◀─┘       rows, and the gaps between them
//! ```
//!
//! - `recorder` finds what changed since the last minute. It is pure.
//! - `entry` is the format: what changed until some moment, with a checksum.
//! - `files` appends entries to the file of their day, and forgets the oldest days.
//! - `reading` puts entries together.
//!
//! No request waits for any of this. What cannot be written is kept in memory for a while, and is then a gap.

mod entry;
mod files;
mod reading;
mod recorder;

use std::path::PathBuf;

use crate::name::ServiceName;
use crate::routing::TrafficRecord;
use crate::time::Timestamp;

use super::service_routing::Totals;
use super::store::Store;
use files::Files;
use recorder::Recorder;

/// The record of one service.
#[derive(Debug)]
pub(super) struct Traffic {
    recorder: Recorder,
    files: Files,
    store: Store,
}

impl Traffic {
    /// From now on, this service is recorded.
    pub(super) fn new(store: &Store, service: &ServiceName, now: Timestamp) -> Self {
        let folder: PathBuf = store.traffic_folder();
        Self { recorder: Recorder::new(now), files: Files::new(folder, service), store: store.clone() }
    }

    /// When the present minute ends.
    pub(super) fn due(&self) -> Timestamp {
        self.recorder.due()
    }

    /// Records what was counted up to now. `last`: nothing follows, so nothing is put off.
    pub(super) fn note(&mut self, totals: Vec<Totals>, now: Timestamp, last: bool) {
        self.recorder.look(totals, now, last);
        let Self { recorder, files, store } = self;
        let written = store.beside(|| {
            while let Some(entry) = recorder.unwritten().front() {
                files.append(entry)?;
                recorder.unwritten().pop_front();
            }
            Ok(())
        });
        if let Some(Err(error)) = written {
            let error: std::io::Error = error;
            tracing::warn!(%error, "the record of traffic cannot be written; it is tried again in a minute");
        }
    }

    /// What is recorded of this time, with what was counted since the last minute. It may answer for less than asked:
    /// then it has whole days, and the caller asks for the rest.
    pub(super) fn read(
        &self,
        totals: impl Iterator<Item = Totals>,
        from: Timestamp,
        until: Timestamp,
        now: Timestamp,
    ) -> TrafficRecord {
        reading::read(&self.files, &self.recorder.all_unwritten(totals, now), from, until, now)
    }
}

#[cfg(test)]
mod tests;
