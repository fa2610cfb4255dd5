//! A service: its requests, its history, and who acts for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::actor::Acting;
use super::count::questions;
use super::ports::Ports;
use super::status::Status;
use crate::environment::environments::Environments;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Checkpoint;
use crate::name::{RequestId, ServiceName};
use crate::release::{Event, PhaseName, RecordedEvent, Request, ServiceState, Story, Verb};
use crate::routing::RemainingSessions;
use crate::time::Clock;

/// How many events are read at a time.
const HISTORY_PAGE: usize = 256;

/// A service: what clients use. Its verbs need no lease; whoever [acts](Service::act) takes them up.
#[derive(Clone)]
pub struct Service {
    pub(super) ports: Arc<Ports>,
    pub(super) name: ServiceName,
}

impl Service {
    pub(crate) fn new(ports: Arc<Ports>, name: ServiceName) -> Self {
        Self { ports, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.ports.clock
    }

    /// Acts for the service, until the answer is stopped or dropped.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) while another acts, [`JournalTooNew`](ErrorKind::JournalTooNew).
    pub async fn act(&self) -> Result<Acting> {
        Acting::start(Arc::clone(&self.ports), self.name.clone()).await
    }

    /// As [`act`](Self::act), or `None` while another acts.
    ///
    /// # Errors
    /// [`JournalTooNew`](ErrorKind::JournalTooNew), and what the journal says.
    pub async fn try_act(&self) -> Result<Option<Acting>> {
        match self.act().await {
            Ok(acting) => Ok(Some(acting)),
            Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn environments(&self) -> Environments {
        self.ports.environments()
    }

    /// Leaves a request for whoever acts.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if it is about a service that was never released; the journal's.
    pub async fn submit(&self, verb: Verb, by: &str) -> Result<RequestId> {
        self.submit_about(verb, by, None).await
    }

    async fn submit_about(&self, verb: Verb, by: &str, about: Option<RequestId>) -> Result<RequestId> {
        if !matches!(verb, Verb::Release(_) | Verb::Adopt(_)) {
            self.check_known(&verb).await?;
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| Error::new(ErrorKind::Io, format!("the system gives no random numbers: {error}")))?;
        let id = RequestId::new(format!("{}-{:016x}", verb.name(), u64::from_le_bytes(random)))?;
        let request = Request { id: id.clone(), at: self.ports.clock.now(), by: by.to_owned(), verb, about };
        self.ports.journal.submit(&self.name, &request).await?;
        self.ports.waker(&self.name).notify_one();
        Ok(id)
    }

    /// Refuses a verb about a service under whose name nothing was ever released, or is about to be: it would make one.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if there is no such service; the journal's.
    pub async fn check_known(&self, verb: &Verb) -> Result<()> {
        let state = self.ports.journal.load(&self.name).await?;
        let is_known = state.is_some_and(|state| !state.is_forgotten());
        if is_known || !self.ports.journal.pending(&self.name).await?.is_empty() {
            return Ok(());
        }
        let known = self.ports.journal.services().await?;
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let hint =
            if known.is_empty() { "release it first".to_owned() } else { format!("there are {}", known.join(", ")) };
        let name = &self.name;
        let message = match verb {
            Verb::Retire => format!("there is nothing of `{name}` to retire"),
            _ => format!("no release of `{name}` is in progress, and there is no such service"),
        };
        Err(Error::new(ErrorKind::NothingToDo, message).with_hint(hint))
    }

    /// Submits a request and waits until it was taken up.
    ///
    /// # Errors
    /// Why it was refused, such as [`NothingToDo`](ErrorKind::NothingToDo).
    pub async fn ask(&self, verb: Verb, by: &str) -> Result<()> {
        self.ask_about(verb, by, None).await
    }

    pub(super) async fn ask_about(&self, verb: Verb, by: &str, about: Option<RequestId>) -> Result<()> {
        let mut events = self.events_from_now().await?;
        let id = self.submit_about(verb, by, about).await?;
        let mut taken = false;
        loop {
            for recorded in events.next().await? {
                match recorded.event {
                    Event::RequestTaken { id: this, .. } if this == id => taken = true,
                    Event::RequestRefused { id: this, error } if this == id => return Err(error),
                    _ => {}
                }
            }
            // A refusal is in the same commit as the taking up.
            if taken {
                return Ok(());
            }
        }
    }

    /// Who acts for the service, here or elsewhere, for people to read; `None` if nobody does.
    ///
    /// # Errors
    /// The journal's.
    pub async fn acting(&self) -> Result<Option<String>> {
        let lease = self.ports.journal.lease(&self.name, self.ports.clock.now()).await?;
        Ok(lease.map(|lease| lease.holder))
    }

    /// The state as last committed; of a service that was never released, the one that it begins with.
    pub(super) async fn state_or_new(&self) -> Result<ServiceState> {
        self.ports.state_or_new(&self.name).await
    }

    /// The service as it is, or `None` if it was never released, or has been retired.
    ///
    /// # Errors
    /// The journal's.
    pub async fn status(&self) -> Result<Option<Status>> {
        let state = self.ports.journal.load(&self.name).await?.filter(|state| !state.is_forgotten());
        let Some(state) = state else { return Ok(None) };
        let mut locators = BTreeMap::new();
        for (name, locator) in &self.ports.locators {
            locators.insert(name.clone(), locator.observe(&self.name).await);
        }
        let ended = self.ports.journal.last_end(&self.name).await?;
        Ok(Some(Status { state, locators, remaining: BTreeMap::new(), counts: BTreeMap::new(), ended }))
    }

    /// As [`status`](Self::status), with what is left on each instance that drains: on the locators, and by what the
    /// application says now, if its settings ask for that. It costs them more, so it is for people who ask.
    ///
    /// # Errors
    /// The journal's.
    pub async fn status_in_full(&self) -> Result<Option<Status>> {
        let Some(mut status) = self.status().await? else { return Ok(None) };
        let draining = status.state.instances.iter().filter(|(_, instance)| instance.is(PhaseName::Draining));
        for id in draining.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            let asked = self.ports.locators.values().map(|locator| locator.remaining(&self.name, &id));
            let Ok(all) = join_all(asked).await.into_iter().collect::<Result<Vec<_>>>() else { continue };
            let remaining = all.iter().fold(RemainingSessions::none(), RemainingSessions::and);
            status.remaining.insert(id, remaining);
        }
        let reports = status.locators.values().filter_map(|report| report.as_ref().ok());
        let host = reports.flat_map(|report| &report.hosts).next().cloned();
        let (asking, questions) = (&self.ports.asking(), questions(&status.state, host.as_deref()));
        let asked = questions.into_iter().map(|(id, question)| async move {
            let counted = question.ask_or_recall(asking, &id).await;
            (id, counted)
        });
        status.counts = join_all(asked).await.into_iter().collect();
        Ok(Some(status))
    }

    /// The history after the event with this sequence, and what follows.
    #[must_use]
    pub fn events(&self, after: u64) -> Events {
        Events { service: self.clone(), after, level: false }
    }

    /// The history from shortly before the request was taken up, or from now on; and the story of its release so far.
    pub(super) async fn events_of(&self, request: &RequestId) -> Result<(Events, Story)> {
        let journal = &self.ports.journal;
        // The order matters, because the request may be taken up meanwhile.
        let newest = journal.newest(&self.name).await?;
        let before = journal.taken_at(&self.name, request).await?.map_or(newest, |taken| taken - 1);
        let Checkpoint { sequence, story } = journal.checkpoint(&self.name, before).await?;
        Ok((self.events(sequence), story.about(request.clone())))
    }

    /// What the history says of the release that this request asked for.
    pub(super) async fn story_of(&self, request: &RequestId) -> Result<Story> {
        let (Events { mut after, .. }, mut story) = self.events_of(request).await?;
        loop {
            let page = self.ports.journal.history(&self.name, after, HISTORY_PAGE).await?;
            let Some(last) = page.last() else { return Ok(story) };
            after = last.sequence;
            for recorded in &page {
                story.tell(recorded);
            }
        }
    }

    /// What follows from now on.
    ///
    /// # Errors
    /// The journal's.
    pub async fn events_from_now(&self) -> Result<Events> {
        Ok(self.events(self.ports.journal.newest(&self.name).await?))
    }

    /// Waits until a state meets the condition.
    ///
    /// # Errors
    /// The journal's.
    pub async fn wait_for(&self, condition: impl Fn(&ServiceState) -> bool) -> Result<ServiceState> {
        let mut commits = self.ports.commits.subscribe();
        loop {
            commits.mark_unchanged();
            if let Some(state) = self.ports.journal.load(&self.name).await?.filter(|state| condition(state)) {
                return Ok(state);
            }
            self.ports.next_commit(&mut commits).await;
        }
    }
}

/// A service's history, as it grows.
pub struct Events {
    service: Service,
    after: u64,
    level: bool,
}

impl Events {
    /// The next events, oldest first; waits until there is one.
    ///
    /// # Errors
    /// The journal's.
    pub async fn next(&mut self) -> Result<Vec<RecordedEvent>> {
        let mut commits = self.service.ports.commits.subscribe();
        loop {
            commits.mark_unchanged();
            let page = self.service.ports.journal.history(&self.service.name, self.after, HISTORY_PAGE).await?;
            if let Some(last) = page.last() {
                self.after = last.sequence;
                self.level = page.len() < HISTORY_PAGE;
                return Ok(page);
            }
            self.service.ports.next_commit(&mut commits).await;
        }
    }

    /// Whether the last result had everything that there was.
    pub(super) fn is_level(&self) -> bool {
        self.level
    }

    /// As [`next`](Self::next), but gives up after this time, and then returns nothing.
    ///
    /// # Errors
    /// The journal's.
    pub async fn next_within(&mut self, limit: Duration) -> Result<Vec<RecordedEvent>> {
        timeout(limit, self.next()).await.unwrap_or(Ok(Vec::new()))
    }
}
