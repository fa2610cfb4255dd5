//! The verbs of a service that lead to a release.

use super::handle::{Release, ReleaseOptions};
use super::service::Service;
use crate::container::Selector;
use crate::environment::check_http;
use crate::environment::environments::TestedEnvironment;
use crate::environment::{EnvironmentSpec, Receiver, ServiceSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{EnvironmentName, InstanceId, RequestId, VersionId};
use crate::release::{NewVersion, ReleasePhase, Request, Verb, outline, outline_verb};

impl Service {
    /// Asks for a release of what the compose file describes. `by` says who asks, `commit` from which VCS commit. What
    /// is being released already, or serves already, is not released once more; see
    /// [`release_with`](Self::release_with).
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if something that its instances share is not there, see
    /// [`Environments::up_shared`](crate::environment::environments::Environments::up_shared);
    /// [`NotSupported`](ErrorKind::NotSupported) if there is such and the runtime has no networks;
    /// [`NeverReady`](ErrorKind::NeverReady) if what a link of `x-haddock.production` leads to does not answer;
    /// [`ComposeFile`](ErrorKind::ComposeFile) if versions of it cannot run side by side, as of a file that was not
    /// resolved for a [release](crate::environment::compose::Purpose::Release);
    /// [`InvalidName`](ErrorKind::InvalidName) if it describes another service.
    pub async fn release(&self, spec: &EnvironmentSpec, by: &str, commit: Option<String>) -> Result<Release> {
        self.release_with(spec, by, ReleaseOptions { commit, ..ReleaseOptions::default() }).await
    }

    /// As [`release`](Self::release), with all that can be said about it.
    ///
    /// What is being released already, or comes next, is not asked for once more: the answer is the release that was
    /// asked for before. What serves already is settled at once, without anything being launched. Both only unless
    /// [`ReleaseOptions::force`].
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub async fn release_with(&self, spec: &EnvironmentSpec, by: &str, options: ReleaseOptions) -> Result<Release> {
        let _putting = self.ports.specs.putting().await?;
        let mut new = self.new_version(spec, options.commit)?;
        new.force = options.force;
        self.ask_for(spec, new, by).await
    }

    /// Asks for a release of that version, unless that has been done.
    pub(super) async fn ask_for(&self, spec: &EnvironmentSpec, new: NewVersion, by: &str) -> Result<Release> {
        let applied = spec.in_production()?;
        self.check_shared(&applied).await?;
        self.environments().check_targets(&applied, spec).await?;
        if !new.force
            && let Some(request) = self.find_request(&new.spec).await?
        {
            return Ok(Release::of(self, request, true));
        }
        let request = self.submit(Verb::Release(Box::new(new)), by).await?;
        Ok(Release::of(self, request, false))
    }

    /// Refuses a release if components that its instances share are missing: a release never starts those.
    async fn check_shared(&self, spec: &EnvironmentSpec) -> Result<()> {
        let Some(service) = spec.shared_by() else { return Ok(()) };
        let name = EnvironmentName::shared_by(service);
        let uid = InstanceId::of_environment(self.ports.journal.id(), &name);
        let there = self.ports.runtime.list(&Selector::environment(self.ports.journal.id(), &uid)).await?;
        let missing = spec.components.iter().find(|(component, it)| {
            let found = there.iter().find(|container| container.is_of(component));
            !it.versioned && found.is_none()
        });
        match missing {
            None => Ok(()),
            Some((component, _)) => {
                let message = format!("`{component}`, which the instances of `{service}` share, is not there");
                Err(Error::new(ErrorKind::NotFound, message).with_hint("bring it up first: `haddock up --shared`"))
            }
        }
    }

    /// The request whose release leads to that specification, if nothing else comes after it.
    async fn find_request(&self, spec: &str) -> Result<Option<RequestId>> {
        for request in self.ports.journal.pending(&self.name).await?.into_iter().rev() {
            match request.verb {
                Verb::Release(new) => return Ok((new.spec == spec).then_some(request.id)),
                Verb::Rollback | Verb::RollbackTo(_) | Verb::Abort | Verb::Adopt(_) | Verb::Retire => return Ok(None),
                Verb::Pause | Verb::Resume | Verb::Advance | Verb::Follow(_) | Verb::Unreadable { .. } => {}
            }
        }
        let Some(state) = self.ports.journal.load(&self.name).await? else { return Ok(None) };
        if let Some(Request { id, verb: Verb::Release(new), .. }) = state.queued {
            return Ok((new.spec == spec).then_some(id));
        }
        let Some(release) = state.release else { return Ok(None) };
        let goes_there = !release.rollback && !matches!(release.phase, ReleasePhase::Aborting(_));
        let version = state.versions.get(&release.version).filter(|version| goes_there && version.new.spec == spec);
        Ok(version.map(|version| version.request.clone()))
    }

    /// Asks for the way back: an abort while a release goes on, else a release of the version that was good before. If
    /// the service is back there already, as after a release that was given up, the request is refused.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if the service was never released; the journal's.
    pub async fn rollback(&self, by: &str) -> Result<Release> {
        let request = self.submit(Verb::Rollback, by).await?;
        Ok(Release::of(self, request, false))
    }

    /// Asks for a release of a version that was put out before.
    ///
    /// # Errors
    /// As [`rollback`](Self::rollback).
    pub async fn rollback_to(&self, version: VersionId, by: &str) -> Result<Release> {
        let request = self.submit(Verb::RollbackTo(version), by).await?;
        Ok(Release::of(self, request, false))
    }

    /// The release that this request asks for, whether or not it was taken up.
    #[must_use]
    pub fn follow(&self, request: RequestId) -> Release {
        Release::of(self, request, true)
    }

    /// What a release of this specification would do, in order, for people. Nothing is kept or done.
    ///
    /// # Errors
    /// As [`release`](Self::release), and the journal's.
    pub async fn plan(&self, spec: &EnvironmentSpec) -> Result<Vec<String>> {
        let spec = &spec.in_production()?;
        outline(&self.state_or_new().await?, &self.describe(spec)?, &self.ports.capabilities())
    }

    /// What a verb that steers a release, or goes back, would do, in order, for people. Nothing is done.
    ///
    /// # Errors
    /// Why it would be refused, such as [`NothingToDo`](ErrorKind::NothingToDo); the journal's.
    pub async fn plan_verb(&self, verb: &Verb) -> Result<Vec<String>> {
        self.check_known(verb).await?;
        outline_verb(&self.state_or_new().await?, verb)
    }

    pub(super) fn check_name(&self, settings: &ServiceSettings) -> Result<()> {
        if settings.service == self.name {
            return Ok(());
        }
        let message = format!("the file describes service `{}`, not `{}`", settings.service, self.name);
        Err(Error::new(ErrorKind::InvalidName, message))
    }

    /// Refuses what cannot be released.
    fn check_release<'s>(&self, spec: &'s EnvironmentSpec) -> Result<&'s ServiceSettings> {
        let settings = spec.service()?;
        self.check_name(settings)?;
        // A file that was resolved for an environment by itself may claim what there is only once.
        spec.check_side_by_side()?;
        if spec.shared_by().is_some() && !self.ports.runtime.capabilities().networks {
            let message = format!("{} has no networks on which instances reach what they share", self.ports.runtime);
            return Err(Error::new(ErrorKind::NotSupported, message)
                .with_hint("use Docker; or name the image by `${TAG}`, if each version may bring its own"));
        }
        check_http(&*self.ports.probing, settings)?;
        check_receivers(&spec.notify, cfg!(feature = "webhooks"))?;
        if !settings.release.hooks.is_empty() && !self.ports.runtime.capabilities().exec {
            let message = format!("{} cannot run `x-haddock.release.hooks` within instances", self.ports.runtime);
            return Err(Error::new(ErrorKind::NotSupported, message).with_hint("use Docker, or remove them"));
        }
        Ok(settings)
    }

    /// Puts a specification into the store. The caller has the store's turn until the request that names it is in the
    /// journal, so that nobody forgets the specification meanwhile.
    pub(super) fn new_version(&self, spec: &EnvironmentSpec, commit: Option<String>) -> Result<NewVersion> {
        let applied = &spec.in_production()?;
        let new = self.describe(applied)?;
        let file_spec = spec.production.is_some().then(|| self.ports.specs.put(spec)).transpose()?;
        let instance_digest = Some(self.ports.specs.instance_digest(applied));
        Ok(NewVersion { spec: self.ports.specs.put(applied)?, instance_digest, commit, file_spec, ..new })
    }

    /// The version that this specification makes, without the digest that it has once it is in the store.
    fn describe(&self, spec: &EnvironmentSpec) -> Result<NewVersion> {
        let settings = self.check_release(spec)?.clone();
        // The components that it starts. Those that instances share are not among them.
        let own = spec.of_instance().into_iter();
        let images = own.map(|name| (name.clone(), spec.components[&name].image.to_string())).collect();
        Ok(NewVersion { one_shots: spec.one_shots(), ..NewVersion::new(String::new(), settings, images) })
    }

    /// What a version was made from, as its file says and not as it is in production, to bring up an environment like
    /// it: the specification, and the ids of its images. `None`: the version that is known good.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such version, or its specification or images are not known.
    pub async fn like(&self, version: Option<VersionId>) -> Result<TestedEnvironment> {
        let missing = |what: String| Error::new(ErrorKind::NotFound, what);
        let state = self.ports.journal.load(&self.name).await?;
        let state = state.ok_or_else(|| missing(format!("service `{}` was never released", self.name)))?;
        let version = version.or(state.known_good);
        let version = version.ok_or_else(|| missing(format!("no version of `{}` is known good", self.name)))?;
        let found = state.versions.get(&version).filter(|version| !version.external);
        let found = found.ok_or_else(|| {
            let known: Vec<String> = state.versions.keys().map(|version| version.0.to_string()).collect();
            missing(format!("`{}` has no version {}", self.name, version.0))
                .with_hint(format!("it has {}", known.join(", ")))
        })?;
        let digest = found.new.file_spec.as_ref().unwrap_or(&found.new.spec);
        let spec = self.ports.specs.get(digest)?;
        let spec = spec.ok_or_else(|| missing(format!("the specification of version {} is not kept", version.0)))?;
        let images = found.pins.clone();
        let images = images.ok_or_else(|| missing(format!("the images of version {} are not known yet", version.0)))?;
        Ok(TestedEnvironment {
            spec: EnvironmentSpec::clone(&spec),
            images,
            commit: found.new.commit.clone(),
            file: None,
        })
    }
}

/// Refuses URLs that nobody would tell.
fn check_receivers(receivers: &[Receiver], webhooks: bool) -> Result<()> {
    match receivers.iter().any(|it| matches!(it, Receiver::Url(_))) && !webhooks {
        false => Ok(()),
        true => Err(Error::new(ErrorKind::NotSupported, "this program cannot tell the URLs of `x-haddock.notify`")
            .with_hint("build it with the feature `webhooks`, or name a command")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_nobody_would_tell_is_refused() {
        let receivers = [Receiver::new("logger"), Receiver::new("https://example.com/hook")];
        assert_eq!(check_receivers(&receivers, true), Ok(()));
        assert_eq!(check_receivers(&receivers[..1], false), Ok(()));
        assert_eq!(check_receivers(&receivers, false).expect_err("a URL").kind(), ErrorKind::NotSupported);
    }
}
