//! What outlives a restart: the table, the newest number, and what is closed.

use super::ServiceRouting;
use crate::locator::gateway::store::Saved;
use crate::name::{InstanceId, ServiceName};
use crate::routing::{FencingToken, RoutingTable};

impl ServiceRouting {
    /// Whether the instance gets nothing more, ever.
    pub(in crate::locator::gateway) fn is_closed(&self, id: &InstanceId) -> bool {
        self.by_id.get(id).is_some_and(|at| self.instances[*at as usize].closed)
    }

    /// Whether an eviction closed it.
    pub(in crate::locator::gateway) fn is_evicted(&self, id: &InstanceId) -> bool {
        self.by_id.get(id).is_some_and(|at| self.instances[*at as usize].evicted)
    }

    /// Takes up what was on disk.
    pub(in crate::locator::gateway) fn restore(&mut self, saved: &Saved) {
        self.watermarks = saved.watermarks.clone();
        self.former.clone_from(&saved.own.former);
        for id in &saved.closed {
            let instance = self.instance(id, None);
            self.instances[instance as usize].closed = true;
        }
        if let Some(table) = &saved.table {
            self.apply(table, self.started);
            for id in table.routes.keys() {
                let instance = self.instance(id, None) as usize;
                self.instances[instance].uncounted_until = Some(self.started);
            }
        }
        self.newest = saved.newest;
        self.expect_number(saved.newest);
        self.now_on_disk(saved);
    }

    pub(in crate::locator::gateway) fn newest(&self) -> FencingToken {
        self.newest
    }

    pub(in crate::locator::gateway) fn table(&self) -> Option<&RoutingTable> {
        self.table.as_ref()
    }

    /// What has to be on disk, for a newest number and a table.
    pub(in crate::locator::gateway) fn to_save(
        &self,
        service: ServiceName,
        newest: FencingToken,
        table: Option<&RoutingTable>,
    ) -> Saved {
        let mut watermarks = self.watermarks.clone();
        watermarks.raise(table.and_then(|table| table.watermark.as_ref()));
        // The closed instances that no watermark covers.
        let closed = self.instances.iter().filter(|it| it.closed && !watermarks.cover(&it.id));
        let closed = closed.map(|instance| instance.id.clone()).collect();
        let former = self.former_after(table.map_or(&self.policy, |table| &table.session));
        let mut saved = Saved::new(service, newest, table.cloned(), closed, watermarks);
        saved.own.former = former;
        saved
    }

    /// Notes what is on disk. Only that is reported.
    pub(in crate::locator::gateway) fn now_on_disk(&mut self, saved: &Saved) {
        self.newest_on_disk = saved.newest;
        for instance in &mut self.instances {
            instance.closed_on_disk |= saved.closed.contains(&instance.id) || saved.watermarks.cover(&instance.id);
        }
    }
}
