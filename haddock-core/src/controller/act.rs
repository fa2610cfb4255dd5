//! How each action is carried out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ports::{LOCATOR_LIMIT, Ports, limited};
use super::{ask, launch, tell};
use crate::container::{PullWhen, Selector};
use crate::environment::EnvironmentSpec;
use crate::environment::launch::{remove_anonymous, teardown};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, InstanceId, VersionId};
use crate::release::{Action, ServiceState, TaskResult};

/// How much of each log is kept of a failed instance, and how long reading it may take.
const LAST_LINES: usize = 20;
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(10);

/// How long stopping and removing an instance may take beyond its longest grace.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Carries an action out.
pub(super) async fn perform(ports: &Ports, state: &ServiceState, action: &Action) -> Result<TaskResult> {
    match action {
        Action::Pull { version } => return pull(ports, state, *version).await.map(TaskResult::Pulled),
        Action::Before { version, instance, end_by } => {
            return launch::before(ports, state, *version, instance, *end_by).await.map(TaskResult::Said);
        }
        Action::Hook { instance, hook, number } => {
            return tell::hook(ports, state, instance, *hook, *number).await.map(TaskResult::Said);
        }
        Action::Gate { version, stage, .. } => return ask::gate(ports, state, *version, *stage).await,
        Action::Notify { notification } => tell::notify(ports, state, notification).await?,
        Action::Launch { instance, ready_by } => launch::until_ready(ports, state, instance, *ready_by).await?,
        Action::Apply { locator, table } => limited(LOCATOR_LIMIT, ports.locators[locator].apply(table)).await?,
        Action::Close { locator, instance, number } => {
            // Busy is an answer too: the next observation shows why.
            limited(LOCATOR_LIMIT, ports.locators[locator].close(&state.service, instance, *number)).await?;
        }
        Action::Evict { locator, instance, number } => {
            limited(LOCATOR_LIMIT, ports.locators[locator].evict(&state.service, instance, *number)).await?;
        }
        Action::Stop { instance } | Action::RemoveStray { instance } => {
            let version = state.instances.get(instance).map(|instance| instance.version);
            // The graces are on the containers' labels. The specification is only needed for the time limit. If it is
            // missing, the limit leaves no extra time for graces.
            let spec = version.and_then(|version| ports.specification(state, version).ok());
            let graces = spec.iter().flat_map(|spec| spec.components.values()).filter_map(|c| c.stop_grace_period);
            let limit = STOP_LIMIT + graces.max().unwrap_or_default();
            let failed = state.instances.get(instance).is_some_and(|instance| instance.failure().is_some());
            let said = match spec.as_deref().filter(|_| failed) {
                Some(spec) => limited(LAST_WORDS_LIMIT, last_words(ports, instance, spec)).await.unwrap_or_default(),
                None => Vec::new(),
            };
            let stopped = async {
                teardown(&*ports.runtime, ports.journal.id(), instance).await?;
                // No other instance takes over the unnamed volumes of this one.
                remove_anonymous(&*ports.runtime, ports.journal.id(), instance, None).await
            };
            limited(limit, stopped).await?;
            return Ok(TaskResult::Said(said));
        }
    }
    Ok(TaskResult::Done)
}

/// How each component of a failed instance is, and the end of its log: after the instance is removed nobody can look.
async fn last_words(ports: &Ports, instance: &InstanceId, spec: &EnvironmentSpec) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for container in ports.runtime.list(&Selector::environment(ports.journal.id(), instance)).await? {
        let Some(component) = container.component() else { continue };
        said.push(format!("component `{component}`: {}", container.state));
        let log = ports.runtime.logs(&container.id, LAST_LINES).await.unwrap_or_default();
        said.extend(log.into_iter().map(|line| format!("  {line}")));
    }
    let masked = spec.masked(Error::new(ErrorKind::Harmful, "").with_log_tail(said));
    Ok(masked.log_tail().to_vec())
}

async fn pull(ports: &Ports, state: &ServiceState, version: VersionId) -> Result<BTreeMap<ComponentName, String>> {
    let spec = ports.specification(state, version)?;
    let mut pins = BTreeMap::new();
    for (name, component) in spec.components.iter().filter(|(_, component)| component.versioned) {
        let image = ports.runtime.pull_with(&component.image, &component.pull_options(PullWhen::Refresh)).await;
        pins.insert(name.clone(), image.map_err(|error| component.not_pulled(error))?);
    }
    Ok(pins)
}
