//! What was asked for.

use std::collections::BTreeMap;

use super::Work;
use super::external::external_is_over;
use crate::environment::{Queue, ServiceSettings};
use crate::error::{Error, ErrorKind};
use crate::locator::SessionCount;
use crate::name::{ComponentName, RequestId, VersionId};
use crate::release::event::{AbortReason, Event};
use crate::release::request::{NewVersion, Request, Verb};
use crate::release::state::{Attempt, Phase, Release, ReleasePhase, Verdict, Version};

impl Work<'_> {
    /// Takes up each request, once: it is done, queued or refused.
    pub(super) fn take_requests(&mut self) {
        let seen = self.seen;
        for request in &seen.requests {
            self.taken.push(request.id.clone());
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
        match &request.verb {
            Verb::Retire => self.take_retire(request),
            Verb::Abort if self.state.retiring.is_some() => {
                self.abort_retirement(request);
                Ok(())
            }
            Verb::Release(_) | Verb::Adopt(_) | Verb::Rollback if self.state.retiring.is_some() => {
                Err(self.being_retired())
            }
            Verb::Release(new) => self.take_release(request, new),
            Verb::Adopt(adoption) => self.take_adoption(request, adoption),
            Verb::Rollback if self.state.release.is_some() => self.take_abort(request),
            Verb::Rollback => self.take_rollback(request),
            Verb::Abort => self.take_abort(request),
            Verb::Pause => self.take_pause(),
            Verb::Resume => self.take_resume(),
            Verb::Advance => self.take_advance(),
        }
    }

    fn take_release(&mut self, request: &Request, new: &NewVersion) -> Result<(), Error> {
        self.check_locators(&new.settings)?;
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

    /// A drain needs sessions that stay at share 0, and their number, unless it is cut by a deadline.
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
        }
        Ok(())
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

    fn start(&mut self, request: RequestId, new: NewVersion, pins: Option<BTreeMap<ComponentName, String>>) {
        let rollback = pins.is_some();
        let id = self.add_version(Version {
            request: request.clone(),
            new,
            pins,
            verdict: Verdict::Open,
            replacing: Attempt::default(),
            external: false,
            prepared: false,
        });
        self.begin_release(request, id, rollback);
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
        self.state.release = Some(Release {
            version: id,
            started_at: self.now,
            rollback,
            phase: ReleasePhase::Preparing,
            held_since: None,
            paused_at: None,
            advance: false,
            pull: Attempt::default(),
            before: None,
            waits: None,
            blind_since: None,
        });
        self.events.push(Event::ReleaseStarted { request, version: id, images, commit, promoted, rollback });
    }

    /// Back to the newest version that settled before the known good one and was not judged bad: to its instances if
    /// they still run, else to new ones of the same digests.
    fn take_rollback(&mut self, request: &Request) -> Result<(), Error> {
        let present = self.state.known_good;
        let settled = |id: &VersionId| self.version(*id).verdict == Verdict::Settled;
        let target = self.state.versions.keys().rev().copied().find(|id| Some(*id) < present && settled(id));
        let Some(target) = target else {
            return Err(Error::new(ErrorKind::NothingToDo, "there is no earlier version to go back to")
                .with_hint("release the version that is wanted"));
        };
        let usable = |phase: Phase| matches!(phase, Phase::Ready | Phase::Serving | Phase::Draining);
        if self.state.instances_of(target).any(|(_, i)| usable(i.phase) && !i.closed_somewhere) {
            self.begin_release(request.id.clone(), target, true);
        } else if self.version(target).external {
            return Err(external_is_over(target));
        } else {
            let version = self.version(target);
            let (new, pins) = (version.new.clone(), version.pins.clone());
            self.start(request.id.clone(), new, pins);
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
                let message = format!("the release is {}, which has no stage to end early", release.phase.name());
                Err(Error::new(ErrorKind::NothingToDo, message))
            }
        }
    }
}

fn nothing_in_progress() -> Error {
    Error::new(ErrorKind::NothingToDo, "no release is in progress")
        .with_hint("look at the status of the service, and at its history")
}

/// Says which one: it may be another than the one that the caller has in mind.
fn being_aborted(release: &Release) -> Error {
    let why = match &release.phase {
        ReleasePhase::Aborting(AbortReason::Asked { by }) => format!("`{by}` asked for it"),
        ReleasePhase::Aborting(AbortReason::Superseded) => "a newer release takes its place".to_owned(),
        ReleasePhase::Aborting(AbortReason::Failed(error)) => error.to_string(),
        _ => "it has failed".to_owned(),
    };
    Error::new(ErrorKind::NothingToDo, format!("the release of version {} is being aborted: {why}", release.version))
        .with_hint("wait until it is aborted; its status says when")
}
