//! A simulated runtime and locator in virtual time, and controllers of both.

use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::Controller;
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::locator::sim::SimLocator;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::testing::VirtualTime;
use haddock_core::{JournalId, LocatorName, Timestamp};

/// A time that begins now and passes at once, a runtime whose images are all good, and a locator.
pub(crate) fn place() -> (VirtualTime, SimRuntime, SimLocator) {
    let time = VirtualTime::new(Timestamp::from_millis(1_795_000_000_000)).expect("a runtime");
    let runtime = SimRuntime::new(time.clock());
    runtime.set_other_images(Some(SimImage::good(Duration::from_secs(2))));
    let locator = SimLocator::new(LocatorName::new("gateway").expect("valid"), time.clock());
    (time, runtime, locator)
}

/// A controller with a journal that is empty, and whose id is this.
pub(crate) fn controller(
    time: &VirtualTime,
    runtime: &SimRuntime,
    locator: &SimLocator,
    journal: &str,
    specs: &SpecStore,
) -> Controller {
    let journal = Arc::new(MemoryJournal::new(JournalId::new(journal).expect("valid")));
    Controller::builder(Arc::new(runtime.clone()), Arc::new(locator.clone()), journal, specs.clone())
        .clock(time.clock())
        .probing(Arc::new(runtime.clone()))
        .tick(Duration::from_secs(30))
        .lease(Duration::from_secs(24 * 3600))
        .build()
}
