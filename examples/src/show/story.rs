//! A service's history, as the main example tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use haddock_core::release::{Event, RecordedEvent};
use haddock_core::{InstanceId, Timestamp, VersionId};

/// What the history has told so far.
#[derive(Debug, Default)]
pub struct Story {
    last: u64,
    versions: BTreeMap<InstanceId, VersionId>,
    gone: BTreeMap<InstanceId, Timestamp>,
    serving: BTreeSet<VersionId>,
    draining: BTreeMap<VersionId, Timestamp>,
    drained: BTreeMap<VersionId, Duration>,
    settled: BTreeSet<VersionId>,
    aborted: BTreeMap<VersionId, String>,
}

impl Story {
    /// Takes over an event; one that has been told already changes nothing. Answers with a line for the timeline if
    /// it is worth one.
    pub fn tell(&mut self, recorded: &RecordedEvent) -> Option<String> {
        if recorded.sequence <= self.last {
            return None;
        }
        self.last = recorded.sequence;
        match &recorded.event {
            Event::ReleaseStarted { version, .. } => Some(format!("release of {version}")),
            Event::ReleaseWaits { version, error } => Some(format!("{version} waits: {error}")),
            Event::StageReached { version, share, .. } => Some(format!("{version}: {share} of the new sessions")),
            Event::ReleaseSettled { version } => {
                self.settled.insert(*version);
                Some(format!("{version} settled"))
            }
            Event::ReleaseAborted { version, reason } => {
                self.aborted.insert(*version, reason.to_string());
                Some(format!("{version} aborted: {reason}"))
            }
            Event::InstanceStarting { instance, version, replacement } => {
                self.versions.insert(instance.clone(), *version);
                replacement.then(|| format!("{version}: a replacement starts"))
            }
            Event::InstanceServing { instance, .. } => {
                let version = self.version(instance)?;
                self.serving.insert(version);
                self.draining.remove(&version);
                None
            }
            Event::InstanceDraining { instance, sessions, .. } => {
                let version = self.version(instance)?;
                self.draining.insert(version, recorded.at);
                let sessions = sessions.map_or("an unknown number of".into(), |sessions| sessions.to_string());
                Some(format!("{version} drains with {sessions} sessions"))
            }
            Event::InstanceFailed { instance, error } => Some(format!("{} failed: {error}", self.version(instance)?)),
            Event::InstanceRetiring { instance, sessions_lost, .. } if *sessions_lost > 0 => {
                Some(format!("{} closed, {sessions_lost} sessions lost", self.version(instance)?))
            }
            Event::InstanceGone { instance, .. } => {
                let version = self.version(instance)?;
                self.gone.insert(instance.clone(), recorded.at);
                if let Some(since) = self.draining.remove(&version) {
                    self.drained.insert(version, recorded.at.since(since));
                }
                Some(format!("{version} is gone"))
            }
            _ => None,
        }
    }

    /// The place in the history up to which it has been told.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The version that an instance runs.
    #[must_use]
    pub fn version(&self, instance: &InstanceId) -> Option<VersionId> {
        self.versions.get(instance).copied()
    }

    /// The instances of a version, those that are gone among them.
    pub fn instances(&self, version: VersionId) -> impl Iterator<Item = &InstanceId> {
        self.versions.iter().filter(move |(_, of)| **of == version).map(|(instance, _)| instance)
    }

    /// Whether this version's instances are the only ones that are not gone.
    #[must_use]
    pub fn is_alone(&self, version: VersionId) -> bool {
        let mut left = self.versions.iter().filter(|(instance, _)| !self.gone.contains_key(*instance)).peekable();
        left.peek().is_some() && left.all(|(_, of)| *of == version)
    }

    /// When the last instance of a version was removed, if all are.
    #[must_use]
    pub fn gone_at(&self, version: VersionId) -> Option<Timestamp> {
        self.instances(version).map(|instance| self.gone.get(instance).copied()).max_by_key(|at| (at.is_none(), *at))?
    }

    /// Whether a version was ever given new sessions.
    #[must_use]
    pub fn has_served(&self, version: VersionId) -> bool {
        self.serving.contains(&version)
    }

    /// Whether the release of a version has settled.
    #[must_use]
    pub fn has_settled(&self, version: VersionId) -> bool {
        self.settled.contains(&version)
    }

    /// Why the release of a version was aborted, if it was.
    #[must_use]
    pub fn aborted(&self, version: VersionId) -> Option<&str> {
        self.aborted.get(&version).map(String::as_str)
    }

    /// How many releases have settled.
    #[must_use]
    pub fn releases(&self) -> u64 {
        self.settled.len() as u64
    }

    /// For each version that has drained and gone, oldest first: how long that took, in seconds.
    #[must_use]
    pub fn drain_seconds(&self) -> Vec<f64> {
        self.drained.values().map(Duration::as_secs_f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haddock_core::{FencingToken, Share};

    fn told(events: Vec<(u64, Event)>) -> (Story, Vec<String>) {
        let mut story = Story::default();
        let mut lines = Vec::new();
        for (index, (ms, event)) in events.into_iter().enumerate() {
            let at = Timestamp::from_millis(ms);
            let recorded = RecordedEvent { sequence: index as u64 + 1, at, number: FencingToken::default(), event };
            lines.extend(story.tell(&recorded));
            assert_eq!(story.tell(&recorded), None, "each is told once");
        }
        (story, lines)
    }

    #[test]
    fn a_release_and_the_drain_that_follows() {
        let one = InstanceId::new("demo-1").unwrap();
        let start = |id: &InstanceId| Event::InstanceStarting {
            instance: id.clone(),
            version: VersionId(1),
            replacement: false,
        };
        let two = InstanceId::new("demo-2").unwrap();
        let candidate = Event::InstanceStarting { instance: two, version: VersionId(2), replacement: false };
        let (story, lines) = told(vec![
            (0, start(&one)),
            (5, candidate),
            (10, Event::InstanceServing { instance: one.clone(), share: Share::FULL }),
            (20, Event::InstanceDraining { instance: one.clone(), sessions: Some(3), deadline: None }),
            (30, Event::InstanceServing { instance: one.clone(), share: Share::FULL }),
            (1_000, Event::InstanceDraining { instance: one.clone(), sessions: Some(7), deadline: None }),
            (9_500, Event::InstanceGone { instance: one.clone(), log: Vec::new() }),
            (9_600, Event::ReleaseSettled { version: VersionId(2) }),
        ]);
        assert_eq!(story.drain_seconds(), [8.5], "counted from the drain that ended");
        assert!(story.has_served(VersionId(1)) && !story.has_served(VersionId(2)));
        assert_eq!((story.releases(), story.last()), (1, 8));
        assert_eq!(story.gone_at(VersionId(1)), Some(Timestamp::from_millis(9_500)));
        assert_eq!((story.gone_at(VersionId(2)), story.gone_at(VersionId(3))), (None, None));
        assert!(story.is_alone(VersionId(2)) && !story.is_alone(VersionId(1)));
        assert_eq!(lines, ["v1 drains with 3 sessions", "v1 drains with 7 sessions", "v1 is gone", "v2 settled"]);
    }
}
