//! Looking at containers.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState as BollardState, ContainerStateStatusEnum as Status, HealthStatusEnum,
    NetworkSettings,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::error::{is_missing, translate};
use super::{DockerRuntime, Reach, label_filter};
use crate::container::{Container, ContainerId, ContainerState, Health, Selector};
use crate::error::{ErrorKind, Result};
use crate::time::sleep;

/// Networks that every engine has: they are joined by name, and have another id after each start of the engine.
const PREDEFINED: [&str; 3] = ["bridge", "host", "none"];
/// How often a list that cannot be understood is asked for, and the pause between two attempts.
const MAX_LIST_ATTEMPTS: usize = 40;
const LIST_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Inspections at once: they cost the engine a few milliseconds each.
const MAX_PARALLEL_INSPECTIONS: usize = 8;

impl DockerRuntime {
    pub(super) async fn inspect_container(&self, id_or_name: &str) -> Result<Option<Container>> {
        let Some(found) = self.inspect_raw(id_or_name).await? else { return Ok(None) };
        Ok(Some(container(found, self.reach().await?)))
    }

    pub(super) async fn inspect_raw(&self, id_or_name: &str) -> Result<Option<ContainerInspectResponse>> {
        let what = format!("inspect container `{id_or_name}`");
        let call = self.client.docker.inspect_container(id_or_name, None::<InspectContainerOptions>);
        match self.client.ask(&what, call).await? {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(translate(&what, &error)),
        }
    }

    pub(super) async fn last_health_output(&self, id: &str) -> Result<Option<String>> {
        let Some(found) = self.inspect_raw(id).await? else { return Ok(None) };
        let log = found.state.and_then(|state| state.health).and_then(|health| health.log).unwrap_or_default();
        let output = log.into_iter().rev().filter_map(|result| result.output).map(|output| output.trim().to_owned());
        Ok(output.into_iter().find(|output| !output.is_empty()))
    }

    pub(super) async fn list_containers(&self, selector: &Selector) -> Result<Vec<Container>> {
        let filters = HashMap::from([("label", label_filter(&selector.0))]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let mut looks = 0;
        let listed = loop {
            let answered = self.client.docker.list_containers(Some(options.clone()));
            match self.client.read("list containers", answered).await {
                // For a moment, podman has states that are not Docker's.
                Err(error)
                    if self.engine.podman && error.kind() == ErrorKind::RuntimeRefused && looks < MAX_LIST_ATTEMPTS =>
                {
                    looks += 1;
                    sleep(LIST_RETRY_PAUSE).await;
                }
                listed => break listed?,
            }
        };
        // The list says neither when a container was started nor its exit code.
        let ids = listed.into_iter().filter_map(|summary| summary.id);
        let mut found: Vec<Container> = stream::iter(ids)
            .map(|id| async move { self.inspect_container(&id).await })
            .buffered(MAX_PARALLEL_INSPECTIONS)
            .try_filter_map(|found| async { Ok(found) })
            .try_collect()
            .await?;
        // The engine's filter is not relied on: what does not match is not ours to touch.
        found.retain(|container| selector.matches(&container.labels));
        Ok(found)
    }
}

fn container(found: ContainerInspectResponse, reach: Reach) -> Container {
    let config = found.config.unwrap_or_default();
    let inside = found.state.unwrap_or_default();
    let state = state(&inside);
    let exposed: Vec<u16> = config.exposed_ports.iter().flatten().filter_map(|port| tcp_port(port)).collect();
    let joined = found.network_settings.iter().filter_map(|settings| settings.networks.as_ref());
    let mut networks: Vec<String> = joined.flat_map(|networks| networks.keys().cloned()).collect();
    networks.sort();
    let network_ids = found.network_settings.iter().filter_map(|settings| settings.networks.as_ref()).flatten();
    let network_ids = network_ids.filter(|(name, _)| !PREDEFINED.contains(&name.as_str())).filter_map(|(name, at)| {
        let id = at.network_id.as_deref().filter(|id| !id.is_empty())?;
        Some((name.clone(), id.to_owned()))
    });
    let network_ids = network_ids.collect();
    let first = found.host_config.and_then(|host| host.network_mode).unwrap_or_default();
    let (addresses, published) = match (&state, found.network_settings) {
        (ContainerState::Running | ContainerState::Paused, Some(settings)) => {
            let published = published(&settings, reach);
            (addresses(&exposed, settings, &first, reach), published)
        }
        _ => Default::default(),
    };
    Container {
        id: ContainerId(found.id.unwrap_or_default()),
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        started: inside.started_at.as_deref().map_or(0, nanoseconds),
        health: health(&inside),
        state,
        addresses,
        published,
        image: found.image.unwrap_or_default(),
        networks,
        network_ids,
    }
}

fn state(inside: &BollardState) -> ContainerState {
    match inside.status {
        Some(Status::CREATED) | None => ContainerState::Created,
        Some(Status::RUNNING | Status::STOPPING) => ContainerState::Running,
        Some(Status::PAUSED) => ContainerState::Paused,
        Some(Status::RESTARTING) => ContainerState::Restarting { code: inside.exit_code.unwrap_or_default() },
        Some(Status::REMOVING) => ContainerState::Removing,
        Some(Status::DEAD) => ContainerState::Dead,
        Some(Status::EXITED | Status::EMPTY) => ContainerState::Exited {
            code: inside.exit_code.unwrap_or_default(),
            out_of_memory: inside.oom_killed.unwrap_or(false),
        },
    }
}

fn health(inside: &BollardState) -> Health {
    match inside.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => Health::None,
    }
}

