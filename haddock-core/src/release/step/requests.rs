//! Requests: what was asked for.

use super::Work;
use super::external::external_is_over;
use crate::error::{Error, ErrorKind};
use crate::name::{RequestId, VersionId};
use crate::release::event::{AbortReason, Event};
use crate::release::reading::unreadable;
use crate::release::request::{NewVersion, Request, Verb};
use crate::release::state::{Attempt, Release, ReleasePhase, Verdict, Version};
use crate::routing::{SessionBy, SessionCount};
use crate::settings::{Queue, ServiceSettings};

impl Work<'_> {
    /// Takes up each request, once: it is done, queued or refused.
    pub(super) fn take_requests(&mut self) {
        let seen = self.seen;
        for request in &seen.requests {
            self.taken.push(request.id.clone());
            if let Verb::Follow(outlook) = &request.verb {
                // It asks for nothing.
                self.take_outlook(outlook);
                continue;
            }
            self.events.push(Event::RequestTaken {
                id: request.id.clone(),
                verb: request.verb.name().to_owned(),
                by: request.by.clone(),
            });
            if let Err(error) = self.take(request) {
                self.events.push(Event::RequestRefused { id: request.id.clone(), error });
            }
        }
        self.start_queued();
    }

    fn take(&mut self, request: &Request) -> Result<(), Error> {
        if let Some(about) = &request.about
            && self.rules.steer_what_is_meant
            && !self.is_in_progress(about)
        {
            return self.take_about_another(request, about);
        }
        match &request.verb {
            Verb::Unreadable { name, why } => Err(unreadable(name, why)),
            Verb::Retire => self.take_retire(request),
            Verb::Abort if self.state.retiring.is_some() => {
                self.abort_retirement(request);
                Ok(())
            }
            Verb::Release(_) | Verb::Adopt(_) | Verb::Rollback | Verb::RollbackTo(_)
                if self.state.retiring.is_some() =>
            {
                Err(self.being_retired())
            }
            Verb::Release(new) => self.take_release(request, new),
            Verb::Adopt(adoption) => self.take_adoption(request, adoption),
            Verb::Rollback if self.state.release.is_some() => self.take_rollback_of_release(request),
            Verb::Rollback => self.take_rollback(request),
            Verb::RollbackTo(version) => self.take_rollback_to(request, *version),
            Verb::Abort => self.take_abort(request),
            Verb::Pause => self.take_pause(),
            Verb::Resume => self.take_resume(),
            Verb::Advance => self.take_advance(),
            Verb::Follow(outlook) => {
                self.take_outlook(outlook);
                Ok(())
            }
        }
    }

    fn take_release(&mut self, request: &Request, new: &NewVersion) -> Result<(), Error> {
        self.check_locators(&new.settings)?;
        self.check_followed(new)?;
        if let Some(skipped) = self.state.queued.replace(request.clone()) {
            self.events.push(Event::ReleaseSkipped { id: skipped.id });
        }
        if self.state.release.is_some() {
            self.events.push(Event::ReleaseQueued { id: request.id.clone() });
            if new.settings.release.queue == Queue::Supersede {
                self.abort(AbortReason::Superseded);
            }
        }
        Ok(())
    }

    /// A drain needs a locator that keeps sessions at share 0. It also needs one that counts them, unless a deadline
    /// ends the drain.
    pub(super) fn check_locators(&self, settings: &ServiceSettings) -> Result<(), Error> {
        for (name, view) in &self.seen.locators {
            if !view.capabilities.keeps_sticky_at_zero {
                let message = format!("locator `{name}` does not keep sessions on an instance at share 0");
                return Err(Error::new(ErrorKind::NotSupported, message).with_hint("use a locator that does"));
            }
            let counts = view.capabilities.session_count != SessionCount::None;
            if !counts && settings.release.drain.evict_after.is_none() {
                let message = format!("locator `{name}` cannot count sessions, so a drain would never end");
                return Err(Error::new(ErrorKind::NotSupported, message)
                    .with_hint("set `release.drain.evict_after`, or use a locator that counts"));
            }
            if settings.session.by == SessionBy::Client && !view.capabilities.by_client {
                let message = format!("locator `{name}` does not know clients beyond their sessions");
                return Err(Error::new(ErrorKind::NotSupported, message)
                    .with_hint("remove `session.by`, or use a locator that does, such as the gateway"));
            }
        }
        Ok(())
    }

    /// A locator that does not know the application's cookie would lose the sessions of an adopted server.
    pub(super) fn check_adoption(&self) -> Result<(), Error> {
        match self.seen.locators.iter().find(|(_, view)| !view.capabilities.adoption) {
            Some((name, _)) => {
                let message = format!("locator `{name}` cannot find the sessions of a server that is adopted");
                Err(Error::new(ErrorKind::NotSupported, message)
                    .with_hint("use a locator that can, such as the gateway, or begin with a release"))
            }
            None => Ok(()),
        }
    }

    /// Starts the release that waits, if there is none in progress.
    pub(super) fn start_queued(&mut self) {
        if self.state.release.is_some() {
            return;
        }
        if let Some(Request { id, verb: Verb::Release(new), .. }) = self.state.queued.take() {
            self.start(id, *new, None);
        }
    }

    fn start(&mut self, request: RequestId, new: NewVersion, again: Option<VersionId>) {
        let pins = again.and_then(|again| self.version(again).pins.clone());
        let id = self.add_version(Version {
            request: request.clone(),
            new,
            pins,
            verdict: Verdict::Open,
            replacing: Attempt::default(),
            external: false,
            prepared: false,
            harm: None,
            begun: self.now,
            left: false,
            again,
        });
        self.begin_release(request, id, again.is_some());
    }

    pub(super) fn add_version(&mut self, version: Version) -> VersionId {
        let last = self.state.versions.keys().next_back().copied().or(self.state.last_version);
        let id = VersionId(last.map_or(1, |last| last.0 + 1));
        self.state.versions.insert(id, version);
        self.state.retired = false;
        id
    }

    fn begin_release(&mut self, request: RequestId, id: VersionId, rollback: bool) {
        let version = self.version(id);
        let NewVersion { images, commit, promoted, .. } = version.new.clone();
        self.state.watch = None;
        self.state.release = Some(Release {
            request: Some(request.clone()),
            version: id,
            started_at: self.now,
            rollback,
            phase: ReleasePhase::Preparing,
            held_since: None,
            paused_at: None,
            advance: false,
            allowed: None,
            pull: Attempt::default(),
            before: None,
            gate: None,
            waits: None,
            locator_silent_since: None,
        });
        self.events.push(Event::ReleaseStarted { request, version: id, images, commit, promoted, rollback });
    }

    /// Whether the release that this request asked for is the one in progress.
    fn is_in_progress(&self, asked: &RequestId) -> bool {
        let of = |release: &Release| {
            release.request.clone().unwrap_or_else(|| self.version(release.version).request.clone())
        };
        self.state.release.as_ref().is_some_and(|release| of(release) == *asked)
    }

    /// Takes a request about a release that is not in progress. If that release waits, it can be withdrawn. If it is
    /// over, it is too late. The release that is in progress now is not meant.
    fn take_about_another(&mut self, request: &Request, about: &RequestId) -> Result<(), Error> {
        let nothing = |message: String| Error::new(ErrorKind::NothingToDo, message);
        if self.state.queued.as_ref().is_some_and(|queued| queued.id == *about) {
            if request.verb != Verb::Abort {
                return Err(nothing("that release has not begun: another goes on".to_owned())
                    .with_hint("wait until it begins, or abort it"));
            }
            self.state.queued = None;
            self.events.push(Event::ReleaseWithdrawn { id: about.clone(), by: request.by.clone() });
            return Ok(());
        }
        let version = self.state.versions.iter().find(|(_, version)| version.request == *about);
        let message = match version.map(|(id, version)| (id.0, version.verdict)) {
            Some((id, Verdict::Settled)) => format!("that release is over: version {id} has settled"),
            Some((id, Verdict::Aborted | Verdict::Bad)) => format!("that release is over: version {id} was given up"),
            _ => "that release is over".to_owned(),
        };
        Err(nothing(message).with_hint("to steer whichever release is in progress, name the service"))
    }

    /// During a release, a rollback aborts it.
    fn take_rollback_of_release(&mut self, request: &Request) -> Result<(), Error> {
        self.take_abort(request)?;
        let version = self.state.release.as_ref().map(|release| release.version);
        if let Some(version) = version {
            let back_to = self.state.known_good.filter(|good| *good != version);
            self.events.push(Event::RollbackAborts { request: request.id.clone(), version, back_to });
        }
        Ok(())
    }

    /// Goes back to the newest version that settled before the known good one and was not judged bad. Refused if the
    /// service has gone back already.
    fn take_rollback(&mut self, request: &Request) -> Result<(), Error> {
        let present = self.state.known_good;
        if let Some(good) = present.filter(|_| self.rules.go_back_once) {
            self.check_not_back_already(good)?;
        }
        let settled = |id: &VersionId| self.version(*id).verdict == Verdict::Settled;
        let target = self.state.versions.keys().rev().copied().find(|id| Some(*id) < present && settled(id));
        let Some(target) = target else {
            return Err(Error::new(ErrorKind::NothingToDo, "there is no earlier version to go back to")
                .with_hint("release the version that is wanted"));
        };
        self.go_back(request, target)
    }

    /// Who asks for a rollback wants to leave a version that is newer than the one that serves. If that version was
    /// given up already, by itself or by somebody else, there is nothing to leave.
    fn check_not_back_already(&self, good: VersionId) -> Result<(), Error> {
        let mut put_out = self.state.versions.iter().rev().filter(|(_, version)| version.verdict != Verdict::Unchanged);
        let given_up = put_out
            .next()
            .filter(|(id, version)| **id > good && matches!(version.verdict, Verdict::Aborted | Verdict::Bad));
        let message = match (given_up, self.version(good).again) {
            (Some((newest, _)), _) => {
                format!("version {} was given up, and the service is already back on version {}", newest.0, good.0)
            }
            (None, Some(again)) => {
                format!("the service is already back: version {} is version {} once more", good.0, again.0)
            }
            (None, None) => return Ok(()),
        };
        Err(Error::new(ErrorKind::NothingToDo, message).with_hint("to go back further, name the version"))
    }

    fn take_rollback_to(&mut self, request: &Request, target: VersionId) -> Result<(), Error> {
        if self.state.known_good == Some(target) {
            if self.state.release.is_some() {
                return self.take_rollback_of_release(request);
            }
            return Err(Error::new(ErrorKind::NothingToDo, format!("version {} serves already", target.0)));
        }
        if let Some(release) = &self.state.release {
            let message = format!("the release of version {} is {}", release.version.0, release.phase.name());
            return Err(Error::new(ErrorKind::Busy, message).with_hint("abort it first, or wait until it is over"));
        }
        let known = self.state.versions.get(&target).filter(|version| version.pins.is_some());
        if known.is_none() {
            let known: Vec<String> = self.state.versions.keys().map(|id| id.0.to_string()).collect();
            let message = format!("there is no version {} to go back to", target.0);
            return Err(Error::new(ErrorKind::NotFound, message).with_hint(format!(
                "`{}` has {}",
                self.state.service,
                known.join(", ")
            )));
        }
        self.go_back(request, target)
    }

    /// Goes back to a version: to its instances if they still run, else to new ones of the same digests.
    fn go_back(&mut self, request: &Request, target: VersionId) -> Result<(), Error> {
        if self.state.instances_of(target).any(|(_, instance)| instance.can_serve_again()) {
            let verdict = &mut self.version_mut(target).verdict;
            if *verdict != Verdict::Settled {
                // Somebody has named this version, so it counts, whatever its verdict was.
                *verdict = Verdict::Open;
            }
            self.version_mut(target).harm = None;
            self.begin_release(request.id.clone(), target, true);
        } else if self.version(target).external {
            return Err(external_is_over(target));
        } else {
            let new = self.version(target).new.clone();
            self.start(request.id.clone(), new, Some(target));
        }
        Ok(())
    }

    fn take_abort(&mut self, request: &Request) -> Result<(), Error> {
        match &self.state.release {
            Some(release) if !matches!(release.phase, ReleasePhase::Aborting(_)) => {
                self.abort(AbortReason::Asked { by: request.by.clone() });
                Ok(())
            }
            Some(release) => Err(being_aborted(release)),
            None => Err(nothing_in_progress()),
        }
    }

    fn take_pause(&mut self) -> Result<(), Error> {
        let now = self.now;
        let release = self.state.release.as_mut().ok_or_else(nothing_in_progress)?;
        if matches!(release.phase, ReleasePhase::Aborting(_)) {
            return Err(being_aborted(release));
        }
        if release.paused_at.is_none() {
            release.paused_at = Some(now);
            self.events.push(Event::ReleasePaused);
        }
        Ok(())
    }

    fn take_resume(&mut self) -> Result<(), Error> {
        let now = self.now;
        let release = self.state.release.as_mut().ok_or_else(nothing_in_progress)?;
        if let Some(paused_at) = release.paused_at.take() {
            release.held_since = release.held_since.map(|since| since + (now - paused_at.max(since)));
            self.events.push(Event::ReleaseResumed);
        }
        Ok(())
    }

    fn take_advance(&mut self) -> Result<(), Error> {
        let release = self.state.release.as_mut().ok_or_else(nothing_in_progress)?;
        match release.phase {
            ReleasePhase::Ramping(_) | ReleasePhase::Settling => {
                release.advance = true;
                Ok(())
            }
            _ => {
                let message = format!(
                    "the release is {}: only a stage of the ramp, or the settling, can be ended early",
                    release.phase.name()
                );
                Err(Error::new(ErrorKind::NothingToDo, message))
            }
        }
    }
}

fn nothing_in_progress() -> Error {
    Error::new(ErrorKind::NothingToDo, "no release is in progress")
        .with_hint("look at the status of the service, and at its history")
}

/// The error says which release it is: it may not be the one that the caller has in mind.
fn being_aborted(release: &Release) -> Error {
    let why = match &release.phase {
        ReleasePhase::Aborting(reason) => reason.to_string(),
        _ => "it has failed".to_owned(),
    };
    Error::new(ErrorKind::NothingToDo, format!("the release of version {} is being aborted: {why}", release.version))
        .with_hint("wait until it is aborted; its status says when")
}
