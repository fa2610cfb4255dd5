//! What a controller and its releases share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use haddock_core::container::Selector;
use haddock_core::controller::{
    Acting, Controller as CoreController, FoundJournal, RecoverOptions, ReleaseOptions, Service, find_journals,
};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::journal::{Checkpoint, Journal, Keep};
use haddock_core::locator::ServiceLocator;
use haddock_core::release::{Adoption, Telling, Verb};
use haddock_core::runtime::ImageRegistry;
use haddock_core::{Error, ErrorKind, JournalId, LocatorName, Result, ServiceName};
use pyo3::prelude::*;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::call::Call;
use crate::convert::none;
use crate::driver::{Driver, pause};
use crate::error::Failure;
use crate::locator::findings;
use crate::python::PythonGate;
use crate::runtime::Inner as Runtime;

/// The time in which a gateway that is being replaced, or that `haddock serve` restarts, is back.
const GATEWAY_TRIES: u32 = 20;
const GATEWAY_RETRY: Duration = Duration::from_millis(100);
const GATEWAY_HINT: &str =
    "start one with `haddock serve`, or name another with `gateway`, `--gateway` or HADDOCK_GATEWAY";
const HAPROXY_HINT: &str = "start it, or name its socket with `haproxy`, `--haproxy` or HADDOCK_HAPROXY";
/// Events that are read at a time.
const PAGE: usize = 256;

fn hint_for(locator: &LocatorName) -> &'static str {
    if locator.as_str() == "haproxy" { HAPROXY_HINT } else { GATEWAY_HINT }
}

/// The parts of a controller.
pub(crate) struct Parts {
    pub(crate) runtime: Runtime,
    /// At least one.
    pub(crate) locators: BTreeMap<LocatorName, Arc<dyn ServiceLocator>>,
    /// The journal's file; without one it is in memory.
    pub(crate) journal: Option<PathBuf>,
    pub(crate) specs: SpecStore,
    pub(crate) holder: String,
    pub(crate) driver: Driver,
    pub(crate) tick: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    pub(crate) keep: Keep,
    pub(crate) gates: Vec<PythonGate>,
}

impl Parts {
    fn open(&self) -> Result<Arc<dyn Journal>> {
        match &self.journal {
            Some(path) => Ok(Arc::new(SqliteJournal::open(path)?)),
            None => Ok(Arc::new(MemoryJournal::new(self.journal_id()?))),
        }
    }

    /// The id of a journal in memory. In virtual time there are no other journals; on a real engine there may be.
    fn journal_id(&self) -> Result<JournalId> {
        if self.driver.is_virtual() {
            return JournalId::new("sim");
        }
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
        JournalId::new(format!("{random:016x}"))
    }

    fn put_together(&self, journal: Arc<dyn Journal>) -> Result<Now> {
        let runtime = Arc::clone(&self.runtime.runtime);
        let first = self
            .locators
            .values()
            .next()
            .ok_or_else(|| Error::new(ErrorKind::InvalidValue, "a controller needs a locator"))?;
        let mut builder = CoreController::builder(runtime, Arc::clone(first), Arc::clone(&journal), self.specs.clone())
            .locators(self.locators.clone())
            .keep(self.keep)?
            .holder(self.holder.clone());
        for gate in &self.gates {
            builder = builder.gate(gate.name(), gate.clone());
        }
        if let Some(probing) = &self.runtime.probing {
            builder = builder.probing(Arc::clone(probing));
        }
        builder = self.driver.pace(builder);
        builder = self.tick.into_iter().fold(builder, |builder, tick| builder.tick(tick));
        builder = self.lease.into_iter().try_fold(builder, |builder, lease| builder.lease(lease))?;
        Ok(Now { controller: builder.build(), journal })
    }
}

#[derive(Clone)]
struct Now {
    controller: CoreController,
    journal: Arc<dyn Journal>,
}

/// What a controller and its releases share.
pub(crate) struct House {
    pub(crate) driver: Driver,
    parts: Parts,
    now: RwLock<Now>,
    acting: Mutex<BTreeMap<ServiceName, Acting>>,
    closed: CancellationToken,
}

/// Makes calls of a controller: they end when it is closed.
#[derive(Clone)]
pub(crate) struct Calls {
    driver: Driver,
    closed: CancellationToken,
}

