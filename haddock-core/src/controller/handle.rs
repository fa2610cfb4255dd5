//! The handle of a release: how far it is, what can be asked of it, and how it ends.

use super::follow::{Following, Until};
use super::service::Service;
use super::summary::ReleaseSummary;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::name::{RequestId, VersionId};
use crate::release::{PhaseName, Progress, Verb};

/// Options of a release that are not in the compose file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReleaseOptions {
    /// From which VCS commit it was made.
    pub commit: Option<String>,
    /// Release it even if it is what serves already, or what is being released.
    pub force: bool,
}

/// A release that was asked for.
pub struct Release {
    service: Service,
    request: RequestId,
    attached: bool,
}

impl Release {
    pub(super) fn of(service: &Service, request: RequestId, attached: bool) -> Self {
        Self { service: service.clone(), request, attached }
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &RequestId {
        &self.request
    }

    /// Its events with sentences, until it has come this far or has ended in another way. Events with a sequence up to
    /// `since` are skipped.
    #[must_use]
    pub fn follow(&self, until: Until, since: u64) -> Following {
        Following::new(self.service.clone(), self.request.clone(), until, since)
    }

    /// How far it is, or how it ended.
    ///
    /// # Errors
    /// The journal's.
    pub async fn summary(&self) -> Result<ReleaseSummary> {
        let story = self.service.story_of(&self.request).await?;
        let mut summary = ReleaseSummary {
            phase: story.phase().unwrap_or(Progress::Waiting),
            version: story.version(),
            share: story.share(),
            share_in_force: story.share_in_force(),
            stage: None,
            paused: false,
            waits: None,
            draining: story.draining(),
            error: story.error().cloned(),
        };
        let Some(status) = self.service.status().await? else { return Ok(summary) };
        let now = status.summary();
        match now.release {
            // The story knows nothing about its end, so it goes on.
            Some(release) if release.version == summary.version && !summary.phase.is_end() => summary = release,
            _ => {
                let drains = now.instances.iter().filter(|instance| instance.phase == PhaseName::Draining);
                summary.draining = drains.map(|instance| instance.sessions).sum();
            }
        }
        Ok(summary)
    }

    /// Ends this release and gives its share back. If it is still waiting, it is withdrawn. Returns once this is
    /// decided.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if it is over. A newer release that goes on by then is not touched.
    pub async fn abort(&self, by: &str) -> Result<()> {
        self.ask(Verb::Abort, by).await
    }

    /// Holds the ramp of this release where it is.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if it is over, or has not begun.
    pub async fn pause(&self, by: &str) -> Result<()> {
        self.ask(Verb::Pause, by).await
    }

    /// Goes on with the ramp of this release.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub async fn resume(&self, by: &str) -> Result<()> {
        self.ask(Verb::Resume, by).await
    }

    /// Ends this stage of the release, or its settling, at once.
    ///
    /// # Errors
    /// As [`pause`](Self::pause), and if it has no stage yet.
    pub async fn advance(&self, by: &str) -> Result<()> {
        self.ask(Verb::Advance, by).await
    }

    /// Submits a request about this release, and no other, and waits until it was taken up.
    ///
    /// # Errors
    /// Why it was refused, such as [`NothingToDo`](ErrorKind::NothingToDo) if the release is over.
    pub async fn ask(&self, verb: Verb, by: &str) -> Result<()> {
        self.service.ask_about(verb, by, Some(self.request.clone())).await
    }

    /// Whether the same release had been asked for before.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.attached
    }

    /// Waits until it has settled. Returns its version; or, if it would have changed nothing, the version that serves
    /// already. A rollback that aborts a release has settled once that is aborted.
    ///
    /// # Errors
    /// Why it was refused; its own error if it failed; [`ReleaseAborted`](ErrorKind::ReleaseAborted) if somebody asked
    /// for that; [`ReleaseSuperseded`](ErrorKind::ReleaseSuperseded) if a newer one took its place;
    /// [`NobodyActs`](ErrorKind::NobodyActs) if nobody has acted for the service for half a minute.
    pub async fn settled(&self) -> Result<VersionId> {
        self.follow(Until::Settled, u64::MAX).end().await
    }

    /// Waits until it has settled and every instance that another version had then is gone.
    ///
    /// # Errors
    /// As [`settled`](Self::settled).
    pub async fn gone(&self) -> Result<VersionId> {
        self.follow(Until::Gone, u64::MAX).end().await
    }
}
