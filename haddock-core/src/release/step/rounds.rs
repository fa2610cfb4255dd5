//! Closing on all locators of a group, or on none.
//!
//! A session may come back after it has expired: by a cookie of the application, which does not say when it was last used. If
//! it came back on one locator while another has closed its instance already, it would be lost. So with several locators
//! there are rounds:
//!
//! 1. Every locator says that nothing is left. A table says that the instance is [closing](crate::routing::Route::closing).
//! 2. Where this table is in force, no session comes back. Once it is in force everywhere, every locator is read again.
//! 3. If still nothing is left anywhere, it is closed. No locator can refuse, because nothing came back meanwhile. If
//!    something did come back, before the table was in force there, the next table takes that back: nothing was closed, and
//!    requests that waited go on.
//!
//! A locator that does not know of this, such as an HAProxy, closes first. If it refuses, nobody else has closed. With two
//! of that kind, a session that comes back between their two closes may be lost.

use super::Work;
use crate::name::{InstanceId, LocatorName};
use crate::release::state::{Draining, Phase};
use crate::routing::LocatorCapabilities;
use crate::time::Timestamp;

impl Work<'_> {
    /// Whether sessions may come back, and there is more than one locator through which they may.
    fn has_rounds(&self) -> bool {
        let knows = |capabilities: &LocatorCapabilities| capabilities.closes_in_rounds;
        self.rules.close_in_rounds
            && self.seen.locators.len() > 1
            && self.seen.locators.values().any(|view| knows(&view.capabilities))
            && self.session_policy().application.is_some()
    }

    /// Whether no session can come back to a drained instance on any locator that can keep it out. If not, the next table
    /// sees to that.
    pub(super) fn is_shut_everywhere(&mut self, id: &InstanceId) -> bool {
        // Once it is closed somewhere, no table names it any more.
        if !self.has_rounds() || self.state.instances[id].routing.closed_somewhere {
            return true;
        }
        let route = self.state.asked.as_ref().filter(|asked| asked.in_force).and_then(|asked| asked.routes.get(id));
        if route.is_some_and(|route| route.closing) {
            return true;
        }
        self.set_closing(id, true);
        false
    }

    /// Notes whether the next table says that it is closing.
    pub(super) fn set_closing(&mut self, id: &InstanceId, closing: bool) {
        let soon = Timestamp::from_millis(self.now.as_millis() + 1);
        if let Phase::Draining(Draining { closing: present, .. }) = &mut self.instance_mut(id).phase
            && *present != closing
        {
            *present = closing;
            self.wake(soon);
        }
    }

    /// The locators that are asked next to close or evict the instance: of those that have not closed it, first the ones
    /// that may refuse because a session has come back.
    pub(super) fn next_to_close(&self, id: &InstanceId, evict: bool) -> Vec<LocatorName> {
        let closed = |report: &crate::LocatorReport| report.instances.get(id).is_some_and(|figures| figures.closed);
        let open = self.seen.locators.iter().filter(|(_, view)| !view.report.value().is_some_and(closed));
        let (shut, others): (Vec<_>, Vec<_>) = open.partition(|(_, view)| view.capabilities.closes_in_rounds);
        let asked = match others.is_empty() || evict || !self.has_rounds() {
            true => shut.into_iter().chain(others).collect(),
            false => others,
        };
        asked.into_iter().map(|(name, _)| name.clone()).collect()
    }
}
