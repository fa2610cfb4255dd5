//! Environments by name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use haddock_core::controller::PromoteOptions;
use haddock_core::environment::compose::Purpose;
use haddock_core::environment::environments::{
    self, Environment, EnvironmentEvent, Pruned, Switch, Switched, UpOptions,
};
use haddock_core::environment::idle::IdlePolicy;
use haddock_core::environment::{Difference, EnvironmentSpec, Origin, Target};
use haddock_core::{ComponentName, EnvironmentName, Error, ErrorKind, Result, ServiceName, VersionId};
use pyo3::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::attach::{self, Command, Place};
use crate::call::Call;
use crate::compose::{self, Options};
use crate::convert::to_python;
use crate::error::Raised;
use crate::home::Home;
use crate::house::House;
use crate::logs::{Logs, Query};
use crate::progress::{self, Progress, Told};
use crate::release::Release;

/// The environment that a call means: the named one, or that of a file and a branch.
#[derive(FromPyObject, Clone)]
#[pyo3(from_item_all)]
pub(crate) struct Which {
    name: Option<String>,
    files: Option<Vec<PathBuf>>,
    branch: Option<String>,
    options: Options,
}

/// The arguments of an `up`.
#[derive(FromPyObject, Clone)]
#[pyo3(from_item_all)]
pub(crate) struct How {
    only: Vec<String>,
    pull: bool,
    keep_on_failure: bool,
    commit: Option<String>,
    by: String,
    dry_run: bool,
    shared: bool,
    renew_anonymous_volumes: bool,
    take_over: bool,
}

impl How {
    /// The arguments besides file and commit.
    fn options(&self) -> Result<UpOptions> {
        Ok(UpOptions {
            only: self.only.iter().map(ComponentName::new).collect::<Result<_>>()?,
            pull: self.pull,
            keep_on_failure: self.keep_on_failure,
            renew_anonymous_volumes: self.renew_anonymous_volumes,
            take_over: self.take_over,
            by: self.by.clone(),
            ..UpOptions::default()
        })
    }
}

impl Which {
    fn name(&self) -> Result<EnvironmentName> {
        Ok(self.derived()?.0)
    }

    /// The name and, if it is derived from a file, the place of the file.
    fn derived(&self) -> Result<(EnvironmentName, Option<Origin>)> {
        match &self.name {
            Some(name) => Ok((EnvironmentName::new(name)?, None)),
            None => {
                let (file, origin) = compose::name(self.files.as_deref(), &self.options)?;
                Ok((EnvironmentName::of_branch(&file, self.branch.as_deref()), origin))
            }
        }
    }

    /// The name. A name that is derived from a file is refused if the environment belongs to another
    /// folder.
    async fn name_in(&self, house: &House) -> Result<EnvironmentName> {
        let (name, origin) = self.derived()?;
        if let Some(origin) = origin {
            house.controller().environments().check_origin(&name, &origin).await?;
        }
        Ok(name)
    }
}

/// The environments of a controller's journal.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Environments {
    house: Home<Arc<House>>,
    /// The listener for the next call's events.
    told: Told,
}

impl Environments {
    pub(crate) fn of(house: Arc<House>) -> Self {
        Self { house: Home::new(house), told: Told::default() }
    }

    fn house(&self) -> PyResult<Arc<House>> {
        self.house.get().map(Arc::clone)
    }

    /// Does the work, and reports its events to the listener of this call.
    fn told<T, F: Future<Output = T>>(&self, work: F) -> impl Future<Output = T> + use<T, F> {
        let observer = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        progress::told(observer, work)
    }
}

