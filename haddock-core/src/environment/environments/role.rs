//! What an environment is for.

use serde::{Deserialize, Serialize};

use crate::name::ServiceName;

/// What an environment is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// It is for tests, or to try something out.
    Ordinary,
    /// The instances of this service share it.
    SharedBy(ServiceName),
}
