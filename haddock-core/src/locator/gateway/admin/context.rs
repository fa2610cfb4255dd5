//! What the routes of the admin API work with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::asked::Asked;
use crate::locator::gateway::connection::Shared;
use crate::locator::gateway::locator::GatewayLocator;
use crate::locator::gateway::metrics::{Figures, ServiceFigures};
use crate::name::ServiceName;
use crate::routing::LocatorReport;

/// The gateway, as its routes see it.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) locator: GatewayLocator,
    pub(super) shared: Arc<Shared>,
    pub(super) asked: Asked,
    /// The description of the API.
    pub(super) description: Value,
}

impl Context {
    /// The figures of all services.
    pub(super) fn reports(&self) -> Vec<(ServiceName, LocatorReport)> {
        let directory = self.shared.services.directory();
        directory.services().iter().map(|service| (service.name.clone(), service.report())).collect()
    }

    /// All figures.
    pub(super) fn figures(&self) -> Figures {
        let directory = self.shared.services.directory();
        let services = directory.services().iter().map(|service| ServiceFigures {
            name: service.name.clone(),
            report: service.report(),
            timings: service.timings(),
        });
        let services: Vec<ServiceFigures> = services.collect();
        // Upgraded connections are no longer counted by the workers.
        let instances = services.iter().flat_map(|service| service.report.instances.values());
        let upgraded: u64 = instances.map(|figures| figures.upgraded).sum();
        let connections = self.shared.connections.load(Ordering::Relaxed) as u64 + upgraded;
        Figures { services, connections, certificates: self.shared.certificates() }
    }
}