#[pymethods]
impl Environments {
    /// Sets the listener for the next call's events.
    fn tell(&self, progress: &Progress) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = progress.sender();
    }

    /// Brings an environment up. Returns its name, what was or would be done, and its state afterwards.
    fn up(&self, which: Which, how: How) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let given_up = CancellationToken::new();
        let stop = given_up.clone();
        let work = async move {
            let mut file_options = which.options.clone();
            let purpose = if how.shared { Purpose::Release } else { Purpose::Environment };
            if how.shared {
                // The shared components do not depend on it, but the rest of the file may need it.
                file_options.tag.get_or_insert_with(|| "shared".to_owned());
            }
            let name = if how.shared { None } else { Some(which.name()?) };
            let found = compose::resolve_as(which.files.as_deref(), &file_options, purpose, name.as_ref(), &how.only)?;
            let notes: Vec<String> = found.resolved.notes.iter().map(ToString::to_string).collect();
            let file = Some(found.file.clone());
            let (origin, aside) = (found.origin.clone(), found.resolved.inactive.clone());
            let mut options = UpOptions { file, origin, aside, commit: how.commit.clone(), ..how.options()? };
            let (name, spec) = match name {
                Some(name) => {
                    // The environment's name in it must not get into the service that it may be promoted
                    // to.
                    let files = which.files.as_deref();
                    let found_for_service = compose::resolve_as(files, &file_options, purpose, None, &how.only);
                    let for_service = found_for_service.ok().map(|found| found.resolved.spec);
                    options.for_service = for_service.filter(|spec| *spec != found.resolved.spec);
                    (name, found.resolved.spec)
                }
                None => {
                    let (name, service, spec) = shared(&found.resolved.spec)?;
                    options.shared_by = Some(service);
                    (name, spec)
                }
            };
            bring_up(&house, &name, &spec, &options, how.dry_run, &notes, stop).await
        };
        calls.undoing(given_up, self.told(work), |py, up: Value| to_python(py, &up))
    }

    /// Takes an environment down. Returns whether there was one.
    fn down(&self, which: Which, volumes: bool) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = async move {
            let name = which.name_in(&house).await?;
            let there = house.controller().down(&name, volumes).await?;
            Ok(json!({ "name": name, "was_there": there }))
        };
        calls.call(self.told(work), |py, down: Value| to_python(py, &down))
    }

    /// The plan of taking an environment down.
    fn plan_down(&self, which: Which, volumes: bool) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = async move {
            let name = which.name_in(&house).await?;
            let components = match house.controller().environments().get(&name).await {
                Ok(environment) => environment.components.into_keys().collect(),
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            let remove =
                |component| json!({ "component": component, "change": "remove", "cause": "the environment goes" });
            let steps: Vec<Value> = components.into_iter().map(remove).collect();
            let kept = if volumes { "its volumes go with it, and what is in them" } else { "its volumes stay" };
            let volumes = house.controller().environments().volumes(&name).await?;
            Ok(json!({ "name": name, "steps": steps, "notes": [kept], "volumes": volumes }))
        };
        calls.call(work, |py, plan: Value| to_python(py, &plan))
    }

    /// The present state of the environment.
    fn get(&self, which: Which) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = async move {
            let environment = house.controller().environments().get(&which.name_in(&house).await?).await?;
            Ok(plain(&environment))
        };
        calls.call(work, |py, environment: Value| to_python(py, &environment))
    }

    /// All environments of the journal.
    fn list(&self) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = async move {
            let all = house.controller().environments().list().await?;
            Ok(Value::from(all.iter().map(plain).collect::<Vec<_>>()))
        };
        calls.call(work, |py, all: Value| to_python(py, &all))
    }

    /// Starts a command within a container, and returns its streams.
    fn attach(&self, place: Place, command: Command) -> PyResult<Call> {
        attach::start(&self.house()?, place, command)
    }

    /// Ends environments that nobody uses. Returns what was done with each.
    fn prune(&self, stop_after: Option<f64>, remove_after: Option<f64>, dry_run: bool) -> PyResult<Call> {
        let house = self.house()?;
        let policy = IdlePolicy {
            stop_after: stop_after.map(crate::convert::seconds).transpose()?,
            remove_after: remove_after.map(crate::convert::seconds).transpose()?,
        };
        let calls = house.calls();
        let work = async move {
            let pruned = house.controller().prune(&policy, dry_run).await?;
            let plain = |it: Pruned| {
                let mut plain = json!(it.verdict);
                plain["name"] = json!(it.name);
                plain
            };
            Ok(pruned.into_iter().map(plain).collect::<Vec<_>>())
        };
        calls.call(work, |py, pruned: Vec<Value>| to_python(py, &pruned))
    }

    /// Keeps an environment for that many seconds, even if nobody uses it.
    fn keep(&self, which: Which, time: f64) -> PyResult<Call> {
        let (house, time) = (self.house()?, crate::convert::seconds(time)?);
        let calls = house.calls();
        let work = async move {
            let name = which.name_in(&house).await?;
            house.controller().environments().keep(&name, time).await?;
            Ok(json!({ "name": name }))
        };
        calls.call(work, |py, kept: Value| to_python(py, &kept))
    }

    /// Makes the users of a component use a target instead.
    fn link(&self, which: Which, component: &str, target: Option<&str>, live: bool, dry_run: bool) -> PyResult<Call> {
        let (house, component) = (self.house()?, ComponentName::new(component).raised()?);
        let target: Option<Target> = target.map(str::parse).transpose().raised()?;
        let calls = house.calls();
        let work = async move {
            let (name, controller) = (which.name_in(&house).await?, house.controller());
            if dry_run {
                let plan = controller.environments().plan_link(&name, &component, target).await?;
                return Ok(json!({ "name": name, "steps": plan_json(&plan), "users": [], "verified": [] }));
            }
            let how = if live { Switch::Live } else { Switch::Restart };
            let Switched { plan, users, verified } = controller.link(&name, &component, target, how).await?;
            Ok(json!({ "name": name, "steps": plan_json(&plan), "users": users, "verified": verified }))
        };
        calls.call(self.told(work), |py, switched: Value| to_python(py, &switched))
    }

    /// Releases an environment, with its production settings.
    fn promote(&self, which: Which, service: Option<String>, by: String, force: bool) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = {
            let house = Arc::clone(&house);
            async move {
                let name = which.name_in(&house).await?;
                let (tested, service) = find(&house, &name, service).await?;
                house.require_locators(&service).await?;
                let asked = UpOptions {
                    by: by.clone(),
                    commit: tested.commit.clone(),
                    file: tested.file.clone(),
                    ..UpOptions::default()
                };
                // Missing shared components are brought up. Only `up` changes existing ones.
                house.controller().environments().up_shared(&tested.spec, &asked, true).await?;
                let options = PromoteOptions { force };
                let release = house.service(&service).promote_this(&name, tested, &by, options).await?;
                house.act(&service).await?;
                Ok((release, service))
            }
        };
        calls.call(self.told(work), |py, (release, name)| {
            Ok(Py::new(py, Release::new(house, name, release))?.into_any())
        })
    }

    /// What a promotion would do, step by step.
    fn plan_promote(&self, which: Which, service: Option<String>) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = async move {
            let (tested, service) = find(&house, &which.name_in(&house).await?, service).await?;
            tested.spec.check_side_by_side()?;
            let steps = house.service(&service).plan(&tested.spec).await?;
            let components = compose::components(&tested.spec, &BTreeMap::new());
            let environment = json!({ "service": service, "components": components, "notes": [] });
            Ok(json!({ "environment": environment, "steps": steps }))
        };
        calls.call(work, |py, plan: Value| to_python(py, &plan))
    }

    /// Brings up a copy of a service's version as an environment.
    fn up_like(&self, which: Which, how: How, service: &str, version: Option<u64>) -> PyResult<Call> {
        let (house, service) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        let given_up = CancellationToken::new();
        let stop = given_up.clone();
        let work = async move {
            let like = house.service(&service).like(version.map(VersionId)).await?;
            let name = match &which.name {
                Some(_) => which.name()?,
                None => EnvironmentName::of_branch(&service, Some("like")),
            };
            let options = UpOptions { images: like.images, commit: like.commit, file: like.file, ..how.options()? };
            bring_up(&house, &name, &like.spec, &options, how.dry_run, &[], stop).await
        };
        calls.undoing(given_up, self.told(work), |py, up: Value| to_python(py, &up))
    }

    /// How the running environment differs from its file.
    fn diff(&self, which: Which) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = async move {
            let name = which.name_in(&house).await?;
            let found =
                compose::resolve_as(which.files.as_deref(), &which.options, Purpose::Environment, Some(&name), &[])?;
            house.controller().environments().diff(&name, &found.resolved.spec).await
        };
        calls.call(work, |py, found: Vec<Difference>| to_python(py, &found))
    }

    /// What was done with environments of that name, oldest first.
    fn history(&self, which: Which) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = async move { house.controller().environments().history(&which.name()?) };
        calls.call(work, |py, all: Vec<EnvironmentEvent>| to_python(py, &all))
    }

    /// The targets of each component's links, by alias.
    fn links(&self, name: &str) -> PyResult<Call> {
        let (house, name) = (self.house()?, EnvironmentName::new(name).raised()?);
        let calls = house.calls();
        let work = async move { house.controller().environments().links(&name) };
        calls.call(work, |py, links| to_python(py, &links))
    }

    /// A component's log as it grows.
    fn follow_logs(&self, name: &str, component: String, tail: usize) -> PyResult<LogLines> {
        let (house, name) = (self.house()?, EnvironmentName::new(name).raised()?);
        let lines = Lines { house: Arc::clone(&house), name, component, tail, stream: None };
        Ok(LogLines { house: Home::new(house), lines: Home::new(Arc::new(tokio::sync::Mutex::new(lines))) })
    }

    /// The merged logs of several components, in an environment or in an instance of a service.
    fn read_logs(&self, place: Place, components: Vec<String>, query: Query) -> PyResult<Logs> {
        Ok(Logs::new(self.house()?, place, components, query))
    }

    /// Claims the environment for this process.
    fn claim(&self, name: &str) -> PyResult<Claim> {
        let (house, name) = (self.house()?, EnvironmentName::new(name).raised()?);
        let claim = house.controller().environments().claim(&name).raised()?;
        Ok(Claim(Mutex::new(Some(claim))))
    }

    /// The last lines of a component's log.
    fn logs(&self, name: &str, component: String, tail: usize) -> PyResult<Call> {
        let (house, name) = (self.house()?, EnvironmentName::new(name).raised()?);
        let calls = house.calls();
        let work = async move { house.controller().environments().logs(&name, &component, tail).await };
        calls.call(work, |py, lines: Vec<String>| to_python(py, &lines))
    }
}

