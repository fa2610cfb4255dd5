//! How far an instance is, and what is known of it in that phase alone.
//!
//! Each phase has only the data that an instance can have in it: one that is starting has no drain, one that serves has
//! no failure, one that was adopted has no launch. A transition takes the data of the phase that ends, and passes on
//! what still matters.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::container::Incarnation;
use crate::error::Error;
use crate::name::ComponentName;
use crate::routing::FencingToken;
#[cfg(doc)]
use crate::routing::Route;
use crate::settings::Hook;
use crate::time::Timestamp;

/// How far an instance is.
///
/// ```text
/// Starting → Ready → Serving ⇄ Draining → Retiring → gone
///     └────────┴─────────┴─────────┴─→ Failed ─→ Retiring
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Being launched or adopted; never seen ready.
    Starting(Starting),
    /// Seen ready; no share in force.
    Ready(Life),
    /// A share is in force.
    Serving(Life),
    /// No share is in force any more, or its release was aborted; its sessions stay.
    Draining(Draining),
    /// Exited, restarted, unresponsive for too long, or aborted before it was ready.
    Failed(Failed),
    /// Closed on every locator; being stopped. An adopted server is in this phase only within a step: the step that
    /// sees it closed lets go of it.
    Retiring(Retiring),
}

/// The name of a [`Phase`], for showing and comparing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// [`Phase::Starting`].
    Starting,
    /// [`Phase::Ready`].
    Ready,
    /// [`Phase::Serving`].
    Serving,
    /// [`Phase::Draining`].
    Draining,
    /// [`Phase::Failed`].
    Failed,
    /// [`Phase::Retiring`].
    Retiring,
}

/// An instance that was never seen ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starting {
    /// Its containers are created, started and probed.
    Launch {
        /// When the launch is given up.
        ready_by: Timestamp,
        /// Tries of the launch.
        attempt: Attempt,
    },
    /// A server that runs already is probed.
    Adoption {
        /// When the adoption is given up.
        ready_by: Timestamp,
        /// The server.
        server: External,
    },
}

/// An instance that was seen ready, and has not failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// What runs.
    pub server: Server,
    /// Since when it does not answer its probe.
    pub unresponsive_since: Option<Timestamp>,
    /// The hook that is to run in it, and has not run yet.
    pub hook: Option<PendingHook>,
}

/// What takes the requests of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// Containers that we have started.
    Launched(Launched),
    /// A server that was adopted.
    External(External),
}

/// Containers that we have started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Launched {
    /// Where the entry listens. `None` if the journal was lost, and the entry did not run when the instance was found.
    pub address: Option<SocketAddr>,
    /// The incarnation of each component. Another start is a failure.
    pub incarnations: BTreeMap<ComponentName, Incarnation>,
}

/// A server that was adopted: it has no containers, and is neither started nor stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name of the cookie by which it knows a session; `None`: any cookie will do.
    pub cookie: Option<String>,
    /// When its sessions from before the adoption have all been seen or have expired: one idle time after another
    /// instance first got a share. `None`: no other instance has got one yet, so all clients reach this one anyway.
    pub sessions_until: Option<Timestamp>,
}

/// A hook that is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingHook {
    /// Which hook.
    pub hook: Hook,
    /// The number of the commit that wanted it.
    pub number: FencingToken,
    /// Tries of it.
    pub attempt: Attempt,
}

/// An instance that drains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// What drains.
    pub life: Life,
    /// The present drain. `None` if it is to serve again, or if the journal was lost.
    pub drain: Option<DrainState>,
    /// With several locators: when the first and the last reading began of the last look that found it empty
    /// everywhere.
    pub empty_look: Option<(Timestamp, Timestamp)>,
    /// If the application is asked for its sessions: since when every locator has said that nothing is left. What the
    /// application said before that does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_since: Option<Timestamp>,
    /// With several locators: whether it is about to be closed on all of them, as [`Route::closing`] says.
    #[serde(default, skip_serializing_if = "is_not")]
    pub closing: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_not(it: &bool) -> bool {
    !it
}

/// A drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainState {
    /// When it began.
    pub since: Timestamp,
    /// When sessions that are left are evicted; `None`: never.
    pub deadline: Option<Timestamp>,
    /// Whether the deadline has passed. A deadline that has passed stays so for this drain.
    pub overdue: bool,
}