impl Calls {
    /// A call that answers with what `convert` makes of its result.
    ///
    /// # Errors
    /// The controller was closed.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Call> {
        let closed = self.open()?;
        let work = async move {
            tokio::select! {
                biased;
                () = closed.cancelled_owned() => Err(Failure::Closed),
                ended = future => ended.map_err(Failure::from),
            }
        };
        Ok(self.driver.start(work, None, convert))
    }

    /// A call that answers with nothing.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) fn done(&self, future: impl Future<Output = Result<()>> + Send + 'static) -> PyResult<Call> {
        self.call(future, |py, ()| Ok(none(py)))
    }

    /// A call of a future that undoes what it has made when the token is cancelled, and then ends.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) fn undoing<T: Send + 'static>(
        &self,
        given_up: CancellationToken,
        future: impl Future<Output = Result<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Call> {
        let (closed, stop) = (self.open()?, given_up.clone());
        let work = async move {
            let mut future = std::pin::pin!(future);
            tokio::select! {
                biased;
                () = closed.cancelled_owned() => {
                    stop.cancel();
                    let _ = future.await;
                    Err(Failure::Closed)
                }
                ended = &mut future => ended.map_err(Failure::from),
            }
        };
        Ok(self.driver.start(work, Some(given_up), convert))
    }

    fn open(&self) -> PyResult<CancellationToken> {
        if self.closed.is_cancelled() {
            return Err(Python::attach(|py| Failure::Closed.raise(py)));
        }
        Ok(self.closed.clone())
    }
}

impl House {
    pub(crate) fn new(parts: Parts) -> Result<Self> {
        let now = RwLock::new(parts.put_together(parts.open()?)?);
        let (driver, closed) = (parts.driver.clone(), CancellationToken::new());
        Ok(Self { driver, parts, now, acting: Mutex::default(), closed })
    }

    /// Makes calls of it.
    pub(crate) fn calls(&self) -> Calls {
        Calls { driver: self.driver.clone(), closed: self.closed.clone() }
    }

