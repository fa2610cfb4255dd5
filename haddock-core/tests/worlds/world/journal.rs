//! The journal of the world.

use std::collections::{BTreeMap, BTreeSet};

use haddock_core::release::{Request, ServiceState, Step};
use haddock_core::routing::FencingToken;
use haddock_core::{InstanceId, JournalId, ServiceName};

/// The committed state, and what was decided on the way to it.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) state: ServiceState,
    /// The epoch of the newest holder of the lease.
    pub(crate) epoch: u64,
    /// Requests that no commit has taken up.
    pub(crate) requests: Vec<Request>,
    /// The basis of each commit.
    pub(crate) decisions: BTreeMap<FencingToken, Decision>,
    /// Strays whose removal was committed.
    pub(crate) strays: BTreeMap<InstanceId, FencingToken>,
    /// How many releases settled, and when the last one did.
    pub(crate) settled: u64,
}

/// The basis of a commit: what its controller had seen.
#[derive(Debug)]
pub(crate) struct Decision {
    /// When its reading of the containers began.
    pub(crate) reading: u64,
    /// The instances for which it had no verdict of a probe.
    pub(crate) unprobed: BTreeSet<InstanceId>,
    /// Those of them that had not answered the last probe that there was.
    pub(crate) last_silent: BTreeSet<InstanceId>,
    /// Whether all locators could be read.
    pub(crate) known: bool,
    /// Whether the service was being retired.
    pub(crate) retires: bool,
}

impl Journal {
    pub(crate) fn new(service: ServiceName, journal: JournalId) -> Self {
        Self {
            state: ServiceState::new(service, journal),
            epoch: 0,
            requests: Vec::new(),
            decisions: BTreeMap::new(),
            strays: BTreeMap::new(),
            settled: 0,
        }
    }

    /// Commits a step, unless a newer epoch has begun; answers with the state before, if it did.
    pub(crate) fn commit(&mut self, epoch: u64, step: &Step, decision: Decision) -> Option<ServiceState> {
        if epoch != self.epoch {
            return None;
        }
        self.requests.retain(|request| !step.taken.contains(&request.id));
        self.decisions.insert(step.state.number, decision);
        Some(std::mem::replace(&mut self.state, step.state.clone()))
    }
}
