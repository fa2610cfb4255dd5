//! What callers send, beside the types of [`crate::routing`].

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::InstanceId;
use crate::routing::{FencingToken, millis};

/// Which instance to close or evict, and the number of the decision.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::locator) struct Target {
    pub(in crate::locator) instance: InstanceId,
    pub(in crate::locator) number: FencingToken,
}

/// Which instance to hold, and for how long.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::locator) struct Hold {
    pub(in crate::locator) instance: InstanceId,
    /// In milliseconds, at most 300 000.
    #[serde(with = "millis")]
    #[schemars(with = "u64")]
    pub(in crate::locator) within: Duration,
}

/// Which instance to let go.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::locator) struct Resume {
    pub(in crate::locator) instance: InstanceId,
}
