//! S5: one actor per service: commits are fenced by an epoch, locators refuse an (epoch, revision) older than the last
//! seen.
//!
//! Judged at each commit: its number is greater than that of the commit before, and its epoch is the newest lease's.
//! When a call takes effect at a locator: its number is that of a commit, and not older than any the locator has seen.

use haddock_core::release::Step;
use haddock_core::routing::FencingToken;

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    pub(crate) fn check_s5_commit(&mut self, epoch: u64, before: FencingToken, step: &Step) {
        let number = step.state.number;
        if number <= before || number.epoch != epoch || epoch != self.journal.epoch {
            self.violate("S5", format!("commit {number} of epoch {epoch} after {before}"));
        }
    }

    pub(crate) fn check_s5_landing(&mut self, at: usize, number: FencingToken, before: FencingToken) {
        if number < before {
            self.violate("S5", format!("g{} had seen {before}, and took {number}", at + 1));
        }
        if !self.journal.decisions.contains_key(&number) {
            self.violate("S5", format!("{number} was never committed"));
        }
    }
}

#[test]
fn s5_one_actor_per_service() {
    let tuning = Tuning { unreliable: 25, fault_every: 1_500, ..Tuning::DEFAULT };
    runner::run(
        5_000_000,
        tuning,
        &[
            "take-over",
            "take-over during an abort",
            "commit refused",
            "landing of a crashed controller",
            "landing of an old controller",
            "late close refused by number",
            "late apply refused by number",
        ],
    );
}
