//! S4: everything labelled with this journal's id is in the state or on its way out; a stray is removed only by committed
//! decision, when its epoch is not newer than ours and no locator counts anything on it. All else is never touched.
//!
//! Judged when a commit decides to remove a stray: no container of it carries a newer epoch, the state before did not
//! know it. When the removal lands: it was committed, and no client lives on it. At the end of a world, after its fair
//! time: every container of our journal and service is in the state, and each foreign one is as it was made.

use haddock_core::InstanceId;
use haddock_core::container::Container;
use haddock_core::release::{Action, Step};

use crate::runner;
use crate::world::{Tuning, World};

impl World {
    pub(crate) fn check_s4_strays(&mut self, epoch: u64, step: &Step) {
        for action in &step.actions {
            let Action::RemoveStray { instance } = action else { continue };
            let now = self.time();
            let newest = self
                .engine
                .containers(now)
                .filter(|container| container.instance().as_ref() == Some(instance))
                .map(Container::epoch)
                .max();
            if newest.is_some_and(|newest| newest > epoch) {
                self.violate("S4", format!("{instance} is a stray to epoch {epoch}, and was made by {newest:?}"));
            }
            if step.state.instances.contains_key(instance) {
                self.violate("S4", format!("{instance} is removed as a stray, and the state knows it"));
            }
        }
    }

    /// No task is ever begun on an adopted server.
    pub(crate) fn check_s4_server(&mut self, step: &Step) {
        for action in &step.actions {
            let touches = match action {
                Action::Pull { version } => step.state.versions[version].external,
                Action::Launch { instance, .. } | Action::Stop { instance } | Action::RemoveStray { instance } => {
                    self.server_as(instance).is_some()
                }
                Action::Hook { instance, .. } => self.server_as(instance).is_some(),
                _ => false,
            };
            if touches {
                self.violate("S4", format!("{action:?} of an adopted server"));
            }
        }
    }

    pub(crate) fn check_s4_removal(&mut self, controller: usize, instance: &InstanceId) {
        if !self.journal.strays.contains_key(instance) {
            self.violate("S4", format!("{instance} is removed as a stray by controller {controller}, uncommitted"));
        }
        if self.journal.state.instances.contains_key(instance) {
            self.violate("S4", format!("{instance} is removed as a stray, and the state knows it"));
        }
        for locator in 0..self.posts.len() {
            let live = self.live_clients(instance, locator);
            if !live.is_empty() {
                self.violate("S4", format!("{instance} is removed as a stray, with clients {live:?}"));
            }
        }
    }

    /// Containers of our journal and service that the committed state does not know.
    pub(crate) fn strays(&mut self) -> Vec<InstanceId> {
        let now = self.time();
        self.engine
            .containers(now)
            .filter(|container| container.belongs_to(&self.journal_id))
            .filter_map(Container::instance)
            .filter(|id| id.is_of(&self.journal_id, &self.service) && !self.journal.state.instances.contains_key(id))
            .collect()
    }

    pub(crate) fn check_s4_at_the_end(&mut self) {
        let now = self.time();
        let strays = self.strays();
        if !strays.is_empty() {
            self.violate("S4", format!("{strays:?} were never removed"));
        }
        for life in self.truth.foreign.clone() {
            let kept =
                self.engine.inspect(&life.container, now).is_some_and(|c| c.incarnation() == life && c.is_running());
            if !kept {
                self.violate("S4", format!("foreign container {life:?} was touched"));
            }
        }
    }
}

#[test]
fn s4_strays_go_and_what_is_foreign_stays() {
    let tuning = Tuning { unreliable: 20, fault_every: 1_800, ..Tuning::DEFAULT };
    runner::run(4_000_000, tuning, &["stray removed", "foreign container", "late call of a launch", "instance gone"]);
}
