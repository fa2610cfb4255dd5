//! Forgets specifications that nothing needs any more, with the values in them, and history that is too old.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use super::ports::Ports;
use crate::container::{Selector, label};
use crate::error::Result;
use crate::name::ServiceName;
use crate::release::Verb;
use crate::time::sleep;

/// How often the history is looked at for events that are too old to be kept.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);
/// The time between two tries while somebody stores a specification, or while the engine does not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

impl Ports {
    /// Forgets the specifications that nothing needs any more. `false`: nothing was forgotten, because somebody is
    /// storing one, or because the store is in memory.
    pub(super) async fn forget(&self) -> Result<bool> {
        if self.specs.folder().is_none() {
            return Ok(false);
        }
        // Listed before the store is locked, since an engine may take its time. Containers that are made from now on
        // are of specifications that a journal names.
        let containers = self.runtime.list(&Selector::default()).await?;
        let Some(forgetting) = self.specs.try_forget()? else { return Ok(false) };
        let mut needed: BTreeSet<String> =
            containers.into_iter().filter_map(|mut container| container.labels.remove(label::SPEC)).collect();
        for service in self.journal.services().await? {
            for request in self.journal.pending(&service).await? {
                if let Verb::Release(new) = request.verb {
                    needed.extend(new.specs().map(str::to_owned));
                }
            }
            // Read after the requests: one that is taken up meanwhile is in the state.
            if let Some(state) = self.journal.load(&service).await? {
                needed.extend(state.specs(self.rollbacks).into_iter().map(str::to_owned));
            }
        }
        needed.extend(self.environments().specs_of_records()?);
        forgetting.all_but(&needed)?;
        Ok(true)
    }
}

/// Forgets whenever it is told that there may be something to forget.
pub(super) async fn forget_when_told(ports: Arc<Ports>, told: Arc<Notify>) {
    if ports.specs.folder().is_none() {
        return;
    }
    loop {
        told.notified().await;
        ports.to_forget.store(true, Ordering::SeqCst);
        loop {
            // One loop forgets for all services, so the others that were told before have nothing left to do.
            let turn = ports.forgetting.lock().await;
            if !ports.to_forget.swap(false, Ordering::SeqCst) {
                break;
            }
            match ports.forget().await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "what is not needed is not forgotten yet"),
            }
            ports.to_forget.store(true, Ordering::SeqCst);
            drop(turn);
            sleep(RETRY_INTERVAL).await;
        }
    }
}

/// Prunes the history of a service, once at the start and then at intervals.
pub(super) async fn prune_now_and_then(ports: Arc<Ports>, service: ServiceName) {
    loop {
        if let Err(error) = ports.journal.prune(&service, &ports.keep, ports.clock.now()).await {
            tracing::debug!(%service, %error, "what is too old is not forgotten yet");
        }
        sleep(PRUNE_INTERVAL).await;
    }
}
