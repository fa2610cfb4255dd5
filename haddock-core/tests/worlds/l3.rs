//! L3: if requests for newer versions never stop, versions still settle.
//!
//! The user asks for releases all the time, with `queue: newest`. The user asks for nothing else, and nothing fails.
//! Judged at the end: versions have settled all the time.

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    pub(crate) fn check_l3_at_the_end(&mut self) {
        if self.tuning.only_releases && self.journal.settled < 2 {
            self.violate("L3", format!("{} releases settled", self.journal.settled));
        }
    }
}

#[test]
fn l3_versions_settle_though_requests_never_stop() {
    let tuning = Tuning {
        only_releases: true,
        user_every: 1_500,
        bad_images: 0,
        fault_every: 0,
        unreliable: 5,
        unfair: 40_000,
        fair: 1,
        ..Tuning::DEFAULT
    };
    runner::run(13_000_000, tuning, &["release settled", "release skipped", "release waits"]);
}
