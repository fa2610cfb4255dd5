//! The loop of continuous releases: look, decide, ask, tell.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::decide::{Decision, Next, decide};
use super::shelf::Shelf;
use super::tag::SeenTag;
use super::watch::{PLACEHOLDER, Watch};
use crate::controller::Controller;
#[cfg(doc)]
use crate::controller::Service;
use crate::environment::{EnvironmentSpec, FollowSettings, Queue};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::name::{ComponentName, RequestId, ServiceName};
use crate::release::{Attempt, FollowWait, Followed, Outlook};
use crate::runtime::ImageRegistry;
use crate::time::sleep;

/// Who asks for these releases, for the history.
const BY: &str = "x-haddock.follow";
/// The longest time between two looks while something fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What a compose file is resolved with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// The value of `TAG`.
    pub tag: String,
    /// Images that take the place of the file's, by component.
    pub images: BTreeMap<ComponentName, ImageReference>,
}

/// Reads a compose file and resolves it for a release with these names. It is read at each look, so changes of it count.
pub type FollowedFile = dyn Fn(&Naming) -> Result<EnvironmentSpec> + Send + Sync;

/// Follows a registry for one compose file.
///
/// ```no_run
/// use std::sync::Arc;
/// use haddock_core::controller::Controller;
/// use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
/// use haddock_core::follow::{Follower, Naming};
/// use haddock_core::runtime::ImageRegistry;
///
/// # async fn example(controller: Controller, registry: Arc<dyn ImageRegistry>) -> haddock_core::Result<()> {
/// let file = |naming: &Naming| {
///     let (tag, images) = (Some(naming.tag.clone()), naming.images.clone());
///     let options = ResolveOptions { tag, images, purpose: Purpose::Release, ..ResolveOptions::default() };
///     Ok(ComposeFile::read("compose.yaml".as_ref())?.resolve(&options)?.spec)
/// };
/// let follower = Follower::new(controller.clone(), registry, Arc::new(file));
/// let stop = std::future::pending();
/// tokio::join!(controller.serve(std::future::pending()), follower.run(stop)).1
/// # }
/// ```
pub struct Follower {
    controller: Controller,
    file: Arc<FollowedFile>,
    shelf: Shelf,
    /// The service, and what is followed, as last read.
    last: Option<Subject>,
}

/// What is followed, and for which service.
#[derive(Debug, Clone)]
struct Subject {
    service: ServiceName,
    of: String,
    every: Duration,
}

/// What a look has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The service.
    pub service: ServiceName,
    /// What comes next, and for what it waits.
    pub outlook: Outlook,
    /// The request for a release, if one was asked for.
    pub request: Option<RequestId>,
    /// When to look again.
    pub every: Duration,
}

impl Follower {
    /// A follower for this compose file. Somebody has to [act](Service::act) for its service.
    #[must_use]
    pub fn new(controller: Controller, registry: Arc<dyn ImageRegistry>, file: Arc<FollowedFile>) -> Self {
        Self { controller, file, shelf: Shelf::new(registry), last: None }
    }

    /// The service, and what its file says about continuous releases.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if it says nothing about them; [`ComposeFile`](ErrorKind::ComposeFile) if it describes
    /// no service; the file's.
    pub fn settings(&self) -> Result<(ServiceName, FollowSettings)> {
        let (spec, follow) = self.read()?;
        Ok((spec.service()?.service.clone(), follow))
    }

