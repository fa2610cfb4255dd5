//! L2: a drain ends when its sessions have expired; a passed deadline stays passed for that drain.
//!
//! Judged at the end of the fair time. No instance that drains without a release in progress has been empty (no client
//! live on it) for a minute. No instance that failed or retires is left from the unfair time, except a failed one that
//! runs and keeps its share because no other can take it.

use haddock_core::release::PhaseName;

use crate::runner;
use crate::world::{Tuning, World};

/// How long the end of a drain may take, in milliseconds: one idle time, in which a restarted locator does not know its
/// sessions, and the longest waits between two tries of a close and of a stop.
const BOUND: u64 = 60_000;

impl World {
    pub(crate) fn check_l2_at_the_end(&mut self) {
        let state = self.journal.state.clone();
        for (id, instance) in &state.instances {
            let age = self.now.saturating_sub(instance.since.as_millis());
            let live: usize = (0..self.posts.len()).map(|at| self.live_clients(id, at).len()).sum();
            // If no other instance can take its share, a failed instance that runs keeps it.
            let last = !instance.has_ended() && !state.asked_share(id).is_zero();
            let stuck = match instance.phase.name() {
                PhaseName::Draining => live == 0 && age > BOUND && state.release.is_none(),
                PhaseName::Failed => age > BOUND && !last,
                PhaseName::Retiring => age > BOUND,
                _ => false,
            };
            let overdue = self.truth_of(id).overdue && instance.drain().is_some_and(|drain| !drain.overdue);
            if stuck || overdue {
                let what = format!("{id} is {:?} for {age} ms, {live} live", instance.phase);
                self.violate("L2", what);
            }
        }
    }
}

#[test]
fn l2_a_drain_ends() {
    let tuning = Tuning { user_every: 3_000, bad_images: 10, ..Tuning::DEFAULT };
    runner::run(
        12_000_000,
        tuning,
        &["release settled", "drain overdue", "locator restart in a drain", "instance gone"],
    );
}
