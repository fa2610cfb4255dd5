//! A controller whose runtime, locator and journal are simulated or in memory.
#![allow(dead_code, reason = "each test looks at a part of it")]

use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::{Builder, Controller, Service};
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
    builder: Box<dyn Fn() -> Builder>,
}

impl Site {
    /// A site for servers that are real.
    pub(crate) fn new() -> Self {
        Self::build(SimRuntime::new(Arc::new(SystemClock::new())), Arc::new(NetworkProbing), |builder| builder)
    }

    /// A site whose images are all like this one.
    pub(crate) fn of(image: SimImage) -> Self {
        Self::with(image, |builder| builder)
    }

    /// As [`of`](Self::of), with controllers that are put together in this way.
    pub(crate) fn with(image: SimImage, how: impl Fn(Builder) -> Builder + 'static) -> Self {
        let runtime = SimRuntime::new(Arc::new(SystemClock::new()));
        runtime.set_other_images(Some(image));
        Self::build(runtime.clone(), Arc::new(runtime), how)
    }

    fn build(runtime: SimRuntime, probing: Arc<dyn Probing>, how: impl Fn(Builder) -> Builder + 'static) -> Self {
        let clock = Arc::new(SystemClock::new());
        let locator = SimLocator::new(LocatorName::new("gateway").expect("valid"), clock);
        let journal = MemoryJournal::new(JournalId::new("j1").expect("valid"));
        let ports = (Arc::new(runtime.clone()), Arc::new(locator.clone()), Arc::new(journal));
        let specs = SpecStore::memory();
        let builder = Box::new(move || {
            let (runtime, locator, journal) = (Arc::clone(&ports.0), Arc::clone(&ports.1), Arc::clone(&ports.2));
            how(Controller::builder(runtime, locator, journal, specs.clone()).probing(Arc::clone(&probing)))
        });
        let name = ServiceName::new("shop").expect("valid");
        Self { service: builder().build().service(name.clone()), runtime, locator, name, builder }
    }

    /// Another service of the same journal.
    pub(crate) fn restarted_as(&self, name: ServiceName) -> Service {
        (self.builder)().build().service(name)
    }

    /// The service as another controller has it, which knows what is in the journal and the store.
    pub(crate) fn restarted(&self) -> Service {
        self.restarted_by(|builder| builder)
    }

    /// As [`restarted`](Self::restarted), by a controller that is put together in this way.
    pub(crate) fn restarted_by(&self, how: impl Fn(Builder) -> Builder) -> Service {
        how((self.builder)()).build().service(self.name.clone())
    }
}

/// Waits until it has happened, for 20 s at most.
pub(crate) async fn until(what: &str, happened: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if happened().await {
            return;
        }
        let _ = tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
    }
    panic!("{what}: not within 20 s");
}
