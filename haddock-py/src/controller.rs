//! The controller and its verbs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use haddock_core::controller::ReleaseOptions;
use haddock_core::environment::ServiceSettings;
use haddock_core::environment::compose::{Purpose, Values};
use haddock_core::environment::environments::UpOptions;
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::Keep;
use haddock_core::locator::ServiceLocator;
use haddock_core::rehearsal::Minute;
use haddock_core::release::{Adoption, Verb};
use haddock_core::{Error, ErrorKind, LocatorName, Result, ServiceName, Timestamp, VersionId};
use pyo3::prelude::*;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::compose::{self, Options};
use crate::convert::{seconds, to_python};
use crate::driver::{Driver, VirtualTime};
use crate::environment::Environments;
use crate::error::Raised;
use crate::follow;
use crate::home::Home;
use crate::house::{House, Parts};
use crate::locator::Locator;
use crate::python::PythonGate;
use crate::release::{Release, steering};
use crate::runtime::Runtime;
use crate::sim::{SimLocator, SimRuntime, unknown};

/// A controller.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Controller {
    house: Home<Arc<House>>,
}

/// Makes a controller from its parts.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one for each part")]
pub(crate) fn controller(
    runtime: &Bound<'_, PyAny>,
    locators: BTreeMap<String, Bound<'_, PyAny>>,
    journal: Option<PathBuf>,
    specs: Option<PathBuf>,
    holder: String,
    time: Option<&VirtualTime>,
    tick: Option<f64>,
    lease: Option<f64>,
    journal_keep: Option<&str>,
    gates: BTreeMap<String, Py<PyAny>>,
) -> PyResult<Controller> {
    let runtime = if let Ok(sim) = runtime.cast::<SimRuntime>() {
        sim.get().inner()?
    } else if let Ok(runtime) = runtime.cast::<Runtime>() {
        runtime.get().inner.get()?.clone()
    } else {
        return Err(unknown("container runtime"));
    };
    let locators = locators.into_iter().map(|(name, locator)| {
        let locator: Arc<dyn ServiceLocator> = if let Ok(sim) = locator.cast::<SimLocator>() {
            Arc::new(sim.get().locator.get()?.clone())
        } else if let Ok(locator) = locator.cast::<Locator>() {
            Arc::clone(&locator.get().inner.get()?.locator)
        } else {
            return Err(unknown("service locator"));
        };
        Ok((LocatorName::new(name).raised()?, locator))
    });
    let locators = locators.collect::<PyResult<BTreeMap<_, _>>>()?;
    if locators.is_empty() {
        return Err(unknown("service locator"));
    }
    let specs = match specs {
        Some(folder) => SpecStore::directory(folder).raised()?,
        None => SpecStore::memory(),
    };
    let (tick, lease) = (tick.map(seconds).transpose()?, lease.map(seconds).transpose()?);
    let keep = journal_keep.map_or_else(|| Ok(Keep::default()), str::parse).raised()?;
    let driver = Driver::of(time)?;
    let gates = gates.into_iter().map(|(name, call)| PythonGate::new(name, call)).collect();
    let parts = Parts { runtime, locators, journal, specs, holder, driver, tick, lease, keep, gates };
    Ok(Controller { house: Home::new(Arc::new(House::new(parts).raised()?)) })
}

impl Controller {
    fn house(&self) -> PyResult<Arc<House>> {
        self.house.get().map(Arc::clone)
    }

    fn ask(&self, service: &str, verb: Verb, by: String) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        calls.done(async move { house.ask(&name, verb, &by).await })
    }
}

#[pymethods]
impl Controller {
    /// The environments of its journal.
    fn environments(&self) -> PyResult<Environments> {
        Ok(Environments::of(self.house()?))
    }

