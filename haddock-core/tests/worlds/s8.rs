//! S8: a verb acts on the release that it is about, or does nothing.
//!
//! Judged at each commit that takes up requests. If a request is about a release that is not in progress, it is
//! refused, or it withdraws that release if this waits. If all requests of the commit are such, the release in progress
//! stays as it was. A rollback is refused if the newest version was given up and the known good one serves already.

use haddock_core::RequestId;
use haddock_core::release::{AbortReason, Event, Release, Request, ServiceState, Step, Verb, Verdict};

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    pub(crate) fn check_s8_commit(&mut self, taken: &[Request], step: &Step) {
        let refused = |id: &RequestId| {
            step.events.iter().any(|event| matches!(event, Event::RequestRefused { id: refused, .. } if refused == id))
        };
        let withdrawn = |id: &RequestId| {
            step.events
                .iter()
                .any(|event| matches!(event, Event::ReleaseWithdrawn { id: dropped, .. } if dropped == id))
        };
        // The joint effect of several requests is not judged here.
        let [request] = taken else { return };
        if let Some(about) = request.about.as_ref().filter(|about| !is_in_progress(&self.before, about)) {
            self.meet("verb about another release");
            let steered = |event: &Event| {
                let asked = |reason: &AbortReason| matches!(reason, AbortReason::Asked { .. });
                matches!(event, Event::ReleasePaused | Event::ReleaseResumed)
                    || matches!(event, Event::ReleaseAborting { reason, .. } if asked(reason))
            };
            let advances = step.state.release.as_ref().is_some_and(|release| release.advance)
                && !self.before.release.as_ref().is_some_and(|release| release.advance);
            if withdrawn(about) {
                self.meet("release withdrawn");
            } else if !refused(&request.id) {
                self.violate("S8", format!("{:?} about {about} is not refused", request.verb));
            }
            if advances || step.events.iter().any(steered) {
                self.violate("S8", format!("{:?} about {about} is done to another", request.verb));
            }
        }
        if request.verb == Verb::Rollback && is_back_already(&self.before) {
            self.meet("rollback of what was given up");
            if !refused(&request.id) {
                self.violate("S8", "a rollback goes back from a version that was given up already".to_owned());
            }
        }
    }
}

fn is_in_progress(state: &ServiceState, about: &RequestId) -> bool {
    let of = |release: &Release| release.request.as_ref() == Some(about);
    state.release.as_ref().is_some_and(of)
}

fn is_back_already(state: &ServiceState) -> bool {
    let idle = state.release.is_none() && state.queued.is_none() && state.retiring.is_none();
    let newest = state.versions.iter().rev().find(|(_, version)| version.verdict != Verdict::Unchanged);
    let given_up = newest.is_some_and(|(id, version)| {
        state.known_good.is_some_and(|good| good < *id) && matches!(version.verdict, Verdict::Aborted | Verdict::Bad)
    });
    idle && given_up
}

/// Worlds in which users ask about releases that may be over.
pub(crate) const MEANT: Tuning = Tuning { about: 70, user_every: 2_500, adopts: 0, bad_images: 30, ..Tuning::DEFAULT };

#[test]
fn s8_a_verb_is_about_one_release() {
    runner::run(
        8_000_000,
        MEANT,
        &["verb about another release", "release withdrawn", "rollback of what was given up", "release settled"],
    );
}