/// Brings an environment up, or returns the plan, as plain data.
async fn bring_up(
    house: &House,
    name: &EnvironmentName,
    spec: &EnvironmentSpec,
    options: &UpOptions,
    dry_run: bool,
    notes: &[String],
    stop: CancellationToken,
) -> Result<Value> {
    let environments = house.controller().environments();
    if dry_run {
        let plan = environments.plan(name, spec, options).await?;
        return Ok(json!({ "name": name, "steps": plan_json(&plan), "notes": notes }));
    }
    let given_up = async {
        stop.cancelled().await;
        Error::new(ErrorKind::TimedOut, format!("`up` of environment `{name}` was given up before it was ready"))
    };
    let up = environments.up_unless(name, spec, options, given_up).await?;
    Ok(json!({ "environment": plain(&up.environment), "steps": plan_json(&up.plan), "notes": notes }))
}

/// The shared environment of a service, and its name.
fn shared(spec: &EnvironmentSpec) -> Result<(EnvironmentName, ServiceName, EnvironmentSpec)> {
    let spec = spec.in_production()?;
    let service = spec.shared_by().ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "every component is versioned: nothing is shared")
            .with_hint("list what is to be shared under `x-haddock.shared`")
    })?;
    Ok((EnvironmentName::shared_by(service), service.clone(), spec.shared()))
}

