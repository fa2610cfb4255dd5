//! S2: only an instance that was seen ready gets new sessions.
//!
//! Judged when a locator opens a session. The instance must have answered its probe once, and a commit must have called
//! it ready.

use haddock_core::InstanceId;

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    pub(crate) fn check_s2(&mut self, instance: &InstanceId) {
        let ready = self.truth.instances.get(instance).is_some_and(|truth| truth.booted && truth.lives.is_some());
        if !ready {
            self.violate("S2", format!("a session was opened on {instance}, which was never ready"));
        }
    }
}

#[test]
fn s2_only_a_ready_instance_gets_new_sessions() {
    let tuning = Tuning { bad_images: 60, user_every: 3_500, ..Tuning::DEFAULT };
    runner::run(2_000_000, tuning, &["release settled", "bad version", "superseded", "release waits"]);
}
