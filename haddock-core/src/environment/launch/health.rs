//! Running a component's health check ourselves, while the engine has no verdict yet.
//!
//! An engine runs a check for the first time when its interval has passed, which is 30 s if nobody says otherwise, and
//! a component is healthy when it passes once. Asked by us as soon as it runs, it passes when it is ready.

use std::time::Duration;

use crate::container::ContainerId;
use crate::environment::Component;
use crate::runtime::ContainerRuntime;

/// The Compose Specification's limit of one check.
const LIMIT: Duration = Duration::from_secs(30);

/// Whether the check that the file gives the component passes now. `false` where it gives none, or the runtime runs no
/// commands: then the engine's verdict is waited for.
pub(crate) async fn passes(runtime: &dyn ContainerRuntime, component: &Component, container: &ContainerId) -> bool {
    let Some(check) = component.health_check.as_ref().filter(|_| runtime.capabilities().exec) else { return false };
    let command = match check.test.split_first() {
        Some((kind, words)) if kind == "CMD" => words.to_vec(),
        Some((kind, [line])) if kind == "CMD-SHELL" => ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
        _ => return false,
    };
    let ran = runtime.exec(container, &command, check.timeout.unwrap_or(LIMIT)).await;
    ran.is_ok_and(|ran| ran.code == 0)
}
