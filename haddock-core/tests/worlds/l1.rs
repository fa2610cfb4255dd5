//! L1: in a fair world each release ends, unless paused, at a gate, or without traffic.
//!
//! In worlds with a fair time of a minute at least. After the unfair time no fault happens, nobody asks for anything, and what is paused is resumed. Judged at the end of
//! the fair time: no release is in progress and none waits; and if there is a known good version whose images are
//! sound, an instance that is well has a share at every locator.

use haddock_core::release::PhaseName;

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    /// Whether nothing is left to do.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let sound = self.has_sound_known_good();
        let state = &self.journal.state;
        let ended = state.retiring.is_none()
            && state.release.is_none()
            && state.queued.is_none()
            && self.journal.requests.is_empty();
        if !sound && self.now > self.fair_from() + 60_000 {
            // It dies again and again, and is replaced again and again.
            return ended && self.strays().is_empty();
        }
        ended
            && state.instances.values().all(|instance| instance.is(PhaseName::Serving))
            && self.serves()
            && self.strays().is_empty()
    }

    fn has_sound_known_good(&self) -> bool {
        let state = &self.journal.state;
        state.known_good.is_some_and(|good| self.truth.sound.contains(&state.versions[&good].new.spec))
    }

    /// Whether an instance that is well has a share at every locator, if one should.
    fn serves(&self) -> bool {
        if self.journal.state.known_good.is_none() {
            return true;
        }
        self.posts.iter().all(|post| {
            post.core.table(&self.service).is_some_and(|table| {
                table.routes.iter().any(|(id, route)| {
                    !route.share.is_zero() && self.is_well(id) && !post.core.is_closed(&self.service, id)
                })
            })
        })
    }

    pub(crate) fn check_l1_at_the_end(&mut self) {
        if self.tuning.fair < 60_000 {
            return;
        }
        let state = &self.journal.state;
        // Without traffic it waits for sessions, and says so.
        let waits = state.release.as_ref().and_then(|release| release.waits.as_ref());
        if self.tuning.faulty > 0 && waits.is_some_and(|error| error.message().starts_with("until ")) {
            return self.meet("waits for sessions");
        }
        if state.release.is_some() || state.queued.is_some() {
            let what = format!("the release {:?} has not ended, queued: {}", state.release, state.queued.is_some());
            self.violate("L1", what);
            return;
        }
        if let Some(retiring) = &state.retiring {
            return self.violate("L1", format!("the service is retired since {:?}, and not gone", retiring.since));
        }
        if self.has_sound_known_good() && !self.serves() {
            self.violate("L1", "nothing serves, although there is a known good version".to_owned());
        }
    }
}

#[test]
fn l1_each_release_ends() {
    let tuning = Tuning { user_every: 4_000, bad_images: 35, again: 10, ..Tuning::DEFAULT };
    runner::run(
        11_000_000,
        tuning,
        &[
            "release settled",
            "release unchanged",
            "release paused",
            "release waits",
            "superseded",
            "release skipped",
            "bad version",
            "gate says go",
            "gate says wait",
            "gate says stop",
        ],
    );
}
