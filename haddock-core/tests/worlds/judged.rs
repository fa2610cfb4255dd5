//! Verdicts of the guard: at any moment, on any version, while everything else goes wrong.
//!
//! Some versions fail requests, from their begin or later, and many guards are so quick that chance alone is enough for a
//! verdict. All other invariants have to hold in these worlds, too. Besides:
//!
//! - A version is found harmful only if every locator could be read for that decision.
//! - A verdict counts no more sessions than clients have opened on the version.
//! - An instance of a harmful version is ended only when no locator gives it a share.

use haddock_core::InstanceId;
use haddock_core::release::{Event, ServiceState, Step};

use crate::runner;
use crate::world::{Tuning, World};

/// Many versions fail, and much is released.
pub(crate) const JUDGED: Tuning = Tuning { faulty: 50, user_every: 7_000, bad_images: 10, ..Tuning::DEFAULT };

impl World {
    pub(crate) fn check_verdicts(&mut self, step: &Step) {
        let known = self.journal.decisions[&step.state.number].known;
        for (id, version) in &step.state.versions {
            let before = self.before.versions.get(id).and_then(|version| version.harm);
            let Some(judgement) = version.harm.filter(|_| before.is_none()) else { continue };
            self.meet("harmful version");
            if !known {
                self.violate("the guard", format!("{id} is found harmful, and a locator could not be read"));
            }
            let opened = self.truth.opened.get(id).copied().unwrap_or_default();
            if judgement.candidate.begun() > opened {
                let what = format!("{id} is found harmful by {judgement}, and clients opened {opened} sessions on it");
                self.violate("the guard", what);
            }
        }
        for event in &step.events {
            match event {
                Event::WentBack { .. } => self.meet("went back"),
                Event::StageReached { version, stage: 0, .. }
                    if self.before.release.as_ref().is_some_and(|release| release.allowed.is_some())
                        && step.state.versions[version].new.settings.release.auto.is_some() =>
                {
                    self.meet("share raised by evidence");
                }
                _ => {}
            }
        }
    }

    pub(crate) fn judge_harm(&mut self, state: &ServiceState, id: &InstanceId) {
        let version = self.truth.instances[id].version;
        let served = self.posts.iter().any(|post| {
            let table = post.core.table(&self.service);
            table.and_then(|table| table.routes.get(id)).is_some_and(|route| !route.share.is_zero())
        });
        if state.versions[&version].harm.is_some() {
            self.meet("harmful instance ended");
            if served {
                self.violate("the guard", format!("{id} of {version} is ended, and a locator still gives it a share"));
            }
        } else {
            self.meet("bad replica ended");
        }
        self.truth_of(id).harmful = true;
    }
}

#[test]
fn verdicts_break_nothing() {
    runner::run(
        31_000_000,
        JUDGED,
        &["harmful version", "harmful instance ended", "bad replica ended", "went back", "share raised by evidence"],
    );
}

#[test]
fn verdicts_break_nothing_with_two_locators() {
    runner::run(32_000_000, Tuning { locators: 2, ..JUDGED }, &["harmful version", "harmful instance ended"]);
}

#[test]
fn verdicts_break_nothing_while_everything_fails() {
    let tuning = Tuning { fault_every: 1_500, unreliable: 25, bad_images: 25, malice: 20, retires: 5, ..JUDGED };
    runner::run(33_000_000, tuning, &["harmful version"]);
}
