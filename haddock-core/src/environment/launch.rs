//! Launching an instance, and taking it down again.
//!
//! ```text
//!   network ─▶ create all, at once ─▶ start along depends_on and links
//! ```
//!
//! Both may be done again at any time, by the same controller or its successor: a launch takes over what is there and
//! starts only what was never started; a teardown removes what is left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Component, DependencyCondition, EnvironmentSpec};
use crate::container::{Attachment, Container, ContainerId, ContainerSpec, ContainerState};
use crate::container::{Health, NetworkSpec, Selector, label};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, InstanceId, JournalId};
use crate::runtime::ContainerRuntime;
use crate::time::sleep;

/// How long a stop waits before it kills, unless the component says otherwise (Compose Specification,
/// `stop_grace_period`).
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// Lines of log that an error carries.
const LOG_TAIL: usize = 20;
/// Between two looks at a dependency: quick at first, because most are quick.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(250);

/// What to launch.
#[derive(Debug, Clone)]
pub struct LaunchPlan {
    /// The journal that the instance belongs to.
    pub journal: JournalId,
    /// The instance: the uid of its environment.
    pub instance: InstanceId,
    /// The epoch under which it is launched.
    pub epoch: u64,
    /// What the environment looks like. Its versioned components are launched; the others run elsewhere.
    pub spec: Arc<EnvironmentSpec>,
    /// The image of each versioned component, by the id that the runtime's `pull` gave.
    pub images: BTreeMap<ComponentName, String>,
    /// The digest of `spec`. What is there is taken over only if it was made from the same.
    pub spec_digest: String,
    /// How long the launch may take.
    pub within: Duration,
}

/// A launched instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launched {
    /// Its containers, as they were when all had been started.
    pub containers: BTreeMap<ComponentName, Container>,
    /// Where its entry listens, or will.
    pub entry: Option<SocketAddr>,
}

/// Launches the instance. Done again, it takes over what is there. Whether the entry is ready is for a
/// [`Probe`](super::probe::Probe) to say.
///
/// What it made before it failed or was dropped stays for [`teardown`].
///
/// # Errors
/// [`ContainerExited`](ErrorKind::ContainerExited) if a component ended although it should run, with its exit code,
/// the end of its log, and what its health check said; [`NeverReady`](ErrorKind::NeverReady) if a dependency is
/// unhealthy or was not ready in time; [`NameTaken`](ErrorKind::NameTaken) if a container or network of its name is
/// another's, or of another specification; and the runtime's own.
pub async fn launch(runtime: &dyn ContainerRuntime, plan: &LaunchPlan) -> Result<Launched> {
    let order = plan.order()?;
    let doing = watch::Sender::new(String::from("its network and containers are made"));
    let launched = async {
        let ids = create(runtime, plan, &order).await?;
        let launch = Launch { runtime, plan, order: &order, ids, doing: &doing };
        launch.start().await?;
        launch.look().await
    };
    match timeout(plan.within, launched).await {
        Ok(launched) => launched,
        Err(_) => {
            let message = format!(
                "instance `{}` was not launched within {} s: the last thing known is that {}",
                plan.instance,
                plan.within.as_secs_f64(),
                doing.borrow().as_str()
            );
            let error = Error::new(ErrorKind::NeverReady, message)
                .with_hint("look at the log lines, or raise `x-haddock.ready.within`");
            Err(with_logs_of_all(runtime, plan, error).await)
        }
    }
}

impl LaunchPlan {
    fn versioned(&self) -> impl Iterator<Item = (&ComponentName, &Component)> {
        self.spec.components.iter().filter(|(_, component)| component.versioned)
    }

    /// For each versioned component, what has to be there before it starts. A link means the order, as in Compose.
    fn order(&self) -> Result<Order> {
        let mut order = needs(&self.spec);
        let launched = |name: &ComponentName| self.spec.components.get(name).is_some_and(|it| it.versioned);
        order.retain(|name, _| launched(name));
        for needs in order.values_mut() {
            needs.retain(|name, _| launched(name));
        }
        match ranks(&order) {
            Some(_) => Ok(order),
            None => Err(Error::new(ErrorKind::ComposeFile, "components wait for each other in a circle")
                .with_hint("remove one of the `depends_on` or `links` in the circle")),
        }
    }

