//! What happens while environments are changed, for Python to read as it happens.

use std::sync::Arc;

use haddock_core::progress::{self, Event, Observer};
use pyo3::prelude::*;
use tokio::sync::{Mutex, mpsc};

use crate::call::Call;
use crate::convert::to_python;
use crate::driver::Driver;
use crate::home::Home;

/// Events wait here for a reader: no thread of ours calls into Python.
struct Sender(mpsc::UnboundedSender<Event>);

impl Observer for Sender {
    fn event(&self, event: &Event) {
        // Nobody reads any more.
        let _ = self.0.send(event.clone());
    }
}

type Receiver = Arc<Mutex<mpsc::UnboundedReceiver<Event>>>;

/// What happens in one call. Its events end when the call does.
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
        Ok(Driver::Real.call(work, |py, event: Option<Event>| to_python(py, &event)))
    }
}

/// Who is told of what the next call does.
pub(crate) type Told = Arc<std::sync::Mutex<Option<Arc<dyn Observer>>>>;

impl Progress {
    /// Hands its sender over.
    pub(crate) fn observer(&self) -> Option<Arc<dyn Observer>> {
        let mut sender = self.sender.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        sender.take().map(|sender| sender as Arc<dyn Observer>)
    }
}

/// Does the work, and tells the observer if there is one.
pub(crate) async fn told<T>(observer: Option<Arc<dyn Observer>>, work: impl Future<Output = T>) -> T {
    match observer {
        Some(observer) => progress::observed(observer, work).await,
        None => work.await,
    }
}
