//! S1: no instance is stopped while it has live sessions, requests in flight or upgraded connections, unless its drain
//! deadline, the guard, or an operator says so, or it has failed; then they are evicted first and counted as lost.
//!
//! Judged when a stop lands on an instance whose entry runs in the life in which it was ready: no client may have a
//! request or an upgraded connection on it, or a session that has surely not expired, through a locator that did not
//! evict it *for a reason*. And when an evict takes effect while clients live: the reason must be there. It is
//! a life that has ended; a verdict of the guard, after which no locator gives it a share any more; a verdict of failure after it was silent for `unresponsive_for`, and silent in the reading on
//! which that verdict was based; or a share of zero at this locator for `evict_after` at least.

use haddock_core::InstanceId;

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    pub(crate) fn check_s1_stop(&mut self, instance: &InstanceId) {
        let others = self.clients.iter().filter(|client| client.stay.is_some()).count();
        let broken = self.truth.instances.get(instance).is_none_or(|truth| truth.broken_at.is_some());
        for locator in 0..self.posts.len() {
            let live = self.live_clients(instance, locator);
            if !broken && !live.is_empty() {
                let what = format!("{instance} is stopped with clients {live:?} live through g{}", locator + 1);
                self.violate("S1", what);
            }
        }
        if others > 0 {
            self.meet("stop while other sessions live");
        }
    }

    /// An adopted server is never stopped. It ends as an instance when it is closed.
    pub(crate) fn check_s1_close(&mut self, at: usize, instance: &InstanceId) {
        if self.server_as(instance).is_none() {
            return;
        }
        self.meet("adopted server closed");
        let live = self.live_clients(instance, at);
        if !live.is_empty() {
            let what = format!("{instance}, which was adopted, is closed at g{} with clients {live:?} live", at + 1);
            self.violate("S1", what);
        }
    }

    pub(crate) fn check_s1_evict(&mut self, at: usize, instance: &InstanceId, live: &[usize]) {
        let now = self.now;
        let truth = self.truth_of(instance);
        let failed = truth.broken_at.is_some() || truth.failed_rightly || truth.harmful;
        let zero_since = truth.zero_since.get(&at).copied();
        let overdue = truth.evict_after.is_some_and(|after| zero_since.is_some_and(|since| since + after <= now));
        if failed || overdue {
            truth.evicted.insert(at);
            self.meet(if failed { "evict of a failed instance" } else { "evict by deadline" });
            if !live.is_empty() {
                self.meet("evict with live sessions");
            }
        } else if !live.is_empty() {
            let what = format!("{instance} is evicted without a reason, share 0 since {zero_since:?}, live {live:?}");
            self.violate("S1", what);
        }
    }
}

#[test]
fn s1_no_instance_is_stopped_with_live_sessions() {
    runner::run(
        1_000_000,
        Tuning::DEFAULT,
        &[
            "stop while other sessions live",
            "evict of a failed instance",
            "evict by deadline",
            "evict with live sessions",
            "locator restart in a drain",
            "restarted by somebody",
        ],
    );
}
