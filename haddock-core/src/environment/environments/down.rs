//! Taking an environment down.

use std::collections::BTreeSet;

use super::Environments;
use super::history::EnvironmentAction;
use crate::container::Selector;
use crate::environment::launch::teardown;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{EnvironmentName, InstanceId};

impl Environments {
    /// Stops and removes the environment, and with `volumes` also its volumes. Answers whether there was one.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy), before anything is touched, if instances of a service share it or others use it. Else
    /// those of the runtime; all that can be removed is removed nevertheless.
    pub async fn down(&self, name: &EnvironmentName, volumes: bool) -> Result<bool> {
        let _turn = self.locks.take(name).await?;
        self.down_in_turn(name, volumes).await
    }

    /// The caller must have the turn.
    pub(super) async fn down_in_turn(&self, name: &EnvironmentName, volumes: bool) -> Result<bool> {
        self.refuse_what_serves(name).await?;
        self.refuse_what_is_used(name).await?;
        let uid = InstanceId::of_environment(&self.journal, name);
        let selector = Selector::environment(&self.journal, &uid);
        let record = self.record(name).unwrap_or_default();
        let gone = teardown(&*self.runtime, &self.journal, &uid).await;
        if gone.as_ref().map_or(record.is_some(), |there| *there) {
            self.tell(name, EnvironmentAction::Down, record.as_ref(), Vec::new(), gone.as_ref().err());
        }
        let there = gone?;
        self.forget(name);
        let kept = self.runtime.volumes(&selector).await?;
        if volumes {
            for volume in &kept {
                self.runtime.remove_volume(&volume.name).await?;
            }
        }
        if volumes || kept.is_empty() {
            self.forget_origin(name);
        }
        Ok(there || (volumes && !kept.is_empty()))
    }

    /// The names of its volumes, in order: those that [`down`](Self::down) removes only if told to.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn volumes(&self, name: &EnvironmentName) -> Result<BTreeSet<String>> {
        let volumes = self.runtime.volumes(&self.selector(name)).await?;
        Ok(volumes.into_iter().map(|volume| volume.name).collect())
    }

    /// Refuses to remove what instances share while there is still one of them.
    async fn refuse_what_serves(&self, name: &EnvironmentName) -> Result<()> {
        let Some(service) = self.serves(name)? else { return Ok(()) };
        match self.instance_of(&service).await? {
            None => Ok(()),
            Some(instance) => {
                let message =
                    format!("environment `{name}` is what instances of `{service}` share, such as `{instance}`");
                Err(Error::new(ErrorKind::Busy, message)
                    .with_hint(format!("retire the service first: `haddock retire {service}`")))
            }
        }
    }
}
