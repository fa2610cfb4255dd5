//! A service that is released: where its instances run, and where all that happens is written down.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use haddock_core::ServiceName;
use haddock_core::container::Selector;
use haddock_core::controller::Acting;
use haddock_core::environment::launch::teardown;
use haddock_core::journal::Journal;
use haddock_core::release::RecordedEvent;
use haddock_core::runtime::ContainerRuntime;

/// Events that are read at a time.
const PAGE: usize = 256;

/// What the programs that show releases have in common.
#[derive(Debug)]
pub struct Site {
    /// The service.
    pub name: ServiceName,
    /// Where its instances run.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Where what happens to it is kept.
    pub journal: Arc<dyn Journal>,
    /// The controller acts for it.
    pub acting: Acting,
}

impl Site {
    /// What happened after the event with that sequence; nothing if nothing did.
    ///
    /// # Errors
    /// The journal's.
    pub async fn history(&self, after: u64) -> io::Result<Vec<RecordedEvent>> {
        self.journal.history(&self.name, after, PAGE).await.map_err(told)
    }

    /// How many instances run, as the runtime says.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn instances(&self) -> io::Result<u64> {
        let containers = self.runtime.list(&Selector::journal(self.journal.id())).await.map_err(told)?;
        let running = containers.iter().filter(|container| container.is_running());
        Ok(running.filter_map(|container| container.instance()).collect::<BTreeSet<_>>().len() as u64)
    }

    /// Stops and removes all instances. Goes on after an error, and answers with the first.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn close(self) -> io::Result<()> {
        let mut outcome = self.acting.stop().await.map_err(told);
        let journal = self.journal.id();
        let mut instances = BTreeSet::new();
        match self.runtime.list(&Selector::journal(journal)).await {
            Ok(containers) => instances.extend(containers.iter().filter_map(|container| container.instance())),
            Err(error) => outcome = outcome.and(Err(told(error))),
        }
        for instance in &instances {
            let torn = teardown(&*self.runtime, journal, instance).await;
            outcome = outcome.and(torn.map(drop).map_err(told));
        }
        outcome
    }
}

/// Haddock's error with its hint and the last lines of the log.
#[must_use]
pub fn told(error: haddock_core::Error) -> io::Error {
    io::Error::other(format!("{error:#}"))
}