    /// Labels of what is made. What the user wrote cannot take the place of ours.
    fn labels(&self, component: Option<(&ComponentName, &Component)>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        if let Some((name, component)) = component {
            let theirs = component.labels.iter().filter(|(key, _)| !key.starts_with("haddock."));
            labels.extend(theirs.map(|(key, value)| (key.clone(), value.clone())));
            labels.insert(label::COMPONENT.to_owned(), name.to_string());
        }
        labels.insert(label::JOURNAL.to_owned(), self.journal.to_string());
        labels.insert(label::ENVIRONMENT.to_owned(), self.instance.to_string());
        labels.insert(label::EPOCH.to_owned(), self.epoch.to_string());
        labels.insert(label::SPEC.to_owned(), self.spec_digest.clone());
        labels
    }

    /// The names under which the others reach a component: its own, and those of the links to it.
    fn aliases(&self, target: &ComponentName) -> Vec<String> {
        let links = self.versioned().flat_map(|(_, component)| &component.links);
        let links = links.filter(|link| link.component == *target).map(|link| link.alias.to_string());
        let all: BTreeSet<String> = links.chain([target.to_string()]).collect();
        all.into_iter().collect()
    }

    fn container(&self, name: &ComponentName, component: &Component) -> Result<ContainerSpec> {
        let image = self.images.get(name).ok_or_else(|| {
            let message = format!("no image was pulled for component `{name}` (`{}`)", component.image);
            Error::new(ErrorKind::ImageMissing, message).with_hint("pull the images of every versioned component first")
        })?;
        let mut expose = component.expose.clone();
        let entry = &self.spec.settings.entry;
        if entry.component == *name && !expose.contains(&entry.port) {
            expose.push(entry.port);
        }
        if entry.component == *name {
            // The entry's port comes first: a runtime that tells a process one port tells it this one.
            expose.sort_by_key(|port| *port != entry.port);
        }
        Ok(ContainerSpec {
            name: format!("{}-{name}", self.instance),
            image: image.clone(),
            entrypoint: component.entrypoint.clone(),
            command: component.command.clone(),
            environment: component.environment.clone(),
            labels: self.labels(Some((name, component))),
            network: Some(Attachment { network: self.instance.to_string(), aliases: self.aliases(name) }),
            expose,
            publish: component.ports.clone(),
            health_check: component.health_check.clone(),
            stop_signal: component.stop_signal.clone(),
        })
    }

    /// Whether what carries these labels was made for this plan. Its epoch may be an earlier one.
    fn made(&self, labels: &BTreeMap<String, String>) -> bool {
        Selector::environment(&self.journal, &self.instance).matches(labels)
            && labels.get(label::SPEC) == Some(&self.spec_digest)
    }
}

/// For each component, what has to be there before it starts.
type Order = BTreeMap<ComponentName, BTreeMap<ComponentName, DependencyCondition>>;

/// How many starts come before each component's; `None` if they go in a circle.
fn ranks(order: &Order) -> Option<BTreeMap<ComponentName, usize>> {
    let mut ranks: BTreeMap<ComponentName, usize> = BTreeMap::new();
    while ranks.len() < order.len() {
        let ready: Vec<(ComponentName, usize)> = order
            .iter()
            .filter(|(name, needs)| !ranks.contains_key(*name) && needs.keys().all(|need| ranks.contains_key(need)))
            .map(|(name, needs)| (name.clone(), needs.keys().map(|need| ranks[need] + 1).max().unwrap_or(0)))
            .collect();
        if ready.is_empty() {
            return None;
        }
        ranks.extend(ready);
    }
    Some(ranks)
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
        match there.iter().find(|network| network.name == plan.instance.as_str()) {
            Some(network) if !plan.made(&network.labels) => return Err(other_specification("network", &network.name)),
            Some(_) => {}
            None => {
                let spec = NetworkSpec { name: plan.instance.to_string(), labels: plan.labels(None) };
                runtime.create_network(&spec).await?;
            }
        }
    }
    let there = runtime.list(&ours).await?;
    let created = order.keys().map(|name| async {
        let spec = plan.container(name, &plan.spec.components[name])?;
        // One that is on its way out is waited for by `create`.
        let existing = there.iter().find(|it| it.name == spec.name && it.state != ContainerState::Removing);
        let id = match existing {
            Some(existing) if !plan.made(&existing.labels) => return Err(other_specification("container", &spec.name)),
            Some(existing) => existing.id.clone(),
            None => create_one(runtime, plan, &spec).await?,
        };
        Ok((name.clone(), id))
    });
    Ok(try_join_all(created).await?.into_iter().collect())
}

