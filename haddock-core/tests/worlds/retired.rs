//! The service is retired at any moment, by a controller that is killed at any call, and asked for again.
//!
//! Judged with all other invariants, which still hold: sessions stay where they are until they end (S1, S6), what was
//! begun is removed (S4), and a retirement ends (L1). Judged at the end of a retirement: no client is live on any
//! instance, no locator lists one, and the service has no container, except those that no commit asked for.

use haddock_core::InstanceId;

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    pub(crate) fn check_retired(&mut self) {
        let known: Vec<InstanceId> = self.truth.instances.keys().cloned().collect();
        for at in 0..self.posts.len() {
            let listed = self.posts[at].core.table(&self.service).map_or(0, |table| table.routes.len());
            if listed > 0 {
                self.violate("L1", format!("the service is forgotten, and g{} lists {listed} instances", at + 1));
            }
            for id in &known {
                let live = self.live_clients(id, at);
                if !live.is_empty() {
                    self.violate("S1", format!("the service is forgotten with clients {live:?} live on {id}"));
                }
            }
        }
        let numbers = (self.before.number, self.before.next_instance);
        let state = &self.journal.state;
        if state.number <= numbers.0 || state.next_instance < numbers.1 {
            self.violate("S5", "the service is forgotten, and its numbers with it".to_owned());
        }
    }
}

#[test]
fn a_retired_service_drains_and_is_forgotten() {
    let tuning = Tuning { retires: 15, user_every: 4_000, adopts: 25, ..Tuning::DEFAULT };
    runner::run(
        14_000_000,
        tuning,
        &[
            "service retired",
            "retirement aborted",
            "take-over while it retires",
            "released again",
            "release settled",
            "adopted server drained and reported",
            "stop while other sessions live",
        ],
    );
}

#[test]
fn a_retired_service_drains_through_two_locators() {
    let tuning = Tuning { retires: 15, locators: 2, two_idles: 0, fault_every: 1_500, ..Tuning::DEFAULT };
    runner::run(14_500_000, tuning, &["service retired", "retirement aborted", "take-over while it retires"]);
}
