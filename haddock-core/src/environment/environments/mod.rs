//! Environments by name: for tests, for a look, any number side by side.
//!
//! ```text
//!   file ─▶ specification ─┐
//!                          ├─▶ Plan (pure) ─▶ remove ─▶ launch ─▶ ready
//!   engine ─▶ containers ──┘
//! ```
//!
//! What there is, is read from the engine each time, by the labels that say whose it is. What is known beyond that (the file,
//! the commit, who asked) is in a record beside the specifications; without it everything works, and less is told. An
//! [`up`](Environments::up) that was killed is finished by the next, and a second one finds nothing to do. Of two at once
//! for one name, one waits for the other.

mod claims;
mod compare;
mod history;
mod inside;
mod link;
mod linked;
mod lock;
mod monitor;
mod ready;
mod record;
mod room;
mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::future::try_join_all;

use self::claims::Role;
pub use self::history::{EnvironmentAction, EnvironmentEvent};
pub use self::link::{Switch, Switched, TrafficGate};
use self::lock::Locks;
pub(crate) use self::monitor::Users;
pub use self::monitor::{Claim, Pruned};
use self::record::Record;
pub use self::record::TestedEnvironment;
use super::launch::{LaunchPlan, launch, remove, remove_anonymous, stop, teardown};
use super::plan::{Change, Plan, Wanted, with_needs};
use super::probe::Probing;
use super::store::SpecStore;
use super::{EnvironmentSpec, IpamConfig, Origin, Readiness};
use crate::container::PullWhen;
use crate::container::{Container, ContainerId, ContainerState, ExecSpec, Executed, Network, Selector, label};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName, InstanceId, JournalId, ServiceName};
use crate::runtime::ContainerRuntime;
use crate::time::{Clock, SystemClock, Timestamp};

/// The environments of a journal on a runtime. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Environments {
    runtime: Arc<dyn ContainerRuntime>,
    journal: JournalId,
    specs: SpecStore,
    probing: Arc<dyn Probing>,
    locks: Arc<Locks>,
    /// Who acts here, for the history.
    holder: String,
    /// Instead of the machine's clock.
    clock: Option<Arc<dyn Clock>>,
}

/// What can be said about an [`up`](Environments::up).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpOptions {
    /// Only these components, and what they need; empty: all.
    pub only: BTreeSet<ComponentName>,
    /// Leave what was made, if it fails.
    pub keep_on_failure: bool,
    /// Give what is created or replaced new volumes in place of those without a name that it had. These stay on the engine
    /// until the environment goes down with its volumes.
    pub renew_anonymous_volumes: bool,
    /// Ask registries for newer images, although there is one of that name on the host.
    pub pull: bool,
    /// What the file says for its service, if that is something else than for an environment of this name: what a
    /// promotion releases.
    pub for_service: Option<EnvironmentSpec>,
    /// The ids of images that are taken in place of what the file names.
    pub images: BTreeMap<ComponentName, String>,
    /// Who asks.
    pub by: String,
    /// From which VCS commit, with `-dirty` if there were changes.
    pub commit: Option<String>,
    /// The compose file, as messages show it.
    pub file: Option<String>,
    /// Where the compose files are. An environment that was brought up from another folder is refused.
    pub origin: Option<Origin>,
    /// Take the environment over although it was brought up from another folder: the project has moved.
    pub take_over: bool,
    /// Components that the file has and that are not wanted now, such as those of a profile that is not active. They
    /// are left as they are.
    pub aside: BTreeSet<ComponentName>,
    /// The service whose instances share it, if it is what they share.
    pub shared_by: Option<ServiceName>,
}

/// What an [`up`](Environments::up) has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Up {
    /// What it did.
    pub plan: Plan,
    /// The environment, all of it ready.
    pub environment: Environment,
}

/// An environment as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// Its components' containers.
    pub components: BTreeMap<ComponentName, Container>,
    /// Who asked for it, where that is known.
    pub by: Option<String>,
    /// From which VCS commit.
    pub commit: Option<String>,
    /// From which compose file.
    pub file: Option<String>,
}

