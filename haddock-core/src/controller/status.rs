//! A service as it is.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::journal::LoopEnd;
use crate::name::{InstanceId, LocatorName};
use crate::release::{Counted, ServiceState};
use crate::routing::{Count, LocatorReport, RemainingSessions};

/// A service as it is: its state, and the figures of each locator that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The state, as last committed.
    pub state: ServiceState,
    /// What each locator says; an error if it does not answer.
    pub locators: BTreeMap<LocatorName, Result<LocatorReport>>,
    /// What is left on each instance that gets no new sessions, where every locator can say.
    pub remaining: BTreeMap<InstanceId, RemainingSessions>,
    /// What the application of each draining instance says of its sessions, if its settings ask for that.
    pub counts: BTreeMap<InstanceId, Counted>,
    /// How the last loop that acted ended, if nobody had asked it to, and none acts again.
    pub ended: Option<LoopEnd>,
}

/// The sessions on an instance over all locators, if each of them knows.
pub(super) fn sessions<'l>(
    locators: impl IntoIterator<Item = &'l Result<LocatorReport>>,
    instance: &InstanceId,
) -> Option<u64> {
    let each = locators.into_iter().map(|report| match report.as_ref().ok()?.instances.get(instance)?.live {
        Count::Exact(sessions) | Count::AtMost(sessions) => Some(sessions),
        Count::Unknown => None,
    });
    each.sum()
}
