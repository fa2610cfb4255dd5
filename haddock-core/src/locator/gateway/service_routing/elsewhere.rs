//! What other gateways of the same service are told of sessions that have ended, and what they tell.

use super::ServiceRouting;
use super::successors::Fate;
use crate::routing::{EndedSession, EndedSessions, SessionKey};
use crate::time::Timestamp;

impl ServiceRouting {
    /// The sessions that have ended here, from this number on.
    pub(in crate::locator::gateway) fn ended_sessions(&self, from: u64, now: Timestamp) -> EndedSessions {
        self.log_outs.from(from, now)
    }

    /// These have ended elsewhere. One that was used here since then goes on: its client has begun it anew.
    pub(in crate::locator::gateway) fn end_sessions(&mut self, ended: &[EndedSession], now: Timestamp) {
        for EndedSession { key: SessionKey(id), ago } in ended {
            let end = self.tick_after(now.before(*ago));
            if let Some((slot, at)) = self.sessions.unused_since(*id, end) {
                self.successors.note(*id, Fate::Ended(at), now);
                self.sessions.remove(slot);
                self.instances[at as usize].session_left();
            }
        }
    }
}