impl Environment {
    /// Where a port of a component is reached from this machine: on the host, if it is published there, else at the
    /// container itself.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such component or port, or it does not run.
    pub fn address(&self, component: &str, port: u16) -> Result<SocketAddr> {
        let name = &self.name;
        let not_found = |message: String, hint: String| Error::new(ErrorKind::NotFound, message).with_hint(hint);
        let Some(container) = self.components.get(component) else {
            let known: Vec<&str> = self.components.keys().map(ComponentName::as_str).collect();
            let message = format!("environment `{name}` has no component `{component}`");
            return Err(not_found(message, format!("it has `{}`", known.join("`, `"))));
        };
        if !container.is_running() {
            let why = match container.state {
                ContainerState::Paused => "is paused",
                _ => "does not run",
            };
            let message = format!("component `{component}` of environment `{name}` {why}");
            return Err(not_found(message, "bring it up again".to_owned()));
        }
        let address = container.published.get(&port).or_else(|| container.addresses.get(&port));
        address.copied().ok_or_else(|| {
            let known: BTreeSet<u16> = container.addresses.keys().chain(container.published.keys()).copied().collect();
            let known: Vec<String> = known.iter().map(u16::to_string).collect();
            let message = format!("component `{component}` of environment `{name}` has no port {port}");
            let has = match known.as_slice() {
                [] => "it has no ports".to_owned(),
                known => format!("its ports are {}", known.join(", ")),
            };
            not_found(message, format!("{has}; list others under `expose` or `ports` in the compose file"))
        })
    }
}

/// What is known before anything is done.
struct Prepared {
    wanted: LaunchPlan,
    found: Vec<Container>,
    plan: Plan,
    /// Networks that are not as the file says any more.
    changed_networks: Vec<Network>,
    /// What is written down of it.
    record: Record,
}

impl Environments {
    /// The environments of that journal. Beside the specifications lie the locks.
    #[must_use]
    pub fn new(
        runtime: Arc<dyn ContainerRuntime>,
        journal: JournalId,
        specs: SpecStore,
        probing: Arc<dyn Probing>,
    ) -> Self {
        let locks = Arc::new(Locks::new(specs.folder()));
        Self { runtime, journal, specs, probing, locks, holder: String::new(), clock: None }
    }

    /// The same, and in their history it says that it was this one who did things with them.
    #[must_use]
    pub fn by(mut self, holder: impl Into<String>) -> Self {
        self.holder = holder.into();
        self
    }

    /// The same, by another clock than the machine's: for simulations.
    #[must_use]
    pub fn at(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The machine's clock is read anew each time, since other processes write times down, too, and since one that was
    /// read before a laptop slept would be late.
    fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or_else(|| SystemClock::new().now(), |clock| clock.now())
    }

