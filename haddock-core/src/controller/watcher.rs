//! What an embedding program may be told as it happens.

use std::fmt::Debug;

use crate::error::Error;
use crate::name::ServiceName;
use crate::release::{Action, ServiceState, Step};

/// Is told of commits and actions as they happen: for progress, metrics, and tests that end the process at each point.
///
/// The calls are made from the loop or its tasks and must return soon.
pub trait Watcher: Send + Sync + Debug + 'static {
    /// A step is about to be committed.
    fn committing(&self, _step: &Step) {}

    /// It was committed.
    fn committed(&self, _step: &Step) {}

    /// An action is about to be carried out, in this state.
    fn acting(&self, _state: &ServiceState, _action: &Action) {}

    /// It has ended, well or not; the state is that in which it was decided.
    fn acted(&self, _state: &ServiceState, _action: &Action, _error: Option<&Error>) {}

    /// The loop cannot go on for now: the journal, most likely. It is tried again.
    fn troubled(&self, _service: &ServiceName, _error: &Error) {}

    /// The loop has ended for that reason, or could not begin. Nobody acts for the service until another loop does.
    fn ended(&self, _service: &ServiceName, _error: &Error) {}
}

/// Tells nobody.
#[derive(Debug)]
pub(crate) struct Silent;

impl Watcher for Silent {}