    /// Releases what a compose file describes.
    fn release(
        &self,
        files: Option<Vec<PathBuf>>,
        options: Options,
        commit: Option<String>,
        by: String,
        force: bool,
    ) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = {
            let house = Arc::clone(&house);
            async move {
                let found = compose::resolve(files.as_deref(), &options, Purpose::Release)?;
                let asked = UpOptions {
                    by: by.clone(),
                    commit: commit.clone(),
                    file: Some(found.file.clone()),
                    ..UpOptions::default()
                };
                let found = found.resolved;
                house.require_locators(&found.name).await?;
                // Missing shared components are brought up. Only `up` changes existing ones.
                house.controller().environments().up_shared(&found.spec, &asked, true).await?;
                let release = house.release(&found.spec, &by, ReleaseOptions { commit, force }).await?;
                Ok((release, found.name))
            }
        };
        calls.call(work, |py, (release, name)| Ok(Py::new(py, Release::new(house, name, release))?.into_any()))
    }

    /// Goes back to the version that was good before.
    fn rollback(&self, service: &str, to: Option<u64>, by: String) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        let work = {
            let house = Arc::clone(&house);
            async move {
                let service = house.service(&name);
                let release = match to {
                    None => service.rollback(&by).await?,
                    Some(version) => service.rollback_to(VersionId(version), &by).await?,
                };
                house.act(&name).await?;
                Ok((release, name))
            }
        };
        calls.call(work, |py, (release, name)| Ok(Py::new(py, Release::new(house, name, release))?.into_any()))
    }

    /// Takes over a server that runs already, with its sessions. Without a file the settings are the defaults.
    #[expect(clippy::too_many_arguments, reason = "one for each thing that can be said")]
    fn adopt(
        &self,
        service: &str,
        address: &str,
        files: Option<Vec<PathBuf>>,
        options: Options,
        idle: Option<f64>,
        cookie: Option<String>,
        by: String,
    ) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let address = crate::locator::address(address).raised()?;
        let idle = idle.map(seconds).transpose()?;
        let calls = house.calls();
        calls.done(async move {
            let mut settings = match files {
                Some(files) => {
                    compose::resolve(Some(&files), &options, Purpose::Release)?.resolved.spec.service()?.clone()
                }
                None => ServiceSettings::external(name.clone(), address),
            };
            if settings.service != name {
                let message = format!("the file describes service `{}`, not `{name}`", settings.service);
                return Err(Error::new(ErrorKind::InvalidName, message));
            }
            settings.session.idle = idle.unwrap_or(settings.session.idle);
            house.adopt(Adoption { address, settings, cookie }, &by).await
        })
    }

    /// Rebuilds the lost journal of a service from the labels of its containers and the locator's table.
    fn recover(&self, service: &str, files: Option<Vec<PathBuf>>, options: Options) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        calls.done(async move {
            let spec = match files {
                Some(files) => Some(compose::resolve(Some(&files), &options, Purpose::Release)?.resolved.spec),
                None => None,
            };
            house.recover(&name, spec).await
        })
    }

    /// Holds the ramp where it is.
    fn pause(&self, service: &str, by: String) -> PyResult<Call> {
        self.ask(service, Verb::Pause, by)
    }

    /// Goes on with the ramp.
    fn resume(&self, service: &str, by: String) -> PyResult<Call> {
        self.ask(service, Verb::Resume, by)
    }

    /// Ends the stage at once.
    fn advance(&self, service: &str, by: String) -> PyResult<Call> {
        self.ask(service, Verb::Advance, by)
    }

    /// Ends the release and gives its share back.
    fn abort(&self, service: &str, by: String) -> PyResult<Call> {
        self.ask(service, Verb::Abort, by)
    }

    /// Takes the service away. With `wait`, waits until nothing is left of it.
    fn retire(&self, service: &str, by: String, wait: bool) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        calls.done(async move {
            let service = house.service(&name);
            service.check_known(&Verb::Retire).await?;
            house.act(&name).await?;
            service.retire(&by).await?;
            if wait { service.retired().await } else { Ok(()) }
        })
    }

    /// The steps that a verb would do, one sentence each.
    fn plan_verb(&self, service: &str, verb: &str, to: Option<u64>) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let verb = match (verb, to) {
            ("rollback", Some(version)) => Verb::RollbackTo(VersionId(version)),
            ("rollback", None) => Verb::Rollback,
            (steers, _) => steering(steers)?,
        };
        let work = {
            let house = Arc::clone(&house);
            async move { house.service(&name).plan_verb(&verb).await }
        };
        house.calls().call(work, |py, steps| to_python(py, &steps))
    }

    /// What taking the service away would do.
    fn plan_retire(&self, service: &str) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let work = {
            let house = Arc::clone(&house);
            async move { house.service(&name).plan_retire().await }
        };
        house.calls().call(work, |py, steps| to_python(py, &steps))
    }

    /// The state of the service, as plain data.
    fn status(&self, service: &str) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        let work = async move {
            let service = house.service(&name);
            let (status, acting) = (service.status_in_full().await?, service.acting().await?);
            Ok(status.map(|status| json!({ "summary": status.summary(), "acting": acting })))
        };
        calls.call(work, |py, status| to_python(py, &status))
    }

    /// The services of the journal.
    fn services(&self) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        calls.call(async move { house.services().await }, |py, services| to_python(py, &services))
    }

    /// The sequence of the newest event.
    fn newest(&self, service: &str) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        calls.call(async move { house.newest(&name).await }, |py, newest| to_python(py, &newest))
    }

    /// Events with their messages, as plain data.
    fn history(&self, service: &str, since: u64, limit: Option<usize>) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        let work = async move { house.history(&name, since, limit.unwrap_or(usize::MAX)).await };
        calls.call(work, |py, told| to_python(py, &told))
    }

    /// A release as a page of HTML.
    fn report(&self, service: &str, version: Option<String>) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        let work = async move { Ok(json!(house.service(&name).report(version.as_deref()).await?.html())) };
        calls.call(work, |py, html| to_python(py, &html))
    }

    /// The service's sessions by minute in this time, as its locators recorded them, and the seconds of which nothing was
    /// recorded.
    fn traffic(&self, service: &str, from: u64, until: u64) -> PyResult<Call> {
        let (house, name) = (self.house()?, ServiceName::new(service).raised()?);
        let calls = house.calls();
        let work = async move {
            let [from, until] = [from, until].map(Timestamp::from_millis);
            let records = house.service(&name).traffic(from, until).await;
            let records = records.into_values().collect::<Result<Vec<_>, _>>()?;
            let unknown =
                records.iter().flat_map(|record| &record.gaps).map(|gap| (gap.to - gap.from).as_secs()).sum::<u64>();
            Ok(json!({ "minutes": Minute::of(&records), "unknown": unknown }))
        };
        calls.call(work, |py, told| to_python(py, &told))
    }

    /// The resolved compose file, as plain data.
    fn resolve(&self, files: Option<Vec<PathBuf>>, options: Options, release: bool) -> PyResult<Call> {
        let calls = self.house()?.calls();
        let work = async move { compose::resolve(files.as_deref(), &options, purpose(release)) };
        calls.call(work, |py, found| to_python(py, &compose::plain(&found)))
    }

    /// The resolved compose file as Compose writes it, as YAML or JSON; with the values of variables, or `***`.
    fn config(
        &self,
        files: Option<Vec<PathBuf>>,
        options: Options,
        release: bool,
        values: bool,
        yaml: bool,
    ) -> PyResult<Call> {
        let calls = self.house()?.calls();
        let work = async move {
            let found = compose::resolve(files.as_deref(), &options, purpose(release))?;
            let values = if values { Values::Shown } else { Values::Hidden };
            Ok(json!(compose::text(&found, values, yaml)))
        };
        calls.call(work, |py, text| to_python(py, &text))
    }

    /// What a release would do, as plain data.
    fn plan(&self, files: Option<Vec<PathBuf>>, options: Options) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let work = async move {
            let found = compose::resolve(files.as_deref(), &options, Purpose::Release)?;
            let service = house.service(&found.resolved.name);
            let steps = service.plan(&found.resolved.spec).await?;
            Ok(json!({ "environment": compose::plain(&found), "steps": steps }))
        };
        calls.call(work, |py, plan| to_python(py, &plan))
    }

    /// Acts for every service of the journal, or for these, until it is cancelled.
    fn serve(&self, services: Option<Vec<String>>) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let services: Option<Vec<ServiceName>> = services
            .map(|names| names.into_iter().map(ServiceName::new).collect::<Result<_>>())
            .transpose()
            .raised()?;
        let stop = CancellationToken::new();
        let serving = {
            let stop = stop.clone();
            async move { house.controller().serve_some(services, stop.cancelled()).await }
        };
        // When cancelled, it stops cleanly and gives the leases back.
        let work = async move {
            let _stop = stop.drop_guard();
            tokio::spawn(serving).await.unwrap_or(Ok(()))
        };
        calls.done(work)
    }

    /// Releases each new tag by itself, as the compose file says, until it is cancelled.
    fn follow(&self, files: Option<Vec<PathBuf>>, options: Options) -> PyResult<Call> {
        let house = self.house()?;
        let calls = house.calls();
        let stop = CancellationToken::new();
        let following = {
            let (stop, follower) = (stop.clone(), follow::follower(&house, files, options).raised()?);
            async move { follower.run(stop.cancelled()).await }
        };
        // When cancelled, it says that it does not follow any more.
        let work = async move {
            let _stop = stop.drop_guard();
            tokio::spawn(following).await.unwrap_or(Ok(()))
        };
        calls.done(work)
    }

    /// What comes next by itself, as plain data. Nothing is done.
    fn outlook(&self, files: Option<Vec<PathBuf>>, options: Options) -> PyResult<Call> {
        let house = self.house()?;
        let work = {
            let house = Arc::clone(&house);
            async move { follow::outlook(follow::follower(&house, files, options)?).await }
        };
        house.calls().call(work, |py, outlook| to_python(py, &outlook))
    }

    /// The findings of the check, each problem with its fix, as plain data.
    fn check(&self) -> PyResult<Call> {
        let house = self.house()?;
        house.calls().call(async move { Ok(house.check().await) }, |py, findings| to_python(py, &findings))
    }

    /// Stops this controller. Another may go on.
    fn close(&self) -> PyResult<Call> {
        let house = self.house()?;
        Ok(house.driver.clone().done(async move { house.close().await }))
    }
}

/// The purpose for which a file is resolved.
fn purpose(release: bool) -> Purpose {
    if release { Purpose::Release } else { Purpose::Environment }
}
