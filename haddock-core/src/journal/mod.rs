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
//!
//! A journal only keeps events. What kinds there are is said by [`Event`], which belongs to
//! [`release`](crate::release).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::name::{JournalId, RequestId, ServiceName};
use crate::release::{Event, RecordedEvent, Request, ServiceState, Story};
use crate::time::Timestamp;

pub use keep::Keep;

pub mod fencing;
mod forward;
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

/// A summary of a history up to an event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// The sequence of the last event in the summary; 0 if there is none.
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
/// - Each call may fail with [`JournalUnavailable`](crate::ErrorKind::JournalUnavailable), if the journal cannot be
///   reached or a call would wait for another writer for more than a few seconds. The same call may be tried again.
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

    /// Takes the lease under a new epoch. If the journal can see that the holder's process has ended, the lease is free
    /// at once.
    ///
    /// # Errors
    /// [`Busy`](crate::ErrorKind::Busy) while another holds it, naming the holder.
    async fn acquire(&self, service: &ServiceName, holder: &str, lasts: Duration, now: Timestamp) -> Result<Lease>;

    /// Makes sure that every epoch that is given out from now on is greater than `epoch`; no epoch becomes smaller.
    /// This is for a journal that replaces a lost one: decisions of its holders have to be newer than all earlier ones.
    /// A lease that is held ends.
    async fn raise_epoch(&self, service: &ServiceName, epoch: u64) -> Result<()>;

    /// Makes the lease last from `now` on.
    ///
    /// # Errors
    /// [`Fenced`](crate::ErrorKind::Fenced) if a newer epoch was given out.
    async fn renew(&self, lease: &Lease, lasts: Duration, now: Timestamp) -> Result<Lease>;

    /// Gives the lease back. If it is no longer held, nothing is done.
    async fn give_back(&self, lease: &Lease) -> Result<()>;

    /// The lease that is held now; `None` if nobody acts. If the journal can see that the holder's process has ended,
    /// the lease is not held.
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

    /// A summary of the history up to an event at or before the one with sequence `upto`, so that nobody needs to read
    /// the history from its first event. The journal chooses the event.
    async fn checkpoint(&self, service: &ServiceName, upto: u64) -> Result<Checkpoint>;

    /// Forgets the events that are older than those that are to be kept, and the ids of requests that were taken up
    /// before. A [checkpoint](Self::checkpoint) of everything before the first event that stays is kept.
    async fn prune(&self, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<()>;

    /// Remembers how a loop that acted for the service ended, for others to see; `None`: one acts again.
    async fn note_end(&self, service: &ServiceName, end: Option<LoopEnd>) -> Result<()>;

    /// How the last loop that acted for the service ended, if nobody had asked it to, and none acts again.
    async fn last_end(&self, service: &ServiceName) -> Result<Option<LoopEnd>>;
}
