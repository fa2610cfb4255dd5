//! What the routes of the admin API work with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::locator::gateway::connection::Shared;
use crate::locator::gateway::locator::GatewayLocator;
use crate::name::ServiceName;
use crate::routing::LocatorReport;

/// The gateway, as its routes see it.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) locator: GatewayLocator,
    pub(super) shared: Arc<Shared>,
    /// The description of the API.
    pub(super) description: Value,
}

impl Context {
    /// The figures of all services.
    pub(super) fn reports(&self) -> Vec<(ServiceName, LocatorReport)> {
        let directory = self.shared.services.directory();
        directory.services().iter().map(|service| (service.name.clone(), service.report())).collect()
    }

    /// The connections of clients that are open, with these that are upgraded: the workers no longer count those.
    pub(super) fn connections(&self, reports: &[(ServiceName, LocatorReport)]) -> u64 {
        let upgraded: u64 =
            reports.iter().flat_map(|(_, report)| report.instances.values()).map(|it| it.upgraded).sum();
        self.shared.connections.load(Ordering::Relaxed) as u64 + upgraded
    }
}
