//! Sessions that are known by a cookie of the application. They begin and end when an answer says so.

use super::successors::Fate;
use super::{Placement, ServiceRouting, Session};
use crate::locator::gateway::client_cookie::Who;
use crate::locator::gateway::cookie::Claim;
use crate::locator::gateway::recognised::{Recognised, Sought};
use crate::locator::gateway::sessions::{Begun, Found, Slot};
use crate::locator::gateway::shares::Choice;
use crate::name::InstanceId;
use crate::time::Timestamp;

impl ServiceRouting {
    /// Decides where a request goes that may belong to a session of the application, or to one of the gateway's own
    /// cookie from before the settings were changed. `carries` is as for [`place_foreign`](Self::place_foreign), for a
    /// request without a cookie of ours. `None`: there is no instance for it.
    pub(in crate::locator::gateway) fn place_recognised(
        &mut self,
        recognised: &Recognised<'_>,
        carries: Option<impl FnOnce(Option<&str>) -> bool>,
        path: &str,
        now: Timestamp,
    ) -> Option<Placement> {
        let Recognised { own, sought, who, by_application } = recognised;
        if !by_application {
            // The settings were changed back: our own cookie counts first.
            let followed = own.and_then(|claim| self.follow(claim, now)).or_else(|| self.follow_sought(sought, now));
            return followed
                .or_else(|| self.place_foreign(carries?, path, now))
                .or_else(|| self.place_for(*who, path, &[], now));
        }
        self.follow_sought(sought, now)
            .or_else(|| self.follow_and_rename((*own)?, sought, now))
            .or_else(|| self.place_adopted(sought, carries?, path, now))
            .or_else(|| self.place_unopened(*who, path, &[], now))
    }

    /// Decides where a request without a session goes. It opens none: only its answer may. Chance decides, and not a round
    /// robin: with one, clients that always send a request without a session first would all open theirs on one instance.
    pub(in crate::locator::gateway) fn place_unopened(
        &mut self,
        who: Option<Who<'_>>,
        path: &str,
        tried: &[u32],
        now: Timestamp,
    ) -> Option<Placement> {
        if self.is_ignored(path) {
            return self.place_for(None, path, tried, now);
        }
        let choice = Choice::Random(self.next_id());
        let (at, client) = self.pick(choice, who, tried, now)?;
        let begun = self.counted.now();
        Some(Placement { client, ..self.take_place_unopened(at, begun) })
    }

    fn take_place_unopened(&mut self, at: u32, begun: Begun) -> Placement {
        Placement { unopened: Some(begun), ..self.take_place(at, None) }
    }

    /// Follows the first session that the table knows, or else the first prefix.
    fn follow_sought(&mut self, sought: &[Sought<'_>], now: Timestamp) -> Option<Placement> {
        let mut ended = None;
        for Sought { id, .. } in sought {
            match self.successors.fate(*id, now) {
                Fate::Ended(at) => ended = ended.or(Some(at)),
                Fate::Renamed(id) => {
                    if let Some((slot, at)) = self.find_live(id, now) {
                        self.sessions.begin_request(slot, self.tick_after(now));
                        return Some(self.take_place(at, Some(Session::followed(id, Some(slot)))));
                    }
                }
            }
        }
        if let Some(at) = ended.filter(|at| self.instances[*at as usize].takes_back()) {
            // The client sent it before it knew of the end. It belongs nowhere else, and keeps no session alive.
            return Some(self.take_place_unopened(at, Begun::Apart));
        }
        sought.iter().find_map(|Sought { id, instance }| {
            let at = *self.by_id.get((*instance)?)?;
            if !self.instances[at as usize].takes_back() {
                return None;
            }
            let slot = self.enter(*id, at, now, Begun::Elsewhere);
            Some(self.take_place(at, Some(Session::followed(*id, slot))))
        })
    }

    /// Finds a session whose instance still takes requests. One that has expired, or whose instance takes none, leaves the
    /// table.
    fn find_live(&mut self, id: u64, now: Timestamp) -> Option<(Slot, u32)> {
        match self.sessions.find_unstamped(id, self.tick(now)) {
            Found::Live(slot, at) if self.instances[at as usize].takes_requests() => Some((slot, at)),
            Found::Live(slot, at) => {
                self.sessions.remove(slot);
                self.instances[at as usize].session_left();
                None
            }
            Found::Expired(at) => {
                self.instances[at as usize].session_left();
                None
            }
            Found::Missing => None,
        }
    }

    /// Follows our own cookie, from before the settings were changed. If the client has a cookie of the application, its
    /// session is known by that from now on.
    fn follow_and_rename(&mut self, own: Claim<'_>, sought: &[Sought<'_>], now: Timestamp) -> Option<Placement> {
        let mut placement = self.follow(own, now)?;
        if let (Some(Sought { id, .. }), Some(session)) = (sought.first(), placement.session) {
            self.rename(&mut placement, session, *id, now);
        }
        Some(placement)
    }

