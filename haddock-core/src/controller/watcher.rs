//! Reports to an embedding program what the controller does, while it does it.

use std::fmt::Debug;

use crate::error::Error;
use crate::name::ServiceName;
use crate::release::{Action, ServiceState, Step};

/// Called at each commit and action: for progress, metrics, and tests that end the process at each point.
///
/// The calls are made from the loop or its tasks and must return soon.
pub trait Watcher: Send + Sync + Debug + 'static {
    /// A step is about to be committed.
    fn committing(&self, _step: &Step) {}

    /// It was committed.
    fn committed(&self, _step: &Step) {}

    /// An action is about to be carried out, in this state.
    fn acting(&self, _state: &ServiceState, _action: &Action) {}

    /// An action has ended, well or not. The state is the one in which it was decided.
    fn acted(&self, _state: &ServiceState, _action: &Action, _error: Option<&Error>) {}

    /// The loop cannot go on for now, mostly because the journal does not answer. It tries again.
    fn troubled(&self, _service: &ServiceName, _error: &Error) {}

    /// The loop has ended for that reason, or could not begin. Nobody acts for the service until another loop does.
    fn ended(&self, _service: &ServiceName, _error: &Error) {}
}

/// Reports nothing.
#[derive(Debug)]
pub(crate) struct Silent;

impl Watcher for Silent {}
