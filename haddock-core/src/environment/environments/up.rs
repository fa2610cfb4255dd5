//! Bringing an environment up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::history::{self, EnvironmentAction};
use super::record::{self, Record};
use super::role::Role;
use super::{Environment, Environments, UpOptions, ready};
use crate::container::{Container, ContainerId, Network, PullWhen, Selector};
use crate::environment::check_http;
use crate::environment::launch::{LaunchPlan, launch_unless, remove, remove_anonymous, stop, teardown};
use crate::environment::plan::{Change, Plan, Wanted, with_needs};
use crate::environment::{EnvironmentSpec, IpamConfig, PullPolicy, Readiness};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName, InstanceId};

/// What an [`up`](Environments::up) has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Up {
    /// What was done.
    pub plan: Plan,
    /// The environment, all of it ready.
    pub environment: Environment,
}

/// What is known before anything is done.
pub(super) struct Prepared {
    pub(super) wanted: LaunchPlan,
    found: Vec<Container>,
    pub(super) plan: Plan,
    /// Networks that are no longer as the file says.
    changed_networks: Vec<Network>,
    /// What an earlier `up` wrote down about the environment.
    record: Record,
}

impl Environments {
    /// What [`up`](Self::up) would do. Images that are not on the host are pulled, and nothing else is done.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub async fn plan(&self, name: &EnvironmentName, spec: &EnvironmentSpec, options: &UpOptions) -> Result<Plan> {
        let (spec, options) = expanded(spec, options)?;
        self.prepare(name, &spec, &options).await.map(|prepared| prepared.plan)
    }

    /// Brings the environment to what the specification says, and waits until all of it is ready. A component with a
    /// health check is ready when that passes. Any other is ready when each port that the file names takes connections.
    ///
    /// What is there already and is as it should be stays. If the call fails, it removes what it has made, and nothing
    /// else. With [`UpOptions::keep_on_failure`] it removes nothing.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if `only` names no component; [`ImageMissing`](ErrorKind::ImageMissing) and
    /// the like; [`ContainerExited`](ErrorKind::ContainerExited) and [`NeverReady`](ErrorKind::NeverReady), with the end
    /// of the log and what the health check said; [`NameTaken`](ErrorKind::NameTaken) if somebody else has one of that
    /// name on this engine; [`PortTaken`](ErrorKind::PortTaken).
    pub async fn up(&self, name: &EnvironmentName, spec: &EnvironmentSpec, options: &UpOptions) -> Result<Up> {
        self.up_unless(name, spec, options, std::future::pending()).await
    }

    /// As [`up`](Self::up), but gives up when `given_up` ends. Then it removes what it has made, as after a failure,
    /// and returns the error of `given_up`.
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
        // An `up` that has changed nothing is not recorded.
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
    pub(super) async fn carry_out(
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
        let mut given_up = std::pin::pin!(given_up);
        let launched = async {
            let launched = launch_unless(&*self.runtime, &wanted, given_up.as_mut()).await?;
            tokio::select! {
                biased;
                error = given_up => Err(error),
                ready = ready::wait(&*self.runtime, &*self.probing, &wanted, &launched, &record.ready) => ready,
            }
        };
        match launched.await {
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

    /// Brings up what the instances of a service share, in an environment of its own, or changes that environment to
    /// what the specification says. Nothing else changes it. With `missing_only`, components that exist are not
    /// changed.
    ///
    /// The result is `None` if there is nothing to do: every component is versioned, or `missing_only` is set and none
    /// is missing.
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

    pub(super) async fn prepare(
        &self,
        name: &EnvironmentName,
        spec: &EnvironmentSpec,
        options: &UpOptions,
    ) -> Result<Prepared> {
        if let Some(unknown) = options.only.iter().find(|name| !spec.components.contains_key(*name)) {
            let known: Vec<&str> = spec.components.keys().map(ComponentName::as_str).collect();
            return Err(Error::new(ErrorKind::NotFound, format!("there is no component `{unknown}`"))
                .with_hint(format!("the components are `{}`", known.join("`, `"))));
        }
        check_networks(spec)?;
        if let Some(settings) = &spec.settings {
            check_http(&*self.probing, settings)?;
        }
        self.check_name(name, spec, options).await?;
        let members = with_needs(spec, &options.only);
        let pulls = members.iter().map(|name| async {
            let component = &spec.components[name];
            if let Some(image) = options.images.get(name) {
                return Ok((name.clone(), image.clone()));
            }
            let mut how = component.pull_options(PullWhen::Missing);
            if options.pull && component.pull_policy != Some(PullPolicy::Build) {
                how.when = PullWhen::Refresh;
            }
            let image = self.runtime.pull_with(&component.image, &how).await;
            Ok((name.clone(), image.map_err(|error| component.not_pulled(error))?))
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
            spec_digest: NETWORK_DIGEST.to_owned(),
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

    /// Removes everything but these containers. A failure is only logged: the error that led here counts. `first`:
    /// there was nothing before, so nobody needs the contents of unnamed volumes, and they are removed, too.
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

/// Refuses settings of a network that a file may have, but that no engine can apply.
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

/// In place of the digest of a whole specification. It decides nothing: in an environment by name, each component and
/// each network has a digest of its own.
const NETWORK_DIGEST: &str = "network";

/// The specification with a component for each replica, and the options with these components in place of their first.
/// What a promotion releases stays as it is.
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
