//! What the compose file says about the guard.

use serde::{Deserialize, Serialize};

use crate::routing::Rate;

/// How the guard judges a candidate, and what it does about a harmful one.
///
/// What counts as a failed and as a slow request is in the [`SessionPolicy`](crate::routing::SessionPolicy), because the
/// locator counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardSettings {
    /// Whether a harmful verdict aborts the release. If not, it is only told.
    pub acts: bool,
    /// The probability that a candidate that is not harmful is ever found harmful, in one release.
    pub false_alarm: Rate,
    /// The extra share of failed sessions that is not yet harm.
    pub tolerate: Rate,
    /// The extra share of slow sessions that is not yet harm.
    pub tolerate_slow: Rate,
    /// The share of failed sessions that is not yet harm where nothing is compared at the same time. After the full share, it is
    /// an extra share, above what was usual on the versions before. In a first release, it is the share itself.
    pub at_most: Rate,
}

impl Default for GuardSettings {
    /// It acts; a false alarm in one of a hundred releases; 1 % more failed sessions and 5 % more slow ones are tolerated, and
    /// 5 % failed ones if there is nothing to compare with.
    fn default() -> Self {
        Self {
            acts: true,
            false_alarm: Rate::basis_points(100),
            tolerate: Rate::basis_points(100),
            tolerate_slow: Rate::basis_points(500),
            at_most: Rate::basis_points(500),
        }
    }
}

impl GuardSettings {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
