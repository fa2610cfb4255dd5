//! How what runs by itself ends: a panic is an error of whatever panicked and of nothing else, and no loop ends unseen.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Ports;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Lease, LoopEnd};
use crate::name::ServiceName;
use crate::time::{Clock, Timestamp};

/// Runs it to its end. A panic ends it as an error does.
pub(super) async fn caught<T>(what: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(what, &*panic)))
}

fn panicked(what: &str, panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = format!("{what} panicked: {}", said.unwrap_or("it did not say why"));
    Error::new(ErrorKind::Panicked, message)
        .with_hint("this is a bug in Haddock, or in a runtime, locator or journal that was given to it: report it")
}

/// Waits until the lease has run out: then another may act already.
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

/// What an action is told that was carried out under a lease that has run out. It is decided anew once that is renewed.
pub(super) fn lease_has_run_out() -> Error {
    Error::new(ErrorKind::JournalUnavailable, "the lease under which it was carried out has run out")
}

impl Ports {
    /// After a loop: logs how it ended, lets others see it, and gives the lease back, fenced or not.
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

    /// Logs why nobody acts here any more, and lets others see it.
    pub(super) async fn note_end(&self, service: &ServiceName, error: &Error) {
        self.watcher.ended(service, error);
        if error.kind() == ErrorKind::Fenced {
            // Whoever has taken over has begun, and says what becomes of it.
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
