//! What the routes of the admin API work with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::answers::Answer;
use super::asked::Asked;
use super::call::Call;
use super::feed::{Cut, Feed};
use crate::error::{Error, ErrorKind, Result};
use crate::locator::gateway::connection::Shared;
use crate::locator::gateway::events::Happened;
use crate::locator::gateway::locator::GatewayLocator;
use crate::locator::gateway::metrics::{Figures, ServiceFigures};
use crate::name::{InstanceId, ServiceName};
use crate::routing::{Count, LocatorReport};

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
    /// A stream of events.
    pub(super) fn feed(&self, call: &Call) -> Result<Answer> {
        let maker = &self.shared.services.maker;
        let service: Option<String> = call.query("service", "the name of a service")?;
        let service = service.map(ServiceName::new).transpose()?;
        let cut = call.parts.extensions.get::<Cut>().cloned();
        let cut = cut.ok_or_else(|| Error::new(ErrorKind::Io, "the connection cannot be cut"))?;
        let (events, clock) = (Arc::clone(&maker.events), Arc::clone(&self.shared.clock));
        Feed { events, incarnation: maker.incarnation, clock, service, cut }.begin(&call.parts.headers)
    }

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

/// The numbers of live sessions that were told last.
#[derive(Debug, Default)]
pub(super) struct SessionCounts(BTreeMap<ServiceName, BTreeMap<InstanceId, Count>>);

impl SessionCounts {
    /// Tells of those that have changed, if anybody reads it.
    pub(super) fn tell(&mut self, context: &Context) {
        let events = &context.shared.services.maker.events;
        if !events.is_read() {
            return;
        }
        for (service, report) in context.reports() {
            let live: BTreeMap<_, _> = report.instances.into_iter().map(|(id, figures)| (id, figures.live)).collect();
            if self.0.get(&service) != Some(&live) {
                self.0.insert(service.clone(), live.clone());
                events.note(context.shared.clock.now(), Happened::Sessions { service, live });
            }
        }
    }
}
