//! Forgetting the specifications, and with them the values, that nothing needs any more, and the history that is too old.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Controller, Ports};
use crate::container::{Selector, label};
use crate::error::Result;
use crate::name::ServiceName;
use crate::release::Verb;
use crate::time::sleep;

/// How often a journal is looked at for events that are too old to be kept.
const PRUNE: Duration = Duration::from_secs(3600);
/// Between two tries, while somebody puts specifications, or the engine does not answer.
const RETRY: Duration = Duration::from_secs(10);

impl Controller {
    /// Forgets the specifications that nothing needs any more, and the values in them. What runs needs its own, on this
    /// engine whatever journal it belongs to; so do the versions to which there is a way back, requests that were not
    /// taken up, and what is written down of environments. Who acts for a service does this by itself.
    ///
    /// `false`: somebody puts one just now, so nothing was forgotten; or they are in memory only.
    ///
    /// # Errors
    /// The runtime's, the journal's, and [`Io`](crate::ErrorKind::Io). Then nothing that is needed is forgotten.
    pub async fn forget(&self) -> Result<bool> {
        self.ports.forget().await
    }

    /// As [`forget`](Self::forget), where that is not what was asked for: the next one does it.
    pub(super) async fn forget_beside(&self) {
        if let Err(error) = self.ports.forget().await {
            tracing::debug!(%error, "what is not needed is not forgotten yet");
        }
    }
}

impl Ports {
    async fn forget(&self) -> Result<bool> {
        if self.specs.folder().is_none() {
            return Ok(false);
        }
        // Before the turn, since an engine may take its time. What is made from now on is of what a journal names.
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
            // After the requests: one that is taken up meanwhile is in the state.
            if let Some(state) = self.journal.load(&service).await? {
                needed.extend(state.specs(self.rollbacks).into_iter().map(str::to_owned));
            }
        }
        needed.extend(self.environments().specs_of_records()?);
        forgetting.all_but(&needed)?;
        Ok(true)
    }
}

/// Forgets whenever it is told that something may be needless now.
pub(super) async fn forget_when_told(ports: Arc<Ports>, told: Arc<Notify>) {
    if ports.specs.folder().is_none() {
        return;
    }
    loop {
        told.notified().await;
        ports.to_forget.store(true, Ordering::SeqCst);
        loop {
            // The loops of all services take turns, and what one has done is done for all that were told before.
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
            sleep(RETRY).await;
        }
    }
}

/// Has the journal forget what is too old, now and then.
pub(super) async fn prune_now_and_then(ports: Arc<Ports>, service: ServiceName) {
    loop {
        if let Err(error) = ports.journal.prune(&service, &ports.keep, ports.clock.now()).await {
            tracing::debug!(%service, %error, "what is too old is not forgotten yet");
        }
        sleep(PRUNE).await;
    }
}
