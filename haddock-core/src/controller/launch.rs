//! Launches an instance and waits until it is ready; runs what has to run before a version, and waits until it has
//! ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::observe::asked_as;
use super::ports::{OUTPUT_LINES, Ports};
use super::probe::probe_of;
use crate::container::{ContainerState, Sensitive};
use crate::environment::launch::{LaunchPlan, exited, launch};
use crate::environment::{EnvironmentSpec, ServiceSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName, InstanceId, VersionId};
use crate::release::ServiceState;
use crate::runtime::probe::Prober;
use crate::runtime::turn::waited;
use crate::time::{Timestamp, sleep};

/// How often the containers are inspected while they are neither ready nor ended.
const LAUNCH_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The plan for launching these components of a version, in the environment with this id.
fn plan(
    ports: &Ports,
    state: &ServiceState,
    version: VersionId,
    instance: &InstanceId,
    spec: Arc<EnvironmentSpec>,
    members: BTreeSet<ComponentName>,
    until: Timestamp,
) -> LaunchPlan {
    let version = &state.versions[&version];
    LaunchPlan {
        journal: ports.journal.id().clone(),
        instance: instance.clone(),
        name: None,
        epoch: state.number.epoch,
        spec_digest: version.new.spec.clone(),
        digests: BTreeMap::new(),
        generations: BTreeMap::new(),
        again: BTreeMap::new(),
        unpause: BTreeSet::new(),
        members,
        shared: spec.shared_by().map(EnvironmentName::shared_by),
        images: version.pins.clone().expect("the step launches what is pinned"),
        within: (until - ports.clock.now()).max(Duration::from_secs(1)),
        spec,
    }
}

/// Runs the component that has to run before a version, and returns its last lines once it has ended well. If its
/// container is there already, it is waited for and not run again.
pub(crate) async fn before(
    ports: &Ports,
    state: &ServiceState,
    version: VersionId,
    instance: &InstanceId,
    end_by: Timestamp,
) -> Result<Vec<String>> {
    let mut spec = EnvironmentSpec::clone(&*ports.specification(state, version)?);
    let component = spec.service()?.release.before.as_ref().map(|before| before.component.clone());
    let component = component.expect("the step runs what the version has");
    if let Some(own) = spec.components.get_mut(&component) {
        own.environment.insert("HADDOCK_KEY".to_owned(), Sensitive::new(instance.as_str()));
    }
    let members = BTreeSet::from([component.clone()]);
    let plan = plan(ports, state, version, instance, Arc::new(spec), members, end_by);
    let mut container = launch(&*ports.runtime, &plan).await?.containers.remove(&component).expect("the only member");
    loop {
        if container.has_succeeded() {
            return ports.runtime.logs(&container.id, OUTPUT_LINES).await;
        }
        if let ContainerState::Exited { .. } = container.state {
            return Err(plan.spec.masked(exited(&*ports.runtime, &component, &container).await));
        }
        if ports.clock.now() >= end_by + waited() {
            let tail = ports.runtime.logs(&container.id, OUTPUT_LINES).await.unwrap_or_default();
            let message = format!("component `{component}`, which runs before the version, has not ended in its time");
            return Err(Error::new(ErrorKind::NeverReady, message)
                .with_hint("see its log; raise `x-haddock.release.before.within` if it is just slow")
                .with_log_tail(tail));
        }
        sleep(LAUNCH_POLL_INTERVAL).await;
        container = ports.runtime.inspect(&container.id).await?.ok_or_else(|| {
            let message =
                format!("component `{component}`, which runs before the version, was removed by somebody else");
            Error::new(ErrorKind::ContainerExited, message)
        })?;
    }
}

/// Launches the instance and probes its entry until it answers. Meanwhile its containers are inspected again and again,
/// because one that has ended will never be ready.
pub(crate) async fn until_ready(
    ports: &Ports,
    state: &ServiceState,
    instance: &InstanceId,
    ready_by: Timestamp,
) -> Result<()> {
    let version = state.instances[instance].version;
    let spec = ports.specification(state, version)?;
    let plan = plan(ports, state, version, instance, Arc::clone(&spec), spec.of_instance(), ready_by);
    let mut launched = launch(&*ports.runtime, &plan).await?;
    let settings = spec.service()?;
    let readiness = &settings.ready;
    // If the file names a host, no locator has to be asked.
    let host = if readiness.host.is_some() { None } else { asked_as(ports, &state.service).await };
    let mut prober: Option<Prober> = None;
    loop {
        if let (None, Some(address)) = (&prober, launched.entry) {
            prober = Some(ports.prober(probe_of(readiness, address, host.as_deref())));
        }
        let answered = async {
            match &prober {
                Some(prober) => {
                    let mut verdicts = prober.subscribe();
                    let healthy = verdicts.wait_for(|verdict| verdict.as_ref().is_some_and(|v| v.is_healthy())).await;
                    healthy.is_ok()
                }
                None => std::future::pending().await,
            }
        };
        if timeout(LAUNCH_POLL_INTERVAL, answered).await == Ok(true) {
            return Ok(());
        }
        if ports.clock.now() >= ready_by + waited() {
            let last = prober.as_ref().and_then(Prober::verdict).and_then(|verdict| verdict.outcome.err());
            let entry = launched.containers.get(&settings.entry.component);
            let tail = match entry {
                Some(container) => ports.runtime.logs(&container.id, 20).await.unwrap_or_default(),
                None => Vec::new(),
            };
            return Err(never_ready(settings, last.map(|failure| failure.to_string())).with_log_tail(tail));
        }
        launched = launch(&*ports.runtime, &plan).await?;
    }
}

fn never_ready(settings: &ServiceSettings, last: Option<String>) -> Error {
    let (entry, ready) = (&settings.entry, &settings.ready);
    let probe = match &ready.http {
        Some(path) => format!("port {} `{path}`", entry.port),
        None => format!("port {}", entry.port),
    };
    let last = last.unwrap_or_else(|| "it has no address".to_owned());
    let within = ready.within.as_secs_f64();
    let message = format!("component `{}` was not ready within {within} s: probing {probe}: {last}", entry.component);
    Error::new(ErrorKind::NeverReady, message)
        .with_hint("see its log; raise `x-haddock.ready.within` if it is just slow")
}