/// An instance that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// Whether a component was seen exited, restarted or missing: its sessions are lost already.
    pub has_ended: bool,
    /// What served. `None` if it was never ready.
    pub server: Option<Server>,
    /// Since when it had been draining when it failed, if it was.
    pub drained_since: Option<Timestamp>,
}

/// An instance that is closed on every locator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiring {
    /// Where its entry listened, if that was ever known.
    pub address: Option<SocketAddr>,
    /// Why it failed, if it did.
    pub failure: Option<Error>,
    /// Tries of the stop.
    pub stop: Attempt,
}

impl Draining {
    /// One that has no drain, and has not been seen empty.
    #[must_use]
    pub fn new(life: Life) -> Self {
        Self { life, drain: None, empty_look: None, empty_since: None, closing: false }
    }
}

impl Life {
    /// A life that begins.
    #[must_use]
    pub fn new(server: Server) -> Self {
        Self { server, unresponsive_since: None, hook: None }
    }
}

impl Server {
    /// Where it listens, if that is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Launched(launched) => launched.address,
            Self::External(external) => Some(external.address),
        }
    }
}

impl Phase {
    /// The phase's name.
    #[must_use]
    pub fn name(&self) -> PhaseName {
        match self {
            Self::Starting(_) => PhaseName::Starting,
            Self::Ready(_) => PhaseName::Ready,
            Self::Serving(_) => PhaseName::Serving,
            Self::Draining(_) => PhaseName::Draining,
            Self::Failed(_) => PhaseName::Failed,
            Self::Retiring(_) => PhaseName::Retiring,
        }
    }

    /// The life of an instance that was seen ready, and has not failed.
    #[must_use]
    pub fn life(&self) -> Option<&Life> {
        match self {
            Self::Ready(life) | Self::Serving(life) | Self::Draining(Draining { life, .. }) => Some(life),
            Self::Starting(_) | Self::Failed(_) | Self::Retiring(_) => None,
        }
    }

    pub(in crate::release) fn life_mut(&mut self) -> Option<&mut Life> {
        match self {
            Self::Ready(life) | Self::Serving(life) | Self::Draining(Draining { life, .. }) => Some(life),
            Self::Starting(_) | Self::Failed(_) | Self::Retiring(_) => None,
        }
    }

    /// What serves or served; `None` if it is only being stopped.
    #[must_use]
    pub fn server(&self) -> Option<&Server> {
        match self {
            Self::Failed(failed) => failed.server.as_ref(),
            _ => self.life().map(|life| &life.server),
        }
    }

    /// The phase that `next` makes of a life. A phase without a life stays as it is.
    fn map_life(self, next: impl FnOnce(Life) -> Self) -> Self {
        match self {
            Self::Ready(life) | Self::Serving(life) | Self::Draining(Draining { life, .. }) => next(life),
            Self::Starting(_) | Self::Failed(_) | Self::Retiring(_) => self,
        }
    }

    /// A share is in force.
    pub(in crate::release) fn into_serving(self) -> Self {
        self.map_life(Self::Serving)
    }

    /// No share is in force any more. A drain that goes on begins anew.
    pub(in crate::release) fn into_draining(self, drain: DrainState) -> Self {
        self.map_life(|life| Self::Draining(Draining { drain: Some(drain), ..Draining::new(life) }))
    }

    /// It failed. The server is kept: it may have sessions, and tables name it until it is closed.
    pub(in crate::release) fn into_failed(self, error: Error, has_ended: bool) -> Self {
        let (server, drained_since) = match self {
            Self::Starting(Starting::Launch { .. }) => (None, None),
            Self::Starting(Starting::Adoption { server, .. }) => (Some(Server::External(server)), None),
            Self::Ready(life) | Self::Serving(life) => (Some(life.server), None),
            Self::Draining(Draining { life, drain, .. }) => (Some(life.server), drain.map(|drain| drain.since)),
            Self::Failed(_) | Self::Retiring(_) => return self,
        };
        Self::Failed(Failed { error, has_ended, server, drained_since })
    }

    /// It is closed on every locator. Address and failure are kept for people who look.
    pub(in crate::release) fn into_retiring(self) -> Self {
        let (address, failure) = match self {
            Self::Retiring(_) => return self,
            Self::Failed(Failed { error, server, .. }) => (server.and_then(|server| server.address()), Some(error)),
            other => (other.server().and_then(Server::address), None),
        };
        Self::Retiring(Retiring { address, failure, stop: Attempt::default() })
    }
}
