//! Acting for every service of a journal.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{Acting, Controller};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ServiceName;
use crate::time::sleep;

impl Controller {
    /// Acts for every service that the journal knows, or comes to know, until `stop` ends; then gives the leases back.
    /// A service for which another acts is left to that one, and taken over when it has gone.
    ///
    /// # Errors
    /// What trying again does not mend, such as [`JournalTooNew`](ErrorKind::JournalTooNew).
    pub async fn serve(&self, stop: impl Future<Output = ()>) -> Result<()> {
        self.serve_some(None, stop).await
    }

    /// As [`serve`](Self::serve), for these services only; for all, if `None`.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_some(&self, only: Option<Vec<ServiceName>>, stop: impl Future<Output = ()>) -> Result<()> {
        let mut acting = BTreeMap::new();
        let served = async {
            loop {
                self.act_for_all(only.as_deref(), &mut acting).await?;
                sleep(self.ports.tick).await;
            }
        };
        let result = tokio::select! {
            ended = served => ended,
            () = stop => Ok(()),
        };
        for ended in join_all(acting.into_values().map(Acting::stop)).await {
            if let Err(error) = ended {
                tracing::debug!(%error, "a loop ended before it was stopped");
            }
        }
        result
    }

    async fn act_for_all(
        &self,
        only: Option<&[ServiceName]>,
        acting: &mut BTreeMap<ServiceName, Acting>,
    ) -> Result<()> {
        acting.retain(|_, acting| !acting.has_ended());
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
            if acting.contains_key(&name) {
                continue;
            }
            match self.service(name.clone()).try_act().await {
                Ok(Some(begun)) => drop(acting.insert(name, begun)),
                Ok(None) => {}
                Err(error) => self.for_now(&name, error)?,
            }
        }
        Ok(())
    }

    /// Passes over what trying again may mend.
    fn for_now(&self, service: &ServiceName, error: Error) -> Result<()> {
        if !error.is_retryable() && error.kind() != ErrorKind::Fenced {
            return Err(error);
        }
        self.ports.watcher.troubled(service, &error);
        tracing::warn!(%service, %error, "cannot act for now");
        Ok(())
    }
}
