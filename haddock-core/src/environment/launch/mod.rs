//! Launching an environment, and taking it down again. It is an instance of a service, or an environment by name.
//!
//! ```text
//!   network ─▶ create all, at once ─▶ start along depends_on and links
//! ```
//!
//! Both can be repeated at any time, by the same controller or its successor. A launch takes over what is there, and
//! starts only what was never started. A teardown removes what is left.

mod failure;
mod health;
mod outside;
mod plan;
mod teardown;
mod volumes;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::watch;

pub use failure::exited;
pub(crate) use failure::{unhealthy, with_logs};
pub(crate) use health::passes;
pub(crate) use outside::{Place, container, locate, meeting_network};
pub use plan::LaunchPlan;
use plan::Order;
pub(crate) use plan::networks_of;
pub use teardown::{DEFAULT_GRACE, teardown};
pub(crate) use teardown::{remove, stop};
pub(crate) use volumes::remove_anonymous;
pub(crate) use waiting::Wait;

use super::DependencyCondition;
use crate::container::{Container, ContainerId, ContainerState, Health, Selector};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;
use crate::progress::{Happening, is_observed, tell};
use crate::runtime::ContainerRuntime;
use crate::runtime::turn::{Elapsed, within};
use crate::time::sleep;

/// The time between two looks at a dependency: short at first, because most are ready soon.
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(10);
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A launched instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// Its containers, as they were when all had been started.
    pub containers: BTreeMap<ComponentName, Container>,
    /// Where its entry listens, or will listen.
    pub entry: Option<SocketAddr>,
    /// Components that others waited for and whose health checks have passed, even if the engine does not know it yet.
    pub healthy: BTreeSet<ComponentName>,
}

/// Launches the instance, or takes over what is there. A [`Probe`](crate::runtime::probe::Probe) tells whether the
/// entry is ready.
///
/// If it fails or is dropped, [`teardown`] removes what it has made.
///
/// # Errors
/// [`ContainerExited`](ErrorKind::ContainerExited) if a component ended although it should run, with its exit code,
/// the end of its log, and what its health check said; [`NeverReady`](ErrorKind::NeverReady) if a dependency is
/// unhealthy or was not ready in time; [`NameTaken`](ErrorKind::NameTaken) if a container or network of its name is
/// another's, or of another specification; and the runtime's own.
pub async fn launch(runtime: &dyn ContainerRuntime, plan: &LaunchPlan) -> Result<Launched> {
    launch_unless(runtime, plan, std::future::pending()).await
}

/// As [`launch`], but gives up when `given_up` ends, and returns its error. Containers and networks that are just being
/// made are waited for, so that a teardown finds them.
pub(crate) async fn launch_unless(
    runtime: &dyn ContainerRuntime,
    plan: &LaunchPlan,
    given_up: impl Future<Output = Error> + Send,
) -> Result<Launched> {
    launch_unmasked(runtime, plan, given_up).await.map_err(|error| plan.spec.masked(error))
}

async fn launch_unmasked(
    runtime: &dyn ContainerRuntime,
    plan: &LaunchPlan,
    given_up: impl Future<Output = Error> + Send,
) -> Result<Launched> {
    let order = plan.order()?;
    let doing = watch::Sender::new(String::from("its network and containers are being made"));
    let launched = async {
        let ids = create(runtime, plan, &order).await?;
        let launch = Launch { runtime, plan, order: &order, ids, doing: &doing, healthy: Mutex::default() };
        let started = async {
            launch.start().await?;
            launch.look().await
        };
        tokio::select! {
            biased;
            error = given_up => Err(error),
            started = started => started,
        }
    };
    match within(plan.within, launched).await {
        Ok(launched) => launched,
        Err(Elapsed) => {
            let message = format!(
                "instance `{}` was not launched within {} s: the last thing known is that {}",
                plan.instance,
                plan.within.as_secs_f64(),
                doing.borrow().as_str()
            );
            let error = Error::new(ErrorKind::NeverReady, message)
                .with_hint("look at the log lines, or raise `x-haddock.ready.within`");
            Err(failure::with_logs_of_all(runtime, plan, error).await)
        }
    }
}

/// Whether this is a failure of the dependency, and not of the engine.
fn may_be_missed(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ContainerExited | ErrorKind::NeverReady)
}

fn other_specification(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::NameTaken, format!("{what} `{name}` exists and was made from another specification"))
        .with_hint("take the instance down first, or launch under another id")
}