/// Creates a container. A predecessor that was killed may have asked for the same one a moment ago, under its own
/// epoch, and the engine may only now have made it: then the name is taken, by what is ours.
async fn create_one(runtime: &dyn ContainerRuntime, plan: &LaunchPlan, spec: &ContainerSpec) -> Result<ContainerId> {
    match runtime.create(spec).await {
        Err(error) if error.kind() == ErrorKind::NameTaken => {
            let there = runtime.list(&Selector::environment(&plan.journal, &plan.instance)).await?;
            let ours = there.into_iter().find(|it| it.name == spec.name && plan.made(&it.labels));
            ours.map(|it| it.id).ok_or(error)
        }
        created => created,
    }
}

/// A launch whose containers exist.
struct Launch<'a> {
    runtime: &'a dyn ContainerRuntime,
    plan: &'a LaunchPlan,
    order: &'a Order,
    ids: BTreeMap<ComponentName, ContainerId>,
    /// What it waits for, in words, for the error when time is up.
    doing: &'a watch::Sender<String>,
}

impl Launch<'_> {
    /// Starts everything, each as soon as what it needs is there.
    async fn start(&self) -> Result<()> {
        let started: watch::Sender<BTreeSet<ComponentName>> = watch::Sender::default();
        let starts = self.order.iter().map(|(name, needs)| {
            let started = &started;
            async move {
                for (need, condition) in needs {
                    let mut progress = started.subscribe();
                    progress.wait_for(|started| started.contains(need)).await.expect("the sender lives as long");
                    self.wait_for(name, need, *condition).await?;
                }
                self.runtime.start(&self.ids[name]).await?;
                started.send_modify(|started| {
                    started.insert(name.clone());
                });
                Ok(())
            }
        });
        try_join_all(starts).await.map(|_: Vec<()>| ())
    }

    /// Waits until a component that was started meets the condition.
    async fn wait_for(&self, name: &ComponentName, need: &ComponentName, condition: DependencyCondition) -> Result<()> {
        let wanted = match condition {
            DependencyCondition::Started => return Ok(()),
            DependencyCondition::Healthy => "healthy",
            DependencyCondition::CompletedSuccessfully => "done",
        };
        self.doing.send_replace(format!("component `{name}` waits for `{need}` to be {wanted}"));
        let mut pause = FIRST_LOOK;
        loop {
            let container = self.inspect(need).await?;
            match (&container.state, condition) {
                (ContainerState::Exited { code: 0, .. }, DependencyCondition::CompletedSuccessfully) => return Ok(()),
                (ContainerState::Exited { .. }, _) => return Err(self.exited(need, &container).await),
                (ContainerState::Running, DependencyCondition::Healthy) => match container.health {
                    Health::Healthy => return Ok(()),
                    Health::Unhealthy => return Err(self.unhealthy(need, &container.id).await),
                    Health::None => {
                        let message =
                            format!("component `{name}` waits for `{need}` to be healthy, which has no health check");
                        return Err(Error::new(ErrorKind::ComposeFile, message)
                            .with_hint(format!("give `{need}` a `healthcheck`, or depend on `service_started`")));
                    }
                    Health::Starting => {}
                },
                _ => {}
            }
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LAST_LOOK);
        }
    }

    async fn inspect(&self, name: &ComponentName) -> Result<Container> {
        let found = self.runtime.inspect(&self.ids[name]).await?;
        found.ok_or_else(|| {
            let message = format!("the container of component `{name}` was removed while its instance was launched");
            Error::new(ErrorKind::ContainerExited, message)
        })
    }

    /// What is there when all has been started. A component that has ended is a failure, unless it has done its work:
    /// ended with 0, is not the entry, and nobody needs it running.
    async fn look(&self) -> Result<Launched> {
        let looks = self.ids.keys().map(|name| async { Ok((name.clone(), self.inspect(name).await?)) });
        let containers: BTreeMap<ComponentName, Container> = try_join_all(looks).await?.into_iter().collect();
        let entry = &self.plan.spec.settings.entry;
        for (name, container) in &containers {
            let ContainerState::Exited { code, .. } = container.state else { continue };
            let needed_running = self.order.values().filter_map(|needs| needs.get(name));
            let needed = needed_running.into_iter().any(|need| *need != DependencyCondition::CompletedSuccessfully);
            if code != 0 || needed || entry.component == *name {
                return Err(self.exited(name, container).await);
            }
        }
        let address = containers.get(&entry.component).and_then(|it| it.addresses.get(&entry.port).copied());
        Ok(Launched { containers, entry: address })
    }

    async fn exited(&self, name: &ComponentName, container: &Container) -> Error {
        exited(self.runtime, name, container).await
    }

    async fn unhealthy(&self, name: &ComponentName, id: &ContainerId) -> Error {
        let said = health_output(self.runtime, id).await;
        let error = Error::new(ErrorKind::NeverReady, format!("component `{name}` is unhealthy{said}"));
        let error = error.with_hint("is the health check's own command in the image?");
        with_logs(self.runtime, id, error).await
    }
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
async fn with_logs(runtime: &dyn ContainerRuntime, id: &ContainerId, error: Error) -> Error {
    match runtime.logs(id, LOG_TAIL).await {
        Ok(lines) => error.with_log_tail(lines),
        Err(_) => error,
    }
}

