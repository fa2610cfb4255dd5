//! Progress events of long calls, for Python.

use std::sync::Arc;

use haddock_core::progress::{self, Event, Observer};
use pyo3::prelude::*;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

use crate::call::Call;
use crate::convert::to_python;
use crate::driver::Driver;
use crate::home::Home;

/// Events wait here for a reader: no thread of ours calls into Python.
pub(crate) struct Sender(mpsc::UnboundedSender<Value>);

impl Sender {
    pub(crate) fn send(&self, event: &impl Serialize) {
        if let Ok(event) = serde_json::to_value(event) {
            // The reader has gone.
            let _ = self.0.send(event);
        }
    }
}

impl Observer for Sender {
    fn event(&self, event: &Event) {
        self.send(event);
    }
}

type Receiver = Arc<Mutex<mpsc::UnboundedReceiver<Value>>>;

/// The events of one call. They end when the call ends.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Progress {
    sender: std::sync::Mutex<Option<Arc<Sender>>>,
    receiver: Home<Receiver>,
}

#[pymethods]
impl Progress {
    #[new]
    fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Home::new(Arc::new(Mutex::new(receiver)));
        Self { sender: std::sync::Mutex::new(Some(Arc::new(Sender(sender)))), receiver }
    }

    /// The next event; `None`: the call has ended.
    fn next(&self) -> PyResult<Call> {
        let receiver = Arc::clone(self.receiver.get()?);
        let work = async move { Ok(receiver.lock().await.recv().await) };
        Ok(Driver::Real.call(work, |py, event: Option<Value>| to_python(py, &event)))
    }
}

/// The listener for the next call's events.
pub(crate) type Told = Arc<std::sync::Mutex<Option<Arc<Sender>>>>;

impl Progress {
    /// Takes its sender.
    pub(crate) fn sender(&self) -> Option<Arc<Sender>> {
        self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// Does the work, and reports its events to the observer, if there is one.
pub(crate) async fn told<T>(observer: Option<Arc<Sender>>, work: impl Future<Output = T>) -> T {
    match observer {
        Some(observer) => progress::observed(observer, work).await,
        None => work.await,
    }
}
