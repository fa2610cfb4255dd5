//! Hooks for instances, and notifications for receivers.

use std::time::Duration;

use super::{RUNTIME_BACKOFF, Work};
use crate::error::ErrorKind;
use crate::name::InstanceId;
use crate::release::action::{Action, Task};
use crate::release::event::{AbortReason, Event};
use crate::release::observation::TaskReport;
use crate::release::state::{Attempt, Notification, PendingHook};
use crate::settings::Hook;

/// After this many failed tries a hook has failed. One failure may be chance, and more tries would keep the release
/// waiting.
const MAX_HOOK_TRIES: u32 = 3;
/// A notification is given up after this many tries, which take about four minutes. A receiver that is restarted is
/// back by then.
const MAX_NOTIFICATION_TRIES: u32 = 9;
/// The first and the longest wait between two tries of a notification.
const NOTIFICATION_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// If there are more than this, the oldest notifications are given up. A release causes a few for each receiver. So the
/// state, which each commit writes, stays below about 100 KiB.
const MAX_QUEUED_NOTIFICATIONS: usize = 256;

impl Work<'_> {
    /// Asks for a hook to run, if there is one. If an earlier one has not run yet, only this one counts.
    pub(super) fn ask_hook(&mut self, id: &InstanceId, hook: Hook) {
        let number = self.number;
        let instance = &self.state.instances[id];
        let wanted = self.version(instance.version).new.settings.release.hooks.contains(&hook);
        if !instance.is_external() {
            self.life_mut(id).hook = wanted.then_some(PendingHook { hook, number, attempt: Attempt::default() });
        }
    }

    fn pending_hooks(&self) -> Vec<(InstanceId, PendingHook)> {
        self.state.instances.iter().filter_map(|(id, instance)| Some((id.clone(), instance.hook()?))).collect()
    }

    /// Notes which hooks have run. If the serving hook of a candidate fails, its release is aborted.
    pub(super) fn sight_hooks(&mut self) {
        for (instance, PendingHook { hook, number, attempt }) in self.pending_hooks() {
            let Some(TaskReport::Ended { result, .. }) = self.task(&Task::Hook(instance.clone(), number)) else {
                continue;
            };
            match result {
                Ok(result) => {
                    let output = result.said().to_vec();
                    self.life_mut(&instance).hook = None;
                    self.events.push(Event::HookRan { instance, hook, output });
                }
                // If the runtime cannot be reached, this is not the hook's fault.
                Err(error) if error.kind() == ErrorKind::RuntimeUnavailable || attempt.count < MAX_HOOK_TRIES => {}
                Err(error) => {
                    self.life_mut(&instance).hook = None;
                    let version = self.state.instances[&instance].version;
                    self.events.push(Event::HookFailed { instance, hook, error: error.clone() });
                    let candidate = self.state.release.as_ref().is_some_and(|release| release.version == version);
                    if candidate && hook == Hook::Serving {
                        self.abort(AbortReason::Failed(error.clone()));
                    }
                }
            }
        }
    }

    /// Runs the hooks that are due.
    pub(super) fn run_hooks(&mut self) {
        let now = self.now;
        for (instance, mut pending) in self.pending_hooks() {
            let PendingHook { hook, number, .. } = pending;
            if matches!(self.task(&Task::Hook(instance.clone(), number)), Some(TaskReport::Running)) {
                continue;
            }
            if pending.attempt.is_due(now) {
                pending.attempt.begin(now, RUNTIME_BACKOFF.0, RUNTIME_BACKOFF.1);
                self.life_mut(&instance).hook = Some(pending);
                self.actions.push(Action::Hook { instance, hook, number });
            }
            self.wake(pending.attempt.retry_at);
        }
    }

    /// Sends notifications of what has happened in this step, and those of earlier steps that have not arrived.
    pub(super) fn notify(&mut self) {
        self.forget_ended_notifications();
        self.add_notifications();
        let now = self.now;
        let mut busy: Vec<usize> = Vec::new();
        let mut wakes = Vec::new();
        for notification in &mut self.state.notifications {
            // Each receiver gets its notifications in their order.
            if busy.contains(&notification.receiver) {
                continue;
            }
            busy.push(notification.receiver);
            if matches!(self.seen.tasks.get(&Task::Notify(notification.id())), Some(TaskReport::Running)) {
                continue;
            }
            if notification.attempt.is_due(now) {
                notification.attempt.begin(now, NOTIFICATION_BACKOFF.0, NOTIFICATION_BACKOFF.1);
                self.actions.push(Action::Notify { notification: Box::new(notification.clone()) });
            }
            wakes.push(notification.attempt.retry_at);
        }
        wakes.into_iter().for_each(|at| self.wake(at));
    }

    /// Forgets notifications that have arrived or are given up.
    fn forget_ended_notifications(&mut self) {
        let tasks = &self.seen.tasks;
        let events = &mut self.events;
        self.state.notifications.retain(|notification| match tasks.get(&Task::Notify(notification.id())) {
            Some(TaskReport::Ended { result: Ok(_), .. }) => false,
            Some(TaskReport::Ended { result: Err(error), .. })
                if notification.attempt.count >= MAX_NOTIFICATION_TRIES =>
            {
                let (receiver, number) = (notification.receiver, notification.number);
                events.push(Event::NotificationUndelivered { receiver, number, error: error.clone() });
                false
            }
            Some(TaskReport::Running | TaskReport::Ended { .. }) | None => true,
        });
    }

    fn add_notifications(&mut self) {
        for (index, event) in self.events.iter().enumerate().filter(|(_, event)| event.notifies()) {
            let newest = self.state.versions.keys().next_back().copied();
            let version = event.version().or(newest).and_then(|id| self.state.versions.get(&id));
            let Some(version) = version else { continue };
            for receiver in 0..version.new.settings.notify {
                self.state.notifications.push(Notification {
                    number: self.number,
                    index,
                    receiver,
                    spec: version.new.spec.clone(),
                    at: self.now,
                    event: event.clone(),
                    attempt: Attempt::default(),
                });
            }
        }
        let over = self.state.notifications.len().saturating_sub(MAX_QUEUED_NOTIFICATIONS);
        self.state.notifications.drain(..over);
    }
}
