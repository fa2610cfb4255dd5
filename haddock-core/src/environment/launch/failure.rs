//! Errors that say what a component said: the end of its log, and its health check's output.

use crate::container::{Container, ContainerId, ContainerState, Health, Selector};
use crate::error::{Error, ErrorKind};
use crate::name::ComponentName;
use crate::runtime::ContainerRuntime;

use super::LaunchPlan;

/// Lines of log that an error carries.
const LOG_TAIL: usize = 20;

/// The error for a component whose health check fails.
pub(crate) async fn unhealthy(runtime: &dyn ContainerRuntime, name: &ComponentName, id: &ContainerId) -> Error {
    let said = health_output(runtime, id).await;
    let error = Error::new(ErrorKind::NeverReady, format!("component `{name}` is unhealthy{said}"));
    let error = error.with_hint("is the health check's own command in the image?");
    with_logs(runtime, id, error).await
}

/// The error for a component that ended although it should run: its exit code, what its health check said, and the
/// end of its log.
pub async fn exited(runtime: &dyn ContainerRuntime, name: &ComponentName, container: &Container) -> Error {
    let why = match container.state {
        ContainerState::Exited { out_of_memory: true, code } => {
            format!("exited with code {code}: the kernel killed it for want of memory")
        }
        ContainerState::Exited { code, .. } => format!("exited with code {code}"),
        _ => "is not running".to_owned(),
    };
    let said = match container.health {
        Health::Unhealthy => health_output(runtime, &container.id).await,
        _ => String::new(),
    };
    let error = Error::new(ErrorKind::ContainerExited, format!("component `{name}` {why}{said}"));
    with_logs(runtime, &container.id, error).await
}

async fn health_output(runtime: &dyn ContainerRuntime, id: &ContainerId) -> String {
    match runtime.health_output(id).await {
        Ok(Some(output)) => format!("; its health check said `{output}`"),
        _ => String::new(),
    }
}

/// Adds the end of the log. A log that cannot be read does not hide the error.
pub(crate) async fn with_logs(runtime: &dyn ContainerRuntime, id: &ContainerId, error: Error) -> Error {
    match runtime.logs(id, LOG_TAIL).await {
        Ok(lines) => error.with_log_tail(lines),
        Err(_) => error,
    }
}

/// Adds the ends of the logs of all containers that were started, each line with its component.
pub(super) async fn with_logs_of_all(runtime: &dyn ContainerRuntime, plan: &LaunchPlan, error: Error) -> Error {
    let containers = runtime.list(&Selector::environment(&plan.journal, &plan.instance)).await.unwrap_or_default();
    let mut lines = Vec::new();
    for container in containers.iter().filter(|container| container.started != 0) {
        let name = container.component().map_or_else(|| container.name.clone(), |name| name.to_string());
        let tail = runtime.logs(&container.id, LOG_TAIL).await.unwrap_or_default();
        lines.extend(tail.into_iter().map(|line| format!("{name}: {line}")));
    }
    error.with_log_tail(lines)
}
