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
//! | `ports` | what a controller works with |
//! | `actor` | the loop itself, and its lease; what it remembers is [`ServiceLoop`](crate::release::ServiceLoop) |
//! | `observe` | one look at runtime, locators, probes and journal; what does not answer is unknown |
//! | `log_outs` | each locator of a group hears which sessions have ended at the others |
//! | `tasks`, `act` | the tasks that are carried out, and how each action is |
//! | `launch` | an instance until it is ready, and what runs before one until it has ended |
//! | `gate`, `ask` | what is asked whether a ramp may go on, and how |
//! | `tell` | hooks within instances, and notifications for receivers |
//! | `service` | a service: its requests, its history, who acts for it |
//! | `verbs`, `adopt`, `retire` | the verbs: they submit requests to the journal |
//! | `front` | environments that were adopted as instances: their links are switched while clients wait, and they stay |
//! | `continuous` | what [`follow`](crate::follow) asks of a service |
//! | `promote` | a test environment becomes a version |
//! | `handle` | the handle of a release: how far it is, and the verbs that are about it alone |
//! | `follow` | the events of one release, with sentences, until it has ended |
//! | `inside` | the containers of an instance, for logs and commands |
//! | `forget` | specifications that nothing needs any more, and history that is too old, are forgotten |
//! | `status`, `summary` | a service as it is, and at one glance |
//! | `report` | the page of a release, from the journal and the locators |
//! | `recover` | a lost journal, rebuilt from labels and locators |
//! | `serve` | acting for every service of the journal, for as long as the program runs |
//! | `ends` | how loops and tasks end: panics are errors, and no end is unseen |
//! | `watcher` | reports to an embedding program what happens |
//!
//! Nothing is remembered outside the journal, and nothing is resumed. A controller that is started after a crash loads
//! the state, observes and steps, just as at any other time.

mod act;
mod actor;
mod adopt;
mod ask;
mod continuous;
mod count;
mod ends;
mod follow;
mod forget;
mod front;
mod gate;
mod handle;
mod inside;
mod judged;
mod launch;
mod log_outs;
mod observe;
mod ports;
mod probe;
mod promote;
mod recover;
mod report;
mod retire;
mod serve;
mod service;
mod status;
mod summary;
mod tasks;
mod tell;
mod verbs;
mod watcher;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

pub use actor::Acting;
pub use follow::{Following, Told, Until};
pub use gate::{Gate, GateQuestion};
pub use handle::{Release, ReleaseOptions};
pub use judged::{GuardSummary, JudgementSummary};
pub(crate) use ports::Ports;
pub use promote::PromoteOptions;
pub use recover::{FoundJournal, RecoverOptions, find_journals};
pub use service::{Events, Service};
pub use status::Status;
pub use summary::{
    ApplicationSessions, FollowSummary, InstanceSummary, ReleaseSummary, ServiceSummary, VersionSummary,
};
pub use watcher::Watcher;

use crate::environment::environments::Environments;
use crate::environment::store::SpecStore;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, Keep};
use crate::locator::ServiceLocator;
use crate::name::{LocatorName, ServiceName};
use crate::runtime::ContainerRuntime;
use crate::runtime::probe::{NetworkProbing, Probing};
use crate::time::{Clock, SystemClock};

/// The shortest lease. After two thirds of it, minus a look at everything (3 s), a call to a locator (5 s) still fits.
const LEAST_LEASE: Duration = Duration::from_secs(15);

/// Releases services: the ports put together.
///
/// Cheap to clone; clones are the same controller.
#[derive(Clone)]
pub struct Controller {
    ports: Arc<Ports>,
}

