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

use crate::error::Result;
use crate::name::{JournalId, RequestId, ServiceName};
use crate::release::{Event, RecordedEvent, Request, ServiceState};
use crate::time::Timestamp;

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

/// A journal.
///
/// # Contract
///
/// - A call that answered `Ok` is durable. A call that failed, or whose future was dropped, took effect whole or not at
///   all; [`load`](Self::load) tells.
/// - [`commit`](Self::commit) with an epoch other than the newest ever given out, or with a number not above that of the
///   last commit, is refused with [`Fenced`](crate::ErrorKind::Fenced).
/// - Anybody may load, submit and read the history at any time; only acting needs the lease.
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

    /// The requests that were not taken up, in the order of their submission.
    async fn pending(&self, service: &ServiceName) -> Result<Vec<Request>>;

    /// Up to `limit` events after the one with sequence `after`, oldest first. Sequences count from 1, without gaps; a
    /// journal that says so may have forgotten the oldest.
    async fn history(&self, service: &ServiceName, after: u64, limit: usize) -> Result<Vec<RecordedEvent>>;
}