    fn now(&self) -> Now {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn controller(&self) -> CoreController {
        self.now().controller
    }

    /// The registries that its runtime pulls from.
    pub(crate) fn registry(&self) -> Option<Arc<dyn ImageRegistry>> {
        self.parts.runtime.registry.clone()
    }

    pub(crate) fn service(&self, name: &ServiceName) -> Service {
        self.controller().service(name.clone())
    }

    pub(crate) async fn services(&self) -> Result<Vec<ServiceName>> {
        self.now().journal.services().await
    }

    /// Acts for a service, unless a controller already acts, here or elsewhere.
    pub(crate) async fn act(&self, name: &ServiceName) -> Result<()> {
        let mut acting = self.acting.lock().await;
        if acting.get(name).is_some_and(|acting| !acting.has_ended()) {
            return Ok(());
        }
        acting.remove(name);
        if let Some(begun) = self.service(name).try_act().await? {
            acting.insert(name.clone(), begun);
        }
        Ok(())
    }

    pub(crate) async fn ask(&self, name: &ServiceName, verb: Verb, by: &str) -> Result<()> {
        let service = self.service(name);
        service.check_known(&verb).await?;
        self.act(name).await?;
        service.ask(verb, by).await
    }

    /// Waits a moment for the locator to answer. Without a locator, a release would start instances and wait for ever.
    ///
    /// # Errors
    /// `LocatorUnavailable` if it does not.
    pub(crate) async fn require_locators(&self, name: &ServiceName) -> Result<()> {
        for (which, locator) in &self.parts.locators {
            Self::require_locator(name, which, &**locator).await?;
        }
        Ok(())
    }

    async fn require_locator(name: &ServiceName, which: &LocatorName, locator: &dyn ServiceLocator) -> Result<()> {
        let mut tries = 1;
        loop {
            match locator.observe(name).await {
                Err(error) if error.kind() == ErrorKind::LocatorUnavailable && tries < GATEWAY_TRIES => {
                    tries += 1;
                    pause(GATEWAY_RETRY).await;
                }
                Err(error) if error.kind() == ErrorKind::LocatorUnavailable => {
                    let message = format!("`{name}` cannot be released without its {which}: {}", error.message());
                    return Err(Error::new(ErrorKind::LocatorUnavailable, message).with_hint(hint_for(which)));
                }
                // The release reports every other problem of the locator.
                _ => return Ok(()),
            }
        }
    }

    /// The findings of the check, each problem with its fix.
    pub(crate) async fn check(&self) -> Vec<Value> {
        let Now { journal, .. } = self.now();
        let runtime = &self.parts.runtime.runtime;
        let finding = |name: &str, what: String, found: Result<String>, fix: &str| match found {
            Ok(says) => json!({ "name": name, "state": "ok", "says": format!("{what}: {says}"), "fix": null }),
            Err(error) => {
                let fix = error.hint().unwrap_or(fix);
                json!({ "name": name, "state": "problem", "says": format!("{what}: {}", error.message()), "fix": fix })
            }
        };
        let services = journal.services().await;
        let asked = services.as_ref().ok().and_then(|names| names.first().cloned());
        let asked = asked.or_else(|| ServiceName::new("check").ok());
        let containers = runtime.list(&Selector::journal(journal.id())).await;
        let mut found = vec![finding(
            "engine",
            runtime.to_string(),
            containers.map(|all| format!("it answers, with {} containers of this journal", all.len())),
            "start it, or name another",
        )];
        for (which, locator) in &self.parts.locators {
            let report = match &asked {
                Some(asked) => locator.observe(asked).await.map(|_| "it answers".to_owned()),
                None => Ok("it was not asked".to_owned()),
            };
            let answers = report.is_ok();
            found.push(finding(which.as_str(), locator.to_string(), report, hint_for(which)));
            let names = services.as_deref().unwrap_or_default();
            for name in names.iter().filter(|_| answers) {
                found.extend(self.advice(which, &**locator, name).await);
            }
        }
        found.push(finding(
            "journal",
            self.parts.journal.as_ref().map_or_else(|| "in memory".to_owned(), |path| path.display().to_string()),
            services.map(|names| format!("it can be read, with {} services", names.len())),
            "look at its disk and its permissions",
        ));
        found
    }

    /// What the configuration of a locator lacks for a service, with the sessions of the file that was released last.
    async fn advice(&self, which: &LocatorName, locator: &dyn ServiceLocator, name: &ServiceName) -> Vec<Value> {
        let state = self.now().journal.load(name).await.ok().flatten();
        let newest = state.as_ref().and_then(|state| state.versions.values().next_back());
        let session = newest.map(|version| version.new.settings.session.clone()).unwrap_or_default();
        findings(which.as_str(), locator.check(name, &session).await.unwrap_or_default())
    }

    /// Asks for a release, or finds the one that is already requested.
    pub(crate) async fn release(
        &self,
        spec: &EnvironmentSpec,
        by: &str,
        options: ReleaseOptions,
    ) -> Result<haddock_core::controller::Release> {
        let name = &spec.service()?.service;
        let release = self.service(name).release_with(spec, by, options).await?;
        self.act(name).await?;
        Ok(release)
    }

    pub(crate) async fn adopt(&self, adoption: Adoption, by: &str) -> Result<()> {
        let name = adoption.settings.service.clone();
        self.act(&name).await?;
        self.service(&name).adopt_with(adoption, by).await.map(|_| ())
    }

    /// Closes it. It cannot be used any more.
    pub(crate) async fn close(&self) -> Result<()> {
        self.closed.cancel();
        self.stop_acting().await
    }

    async fn stop_acting(&self) -> Result<()> {
        let acting = std::mem::take(&mut *self.acting.lock().await);
        let mut result = Ok(());
        for (_, acting) in acting {
            match acting.stop().await {
                // Another controller has taken over, which is fine.
                Err(error) if error.kind() != ErrorKind::Fenced => result = Err(error),
                _ => {}
            }
        }
        result
    }

    /// The sequence of the newest event of a service.
    pub(crate) async fn newest(&self, name: &ServiceName) -> Result<u64> {
        self.now().journal.newest(name).await
    }

    pub(crate) async fn history(&self, name: &ServiceName, since: u64, limit: usize) -> Result<Vec<Telling>> {
        let journal = self.now().journal;
        // Earlier events are already summed up.
        let Checkpoint { sequence: mut after, mut story } = journal.checkpoint(name, since).await?;
        let mut told = Vec::new();
        loop {
            let page = journal.history(name, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(told) };
            after = last.sequence;
            for recorded in &page {
                let telling = story.tell(recorded);
                if recorded.sequence > since {
                    if told.len() == limit {
                        return Ok(told);
                    }
                    told.push(telling);
                }
            }
        }
    }

    /// Rebuilds the lost journal of a service.
    pub(crate) async fn recover(&self, name: &ServiceName, spec: Option<EnvironmentSpec>) -> Result<()> {
        self.take_the_place(name).await?;
        self.service(name).recover(RecoverOptions { spec, ..RecoverOptions::default() }).await.map(|_| ())
    }

    /// Replaces an empty journal by one with the id of the lost one.
    async fn take_the_place(&self, name: &ServiceName) -> Result<()> {
        let journal = self.now().journal;
        let mut found = find_journals(&*self.parts.runtime.runtime).await?;
        found.retain(|found| found.services.contains(name));
        if found.iter().any(|found| found.id == *journal.id()) || !journal.services().await?.is_empty() {
            return Ok(());
        }
        let lost = match found.as_slice() {
            // The recovery says so.
            [] => return Ok(()),
            [FoundJournal { id, .. }] => id.clone(),
            several => {
                let ids: Vec<&str> = several.iter().map(|found| found.id.as_str()).collect();
                let message = format!("several journals have instances of `{name}`: `{}`", ids.join("`, `"));
                return Err(Error::new(ErrorKind::NameTaken, message)
                    .with_hint("remove the instances that are not to be recovered"));
            }
        };
        self.stop_acting().await?;
        let journal: Arc<dyn Journal> = match &self.parts.journal {
            Some(path) => {
                remove_empty(path)?;
                Arc::new(SqliteJournal::create_with_id(path, &lost)?)
            }
            None => Arc::new(MemoryJournal::new(lost)),
        };
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = self.parts.put_together(journal)?;
        Ok(())
    }
}

/// Removes the file of an empty journal.
fn remove_empty(path: &Path) -> Result<()> {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let message = format!("cannot remove the empty journal `{}`: {error}", path.display());
                return Err(Error::new(ErrorKind::Io, message));
            }
            _ => {}
        }
    }
    Ok(())
}
