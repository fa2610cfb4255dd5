//! A release that would change nothing.

use super::Work;
use crate::name::VersionId;
use crate::release::event::Event;
use crate::release::state::Verdict;
use crate::routing::Share;

impl Work<'_> {
    /// The known good version, if the candidate is the same and the release was not forced.
    pub(super) fn same_as_known_good(&self, version: VersionId) -> Option<VersionId> {
        let good = self.state.known_good.filter(|good| *good != version)?;
        let (candidate, present) = (self.version(version), self.version(good));
        let rollback = self.state.release.as_ref().is_some_and(|release| release.rollback);
        let same = candidate.new.runs_like(&present.new) && candidate.pins == present.pins;
        (same && !candidate.new.force && !rollback).then_some(good)
    }

    /// Whether every replica of the version answers, and all new sessions go to them. `None`: this cannot be seen, or
    /// one of them missed a probe, which may mean nothing.
    pub(super) fn has_everything(&self, version: VersionId) -> Option<bool> {
        self.containers.as_ref()?;
        self.reports.as_ref()?;
        let replicas = self.version(version).new.settings.release.replicas as usize;
        let healthy: Vec<_> = self.state.instances_of(version).filter(|(_, it)| self.is_healthy(it)).collect();
        if healthy.iter().any(|(_, instance)| !self.answers(instance)) {
            return None;
        }
        let in_force = self.state.asked.as_ref().is_some_and(|asked| asked.in_force);
        let whole = self.state.asked_share_of(version) == Share::FULL;
        let alone = self
            .state
            .instances
            .iter()
            .all(|(id, instance)| instance.version == version || self.state.asked_share(id).is_zero());
        Some(healthy.len() >= replicas && in_force && whole && alone)
    }

    /// The version that serves goes on, by the rules that came with the candidate.
    pub(super) fn end_unchanged(&mut self, version: VersionId, known_good: VersionId) -> bool {
        self.state.release = None;
        let candidate = self.version_mut(version);
        candidate.verdict = Verdict::Unchanged;
        let settings = candidate.new.settings.clone();
        let serving = self.version_mut(known_good);
        let other_rules = serving.new.settings != settings;
        serving.new.settings = settings;
        self.events.push(Event::ReleaseUnchanged { version, known_good, other_rules });
        self.start_queued();
        true
    }
}
