//! What a controller works with, and what all its parts ask of that.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::count::{Asking, Recent};
use super::gate::Gate;
use super::watcher::Watcher;
use crate::environment::EnvironmentSpec;
use crate::environment::environments::Environments;
use crate::environment::store::SpecStore;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, Keep};
use crate::locator::{LocatorCapabilities, ServiceLocator};
use crate::name::{LocatorName, ServiceName, VersionId};
use crate::release::ServiceState;
use crate::runtime::ContainerRuntime;
use crate::runtime::probe::{Probe, Prober, Probing, STEADY_INTERVAL};
use crate::runtime::turn::{Elapsed, within};
use crate::time::Clock;

/// How long a call to a locator may take.
pub(crate) const LOCATOR_LIMIT: Duration = Duration::from_secs(5);
/// How many lines are kept, from the end, of the output of a hook, a gate or the component that runs before a version. They
/// are in the history.
pub(crate) const OUTPUT_LINES: usize = 20;

/// What a controller works with.
pub(crate) struct Ports {
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) locators: BTreeMap<LocatorName, Arc<dyn ServiceLocator>>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) specs: SpecStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) probing: Arc<dyn Probing>,
    /// What is asked by name whether a ramp may go on.
    pub(crate) gates: BTreeMap<String, Arc<dyn Gate>>,
    pub(crate) watcher: Arc<dyn Watcher>,
    pub(crate) holder: String,
    pub(crate) tick: Duration,
    pub(crate) lease: Duration,
    pub(crate) poll: Duration,
    /// How much of the history is kept.
    pub(crate) keep: Keep,
    /// To how many versions, besides the known good one, there is a way back.
    pub(crate) rollbacks: usize,
    /// Who forgets specifications now, and whether there is anything to do.
    pub(crate) forgetting: tokio::sync::Mutex<()>,
    pub(crate) to_forget: AtomicBool,
    /// Counts the commits of this process, so that what follows the history need not wait for its next look.
    pub(crate) commits: watch::Sender<u64>,
    /// What applications have just said of their sessions.
    pub(crate) recent_counts: Arc<Recent>,
    pub(super) wakers: Mutex<BTreeMap<ServiceName, Arc<Notify>>>,
}

impl Ports {
    /// What wakes the loop of a service before its time.
    pub(crate) fn waker(&self, service: &ServiceName) -> Arc<Notify> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(wakers.entry(service.clone()).or_default())
    }

    /// Waits for a commit of this process; one of another process is found at the next look.
    pub(crate) async fn next_commit(&self, commits: &mut watch::Receiver<u64>) {
        // The sender lives as long as the ports.
        let _ = timeout(self.poll, commits.changed()).await;
    }

    /// The state of a service as last committed; of one that was never released, the one that it begins with.
    pub(crate) async fn state_or_new(&self, service: &ServiceName) -> Result<ServiceState> {
        let state = self.journal.load(service).await?;
        Ok(state.unwrap_or_else(|| ServiceState::new(service.clone(), self.journal.id().clone())))
    }

    /// What each locator can do.
    pub(crate) fn capabilities(&self) -> BTreeMap<LocatorName, LocatorCapabilities> {
        self.locators.iter().map(|(name, locator)| (name.clone(), locator.capabilities())).collect()
    }

    /// The environments of the journal, by name.
    pub(crate) fn environments(&self) -> Environments {
        let Self { runtime, journal, specs, probing, holder, .. } = self;
        Environments::new(Arc::clone(runtime), journal.id().clone(), specs.clone(), Arc::clone(probing)).by(holder)
    }

    /// Begins to probe. Once a probe has passed, it need not probe more often than the loop looks.
    pub(crate) fn prober(&self, probe: Probe) -> Prober {
        let steady = STEADY_INTERVAL.max(self.tick * 2);
        Prober::start_by(Arc::clone(&self.probing), probe, steady, Arc::clone(&self.clock))
    }

    /// How applications are asked for their sessions.
    pub(crate) fn asking(&self) -> Asking {
        Asking::new(&self.probing, &self.clock, &self.recent_counts)
    }

    /// The specification of a version.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the spec store does not have it.
    pub(crate) fn specification(&self, state: &ServiceState, version: VersionId) -> Result<Arc<EnvironmentSpec>> {
        let digest = state.versions.get(&version).map(|version| version.new.spec.as_str()).unwrap_or_default();
        self.specs.get(digest)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("the specification of version {version} is not in the spec store"))
                .with_hint("give the controller the store that the release was submitted with")
        })
    }
}

/// Gives up a call that takes longer than the limit.
///
/// # Errors
/// [`TimedOut`](ErrorKind::TimedOut), and the call's own.
pub(crate) async fn limited<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    match within(limit, call).await {
        Ok(result) => result,
        Err(Elapsed) => Err(Error::new(ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))),
    }
}
