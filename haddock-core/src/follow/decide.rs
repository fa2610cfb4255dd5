//! Which tag is released next, and why the others are not.

use std::collections::BTreeMap;

use super::tag::SeenTag;
use crate::environment::{Freeze, Queue, frozen_until};
use crate::name::{ComponentName, VersionId};
use crate::release::{
    FollowWait, GivenUp, NewVersion, ReleasePhase, ServiceState, SkipReason, SkippedTag, Verb, Verdict, Version,
};
use crate::time::Timestamp;

/// How many tags that are not released are told of.
const MAX_SKIPPED: usize = 50;

/// Which tag is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Release this one now.
    Release(Box<SeenTag>),
    /// This one comes next, and waits.
    Wait(String, FollowWait),
    /// None: what serves, or is being released, is the newest.
    Nothing,
}

/// What is decided about all tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which tag is next.
    pub next: Next,
    /// Tags that are newer than what serves, and are not released by themselves; newest first.
    pub skipped: Vec<SkippedTag>,
}

/// Decides which of these tags is released next, if any.
///
/// - Only what was built after everything that settled, or that somebody has left, is a candidate: there is no way back by
///   itself.
/// - What was given up does not come back, whatever its tag.
/// - The newest candidate comes first. An older one comes if all newer ones were given up.
/// - What somebody asked for comes before.
///
/// `is_asked`: something was asked for that no step has taken up. `queue` is what the file of the next version says.
#[must_use]
pub fn decide(
    state: &ServiceState,
    is_asked: bool,
    tags: &[SeenTag],
    queue: Queue,
    freeze: &[Freeze],
    now: Timestamp,
) -> Decision {
    let picture = Picture::new(state, tags);
    let (mut eligible, mut incomplete, mut skipped) = (Vec::new(), None, Vec::new());
    let skip = |tag: &SeenTag, why| SkippedTag { tag: tag.name.clone(), digest: tag.digest.clone(), why };
    for tag in picture.candidates() {
        if let Some(version) = picture.given_up(tag) {
            skipped.push(skip(tag, SkipReason::GivenUp(version)));
        } else if tag.missing.is_some() {
            incomplete = incomplete.or(Some(tag));
        } else if !picture.is_in_progress(tag) {
            eligible.push(tag);
        }
    }
    // What is being released is newer than these.
    let newer = picture.in_progress().filter(|(_, built)| built.is_some());
    let next = eligible.first().copied().filter(|tag| newer.is_none_or(|(_, built)| tag.built > built));
    let instead = match (next, newer) {
        (Some(next), _) => Some(next.name.clone()),
        (None, Some((version, _))) => Some(picture.name_of(version)),
        (None, None) => None,
    };
    if let Some(instead) = instead.filter(|_| picture.floor.is_some()) {
        let others = eligible.iter().filter(|tag| next.is_none_or(|next| tag.images != next.images));
        skipped.extend(others.map(|tag| skip(tag, SkipReason::Newer(instead.clone()))));
    }
    skipped.extend(picture.undated().map(|tag| skip(tag, SkipReason::Undated)));
    skipped.truncate(MAX_SKIPPED);
    let next = match (next, incomplete) {
        (Some(tag), _) => match hold(state, is_asked, queue, freeze, now) {
            Some(wait) => Next::Wait(tag.name.clone(), wait),
            None => Next::Release(Box::new(tag.clone())),
        },
        (None, Some(tag)) => Next::Wait(tag.name.clone(), FollowWait::Image(tag.missing.clone().unwrap_or_default())),
        (None, None) => Next::Nothing,
    };
    Decision { next, skipped }
}

/// For what any release by itself has to wait.
fn hold(state: &ServiceState, is_asked: bool, queue: Queue, freeze: &[Freeze], now: Timestamp) -> Option<FollowWait> {
    if state.retiring.is_some() || state.retired {
        return Some(FollowWait::Retired);
    }
    if let Some((until, window)) = frozen_until(freeze, now) {
        return Some(FollowWait::Freeze { until, shown: window.shown(until) });
    }
    let by_itself = |version: VersionId| state.versions.get(&version).is_some_and(|it| it.new.followed.is_some());
    if let Some(release) = &state.release {
        let ends = matches!(release.phase, ReleasePhase::Aborting(_));
        if queue != Queue::Supersede || release.rollback || ends || !by_itself(release.version) {
            return Some(FollowWait::Release(release.version));
        }
    }
    let waits = state.queued.as_ref().is_some_and(
        |request| !matches!(&request.verb, Verb::Release(new) if new.followed.is_some() && queue == Queue::Supersede),
    );
    (is_asked || waits).then_some(FollowWait::Request)
}

/// What was put out, and what the registry has.
struct Picture<'a> {
    state: &'a ServiceState,
    /// The newest first.
    tags: Vec<&'a SeenTag>,
    /// When the newest was built that has settled, or that somebody has left. `None`: there is nothing to compare with.
    floor: Option<Timestamp>,
}

