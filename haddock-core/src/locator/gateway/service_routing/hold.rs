//! Instances for which requests wait.

use super::ServiceRouting;
use crate::locator::gateway::recognised::Recognised;
use crate::name::InstanceId;
use crate::time::Timestamp;

impl ServiceRouting {
    /// Lets requests for the instance wait until then; `None` ends the wait. Answers whether the instance is listed.
    pub(in crate::locator::gateway) fn hold(&mut self, id: &InstanceId, until: Option<Timestamp>) -> bool {
        let Some(at) = self.by_id.get(id) else { return false };
        let instance = &mut self.instances[*at as usize];
        instance.held = until;
        let listed = instance.takes_requests();
        self.note_holds();
        listed
    }

    pub(super) fn note_holds(&mut self) {
        self.holds = self.instances.iter().any(|it| it.held.is_some() || it.closing.is_some());
    }

    /// Until when a request that brings this has to wait. `None`: it does not wait.
    #[inline]
    pub(in crate::locator::gateway) fn held(&self, by: &Recognised<'_>, now: Timestamp) -> Option<Timestamp> {
        if self.holds { self.held_now(by, now) } else { None }
    }

    fn held_now(&self, by: &Recognised<'_>, now: Timestamp) -> Option<Timestamp> {
        let claimed = || self.by_id.get(by.own?.instance).copied();
        let sought = || self.sought_instance(&by.sought, now);
        let own = if by.by_application { sought().or_else(claimed) } else { claimed().or_else(sought) };
        let own = own.map(|at| &self.instances[at as usize]);
        if let Some(own) = own.filter(|own| own.takes_requests()) {
            return own.held_at(now).max(own.closing.filter(|until| now < *until));
        }
        // It may belong to a session from before the adoption.
        if let Some(until) = self.adopted.as_ref().and_then(|(at, _)| self.instances[*at as usize].held_at(now)) {
            return Some(until);
        }
        let takers = self.instances.iter().filter(|it| !it.closed && it.share.is_some_and(|share| !share.is_zero()));
        takers.map(|taker| taker.held_at(now)).collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}
