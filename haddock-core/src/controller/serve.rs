//! Acting for every service of a journal.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Acting, Controller};
use crate::error::{Error, Result};
use crate::name::ServiceName;
use crate::release::Attempt;
use crate::time::sleep;

/// The first and the longest wait before a loop is started again that has ended, or could not begin.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A loop that acted for that long is started again without the waits that a loop gets that ends at once.
const LONG_LIFE: Duration = Duration::from_secs(300);

/// The loops of the services.
#[derive(Default)]
struct Loops {
    acting: BTreeMap<ServiceName, Acting>,
    attempts: BTreeMap<ServiceName, Attempt>,
}

impl Controller {
    /// Acts for every service that the journal knows, or comes to know, until `stop` ends; then gives the leases back.
    /// A service for which another acts is left to that one, and taken over when it has gone. One that cannot be acted
    /// for, such as one that a newer Haddock wrote, is tried again and again, ever more seldom; the others go on. Its
    /// [status](super::Service::status) says why.
    ///
    /// # Errors
    /// The journal's, if it cannot say which services there are, and trying again does not mend that.
    pub async fn serve(&self, stop: impl Future<Output = ()>) -> Result<()> {
        self.serve_some(None, stop).await
    }

    /// As [`serve`](Self::serve), for these services only; for all, if `None`.
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
        // How each ended was logged, and is in the journal.
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
                    if now - attempt.retry_at > LONG_LIFE {
                        *attempt = Attempt::default();
                    }
                    attempt.begin(now, BACKOFF.0, BACKOFF.1);
                    loops.acting.insert(name, begun);
                }
                // Another may end at any time, and is followed at once.
                Ok(None) => {}
                Err(error) => {
                    attempt.begin(now, BACKOFF.0, BACKOFF.1);
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
