//! The numbers of decisions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The fencing token of a decision: the epoch of the lease under which it was committed, and the revision of that commit.
///
/// Tokens only grow. A locator refuses a call whose token is older than the newest it has seen. So a call that arrives late
/// does no harm, and one whose answer was lost can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
pub struct FencingToken {
    /// The epoch: one more for each holder of the lease.
    pub epoch: u64,
    /// The revision: one more for each commit.
    pub revision: u64,
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}
