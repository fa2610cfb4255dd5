//! A request on its way: where it was placed, how it ended, and what its client is told.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::locator::gateway::client_cookie::Client;
use crate::locator::gateway::cookie::Attributes;
use crate::locator::gateway::sessions::{Begun, Slot};
use crate::name::InstanceId;
use crate::time::Timestamp;

/// How a request ended for its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::locator::gateway) enum Outcome {
    /// It was sent.
    Sent,
    /// It could not be sent.
    Unreachable,
}

/// What is wrong with a request. It is told once for each request, as soon as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::locator::gateway) struct Blame<'p> {
    /// Whether it was slow. If not, it has failed.
    pub(in crate::locator::gateway) slow: bool,
    /// Its path.
    pub(in crate::locator::gateway) path: &'p str,
    /// The status code of its answer; `None`: there is no answer, or it broke off.
    pub(in crate::locator::gateway) status: Option<u16>,
}

/// A request's placement: the instance on which it counts as in flight, and its session.
///
/// Each one has to be given back with `finish`, `move_on` or `finish_upgraded` of the routing.
#[derive(Debug, Clone, Copy)]
pub(in crate::locator::gateway) struct Placement {
    pub(in crate::locator::gateway) instance: u32,
    pub(in crate::locator::gateway) address: SocketAddr,
    /// `None`: a request without a session.
    pub(in crate::locator::gateway) session: Option<Session>,
    /// Who has decided that it goes there. `None`: the shares alone have.
    pub(in crate::locator::gateway) client: Option<Client>,
    /// Where a session counts as begun that the answer opens. `None`: it opens none.
    pub(super) unopened: Option<Begun>,
}

#[derive(Debug, Clone, Copy)]
pub(in crate::locator::gateway) struct Session {
    pub(in crate::locator::gateway) id: u64,
    /// Whether the session began with this request. Then the instance does not know it yet.
    pub(in crate::locator::gateway) opened: bool,
    /// Whether the session began on an adopted instance before this gateway knew of it.
    pub(super) foreign: bool,
    /// `None`: the table was full.
    pub(super) slot: Option<Slot>,
    /// Where it began, as far as this request knows.
    pub(super) begun: Begun,
    /// The last use according to the client's cookie. `None`: the client has no cookie yet.
    pub(super) stamp: Option<Timestamp>,
}

impl Placement {
    /// Whether the session existed before this request.
    pub(in crate::locator::gateway) fn is_sticky(&self) -> bool {
        // Chance brings a request to its instance unless it may belong to a session there.
        self.unopened == Some(Begun::Apart) || self.session.is_some_and(|session| !session.opened || session.foreign)
    }
}

/// What a client's new cookie says.
#[derive(Debug)]
pub(in crate::locator::gateway) struct Restamp {
    pub(in crate::locator::gateway) instance: InstanceId,
    pub(in crate::locator::gateway) stamp: Timestamp,
    pub(in crate::locator::gateway) attributes: Arc<Attributes>,
}