    /// What [`up`](Self::up) would do. Images that are not on the host are pulled, and nothing else is done.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub async fn plan(&self, name: &EnvironmentName, spec: &EnvironmentSpec, options: &UpOptions) -> Result<Plan> {
        let (spec, options) = expanded(spec, options)?;
        self.prepare(name, &spec, &options).await.map(|prepared| prepared.plan)
    }

    /// Brings the environment to what the specification says, and waits until all of it is ready: healthy, where a
    /// component has a health check; else each port that the file names takes connections.
    ///
    /// What is there already and as it should be stays. If it fails, what this call has made is removed again, and
    /// nothing else, unless [`UpOptions::keep_on_failure`].
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if `only` names no component; [`ImageMissing`](ErrorKind::ImageMissing) and
    /// the like; [`ContainerExited`](ErrorKind::ContainerExited) and [`NeverReady`](ErrorKind::NeverReady), with the end
    /// of the log and what the health check said; [`NameTaken`](ErrorKind::NameTaken) if somebody else has one of that
    /// name on this engine; [`PortTaken`](ErrorKind::PortTaken).
    pub async fn up(&self, name: &EnvironmentName, spec: &EnvironmentSpec, options: &UpOptions) -> Result<Up> {
        self.up_unless(name, spec, options, std::future::pending()).await
    }

    /// As [`up`](Self::up), unless it is given up: when `given_up` ends, what this call has made is removed as after a
    /// failure, and the answer is the error that it ended with.
    ///
    /// # Errors
    /// As [`up`](Self::up), and the error of `given_up`.
    pub async fn up_unless(
        &self,
        name: &EnvironmentName,
        spec: &EnvironmentSpec,
        options: &UpOptions,
        given_up: impl Future<Output = Error> + Send,
    ) -> Result<Up> {
        let mut given_up = std::pin::pin!(given_up);
        let (spec, options) = &expanded(spec, options)?;
        let begun = async {
            let turn = self.locks.take(name).await?;
            self.mark_up(name)?;
            Ok((turn, self.prepare(name, spec, options).await?))
        };
        let (_turn, prepared) = tokio::select! {
            biased;
            error = given_up.as_mut() => return Err(error),
            begun = begun => begun?,
        };
        let before = prepared.record.clone();
        let UpOptions { only, images, by, commit, file, origin, aside, shared_by, .. } = options.clone();
        if let Some(origin) = origin.filter(|_| shared_by.is_none()) {
            self.put_origin(name, &origin)?;
        }
        let putting = self.specs.putting().await?;
        let record = Record {
            role: Some(shared_by.map_or(Role::Ordinary, Role::SharedBy)),
            aside,
            spec: self.specs.put(spec)?,
            for_service: options.for_service.as_ref().map(|spec| self.specs.put(spec)).transpose()?,
            only,
            images,
            by,
            commit,
            file,
            ready: before.ready.clone(),
            links: BTreeMap::new(),
            live: before.live.clone(),
            generations: prepared.wanted.generations.clone(),
        };
        self.put_record(name, &before, &record)?;
        drop(putting);
        let changes = history::lines(&prepared.plan);
        let up = self.carry_out(name, prepared, options.keep_on_failure, given_up).await;
        // What changes nothing is nothing to tell.
        if !changes.is_empty() || up.is_err() {
            self.tell(name, EnvironmentAction::Up, Some(&record), changes, up.as_ref().err());
        }
        let up = up?;
        let running = up.environment.components.values().filter(|container| container.is_running());
        let ready = running.map(Container::incarnation).collect();
        self.put_record(name, &record, &Record { live: BTreeSet::new(), ready, ..record.clone() })?;
        Ok(up)
    }

    /// Brings an environment to what was prepared.
    async fn carry_out(
        &self,
        name: &EnvironmentName,
        prepared: Prepared,
        keep_on_failure: bool,
        given_up: impl Future<Output = Error> + Send,
    ) -> Result<Up> {
        let Prepared { wanted, found, plan, changed_networks, record } = prepared;
        let going: BTreeSet<&ComponentName> = plan.all(Change::Replace).chain(plan.all(Change::Remove)).collect();
        let goes = |container: &Container| container.component().is_some_and(|name| going.contains(&name));
        let (gone, kept): (Vec<Container>, Vec<Container>) = found.into_iter().partition(goes);
        let first = gone.is_empty() && kept.is_empty() && record.generations.is_empty();
        remove(&*self.runtime, &gone).await?;
        for network in &changed_networks {
            self.runtime.remove_network(&network.id).await?;
        }
        stop(&*self.runtime, &restarting(&plan, &kept)).await?;
        let launched = async {
            let launched = launch(&*self.runtime, &wanted).await?;
            ready::wait(&*self.runtime, &*self.probing, &wanted, &launched, &record.ready).await
        };
        let launched = tokio::select! {
            biased;
            error = given_up => Err(error),
            launched = launched => launched,
        };
        match launched {
            Ok(()) => {
                let environment = match self.get(name).await {
                    Err(error) if error.kind() == ErrorKind::NotFound => self.without_containers(name)?.ok_or(error)?,
                    found => found?,
                };
                Ok(Up { plan, environment })
            }
            Err(error) => {
                if !keep_on_failure {
                    self.undo(name, &wanted, &kept.into_iter().map(|it| it.id).collect(), first).await;
                }
                Err(error)
            }
        }
    }

    /// Brings up what the instances of a service share, in an environment of its own, or changes it to what the
    /// specification says: nothing else does. With `missing_only` nothing that is there is changed.
    ///
    /// Where every component is versioned there is nothing to do, and the answer is `None`.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub async fn up_shared(
        &self,
        spec: &EnvironmentSpec,
        options: &UpOptions,
        missing_only: bool,
    ) -> Result<Option<Up>> {
        let spec = spec.in_production()?;
        let Some(service) = spec.shared_by() else { return Ok(None) };
        let (name, shared) = (EnvironmentName::shared_by(service), spec.shared());
        let mut options = UpOptions { shared_by: Some(service.clone()), ..options.clone() };
        if missing_only {
            let there: BTreeSet<ComponentName> = match self.get(&name).await {
                Ok(environment) => environment.components.into_keys().collect(),
                Err(error) if error.kind() == ErrorKind::NotFound => BTreeSet::new(),
                Err(error) => return Err(error),
            };
            options.only = shared.components.keys().filter(|name| !there.contains(*name)).cloned().collect();
            if options.only.is_empty() {
                return Ok(None);
            }
        }
        self.up(&name, &shared, &options).await.map(Some)
    }

    /// Stops and removes the environment; its volumes only if told to. One that is not there is no error: it answers
    /// whether there was one.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy), before anything is touched, if instances of a service share it or others use it; the
    /// runtime's: all that can be removed is removed all the same.
    pub async fn down(&self, name: &EnvironmentName, volumes: bool) -> Result<bool> {
        let _turn = self.locks.take(name).await?;
        self.down_in_turn(name, volumes).await
    }

    /// Who calls this has the turn.
    async fn down_in_turn(&self, name: &EnvironmentName, volumes: bool) -> Result<bool> {
        self.refuse_what_serves(name).await?;
        self.refuse_what_is_used(name).await?;
        let uid = InstanceId::of_environment(&self.journal, name);
        let selector = Selector::environment(&self.journal, &uid);
        let record = self.record(name).unwrap_or_default();
        let gone = teardown(&*self.runtime, &self.journal, &uid).await;
        if gone.as_ref().map_or(record.is_some(), |there| *there) {
            self.tell(name, EnvironmentAction::Down, record.as_ref(), Vec::new(), gone.as_ref().err());
        }
        let there = gone?;
        self.forget(name);
        let kept = self.runtime.volumes(&selector).await?;
        if volumes {
            for volume in &kept {
                self.runtime.remove_volume(&volume.name).await?;
            }
        }
        if volumes || kept.is_empty() {
            self.forget_origin(name);
        }
        Ok(there || (volumes && !kept.is_empty()))
    }

    /// The names of its volumes, in order: what [`down`](Self::down) removes if told to, and leaves else.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn volumes(&self, name: &EnvironmentName) -> Result<BTreeSet<String>> {
        let uid = InstanceId::of_environment(&self.journal, name);
        let volumes = self.runtime.volumes(&Selector::environment(&self.journal, &uid)).await?;
        Ok(volumes.into_iter().map(|volume| volume.name).collect())
    }

    /// What instances share goes only after the last of them.
    async fn refuse_what_serves(&self, name: &EnvironmentName) -> Result<()> {
        let Some(service) = self.serves(name)? else { return Ok(()) };
        match self.instance_of(&service).await? {
            None => Ok(()),
            Some(instance) => {
                let message =
                    format!("environment `{name}` is what instances of `{service}` share, such as `{instance}`");
                Err(Error::new(ErrorKind::Busy, message)
                    .with_hint(format!("retire the service first: `haddock retire {service}`")))
            }
        }
    }

    /// The environments that there are, by name.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn list(&self) -> Result<Vec<Environment>> {
        let mut all: BTreeMap<EnvironmentName, Vec<Container>> = BTreeMap::new();
        for container in self.runtime.list(&Selector::journal(&self.journal)).await? {
            if let Some(name) = container.labels.get(label::NAME).and_then(|name| EnvironmentName::new(name).ok()) {
                all.entry(name).or_default().push(container);
            }
        }
        all.into_iter().map(|(name, containers)| self.described(name, containers)).collect()
    }

    /// The environment of that name.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none, and the runtime's.
    pub async fn get(&self, name: &EnvironmentName) -> Result<Environment> {
        let uid = InstanceId::of_environment(&self.journal, name);
        let containers = self.runtime.list(&Selector::environment(&self.journal, &uid)).await?;
        if containers.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no environment `{name}`"))
                .with_hint("bring it up first, or look which there are"));
        }
        self.described(name.clone(), containers)
    }

    /// Runs a command within a component's container, and answers when it has ended.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`TimedOut`](ErrorKind::TimedOut) after `within`, and the runtime's.
    pub async fn exec(
        &self,
        name: &EnvironmentName,
        component: &str,
        command: &[String],
        within: Duration,
    ) -> Result<Executed> {
        self.mark_used(name);
        let container = self.container(name, component).await?;
        let ran = self.runtime.exec(&container, &ExecSpec::new(command, within)).await;
        ran.map_err(|error| error.of_component(&container, &component))
    }

    /// The last lines of a component's log, oldest first.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), and the runtime's.
    pub async fn logs(&self, name: &EnvironmentName, component: &str, tail: usize) -> Result<Vec<String>> {
        let container = self.container(name, component).await?;
        self.runtime.logs(&container, tail).await.map_err(|error| error.of_component(&container, &component))
    }

    /// The last lines of a component's log, and then each as it is written, until its container ends.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound), [`NotSupported`](ErrorKind::NotSupported), and the runtime's.
    pub async fn follow_logs(
        &self,
        name: &EnvironmentName,
        component: &str,
        tail: usize,
    ) -> Result<BoxStream<'static, Result<String>>> {
        let container = self.container(name, component).await?;
        let followed = self.runtime.follow_logs(&container, tail).await;
        followed.map_err(|error| error.of_component(&container, &component))
    }

    async fn container(&self, name: &EnvironmentName, component: &str) -> Result<ContainerId> {
        let environment = self.get(name).await?;
        let container = environment.components.get(component).ok_or_else(|| {
            let known: Vec<&str> = environment.components.keys().map(ComponentName::as_str).collect();
            let message = format!("environment `{name}` has no component `{component}`");
            Error::new(ErrorKind::NotFound, message).with_hint(format!("it has `{}`", known.join("`, `")))
        })?;
        Ok(container.id.clone())
    }

    async fn prepare(&self, name: &EnvironmentName, spec: &EnvironmentSpec, options: &UpOptions) -> Result<Prepared> {
        if let Some(unknown) = options.only.iter().find(|name| !spec.components.contains_key(*name)) {
            let known: Vec<&str> = spec.components.keys().map(ComponentName::as_str).collect();
            return Err(Error::new(ErrorKind::NotFound, format!("there is no component `{unknown}`"))
                .with_hint(format!("the components are `{}`", known.join("`, `"))));
        }
        check_networks(spec)?;
        self.check_name(name, spec, options).await?;
        let members = with_needs(spec, &options.only);
        let pulls = members.iter().map(|name| async {
            let component = &spec.components[name];
            if let Some(image) = options.images.get(name) {
                return Ok((name.clone(), image.clone()));
            }
            let mut how = component.pull_options(PullWhen::Missing);
            if options.pull {
                how.when = PullWhen::Refresh;
            }
            Ok((name.clone(), self.runtime.pull_with(&component.image, &how).await?))
        });
        let uid = InstanceId::of_environment(&self.journal, name);
        let selector = Selector::environment(&self.journal, &uid);
        let networks = async {
            match self.runtime.capabilities().networks {
                true => self.runtime.networks(&selector).await,
                false => Ok(Vec::new()),
            }
        };
        let (images, found, networks) = tokio::try_join!(try_join_all(pulls), self.runtime.list(&selector), networks)?;
        let images: BTreeMap<ComponentName, String> = images.into_iter().collect();
        let digests: BTreeMap<ComponentName, String> =
            images.iter().map(|(name, image)| (name.clone(), self.specs.fingerprint(spec, name, image))).collect();
        let complete = options.only.is_empty();
        let record = self.record(name)?.unwrap_or_default();
        let within = spec.settings.as_ref().map_or_else(Readiness::default, |settings| settings.ready.clone()).within;
        let mut launch = LaunchPlan {
            journal: self.journal.clone(),
            instance: uid,
            name: Some(name.clone()),
            epoch: 0,
            spec: Arc::new(spec.clone()),
            members,
            shared: None,
            images,
            spec_digest: NETWORK.to_owned(),
            digests,
            generations: BTreeMap::new(),
            again: BTreeMap::new(),
            unpause: BTreeSet::new(),
            within,
        };
        let known = if record.spec.is_empty() { None } else { self.specs.get(&record.spec)? };
        let before = known.map(|spec| LaunchPlan { spec, ..launch.clone() });
        let (changed_networks, moved) = self.changed_networks(&launch, before.as_ref(), &networks, &found).await?;
        let stranded = self.stranded(&launch, &networks, &found).await?;
        let can = self.runtime.capabilities();
        let wanted = Wanted {
            spec,
            members: &launch.members,
            digests: &launch.digests,
            relinked: &record.live,
            moved: &moved,
            stranded: &stranded,
            complete,
            aside: &options.aside,
            ran: &record.ran(),
            start_again: can.start_again,
            unpause: can.unpause,
        };
        let plan = Plan::new(&wanted, &found);
        self.check_removals(name, options, &plan)?;
        let again = restarting(&plan, &found).into_iter();
        launch.again = again.filter_map(|it| Some((it.component()?, it.incarnation()))).collect();
        launch.generations = record.generations_for(&plan, options.renew_anonymous_volumes);
        launch.unpause = plan.all(Change::Unpause).cloned().collect();
        let wanted = launch;
        self.check_room(&wanted, &plan, &found, &networks).await?;
        Ok(Prepared { wanted, found, plan, changed_networks, record })
    }

    /// Removes what is there beyond these containers. The error that led to it is what counts. `first`: there was nothing
    /// before, so that nobody misses what volumes without a name may hold.
    async fn undo(&self, name: &EnvironmentName, wanted: &LaunchPlan, kept: &BTreeSet<ContainerId>, first: bool) {
        let uid = &wanted.instance;
        let selector = Selector::environment(&self.journal, uid);
        let undone = async {
            if kept.is_empty() {
                teardown(&*self.runtime, &self.journal, uid).await?;
                if first {
                    self.specs.remove_note(&record::note(name));
                    remove_anonymous(&*self.runtime, &self.journal, uid, Some(&wanted.generations)).await?;
                }
                return Ok(());
            }
            let mut made = self.runtime.list(&selector).await?;
            made.retain(|container| !kept.contains(&container.id));
            remove(&*self.runtime, &made).await
        };
        if let Err(error) = undone.await {
            tracing::warn!(environment = %uid, %error, "what was made could not all be removed");
        }
    }
}

