//! What a controller reports when it cannot go on.

use std::sync::{Arc, Mutex, PoisonError};

use haddock_core::controller::Watcher;
use haddock_core::{Error, ServiceName};

/// Keeps the errors that a loop reported.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<Vec<Error>>);

impl Troubles {
    /// None so far.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Those so far, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Watcher for Troubles {
    fn troubled(&self, _service: &ServiceName, error: &Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(error.clone());
    }
}