    /// As [`place_foreign`](Self::place_foreign). The session is opened at once if the request has the cookie by which it is
    /// known, and else when an answer sets that.
    fn place_adopted(
        &mut self,
        sought: &[Sought<'_>],
        carries: impl FnOnce(Option<&str>) -> bool,
        path: &str,
        now: Timestamp,
    ) -> Option<Placement> {
        let at = self.adopted_for(carries, now)?;
        if self.is_ignored(path) {
            return Some(self.take_place(at, None));
        }
        Some(match sought.first() {
            Some(Sought { id, .. }) => self.open_as(*id, at, true, now),
            None => self.take_place_unopened(at, Begun::Apart),
        })
    }

    /// The answer says that the client has this session from now on. `None`: its instance gets nothing more, so no client
    /// is to come back to it.
    pub(in crate::locator::gateway) fn bind(
        &mut self,
        placement: &mut Placement,
        id: u64,
        now: Timestamp,
    ) -> Option<InstanceId> {
        let instance = &self.instances[placement.instance as usize];
        if instance.closed {
            return None;
        }
        let instance = instance.id.clone();
        match (placement.session, placement.unopened.take()) {
            (Some(session), _) if session.slot.is_none_or(|slot| self.sessions.is_live(slot)) => {
                self.rename(placement, session, id, now);
            }
            // Chance did not bring a new session of a client here that had one before.
            (Some(_), _) => self.open_late(placement, id, Begun::Apart, now),
            (None, Some(begun)) => self.open_late(placement, id, begun, now),
            // A request on an ignored path opens no session.
            (None, None) => {}
        }
        Some(instance)
    }

    /// The answer says that the client's session has ended.
    pub(in crate::locator::gateway) fn end_session(&mut self, placement: &Placement, now: Timestamp) {
        let Some(Session { slot: Some(slot), .. }) = placement.session else { return };
        if self.sessions.is_live(slot) {
            let id = self.sessions.id(slot);
            self.successors.note(id, Fate::Ended(placement.instance), now);
            self.log_outs.note(id, now);
            self.sessions.remove(slot);
            self.instances[placement.instance as usize].session_left();
        }
    }

    /// The session goes on under another id. It keeps where it began, and its requests.
    fn rename(&mut self, placement: &mut Placement, session: Session, id: u64, now: Timestamp) {
        let Some(slot) = session.slot else {
            // The table was full, so nobody looks for it there.
            placement.session = Some(Session { id, ..session });
            return;
        };
        // Another answer may have renamed it since the request came.
        let former = self.sessions.id(slot);
        if former == id {
            return;
        }
        if let Some(other) = self.make_room(id, placement.instance, now) {
            // The client has gone over to a session that is here already.
            self.sessions.remove(slot);
            self.instances[placement.instance as usize].session_left();
            self.sessions.end_request(slot, self.tick(now));
            self.sessions.begin_request(other, self.tick_after(now));
            placement.session = Some(Session::followed(id, Some(other)));
        } else {
            self.sessions.rename(slot, id);
            placement.session = Some(Session { id, ..session });
        }
        self.successors.note(former, Fate::Renamed(id), now);
        self.log_outs.note(former, now);
    }

    /// Opens a session for a request that came without one.
    fn open_late(&mut self, placement: &mut Placement, id: u64, begun: Begun, now: Timestamp) {
        if let Some(Session { slot: Some(slot), .. }) = placement.session {
            // Its request is one of the new session from now on.
            self.sessions.end_request(slot, self.tick(now));
        }
        self.successors.forget(id);
        let at = placement.instance;
        if let Some(slot) = self.make_room(id, at, now) {
            self.sessions.begin_request(slot, self.tick_after(now));
            placement.session = Some(Session::followed(id, Some(slot)));
            return;
        }
        let slot = self.enter(id, at, now, begun);
        let Self { instances, counted, .. } = self;
        let instance = &mut instances[at as usize];
        instance.sessions_begun += 1;
        instance.cohorts.begin_in(begun, counted);
        instance.uncounted += u64::from(slot.is_none());
        placement.session = Some(Session { begun, ..Session::followed(id, slot) });
    }

    /// Takes a session with this id out of the table, unless it is on this instance: then it is returned. An application
    /// that gives two instances the same value shares its sessions among them; the last one to set it has it.
    fn make_room(&mut self, id: u64, at: u32, now: Timestamp) -> Option<Slot> {
        match self.sessions.find_unstamped(id, self.tick(now)) {
            Found::Live(slot, there) if there == at => return Some(slot),
            Found::Live(slot, there) => {
                self.sessions.remove(slot);
                self.instances[there as usize].session_left();
            }
            Found::Expired(there) => self.instances[there as usize].session_left(),
            Found::Missing => {}
        }
        None
    }

    /// A request without a session has failed. It counts as a session that began and failed: a version that fails before
    /// it opens sessions gives no other evidence. Answers where that session began.
    pub(super) fn fail_unopened(&mut self, placement: &mut Placement) -> Option<Begun> {
        let begun = placement.unopened.take()?;
        let Self { instances, counted, .. } = self;
        let instance = &mut instances[placement.instance as usize];
        if instance.evicted {
            return None;
        }
        instance.sessions_begun += 1;
        instance.sessions_ended += 1;
        instance.cohorts.begin_in(begun, counted);
        Some(begun)
    }

    /// The instance to which a request with these cookies goes, as far as that is known already.
    pub(super) fn sought_instance(&self, sought: &[Sought<'_>], now: Timestamp) -> Option<u32> {
        let known = sought.iter().find_map(|Sought { id, .. }| match self.successors.fate(*id, now) {
            Fate::Ended(at) => Some(at),
            Fate::Renamed(id) => self.sessions.instance(id),
        });
        known.or_else(|| sought.iter().find_map(|Sought { instance, .. }| self.by_id.get((*instance)?).copied()))
    }
}

impl Session {
    /// One that existed before this request.
    fn followed(id: u64, slot: Option<Slot>) -> Self {
        Self { id, opened: false, foreign: false, slot, begun: Begun::Elsewhere, stamp: None }
    }
}

#[cfg(test)]
#[path = "application_tests.rs"]
mod tests;