/// The containers that are started again.
fn restarting<'c>(plan: &Plan, found: &'c [Container]) -> Vec<&'c Container> {
    let names: BTreeSet<&ComponentName> = plan.all(Change::Restart).collect();
    found.iter().filter(|container| container.component().is_some_and(|name| names.contains(&name))).collect()
}

/// Refuses what a file may say of a network and no engine can do.
fn check_networks(spec: &EnvironmentSpec) -> Result<()> {
    for (name, network) in &spec.networks {
        if network.ipam.config.iter().any(|config| config.subnet.is_none() && *config != IpamConfig::default()) {
            let message = format!("network `{name}` has an `ipam.config` without `subnet`");
            return Err(Error::new(ErrorKind::ComposeFile, message)
                .with_hint("give it the `subnet` that its `gateway`, `ip_range` and `aux_addresses` are in"));
        }
    }
    Ok(())
}

/// What the network of an environment is made from: nothing that a file says, so far.
const NETWORK: &str = "network";

/// With a component for each replica, in what is asked for too. What its service is made from stays as it is.
fn expanded(spec: &EnvironmentSpec, options: &UpOptions) -> Result<(EnvironmentSpec, UpOptions)> {
    let mut options = options.clone();
    let expanded = spec.expanded()?;
    if !expanded.copies.is_empty() {
        let named = expanded.named(&options.only);
        if let (true, Some(none)) = (named.is_empty(), options.only.first()) {
            return Err(Error::new(ErrorKind::ComposeFile, format!("component `{none}` is to have no container"))
                .with_hint("give it `replicas` of 1 or more"));
        }
        options.only = named;
        options.for_service.get_or_insert_with(|| spec.clone());
    }
    Ok((expanded.spec, options))
}
