//! What the history says of the time of a release.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chosen::Begun;
use crate::name::{InstanceId, VersionId};
use crate::release::{Event, Progress, RecordedEvent, Story, Telling};
use crate::report::label::label;
use crate::report::model::Mark;
use crate::routing::Share;
use crate::time::Timestamp;

/// The most events that a page is made from. A release has some dozens.
const MOST_EVENTS: usize = 20_000;
/// What a page shows before the release, as a part of all that it shows.
const BEFORE: u32 = 20;
/// And at least.
const LEAST_BEFORE: Duration = Duration::from_secs(20);

/// The time of a release: from its begin until nothing of it is left to be seen.
#[derive(Debug)]
pub(crate) struct Period {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// Every instance that was named, with its version.
    pub(crate) instances: BTreeMap<InstanceId, VersionId>,
    /// The share of each version on every locator, from each time on.
    pub(super) shares: BTreeMap<VersionId, Vec<(Timestamp, Share)>>,
    /// The sessions of each version that the history counted.
    pub(super) counted: BTreeMap<VersionId, Vec<(Timestamp, u64)>>,
    pub(super) marks: Vec<Mark>,
    pub(super) phase: Option<Progress>,
    pub(super) aborted: Option<String>,
    pub(super) went_back: Option<String>,
    pub(super) full_at: Option<Timestamp>,
    pub(super) aborted_at: Option<Timestamp>,
    pub(super) gone_at: Option<Timestamp>,
    /// Sessions that were evicted.
    pub(super) lost: u64,
    /// Whether there were too many events.
    pub(super) is_cut: bool,
    version: VersionId,
    story: Story,
    events: usize,
    ended: bool,
}

impl Period {
    /// Before the release. `story` is that of the service up to then.
    pub(crate) fn begin(begun: &Begun, story: Story) -> Self {
        let mut period = Self {
            from: begun.at,
            until: begun.at,
            instances: story.instances().clone(),
            shares: BTreeMap::new(),
            counted: BTreeMap::new(),
            marks: Vec::new(),
            phase: None,
            aborted: None,
            went_back: None,
            full_at: None,
            aborted_at: None,
            gone_at: None,
            lost: 0,
            is_cut: false,
            version: begun.version,
            story,
            events: 0,
            ended: false,
        };
        period.note_shares(Timestamp::default());
        period
    }

    /// Takes the next event. Answers whether more is to be read.
    pub(crate) fn take(&mut self, recorded: &RecordedEvent) -> bool {
        let Telling { message, .. } = self.story.tell(recorded);
        let at = recorded.at;
        self.instances.extend(self.story.instances().iter().map(|(id, version)| (id.clone(), *version)));
        self.until = self.until.max(at);
        self.note_shares(at);
        self.note(at, &recorded.event, &message);
        if let Some((tone, label)) = label(&recorded.event, self.version, |id| self.instances.get(id).copied()) {
            self.marks.push(Mark::new(at, tone, label, message));
        }
        self.events += 1;
        self.is_cut = self.events >= MOST_EVENTS;
        self.ended = self.is_over();
        !self.ended && !self.is_cut
    }

    /// No event follows, or none that matters. A release that goes on is shown until now.
    pub(crate) fn end(&mut self, now: Timestamp) {
        if !self.ended && !self.is_cut {
            self.until = self.until.max(now);
        }
        let before = ((self.until - self.from) / BEFORE).max(LEAST_BEFORE);
        (self.from, self.until) = (self.from.before(before), if self.ended { self.until + before } else { self.until });
        self.until = self.until.min(now.max(self.from));
    }

    /// Whether the release has ended, and what it leaves behind is gone.
    fn is_over(&self) -> bool {
        let left = self.story.instances().values();
        match self.phase {
            Some(Progress::Settled) if self.went_back.is_none() => left.clone().all(|version| *version >= self.version),
            Some(Progress::Settled | Progress::Aborted) => left.clone().all(|version| *version != self.version),
            _ => false,
        }
    }

    fn note_shares(&mut self, at: Timestamp) {
        let mut shares = self.story.shares_in_force();
        for known in self.shares.keys() {
            shares.entry(*known).or_default();
        }
        for (version, share) in shares {
            let steps = self.shares.entry(version).or_default();
            if steps.last().is_none_or(|(_, last)| *last != share) {
                steps.push((at, share));
            }
        }
    }

    fn note(&mut self, at: Timestamp, event: &Event, message: &str) {
        let ours = event.version() == Some(self.version);
        match event {
            Event::ReleaseStarted { .. } if ours => self.phase = Some(Progress::Preparing),
            Event::ReleaseLaunching { .. } if ours => self.phase = Some(Progress::Launching),
            Event::StageReached { .. } if ours => self.phase = Some(Progress::Ramping),
            Event::ReleaseSettling { .. } if ours => {
                self.phase = Some(Progress::Settling);
                self.full_at.get_or_insert(at);
            }
            Event::ReleaseSettled { .. } | Event::ReleaseUnchanged { .. } if ours => {
                self.phase = Some(Progress::Settled);
                self.note_gone(at);
            }
            Event::ReleaseAborting { .. } if ours => {
                (self.phase, self.aborted) = (Some(Progress::Aborting), Some(message.to_owned()));
            }
            Event::ReleaseAborted { .. } if ours => {
                (self.phase, self.aborted) = (Some(Progress::Aborted), Some(message.to_owned()));
                self.aborted_at.get_or_insert(at);
            }
            Event::WentBack { version, .. } if *version == self.version => {
                self.went_back = Some(message.to_owned());
                self.aborted_at.get_or_insert(at);
            }
            Event::InstanceDraining { instance, sessions: Some(sessions), .. }
            | Event::DrainOverdue { instance, sessions: Some(sessions) } => self.count(instance, at, *sessions),
            Event::InstanceRetiring { instance, sessions_lost, .. } => {
                self.lost += sessions_lost;
                self.count(instance, at, *sessions_lost);
            }
            Event::InstanceGone { .. } | Event::ExternalReleased { .. } => self.note_gone(at),
            _ => {}
        }
    }

    fn note_gone(&mut self, at: Timestamp) {
        if self.phase == Some(Progress::Settled) && self.story.instances().values().all(|it| *it >= self.version) {
            self.gone_at.get_or_insert(at);
        }
    }

    fn count(&mut self, instance: &InstanceId, at: Timestamp, sessions: u64) {
        if let Some(version) = self.instances.get(instance) {
            self.counted.entry(*version).or_default().push((at, sessions));
        }
    }
}
