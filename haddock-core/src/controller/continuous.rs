//! What whoever follows a registry asks of a service.

use super::Controller;
use super::service::Service;
use crate::environment::EnvironmentSpec;
use crate::error::Result;
use crate::name::RequestId;
use crate::release::{Followed, Outlook, ServiceState, Verb};
use crate::time::Timestamp;

impl Controller {
    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }
}

impl Service {
    /// The state; whether something was asked for that no step has taken up; and whether word of what comes next was left that
    /// no step has taken up.
    pub(crate) async fn follow_state(&self) -> Result<(ServiceState, bool, bool)> {
        // The order matters: what is taken up meanwhile is seen twice, and not missed.
        let pending = self.ports.journal.pending(&self.name).await?;
        let state = self.state_or_new().await?;
        let is_told = |verb: &Verb| matches!(verb, Verb::Follow(_));
        let is_asked = pending.iter().any(|request| !is_told(&request.verb));
        Ok((state, is_asked, pending.iter().any(|request| is_told(&request.verb))))
    }

    /// Asks for a release of what was chosen.
    pub(crate) async fn release_followed(
        &self,
        spec: &EnvironmentSpec,
        followed: Followed,
        commit: Option<String>,
        by: &str,
    ) -> Result<RequestId> {
        let _putting = self.ports.specs.putting().await?;
        let mut new = self.new_version(spec, commit)?;
        new.followed = Some(followed);
        Ok(self.ask_for(spec, new, by).await?.request().clone())
    }

    /// Leaves word of what comes next by itself.
    pub(crate) async fn tell_outlook(&self, outlook: Outlook, by: &str) -> Result<()> {
        self.submit(Verb::Follow(Box::new(outlook)), by).await.map(drop)
    }

    /// Waits for a commit of this process after which no release is in progress. One of another process is not seen.
    pub(crate) async fn until_free(&self) {
        let mut commits = self.ports.commits.subscribe();
        loop {
            if commits.changed().await.is_err() {
                return std::future::pending().await;
            }
            let state = self.ports.journal.load(&self.name).await;
            if state.is_ok_and(|state| state.is_none_or(|state| state.release.is_none() && state.queued.is_none())) {
                return;
            }
        }
    }
}
