//! Instances that are forgotten: years of releases must not fill the memory.

use super::ServiceRouting;
use super::instance::Instance;
use super::totals::Totals;
use crate::routing::Count;

impl ServiceRouting {
    /// Puts a new instance into a place that is free.
    pub(super) fn settle(&mut self, instance: Instance) -> u32 {
        if let Some(at) = self.vacant.pop() {
            self.instances[at as usize] = instance;
            return at;
        }
        self.instances.push(instance);
        u32::try_from(self.instances.len() - 1).expect("fewer than four thousand million instances")
    }

    /// Forgets the instances that are closed, have nothing left on them, and are not named by the table in force.
    pub(super) fn forget_the_gone(&mut self) {
        let Some(table) = &self.table else { return };
        let Some(watermark) = &table.watermark else { return };
        for (at, instance) in (0..).zip(&mut self.instances) {
            let is_gone = instance.closed
                && instance.closed_on_disk
                && instance.is_bare()
                && watermark.covers(&instance.id)
                && !table.routes.contains_key(&instance.id);
            if is_gone {
                self.by_id.remove(&instance.id);
                self.parted.push(Totals::of(instance, Count::Exact(0)));
                // Neither the session table nor a request uses this place any more.
                instance.closed = false;
                instance.held = None;
                instance.closing = None;
                self.vacant.push(at);
            }
        }
    }
}
