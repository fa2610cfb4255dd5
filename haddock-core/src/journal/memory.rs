//! A journal in memory: gone with the process. For tests, and for embedding where nothing has to outlive it.
//!
//! It keeps the last [`KEPT`] events of each service, so that a program that releases for ever does not grow.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Checkpoint, Commit, Journal, Keep, Lease, LoopEnd};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{JournalId, RequestId, ServiceName};
use crate::release::{Event, RecordedEvent, Request, ServiceState, Story};
use crate::time::Timestamp;

/// Events of a service that a journal in memory keeps: those of some eighty releases. Sequences count on.
pub const KEPT: usize = 2_000;

/// A journal in memory. Give the same one to several controllers to see them take turns.
#[derive(Debug)]
pub struct MemoryJournal {
    id: JournalId,
    services: Mutex<BTreeMap<ServiceName, Book>>,
}

#[derive(Debug, Default)]
struct Book {
    state: Option<ServiceState>,
    epoch: u64,
    lease: Option<Lease>,
    requests: Vec<Request>,
    /// Those that are known, and the event that says that it was taken up.
    known: BTreeMap<RequestId, Option<u64>>,
    events: VecDeque<RecordedEvent>,
    /// How many events there were before those that are kept, and their story.
    forgotten: u64,
    before: Story,
    end: Option<LoopEnd>,
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new(id: JournalId) -> Self {
        Self { id, services: Mutex::default() }
    }

    fn books(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Book>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal {} in memory", self.id)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn id(&self) -> &JournalId {
        &self.id
    }

    async fn load(&self, service: &ServiceName) -> Result<Option<ServiceState>> {
        Ok(self.books().get(service).and_then(|book| book.state.clone()))
    }

    async fn services(&self) -> Result<Vec<ServiceName>> {
        let books = self.books();
        let used = books.iter().filter(|(_, book)| {
            book.state.as_ref().is_some_and(|state| !state.is_forgotten()) || !book.requests.is_empty()
        });
        Ok(used.map(|(service, _)| service.clone()).collect())
    }

    async fn acquire(&self, service: &ServiceName, holder: &str, lasts: Duration, now: Timestamp) -> Result<Lease> {
        let mut books = self.books();
        let book = books.entry(service.clone()).or_default();
        if let Some(held) = book.lease.as_ref().filter(|held| held.until > now) {
            return Err(busy(held));
        }
        book.epoch += 1;
        let lease =
            Lease { service: service.clone(), holder: holder.to_owned(), epoch: book.epoch, until: now + lasts };
        book.lease = Some(lease.clone());
        Ok(lease)
    }

    async fn raise_epoch(&self, service: &ServiceName, epoch: u64) -> Result<()> {
        let mut books = self.books();
        let book = books.entry(service.clone()).or_default();
        if epoch > book.epoch {
            (book.epoch, book.lease) = (epoch, None);
        }
        Ok(())
    }

    async fn renew(&self, lease: &Lease, lasts: Duration, now: Timestamp) -> Result<Lease> {
        let mut books = self.books();
        let book = books.entry(lease.service.clone()).or_default();
        if book.epoch != lease.epoch {
            return Err(fenced(lease, book.epoch));
        }
        let renewed = Lease { until: now + lasts, ..lease.clone() };
        book.lease = Some(renewed.clone());
        Ok(renewed)
    }

    async fn give_back(&self, lease: &Lease) -> Result<()> {
        let mut books = self.books();
        let book = books.entry(lease.service.clone()).or_default();
        if book.epoch == lease.epoch {
            book.lease = None;
        }
        Ok(())
    }

    async fn lease(&self, service: &ServiceName, now: Timestamp) -> Result<Option<Lease>> {
        let books = self.books();
        let lease = books.get(service).and_then(|book| book.lease.clone());
        Ok(lease.filter(|held| held.until > now))
    }

    async fn commit(&self, lease: &Lease, commit: &Commit) -> Result<()> {
        let mut books = self.books();
        let book = books.entry(lease.service.clone()).or_default();
        let last = book.state.as_ref().map(|state| state.number);
        check_commit(lease, book.epoch, last, commit)?;
        let number = commit.state.number;
        for event in &commit.events {
            let sequence = book.newest() + 1;
            if let Event::RequestTaken { id, .. } = event {
                book.known.insert(id.clone(), Some(sequence));
            }
            book.events.push_back(RecordedEvent { sequence, at: commit.state.now, number, event: event.clone() });
        }
        book.forget(book.newest().saturating_sub(KEPT as u64));
        book.requests.retain(|request| !commit.taken.contains(&request.id));
        book.state = Some(commit.state.clone());
        Ok(())
    }

