//! Writes down what happens in a rehearsal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::crowd::Tally;
use super::locator::Locator;
use super::outcome::{Outcome, RehearsedRelease, Sample, SessionTally, TimelineEntry, VersionSample};
use super::plan::Rehearsal;
use crate::name::{RequestId, VersionId};
use crate::release::{Event, RecordedEvent, ServiceState, Step, Story};
use crate::routing::Share;
use crate::time::Timestamp;

/// Samples that an outcome has at most.
const MAX_SAMPLES: usize = 500;
/// Lines that a timeline has at most.
const MAX_TIMELINE: usize = 1_000;
/// The time between two samples, at first.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Book {
    begin: Timestamp,
    asked: Vec<(RequestId, Timestamp)>,
    releases: Vec<RehearsedRelease>,
    story: Story,
    sequence: u64,
    timeline: Vec<TimelineEntry>,
    samples: Vec<Sample>,
    interval: Duration,
    next_sample: Timestamp,
    versions_at_once: u32,
    containers_at_once: u32,
    before: Tally,
}

impl Book {
    pub(super) fn new(begin: Timestamp) -> Self {
        Self {
            begin,
            asked: Vec::new(),
            releases: Vec::new(),
            story: Story::new(),
            sequence: 0,
            timeline: Vec::new(),
            samples: Vec::new(),
            interval: FIRST_INTERVAL,
            next_sample: begin,
            versions_at_once: 0,
            containers_at_once: 0,
            before: Tally::default(),
        }
    }

    /// The rehearsal begins: what was counted before does not count.
    pub(super) fn open(&mut self, tally: &Tally) {
        self.before = tally.clone();
    }

    pub(super) fn ask(&mut self, request: RequestId, now: Timestamp) {
        self.releases.push(RehearsedRelease { asked_at: self.seconds(now), ..RehearsedRelease::default() });
        self.asked.push((request, now));
    }

    fn seconds(&self, at: Timestamp) -> f64 {
        at.since(self.begin).as_secs_f64()
    }

    /// A step was made at this time, which leads to this state.
    pub(super) fn note(&mut self, step: &Step, now: Timestamp) {
        for event in &step.events {
            self.sequence += 1;
            let number = step.state.number;
            let recorded = RecordedEvent { sequence: self.sequence, at: now, number, event: event.clone() };
            let message = self.story.tell(&recorded).message;
            if now >= self.begin && self.timeline.len() < MAX_TIMELINE {
                self.timeline.push(TimelineEntry { at: self.seconds(now), event: event.clone(), message });
            }
            self.note_event(event, now);
        }
    }

    fn note_event(&mut self, event: &Event, now: Timestamp) {
        if let Event::ReleaseStarted { request, version, .. } = event {
            if let Some(at) = self.asked.iter().position(|(id, _)| id == request) {
                self.releases[at].version = Some(*version);
            }
            return;
        }
        let Some((release, passed)) = event.version().and_then(|version| self.release(version, now)) else { return };
        match event {
            Event::ReleaseSettled { .. } => release.to_settled = Some(passed),
            Event::ReleaseAborting { reason, .. } => {
                release.to_abort = Some(passed);
                release.aborted = Some(reason.to_string());
            }
            Event::WentBack { reason, .. } => {
                release.to_abort = Some(passed);
                release.aborted = Some(reason.to_string());
            }
            _ => {}
        }
    }

    /// The release of a version, and how many seconds ago it was asked for.
    fn release(&mut self, version: VersionId, now: Timestamp) -> Option<(&mut RehearsedRelease, f64)> {
        let at = self.releases.iter().position(|release| release.version == Some(version))?;
        Some((&mut self.releases[at], now.since(self.asked[at].1).as_secs_f64()))
    }

    /// Looks at what serves and what runs.
    pub(super) fn look(&mut self, state: &ServiceState, locator: &Locator, containers: usize, now: Timestamp) {
        if now < self.begin {
            return;
        }
        let versions: BTreeSet<VersionId> = state.instances.values().map(|instance| instance.version).collect();
        self.versions_at_once = self.versions_at_once.max(u32::try_from(versions.len()).unwrap_or(u32::MAX));
        self.containers_at_once = self.containers_at_once.max(u32::try_from(containers).unwrap_or(u32::MAX));
        let full = u32::from(Share::FULL);
        let serves_all = |version: VersionId| {
            let places = locator.places.iter();
            let share = |of: bool| -> u32 {
                places.clone().filter(|it| (it.version == version) == of).map(|it| it.share_in_force()).sum()
            };
            share(true) == full && share(false) == 0
        };
        let candidates: Vec<VersionId> = self.releases.iter().filter_map(|release| release.version).collect();
        for version in candidates {
            let Some((release, passed)) = self.release(version, now) else { continue };
            if release.to_full_share.is_none() && serves_all(version) {
                release.to_full_share = Some(passed);
            }
            let is_left = release.to_settled.is_some() && versions.first() == Some(&version);
            if release.to_gone.is_none() && is_left {
                release.to_gone = Some(passed);
            }
        }
    }

    /// When the next sample is to be taken.
    pub(super) fn next_sample(&self) -> Timestamp {
        self.next_sample
    }

    pub(super) fn sample(&mut self, locator: &Locator, now: Timestamp) {
        if now < self.next_sample {
            return;
        }
        let mut versions = BTreeMap::<VersionId, VersionSample>::new();
        let there = locator.places.iter().filter(|place| place.share.is_some() || place.live > 0);
        for place in there {
            let version = versions.entry(place.version).or_default();
            version.share += f64::from(place.share_in_force()) / f64::from(u32::from(Share::FULL));
            version.live += place.live;
        }
        self.samples.push(Sample { at: self.seconds(now), versions });
        if self.samples.len() == MAX_SAMPLES {
            // Every other one is kept, so that they stay equally far apart.
            let mut at = 0;
            self.samples.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            self.interval *= 2;
        }
        let taken = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
        self.next_sample = self.begin + self.interval * taken;
    }

    pub(super) fn close(
        mut self,
        plan: &Rehearsal,
        seed: u64,
        locator: &Locator,
        tally: &Tally,
        now: Timestamp,
    ) -> Outcome {
        let (errors, slow) = plan.base_rates();
        for (release, planned) in self.releases.iter_mut().zip(&plan.releases) {
            for (at, place) in locator.places.iter().enumerate().filter(|(_, it)| Some(it.version) == release.version) {
                release.sessions_begun += place.begun;
                release.sessions_failed += place.failed;
                release.sessions_harmed += tally.harmed.get(at).copied().unwrap_or_default();
            }
            release.false_abort = release.to_abort.is_some() && !planned.faults.are_harmful(errors, slow);
        }
        let before = &self.before;
        let sessions = SessionTally {
            live_at_begin: before.live,
            begun: tally.begun - before.begun,
            ended: tally.ended - before.ended,
            evicted: tally.evicted - before.evicted,
            live: tally.live,
            failed: tally.failed - before.failed,
            turned_away: tally.turned_away - before.turned_away,
        };
        let lasted = self.seconds(now);
        Outcome {
            seed,
            began: self.begin,
            lasted,
            releases: self.releases,
            sessions,
            versions_at_once: self.versions_at_once,
            containers_at_once: self.containers_at_once + plan.shared,
            timeline: self.timeline,
            samples: self.samples,
        }
    }
}
