//! The loop that performs what [`release`](crate::release) decides.
//!
//! ```text
//!          ┌──────────────────────────── wake: request, runtime event, task end, deadline, tick
//!          ▼
//!   observe ──▶ step ──▶ commit ──▶ act ──┐
//!          ▲                              │  each action is a task; its end is part of the next observation
//!          └──────────────────────────────┘
//! ```
//!
//! | file | part |
//! |---|---|
//! | `actor` | the loop itself, and its lease |
//! | `observe` | one look at runtime, locators, probes and journal; what does not answer is unknown |
//! | `act` | the tasks that carry out actions |
//! | `launch` | an instance until it is ready, and what runs before one until it has ended |
//! | `tell` | hooks within instances, and news for receivers |
//! | `service`, `adopt`, `retire` | the verbs: they submit requests to the journal and follow its history |
//! | `front` | environments that were adopted as instances: their links are switched while clients wait, and they stay |
//! | `promote` | a test environment becomes a version |
//! | `handle` | the handle of a release: how far it is, and the verbs that are about it alone |
//! | `follow` | the events of one release, told until it has ended |
//! | `inside` | the containers of an instance, for logs and commands |
//! | `forget` | specifications that nothing needs any more, and history that is too old, are forgotten |
//! | `summary` | a service at one glance |
//! | `recover` | a lost journal, rebuilt from labels and locators |
//! | `serve` | acting for every service of the journal, for as long as the program runs |
//! | `ends` | how loops and tasks end: panics are errors, and no end is unseen |
//! | `watcher` | what an embedding program may be told as it happens |
//!
//! Nothing is remembered outside the journal and nothing is resumed: a controller that is started after a crash loads
//! the state, observes and steps, as it would have without one.

mod act;
mod actor;
mod adopt;
mod ends;
mod follow;
mod forget;
mod front;
mod handle;
mod inside;
mod launch;
mod observe;
mod promote;
mod recover;
mod retire;
mod serve;
mod service;
mod summary;
mod tell;
mod watcher;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

pub use actor::Acting;
pub use follow::{Following, Told, Until};
pub use handle::{Release, ReleaseOptions};
pub use promote::PromoteOptions;
pub use recover::{FoundJournal, RecoverOptions, find_journals};
pub use service::{Events, Service, Status};
pub use summary::{InstanceSummary, ReleaseSummary, ServiceSummary, VersionSummary};
pub use watcher::Watcher;

use crate::environment::environments::Environments;
use crate::environment::probe::{NetworkProbing, Probe, Prober, Probing, STEADY};
use crate::environment::store::SpecStore;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, Keep};
use crate::locator::ServiceLocator;
use crate::name::{LocatorName, ServiceName};
use crate::runtime::ContainerRuntime;
use crate::time::{Clock, SystemClock};

/// Two thirds of it, less a look at everything (3 s), outlast a call to a locator (5 s).
const LEAST_LEASE: Duration = Duration::from_secs(15);

/// Releases services: the ports put together.
///
/// Cheap to clone; clones are the same controller.
#[derive(Clone)]
pub struct Controller {
    ports: Arc<Ports>,
}

/// What a controller works with.
pub(crate) struct Ports {
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) locators: BTreeMap<LocatorName, Arc<dyn ServiceLocator>>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) specs: SpecStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) probing: Arc<dyn Probing>,
    pub(crate) watcher: Arc<dyn Watcher>,
    pub(crate) holder: String,
    pub(crate) tick: Duration,
    pub(crate) lease: Duration,
    pub(crate) poll: Duration,
    /// How much of the history is kept.
    pub(crate) keep: Keep,
    /// To how many versions beside the known good one there is a way back.
    pub(crate) rollbacks: usize,
    /// Who forgets specifications now, and whether there is anything to do.
    pub(crate) forgetting: tokio::sync::Mutex<()>,
    pub(crate) to_forget: AtomicBool,
    /// Counts the commits of this process, so that what follows the history need not wait for its next look.
    pub(crate) commits: watch::Sender<u64>,
    wakers: Mutex<BTreeMap<ServiceName, Arc<Notify>>>,
}

impl Ports {
    /// What wakes the loop of a service before its time.
    pub(crate) fn waker(&self, service: &ServiceName) -> Arc<Notify> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(wakers.entry(service.clone()).or_default())
    }

    /// Waits for a commit of this process; one of another process is found at the next look.
    pub(crate) async fn news(&self, commits: &mut watch::Receiver<u64>) {
        // The sender lives as long as the ports.
        let _ = timeout(self.poll, commits.changed()).await;
    }

    /// The environments of the journal, by name.
    pub(crate) fn environments(&self) -> Environments {
        let Self { runtime, journal, specs, probing, holder, .. } = self;
        Environments::new(Arc::clone(runtime), journal.id().clone(), specs.clone(), Arc::clone(probing)).by(holder)
    }

    /// Begins to probe. Once that has passed, it need not look more often than the loop does.
    pub(crate) fn prober(&self, probe: Probe) -> Prober {
        let steady = STEADY.max(self.tick * 2);
        Prober::start_by(Arc::clone(&self.probing), probe, steady, Arc::clone(&self.clock))
    }
}