    async fn submit(&self, service: &ServiceName, request: &Request) -> Result<()> {
        let mut books = self.books();
        let book = books.entry(service.clone()).or_default();
        if !book.known.contains_key(&request.id) {
            book.known.insert(request.id.clone(), None);
            book.requests.push(request.clone());
        }
        Ok(())
    }

    async fn pending(&self, service: &ServiceName) -> Result<Vec<Request>> {
        Ok(self.books().get(service).map(|book| book.requests.clone()).unwrap_or_default())
    }

    async fn history(&self, service: &ServiceName, after: u64, limit: usize) -> Result<Vec<RecordedEvent>> {
        let books = self.books();
        let Some(book) = books.get(service) else { return Ok(Vec::new()) };
        let skipped = usize::try_from(after.saturating_sub(book.forgotten)).unwrap_or(usize::MAX);
        Ok(book.events.iter().skip(skipped).take(limit).cloned().collect())
    }

    async fn newest(&self, service: &ServiceName) -> Result<u64> {
        Ok(self.books().get(service).map_or(0, Book::newest))
    }

    async fn taken_at(&self, service: &ServiceName, request: &RequestId) -> Result<Option<u64>> {
        Ok(self.books().get(service).and_then(|book| book.known.get(request).copied().flatten()))
    }

    async fn checkpoint(&self, service: &ServiceName, _upto: u64) -> Result<Checkpoint> {
        let books = self.books();
        let book = books.get(service);
        Ok(book.map(|book| Checkpoint { sequence: book.forgotten, story: book.before.clone() }).unwrap_or_default())
    }

    async fn prune(&self, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<()> {
        let mut books = self.books();
        let Some(book) = books.get_mut(service) else { return Ok(()) };
        let old = book.events.iter().take_while(|event| now - event.at > keep.age).count() as u64;
        // The newest event stays in any case.
        let beyond = book.newest().saturating_sub(keep.events.max(1));
        book.forget(beyond.min(book.forgotten + old));
        Ok(())
    }

    async fn note_end(&self, service: &ServiceName, end: Option<LoopEnd>) -> Result<()> {
        self.books().entry(service.clone()).or_default().end = end;
        Ok(())
    }

    async fn last_end(&self, service: &ServiceName) -> Result<Option<LoopEnd>> {
        Ok(self.books().get(service).and_then(|book| book.end.clone()))
    }
}

impl Book {
    fn newest(&self) -> u64 {
        self.forgotten + self.events.len() as u64
    }

    /// Forgets the events up to that one, and the requests that they took up.
    fn forget(&mut self, upto: u64) {
        while self.forgotten < upto
            && let Some(event) = self.events.pop_front()
        {
            self.before.tell(&event);
            self.forgotten = event.sequence;
        }
        let forgotten = self.forgotten;
        self.known.retain(|_, taken| taken.is_none_or(|taken| taken > forgotten));
    }
}

/// The error of somebody who comes while the lease is held.
pub(crate) fn busy(held: &Lease) -> Error {
    let message = format!("service `{}` is being acted on by `{}` until {}", held.service, held.holder, held.until);
    Error::new(ErrorKind::Busy, message).with_hint("submit a request to it, or wait until it has ended")
}

/// The error of somebody whose lease has been taken over.
pub(crate) fn fenced(lease: &Lease, newest: u64) -> Error {
    let message = format!(
        "`{}` acted on service `{}` under epoch {}, but epoch {newest} has begun",
        lease.holder, lease.service, lease.epoch
    );
    Error::new(ErrorKind::Fenced, message)
}

/// What every journal checks before it writes a commit.
pub(crate) fn check_commit(lease: &Lease, epoch: u64, last: Option<crate::Number>, commit: &Commit) -> Result<()> {
    let number = commit.state.number;
    if lease.epoch != epoch || number.epoch != epoch {
        return Err(fenced(lease, epoch));
    }
    if last.is_some_and(|last| number <= last) {
        let last = last.unwrap_or_default();
        let message = format!("commit {number} of service `{}` is not newer than {last}", lease.service);
        return Err(Error::new(ErrorKind::Fenced, message));
    }
    Ok(())
}
