//! The loop of a service, without the part that carries actions out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::{Action, Task};
use super::observation::{Observation, TaskReport};
use super::rules::Rules;
use super::state::{Instance, ServiceState};
use super::step::{Step, step_by};
use crate::error::{Error, ErrorKind};
use crate::time::Timestamp;

/// What a controller remembers about a service between two turns: the state as it was last committed, and the tasks
/// that it is carrying out. By itself it decides and performs nothing.
///
/// A turn is [`step`](Self::step); then the commit, if there is anything to commit; then
/// [`committed`](Self::committed), and [`begin`](Self::begin) for each action. The controller does this in real time,
/// and tests in virtual time. So both remember the same.
///
/// ```
/// use haddock_core::release::{Observation, ServiceLoop, ServiceState};
/// use haddock_core::{JournalId, ServiceName, Timestamp};
///
/// # fn main() -> haddock_core::Result<()> {
/// let state = ServiceState::new(ServiceName::new("accounting")?, JournalId::new("j1")?);
/// let mut service = ServiceLoop::new(state, 1);
/// let step = service.step(Observation::default(), Timestamp::from_millis(0));
/// if step.must_commit() {
///     // Here the journal is told. Only then:
///     for action in service.committed(step) {
///         if let Some(run) = service.begin(&action) {
///             println!("carry out {}, as run {}", action.name(), run.number);
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ServiceLoop {
    state: Arc<ServiceState>,
    tasks: BTreeMap<Task, Latest>,
    runs: u64,
}

/// The latest run of a task.
#[derive(Debug, Clone)]
struct Latest {
    run: u64,
    report: TaskReport,
}

/// A task that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// A number that no other run of this loop has.
    pub number: u64,
    /// A task that must not run at the same time. It has to have ended before this run does anything. Its end is not
    /// reported.
    pub cancels: Option<Task>,
}

impl ServiceLoop {
    /// A loop that goes on from this state, under a lease of that epoch.
    #[must_use]
    pub fn new(mut state: ServiceState, epoch: u64) -> Self {
        state.number.epoch = epoch;
        Self { state: Arc::new(state), tasks: BTreeMap::new(), runs: 0 }
    }

    /// The state as it was last committed.
    #[must_use]
    pub fn state(&self) -> &Arc<ServiceState> {
        &self.state
    }

    /// The report of a task, if this loop began the task and has not forgotten it.
    #[must_use]
    pub fn report(&self, task: &Task) -> Option<&TaskReport> {
        self.tasks.get(task).map(|latest| &latest.report)
    }

    /// Whether this run of a task still counts: it has not ended, was not cancelled, and no other run has followed.
    #[must_use]
    pub fn is_running(&self, task: &Task, run: u64) -> bool {
        self.tasks.get(task).is_some_and(|latest| latest.run == run && latest.report == TaskReport::Running)
    }

    /// Decides what to do next. The loop adds its own tasks to the observation. Nothing is remembered before
    /// [`committed`](Self::committed) is called: after a crash nothing would be left of it either.
    #[must_use]
    pub fn step(&self, seen: Observation, now: Timestamp) -> Step {
        self.step_by(&Rules::ALL, seen, now)
    }

    /// [`step`](Self::step) with some rules switched off: for the tests that prove that each rule is needed.
    #[must_use]
    pub fn step_by(&self, rules: &Rules, mut seen: Observation, now: Timestamp) -> Step {
        seen.tasks = self.tasks.iter().map(|(task, latest)| (task.clone(), latest.report.clone())).collect();
        step_by(rules, &self.state, &seen, now)
    }

    /// Goes on from a step that was committed. Returns the actions that are to begin, in order.
    ///
    /// A question to a gate that nobody wants to know any more [does not run](Self::is_running) after that. Whoever carries
    /// it out may give it up.
    pub fn committed(&mut self, step: Step) -> Vec<Action> {
        self.state = Arc::new(step.state);
        let state = &self.state;
        self.tasks.retain(|task, latest| {
            let goes_on = latest.report == TaskReport::Running && !matches!(task, Task::Gate(_));
            goes_on || is_of_interest(state, task)
        });
        step.actions
    }

    /// Goes on from what the journal has, after a commit that may or may not have taken effect.
    ///
    /// # Errors
    /// [`Fenced`](ErrorKind::Fenced) if another loop has committed since.
    pub fn reloaded(&mut self, mut state: ServiceState) -> Result<(), Error> {
        let epoch = self.state.number.epoch;
        if state.number.epoch > epoch {
            let message = format!("another has taken over service `{}`", state.service);
            return Err(Error::new(ErrorKind::Fenced, message));
        }
        state.number.epoch = epoch;
        self.state = Arc::new(state);
        Ok(())
    }

    /// Notes that an action begins. `None`: the same action is being carried out already, and once is enough. An action
    /// on a locator may begin again at any time, because fencing tokens keep these in order.
    pub fn begin(&mut self, action: &Action) -> Option<Run> {
        let task = action.task();
        let at_locator = matches!(task, Task::Apply(_) | Task::Close(..) | Task::Evict(..));
        if !at_locator && self.report(&task) == Some(&TaskReport::Running) {
            return None;
        }
        // While something is being stopped, its launch must not go on.
        let cancels = match &task {
            Task::Stop(id) => Some(Task::Launch(id.clone())).filter(|launch| self.tasks.remove(launch).is_some()),
            _ => None,
        };
        self.runs += 1;
        self.tasks.insert(task, Latest { run: self.runs, report: TaskReport::Running });
        Some(Run { number: self.runs, cancels })
    }

