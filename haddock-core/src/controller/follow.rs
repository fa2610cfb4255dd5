//! Follows one release: its events, with sentences for people, until it has ended.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::service::{Events, Service};
use super::status::sessions;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{InstanceId, RequestId, VersionId};
use crate::release::{AbortReason, Event, Progress, RecordedEvent, Story, Telling};
use crate::time::Pace;

/// How often a caller that waits for an end checks whether anybody acts.
const ACTING_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long nobody may act before the wait is given up. It is enough to restart `haddock serve`.
const NOBODY_ACTS_LIMIT: Duration = Duration::from_secs(30);

/// Until when a release is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// It has settled.
    Settled,
    /// Every instance that another version had then is gone, too.
    Gone,
    /// For ever.
    Forever,
}

/// What a follower learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something happened.
    Event(Box<Telling>),
    /// It has come as far as the caller waits for it.
    Reached(VersionId),
    /// It was aborted. Only its drain follows.
    Aborted {
        /// Its version, if it had begun.
        version: Option<VersionId>,
        /// Why.
        reason: AbortReason,
    },
    /// A newer one took its place before it began.
    Skipped,
    /// It was refused.
    Refused(Error),
}

/// The events of a release, one after the other.
pub struct Following {
    service: Service,
    /// `None` until it is known where its history begins.
    events: Option<Events>,
    request: RequestId,
    until: Until,
    since: u64,
    story: Story,
    begun: bool,
    /// What comes next.
    ready: VecDeque<Told>,
    /// The instances of other versions that were there when it settled, and are not gone yet.
    others: Option<BTreeSet<InstanceId>>,
    /// Whether the end was returned.
    over: bool,
    /// Whether the sessions on draining instances are counted.
    counts: bool,
}

impl Following {
    pub(super) fn new(service: Service, request: RequestId, until: Until, since: u64) -> Self {
        Self {
            events: None,
            story: Story::of(request.clone()),
            service,
            request,
            until,
            since,
            begun: false,
            ready: VecDeque::new(),
            others: None,
            over: false,
            counts: true,
        }
    }

    /// Waits for the end, and returns nothing before.
    pub(super) async fn end(mut self) -> Result<VersionId> {
        self.counts = false;
        while let Some(told) = self.next_while_acting().await? {
            return match told {
                Told::Event(_) => continue,
                Told::Reached(version) => Ok(version),
                Told::Refused(error) | Told::Aborted { reason: AbortReason::Failed(error), .. } => Err(error),
                Told::Aborted { reason: AbortReason::Asked { by }, .. } => {
                    Err(not_done(ErrorKind::ReleaseAborted, &format!("`{by}` asked for an abort")))
                }
                Told::Aborted { reason: AbortReason::Superseded, .. } => {
                    Err(not_done(ErrorKind::ReleaseSuperseded, "a newer release took its place"))
                }
                Told::Skipped => {
                    Err(not_done(ErrorKind::ReleaseSuperseded, "a newer release took its place before it began"))
                }
            };
        }
        Err(not_done(ErrorKind::NothingToDo, "its history has no end"))
    }

    /// As [`next`](Self::next), but fails if nothing can come: nobody acts for the service, or the controller's clock
    /// stands still.
    async fn next_while_acting(&mut self) -> Result<Option<Told>> {
        let mut idle = Duration::ZERO;
        loop {
            let (pace, clock) = (Pace::new(), Arc::clone(self.service.clock()));
            let began = clock.now();
            if let Ok(told) = timeout(ACTING_CHECK_INTERVAL, self.next()).await {
                return told;
            }
            if pace.is_virtual() && clock.now() - began < ACTING_CHECK_INTERVAL / 2 {
                let message = "tokio's time is paused, and the controller goes by another clock, which stands still";
                return Err(Error::new(ErrorKind::NobodyActs, message)
                    .with_hint("give the clock of the virtual time to the controller: `.clock(time.clock())`"));
            }
            idle = if self.service.acting().await?.is_some() { Duration::ZERO } else { idle + ACTING_CHECK_INTERVAL };
            if idle >= NOBODY_ACTS_LIMIT {
                let message = format!("nobody acts for `{}`: the release waits in the journal", self.service.name());
                return Err(Error::new(ErrorKind::NobodyActs, message)
                    .with_hint("keep what `act()` answers with, call `serve()`, or run `haddock serve`"));
            }
        }
    }

