//! Waiting until all of an environment is ready.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::container::{Container, ContainerState, Health, Incarnation};
use crate::environment::launch::{LaunchPlan, Launched, Wait, exited, passes, unhealthy, with_logs};
use crate::environment::plan::is_done;
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;
use crate::progress::{Happening, tell};
use crate::runtime::ContainerRuntime;
use crate::runtime::probe::{PROBE_LIMIT, Probe, ProbeFailure, Probing};
use crate::runtime::turn::{Elapsed, within};
use crate::time::sleep;

/// The time between two looks: short at first, because a program listens a few milliseconds after its start.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(5);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long a container that its engine has restarted has to run before it is ready, if it has no health check.
const RESTARTED_STEADY_AFTER: Duration = Duration::from_secs(2);

/// If a port of a file without `x-haddock` does not answer for this long, its component counts as ready all the same.
const SILENT_PORT_LIMIT: Duration = Duration::from_secs(30);

/// Waits until each member that runs is ready, for at most as long as the plan says. In a file without `x-haddock`, a
/// member also counts as ready after [`SILENT_PORT_LIMIT`] without an answer. An earlier call found the containers in
/// `known` ready. They are not waited for while they run.
pub(super) async fn wait(
    runtime: &dyn ContainerRuntime,
    probing: &dyn Probing,
    plan: &LaunchPlan,
    launched: &Launched,
    known: &BTreeSet<Incarnation>,
) -> Result<()> {
    let is_known = |container: &Container| {
        container.is_running() && container.health != Health::Unhealthy && known.contains(&container.incarnation())
    };
    let waiting = |(name, container): &(&ComponentName, &Container)| {
        container.is_active() && !launched.healthy.contains(*name) && !is_known(container)
    };
    let waits = launched.containers.iter().filter(waiting).map(|(name, container)| {
        let one = One { runtime, probing, plan, name };
        async move { one.wait(container.clone()).await }
    });
    try_join_all(waits).await.map(|_: Vec<()>| ()).map_err(|error| plan.spec.masked(error))
}

struct One<'a> {
    runtime: &'a dyn ContainerRuntime,
    probing: &'a dyn Probing,
    plan: &'a LaunchPlan,
    name: &'a ComponentName,
}

impl One<'_> {
    async fn wait(&self, container: Container) -> Result<()> {
        let mut last = None;
        let ready = self.until_ready(container.clone(), &mut last);
        match within(self.plan.within, ready).await {
            Ok(ready) => {
                if ready.is_ok() {
                    tell(Some(self.name), Happening::Ready);
                }
                ready
            }
            Err(Elapsed) => {
                let (name, within) = (self.name, self.plan.within.as_secs_f64());
                let why = last.unwrap_or_else(|| "its health check has no verdict".to_owned());
                let error = Error::new(
                    ErrorKind::NeverReady,
                    format!("component `{name}` was not ready within {within} s: {why}"),
                );
                let error = error.with_hint("see its log; raise `x-haddock.ready.within` if it is just slow");
                Err(with_logs(self.runtime, &container.id, error).await)
            }
        }
    }

    async fn until_ready(&self, mut container: Container, last: &mut Option<String>) -> Result<()> {
        let mut pause = FIRST_POLL_INTERVAL;
        // How long it has run in this life. `None`: its engine has not started it again.
        let mut steady: Option<Duration> = None;
        // How long it has run without an answer.
        let mut silent = Duration::ZERO;
        let waits_for = match container.health {
            Health::None => "its ports to answer",
            _ => "its health check to pass",
        };
        let mut waiting = Wait::new(self.name, waits_for);
        loop {
            match (&container.state, container.health) {
                (ContainerState::Running, Health::Healthy) => return Ok(()),
                (ContainerState::Running, health @ (Health::Starting | Health::Unhealthy)) => {
                    if passes(self.runtime, &self.plan.spec.components[self.name], &container).await {
                        return Ok(());
                    }
                    if health == Health::Unhealthy {
                        return Err(unhealthy(self.runtime, self.name, &container.id).await);
                    }
                }
                (ContainerState::Running, Health::None) => match self.probe(&container).await {
                    Ok(()) if steady.is_none_or(|ran| ran >= RESTARTED_STEADY_AFTER) => return Ok(()),
                    Ok(()) => {}
                    Err((port, failure)) => {
                        let why = format!("probing port {port}: {failure}");
                        if self.plan.spec.plain && silent >= SILENT_PORT_LIMIT {
                            tell(Some(self.name), Happening::Silent { why });
                            return Ok(());
                        }
                        *last = Some(why);
                    }
                },
                // Its engine restarts it, as its restart policy says. Perhaps this is how it waits for another
                // component.
                (ContainerState::Restarting { code }, _) => {
                    *last = Some(format!("it ends again and again, last with exit code {code}"));
                    steady = Some(Duration::ZERO);
                }
                (ContainerState::Paused, _) => *last = Some("it is paused".to_owned()),
                _ if self.is_done(&container) => return Ok(()),
                _ => return Err(exited(self.runtime, self.name, &container).await),
            }
            waiting.goes_on(self.runtime, &container.id, last.as_ref(), pause).await;
            sleep(pause).await;
            if let Some(now) = self.runtime.inspect(&container.id).await? {
                let same = now.is_running() && now.incarnation() == container.incarnation();
                steady = match steady {
                    Some(ran) if same => Some(ran + pause),
                    None if now.incarnation() == container.incarnation() => None,
                    _ => Some(Duration::ZERO),
                };
                silent = if same { silent + pause } else { Duration::ZERO };
                container = now;
                pause = (pause * 3 / 2).min(MAX_POLL_INTERVAL);
            } else {
                let message = format!("the container of component `{}` was removed meanwhile", self.name);
                return Err(Error::new(ErrorKind::ContainerExited, message));
            }
        }
    }

    /// Whether it has ended because its work is done.
    fn is_done(&self, container: &Container) -> bool {
        is_done(&self.plan.spec, &self.plan.members, &BTreeSet::new(), self.name, container)
    }

    /// Probes each port that the file names.
    async fn probe(&self, container: &Container) -> Result<(), (u16, ProbeFailure)> {
        let settings = self.plan.spec.settings.as_ref();
        for port in &self.plan.spec.components[self.name].expose {
            let Some(address) = container.addresses.get(port) else { continue };
            let entry = settings.filter(|it| it.entry.component == *self.name && it.entry.port == *port);
            let ready = entry.map(|settings| settings.ready.clone()).unwrap_or_default();
            let probe = Probe { address: *address, http: ready.http, host: ready.host };
            self.probing.probe(&probe, PROBE_LIMIT).await.map_err(|failure| (*port, failure))?;
        }
        Ok(())
    }
}
