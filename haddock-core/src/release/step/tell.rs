//! Who is told: instances, by hooks, and receivers, of news.

use std::time::Duration;

use super::{RUNTIME_BACKOFF, Work};
use crate::environment::Hook;
use crate::error::ErrorKind;
use crate::name::InstanceId;
use crate::release::action::{Action, Task};
use crate::release::event::{AbortReason, Event};
use crate::release::observation::TaskReport;
use crate::release::state::{Attempt, News, PendingHook};

/// So often a hook is run before it has failed.
const HOOK_TRIES: u32 = 3;
/// So often somebody is told, over some four minutes, before it is given up.
const NEWS_TRIES: u32 = 9;
const NEWS_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// So much news is kept; beyond it the oldest is given up.
const NEWS_KEPT: usize = 256;

impl Work<'_> {
    /// Wants a hook to run, if there is one. Of what an instance was not told yet only the last counts.
    pub(super) fn ask_hook(&mut self, id: &InstanceId, hook: Hook) {
        let number = self.number;
        let instance = &self.state.instances[id];
        let wanted = self.version(instance.version).new.settings.release.hooks.contains(&hook);
        if instance.external.is_none() {
            self.instance_mut(id).hook = wanted.then_some(PendingHook { hook, number, attempt: Attempt::default() });
        }
    }

    fn pending_hooks(&self) -> Vec<(InstanceId, PendingHook)> {
        self.state.instances.iter().filter_map(|(id, instance)| Some((id.clone(), instance.hook?))).collect()
    }

    /// Notes which hooks have run. That of a candidate that cannot begin to serve ends its release.
    pub(super) fn sight_hooks(&mut self) {
        for (instance, PendingHook { hook, number, attempt }) in self.pending_hooks() {
            let Some(TaskReport::Ended { result, .. }) = self.task(&Task::Hook(instance.clone(), number)) else {
                continue;
            };
            match result {
                Ok(result) => {
                    let output = result.said().to_vec();
                    self.instance_mut(&instance).hook = None;
                    self.events.push(Event::HookRan { instance, hook, output });
                }
                // While the runtime is away nothing speaks against the hook.
                Err(error) if error.kind() == ErrorKind::RuntimeUnavailable || attempt.count < HOOK_TRIES => {}
                Err(error) => {
                    self.instance_mut(&instance).hook = None;
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
                self.instance_mut(&instance).hook = Some(pending);
                self.actions.push(Action::Hook { instance, hook, number });
            }
            self.wake(pending.attempt.retry_at);
        }
    }

    /// Passes on what has happened in this step, and what is still to be told of earlier ones.
    pub(super) fn tell_news(&mut self) {
        self.note_told();
        self.add_news();
        let now = self.now;
        let mut busy: Vec<usize> = Vec::new();
        let mut wakes = Vec::new();
        for news in &mut self.state.news {
            // To each receiver the news goes in its order.
            if busy.contains(&news.receiver) {
                continue;
            }
            busy.push(news.receiver);
            if matches!(self.seen.tasks.get(&Task::Notify(news.id())), Some(TaskReport::Running)) {
                continue;
            }
            if news.attempt.is_due(now) {
                news.attempt.begin(now, NEWS_BACKOFF.0, NEWS_BACKOFF.1);
                self.actions.push(Action::Notify { news: Box::new(news.clone()) });
            }
            wakes.push(news.attempt.retry_at);
        }
        wakes.into_iter().for_each(|at| self.wake(at));
    }

    /// Forgets what was told, or cannot be.
    fn note_told(&mut self) {
        let tasks = &self.seen.tasks;
        let events = &mut self.events;
        self.state.news.retain(|news| match tasks.get(&Task::Notify(news.id())) {
            Some(TaskReport::Ended { result: Ok(_), .. }) => false,
            Some(TaskReport::Ended { result: Err(error), .. }) if news.attempt.count >= NEWS_TRIES => {
                let (receiver, number) = (news.receiver, news.number);
                events.push(Event::NewsUndelivered { receiver, number, error: error.clone() });
                false
            }
            Some(TaskReport::Running | TaskReport::Ended { .. }) | None => true,
        });
    }

    fn add_news(&mut self) {
        for (index, event) in self.events.iter().enumerate().filter(|(_, event)| event.is_news()) {
            let newest = self.state.versions.keys().next_back().copied();
            let version = event.version().or(newest).and_then(|id| self.state.versions.get(&id));
            let Some(version) = version else { continue };
            for receiver in 0..version.new.settings.notify {
                self.state.news.push(News {
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
        let over = self.state.news.len().saturating_sub(NEWS_KEPT);
        self.state.news.drain(..over);
    }
}
