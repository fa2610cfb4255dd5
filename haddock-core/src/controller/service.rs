//! The verbs: they submit requests to the journal, and follow its history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::handle::{Release, ReleaseOptions};
use super::{Acting, Ports};
use crate::container::Selector;
use crate::environment::environments::{Environments, TestedEnvironment};
use crate::environment::{DependencyCondition, EnvironmentSpec, ServiceSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Checkpoint, LoopEnd};
use crate::name::{EnvironmentName, InstanceId, LocatorName, RequestId, ServiceName, VersionId};
use crate::release::{
    Event, NewVersion, RecordedEvent, ReleasePhase, Request, ServiceState, Story, Verb, outline, outline_verb,
};
use crate::routing::LocatorReport;
use crate::time::Clock;

/// Events that are read at a time.
const PAGE: usize = 256;

/// A service: what clients use. Its verbs need no lease; whoever [acts](Service::act) takes them up.
#[derive(Clone)]
pub struct Service {
    pub(super) ports: Arc<Ports>,
    pub(super) name: ServiceName,
}

/// A service as it is: its state, and the figures of each locator that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The state, as last committed.
    pub state: ServiceState,
    /// What each locator says; an error if it does not answer.
    pub locators: BTreeMap<LocatorName, Result<LocatorReport>>,
    /// How the last loop that acted ended, if nobody had asked it to, and none acts again.
    pub ended: Option<LoopEnd>,
}

