//! A release in progress, and the table that was asked of the locators.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::error::Error;
use crate::name::{InstanceId, RequestId, VersionId};
use crate::release::event::AbortReason;
use crate::routing::{FencingToken, Route, SessionPolicy, Share};
use crate::time::Timestamp;

/// A release in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The request that asked for it; `None` in what an older Haddock has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The version that it brings, the candidate.
    pub version: VersionId,
    /// When it began.
    pub started_at: Timestamp,
    /// Whether it goes back to an earlier version: the ramp is one stage then.
    pub rollback: bool,
    /// How far it is.
    pub phase: ReleasePhase,
    /// When the stage's share, or the full share while settling, was seen in force.
    pub held_since: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Whether somebody asked to go on at once.
    pub advance: bool,
    /// The share that the evidence has allowed so far, if the ramp follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Share>,
    /// Tries of the pull.
    pub pull: Attempt,
    /// The run of the component before its version, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Preparation>,
    /// The question to the gate of the present stage, once it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<PendingGate>,
    /// Why it waits, if it does.
    pub waits: Option<Error>,
    /// Since when a locator could not be read, while the share is being given.
    #[serde(default, alias = "blind_since", skip_serializing_if = "Option::is_none")]
    pub locator_silent_since: Option<Timestamp>,
}

/// The run of the component that runs before a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// The environment that it runs in, by itself.
    pub instance: InstanceId,
    /// When it is given up.
    pub end_by: Timestamp,
    /// Tries of starting it.
    pub attempt: Attempt,
}

/// A question to the gate of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingGate {
    /// The number of the commit that asked it.
    pub number: FencingToken,
    /// When it is asked again, if nobody knows of this question any more.
    pub retry_at: Timestamp,
    /// Whether an earlier question of this stage had another answer than go, or none.
    pub again: bool,
}

/// How far a release is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReleasePhase {
    /// Images are pulled; room for another version is waited for.
    Preparing,
    /// The candidate's instances are started and probed.
    Launching,
    /// The candidate has the share of this stage, from 0.
    Ramping(usize),
    /// The candidate has the full share.
    Settling,
    /// The candidate keeps its share until the known good version has it back.
    Aborting(AbortReason),
}

impl ReleasePhase {
    /// The phase's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Launching => "launching",
            Self::Ramping(_) => "ramping",
            Self::Settling => "settling",
            Self::Aborting(_) => "aborting",
        }
    }
}

/// A table that was asked of the locators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedTable {
    /// The number of the decision.
    pub number: FencingToken,
    /// The routes.
    pub routes: BTreeMap<InstanceId, Route>,
    /// How sessions are known and counted. `None`: an older Haddock has asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionPolicy>,
    /// Whether it was seen in force on every locator.
    pub in_force: bool,
    /// Tries of sending it.
    pub sending: Attempt,
}
