//! What was counted of each instance since the gateway began to count, for the record of traffic.

use super::instance::Instance;
use crate::name::InstanceId;
use crate::routing::{Count, Share};

/// What was counted of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::locator::gateway) struct Totals {
    pub(in crate::locator::gateway) instance: InstanceId,
    pub(in crate::locator::gateway) share: Option<Share>,
    pub(in crate::locator::gateway) begun: u64,
    pub(in crate::locator::gateway) ended: u64,
    pub(in crate::locator::gateway) failed: u64,
    pub(in crate::locator::gateway) live: Option<u64>,
}

impl Totals {
    pub(super) fn of(instance: &Instance, live: Count) -> Self {
        Self {
            instance: instance.id.clone(),
            share: instance.share,
            begun: instance.sessions_begun,
            ended: instance.sessions_ended,
            failed: instance.sessions_failed,
            live: match live {
                Count::Exact(live) => Some(live),
                Count::AtMost(_) | Count::Unknown => None,
            },
        }
    }
}
