//! The tasks that carry out actions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::ends::{caught, has_run_out, lease_has_run_out};
use super::{Ports, launch, tell};
use crate::container::PullWhen;
use crate::environment::EnvironmentSpec;
use crate::environment::launch::{remove_anonymous, teardown};
use crate::error::{Error, ErrorKind, Result};
use crate::name::VersionId;
use crate::release::{Action, ServiceState, Task, TaskReport, TaskResult};
use crate::runtime::turn::{Elapsed, counting, within};
use crate::time::Timestamp;

/// How long a call to a locator may take.
pub(crate) const LOCATOR_LIMIT: Duration = Duration::from_secs(5);
/// How long stopping and removing an instance may take beyond its longest grace.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// The end of a task.
#[derive(Debug)]
pub(crate) struct Ended {
    task: Task,
    run: u64,
    report: TaskReport,
}

/// What is being carried out, and how the last of each ended.
#[derive(Debug)]
pub(crate) struct Tasks {
    reports: BTreeMap<Task, TaskReport>,
    handles: BTreeMap<Task, (u64, JoinHandle<()>)>,
    runs: u64,
    /// When the lease ends under which all of it is done.
    until: watch::Receiver<Timestamp>,
    sender: mpsc::UnboundedSender<Ended>,
    pub(crate) ended: mpsc::UnboundedReceiver<Ended>,
}

impl Tasks {
    pub(crate) fn new(until: watch::Receiver<Timestamp>) -> Self {
        let (sender, ended) = mpsc::unbounded_channel();
        Self { reports: BTreeMap::new(), handles: BTreeMap::new(), runs: 0, until, sender, ended }
    }

    pub(crate) fn reports(&self) -> BTreeMap<Task, TaskReport> {
        self.reports.clone()
    }

    /// Notes an end. That of a run which another of the same task has followed counts no more.
    pub(crate) fn note(&mut self, ended: Ended) {
        if self.handles.get(&ended.task).is_some_and(|(run, _)| *run == ended.run) {
            self.handles.remove(&ended.task);
            self.reports.insert(ended.task, ended.report);
        }
    }

    /// Forgets how tasks ended on instances and versions that the state does not know any more.
    pub(crate) fn forget(&mut self, state: &ServiceState) {
        self.reports.retain(|task, report| {
            let known = match task {
                Task::Launch(id) => state.knows(id),
                Task::Close(_, id) | Task::Evict(_, id) => state.instances.contains_key(id),
                Task::Hook(id, number) => {
                    let pending = state.instances.get(id).and_then(|instance| instance.hook);
                    pending.is_some_and(|pending| pending.number == *number)
                }
                Task::Notify(news) => state.news.iter().any(|pending| pending.id() == *news),
                Task::Pull(version) => state.versions.contains_key(version),
                Task::Stop(_) | Task::Apply(_) => true,
            };
            known || *report == TaskReport::Running
        });
    }

    /// Starts the task of an action.
    pub(crate) fn start(&mut self, ports: &Arc<Ports>, state: &Arc<ServiceState>, action: Action) {
        let task = action.task();
        let exclusive = !matches!(task, Task::Apply(_) | Task::Close(..) | Task::Evict(..));
        if exclusive && self.handles.contains_key(&task) {
            return;
        }
        // What is to be stopped must not be launched behind the stop's back.
        let launch = match &task {
            Task::Stop(id) => {
                let launch = Task::Launch(id.clone());
                // It ends here, and nobody will report its end.
                self.reports.remove(&launch);
                self.handles.remove(&launch)
            }
            _ => None,
        };
        self.runs += 1;
        let run = self.runs;
        let (ports, state, sender) = (Arc::clone(ports), Arc::clone(state), self.sender.clone());
        let until = self.until.clone();
        self.reports.insert(task.clone(), TaskReport::Running);
        let handle = tokio::spawn({
            let task = task.clone();
            async move {
                if let Some((_, launch)) = launch {
                    launch.abort();
                    let _ = launch.await;
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
                // The loop has ended if nobody listens; then nobody needs to know.
                let _ = sender.send(Ended { task, run, report });
            }
        });
        self.handles.insert(task, (run, handle));
    }
}

impl Drop for Tasks {
    /// Without a loop nothing is carried out: a successor would not know of it.
    fn drop(&mut self) {
        for (_, handle) in self.handles.values() {
            handle.abort();
        }
    }
}

async fn perform(ports: &Ports, state: &ServiceState, action: &Action) -> Result<TaskResult> {
    match action {
        Action::Pull { version } => return pull(ports, state, *version).await.map(TaskResult::Pulled),
        Action::Before { version, instance, end_by } => {
            return launch::before(ports, state, *version, instance, *end_by).await.map(TaskResult::Said);
        }
        Action::Hook { instance, hook, number } => {
            return tell::hook(ports, state, instance, *hook, *number).await.map(TaskResult::Said);
        }
        Action::Notify { news } => tell::notify(ports, state, news).await?,
        Action::Launch { instance, ready_by } => launch::until_ready(ports, state, instance, *ready_by).await?,
        Action::Apply { locator, table } => limited(LOCATOR_LIMIT, ports.locators[locator].apply(table)).await?,
        Action::Close { locator, instance, number } => {
            // Busy is an answer too: the next observation shows why.
            limited(LOCATOR_LIMIT, ports.locators[locator].close(&state.service, instance, *number)).await?;
        }
        Action::Evict { locator, instance, number } => {
            limited(LOCATOR_LIMIT, ports.locators[locator].evict(&state.service, instance, *number)).await?;
        }
        Action::Stop { instance } | Action::RemoveStray { instance } => {
            let version = state.instances.get(instance).map(|instance| instance.version);
            // Without its specification each component is stopped with the default grace.
            let spec = version.and_then(|version| specification(ports, state, version).ok());
            let graces = spec.iter().flat_map(|spec| spec.components.values()).filter_map(|c| c.stop_grace_period);
            let limit = STOP_LIMIT + graces.max().unwrap_or_default();
            let stopped = async {
                teardown(&*ports.runtime, ports.journal.id(), instance).await?;
                // No other instance takes over what this one kept.
                remove_anonymous(&*ports.runtime, ports.journal.id(), instance, None).await
            };
            limited(limit, stopped).await?;
        }
    }
    Ok(TaskResult::Done)
}

pub(crate) async fn limited<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    match within(limit, call).await {
        Ok(result) => result,
        Err(Elapsed) => Err(Error::new(ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()))),
    }
}

pub(crate) fn specification(ports: &Ports, state: &ServiceState, version: VersionId) -> Result<Arc<EnvironmentSpec>> {
    let digest = state.versions.get(&version).map(|version| version.new.spec.as_str()).unwrap_or_default();
    ports.specs.get(digest)?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("the specification of version {version} is not in the spec store"))
            .with_hint("give the controller the store that the release was submitted with")
    })
}

async fn pull(
    ports: &Ports,
    state: &ServiceState,
    version: VersionId,
) -> Result<BTreeMap<crate::ComponentName, String>> {
    let spec = specification(ports, state, version)?;
    let mut pins = BTreeMap::new();
    for (name, component) in spec.components.iter().filter(|(_, component)| component.versioned) {
        pins.insert(
            name.clone(),
            ports.runtime.pull_with(&component.image, &component.pull_options(PullWhen::Refresh)).await?,
        );
    }
    Ok(pins)
}