/// Makes the network and the containers, or takes over those that are there.
async fn create(
    runtime: &dyn ContainerRuntime,
    plan: &LaunchPlan,
    order: &Order,
) -> Result<BTreeMap<ComponentName, ContainerId>> {
    let ours = Selector::environment(&plan.journal, &plan.instance);
    if runtime.capabilities().networks {
        let there = runtime.networks(&ours).await?;
        let missing = plan.networks().into_iter().map(|spec| {
            let there = &there;
            async move {
                match there.iter().find(|network| network.name == spec.name) {
                    Some(network) if plan.name.is_none() && !plan.made(&network.labels, None) => {
                        Err(other_specification("network", &network.name))
                    }
                    Some(_) => Ok(()),
                    None => runtime.create_network(&spec).await.map(|_| ()),
                }
            }
        });
        all(missing).await?;
    }
    let volumes = plan.volumes();
    all(volumes.iter().map(|volume| runtime.create_volume(volume))).await?;
    let there = runtime.list(&ours).await?;
    let created = order.keys().map(|name| async {
        let mut spec = plan.container(name, &plan.spec.components[name])?;
        // The component's label counts, too, because somebody may have renamed the container. A container that is being
        // removed does not count: `create` waits for it.
        let is_it = |it: &&Container| it.name == spec.name || it.is_of(name);
        let existing = there.iter().filter(is_it).find(|it| it.state != ContainerState::Removing);
        let existing = match existing {
            // Its engine could not remove it, so it is asked again.
            Some(dead) if dead.state == ContainerState::Dead => {
                runtime.remove(&dead.id).await?;
                None
            }
            existing => existing,
        };
        let id = match existing {
            Some(existing) if !plan.made(&existing.labels, Some(name)) => {
                return Err(other_specification("container", &spec.name));
            }
            Some(existing) => existing.id.clone(),
            None => {
                plan.reach(runtime, name, &mut spec).await?;
                plan.name_volumes(runtime, name, &mut spec).await?;
                tell(Some(name), Happening::Creating);
                runtime.create(&spec).await?
            }
        };
        Ok((name.clone(), id))
    });
    Ok(all(created).await?.into_iter().collect())
}

/// Waits for all of them, and only then answers with the first failure. An engine goes on even if nobody waits, so it
/// could make something after everything was removed.
async fn all<T>(calls: impl IntoIterator<Item = impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    join_all(calls).await.into_iter().collect()
}

/// A launch whose containers exist.
struct Launch<'a> {
    runtime: &'a dyn ContainerRuntime,
    plan: &'a LaunchPlan,
    order: &'a Order,
    ids: BTreeMap<ComponentName, ContainerId>,
    /// What it waits for, in words, for the error on a time-out.
    doing: &'a watch::Sender<String>,
    /// Components whose health checks have passed.
    healthy: Mutex<BTreeSet<ComponentName>>,
}

