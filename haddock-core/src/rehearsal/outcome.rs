//! What a rehearsal says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::VersionId;
use crate::release::Event;
use crate::time::Timestamp;

/// How releases went with one seed. Times are in seconds since the begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// When it began.
    pub began: Timestamp,
    /// How long it lasted, in seconds.
    pub lasted: f64,
    /// The releases, in the order in which they were planned.
    pub releases: Vec<RehearsedRelease>,
    /// All sessions.
    pub sessions: SessionTally,
    /// The most versions that ran at the same time.
    pub versions_at_once: u32,
    /// The most containers that ran at the same time, with those that instances share.
    pub containers_at_once: u32,
    /// What happened, at most 1000 lines.
    pub timeline: Vec<TimelineEntry>,
    /// Shares and live sessions over time, at most 500, equally far apart.
    pub samples: Vec<Sample>,
}

/// How a release went. Times are in seconds since it was asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RehearsedRelease {
    /// When it was asked for, in seconds since the begin.
    pub asked_at: f64,
    /// Its version. `None` if it never began, such as because a newer release took its place.
    pub version: Option<VersionId>,
    /// When all new sessions went to its version. `None`: never.
    pub to_full_share: Option<f64>,
    /// When it was settled.
    pub to_settled: Option<f64>,
    /// When no older version was left. `None`: never, as when it was aborted.
    pub to_gone: Option<f64>,
    /// When its share began to be given back.
    pub to_abort: Option<f64>,
    /// Why it was aborted.
    pub aborted: Option<String>,
    /// It was aborted although nothing was wrong with it.
    pub false_abort: bool,
    /// Sessions that began on its version, until the end of the rehearsal.
    pub sessions_begun: u64,
    /// Those of them with a failed request.
    pub sessions_failed: u64,
    /// Those of them that failed, or were lost, and would not have been on the version that serves.
    pub sessions_harmed: u64,
}

/// Sessions of all versions, since the begin. `live_at_begin + begun = ended + evicted + live`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionTally {
    /// They lived at the begin.
    pub live_at_begin: u64,
    /// They began.
    pub begun: u64,
    /// They expired.
    pub ended: u64,
    /// They ended because their instance was closed.
    pub evicted: u64,
    /// They live at the end.
    pub live: u64,
    /// They had a failed request.
    pub failed: u64,
    /// No instance took them.
    pub turned_away: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When, in seconds since the begin.
    pub at: f64,
    /// What.
    pub event: Event,
    /// The same, for people.
    pub message: String,
}

/// Shares and live sessions at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, in seconds since the begin.
    pub at: f64,
    /// Each version that has instances.
    pub versions: BTreeMap<VersionId, VersionSample>,
}

/// A version at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct VersionSample {
    /// Its part of the new sessions, 0 to 1.
    pub share: f64,
    /// Its live sessions.
    pub live: u64,
}
