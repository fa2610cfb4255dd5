//! What is left on an instance.

use super::ServiceRouting;
use crate::locator::gateway::tick::Tick;
use crate::name::InstanceId;
use crate::routing::{RemainingSessions, Share};
use crate::time::Timestamp;

impl ServiceRouting {
    /// Adds what is known of an instance's sessions in this part of the table, and answers where the next part begins. `None`:
    /// that was the last.
    pub(in crate::locator::gateway) fn survey(
        &self,
        id: &InstanceId,
        from: u32,
        most: u32,
        now: Timestamp,
        seen: &mut RemainingSessions,
    ) -> Option<u32> {
        let at = *self.by_id.get(id)?;
        let instance = &self.instances[at as usize];
        if instance.evicted {
            return None;
        }
        if from == 0 {
            (seen.ended, seen.watched) = instance.endings.lately(instance.sessions_ended, now);
        }
        let present = self.tick(now);
        self.sessions.survey(from, most, |session| {
            if session.instance != at {
                return;
            }
            if session.busy {
                return seen.count_busy();
            }
            let used = self.time(session.until, present, now);
            if now.since(used) < self.policy.idle {
                seen.count(used, self.policy.idle, now);
            }
        })
    }

    /// Whether the instance of a request gets no new sessions.
    pub(in crate::locator::gateway) fn is_draining(&self, placement: &super::Placement) -> bool {
        self.instances[placement.instance as usize].share.is_none_or(Share::is_zero)
    }

    /// Notes how many sessions have ended on each instance.
    pub(in crate::locator::gateway) fn note_endings(&mut self, now: Timestamp) {
        for instance in &mut self.instances {
            instance.endings.note(instance.sessions_ended, now);
        }
    }

    /// When a tick was; now if it is to be.
    pub(super) fn time(&self, tick: Tick, present: Tick, now: Timestamp) -> Timestamp {
        self.time_to_be(tick, present, now).min(now)
    }
}
