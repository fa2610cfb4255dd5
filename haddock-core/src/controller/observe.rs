//! One look at everything.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::Ports;
use crate::container::{Incarnation, Selector};
use crate::environment::probe::{Probe, Prober};
use crate::error::Result;
use crate::name::{InstanceId, ServiceName};
use crate::release::{LocatorView, Observation, Phase, Probed, Reading, ServiceState, Task, TaskReport};

/// What does not answer within that time is unknown for this step.
const LIMIT: Duration = Duration::from_secs(3);

/// The probes of the instances that are ready, and of a server that is being adopted.
#[derive(Debug, Default)]
pub(crate) struct Probers {
    /// Each with the life of the entry that it probes; of an external instance none is known.
    running: BTreeMap<InstanceId, (Option<Incarnation>, Prober)>,
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
            Some((life, Probe { address: instance.address?, http: settings.ready.http.clone() }))
        };
        self.running.retain(|id, (life, _)| probed(id).is_some_and(|(now, _)| now == *life));
        for id in state.instances.keys().filter(|id| !self.running.contains_key(*id)).cloned().collect::<Vec<_>>() {
            if let Some((life, probe)) = probed(&id) {
                self.running.insert(id, (life, ports.prober(probe)));
            }
        }
    }

    fn verdicts(&self) -> BTreeMap<InstanceId, Probed> {
        let verdicts = self.running.iter().filter_map(|(id, (life, prober))| {
            let failure = prober.verdict()?.outcome.err().map(|failure| failure.to_string());
            Some((id.clone(), Probed { life: life.clone(), failure }))
        });
        verdicts.collect()
    }
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
