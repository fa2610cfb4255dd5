//! What a gateway hears from the one whose place it has taken: what becomes of the requests that are left there.

use super::ServiceRouting;
use crate::locator::gateway::session_log::Record;
use crate::locator::gateway::sessions::{Begun, Found};
use crate::locator::gateway::succession::Left;
use crate::time::Timestamp;

impl ServiceRouting {
    /// What is in flight on each instance, with what an earlier gateway still has.
    pub(in crate::locator::gateway) fn left(&self) -> Vec<Left> {
        let all = self.instances.iter().map(|instance| Left {
            instance: instance.mark,
            in_flight: instance.in_flight + instance.elsewhere.0,
            upgraded: instance.upgraded + instance.elsewhere.1,
        });
        all.filter(|left| left.in_flight > 0 || left.upgraded > 0).collect()
    }

    /// Takes up what has become of sessions, and what is left.
    pub(in crate::locator::gateway) fn hear(&mut self, records: &[Record], left: &[Left], now: Timestamp) {
        for record in records {
            match *record {
                Record::Used { id, instance, until } => self.hear_of_use(id, instance, until, now),
                Record::Ended { id } => self.hear_of_end(id, now),
                Record::Uncounted { instance, until } => {
                    if let Some(at) = self.marked(instance) {
                        self.uncounted_use(at, until.min(now));
                    }
                }
                Record::Number(_) | Record::End { .. } => {}
            }
        }
        for instance in &mut self.instances {
            let those = left.iter().find(|left| left.instance == instance.mark);
            instance.elsewhere = those.map_or((0, 0), |left| (left.in_flight, left.upgraded));
        }
    }

    fn hear_of_use(&mut self, id: u64, mark: u64, until: Timestamp, now: Timestamp) {
        let tick = self.tick_after(until);
        match self.sessions.find(id, tick, self.tick(now)) {
            Found::Live(..) => return,
            Found::Expired(at) => self.instances[at as usize].session_left(),
            Found::Missing => {}
        }
        let Some(at) = self.marked(mark).filter(|at| self.instances[*at as usize].takes_requests()) else { return };
        match self.enter(id, at, now, Begun::Elsewhere) {
            Some(slot) => self.sessions.end_request(slot, tick),
            None => self.uncounted_use(at, now),
        }
    }

    fn hear_of_end(&mut self, id: u64, now: Timestamp) {
        self.log_outs.note(id, now);
        match self.sessions.find_unstamped(id, self.tick(now)) {
            Found::Live(slot, at) => {
                self.sessions.remove(slot);
                self.instances[at as usize].session_left();
            }
            Found::Expired(at) => self.instances[at as usize].session_left(),
            Found::Missing => {}
        }
    }

    /// The instance that is called so in the log of sessions.
    fn marked(&self, mark: u64) -> Option<u32> {
        (0..).zip(&self.instances).find(|(_, instance)| instance.mark == mark).map(|(at, _)| at)
    }
}
