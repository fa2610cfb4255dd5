//! Observes a service: containers, locators, probes and requests, all at once.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::ports::Ports;
use super::probe::probe_of;
use crate::container::{Incarnation, Selector};
use crate::error::Result;
use crate::name::{InstanceId, ServiceName};
use crate::release::{Counted, LocatorView, Observation, PhaseName, Probed, Reading, ServiceState};
use crate::runtime::probe::{Probe, Prober};

/// How long a look may take. What does not answer within that time is unknown for this step.
pub(super) const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// The probes of the instances that are ready, and of a server that is being adopted.
#[derive(Debug, Default)]
pub(crate) struct Probers {
    running: BTreeMap<InstanceId, Running>,
    /// A host name that clients use for the service, as a locator reported it last.
    host: Option<String>,
}

#[derive(Debug)]
struct Running {
    /// The incarnation of the entry that is probed. `None` for an external instance.
    incarnation: Option<Incarnation>,
    probe: Probe,
    prober: Prober,
}

impl Probers {
    /// Probes every instance that is ready, in its present incarnation, and nothing else.
    pub(crate) fn follow(&mut self, state: &ServiceState, ports: &Ports) {
        let probed = |id: &InstanceId| {
            let instance = state.instances.get(id)?;
            let settings = &state.versions.get(&instance.version)?.new.settings;
            // A launched one that starts is probed by its launch.
            let adopting = instance.is(PhaseName::Starting) && instance.is_external();
            if instance.phase.life().is_none() && !adopting {
                return None;
            }
            let incarnation = instance.incarnations().get(&settings.entry.component).cloned();
            if incarnation.is_none() && !instance.is_external() {
                return None;
            }
            Some((incarnation, probe_of(&settings.ready, instance.address()?, self.host.as_deref())))
        };
        let stays = |id: &InstanceId, it: &Running| {
            probed(id).is_some_and(|(incarnation, probe)| incarnation == it.incarnation && probe == it.probe)
        };
        let mut running = std::mem::take(&mut self.running);
        running.retain(|id, it| stays(id, it));
        for id in state.instances.keys() {
            if let Some((incarnation, probe)) = probed(id).filter(|_| !running.contains_key(id)) {
                let prober = ports.prober(probe.clone());
                running.insert(id.clone(), Running { incarnation, probe, prober });
            }
        }
        self.running = running;
    }

    /// Remembers a host name that clients use for the service.
    pub(crate) fn learn(&mut self, observation: &Observation) {
        let reports = observation.locators.values().filter_map(|view| view.report.value());
        if let Some(host) = reports.flat_map(|report| &report.hosts).next() {
            self.host = Some(host.clone());
        }
    }

    /// A host name that clients use for the service, if one is known.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    fn verdicts(&self) -> BTreeMap<InstanceId, Probed> {
        let verdicts = self.running.iter().filter_map(|(id, it)| {
            let failure = it.prober.verdict()?.outcome.err().map(|failure| failure.to_string());
            Some((id.clone(), Probed { incarnation: it.incarnation.clone(), failure }))
        });
        verdicts.collect()
    }
}

/// A host name that clients use for the service, from the first locator that knows one.
pub(crate) async fn asked_as(ports: &Ports, service: &ServiceName) -> Option<String> {
    for locator in ports.locators.values() {
        if let Ok(Ok(report)) = timeout(LOOK_LIMIT, locator.observe(service)).await
            && let Some(host) = report.hosts.into_iter().next()
        {
            return Some(host);
        }
    }
    None
}

/// Observes everything at once. What does not answer is unknown, but without the journal nothing can be done: its error
/// is returned.
pub(crate) async fn observe(
    ports: &Ports,
    service: &ServiceName,
    probers: &Probers,
    counts: BTreeMap<InstanceId, Counted>,
) -> Result<Observation> {
    let selector = Selector::journal(ports.journal.id());
    let containers = async {
        let began = ports.clock.now();
        match timeout(LOOK_LIMIT, ports.runtime.list(&selector)).await {
            Ok(Ok(value)) => Reading::Known { began, value },
            Ok(Err(_)) | Err(_) => Reading::Unknown,
        }
    };
    let locators = join_all(ports.locators.iter().map(|(name, locator)| async move {
        let began = ports.clock.now();
        let report = match timeout(LOOK_LIMIT, locator.observe(service)).await {
            Ok(Ok(value)) => Reading::Known { began, value },
            Ok(Err(_)) | Err(_) => Reading::Unknown,
        };
        (name.clone(), LocatorView { capabilities: locator.capabilities(), report })
    }));
    let (requests, containers, locators) = tokio::join!(ports.journal.pending(service), containers, locators);
    Ok(Observation {
        requests: requests?,
        containers,
        probes: probers.verdicts(),
        counts,
        locators: locators.into_iter().collect(),
        // The loop adds its own.
        tasks: BTreeMap::new(),
    })
}
