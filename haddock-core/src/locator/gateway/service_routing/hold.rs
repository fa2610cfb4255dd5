//! Instances for which requests wait.

use super::ServiceRouting;
use crate::locator::gateway::cookie::Claim;
use crate::name::InstanceId;
use crate::time::Timestamp;

impl ServiceRouting {
    /// Lets requests for the instance wait until then; `None` ends the wait. Answers whether the instance is listed.
    pub(in crate::locator::gateway) fn hold(&mut self, id: &InstanceId, until: Option<Timestamp>) -> bool {
        let Some(at) = self.by_id.get(id) else { return false };
        let instance = &mut self.instances[*at as usize];
        instance.held = until;
        let listed = instance.takes_requests();
        self.holds = self.instances.iter().any(|instance| instance.held.is_some());
        listed
    }

    /// Until when a request with that claim has to wait. `None`: it does not wait.
    #[inline]
    pub(in crate::locator::gateway) fn held(&self, claim: Option<&Claim<'_>>, now: Timestamp) -> Option<Timestamp> {
        if self.holds { self.held_now(claim, now) } else { None }
    }

    fn held_now(&self, claim: Option<&Claim<'_>>, now: Timestamp) -> Option<Timestamp> {
        let own = claim.and_then(|claim| Some(&self.instances[*self.by_id.get(claim.instance)? as usize]));
        if let Some(own) = own.filter(|own| own.takes_requests()) {
            return own.held_at(now);
        }
        // It may belong to a session from before the adoption.
        if let Some(until) = self.adopted.as_ref().and_then(|(at, _)| self.instances[*at as usize].held_at(now)) {
            return Some(until);
        }
        let takers = self.instances.iter().filter(|it| !it.closed && it.share.is_some_and(|share| !share.is_zero()));
        takers.map(|taker| taker.held_at(now)).collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}
