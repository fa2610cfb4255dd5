//! Journals: where the state of each service, and all that happened to it, is kept.
//!
//! ```text
//!   verbs ──submit──▶ Journal ◀──load, commit── controller
//!                        ◀── memory   for tests and embedding
//!                        ◀── sqlite   one file, any number of processes
//! ```
//!
//! [`Journal`] holds the contract; [`suite`] (feature `testing`) is that contract as tests, for any implementor to run.
//! No value of an environment variable ever enters a journal: versions name their specification by digest.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::name::{JournalId, RequestId, ServiceName};
use crate::release::{Event, RecordedEvent, Request, ServiceState, Story};
use crate::time::Timestamp;

pub use keep::Keep;

mod keep;
#[cfg(feature = "controller")]
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "testing")]
pub mod suite;

/// The right to act for a service, until `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The service.
    pub service: ServiceName,
    /// Who holds it, for people to read.
    pub holder: String,
    /// One more than that of the lease before; it fences what earlier holders still try.
    pub epoch: u64,
    /// When it ends unless renewed.
    pub until: Timestamp,
}

/// What a step leads to, written in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The state, with the number of this commit.
    pub state: ServiceState,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The requests that were taken up; they are never pending again.
    pub taken: Vec<RequestId>,
}

/// How a loop that acted for a service ended, when nobody had asked it to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopEnd {
    /// When.
    pub at: Timestamp,
    /// Who acted, for people to read.
    pub holder: String,
    /// Why it ended.
    pub error: Error,
}

/// A history up to an event, added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// The sequence of the last event that is in it; 0: none is.
    pub sequence: u64,
    /// The story up to that event.
    pub story: Story,
}

/// A journal.
///
/// # Contract
///
/// - A call that answered `Ok` is durable. A call that failed, or whose future was dropped, took effect whole or not at
///   all; [`load`](Self::load) tells.
/// - [`commit`](Self::commit) with an epoch other than the newest ever given out, or with a number not above that of the
///   last commit, is refused with [`Fenced`](crate::ErrorKind::Fenced).
/// - Anybody may load, submit and read the history at any time; only acting needs the lease. Reading waits for no writer.
/// - What cannot be read is contained: a damaged service is an error of that service alone, a request becomes one that is
///   [unreadable](crate::release::Verb::Unreadable), and an event becomes one that is
///   [unreadable](crate::release::Event::Unreadable). What a newer Haddock has written is never lost.
/// - A full disk is [`JournalFull`](crate::ErrorKind::JournalFull), and nothing was written.
#[async_trait]
pub trait Journal: Send + Sync + fmt::Display + fmt::Debug + 'static {
    /// Its id, given once when it was made.
    fn id(&self) -> &JournalId;

    /// The state of a service, or `None` if it was never committed.
    ///
    /// # Errors
    /// [`JournalTooNew`](crate::ErrorKind::JournalTooNew) if a newer Haddock wrote it.
    async fn load(&self, service: &ServiceName) -> Result<Option<ServiceState>>;

    /// The services that have a state that is not [forgotten](ServiceState::is_forgotten), or a pending request.
    async fn services(&self) -> Result<Vec<ServiceName>>;

    /// Takes the lease under a new epoch. A holder whose process has ended is known to be gone at once, where the
    /// journal can tell.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) while another holds it, naming the holder.
    async fn acquire(&self, service: &ServiceName, holder: &str, lasts: Duration, now: Timestamp) -> Result<Lease>;

    /// Makes every epoch that is given out from now on greater than `epoch`; none becomes smaller by it. For a journal that
    /// takes the place of a lost one: what its holders decide has to be newer than whatever was decided before. A lease
    /// that is held ends.
    async fn raise_epoch(&self, service: &ServiceName, epoch: u64) -> Result<()>;

    /// Makes the lease last from `now` on.
    ///
    /// # Errors
    /// [`Fenced`](crate::ErrorKind::Fenced) if a newer epoch was given out.
    async fn renew(&self, lease: &Lease, lasts: Duration, now: Timestamp) -> Result<Lease>;

    /// Gives the lease back. One that is not held any more is left as it is.
    async fn give_back(&self, lease: &Lease) -> Result<()>;

    /// The lease that is held now; `None` if nobody acts. A holder whose process has ended is known to be gone at once,
    /// where the journal can tell.
    async fn lease(&self, service: &ServiceName, now: Timestamp) -> Result<Option<Lease>>;

    /// Writes state, events and taken requests, all or nothing.
    ///
    /// # Errors
    /// [`Fenced`](crate::ErrorKind::Fenced), [`JournalFull`](crate::ErrorKind::JournalFull),
    /// [`JournalUnavailable`](crate::ErrorKind::JournalUnavailable).
    async fn commit(&self, lease: &Lease, commit: &Commit) -> Result<()>;

    /// Leaves a request for whoever acts. The same id a second time changes nothing, even after it was taken up.
    async fn submit(&self, service: &ServiceName, request: &Request) -> Result<()>;

    /// The requests that were not taken up, in the order of their submission. One that this Haddock cannot read is among
    /// them, as [`Request::read`] reads it.
    async fn pending(&self, service: &ServiceName) -> Result<Vec<Request>>;

    /// Up to `limit` events after the one with sequence `after`, oldest first. Sequences count from 1, without gaps; a
    /// journal that says so may have forgotten the oldest.
    async fn history(&self, service: &ServiceName, after: u64, limit: usize) -> Result<Vec<RecordedEvent>>;

    /// The sequence of the newest event; 0 if nothing has happened yet.
    async fn newest(&self, service: &ServiceName) -> Result<u64>;

    /// The sequence of the event that says that the request was taken up; `None` if it was not, or so long ago that it is
    /// forgotten. A journal that does not know exactly answers with an earlier event.
    async fn taken_at(&self, service: &ServiceName, request: &RequestId) -> Result<Option<u64>>;

    /// The history up to some event at or before the one with sequence `upto`, added up, so that nobody needs to read it
    /// from the first event on. How far before is the journal's choice.
    async fn checkpoint(&self, service: &ServiceName, upto: u64) -> Result<Checkpoint>;

    /// Forgets the events that are older than what is to be kept, with a [checkpoint](Self::checkpoint) at the first one
    /// that stays; and the ids of requests that were taken up before.
    async fn prune(&self, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<()>;

    /// Remembers how a loop that acted for the service ended, for others to see; `None`: one acts again.
    async fn note_end(&self, service: &ServiceName, end: Option<LoopEnd>) -> Result<()>;

    /// How the last loop that acted for the service ended, if nobody had asked it to, and none acts again.
    async fn last_end(&self, service: &ServiceName) -> Result<Option<LoopEnd>>;
}