/// A tested environment, and its service.
async fn find(
    house: &House,
    name: &EnvironmentName,
    service: Option<String>,
) -> Result<(environments::TestedEnvironment, ServiceName)> {
    let tested = house.controller().environments().tested(name).await?;
    let service = match service {
        Some(service) => ServiceName::new(service)?,
        None => tested.spec.service()?.service.clone(),
    };
    Ok((tested, service))
}

/// A followed log. Reading begins when the first line is asked for.
struct Lines {
    house: Arc<House>,
    name: EnvironmentName,
    component: String,
    tail: usize,
    stream: Option<BoxStream<'static, Result<String>>>,
}

impl Lines {
    /// The next line; `None`: the container has ended.
    async fn next(&mut self) -> Result<Option<String>> {
        if self.stream.is_none() {
            let environments = self.house.controller().environments();
            self.stream = Some(environments.follow_logs(&self.name, &self.component, self.tail).await?);
        }
        match &mut self.stream {
            Some(stream) => stream.next().await.transpose(),
            None => Ok(None),
        }
    }
}

/// A log as it grows.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct LogLines {
    house: Home<Arc<House>>,
    lines: Home<Arc<tokio::sync::Mutex<Lines>>>,
}

#[pymethods]
impl LogLines {
    /// The next line; `None`: there are no more.
    fn next(&self) -> PyResult<Call> {
        let lines = Arc::clone(self.lines.get()?);
        let work = async move { lines.lock().await.next().await };
        self.house.get()?.calls().call(work, |py, line: Option<String>| to_python(py, &line))
    }
}

/// The claim of this process on an environment.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Claim(Mutex<Option<environments::Claim>>);

#[pymethods]
impl Claim {
    /// Ends the claim cleanly.
    fn release(&self) {
        if let Some(claim) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            claim.release();
        }
    }
}

fn plan_json(plan: &haddock_core::environment::Plan) -> Vec<Value> {
    let steps = plan.0.iter().map(|planned| {
        json!({
            "component": planned.component,
            "change": planned.change,
            "cause": planned.cause.to_string(),
        })
    });
    steps.collect()
}

fn plain(environment: &Environment) -> Value {
    let components = environment.components.iter().map(|(name, container)| {
        json!({
            "name": name,
            "container": container.name,
            "state": container.state,
            "health": container.health,
            "addresses": container.addresses,
            "published": container.published,
        })
    });
    json!({
        "name": environment.name,
        "components": components.collect::<Vec<_>>(),
        "by": environment.by,
        "commit": environment.commit,
        "file": environment.file,
    })
}
