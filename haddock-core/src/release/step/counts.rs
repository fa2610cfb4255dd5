//! What the application itself says of its sessions, before a drained instance is closed.

use super::Work;
use crate::name::InstanceId;
use crate::release::state::{Draining, Phase};

impl Work<'_> {
    /// Notes since when nothing is left of a draining instance on any locator, if its application is asked, too.
    pub(super) fn note_empty(&mut self, id: &InstanceId) {
        let empty = self.asks_application(id) && self.is_drained(id);
        let now = self.now;
        if let Phase::Draining(Draining { empty_since, .. }) = &mut self.instance_mut(id).phase {
            *empty_since = empty.then(|| empty_since.unwrap_or(now));
        }
    }

    fn asks_application(&self, id: &InstanceId) -> bool {
        self.version(self.state.instances[id].version).new.settings.release.count.is_some()
    }

    /// Whether the application has said that it has no session, since nothing is left on any locator. One that is not
    /// asked has nothing to say. What it said earlier does not count: a session that a locator has ended meanwhile may
    /// have begun in the application after that.
    pub(super) fn has_application_none(&self, id: &InstanceId) -> bool {
        if !self.asks_application(id) {
            return true;
        }
        let Phase::Draining(Draining { empty_since: Some(since), .. }) = &self.state.instances[id].phase else {
            return false;
        };
        self.seen.counts.get(id).is_some_and(|counted| counted.sessions == Ok(0) && counted.began >= *since)
    }
}
