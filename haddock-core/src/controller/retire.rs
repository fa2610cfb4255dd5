//! The verb that takes a service away.

use super::service::Service;
use crate::error::{Error, ErrorKind, Result};
use crate::release::{Verb, outline_retirement};

impl Service {
    /// Asks for the end of the service: its instances get no new sessions, and drain as in a release. When the last is
    /// gone the service is forgotten, so that its name can be used again; its history stays. Answers once that has been
    /// taken up; see [`retired`](Self::retired). Asked a second time, it goes on.
    ///
    /// Until the last is gone, [`Verb::Abort`] lets the service serve again.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) while a release goes on, [`NothingToDo`](ErrorKind::NothingToDo) if there is nothing
    /// of it.
    pub async fn retire(&self, by: &str) -> Result<()> {
        self.ask(Verb::Retire, by).await
    }

    /// Waits until nothing is left of a service that is being retired.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if it is not retired, or not any more.
    pub async fn retired(&self) -> Result<()> {
        let state = self.wait_for(|state| state.retiring.is_none()).await?;
        if !state.retired {
            let message = format!("`{}` is not being retired: it serves", self.name());
            return Err(Error::new(ErrorKind::NothingToDo, message).with_hint("look at its history"));
        }
        Ok(())
    }

    /// What a retirement would do, in order, for people. Nothing is done.
    ///
    /// # Errors
    /// As [`retire`](Self::retire), and the journal's.
    pub async fn plan_retire(&self) -> Result<Vec<String>> {
        outline_retirement(&self.state_or_new().await?, &self.ports.capabilities())
    }
}