impl Controller {
    /// Begins to put a controller together. The locator is named `gateway`; [`locators`](Builder::locators) takes several.
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
                gates: BTreeMap::new(),
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
                recent_counts: Arc::default(),
                wakers: Mutex::default(),
            },
        }
    }

    /// A service of this controller's journal, whether or not it was ever released.
    #[must_use]
    pub fn service(&self, name: ServiceName) -> Service {
        Service::new(Arc::clone(&self.ports), name)
    }

    /// The environments of this controller's journal, by name.
    #[must_use]
    pub fn environments(&self) -> Environments {
        self.ports.environments()
    }

    /// Forgets the specifications that nothing needs any more, with the values in them. These are still needed: those
    /// of everything that runs on this engine, whatever journal it belongs to; of versions to which there is a way
    /// back; of requests that were not taken up; and of environments that have a record. Whoever acts for a service
    /// calls this by itself.
    ///
    /// `false`: nothing was forgotten, because somebody is storing one just now, or because the store is in memory.
    ///
    /// # Errors
    /// The runtime's, the journal's, and [`Io`](ErrorKind::Io). Then nothing that is needed is forgotten.
    pub async fn forget(&self) -> Result<bool> {
        self.ports.forget().await
    }

    /// As [`forget`](Self::forget), for callers that do not depend on it: the next call does what this one could not.
    pub(super) async fn forget_beside(&self) {
        if let Err(error) = self.ports.forget().await {
            tracing::debug!(%error, "what is not needed is not forgotten yet");
        }
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
    /// The name of the one who acts, for others who find the service busy. Default: the process id.
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

    /// How long the lease lasts unless renewed; it is renewed when a third of it has passed. Others wait that long for
    /// a controller that has vanished with its machine. Default: 30 s.
    ///
    /// # Errors
    /// [`InvalidValue`](crate::ErrorKind::InvalidValue) below 15 s: what is left of it after a slow look would not
    /// outlast a call to a locator, so nothing would ever be carried out.
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

    /// How much of each service's history the journal keeps: events that are younger than this age, and this many of
    /// the newest events. Whoever acts for a service forgets the rest. Default: 400 days and 100 000 events.
    ///
    /// # Errors
    /// [`InvalidValue`](crate::ErrorKind::InvalidValue) if that would forget releases that are still going on.
    pub fn keep(mut self, keep: Keep) -> Result<Self> {
        self.ports.keep = keep.checked()?;
        Ok(self)
    }

    /// The number of settled versions, besides the known good one, whose specifications are kept, with the values of
    /// variables, so that there is a way back to them. At most ten. Default: 5.
    #[must_use]
    pub fn rollbacks(mut self, versions: usize) -> Self {
        self.ports.rollbacks = versions;
        self
    }

    /// The clock. Default: the system's.
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

    /// All locators, by name, instead of the one that the builder began with. Each gets each table. The names are in the
    /// journal: a locator keeps its name.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use haddock_core::controller::Builder;
    /// # use haddock_core::locator::ServiceLocator;
    /// # fn example(builder: Builder, east: Arc<dyn ServiceLocator>, west: Arc<dyn ServiceLocator>) -> haddock_core::Result<Builder> {
    /// use haddock_core::LocatorName;
    ///
    /// let builder = builder.locators([(LocatorName::new("east")?, east), (LocatorName::new("west")?, west)]);
    /// # Ok(builder)
    /// # }
    /// ```
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn locators(mut self, locators: impl IntoIterator<Item = (LocatorName, Arc<dyn ServiceLocator>)>) -> Self {
        self.ports.locators = locators.into_iter().collect();
        assert!(!self.ports.locators.is_empty(), "a controller needs a locator");
        self
    }

    /// What is asked at the end of a stage whose gate has that name: `gate: { call: NAME }` in the compose file. Default:
    /// none. A release that waits at a gate which this controller does not have waits for one that has it.
    ///
    /// ```
    /// # use haddock_core::controller::{Builder, GateQuestion};
    /// # fn example(builder: Builder) -> Builder {
    /// use haddock_core::release::GateAnswer;
    ///
    /// builder.gate("office-hours", |question: GateQuestion| async move {
    ///     println!("may version {} of {} get more than {}?", question.version, question.service, question.share);
    ///     Ok(GateAnswer::Go)
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn gate(mut self, name: impl Into<String>, gate: impl Gate + 'static) -> Self {
        self.ports.gates.insert(name.into(), Arc::new(gate));
        self
    }

    /// A watcher that gets commits and actions as they happen. Default: none.
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
