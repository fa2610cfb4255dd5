//! An instance that is not gone.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    Attempt, DrainState, Draining, External, Failed, Launched, PendingHook, Phase, PhaseName, Retiring, Server,
    Starting,
};
use crate::container::Incarnation;
use crate::error::Error;
use crate::name::{ComponentName, VersionId};
use crate::routing::FencingToken;
use crate::time::Timestamp;

/// An instance that is not gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its version.
    pub version: VersionId,
    /// Since when it is in its phase.
    pub since: Timestamp,
    /// How far it is, and what is known of it there.
    pub phase: Phase,
    /// What was asked of the locators about it. It is kept through every change of phase.
    pub routing: Routing,
}

/// What was asked of the locators about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Routing {
    /// The number of the last table that named it, in force or not.
    pub named: Option<FencingToken>,
    /// The number of the last table that named it at share 0 and was seen in force on every locator.
    pub listed: Option<FencingToken>,
    /// The number of the last close or evict that was asked for.
    pub close_asked: Option<FencingToken>,
    /// Tries of closing.
    pub close: Attempt,
    /// Whether a locator was ever seen to have closed it. Then no table names it again.
    pub closed_somewhere: bool,
}

/// For an instance without known containers.
static NO_INCARNATIONS: BTreeMap<ComponentName, Incarnation> = BTreeMap::new();

impl Instance {
    /// An instance of this version, in this phase since `now`, that no locator was ever told of.
    #[must_use]
    pub fn new(version: VersionId, phase: Phase, now: Timestamp) -> Self {
        Self { version, since: now, phase, routing: Routing::default() }
    }

    /// Whether it is in the phase of that name.
    #[must_use]
    pub fn is(&self, phase: PhaseName) -> bool {
        self.phase.name() == phase
    }

    /// Whether it runs, and no locator has closed it: it serves, or may be given a share again.
    pub(in crate::release) fn can_serve_again(&self) -> bool {
        self.phase.life().is_some() && !self.routing.closed_somewhere
    }

    /// Where its entry listens, or listened, if that is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.phase {
            Phase::Starting(Starting::Adoption { server, .. }) => Some(server.address),
            Phase::Retiring(Retiring { address, .. }) => *address,
            phase => phase.server().and_then(Server::address),
        }
    }

    /// The incarnation of each component, once it was ready, until it is being stopped.
    #[must_use]
    pub fn incarnations(&self) -> &BTreeMap<ComponentName, Incarnation> {
        match self.phase.server() {
            Some(Server::Launched(Launched { incarnations, .. })) => incarnations,
            Some(Server::External(_)) | None => &NO_INCARNATIONS,
        }
    }

    /// The server that was adopted, if it is one.
    #[must_use]
    pub fn external(&self) -> Option<&External> {
        match &self.phase {
            Phase::Starting(Starting::Adoption { server, .. }) => Some(server),
            phase => match phase.server() {
                Some(Server::External(server)) => Some(server),
                Some(Server::Launched(_)) | None => None,
            },
        }
    }

    pub(in crate::release) fn external_mut(&mut self) -> Option<&mut External> {
        let server = match &mut self.phase {
            Phase::Starting(Starting::Adoption { server, .. }) => return Some(server),
            Phase::Failed(failed) => failed.server.as_mut(),
            phase => phase.life_mut().map(|life| &mut life.server),
        };
        match server {
            Some(Server::External(server)) => Some(server),
            Some(Server::Launched(_)) | None => None,
        }
    }

    /// Whether it is a server that was adopted.
    #[must_use]
    pub fn is_external(&self) -> bool {
        self.external().is_some()
    }

    /// Why it failed, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        match &self.phase {
            Phase::Failed(failed) => Some(&failed.error),
            Phase::Retiring(retiring) => retiring.failure.as_ref(),
            _ => None,
        }
    }

    /// Whether a component of one that failed was seen exited, restarted or missing.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Failed(Failed { has_ended: true, .. }))
    }

    /// The present drain.
    #[must_use]
    pub fn drain(&self) -> Option<DrainState> {
        match &self.phase {
            Phase::Draining(Draining { drain, .. }) => *drain,
            _ => None,
        }
    }

    /// Since when it has been draining, or had been when it failed.
    #[must_use]
    pub(in crate::release) fn drained_since(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Failed(failed) => failed.drained_since,
            _ => self.drain().map(|drain| drain.since),
        }
    }

    /// Since when it does not answer its probe.
    #[must_use]
    pub fn unresponsive_since(&self) -> Option<Timestamp> {
        self.phase.life()?.unresponsive_since
    }

    /// The hook that is to run in it, and has not run yet.
    #[must_use]
    pub fn hook(&self) -> Option<PendingHook> {
        self.phase.life()?.hook
    }
}
