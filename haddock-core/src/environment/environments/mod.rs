//! Environments by name, for tests or to try something out. Any number can run side by side.
//!
//! ```text
//!   file ─▶ specification ─┐
//!                          ├─▶ Plan (pure) ─▶ remove ─▶ launch ─▶ ready
//!   engine ─▶ containers ──┘
//! ```
//!
//! The state is read from the engine each time, by labels. What is known beyond that (the file, the commit, who asked)
//! is in a record beside the specifications. Everything works without the record, but less is shown. If an
//! [`up`](Environments::up) was killed, the next one finishes its work, and a second one finds nothing to do. Of two at
//! once for one name, one waits for the other.

mod claims;
mod compare;
mod conflicts;
mod down;
mod environment;
mod history;
mod inside;
mod link;
mod linked;
mod lock;
mod monitor;
mod options;
mod ready;
mod record;
mod role;
mod targets;
mod up;

use std::sync::Arc;

pub use self::environment::Environment;
pub use self::history::{EnvironmentAction, EnvironmentEvent};
pub use self::link::{Switch, Switched, TrafficGate};
use self::lock::Locks;
pub(crate) use self::monitor::Users;
pub use self::monitor::{Claim, Pruned};
pub use self::options::UpOptions;
pub use self::record::TestedEnvironment;
pub use self::up::Up;
use super::store::SpecStore;
use crate::container::{Container, Selector};
use crate::error::Result;
use crate::name::{EnvironmentName, InstanceId, JournalId};
use crate::runtime::ContainerRuntime;
use crate::runtime::probe::Probing;
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

impl Environments {
    /// The environments of that journal. The locks are in the folder of the specifications.
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

    /// Sets the name that the history shows for what is done here.
    #[must_use]
    pub fn by(mut self, holder: impl Into<String>) -> Self {
        self.holder = holder.into();
        self
    }

    /// Sets another clock than the machine's, for simulations.
    #[must_use]
    pub fn at(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Selects what carries the labels of the environment of that name.
    fn selector(&self, name: &EnvironmentName) -> Selector {
        Selector::environment(&self.journal, &InstanceId::of_environment(&self.journal, name))
    }

    async fn containers_of(&self, name: &EnvironmentName) -> Result<Vec<Container>> {
        self.runtime.list(&self.selector(name)).await
    }

    /// The machine's clock is read anew each time: other processes write down times, too, and a clock that was read
    /// before a laptop slept would be late.
    fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or_else(|| SystemClock::new().now(), |clock| clock.now())
    }
}