    /// Waits for the next event of the service, beginning with the one that takes the release's request up. The last
    /// answer says how the release ended. After that the answer is `None`.
    ///
    /// # Errors
    /// The journal's. The call can be repeated.
    pub async fn next(&mut self) -> Result<Option<Told>> {
        loop {
            if let Some(told) = self.ready() {
                return Ok(Some(told));
            }
            if self.over {
                return Ok(None);
            }
            let events = match &mut self.events {
                Some(events) => events,
                None => {
                    let (events, story) = self.service.events_of(&self.request).await?;
                    self.story = story;
                    self.events.insert(events)
                }
            };
            let page = events.next().await?;
            let live = events.is_level();
            for recorded in page {
                self.take(&recorded);
            }
            if live && self.counts && self.story.drains() {
                self.count().await?;
            }
        }
    }

    /// What [`next`](Self::next) would return without waiting.
    pub fn ready(&mut self) -> Option<Told> {
        let told = self.ready.pop_front()?;
        self.over |= !matches!(told, Told::Event(_));
        Some(told)
    }

    /// What the events so far say about the release.
    #[must_use]
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// Takes an event in, unless the end is reached already.
    fn take(&mut self, recorded: &RecordedEvent) {
        if self.ready.back().is_some_and(|told| !matches!(told, Told::Event(_))) {
            return;
        }
        let before = self.story.phase();
        let telling = self.story.tell(recorded);
        self.begun |= matches!(&recorded.event, Event::RequestTaken { id, .. } if *id == self.request);
        if self.begun && recorded.sequence > self.since {
            self.ready.push_back(Told::Event(Box::new(telling)));
        }
        if let Event::InstanceGone { instance, .. } | Event::ExternalReleased { instance, .. } = &recorded.event
            && let Some(others) = &mut self.others
        {
            others.remove(instance);
        }
        if before != self.story.phase() && self.story.phase().is_some_and(Progress::is_end) {
            self.ended(&recorded.event);
        }
        let all_gone = self.others.as_ref().is_some_and(BTreeSet::is_empty);
        if let (Until::Gone, true, Some(version)) = (self.until, all_gone, self.story.version()) {
            self.ready.push_back(Told::Reached(version));
        }
    }

    fn ended(&mut self, event: &Event) {
        let (phase, version) = (self.story.phase(), self.story.version());
        match (phase, version, event) {
            (Some(Progress::Settled), Some(version), _) if self.until == Until::Settled => {
                self.ready.push_back(Told::Reached(version));
            }
            (Some(Progress::Settled), Some(version), _) => {
                let others = self.story.instances().iter().filter(|(_, of)| **of != version);
                self.others = Some(others.map(|(id, _)| id.clone()).collect());
            }
            (_, version, Event::ReleaseAborted { reason, .. }) => {
                self.ready.push_back(Told::Aborted { version, reason: reason.clone() });
            }
            (_, version, Event::ReleaseWithdrawn { by, .. }) => {
                self.ready.push_back(Told::Aborted { version, reason: AbortReason::Asked { by: by.clone() } });
            }
            (_, _, Event::ReleaseSkipped { .. }) => self.ready.push_back(Told::Skipped),
            (_, _, Event::RequestRefused { error, .. }) => self.ready.push_back(Told::Refused(error.clone())),
            _ => {}
        }
    }

    /// Counts the sessions on draining instances, for the event that was told last. The history has only their number
    /// when the drain began.
    async fn count(&mut self) -> Result<()> {
        let Some(status) = self.service.status().await? else { return Ok(()) };
        let drains: Vec<InstanceId> = self.story.instances().keys().cloned().collect();
        for id in drains {
            self.story.count(&id, sessions(status.locators.values(), &id));
        }
        let draining = self.story.draining();
        let last = self.ready.iter_mut().rev().find_map(|told| match told {
            Told::Event(telling) => Some(telling),
            _ => None,
        });
        if let Some(telling) = last {
            telling.draining = draining;
        }
        Ok(())
    }
}

fn not_done(kind: ErrorKind, why: &str) -> Error {
    Error::new(kind, format!("the release did not settle: {why}"))
}
