//! What has to be logged of the sessions.

use std::time::Duration;

use crate::locator::gateway::session_log::Record;
use crate::locator::gateway::sessions::SessionTable;
use crate::routing::FencingToken;

/// What has to be logged, and by what grain.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) records: Vec<Record>,
    /// The last two numbers that were about to be on disk.
    pub(super) numbers: [FencingToken; 2],
    /// For how long ahead a use is logged: twice this power of two of ticks. Never less than the table's grain.
    pub(super) ahead: u32,
}

impl News {
    pub(super) fn new(idle: Duration) -> Self {
        Self { ahead: SessionTable::grain_for(idle), ..Self::default() }
    }
}
