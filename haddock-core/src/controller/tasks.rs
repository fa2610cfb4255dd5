//! The tasks that are being carried out.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::act::perform;
use super::ends::{caught, has_run_out, lease_has_run_out};
use super::ports::Ports;
use crate::release::{Action, Run, ServiceState, Task, TaskReport};
use crate::runtime::turn::counting;
use crate::time::Timestamp;

/// The end of a run of a task.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) task: Task,
    pub(crate) run: u64,
    pub(crate) report: TaskReport,
}

/// The tasks that are being carried out under one lease. What has become of them is in the
/// [`ServiceLoop`](crate::release::ServiceLoop).
#[derive(Debug)]
pub(crate) struct Tasks {
    running: BTreeMap<u64, (Task, JoinHandle<()>)>,
    /// When the lease ends under which all of it is done.
    until: watch::Receiver<Timestamp>,
    sender: mpsc::UnboundedSender<Ended>,
    ended: mpsc::UnboundedReceiver<Ended>,
}

impl Tasks {
    pub(crate) fn new(until: watch::Receiver<Timestamp>) -> Self {
        let (sender, ended) = mpsc::unbounded_channel();
        Self { running: BTreeMap::new(), until, sender, ended }
    }

    /// Waits for the next run that ends, and returns it.
    pub(crate) async fn next(&mut self) -> Option<Ended> {
        let ended = self.ended.recv().await?;
        self.running.remove(&ended.run);
        Some(ended)
    }

    /// The next run that has already ended.
    pub(crate) fn try_next(&mut self) -> Option<Ended> {
        let ended = self.ended.try_recv().ok()?;
        self.running.remove(&ended.run);
        Some(ended)
    }

    /// Ends the questions to gates whose answers no longer matter.
    pub(crate) fn give_up(&mut self, is_over: impl Fn(&Task, u64) -> bool) {
        self.running.retain(|run, (task, handle)| {
            let ends = matches!(task, Task::Gate(_)) && is_over(task, *run);
            if ends {
                handle.abort();
            }
            !ends
        });
    }

    /// Starts a run of an action. The run that it cancels has ended before it does anything.
    pub(crate) fn start(&mut self, ports: &Arc<Ports>, state: &Arc<ServiceState>, action: Action, run: Run) {
        let cancelled = self.running.iter().filter(|(_, (task, _))| run.cancels.as_ref() == Some(task));
        let cancelled: Vec<u64> = cancelled.map(|(number, _)| *number).collect();
        let cancelled: Vec<_> = cancelled.iter().filter_map(|number| self.running.remove(number)).collect();
        let (ports, state, sender) = (Arc::clone(ports), Arc::clone(state), self.sender.clone());
        let (task, number, until) = (action.task(), run.number, self.until.clone());
        let handle = tokio::spawn({
            let task = task.clone();
            async move {
                for (_, handle) in cancelled {
                    handle.abort();
                    let _ = handle.await;
                }
                let began = ports.clock.now();
                let performed = async {
                    ports.watcher.acting(&state, &action);
                    let result = counting(perform(&ports, &state, &action)).await;
                    ports.watcher.acted(&state, &action, result.as_ref().err());
                    result
                };
                let what = format!("`{}`", action.name());
                let result = tokio::select! {
                    result = caught(&what, performed) => result,
                    () = has_run_out(&*ports.clock, until) => Err(lease_has_run_out()),
                };
                if let Err(error) = &result {
                    tracing::debug!(service = %state.service, action = action.name(), %error, "action failed");
                }
                let report = TaskReport::Ended { began, at: ports.clock.now(), result };
                // If nobody listens, the loop has ended, and nobody needs to know.
                let _ = sender.send(Ended { task, run: number, report });
            }
        });
        self.running.insert(number, (task, handle));
    }
}

impl Drop for Tasks {
    /// Without a loop nothing is carried out, because a successor would not know of it.
    fn drop(&mut self) {
        for (_, handle) in self.running.values() {
            handle.abort();
        }
    }
}