fn addresses(exposed: &[u16], settings: NetworkSettings, first: &str, reach: Reach) -> BTreeMap<u16, SocketAddr> {
    let here = |address: IpAddr| exposed.iter().map(|port| (*port, SocketAddr::new(address, *port))).collect();
    match reach {
        // The host's own network has no address of its own.
        Reach::Direct if first == "host" => here(IpAddr::from([127, 0, 0, 1])),
        Reach::Published(address) if first == "host" => here(address),
        Reach::Direct => {
            let networks = settings.networks.unwrap_or_default();
            // The first that it was told to join.
            let address = networks.get(first).or_else(|| networks.values().next());
            let address = address.and_then(|network| network.ip_address.as_deref()?.parse::<IpAddr>().ok());
            address.map_or_else(BTreeMap::new, here)
        }
        Reach::Published(_) => published(&settings, reach),
    }
}

/// Where published ports are reached from this machine. One that is bound to all addresses of the host is reached at
/// the loopback, or where the engine is.
fn published(settings: &NetworkSettings, reach: Reach) -> BTreeMap<u16, SocketAddr> {
    let here = match reach {
        Reach::Direct => IpAddr::from([127, 0, 0, 1]),
        Reach::Published(address) => address,
    };
    let bindings = settings.ports.iter().flatten();
    let published = bindings.filter_map(|(port, bindings)| {
        let address = bindings.iter().flatten().find_map(|binding| {
            let bound = binding.host_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
            let address = bound.filter(|ip| !ip.is_unspecified()).unwrap_or(here);
            Some(SocketAddr::new(address, binding.host_port.as_deref()?.parse().ok()?))
        })?;
        Some((tcp_port(port)?, address))
    });
    published.collect()
}

/// `8080` of `8080/tcp`.
fn tcp_port(port: &str) -> Option<u16> {
    port.strip_suffix("/tcp")?.parse().ok()
}

/// Nanoseconds since the Unix epoch; zero for the engine's `0001-01-01T00:00:00Z`, which means never.
fn nanoseconds(time: &str) -> u64 {
    time.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_nanoseconds_and_never_is_zero() {
        assert_eq!(nanoseconds("2024-05-01T10:00:00.123456789Z"), 1_714_557_600_123_456_789);
        assert_eq!(nanoseconds("0001-01-01T00:00:00Z"), 0);
    }
}
