//! How loops and tasks end. A panic ends only the loop or the task that panicked, as an error. The end of a loop is
//! logged and stands in the journal.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::ports::Ports;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Lease, LoopEnd};
use crate::name::ServiceName;
use crate::time::{Clock, Timestamp};

/// Runs a future to its end, and turns a panic into an error.
pub(super) async fn caught<T>(what: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(what, &*panic)))
}

fn panicked(what: &str, panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = format!("{what} panicked: {}", said.unwrap_or("it did not say why"));
    Error::new(ErrorKind::Panicked, message)
        .with_hint("this is a bug in Haddock, or in a runtime, locator or journal that was given to it: report it")
}

/// Waits until the lease has run out. From then on another controller may act.
pub(super) async fn has_run_out(clock: &dyn Clock, mut until: watch::Receiver<Timestamp>) {
    loop {
        let left = *until.borrow_and_update() - clock.now();
        if left.is_zero() {
            return;
        }
        if let Ok(Err(_)) = timeout(left, until.changed()).await {
            // The loop has ended, and nobody renews it any more.
            return;
        }
    }
}

/// The error of an action whose lease has run out. The action is decided anew once the lease is renewed.
pub(super) fn lease_has_run_out() -> Error {
    Error::new(ErrorKind::JournalUnavailable, "the lease under which it was carried out has run out")
}

impl Ports {
    /// Called when a loop has ended: logs how it ended, notes it in the journal, and gives the lease back.
    pub(super) async fn ended(&self, lease: &Lease, result: Result<()>) -> Result<()> {
        let service = &lease.service;
        match &result {
            Ok(()) => tracing::debug!(%service, "does not act any more"),
            Err(error) => self.note_end(service, error).await,
        }
        match self.journal.give_back(lease).await {
            Err(error) if result.is_ok() => Err(error),
            Err(error) => {
                tracing::warn!(%service, %error, "the lease cannot be given back: it has to run out");
                result
            }
            Ok(()) => result,
        }
    }

    /// Logs why this process does not act any more, and notes it in the journal.
    pub(super) async fn note_end(&self, service: &ServiceName, error: &Error) {
        self.watcher.ended(service, error);
        if error.kind() == ErrorKind::Fenced {
            // Another controller has taken over and acts, so there is nothing to note.
            tracing::warn!(%service, %error, "another acts now");
            return;
        }
        tracing::error!(%service, %error, "does not act any more");
        let end = LoopEnd { at: self.clock.now(), holder: self.holder.clone(), error: error.clone() };
        if let Err(error) = self.journal.note_end(service, Some(end)).await {
            tracing::warn!(%service, %error, "the journal cannot say that nobody acts");
        }
    }
}
