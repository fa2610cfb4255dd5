//! A controller whose runtime, locator and journal are simulated or in memory.
#![allow(dead_code, reason = "each test looks at a part of it")]

use std::sync::Arc;

use haddock_core::controller::{Controller, Service};
use haddock_core::environment::probe::{NetworkProbing, Probing};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::locator::sim::SimLocator;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::{JournalId, LocatorName, ServiceName, SystemClock};

pub(crate) struct Site {
    pub(crate) service: Service,
    pub(crate) runtime: SimRuntime,
    pub(crate) locator: SimLocator,
    pub(crate) name: ServiceName,
    controller: Box<dyn Fn() -> Controller>,
}

impl Site {
    /// A site for servers that are real.
    pub(crate) fn new() -> Self {
        Self::build(SimRuntime::new(Arc::new(SystemClock::new())), Arc::new(NetworkProbing))
    }

    /// A site whose images are all like this one.
    pub(crate) fn of(image: SimImage) -> Self {
        let runtime = SimRuntime::new(Arc::new(SystemClock::new()));
        runtime.set_other_images(Some(image));
        Self::build(runtime.clone(), Arc::new(runtime))
    }

    fn build(runtime: SimRuntime, probing: Arc<dyn Probing>) -> Self {
        let clock = Arc::new(SystemClock::new());
        let locator = SimLocator::new(LocatorName::new("gateway").expect("valid"), clock);
        let journal = MemoryJournal::new(JournalId::new("j1").expect("valid"));
        let ports = (Arc::new(runtime.clone()), Arc::new(locator.clone()), Arc::new(journal));
        let specs = SpecStore::memory();
        let controller = Box::new(move || {
            let (runtime, locator, journal) = (Arc::clone(&ports.0), Arc::clone(&ports.1), Arc::clone(&ports.2));
            Controller::builder(runtime, locator, journal, specs.clone()).probing(Arc::clone(&probing)).build()
        });
        let name = ServiceName::new("shop").expect("valid");
        Self { service: controller().service(name.clone()), runtime, locator, name, controller }
    }

    /// Another service of the same journal.
    pub(crate) fn restarted_as(&self, name: ServiceName) -> Service {
        (self.controller)().service(name)
    }

    /// The service as another controller has it, which knows what is in the journal and the store.
    pub(crate) fn restarted(&self) -> Service {
        (self.controller)().service(self.name.clone())
    }
}
