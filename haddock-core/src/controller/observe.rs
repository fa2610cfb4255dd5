//! One look at everything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::Ports;
use crate::container::{Incarnation, Selector};
use crate::environment::Readiness;
use crate::environment::probe::{Probe, Prober};
use crate::error::Result;
use crate::name::{InstanceId, ServiceName};
use crate::release::{LocatorView, Observation, Phase, Probed, Reading, ServiceState, Task, TaskReport};

/// What does not answer within that time is unknown for this step.
const LIMIT: Duration = Duration::from_secs(3);

/// The probes of the instances that are ready, and of a server that is being adopted.
#[derive(Debug, Default)]
pub(crate) struct Probers {
    running: BTreeMap<InstanceId, Running>,
    /// A host under which clients ask for the service, as a locator said last.
    host: Option<String>,
}

#[derive(Debug)]
struct Running {
    /// The life of the entry that is probed; of an external instance none is known.
    life: Option<Incarnation>,
    probe: Probe,
    prober: Prober,
}

impl Probers {
    /// Probes what is ready, in this life of it, and nothing else.
    pub(crate) fn follow(&mut self, state: &ServiceState, ports: &Ports) {
        let probed = |id: &InstanceId| {
            let instance = state.instances.get(id)?;
            let external = instance.external.is_some();
            match instance.phase {
                Phase::Ready | Phase::Serving | Phase::Draining => {}
                // Of any other the launch is what probes.
                Phase::Starting if external => {}
                _ => return None,
            }
            let settings = &state.versions.get(&instance.version)?.new.settings;
            let life = instance.lives.get(&settings.entry.component).cloned();
            if life.is_none() && !external {
                return None;
            }
            Some((life, probe_of(&settings.ready, instance.address?, self.host.as_deref())))
        };
        let stays = |id: &InstanceId, it: &Running| {
            probed(id).is_some_and(|(life, probe)| life == it.life && probe == it.probe)
        };
        let mut running = std::mem::take(&mut self.running);
        running.retain(|id, it| stays(id, it));
        for id in state.instances.keys() {
            if let Some((life, probe)) = probed(id).filter(|_| !running.contains_key(id)) {
                let prober = ports.prober(probe.clone());
                running.insert(id.clone(), Running { life, probe, prober });
            }
        }
        self.running = running;
    }

    /// Remembers under which host clients ask for the service.
    pub(crate) fn learn(&mut self, observation: &Observation) {
        let reports = observation.locators.values().filter_map(|view| view.report.value());
        if let Some(host) = reports.flat_map(|report| &report.hosts).next() {
            self.host = Some(host.clone());
        }
    }

    fn verdicts(&self) -> BTreeMap<InstanceId, Probed> {
        let verdicts = self.running.iter().filter_map(|(id, it)| {
            let failure = it.prober.verdict()?.outcome.err().map(|failure| failure.to_string());
            Some((id.clone(), Probed { life: it.life.clone(), failure }))
        });
        verdicts.collect()
    }
}

/// What an instance is asked, to know whether it is ready. `host`: under which clients ask for it.
pub(crate) fn probe_of(ready: &Readiness, address: SocketAddr, host: Option<&str>) -> Probe {
    let host = ready.host.as_deref().or(host).map(str::to_owned);
    Probe { address, http: ready.http.clone(), host }
}

/// A host under which clients ask for the service, as the first locator says that knows one.
pub(crate) async fn asked_as(ports: &Ports, service: &ServiceName) -> Option<String> {
    for locator in ports.locators.values() {
        if let Ok(Ok(report)) = timeout(LIMIT, locator.observe(service)).await
            && let Some(host) = report.hosts.into_iter().next()
        {
            return Some(host);
        }
    }
    None
}

/// Looks at everything, all at once. Only a journal that does not answer is an error: without it nothing can be done.
pub(crate) async fn observe(
    ports: &Ports,
    service: &ServiceName,
    probers: &Probers,
    tasks: BTreeMap<Task, TaskReport>,
) -> Result<Observation> {
    let selector = Selector::journal(ports.journal.id());
    let containers = async {
        let began = ports.clock.now();
        match timeout(LIMIT, ports.runtime.list(&selector)).await {
            Ok(Ok(value)) => Reading::Known { began, value },
            Ok(Err(_)) | Err(_) => Reading::Unknown,
        }
    };
    let locators = join_all(ports.locators.iter().map(|(name, locator)| async move {
        let began = ports.clock.now();
        let report = match timeout(LIMIT, locator.observe(service)).await {
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
        locators: locators.into_iter().collect(),
        tasks,
    })
}
