//! What becomes of a request that was placed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Blame, Outcome, Placement, Restamp, ServiceRouting, Session, Timings};
use crate::locator::gateway::cookie::STAMP_AHEAD;
use crate::locator::gateway::sessions::{Begun, Found, News};
use crate::name::InstanceId;
use crate::time::Timestamp;

impl ServiceRouting {
    /// The session's new cookie, if the response that begins now has to carry one.
    pub(in crate::locator::gateway) fn restamp(
        &mut self,
        placement: &mut Placement,
        now: Timestamp,
    ) -> Option<Restamp> {
        let session = placement.session.as_mut()?;
        if session.stamp.is_some_and(|stamp| stamp >= now) {
            return None;
        }
        let instance = &self.instances[placement.instance as usize];
        if instance.closed {
            // The session was evicted meanwhile, so the next request has to open a new one.
            return None;
        }
        let stamp = now + STAMP_AHEAD;
        session.stamp = Some(stamp);
        let instance = instance.id.clone();
        if let Some(slot) = session.slot {
            let tick = self.tick_after(stamp);
            self.sessions.stamp(slot, tick);
        } else {
            self.uncounted_use(placement.instance, stamp);
        }
        Some(Restamp { instance, stamp, attributes: Arc::clone(&self.attributes) })
    }

    /// The instance of the placement.
    pub(in crate::locator::gateway) fn name(&self, placement: &Placement) -> InstanceId {
        self.instances[placement.instance as usize].id.clone()
    }

    /// The present address of the placement's instance. `None` if it takes no more requests.
    pub(in crate::locator::gateway) fn address(&self, placement: &Placement) -> Option<SocketAddr> {
        let instance = &self.instances[placement.instance as usize];
        instance.takes_requests().then_some(instance.address)
    }

    /// Counts what is wrong with a request that has not ended.
    pub(in crate::locator::gateway) fn blame(&mut self, placement: &mut Placement, blame: Blame<'_>) {
        let failed = !blame.slow;
        let news = match placement.session {
            None if failed => {
                self.fail_unopened(placement).map_or(News::NONE, |begun| News { begun, failed, slow: false })
            }
            None => News::NONE,
            Some(Session { slot: Some(slot), .. }) => self.sessions.blame(slot, failed, blame.slow),
            Some(session) => News { begun: session.begun, failed, slow: blame.slow },
        };
        let instance = &mut self.instances[placement.instance as usize];
        instance.requests_failed += u64::from(failed);
        // A session that an eviction ended is lost, and counts as such.
        if news.begun != Begun::Elsewhere && (news.failed || news.slow) && !instance.evicted {
            instance.sessions_failed += u64::from(news.failed);
            instance.cohorts.note(news, &self.counted);
            instance.kinds.count(blame.slow, blame.path, blame.status);
        }
    }

    /// Ends a placement: the request has been answered to the end, or failed.
    pub(in crate::locator::gateway) fn finish(&mut self, placement: &Placement, outcome: Outcome, now: Timestamp) {
        self.instances[placement.instance as usize].in_flight -= 1;
        self.give_back(placement, outcome, now);
    }

    /// The request's connection is upgraded, and counts as such from now on.
    pub(in crate::locator::gateway) fn upgrade(&mut self, placement: &Placement) {
        let instance = &mut self.instances[placement.instance as usize];
        instance.in_flight -= 1;
        instance.upgraded += 1;
    }

    /// Ends a placement: the upgraded connection has ended.
    pub(in crate::locator::gateway) fn finish_upgraded(&mut self, placement: &Placement, now: Timestamp) {
        self.instances[placement.instance as usize].upgraded -= 1;
        self.give_back(placement, Outcome::Sent, now);
    }

    /// Ends a placement: the instance could not be reached, and the request, which is still complete, goes to another
    /// one. A session that was opened for it ends here.
    pub(in crate::locator::gateway) fn move_on(&mut self, placement: &Placement, now: Timestamp) {
        self.finish(placement, Outcome::Unreachable, now);
        if let Some(Session { id, opened: true, slot: Some(slot), .. }) = placement.session {
            // Nobody else can know of this session yet, so its entry has not moved.
            if let Found::Live(found, at) = self.sessions.find(id, self.tick(now), self.tick(now))
                && found == slot
            {
                self.sessions.remove(slot);
                self.instances[at as usize].session_left();
            }
        }
    }

    /// Counts how long a request took that was answered: until its answer began and, unless its connection was upgraded,
    /// until it had ended.
    #[inline]
    pub(in crate::locator::gateway) fn took(
        &mut self,
        placement: &Placement,
        first_byte: Duration,
        whole: Option<Duration>,
    ) {
        let timings = &mut self.instances[placement.instance as usize].timings;
        timings.first_byte.note(first_byte);
        if let Some(whole) = whole {
            timings.whole.note(whole);
        }
    }

    /// The times of all instances.
    pub(in crate::locator::gateway) fn timings(&self) -> Vec<(InstanceId, Timings)> {
        self.instances.iter().map(|instance| (instance.id.clone(), instance.timings.clone())).collect()
    }
}
