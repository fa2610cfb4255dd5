//! How fast the sessions of an instance end.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

/// How often it is noted how many sessions have ended, and how many notes are kept: those of ten minutes.
const NOTED_EVERY: Duration = Duration::from_secs(60);
const MAX_NOTES: usize = 11;

/// How many sessions of an instance had ended at some times, oldest first.
#[derive(Debug, Default)]
pub(super) struct Endings(VecDeque<(Timestamp, u64)>);

impl Endings {
    /// Notes how many have ended up to now, if it is time to.
    pub(super) fn note(&mut self, ended: u64, now: Timestamp) {
        if self.0.back().is_some_and(|(at, _)| now < *at + NOTED_EVERY) {
            return;
        }
        if self.0.len() == MAX_NOTES {
            self.0.pop_front();
        }
        self.0.push_back((now, ended));
    }

    /// How many have ended since the oldest note, and how long ago that is.
    pub(super) fn lately(&self, ended: u64, now: Timestamp) -> (u64, Duration) {
        self.0.front().map_or((0, Duration::ZERO), |(at, before)| (ended.saturating_sub(*before), now.since(*at)))
    }
}
