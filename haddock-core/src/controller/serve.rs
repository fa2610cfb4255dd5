//! Acts for every service of a journal.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::Controller;
use super::actor::Acting;
use crate::error::{Error, Result};
use crate::name::ServiceName;
use crate::release::Attempt;
use crate::time::sleep;

/// The first and the longest wait before a loop is started again after it has ended or could not begin.
const RESTART_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A loop that acted for at least so long is started again with the first wait, as if it had never ended before.
const STABLE_AFTER: Duration = Duration::from_secs(300);

/// The loops of the services.
#[derive(Default)]
struct Loops {
    acting: BTreeMap<ServiceName, Acting>,
    attempts: BTreeMap<ServiceName, Attempt>,
}

impl Controller {
    /// Acts for every service of the journal, new ones included, until `stop` ends. Then the leases are given back.
    ///
    /// If another controller acts for a service, this one waits and takes over when the other has gone. If acting for a
    /// service fails, as when a newer Haddock wrote its state, it is tried again at growing intervals, and the other
    /// services go on. The [status](super::Service::status) of the service says why.
    ///
    /// # Errors
    /// The journal's, if it cannot list the services and a retry does not help.
    pub async fn serve(&self, stop: impl Future<Output = ()>) -> Result<()> {
        self.serve_some(None, stop).await
    }

    /// As [`serve`](Self::serve), for these services only. `None`: for all.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_some(&self, only: Option<Vec<ServiceName>>, stop: impl Future<Output = ()>) -> Result<()> {
        let mut loops = Loops::default();
        let served = async {
            loop {
                self.act_for_all(only.as_deref(), &mut loops).await?;
                sleep(self.ports.tick).await;
            }
        };
        let result = tokio::select! {
            ended = served => ended,
            () = stop => Ok(()),
        };
        for ended in join_all(loops.acting.into_values().map(Acting::stop)).await {
            if let Err(error) = ended {
                tracing::debug!(%error, "a loop ended before it was stopped");
            }
        }
        result
    }

    async fn act_for_all(&self, only: Option<&[ServiceName]>, loops: &mut Loops) -> Result<()> {
        // Each end was logged, and is in the journal.
        loops.acting.retain(|_, acting| !acting.has_ended());
        let known = match only {
            Some(only) => Ok(only.to_vec()),
            None => self.ports.journal.services().await,
        };
        let services = match known {
            Ok(services) => services,
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "cannot read the journal for now");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for name in services {
            let now = self.ports.clock.now();
            let attempt = loops.attempts.entry(name.clone()).or_default();
            if loops.acting.contains_key(&name) || !attempt.is_due(now) {
                continue;
            }
            match self.service(name.clone()).try_act().await {
                Ok(Some(begun)) => {
                    if now - attempt.retry_at > STABLE_AFTER {
                        *attempt = Attempt::default();
                    }
                    attempt.begin(now, RESTART_BACKOFF.0, RESTART_BACKOFF.1);
                    loops.acting.insert(name, begun);
                }
                // The controller that acts may end at any time, and this one takes over at once.
                Ok(None) => {}
                Err(error) => {
                    attempt.begin(now, RESTART_BACKOFF.0, RESTART_BACKOFF.1);
                    self.cannot_act(&name, &error);
                }
            }
        }
        Ok(())
    }

    /// It stops that service alone.
    fn cannot_act(&self, service: &ServiceName, error: &Error) {
        self.ports.watcher.troubled(service, error);
        tracing::warn!(%service, %error, "cannot act for now");
    }
}