impl<'a> Picture<'a> {
    fn new(state: &'a ServiceState, tags: &'a [SeenTag]) -> Self {
        let mut tags: Vec<&SeenTag> = tags.iter().collect();
        tags.sort_by(|one, other| (other.built, &other.name).cmp(&(one.built, &one.name)));
        let mut picture = Self { state, tags, floor: None };
        let stays = |(id, version): &(&VersionId, &Version)| {
            matches!(version.verdict, Verdict::Settled | Verdict::Unchanged)
                || version.left
                || state.known_good == Some(**id)
        };
        let versions = state.versions.iter().filter(stays).filter_map(|(_, version)| picture.built(version));
        let left = state.follow.given_up.iter().filter(|gone| gone.left).filter_map(|gone| picture.built_then(gone));
        picture.floor = versions.chain(left).max();
        picture
    }

    /// Tags that were built after all that has settled or was left; newest first.
    fn candidates(&self) -> impl Iterator<Item = &'a SeenTag> {
        let floor = self.floor;
        self.tags
            .iter()
            .copied()
            .filter(move |tag| tag.built.is_some() && floor.is_none_or(|floor| tag.built > Some(floor)))
    }

    /// Tags that do not say when they were built, and that were not put out.
    fn undated(&self) -> impl Iterator<Item = &'a SeenTag> {
        let undated = self.tags.iter().copied().filter(|tag| tag.built.is_none() && tag.missing.is_none());
        undated.filter(|tag| !self.state.versions.values().any(|version| is_of(tag, version.pins.as_ref())))
    }

    /// When a version was built; if nobody knows, when its release began.
    fn built(&self, version: &Version) -> Option<Timestamp> {
        let followed = version.new.followed.as_ref().map(|followed| followed.built);
        followed
            .or_else(|| self.dated(version.pins.as_ref()))
            .or(Some(version.begun))
            .filter(|at| *at > Timestamp::default())
    }

    fn built_then(&self, gone: &GivenUp) -> Option<Timestamp> {
        gone.built.or_else(|| self.dated(Some(&gone.pins))).or(Some(gone.begun)).filter(|at| *at > Timestamp::default())
    }

    /// When the images of a version were built, if the registry has them.
    fn dated(&self, pins: Option<&BTreeMap<ComponentName, String>>) -> Option<Timestamp> {
        self.tags.iter().find(|tag| is_of(tag, pins)).and_then(|tag| tag.built)
    }

    /// The version with the same images that was given up, if there is one.
    fn given_up(&self, tag: &SeenTag) -> Option<VersionId> {
        let is_bad = |version: &Version| version.verdict == Verdict::Bad || version.left;
        let bad = self.state.versions.iter().rev().filter(|(_, version)| is_bad(version));
        // Its images may not even have come to the host.
        let chosen = |version: &Version| version.new.followed.as_ref().is_some_and(|it| it.images == tag.images);
        let same = |version: &Version| is_of(tag, version.pins.as_ref()) || (version.pins.is_none() && chosen(version));
        let mut bad = bad.filter(|(_, version)| same(version)).map(|(id, _)| *id);
        let gone = self.state.follow.given_up.iter().rev();
        let mut gone = gone.filter(|gone| tag.is_of(&gone.pins)).map(|gone| gone.version);
        bad.next().or_else(|| gone.next())
    }

    /// The version that is being released, and when it was built. A rollback goes to none that is compared with.
    fn in_progress(&self) -> Option<(VersionId, Option<Timestamp>)> {
        let release = self.state.release.as_ref()?;
        let goes_there = !release.rollback && !matches!(release.phase, ReleasePhase::Aborting(_));
        let version = self.state.versions.get(&release.version).filter(|_| goes_there)?;
        Some((release.version, self.built(version)))
    }

    /// Whether this is what is being released, or comes next.
    fn is_in_progress(&self, tag: &SeenTag) -> bool {
        let same = |new: &NewVersion| new.followed.as_ref().is_some_and(|it| it.images == tag.images);
        let released = self.in_progress().and_then(|(id, _)| self.state.versions.get(&id));
        let queued = self.state.queued.as_ref().is_some_and(|it| matches!(&it.verb, Verb::Release(new) if same(new)));
        queued || released.is_some_and(|version| same(&version.new) || is_of(tag, version.pins.as_ref()))
    }

    fn name_of(&self, version: VersionId) -> String {
        let followed = self.state.versions.get(&version).and_then(|version| version.new.followed.as_ref());
        followed.map_or_else(|| format!("version {}", version.0), |followed| followed.tag.clone())
    }
}

fn is_of(tag: &SeenTag, pins: Option<&BTreeMap<ComponentName, String>>) -> bool {
    pins.is_some_and(|pins| tag.is_of(pins))
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
