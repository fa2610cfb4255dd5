//! S7: the known-good version stays until the new one has settled.
//!
//! Judged when a close or an evict takes effect, and when a stop lands. The instance must not be of the version that
//! the committed state calls known good, unless it is unwell or has failed. It may also go if as many others of that
//! version are well as it has replicas, or were well in the reading of the decision. Not judged if the service is being
//! retired, or was when a first locator closed the instance.
//!
//! Judged at each commit of a table in a stage of less than 100 %: if an instance of the known good version serves, and
//! is not known to be silent for longer than a hiccup, that version has a share. A release that goes forward begins
//! with its first stage if anything is known good.

use std::time::Duration;

use haddock_core::InstanceId;
use haddock_core::release::{Instance, PhaseName, ReleasePhase, Step};
use haddock_core::routing::FencingToken;

use crate::runner;
use crate::world::{Tuning, World};

/// The shortest silence that may count in these worlds: half of the shortest `unresponsive_for`.
const HICCUP: Duration = Duration::from_secs(1);

impl World {
    pub(crate) fn check_s7_close(&mut self, at: usize, instance: &InstanceId, number: FencingToken) {
        if self.journal.decisions[&number].retires {
            // An instance that one locator has closed is closed on the others, too, even if the service is to stay
            // after all.
            self.truth_of(instance).given_up = true;
            return;
        }
        let reading = self.journal.decisions[&number].reading;
        if self.is_wrongly_taken(instance, reading) {
            let what = format!("{instance} of the known good version is closed at g{} by {number}", at + 1);
            self.violate("S7", what);
        }
    }

    pub(crate) fn check_s7_stop(&mut self, instance: &InstanceId) {
        let closed = self.posts.iter().any(|post| post.core.is_closed(&self.service, instance));
        if !closed && self.is_wrongly_taken(instance, self.now) {
            self.violate("S7", format!("{instance} of the known good version is stopped"));
        }
    }

    /// While the candidate is to have less than everything, the known good version has the rest.
    pub(crate) fn check_s7_commit(&mut self, step: &Step) {
        let (before, after) = (&self.before, &step.state);
        let (Some(good), Some(release)) = (after.known_good, &after.release) else { return };
        let ReleasePhase::Ramping(stage) = release.phase else { return };
        let launched = before.release.as_ref().is_some_and(|r| r.phase == ReleasePhase::Launching);
        if good != release.version && launched && !release.rollback && stage > 0 {
            self.violate("S7", format!("{good} is known good, and the ramp begins at stage {stage}"));
            return;
        }
        let ramp = &after.versions[&release.version].new.settings.release.ramp;
        let sent = after.asked.as_ref().is_some_and(|asked| asked.number == after.number);
        if !sent || good == release.version || stage + 1 >= ramp.len() {
            return;
        }
        let serves = |id: &InstanceId, instance: &Instance| {
            let served = before.instances.get(id).is_some_and(|former| former.is(PhaseName::Serving));
            let hiccups = instance.unresponsive_since().is_none_or(|since| after.now - since < HICCUP);
            served && instance.is(PhaseName::Serving) && hiccups
        };
        if after.instances_of(good).any(|(id, instance)| serves(id, instance)) && after.asked_share_of(good).is_zero() {
            let what = format!("{good} is known good and serves, and table {} leaves it nothing", after.number);
            self.violate("S7", what);
        }
    }

    fn is_wrongly_taken(&self, instance: &InstanceId, reading: u64) -> bool {
        let Some(truth) = self.truth.instances.get(instance) else { return false };
        let version = truth.version;
        if self.journal.state.known_good != Some(version) || truth.broken_at.is_some() || truth.failed_rightly {
            return false;
        }
        if truth.lives.is_none() || truth.given_up || truth.harmful {
            return false;
        }
        let replicas = self.journal.state.versions[&version].new.settings.release.replicas as usize;
        let others = self.truth.instances.iter().filter(|(id, other)| {
            let alive = other.broken_at.is_none_or(|broken| broken > reading);
            *id != instance && other.version == version && other.lives.is_some() && alive
        });
        others.count() < replicas
    }
}

#[test]
fn s7_the_known_good_version_stays() {
    let tuning = Tuning { deadlines: 80, bad_images: 35, ..Tuning::DEFAULT };
    runner::run(
        7_000_000,
        tuning,
        &["release settled", "abort while the candidate had a share", "drain overdue", "superseded in its ramp"],
    );
}
