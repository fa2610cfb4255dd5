//! What somebody else does with containers, without telling the one who made them.

use super::SimEngine;
use super::engine::not_found;
use super::made::Phase;
use crate::container::{ContainerId, ContainerState, RestartPolicy};
use crate::error::Result;
use crate::time::Timestamp;

impl SimEngine {
    /// Somebody else restarts it, whatever it was doing: it gets another incarnation and other addresses.
    pub fn restart(&mut self, id: &ContainerId, now: Timestamp) {
        self.settle(now);
        if let Some(made) = self.made.get_mut(id) {
            made.stopped_by_hand = false;
            made.begin_life(now, &mut self.counter);
        }
    }

    /// Its process ends with `code`. Its restart policy may start it again.
    pub fn kill(&mut self, id: &ContainerId, code: i64) {
        let now = self.now;
        if let Some(made) = self.made.get_mut(id).filter(|made| made.is_alive()) {
            made.end(code, now);
        }
    }

    /// It runs, and does not answer before `until`.
    pub fn hang(&mut self, id: &ContainerId, until: Timestamp) {
        if let Some(made) = self.made.get_mut(id) {
            made.hangs_until = made.hangs_until.max(until);
        }
    }

    /// Freezes a container: its process exists, but does nothing until it is thawed. If it does not run, nothing is
    /// done.
    pub fn pause(&mut self, id: &ContainerId, now: Timestamp) {
        self.settle(now);
        if let Some(made) = self.made.get_mut(id).filter(|made| made.phase == Phase::Running) {
            made.enter(Phase::Paused);
        }
    }

    /// Lets a frozen container go on. If it is not paused, nothing is done.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound).
    pub fn unpause(&mut self, id: &ContainerId) -> Result<()> {
        let made = self.made.get_mut(id).ok_or_else(|| not_found(id))?;
        if made.phase == Phase::Paused {
            made.enter(Phase::Running);
        }
        Ok(())
    }

    /// Whether it is frozen.
    #[must_use]
    pub fn is_paused(&self, id: &ContainerId) -> bool {
        self.made.get(id).is_some_and(|made| made.phase == Phase::Paused)
    }

    /// From now on a container is found in this state. For what an engine reports of one that fails again and again, or
    /// that could not be removed.
    pub fn set_state(&mut self, id: &ContainerId, state: ContainerState) {
        let Some(made) = self.made.get_mut(id) else { return };
        made.enter(match state {
            ContainerState::Created => Phase::Created,
            ContainerState::Running => Phase::Running,
            ContainerState::Paused => Phase::Paused,
            ContainerState::Restarting { code } => Phase::Restarting(Timestamp::from_millis(u64::MAX), code),
            ContainerState::Exited { code, .. } => Phase::Exited(code),
            ContainerState::Removing => Phase::Removing,
            ContainerState::Dead => Phase::Dead,
        });
        made.container.state = state;
        if !made.is_alive() {
            made.container.addresses.clear();
            made.container.published.clear();
        }
    }

    /// Gives it another name. Returns whether that name was free.
    pub fn rename(&mut self, id: &ContainerId, name: &str) -> bool {
        let free = !self.made.values().any(|made| made.container.name == name);
        if let Some(made) = self.made.get_mut(id).filter(|_| free) {
            name.clone_into(&mut made.container.name);
            name.clone_into(&mut made.spec.name);
        }
        free
    }

    /// The engine ends, and with it everything that runs. It starts again, with the containers whose restart policy
    /// says so.
    pub fn restart_daemon(&mut self, now: Timestamp) {
        self.settle(now);
        for made in self.made.values_mut() {
            let ended = match made.phase {
                Phase::Running | Phase::Paused => Some(137),
                Phase::Restarting(_, code) => Some(code),
                Phase::Exited(code) if made.spec.restart == Some(RestartPolicy::Always) => Some(code),
                _ => None,
            };
            let Some(code) = ended else { continue };
            made.container.addresses.clear();
            made.container.published.clear();
            made.enter(Phase::Exited(code));
            // With `always`, it starts even if somebody has stopped it.
            let stopped = made.stopped_by_hand && made.spec.restart != Some(RestartPolicy::Always);
            if !stopped && made.is_started_again(code) {
                made.stopped_by_hand = false;
                made.begin_life(now, &mut self.counter);
            }
        }
    }
}
