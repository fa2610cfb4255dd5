//! What the log of sessions is told, and what a gateway learns from the log of the one before.

use std::collections::HashMap;
use std::time::Duration;

use super::ServiceRouting;
use crate::locator::gateway::session_log::{Logged, Record};
use crate::locator::gateway::sessions::{Begun, Change, Seen, SessionTable};
use crate::locator::gateway::tick::{TICK, Tick};
use crate::routing::FencingToken;
use crate::time::Timestamp;

impl ServiceRouting {
    /// Whether something has to be logged before anybody sees what has become of it.
    #[inline]
    pub(in crate::locator::gateway) fn has_news(&self) -> bool {
        self.sessions.has_changes() || !self.news.records.is_empty()
    }

    /// What has to be logged.
    pub(in crate::locator::gateway) fn take_news(&mut self, now: Timestamp, out: &mut Vec<Record>) {
        out.append(&mut self.news.records);
        let present = self.tick(now);
        let changes: Vec<_> = self.sessions.take_changes().collect();
        out.extend(changes.into_iter().map(|change| match change {
            Change::Used { id, instance, until } => {
                let until = self.logged_until(until, present, now);
                Record::Used { id, instance: self.instances[instance as usize].mark, until }
            }
            Change::Ended { id } => Record::Ended { id },
        }));
    }

    /// How many sessions live, on all instances.
    pub(in crate::locator::gateway) fn live(&self) -> u64 {
        self.instances.iter().map(|instance| instance.live + instance.left_over).sum()
    }

    /// This number is about to be the newest on disk.
    pub(in crate::locator::gateway) fn expect_number(&mut self, number: FencingToken) {
        if self.news.numbers[1] != number {
            self.news.numbers = [self.news.numbers[1], number];
            self.news.records.push(Record::Number(number));
        }
    }

    /// Logs that an instance has sessions that are not in the table, the last of them used then.
    pub(super) fn log_uncounted(&mut self, at: u32, used: Timestamp) {
        let ahead = self.policy.idle / 32;
        let instance = &mut self.instances[at as usize];
        if instance.uncounted_logged.is_none_or(|until| until < used + ahead) {
            let until = used + ahead * 2;
            instance.uncounted_logged = Some(until);
            self.news.records.push(Record::Uncounted { instance: instance.mark, until });
        }
    }

    /// Until when a session counts as used in the log that is used in this tick. Until then, or nearly, none of its uses is
    /// logged.
    fn logged_until(&self, until: Tick, present: Tick, now: Timestamp) -> Timestamp {
        let grain = self.news.ahead;
        let end = Tick((until.0 >> grain).wrapping_add(2) << grain);
        self.time_to_be(end, present, now)
    }

    /// When a tick was, or is to be.
    pub(super) fn time_to_be(&self, tick: Tick, present: Tick, now: Timestamp) -> Timestamp {
        let ticks = i64::from(tick.0.wrapping_sub(present.0).cast_signed());
        let millis = now.as_millis().cast_signed() + ticks * i64::try_from(TICK.as_millis()).expect("it is 50");
        Timestamp::from_millis(millis.max(0).cast_unsigned())
    }

    /// The time that has to pass before [`log_busy`](Self::log_busy) is asked again.
    pub(in crate::locator::gateway) fn busy_due(&self) -> Duration {
        TICK * (1 << self.sessions.grain())
    }

    /// Logs of the sessions in a part of the table that have a request in flight that they are used still. Answers where the
    /// next part begins; `None`: that was the last.
    pub(in crate::locator::gateway) fn log_busy(&mut self, from: u32, most: u32, now: Timestamp) -> Option<u32> {
        if from == 0 {
            for at in 0..u32::try_from(self.instances.len()).unwrap_or(u32::MAX) {
                if self.instances[at as usize].uncounted > 0 {
                    self.log_uncounted(at, now);
                }
            }
        }
        let tick = self.tick_after(now);
        self.sessions.touch_busy(from, most, tick)
    }

    /// Whether the log is coarser or finer than the idle time of now asks for.
    pub(in crate::locator::gateway) fn has_other_grain(&self) -> bool {
        SessionTable::grain_for(self.policy.idle) != self.sessions.grain()
    }

    /// The idle time has changed. A finer grain is right at once, a coarser one only in a log that is written with it.
    pub(super) fn refine(&mut self) {
        let grain = SessionTable::grain_for(self.policy.idle);
        if grain < self.sessions.grain() {
            self.sessions.set_grain(grain);
            self.news.ahead = grain;
        }
    }

    /// A log is begun. Answers what stands first in it. `exact`: as it is now, for a log that is ended.
    pub(in crate::locator::gateway) fn begin_log(&mut self, exact: bool, now: Timestamp) -> Vec<Record> {
        self.news.ahead = SessionTable::grain_for(self.policy.idle).max(self.sessions.grain());
        let mut records: Vec<_> = self.news.numbers.into_iter().map(Record::Number).collect();
        for instance in self.instances.iter_mut().filter(|instance| !instance.closed) {
            // A request that was cut at the end may have been the last use of a session that is not in the table.
            let used = if instance.uncounted > 0 { Some(now) } else { instance.uncounted_until };
            let until = if exact { used } else { instance.uncounted_logged.max(used) };
            instance.uncounted_logged = until;
            records.extend(until.map(|until| Record::Uncounted { instance: instance.mark, until }));
        }
        records
    }

    /// The sessions in a part of the table, for that log.
    pub(in crate::locator::gateway) fn log_part(
        &self,
        exact: bool,
        from: u32,
        most: u32,
        now: Timestamp,
        records: &mut Vec<Record>,
    ) -> Option<u32> {
        let present = self.tick(now);
        self.sessions.survey(from, most, |Seen { id, instance, until, busy, unchanged }| {
            let instance = &self.instances[instance as usize];
            let until = match (exact, busy) {
                (true, true) => now,
                // What an earlier log said must not grow from log to log.
                (true, false) => self.time(until, present, now),
                (false, false) if unchanged => self.time(until, present, now),
                (false, true) => self.logged_until(self.tick_after(now), present, now),
                (false, false) => self.logged_until(until, present, now),
            };
            if !instance.closed {
                records.push(Record::Used { id, instance: instance.mark, until });
            }
        })
    }

    /// That log is complete, so uses are logged by its grain.
    pub(in crate::locator::gateway) fn log_begun(&mut self) {
        self.sessions.set_grain(self.news.ahead);
        self.refine();
    }

    /// Takes over the sessions that the gateway before has logged, if they belong to the table on disk.
    pub(in crate::locator::gateway) fn take_over(&mut self, logged: &Logged, now: Timestamp) {
        if !logged.numbers.contains(&Some(self.newest)) {
            return;
        }
        let mut places = HashMap::new();
        for (at, instance) in (0..).zip(&mut self.instances).filter(|(_, instance)| instance.takes_requests()) {
            // The clock may have been set back meanwhile. That must not make it unknown for ever.
            instance.uncounted_until = logged.uncounted.get(&instance.mark).map(|until| now.min(*until));
            places.insert(instance.mark, at);
        }
        for (id, (mark, until)) in &logged.sessions {
            // None was used later than now, and a clock that was set back must prolong no session for ever.
            let used = now.min(*until);
            let Some(at) = places.get(mark).copied().filter(|_| now.since(used) < self.policy.idle) else { continue };
            let until = self.tick_after(used);
            match self.sessions.insert(*id, at, until, Begun::Elsewhere) {
                Some(slot) => {
                    self.sessions.end_request(slot, until);
                    self.sessions.keep_unchanged(slot);
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
