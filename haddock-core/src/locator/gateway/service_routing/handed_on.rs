//! The sessions that a gateway hands on to the next one when it ends in order.

use serde::{Deserialize, Serialize};

use super::ServiceRouting;
use crate::locator::gateway::sessions::Begun;
use crate::name::InstanceId;
use crate::routing::FencingToken;
use crate::time::Timestamp;

/// The sessions of a service, as they were when its gateway ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::locator::gateway) struct HandedOn {
    /// The newest number. With another one, they are of another time.
    newest: FencingToken,
    /// The instances, each with the time until which some of its sessions were not counted.
    instances: Vec<(InstanceId, Option<Timestamp>)>,
    sessions: Vec<HandedSession>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HandedSession {
    id: u64,
    /// The place of its instance in the list.
    instance: u32,
    used: Timestamp,
}

impl ServiceRouting {
    /// What the next gateway has to know. No request is in flight any more.
    pub(in crate::locator::gateway) fn hand_on(&self, now: Timestamp) -> HandedOn {
        let present = self.tick(now);
        let mut handed = HandedOn { newest: self.newest, instances: Vec::new(), sessions: Vec::new() };
        for (at, instance) in (0..).zip(&self.instances) {
            if instance.closed || instance.share.is_none() {
                continue;
            }
            let place = u32::try_from(handed.instances.len()).expect("no more than there are in the table");
            // A request that was cut at the end may have been the last use of a session that is not in the table.
            let uncounted = if instance.uncounted > 0 { Some(now) } else { instance.uncounted_until };
            handed.instances.push((instance.id.clone(), uncounted));
            self.sessions.survey(at, 0, u32::MAX, |id, until, busy| {
                let used = if busy { now } else { self.time(until, present, now) };
                handed.sessions.push(HandedSession { id, instance: place, used });
            });
        }
        handed
    }

    /// Takes over what the gateway before has handed on, if it belongs to the table on disk.
    pub(in crate::locator::gateway) fn take_over(&mut self, handed: &HandedOn, now: Timestamp) {
        if handed.newest != self.newest {
            return;
        }
        let present = self.tick(now);
        let mut places = Vec::new();
        for (id, uncounted) in &handed.instances {
            let at = self.by_id.get(id).copied().filter(|at| self.instances[*at as usize].takes_requests());
            if let Some(at) = at {
                self.instances[at as usize].uncounted_until = *uncounted;
            }
            places.push(at);
        }
        for session in &handed.sessions {
            // The clock may have been set back meanwhile. That must not prolong a session for ever.
            let used = session.used.min(now);
            let Some(at) = places.get(session.instance as usize).copied().flatten() else { continue };
            if now.since(used) >= self.policy.idle {
                continue;
            }
            let until = self.tick_after(used);
            match self.sessions.insert(session.id, at, until, Begun::Elsewhere, present) {
                Some(slot) => {
                    self.sessions.end_request(slot, until);
                    self.instances[at as usize].live += 1;
                }
                None => {
                    let instance = &mut self.instances[at as usize];
                    instance.uncounted_until = instance.uncounted_until.max(Some(used));
                }
            }
        }
    }
}
