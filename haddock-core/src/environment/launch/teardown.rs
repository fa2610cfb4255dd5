//! Taking an environment down again, by labels alone.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{join, join_all};

use crate::container::{Container, Selector, label};
use crate::error::Result;
use crate::name::{InstanceId, JournalId};
use crate::progress::{Happening, tell_of};
use crate::runtime::ContainerRuntime;

/// How long a stop waits before it kills, unless the component says otherwise (Compose Specification,
/// `stop_grace_period`).
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Stops and removes all containers of the environment, and its networks. Answers whether there was anything. What is
/// gone already is no error. What does not carry the labels of this journal and this environment is never touched.
///
/// Components stop after those that need them, each with its own grace, or [`DEFAULT_GRACE`], as their labels say.
///
/// # Errors
/// The first error of the runtime. All that can be removed is removed nevertheless.
pub async fn teardown(runtime: &dyn ContainerRuntime, journal: &JournalId, instance: &InstanceId) -> Result<bool> {
    let ours = Selector::environment(journal, instance);
    let containers = runtime.list(&ours).await?;
    let containers: Vec<Container> = containers.into_iter().filter(|it| ours.matches(&it.labels)).collect();
    remove(runtime, &containers).await?;
    let mut networks = match runtime.capabilities().networks {
        true => runtime.networks(&ours).await?,
        false => Vec::new(),
    };
    networks.retain(|it| ours.matches(&it.labels));
    let removals = networks.iter().map(|it| runtime.remove_network(&it.id));
    join_all(removals).await.into_iter().collect::<Result<()>>()?;
    Ok(!containers.is_empty() || !networks.is_empty())
}

/// Stops and removes these containers, those first that need others.
///
/// # Errors
/// The first error of the runtime. All that can be removed is removed nevertheless.
pub(crate) async fn remove(runtime: &dyn ContainerRuntime, containers: &[Container]) -> Result<()> {
    // Containers that have stopped, or never ran, are removed while the next ones stop.
    let mut stopped: Vec<&Container> = containers.iter().filter(|it| !it.is_active()).collect();
    let mut removed = Ok(());
    for wave in waves(containers.iter()) {
        let (stops, removals) = join(stop_all(runtime, &wave), remove_all(runtime, &stopped)).await;
        if let Err(error) = stops {
            // A removal kills what a stop could not.
            tracing::warn!(%error, "a container did not stop");
        }
        removed = removed.and(removals);
        stopped = wave;
    }
    removed.and(remove_all(runtime, &stopped).await)
}

/// Stops those of these containers that run, those first that need others.
///
/// # Errors
/// The runtime's.
pub(crate) async fn stop(runtime: &dyn ContainerRuntime, containers: &[&Container]) -> Result<()> {
    for wave in waves(containers.iter().copied()) {
        stop_all(runtime, &wave).await?;
    }
    Ok(())
}

/// Those that have to be stopped, in that order.
fn waves<'c>(containers: impl Iterator<Item = &'c Container>) -> impl Iterator<Item = Vec<&'c Container>> {
    let mut waves: BTreeMap<u64, Vec<&Container>> = BTreeMap::new();
    for container in containers.filter(|it| it.is_active()) {
        waves.entry(number(container, label::RANK).unwrap_or(0)).or_default().push(container);
    }
    waves.into_values().rev()
}

async fn stop_all(runtime: &dyn ContainerRuntime, containers: &[&Container]) -> Result<()> {
    let stops = containers.iter().map(|it| {
        let grace = number(it, label::GRACE).map_or(DEFAULT_GRACE, Duration::from_millis);
        tell_of(it, Happening::Stopping);
        runtime.stop(&it.id, grace)
    });
    join_all(stops).await.into_iter().collect()
}

async fn remove_all(runtime: &dyn ContainerRuntime, containers: &[&Container]) -> Result<()> {
    let removals = containers.iter().map(|it| async {
        runtime.remove(&it.id).await?;
        tell_of(it, Happening::Removed);
        Ok(())
    });
    join_all(removals).await.into_iter().collect()
}

fn number(container: &Container, label: &str) -> Option<u64> {
    container.labels.get(label)?.parse().ok()
}
