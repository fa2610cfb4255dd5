//! What is asked of the routing for the record of traffic.

use super::ServiceRouting;
use super::totals::Totals;
use crate::time::Timestamp;

impl ServiceRouting {
    /// The totals of all instances, and of those that were forgotten since the last call.
    pub(in crate::locator::gateway) fn totals(&mut self, now: Timestamp) -> Vec<Totals> {
        let mut totals = std::mem::take(&mut self.parted);
        totals.extend(self.totals_so_far(now));
        totals
    }

    /// The totals of the instances that are not forgotten.
    pub(in crate::locator::gateway) fn totals_so_far(&self, now: Timestamp) -> impl Iterator<Item = Totals> {
        self.by_id.values().map(move |at| Totals::of(&self.instances[*at as usize], self.figures(*at, now).live))
    }
}