    /// Notes how a run ended. Returns whether this matters: it does not if the run was cancelled, or if another run of
    /// the same task has followed.
    pub fn ended(&mut self, task: &Task, run: u64, report: TaskReport) -> bool {
        let is_of_interest = self.is_running(task, run);
        if is_of_interest {
            self.tasks.insert(task.clone(), Latest { run, report });
        }
        is_of_interest
    }
}

/// Whether a step may still look at how the task ended. Each instance leaves some tasks, so those of instances that are
/// gone are forgotten.
fn is_of_interest(state: &ServiceState, task: &Task) -> bool {
    match task {
        Task::Launch(id) => state.knows(id),
        Task::Stop(id) => state.knows(id) || state.removals.contains_key(id),
        Task::Close(_, id) | Task::Evict(_, id) => state.instances.contains_key(id),
        Task::Hook(id, number) => {
            let pending = state.instances.get(id).and_then(Instance::hook);
            pending.is_some_and(|pending| pending.number == *number)
        }
        Task::Gate(number) => {
            let pending = state.release.as_ref().and_then(|release| release.gate);
            pending.is_some_and(|pending| pending.number == *number)
        }
        Task::Notify(id) => state.notifications.iter().any(|pending| pending.id() == *id),
        Task::Pull(version) => state.versions.contains_key(version),
        Task::Apply(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{InstanceId, JournalId, LocatorName, RequestId, ServiceName};
    use crate::release::observation::TaskResult;
    use crate::release::request::{Request, Verb};
    use crate::routing::FencingToken;

    fn service() -> ServiceLoop {
        let (service, journal) = (ServiceName::new("shop").expect("valid"), JournalId::new("j1").expect("valid"));
        ServiceLoop::new(ServiceState::new(service, journal), 3)
    }

    fn instance(number: u64) -> InstanceId {
        InstanceId::of(&JournalId::new("j1").expect("valid"), &ServiceName::new("shop").expect("valid"), number)
    }

    fn done() -> TaskReport {
        let at = Timestamp::default();
        TaskReport::Ended { began: at, at, result: Ok(TaskResult::Done) }
    }

    #[test]
    fn what_was_not_committed_is_not_remembered() {
        let service = service();
        let id = RequestId::new("abort-1").expect("valid");
        let request = Request { id, at: Timestamp::default(), by: "me".into(), verb: Verb::Abort, about: None };
        let seen = Observation { requests: vec![request], ..Observation::default() };
        let first = service.step(seen.clone(), Timestamp::from_millis(5));
        assert!(first.must_commit(), "the request was taken up");
        assert_eq!(service.step(seen, Timestamp::from_millis(5)), first, "as if it had never been decided");
    }

    #[test]
    fn a_task_runs_once_but_a_locator_may_be_asked_again() {
        let mut service = service();
        let launch = Action::Launch { instance: instance(1), ready_by: Timestamp::default() };
        assert!(service.begin(&launch).is_some());
        assert_eq!(service.begin(&launch), None, "it goes on");
        let locator = LocatorName::new("gateway").expect("valid");
        let close = Action::Close { locator, instance: instance(1), number: FencingToken::default() };
        let (one, two) = (service.begin(&close).expect("begins"), service.begin(&close).expect("begins again"));
        assert!(!service.ended(&close.task(), one.number, done()), "another has followed");
        assert!(service.ended(&close.task(), two.number, done()));
    }

    #[test]
    fn a_stop_cancels_the_launch_and_nobody_hears_of_its_end() {
        let mut service = service();
        let launch = Action::Launch { instance: instance(1), ready_by: Timestamp::default() };
        let run = service.begin(&launch).expect("begins");
        let stop = service.begin(&Action::Stop { instance: instance(1) }).expect("begins");
        assert_eq!(stop.cancels, Some(launch.task()));
        assert!(!service.ended(&launch.task(), run.number, done()));
        assert_eq!(service.report(&launch.task()), None);
        let other = service.begin(&Action::Stop { instance: instance(2) }).expect("begins");
        assert_eq!(other.cancels, None);
    }

    #[test]
    fn what_is_gone_leaves_nothing_behind() {
        let mut service = service();
        for number in 1..=100 {
            let stop = Action::Stop { instance: instance(number) };
            let run = service.begin(&stop).expect("begins");
            assert!(service.ended(&stop.task(), run.number, done()));
            let step = service.step(Observation::default(), Timestamp::from_millis(number));
            service.committed(step);
            assert_eq!(service.tasks.len(), 0, "the state does not know it any more");
        }
    }

    #[test]
    fn a_newer_epoch_in_the_journal_ends_it() {
        let mut service = service();
        let mut state = ServiceState::clone(service.state());
        state.number.epoch = 2;
        service.reloaded(state.clone()).expect("ours is newer");
        assert_eq!(service.state().number.epoch, 3);
        state.number.epoch = 4;
        assert_eq!(service.reloaded(state).expect_err("fenced").kind(), ErrorKind::Fenced);
    }
}