impl Launch<'_> {
    /// Starts everything, each as soon as what it needs is there.
    async fn start(&self) -> Result<()> {
        let started: watch::Sender<BTreeSet<ComponentName>> = watch::Sender::default();
        let starts = self.order.iter().map(|(name, needs)| {
            let started = &started;
            async move {
                for (need, dependency) in needs {
                    let mut progress = started.subscribe();
                    progress.wait_for(|started| started.contains(need)).await.expect("the sender lives as long");
                    match self.wait_for(name, need, dependency.condition).await {
                        Err(error) if !dependency.required && may_be_missed(&error) => {
                            tracing::warn!(component = %name, %error, "it starts without what it does not require");
                        }
                        waited => waited?,
                    }
                }
                self.begin(name).await?;
                started.send_modify(|started| {
                    started.insert(name.clone());
                });
                Ok(())
            }
        });
        try_join_all(starts).await.map(|_: Vec<()>| ())
    }

    /// Starts what was never started, and what the plan wants started again or unpaused. All else runs, or has done its
    /// work.
    async fn begin(&self, name: &ComponentName) -> Result<()> {
        let id = &self.ids[name];
        let revived = self.plan.again.contains_key(name) || self.plan.unpause.contains(name);
        if is_observed() && (revived || self.inspect(name).await?.state == ContainerState::Created) {
            tell(Some(name), Happening::Starting);
        }
        match self.plan.again.get(name).filter(|life| life.container == *id) {
            Some(life) => self.runtime.start_again(life).await,
            None if self.plan.unpause.contains(name) => self.runtime.unpause(id).await,
            None => self.runtime.start(id).await,
        }
    }

    /// Waits until a component that was started meets the condition.
    async fn wait_for(&self, name: &ComponentName, need: &ComponentName, condition: DependencyCondition) -> Result<()> {
        let wanted = match condition {
            DependencyCondition::Started => return Ok(()),
            DependencyCondition::Healthy => "healthy",
            DependencyCondition::CompletedSuccessfully => "done",
        };
        let doing = format!("component `{name}` waits for `{need}` to be {wanted}");
        self.doing.send_replace(doing.clone());
        let mut pause = FIRST_POLL_INTERVAL;
        let mut waiting = Wait::new(name, format!("`{need}` to be {wanted}"));
        loop {
            let container = self.inspect(need).await?;
            match (&container.state, condition) {
                (ContainerState::Exited { code: 0, .. }, DependencyCondition::CompletedSuccessfully) => return Ok(()),
                (ContainerState::Exited { .. }, _) => return Err(exited(self.runtime, need, &container).await),
                (ContainerState::Running, DependencyCondition::Healthy) => match container.health {
                    _ if self.healthy().contains(need) => return Ok(()),
                    Health::Healthy => {
                        self.is_healthy(need, &waiting);
                        return Ok(());
                    }
                    Health::None => {
                        let message =
                            format!("component `{name}` waits for `{need}` to be healthy, which has no health check");
                        return Err(Error::new(ErrorKind::ComposeFile, message)
                            .with_hint(format!("give `{need}` a `healthcheck`, or depend on `service_started`")));
                    }
                    _ if passes(self.runtime, &self.plan.spec.components[need], &container).await => {
                        self.is_healthy(need, &waiting);
                        return Ok(());
                    }
                    Health::Unhealthy => return Err(unhealthy(self.runtime, need, &container.id).await),
                    Health::Starting => {}
                },
                // Its engine restarts it, as its restart policy says. Perhaps this is how it waits for another
                // component.
                (ContainerState::Restarting { code }, _) => {
                    self.doing.send_replace(format!("{doing}, which ends with exit code {code} again and again"));
                }
                (ContainerState::Paused, _) => {
                    self.doing.send_replace(format!("{doing}, which is paused"));
                }
                _ => {}
            }
            waiting.goes_on(self.runtime, &container.id, None, pause).await;
            sleep(pause).await;
            pause = (pause * 3 / 2).min(MAX_POLL_INTERVAL);
        }
    }

    /// Its health check has passed.
    fn is_healthy(&self, name: &ComponentName, waiting: &Wait<'_>) {
        // If it was so at the first look, there is nothing to report.
        if self.healthy().insert(name.clone()) && waiting.was_told() {
            tell(Some(name), Happening::Ready);
        }
    }

    fn healthy(&self) -> MutexGuard<'_, BTreeSet<ComponentName>> {
        self.healthy.lock().expect("nobody panics while holding it")
    }

    async fn inspect(&self, name: &ComponentName) -> Result<Container> {
        let found = self.runtime.inspect(&self.ids[name]).await?;
        found.ok_or_else(|| {
            let message = format!("the container of component `{name}` was removed while its instance was launched");
            Error::new(ErrorKind::ContainerExited, message)
        })
    }

    /// The result once everything has been started. A component that has ended is a failure, unless it has done its
    /// work: it ended with 0, it is not the entry, and no other component needs it running.
    async fn look(&self) -> Result<Launched> {
        let looks = self.ids.keys().map(|name| async { Ok((name.clone(), self.inspect(name).await?)) });
        let containers: BTreeMap<ComponentName, Container> = try_join_all(looks).await?.into_iter().collect();
        let entry = self.plan.spec.entry();
        for (name, container) in &containers {
            let ContainerState::Exited { code, .. } = container.state else { continue };
            let needs = self.order.values().filter_map(|needs| needs.get(name));
            let mut running = needs.filter(|need| need.required);
            let needed = running.any(|need| need.condition != DependencyCondition::CompletedSuccessfully);
            if code != 0 || needed || entry.is_some_and(|entry| entry.component == *name) {
                return Err(exited(self.runtime, name, container).await);
            }
        }
        let address = entry.and_then(|entry| containers.get(&entry.component)?.addresses.get(&entry.port).copied());
        Ok(Launched { containers, entry: address, healthy: self.healthy().clone() })
    }
}
