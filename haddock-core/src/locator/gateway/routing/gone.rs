//! Instances that are forgotten: years of releases must not fill the memory.

use super::{Instance, Routing};

impl Routing {
    /// Puts a new instance into a place that is free.
    pub(super) fn settle(&mut self, instance: Instance) -> u32 {
        if let Some(at) = self.vacant.pop() {
            self.instances[at as usize] = instance;
            return at;
        }
        self.instances.push(instance);
        u32::try_from(self.instances.len() - 1).expect("fewer than four thousand million instances")
    }

    /// Forgets what is closed, has nothing left on it, and is named no more, as the table in force says.
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
                // Nothing names this place any more: neither the session table nor a request.
                instance.closed = false;
                instance.held = None;
                self.vacant.push(at);
            }
        }
    }
}

impl Instance {
    /// Whether neither a request nor an entry of the session table has to do with it.
    fn is_bare(&self) -> bool {
        self.live == 0 && self.left_over == 0 && self.in_flight == 0 && self.upgraded == 0 && self.uncounted == 0
    }
}
