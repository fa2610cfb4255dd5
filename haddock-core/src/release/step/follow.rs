//! Continuous releases: what whoever follows a registry asks for and says.

use super::Work;
use crate::error::{Error, ErrorKind};
use crate::name::VersionId;
use crate::release::event::{AbortReason, Event};
use crate::release::outlook::{Outlook, SkipReason, SkippedTag};
use crate::release::request::{NewVersion, Request, Verb};
use crate::settings::Queue;

impl Work<'_> {
    /// A release that nobody asked for never takes the place of one that somebody asked for.
    pub(super) fn check_followed(&self, new: &NewVersion) -> Result<(), Error> {
        if new.followed.is_none() {
            return Ok(());
        }
        let by_itself = |request: &Request| matches!(&request.verb, Verb::Release(new) if new.followed.is_some());
        let supersedes = new.settings.release.queue == Queue::Supersede;
        let goes_on = self.state.release.as_ref().is_some_and(|release| {
            release.rollback || !supersedes || self.version(release.version).new.followed.is_none()
        });
        if goes_on || self.state.queued.as_ref().is_some_and(|queued| !by_itself(queued)) {
            return Err(Error::new(ErrorKind::Busy, "what somebody asked for comes first")
                .with_hint("the tag is released when that is over, if it is still the newest"));
        }
        Ok(())
    }

    /// If the pull has brought another image than the one that was chosen, the release is over. Returns whether it is.
    pub(super) fn is_another_image(&mut self, version: VersionId) -> bool {
        let version = self.version(version);
        let (Some(followed), Some(pins)) = (&version.new.followed, &version.pins) else { return false };
        let differs = followed.images.iter().any(|(name, ids)| pins.get(name).is_some_and(|pin| !ids.contains(pin)));
        if differs {
            self.abort(AbortReason::Superseded);
        }
        differs
    }

    /// Says what differs from what was said last.
    pub(super) fn take_outlook(&mut self, outlook: &Outlook) {
        let before = self.state.follow.outlook.replace(outlook.clone()).unwrap_or_default();
        let known = |tag: &SkippedTag| {
            before.skipped.iter().any(|it| {
                // That there is an even newer one is no news.
                let alike = matches!((&it.why, &tag.why), (SkipReason::Newer(_), SkipReason::Newer(_)));
                (&it.tag, &it.digest) == (&tag.tag, &tag.digest) && (alike || it.why == tag.why)
            })
        };
        let mut news: Vec<_> = outlook.skipped.iter().filter(|tag| !known(tag)).cloned().collect();
        while let Some(first) = news.first() {
            let why = first.why.clone();
            let (same, rest): (Vec<_>, Vec<_>) = news.into_iter().partition(|tag| tag.why == why);
            self.events.push(Event::TagsSkipped { tags: same.into_iter().map(|it| it.tag).collect(), why });
            news = rest;
        }
        let same_wait = match (&before.waits, &outlook.waits) {
            (Some(one), Some(other)) => one.is_like(other) && before.tag == outlook.tag,
            (None, None) => true,
            _ => false,
        };
        match (&outlook.waits, &before.waits) {
            _ if same_wait => {}
            (Some(wait), _) => self.events.push(Event::FollowWaits { tag: outlook.tag.clone(), wait: wait.clone() }),
            (None, Some(wait)) if wait.is_news() && outlook.on => self.events.push(Event::FollowGoesOn),
            (None, _) => {}
        }
    }
}
