//! What is remembered for continuous releases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Version;
use super::version::Verdict;
use crate::name::{ComponentName, VersionId};
use crate::release::outlook::Outlook;
use crate::time::Timestamp;

/// How many versions that were given up are remembered. Each takes some 200 bytes of the state, which each commit writes.
const MAX_GIVEN_UP: usize = 200;

/// What a service remembers for continuous releases.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FollowMemory {
    /// Versions that were given up and are otherwise forgotten, oldest first. They never come back by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUp>,
    /// What whoever follows the registry said last. `None`: nobody ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
}

/// A version that was given up: it failed, or somebody has left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Its number.
    pub version: VersionId,
    /// Its images by digest.
    pub pins: BTreeMap<ComponentName, String>,
    /// Whether it failed or was rolled back.
    pub verdict: Verdict,
    /// When its images were built, if that is known.
    pub built: Option<Timestamp>,
    /// When its release began.
    pub begun: Timestamp,
    /// Whether somebody has left it: by an abort or a rollback.
    pub left: bool,
}

impl FollowMemory {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Remembers a version that is about to be forgotten, if it was given up.
    pub(crate) fn remember(&mut self, id: VersionId, version: &Version) {
        if version.verdict != Verdict::Bad && !version.left {
            return;
        }
        // If its images never came to the host, those count that were chosen.
        let chosen = version.new.followed.iter().flat_map(|followed| &followed.images);
        let chosen = || chosen.filter_map(|(name, ids)| Some((name.clone(), ids.first()?.clone()))).collect();
        let pins = version.pins.clone().unwrap_or_else(chosen);
        if pins.is_empty() {
            return;
        }
        let (verdict, begun, left) = (version.verdict, version.begun, version.left);
        let built = version.new.followed.as_ref().map(|followed| followed.built);
        self.given_up.push(GivenUp { version: id, pins, verdict, built, begun, left });
        let over = self.given_up.len().saturating_sub(MAX_GIVEN_UP);
        self.given_up.drain(..over);
    }
}
