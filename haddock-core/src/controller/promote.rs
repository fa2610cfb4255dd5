//! Makes a version of a service from a test environment.

use super::handle::Release;
use super::service::Service;
use crate::environment::environments::TestedEnvironment;
use crate::error::Result;
use crate::name::EnvironmentName;

/// The options of a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromoteOptions {
    /// Release it even if it is what serves already.
    pub force: bool,
}

impl Service {
    /// Asks for a release of what runs in a test environment: the same file, the same images, with the file's
    /// `x-haddock.production` applied, so that its links lead to production's database. The environment stays as it is,
    /// its own database with it, until it is taken down.
    ///
    /// Each version is launched anew: nothing that was done to the test environment comes with it.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such environment, [`Busy`](crate::ErrorKind::Busy) if it
    /// is not as its file says, [`ComposeFile`](crate::ErrorKind::ComposeFile) if versions of it cannot run side by
    /// side, [`NeverReady`](crate::ErrorKind::NeverReady) if what a link is to lead to does not answer, and those of
    /// [`release`](Self::release). Then nothing has changed.
    pub async fn promote(&self, name: &EnvironmentName, by: &str, options: PromoteOptions) -> Result<Release> {
        let tested = self.environments().tested(name).await?;
        self.promote_this(name, tested, by, options).await
    }

    /// As [`promote`](Self::promote), for an environment that was read before.
    ///
    /// # Errors
    /// As [`promote`](Self::promote).
    pub async fn promote_this(
        &self,
        name: &EnvironmentName,
        tested: TestedEnvironment,
        by: &str,
        options: PromoteOptions,
    ) -> Result<Release> {
        let TestedEnvironment { spec, images, commit, .. } = tested;
        let _putting = self.ports.specs.putting().await?;
        let mut new = self.new_version(&spec, commit)?;
        new.pins = images;
        new.promoted = Some(name.clone());
        new.force = options.force;
        self.ask_for(&spec, new, by).await
    }
}