impl Service {
    pub(crate) fn new(ports: Arc<Ports>, name: ServiceName) -> Self {
        Self { ports, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.ports.clock
    }

    /// Acts for the service, until the answer is stopped or dropped.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) while another acts, [`JournalTooNew`](ErrorKind::JournalTooNew).
    pub async fn act(&self) -> Result<Acting> {
        Acting::start(Arc::clone(&self.ports), self.name.clone()).await
    }

    /// As [`act`](Self::act), or `None` while another acts.
    ///
    /// # Errors
    /// [`JournalTooNew`](ErrorKind::JournalTooNew), and what the journal says.
    pub async fn try_act(&self) -> Result<Option<Acting>> {
        match self.act().await {
            Ok(acting) => Ok(Some(acting)),
            Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a release of what the compose file describes. `by` says who asks, `commit` from which VCS commit. What
    /// is being released already, or serves already, is not released once more; see
    /// [`release_with`](Self::release_with).
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if something that its instances share is not there, see
    /// [`Environments::up_shared`](crate::environment::environments::Environments::up_shared);
    /// [`NotSupported`](ErrorKind::NotSupported) if there is such and the runtime has no networks;
    /// [`NeverReady`](ErrorKind::NeverReady) if what a link of `x-haddock.production` leads to does not answer;
    /// [`ComposeFile`](ErrorKind::ComposeFile) if versions of it cannot run side by side, as of a file that was not resolved
    /// for a [release](crate::environment::compose::Purpose::Release);
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

    /// Refuses a release whose instances would miss what they share: a release never brings that.
    async fn check_shared(&self, spec: &EnvironmentSpec) -> Result<()> {
        let Some(service) = spec.shared_by() else { return Ok(()) };
        let name = EnvironmentName::shared_by(service);
        let uid = InstanceId::of_environment(self.ports.journal.id(), &name);
        let there = self.ports.runtime.list(&Selector::environment(self.ports.journal.id(), &uid)).await?;
        let missing = spec.components.iter().find(|(component, it)| {
            let found = there.iter().find(|container| container.component().as_ref() == Some(component));
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

    pub(super) fn environments(&self) -> Environments {
        self.ports.environments()
    }

    /// The request whose release leads to that specification, if nothing else comes after it.
    async fn find_request(&self, spec: &str) -> Result<Option<RequestId>> {
        for request in self.ports.journal.pending(&self.name).await?.into_iter().rev() {
            match request.verb {
                Verb::Release(new) => return Ok((new.spec == spec).then_some(request.id)),
                Verb::Rollback | Verb::RollbackTo(_) | Verb::Abort | Verb::Adopt(_) | Verb::Retire => return Ok(None),
                Verb::Pause | Verb::Resume | Verb::Advance | Verb::Unreadable { .. } => {}
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

    /// Asks for the way back: an abort while a release goes on, else a release of the version that was good before. If the
    /// service is back there already, as after a release that was given up, the request is refused.
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
        let settings = self.check_release(spec)?;
        let state = self.ports.journal.load(&self.name).await?;
        let images = spec.components.iter().filter(|(_, component)| component.versioned);
        let images = images.map(|(name, component)| (name.clone(), component.image.to_string())).collect();
        Ok(outline(state.as_ref(), settings, &images))
    }

    /// What a verb that steers a release, or goes back, would do, in order, for people. Nothing is done.
    ///
    /// # Errors
    /// Why it would be refused, such as [`NothingToDo`](ErrorKind::NothingToDo); the journal's.
    pub async fn plan_verb(&self, verb: &Verb) -> Result<Vec<String>> {
        self.check_known(verb).await?;
        let state = self.ports.journal.load(&self.name).await?;
        let state = state.unwrap_or_else(|| ServiceState::new(self.name.clone(), self.ports.journal.id().clone()));
        outline_verb(&state, verb)
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
        if !settings.release.hooks.is_empty() && !self.ports.runtime.capabilities().exec {
            let message = format!("{} cannot run `x-haddock.release.hooks` within instances", self.ports.runtime);
            return Err(Error::new(ErrorKind::NotSupported, message).with_hint("use Docker, or remove them"));
        }
        Ok(settings)
    }

    /// Who asks has a turn to put specifications until something names the version.
    pub(super) fn new_version(&self, spec: &EnvironmentSpec, commit: Option<String>) -> Result<NewVersion> {
        let file_spec = spec.production.is_some().then(|| self.ports.specs.put(spec)).transpose()?;
        let spec = &spec.in_production()?;
        let settings = self.check_release(spec)?.clone();
        // What it brings; what instances share is none of its components.
        let own = spec.of_instance().into_iter();
        let images = own.map(|name| (name.clone(), spec.components[&name].image.to_string())).collect();
        let awaited = spec.components.values().flat_map(|component| &component.depends_on);
        let completes = awaited.filter(|(_, it)| it.condition == DependencyCondition::CompletedSuccessfully);
        let one_shots: BTreeSet<_> = completes.map(|(name, _)| name.clone()).collect();
        Ok(NewVersion {
            spec: self.ports.specs.put(spec)?,
            settings,
            images,
            one_shots,
            commit,
            pins: BTreeMap::new(),
            file_spec,
            promoted: None,
            force: false,
        })
    }

    /// What a version was made from, as its file says and not as it is in production, to bring up an environment like it:
    /// the specification, and the ids of its images. `None`: the version that is known good.
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

    /// Leaves a request for whoever acts.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if it is about a service that was never released; the journal's.
    pub async fn submit(&self, verb: Verb, by: &str) -> Result<RequestId> {
        self.submit_about(verb, by, None).await
    }

    async fn submit_about(&self, verb: Verb, by: &str, about: Option<RequestId>) -> Result<RequestId> {
        if !matches!(verb, Verb::Release(_) | Verb::Adopt(_)) {
            self.check_known(&verb).await?;
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| Error::new(ErrorKind::Io, format!("the system gives no random numbers: {error}")))?;
        let id = RequestId::new(format!("{}-{:016x}", verb.name(), u64::from_le_bytes(random)))?;
        let request = Request { id: id.clone(), at: self.ports.clock.now(), by: by.to_owned(), verb, about };
        self.ports.journal.submit(&self.name, &request).await?;
        self.ports.waker(&self.name).notify_one();
        Ok(id)
    }

    /// Refuses a verb about a service under whose name nothing was ever released, or is about to be: it would make one.
    ///
    /// # Errors
    /// [`NothingToDo`](ErrorKind::NothingToDo) if there is no such service; the journal's.
    pub async fn check_known(&self, verb: &Verb) -> Result<()> {
        let state = self.ports.journal.load(&self.name).await?;
        let is_known = state.is_some_and(|state| !state.is_forgotten());
        if is_known || !self.ports.journal.pending(&self.name).await?.is_empty() {
            return Ok(());
        }
        let known = self.ports.journal.services().await?;
        let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        let hint =
            if known.is_empty() { "release it first".to_owned() } else { format!("there are {}", known.join(", ")) };
        let name = &self.name;
        let message = match verb {
            Verb::Retire => format!("there is nothing of `{name}` to retire"),
            _ => format!("no release of `{name}` is in progress, and there is no such service"),
        };
        Err(Error::new(ErrorKind::NothingToDo, message).with_hint(hint))
    }

    /// Submits a request and waits until it was taken up.
    ///
    /// # Errors
    /// Why it was refused, such as [`NothingToDo`](ErrorKind::NothingToDo).
    pub async fn ask(&self, verb: Verb, by: &str) -> Result<()> {
        self.ask_about(verb, by, None).await
    }

    pub(super) async fn ask_about(&self, verb: Verb, by: &str, about: Option<RequestId>) -> Result<()> {
        let mut events = self.events_from_now().await?;
        let id = self.submit_about(verb, by, about).await?;
        let mut taken = false;
        loop {
            for recorded in events.next().await? {
                match recorded.event {
                    Event::RequestTaken { id: this, .. } if this == id => taken = true,
                    Event::RequestRefused { id: this, error } if this == id => return Err(error),
                    _ => {}
                }
            }
            // A refusal is in the same commit as the taking up.
            if taken {
                return Ok(());
            }
        }
    }

    /// Who acts for the service, here or elsewhere, for people to read; `None` if nobody does.
    ///
    /// # Errors
    /// The journal's.
    pub async fn acting(&self) -> Result<Option<String>> {
        let lease = self.ports.journal.lease(&self.name, self.ports.clock.now()).await?;
        Ok(lease.map(|lease| lease.holder))
    }

    /// The service as it is, or `None` if it was never released, or has been retired.
    ///
    /// # Errors
    /// The journal's.
    pub async fn status(&self) -> Result<Option<Status>> {
        let state = self.ports.journal.load(&self.name).await?.filter(|state| !state.is_forgotten());
        let Some(state) = state else { return Ok(None) };
        let mut locators = BTreeMap::new();
        for (name, locator) in &self.ports.locators {
            locators.insert(name.clone(), locator.observe(&self.name).await);
        }
        let ended = self.ports.journal.last_end(&self.name).await?;
        Ok(Some(Status { state, locators, ended }))
    }

    /// The history after the event with this sequence, and what follows.
    #[must_use]
    pub fn events(&self, after: u64) -> Events {
        Events { service: self.clone(), after, level: false }
    }

    /// The history from shortly before that request was taken up, or from now on; and the story of its release so far.
    pub(super) async fn events_of(&self, request: &RequestId) -> Result<(Events, Story)> {
        let journal = &self.ports.journal;
        // In this order: it may be taken up meanwhile.
        let newest = journal.newest(&self.name).await?;
        let before = journal.taken_at(&self.name, request).await?.map_or(newest, |taken| taken - 1);
        let Checkpoint { sequence, story } = journal.checkpoint(&self.name, before).await?;
        Ok((self.events(sequence), story.about(request.clone())))
    }

    /// What the history says of the release that this request asked for.
    pub(super) async fn story_of(&self, request: &RequestId) -> Result<Story> {
        let (Events { mut after, .. }, mut story) = self.events_of(request).await?;
        loop {
            let page = self.ports.journal.history(&self.name, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(story) };
            after = last.sequence;
            for recorded in &page {
                story.tell(recorded);
            }
        }
    }

    /// What follows from now on.
    ///
    /// # Errors
    /// The journal's.
    pub async fn events_from_now(&self) -> Result<Events> {
        Ok(self.events(self.ports.journal.newest(&self.name).await?))
    }

    /// Waits until a state meets the condition.
    ///
    /// # Errors
    /// The journal's.
    pub async fn wait_for(&self, condition: impl Fn(&ServiceState) -> bool) -> Result<ServiceState> {
        let mut commits = self.ports.commits.subscribe();
        loop {
            commits.mark_unchanged();
            if let Some(state) = self.ports.journal.load(&self.name).await?.filter(|state| condition(state)) {
                return Ok(state);
            }
            self.ports.news(&mut commits).await;
        }
    }
}

/// A service's history, as it grows.
pub struct Events {
    service: Service,
    after: u64,
    level: bool,
}

impl Events {
    /// The next events, oldest first; waits until there is one.
    ///
    /// # Errors
    /// The journal's.
    pub async fn next(&mut self) -> Result<Vec<RecordedEvent>> {
        let mut commits = self.service.ports.commits.subscribe();
        loop {
            commits.mark_unchanged();
            let page = self.service.ports.journal.history(&self.service.name, self.after, PAGE).await?;
            if let Some(last) = page.last() {
                self.after = last.sequence;
                self.level = page.len() < PAGE;
                return Ok(page);
            }
            self.service.ports.news(&mut commits).await;
        }
    }

    /// Whether the last answer was all that there was.
    pub(super) fn is_level(&self) -> bool {
        self.level
    }

    /// As [`next`](Self::next), but gives up after that long, with nothing.
    ///
    /// # Errors
    /// The journal's.
    pub async fn next_within(&mut self, limit: Duration) -> Result<Vec<RecordedEvent>> {
        timeout(limit, self.next()).await.unwrap_or(Ok(Vec::new()))
    }
}
