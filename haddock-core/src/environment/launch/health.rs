//! Running a component's health check ourselves, while the engine has no verdict yet.
//!
//! An engine runs a check for the first time after its interval, which is 30 s by default. A component is healthy when
//! a check passes once. So we run the check as soon as the component runs, and it passes when the component is ready.
//!
//! A command within a container costs the engine about fifty times as much as a connection. So it is run once the
//! exposed ports of the component take connections, and only a few run at a time. While a check waits for its turn, the
//! engine may reach a verdict. On a busy engine, its own checks run into their time limit, and it reports healthy
//! components as unhealthy. So before a bad verdict counts, the check is run once more.

use std::time::Duration;

use tokio::sync::Semaphore;

use crate::container::{Container, ContainerId, ExecSpec, Health};
use crate::environment::Component;
use crate::runtime::ContainerRuntime;
use crate::runtime::probe::Probe;
use crate::runtime::turn::turn;
use crate::time::sleep;

/// How long one check may take (Compose Specification).
const CHECK_LIMIT: Duration = Duration::from_secs(30);
/// How much longer a check may take because the engine is busy. That is no failure of the component.
const ENGINE_DELAY_LIMIT: Duration = Duration::from_secs(10);
/// How long a port may take to answer.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
/// How often the engine is asked for its verdict.
const HEALTH_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How many checks this process runs at a time. More would only wait for each other.
static TURNS: Semaphore = Semaphore::const_new(4);

/// Whether the component's check from the file passes now, run by us or meanwhile by the engine. `false` without such a
/// check, or if it cannot be run. Then the engine's verdict is waited for.
pub(crate) async fn passes(runtime: &dyn ContainerRuntime, component: &Component, container: &Container) -> bool {
    let Some(check) = component.health_check.as_ref().filter(|_| runtime.capabilities().exec) else { return false };
    let command = match check.test.split_first() {
        Some((kind, words)) if kind == "CMD" => words.to_vec(),
        Some((kind, [line])) if kind == "CMD-SHELL" => ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
        _ => return false,
    };
    for address in component.expose.iter().filter_map(|port| container.addresses.get(port)) {
        if Probe::tcp(*address).once(CONNECT_LIMIT).await.is_err() {
            return false;
        }
    }
    let ours = async {
        let _turn = turn(TURNS.acquire()).await;
        let exec = ExecSpec::new(&command, check.timeout.unwrap_or(CHECK_LIMIT) + ENGINE_DELAY_LIMIT).for_people();
        runtime.exec(&container.id, &exec).await.is_ok_and(|ran| ran.exit_code == 0)
    };
    tokio::select! {
        passes = ours => passes,
        () = found_healthy(runtime, &container.id) => true,
    }
}

/// Waits until the engine itself has found the container healthy.
async fn found_healthy(runtime: &dyn ContainerRuntime, id: &ContainerId) {
    loop {
        sleep(HEALTH_POLL_INTERVAL).await;
        if let Ok(Some(Container { health: Health::Healthy, .. })) = runtime.inspect(id).await {
            return;
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::container::{ContainerState, HealthCheck};
    use crate::image::ImageReference;
    use crate::runtime::RuntimeCapabilities;
    use crate::testing::{MockContainerRuntime, VirtualTime};
    use crate::time::Timestamp;

    #[test]
    fn what_the_engine_finds_out_while_a_check_waits_for_its_turn_counts() {
        let container = |health| Container {
            id: ContainerId("db".to_owned()),
            name: "db".to_owned(),
            labels: BTreeMap::new(),
            state: ContainerState::Running,
            started: 1,
            health,
            addresses: BTreeMap::new(),
            published: BTreeMap::new(),
            image: String::new(),
            networks: Vec::new(),
            network_ids: BTreeMap::new(),
        };
        let mut runtime = MockContainerRuntime::new();
        runtime.expect_capabilities().return_const(RuntimeCapabilities { exec: true, ..Default::default() });
        runtime.expect_exec().never();
        let answers = [Health::Starting, Health::Unhealthy, Health::Healthy];
        let mut answers = answers.into_iter().map(container);
        runtime.expect_inspect().times(3).returning(move |_| Ok(answers.next()));
        let mut component = Component::new(ImageReference::parse("db").expect("valid"));
        let test = ["CMD", "ready"].map(str::to_owned).to_vec();
        component.health_check = Some(HealthCheck { test, ..HealthCheck::default() });
        let time = VirtualTime::new(Timestamp::from_millis(0)).expect("a runtime");
        let passes = time.block_on(async {
            let _all = TURNS.acquire_many(4).await;
            passes(&runtime, &component, &container(Health::Starting)).await
        });
        assert!(passes);
        assert_eq!(time.clock().now(), Timestamp::from_millis(1_500));
    }
}
