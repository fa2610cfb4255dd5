//! The component that runs once before a version is launched, such as a migration of the database.
//!
//! It runs in an environment of its own. This environment stays until the state says that the component has ended. A
//! controller that takes over finds it there, running or ended, and does not run it again.

use super::{RUNTIME_BACKOFF, Work};
use crate::name::{InstanceId, VersionId};
use crate::release::action::{Action, Task};
use crate::release::event::{AbortReason, Event};
use crate::release::observation::TaskReport;
use crate::release::state::{Attempt, Preparation};

impl Work<'_> {
    /// Whether nothing has to run before the version is launched, or it has run. If a rollback goes back to a version,
    /// this ran at its first release.
    pub(super) fn is_prepared(&mut self, version: VersionId) -> bool {
        let Some(before) = self.version(version).new.settings.release.before.clone() else { return true };
        let release = self.state.release.as_ref().expect("only called with a release in progress");
        if release.rollback || self.version(version).prepared {
            return true;
        }
        let mut run = match release.before.clone() {
            Some(run) => run,
            None => {
                let component = before.component.clone();
                self.events.push(Event::BeforeStarted { version, component });
                Preparation { instance: self.next_id(), end_by: self.now + before.within, attempt: Attempt::default() }
            }
        };
        let mut ended = false;
        match self.task(&Task::Launch(run.instance.clone())) {
            Some(TaskReport::Running) => return false,
            Some(TaskReport::Ended { result: Ok(result), .. }) => {
                let output = result.said().to_vec();
                self.version_mut(version).prepared = true;
                self.state.leaving.insert(run.instance.clone());
                self.events.push(Event::BeforeEnded { version, component: before.component, output });
                ended = true;
            }
            Some(TaskReport::Ended { result: Err(error), .. }) if !error.is_retryable() => {
                self.abort(AbortReason::Failed(error.clone()));
                return false;
            }
            Some(TaskReport::Ended { result: Err(error), .. }) => {
                self.wait_for(version, error.clone());
            }
            None => {}
        }
        if !ended {
            if run.attempt.is_due(self.now) {
                run.attempt.begin(self.now, RUNTIME_BACKOFF.0, RUNTIME_BACKOFF.1);
                self.actions.push(Action::Before { version, instance: run.instance.clone(), end_by: run.end_by });
            }
            self.wake(run.attempt.retry_at);
        }
        let release = self.state.release.as_mut().expect("it is not aborted here");
        release.before = (!ended).then_some(run);
        ended
    }

    /// Stops what runs before a version, because its release has been given up.
    pub(super) fn leave_before(&mut self) {
        let run = self.state.release.as_mut().and_then(|release| release.before.take());
        self.state.leaving.extend(run.map(|run| run.instance));
    }

    /// Removes what ran before a version, again and again until it is seen to be gone.
    pub(super) fn remove_leaving(&mut self) {
        if self.containers.is_none() {
            return;
        }
        let leaving: Vec<InstanceId> = self.state.leaving.iter().cloned().collect();
        for id in leaving {
            let there = self.containers.as_ref().is_some_and(|containers| containers.contains_key(&id));
            match self.task(&Task::Stop(id.clone())) {
                Some(TaskReport::Running) => {}
                Some(TaskReport::Ended { result: Ok(_), .. }) if !there && self.absence_counts(&id) => {
                    self.state.leaving.remove(&id);
                }
                _ => {
                    self.remove(id);
                }
            }
        }
    }
}
