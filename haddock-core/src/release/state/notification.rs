//! Notifications that have not arrived yet.

use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::release::event::Event;
use crate::routing::FencingToken;
use crate::time::Timestamp;

/// An event, and one receiver that is to be told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// The number of the commit that recorded the event.
    pub number: FencingToken,
    /// The place of the event among those of its commit, from 0.
    pub index: usize,
    /// To which receiver it goes, from 0.
    pub receiver: usize,
    /// The digest under which the spec store has the receivers.
    pub spec: String,
    /// When the event was recorded.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// Tries of sending it.
    pub attempt: Attempt,
}

impl Notification {
    /// Its id: the number of its commit, the place there, and the receiver.
    #[must_use]
    pub fn id(&self) -> (FencingToken, usize, usize) {
        (self.number, self.index, self.receiver)
    }
}