impl Controller {
    /// Begins to put a controller together. The locator is named `gateway`; more can be added.
    #[must_use]
    pub fn builder(
        runtime: Arc<dyn ContainerRuntime>,
        locator: Arc<dyn ServiceLocator>,
        journal: Arc<dyn Journal>,
        specs: SpecStore,
    ) -> Builder {
        let name = LocatorName::new("gateway").expect("a valid name");
        Builder {
            ports: Ports {
                runtime,
                locators: BTreeMap::from([(name, locator)]),
                journal,
                specs,
                clock: Arc::new(SystemClock::new()),
                probing: Arc::new(NetworkProbing),
                watcher: Arc::new(watcher::Silent),
                holder: format!("pid {}", std::process::id()),
                tick: Duration::from_millis(500),
                lease: Duration::from_secs(30),
                poll: Duration::from_millis(100),
                keep: Keep::default(),
                rollbacks: 5,
                forgetting: tokio::sync::Mutex::default(),
                to_forget: AtomicBool::new(false),
                commits: watch::Sender::default(),
                wakers: Mutex::default(),
            },
        }
    }

    /// A service of this controller's journal, whether or not it was ever released.
    #[must_use]
    pub fn service(&self, name: ServiceName) -> Service {
        Service::new(Arc::clone(&self.ports), name)
    }
}

impl Controller {
    /// The environments of this controller's journal, by name.
    #[must_use]
    pub fn environments(&self) -> Environments {
        self.ports.environments()
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("runtime", &self.ports.runtime)
            .field("locators", &self.ports.locators)
            .field("journal", &self.ports.journal)
            .finish_non_exhaustive()
    }
}

/// Puts a [`Controller`] together.
pub struct Builder {
    ports: Ports,
}

impl Builder {
    /// Who acts, for others to read when they are told that the service is busy. Default: the process id.
    #[must_use]
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.ports.holder = holder.into();
        self
    }

    /// The longest time between two looks. Default: 500 ms.
    #[must_use]
    pub fn tick(mut self, tick: Duration) -> Self {
        self.ports.tick = tick;
        self
    }

    /// How long the lease lasts unless renewed; it is renewed when a third of it has passed. Others wait that long for a
    /// controller that has vanished with its machine. Default: 30 s.
    ///
    /// # Errors
    /// [`InvalidValue`](crate::ErrorKind::InvalidValue) below 15 s: what is left of it after a slow look would not outlast
    /// a call to a locator, so nothing would ever be carried out.
    pub fn lease(mut self, lease: Duration) -> Result<Self> {
        if lease < LEAST_LEASE {
            let (lease, least) = (lease.as_secs_f64(), LEAST_LEASE.as_secs());
            let message = format!("a lease of {lease} s ends before what is carried out under it");
            let hint = format!("let it last {least} s or longer");
            return Err(Error::new(ErrorKind::InvalidValue, message).with_hint(hint));
        }
        self.ports.lease = lease;
        Ok(self)
    }

    /// How often the history is looked at for what another process wrote. Default: 100 ms.
    #[must_use]
    pub fn poll(mut self, poll: Duration) -> Self {
        self.ports.poll = poll;
        self
    }

    /// How much of each service's history the journal keeps: what is younger than this age, and so many of the newest
    /// events. Whoever acts for a service forgets the rest. Default: 400 days and 100 000 events.
    ///
    /// # Errors
    /// [`InvalidValue`](crate::ErrorKind::InvalidValue) if that would forget releases that are still going on.
    pub fn keep(mut self, keep: Keep) -> Result<Self> {
        self.ports.keep = keep.checked()?;
        Ok(self)
    }

    /// For how many versions that settled, beside the known good one, the specification is kept, values of variables
    /// included, so that there is a way back to them: at most ten. Default: 5.
    #[must_use]
    pub fn rollbacks(mut self, versions: usize) -> Self {
        self.ports.rollbacks = versions;
        self
    }

    /// Where the time comes from. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.ports.clock = clock;
        self
    }

    /// What tells whether an instance answers. Default: a connection from this process.
    #[must_use]
    pub fn probing(mut self, probing: Arc<dyn Probing>) -> Self {
        self.ports.probing = probing;
        self
    }

    /// Who is told of commits and actions as they happen. Default: nobody.
    #[must_use]
    pub fn watcher(mut self, watcher: Arc<dyn Watcher>) -> Self {
        self.ports.watcher = watcher;
        self
    }

    /// The controller.
    #[must_use]
    pub fn build(self) -> Controller {
        Controller { ports: Arc::new(self.ports) }
    }
}
