//! Health checks of processes, as an engine does them for containers.
//!
//! A check runs as long as its process runs and this runtime looks at it. Another runtime on the same folder runs its
//! own checks. Until the first verdict, a check runs at least once a second, so that a long interval does not delay a
//! start.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::folder::Record;
use super::variables::environment;
use crate::container::{ContainerId, ContainerState, Health, HealthCheck};
use crate::time::{Clock, SystemClock, Timestamp, sleep};

/// The engine's defaults (Compose Specification, `healthcheck`).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_RETRIES: u32 = 3;
/// The time between two checks while there is no verdict.
const FIRST_VERDICT_INTERVAL: Duration = Duration::from_secs(1);
/// How much of a check's output is kept, as the engine does.
const MAX_OUTPUT_BYTES: usize = 4096;

/// The verdicts, by container.
#[derive(Default, Clone)]
pub(super) struct Checks {
    verdicts: Arc<Mutex<HashMap<ContainerId, Verdict>>>,
}

#[derive(Clone)]
struct Verdict {
    health: Health,
    output: Option<String>,
}

impl Checks {
    /// The container's health. Starts the check of a running container if it has not been started.
    pub(super) fn health(&self, record: &Record, running: bool) -> Health {
        let Some(check) = record.health_check.as_ref().filter(|check| command(check).is_some()) else {
            return Health::None;
        };
        let mut verdicts = self.lock();
        if let Some(verdict) = verdicts.get(&record.id()) {
            return verdict.health;
        }
        if running && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            verdicts.insert(record.id(), Verdict { health: Health::Starting, output: None });
            runtime.spawn(watch(self.clone(), record.clone(), check.clone()));
        }
        Health::Starting
    }

    pub(super) fn output(&self, container: &ContainerId) -> Option<String> {
        self.lock().get(container).and_then(|verdict| verdict.output.clone())
    }

    pub(super) fn forget(&self, container: &ContainerId) {
        self.lock().remove(container);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ContainerId, Verdict>> {
        self.verdicts.lock().expect("nobody panics while holding the verdicts")
    }

    /// Sets the verdict, unless the container has been forgotten.
    fn set(&self, container: &ContainerId, health: Health, output: String) -> bool {
        let mut verdicts = self.lock();
        let Some(verdict) = verdicts.get_mut(container) else { return false };
        *verdict = Verdict { health, output: (!output.is_empty()).then_some(output) };
        true
    }
}

async fn watch(checks: Checks, record: Record, check: HealthCheck) {
    let clock = SystemClock::new();
    let begun = clock.now();
    let interval = check.interval.unwrap_or(DEFAULT_INTERVAL);
    let mut health = Health::Starting;
    let mut failures = 0;
    let mut counted = Timestamp::default();
    while record.life().state == ContainerState::Running {
        let (passed, output) = run(&record, &check).await;
        let now = clock.now();
        if passed {
            (health, failures) = (Health::Healthy, 0);
        } else if now.since(begun) >= check.start_period.unwrap_or_default() || health != Health::Starting {
            // The additional early checks do not count as retries.
            if now.since(counted) >= interval {
                (failures, counted) = (failures + 1, now);
            }
            if failures >= check.retries.unwrap_or(DEFAULT_RETRIES).max(1) {
                health = Health::Unhealthy;
            }
        }
        if !checks.set(&record.id(), health, output) {
            return;
        }
        sleep(if health == Health::Starting { interval.min(FIRST_VERDICT_INTERVAL) } else { interval }).await;
    }
}

/// The words to run, `None` if the check is switched off.
fn command(check: &HealthCheck) -> Option<Vec<String>> {
    match check.test.split_first()? {
        (kind, words) if kind == "CMD" && !words.is_empty() => Some(words.to_vec()),
        (kind, [line]) if kind == "CMD-SHELL" => Some(vec!["/bin/sh".into(), "-c".into(), line.clone()]),
        _ => None,
    }
}

/// Runs the check once: whether it passed, and what it printed.
async fn run(record: &Record, check: &HealthCheck) -> (bool, String) {
    let (Some(words), Ok(launch)) = (command(check), record.launch()) else { return (false, String::new()) };
    let limit = check.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().envs(environment(record, &[], &launch)).current_dir(&record.path);
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(limit, command.output()).await {
        Err(_) => (false, format!("no answer within {} ms", limit.as_millis())),
        Ok(Err(error)) => (false, format!("cannot run `{}`: {error}", words[0])),
        Ok(Ok(output)) => {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).trim().chars().take(MAX_OUTPUT_BYTES).collect();
            (output.status.success(), text)
        }
    }
}
