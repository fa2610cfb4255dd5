//! A journal in memory: gone with the process. For tests, and for embedding where nothing has to outlive it.
//!
//! It keeps the last [`MAX_EVENTS`] events of each service, so that a program that releases for ever does not grow.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::fencing::{busy, check_commit, fenced};
use super::{Checkpoint, Commit, Journal, Keep, Lease, LoopEnd};
use crate::error::Result;
use crate::name::{JournalId, RequestId, ServiceName};
use crate::release::{Event, RecordedEvent, Request, ServiceState, Story};
use crate::time::Timestamp;

/// How many events of a service a journal in memory keeps: those of about eighty releases. Sequences go on counting.
pub const MAX_EVENTS: usize = 2_000;

/// A journal in memory. Give the same one to several controllers to see them take turns.
#[derive(Debug)]
pub struct MemoryJournal {
    id: JournalId,
    services: Mutex<BTreeMap<ServiceName, ServiceRecord>>,
}

#[derive(Debug, Default)]
struct ServiceRecord {
    state: Option<ServiceState>,
    epoch: u64,
    lease: Option<Lease>,
    requests: Vec<Request>,
    /// The ids of all known requests, each with the sequence of the event that says that it was taken up.
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

    fn records(&self) -> MutexGuard<'_, BTreeMap<ServiceName, ServiceRecord>> {
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
        Ok(self.records().get(service).and_then(|record| record.state.clone()))
    }

    async fn services(&self) -> Result<Vec<ServiceName>> {
        let records = self.records();
        let used = records.iter().filter(|(_, record)| {
            record.state.as_ref().is_some_and(|state| !state.is_forgotten()) || !record.requests.is_empty()
        });
        Ok(used.map(|(service, _)| service.clone()).collect())
    }

    async fn acquire(&self, service: &ServiceName, holder: &str, lasts: Duration, now: Timestamp) -> Result<Lease> {
        let mut records = self.records();
        let record = records.entry(service.clone()).or_default();
        if let Some(held) = record.lease.as_ref().filter(|held| held.until > now) {
            return Err(busy(held));
        }
        record.epoch += 1;
        let lease =
            Lease { service: service.clone(), holder: holder.to_owned(), epoch: record.epoch, until: now + lasts };
        record.lease = Some(lease.clone());
        Ok(lease)
    }

    async fn raise_epoch(&self, service: &ServiceName, epoch: u64) -> Result<()> {
        let mut records = self.records();
        let record = records.entry(service.clone()).or_default();
        if epoch > record.epoch {
            (record.epoch, record.lease) = (epoch, None);
        }
        Ok(())
    }

    async fn renew(&self, lease: &Lease, lasts: Duration, now: Timestamp) -> Result<Lease> {
        let mut records = self.records();
        let record = records.entry(lease.service.clone()).or_default();
        if record.epoch != lease.epoch {
            return Err(fenced(lease, record.epoch));
        }
        let renewed = Lease { until: now + lasts, ..lease.clone() };
        record.lease = Some(renewed.clone());
        Ok(renewed)
    }

    async fn give_back(&self, lease: &Lease) -> Result<()> {
        let mut records = self.records();
        let record = records.entry(lease.service.clone()).or_default();
        if record.epoch == lease.epoch {
            record.lease = None;
        }
        Ok(())
    }

    async fn lease(&self, service: &ServiceName, now: Timestamp) -> Result<Option<Lease>> {
        let records = self.records();
        let lease = records.get(service).and_then(|record| record.lease.clone());
        Ok(lease.filter(|held| held.until > now))
    }

    async fn commit(&self, lease: &Lease, commit: &Commit) -> Result<()> {
        let mut records = self.records();
        let record = records.entry(lease.service.clone()).or_default();
        let last = record.state.as_ref().map(|state| state.number);
        check_commit(lease, record.epoch, last, commit)?;
        let number = commit.state.number;
        for event in &commit.events {
            let sequence = record.newest() + 1;
            if let Event::RequestTaken { id, .. } = event {
                record.known.insert(id.clone(), Some(sequence));
            }
            record.events.push_back(RecordedEvent { sequence, at: commit.state.now, number, event: event.clone() });
        }
        record.forget(record.newest().saturating_sub(MAX_EVENTS as u64));
        record.requests.retain(|request| !commit.taken.contains(&request.id));
        record.state = Some(commit.state.clone());
        Ok(())
    }

    async fn submit(&self, service: &ServiceName, request: &Request) -> Result<()> {
        let mut records = self.records();
        let record = records.entry(service.clone()).or_default();
        if !record.known.contains_key(&request.id) {
            record.known.insert(request.id.clone(), None);
            record.requests.push(request.clone());
        }
        Ok(())
    }

    async fn pending(&self, service: &ServiceName) -> Result<Vec<Request>> {
        Ok(self.records().get(service).map(|record| record.requests.clone()).unwrap_or_default())
    }

    async fn history(&self, service: &ServiceName, after: u64, limit: usize) -> Result<Vec<RecordedEvent>> {
        let records = self.records();
        let Some(record) = records.get(service) else { return Ok(Vec::new()) };
        let skipped = usize::try_from(after.saturating_sub(record.forgotten)).unwrap_or(usize::MAX);
        Ok(record.events.iter().skip(skipped).take(limit).cloned().collect())
    }

    async fn newest(&self, service: &ServiceName) -> Result<u64> {
        Ok(self.records().get(service).map_or(0, ServiceRecord::newest))
    }

    async fn taken_at(&self, service: &ServiceName, request: &RequestId) -> Result<Option<u64>> {
        Ok(self.records().get(service).and_then(|record| record.known.get(request).copied().flatten()))
    }

    async fn checkpoint(&self, service: &ServiceName, _upto: u64) -> Result<Checkpoint> {
        let records = self.records();
        let record = records.get(service);
        Ok(record
            .map(|record| Checkpoint { sequence: record.forgotten, story: record.before.clone() })
            .unwrap_or_default())
    }

    async fn prune(&self, service: &ServiceName, keep: &Keep, now: Timestamp) -> Result<()> {
        let mut records = self.records();
        let Some(record) = records.get_mut(service) else { return Ok(()) };
        let old = record.events.iter().take_while(|event| now - event.at > keep.age).count() as u64;
        // The newest event stays in any case.
        let beyond = record.newest().saturating_sub(keep.events.max(1));
        record.forget(beyond.min(record.forgotten + old));
        Ok(())
    }

    async fn note_end(&self, service: &ServiceName, end: Option<LoopEnd>) -> Result<()> {
        self.records().entry(service.clone()).or_default().end = end;
        Ok(())
    }

    async fn last_end(&self, service: &ServiceName) -> Result<Option<LoopEnd>> {
        Ok(self.records().get(service).and_then(|record| record.end.clone()))
    }
}

impl ServiceRecord {
    fn newest(&self) -> u64 {
        self.forgotten + self.events.len() as u64
    }

    /// Forgets the events up to this sequence, and the requests that were taken up by them.
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