/// The ends of the logs of all that runs, each line with its component.
async fn with_logs_of_all(runtime: &dyn ContainerRuntime, plan: &LaunchPlan, error: Error) -> Error {
    let containers = runtime.list(&Selector::environment(&plan.journal, &plan.instance)).await.unwrap_or_default();
    let mut lines = Vec::new();
    for container in containers.iter().filter(|container| container.started != 0) {
        let name = container.component().map_or_else(|| container.name.clone(), |name| name.to_string());
        let tail = runtime.logs(&container.id, LOG_TAIL).await.unwrap_or_default();
        lines.extend(tail.into_iter().map(|line| format!("{name}: {line}")));
    }
    error.with_log_tail(lines)
}

/// Stops and removes everything of the instance, and its network. What is not there any more is no error; what does
/// not carry the labels of this journal and this instance is never touched.
///
/// Components stop after those that need them, each with its own grace; without `spec` all at once, with
/// [`DEFAULT_GRACE`].
///
/// # Errors
/// The first of the runtime's; all that can be removed is removed all the same.
pub async fn teardown(
    runtime: &dyn ContainerRuntime,
    journal: &JournalId,
    instance: &InstanceId,
    spec: Option<&EnvironmentSpec>,
) -> Result<()> {
    let ours = Selector::environment(journal, instance);
    let containers = runtime.list(&ours).await?;
    let containers: Vec<Container> = containers.into_iter().filter(|it| ours.matches(&it.labels)).collect();

    let mut waves: BTreeMap<usize, Vec<&Container>> = BTreeMap::new();
    let ranks = spec.and_then(|spec| ranks(&needs(spec))).unwrap_or_default();
    for container in &containers {
        let rank = container.component().and_then(|name| ranks.get(&name).copied()).unwrap_or(0);
        waves.entry(rank).or_default().push(container);
    }
    let grace = |container: &Container| {
        let component = container.component().and_then(|name| spec?.components.get(&name));
        component.and_then(|component| component.stop_grace_period).unwrap_or(DEFAULT_GRACE)
    };
    for wave in waves.values().rev() {
        let stops = wave.iter().filter(|it| it.is_running()).map(|it| runtime.stop(&it.id, grace(it)));
        for error in join_all(stops).await.into_iter().filter_map(Result::err) {
            // A removal kills what a stop could not.
            tracing::warn!(%instance, %error, "a container did not stop");
        }
    }
    let removed = join_all(containers.iter().map(|it| runtime.remove(&it.id))).await;
    removed.into_iter().collect::<Result<()>>()?;

    if runtime.capabilities().networks {
        let networks = runtime.networks(&ours).await?;
        let networks = networks.iter().filter(|it| ours.matches(&it.labels));
        join_all(networks.map(|it| runtime.remove_network(&it.id))).await.into_iter().collect::<Result<()>>()?;
    }
    Ok(())
}

/// What has to be there before each component starts. A link means the order, as in Compose; a condition in
/// `depends_on` says more.
fn needs(spec: &EnvironmentSpec) -> Order {
    let components = spec.components.iter().map(|(name, component)| {
        let links = component.links.iter().map(|link| (link.component.clone(), DependencyCondition::Started));
        let all = links.chain(component.depends_on.iter().map(|(name, condition)| (name.clone(), *condition)));
        (name.clone(), all.filter(|(need, _)| need != name && spec.components.contains_key(need)).collect())
    });
    components.collect()
}