    fn read(&self) -> Result<(EnvironmentSpec, FollowSettings)> {
        let spec = (self.file)(&Naming { tag: PLACEHOLDER.to_owned(), images: BTreeMap::new() })?;
        let follow = spec.follow.clone().ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the compose file does not say which tags are released by themselves")
                .with_hint("write `x-haddock: { follow: { release: \"main-*\" } }`")
        })?;
        Ok((spec, follow))
    }

    /// Looks once, and asks for the release that is due, if there is one. What has changed since the last look is told.
    ///
    /// # Errors
    /// The file's, the registry's, the journal's, and those of a [release](Service::release). They are told, too, if the journal
    /// can be written.
    pub async fn look(&mut self) -> Result<Look> {
        self.take_look(true).await
    }

    /// As [`look`](Self::look), but asks for nothing and tells nothing.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub async fn look_only(&mut self) -> Result<Look> {
        self.take_look(false).await
    }

    /// Looks at the registry again and again, until `stop` ends. If a look fails, the next ones come at growing intervals, up to
    /// ten minutes.
    ///
    /// # Errors
    /// Those of [`settings`](Self::settings), at the begin only.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<()> {
        self.settings()?;
        let following = async {
            let mut attempt = Attempt::default();
            loop {
                let now = self.controller.now();
                let pause = match self.look().await {
                    Ok(look) => {
                        attempt = Attempt::default();
                        self.pause(&look).await;
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot follow the registry for now");
                        let every = self.last.as_ref().map_or(FollowSettings::DEFAULT_EVERY, |last| last.every);
                        attempt.begin(now, every, LONGEST_PAUSE.max(every));
                        attempt.retry_at - now
                    }
                };
                sleep(pause).await;
            }
        };
        tokio::select! {
            () = following => {}
            () = stop => {}
        }
        if let Some(last) = self.last.clone() {
            // What it waits for is kept, so that the next follower does not tell it again.
            let off = self.say(&last, |before| Outlook { on: false, ..before }).await;
            if let Err(error) = off {
                tracing::debug!(%error, "nobody is told that the registry is not followed any more");
            }
        }
        Ok(())
    }

    /// Waits for the next look. It is due at once when the release is over that a tag waits for.
    async fn pause(&self, look: &Look) {
        let busy = matches!(look.outlook.waits, Some(FollowWait::Release(_) | FollowWait::Request));
        let service = self.controller.service(look.service.clone());
        tokio::select! {
            () = sleep(look.every) => {}
            () = service.until_free(), if busy => {}
        }
    }

    async fn take_look(&mut self, acts: bool) -> Result<Look> {
        let looked = self.decide().await;
        let subject = self.last.clone();
        let error = match looked {
            Ok((watch, decision)) => {
                let subject = subject.ok_or_else(nothing_read)?;
                let Decision { next, skipped } = decision;
                let mut outlook = Outlook { on: true, of: subject.of.clone(), skipped, ..Outlook::default() };
                let mut request = None;
                let mut failed = None;
                match next {
                    Next::Nothing => {}
                    Next::Wait(tag, wait) => (outlook.tag, outlook.waits) = (Some(tag), Some(wait)),
                    Next::Release(tag) if acts => match self.release(&subject, &watch, &tag).await {
                        Ok(asked) => request = Some(asked),
                        Err(error) => {
                            outlook.tag = Some(tag.name);
                            outlook.waits = Some(FollowWait::Trouble(error.clone()));
                            failed = Some(error);
                        }
                    },
                    Next::Release(tag) => outlook.tag = Some(tag.name),
                }
                if acts {
                    self.say(&subject, |_| outlook.clone()).await?;
                }
                match failed {
                    Some(error) => return Err(error),
                    None => return Ok(Look { service: subject.service, outlook, request, every: subject.every }),
                }
            }
            Err(error) => error,
        };
        if let Some(subject) = subject.filter(|_| acts) {
            let (of, waits) = (subject.of.clone(), Some(FollowWait::Trouble(error.clone())));
            let told =
                self.say(&subject, |before| Outlook { on: true, of, waits, skipped: before.skipped, tag: None }).await;
            if let Err(error) = told {
                tracing::debug!(%error, "nobody is told that the registry cannot be followed");
            }
        }
        Err(error)
    }

    async fn decide(&mut self) -> Result<(Watch, Decision)> {
        let (spec, follow) = self.read()?;
        let settings = spec.service()?;
        let (service, queue): (ServiceName, Queue) = (settings.service.clone(), settings.release.queue);
        let watch = Watch::of(&spec, &follow)?;
        let of = format!("{}:{}", repository(&watch.repository), follow.release);
        self.last = Some(Subject { service: service.clone(), of, every: follow.every });
        let tags = self.shelf.look(&watch, &follow.release).await?;
        // After the registry: a release that was asked for meanwhile is seen.
        let service = self.controller.service(service);
        let (state, is_asked, _) = service.follow_state().await?;
        let decision = decide(&state, is_asked, &tags, queue, &follow.freeze, self.controller.now());
        Ok((watch, decision))
    }

    async fn release(&self, subject: &Subject, watch: &Watch, tag: &SeenTag) -> Result<RequestId> {
        let value = watch.value(&tag.name).unwrap_or_default().to_owned();
        let given = watch.given().map(|name| Ok((name.clone(), watch.repository.with_tag(&tag.name)?)));
        let images = given.into_iter().collect::<Result<BTreeMap<_, _>>>()?;
        let spec = (self.file)(&Naming { tag: value, images })?;
        let built = tag.built.unwrap_or_default();
        let followed = Followed { tag: tag.name.clone(), built, images: tag.images.clone() };
        let service = self.controller.service(subject.service.clone());
        service.release_followed(&spec, followed, tag.commit.clone(), BY).await
    }

    /// Leaves word of what comes next, if that differs from what was said last.
    async fn say(&self, subject: &Subject, outlook: impl FnOnce(Outlook) -> Outlook) -> Result<()> {
        let service = self.controller.service(subject.service.clone());
        let (state, _, is_being_told) = service.follow_state().await?;
        // A service that was never released has no history. And the last word has to be taken up before the next.
        if state.versions.is_empty() || state.is_forgotten() || is_being_told {
            return Ok(());
        }
        let before = state.follow.outlook.unwrap_or_default();
        let outlook = outlook(before.clone());
        match is_news(&before, &outlook) {
            true => service.tell_outlook(outlook, BY).await,
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("last", &self.last).finish_non_exhaustive()
    }
}

fn is_news(before: &Outlook, now: &Outlook) -> bool {
    let same_wait = match (&before.waits, &now.waits) {
        (Some(one), Some(other)) => one.is_like(other),
        (one, other) => one == other,
    };
    !same_wait || (before.on, &before.of, &before.tag, &before.skipped) != (now.on, &now.of, &now.tag, &now.skipped)
}

/// The name of a repository, without a tag.
fn repository(image: &ImageReference) -> String {
    let name = image.familiar();
    let name = name.split_once('@').map_or(name.as_str(), |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => name.to_owned(),
    }
}

fn nothing_read() -> Error {
    Error::new(ErrorKind::NotFound, "the compose file was never read")
}
