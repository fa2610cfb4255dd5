//! What one release put out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::name::{ComponentName, RequestId, VersionId};
use crate::release::guard::Judgement;
use crate::release::request::NewVersion;
use crate::time::Timestamp;

/// What one release put out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The request that asked for it.
    pub request: RequestId,
    /// What was asked for.
    pub new: NewVersion,
    /// Its images by digest, once they are known.
    pub pins: Option<BTreeMap<ComponentName, String>>,
    /// What became of it.
    pub verdict: Verdict,
    /// How many replacements of its instances were started in a row, and when the next one may be.
    pub replacing: Attempt,
    /// Whether it is an adopted server. Then it has one instance, and never gets another.
    #[serde(default)]
    pub external: bool,
    /// Whether the component that runs before it has done its work.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prepared: bool,
    /// What the guard found, if it was harmful. Its instances are ended once they have no share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<Judgement>,
    /// When its release began; 0 if an older Haddock has begun it.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub begun: Timestamp,
    /// Whether somebody has left it: by an abort of its release, or by a rollback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// The earlier version that it repeats, if a rollback had to start that version again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<VersionId>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_unknown(at: &Timestamp) -> bool {
    *at == Timestamp::default()
}

/// What became of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Its release has not ended.
    Open,
    /// Its release settled.
    Settled,
    /// Its release was aborted, and as far as we know this was not its fault.
    Aborted,
    /// It failed, or was rolled back. No rollback goes back to it, unless somebody names it.
    Bad,
    /// It would have changed nothing, and was never launched.
    Unchanged,
}
