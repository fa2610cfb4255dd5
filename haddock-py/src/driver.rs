//! Drivers, which run calls: one tokio runtime for the whole process, or one with virtual time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use haddock_core::controller::Builder;
use haddock_core::testing::VirtualTime as CoreTime;
use haddock_core::{Clock, Error, ErrorKind, Result, SystemClock, Timestamp};
use pyo3::prelude::*;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::call::{Call, let_callbacks_end};
use crate::convert::none;
use crate::error::{Failure, Raised, raise};
use crate::home::Home;

/// The process's runtime, and the process: a child after a fork makes its own.
static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

fn runtime() -> PyResult<Arc<Runtime>> {
    let mut current = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = std::process::id();
    if let Some((made_by, runtime)) = &*current {
        if *made_by == pid {
            return Ok(Arc::clone(runtime));
        }
        // The parent's threads are not here: dropping it would wait for them.
        std::mem::forget(current.take());
    }
    let built =
        tokio::runtime::Builder::new_multi_thread().thread_name("haddock").worker_threads(2).enable_all().build();
    let runtime = built
        .map(Arc::new)
        .map_err(|error| raise(&Error::new(ErrorKind::Io, format!("cannot start threads: {error}"))))?;
    *current = Some((pid, Arc::clone(&runtime)));
    Ok(runtime)
}

/// Ends the process's runtime with all running calls. For the end of the program.
#[pyfunction]
pub(crate) fn shut_down(py: Python<'_>) {
    let current = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((pid, runtime)) = current {
        if pid != std::process::id() {
            std::mem::forget(runtime);
            return;
        }
        // Ports written in Python need the interpreter to come to an end.
        py.detach(|| match Arc::try_unwrap(runtime) {
            Ok(runtime) => runtime.shutdown_timeout(Duration::from_secs(1)),
            // A call is being started at this moment.
            Err(runtime) => std::mem::forget(runtime),
        });
    }
    // Virtual time has threads of its own for callbacks.
    py.detach(let_callbacks_end);
}

/// Virtual time. It is ended on a thread of its own, because ending waits for blocking work, which may wait for
/// the interpreter.
pub(crate) struct Time(Option<CoreTime>);

impl Time {
    fn get(&self) -> &CoreTime {
        self.0.as_ref().expect("taken only when it is dropped")
    }
}

impl Drop for Time {
    fn drop(&mut self) {
        if let Some(time) = self.0.take() {
            // If no thread can be started, it is kept.
            let _ = std::thread::Builder::new().spawn(move || drop(time));
        }
    }
}

/// The driver of an object's calls.
#[derive(Clone)]
pub(crate) enum Driver {
    Real,
    Virtual(Arc<Time>),
}

impl Driver {
    pub(crate) fn of(time: Option<&VirtualTime>) -> PyResult<Self> {
        match time {
            Some(time) => Ok(Self::Virtual(Arc::clone(time.time.get()?))),
            None => Ok(Self::Real),
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Self::Real => Arc::new(SystemClock::new()),
            Self::Virtual(time) => time.get().clock(),
        }
    }

    /// Lets a controller live in the driver's time.
    pub(crate) fn pace(&self, controller: Builder) -> Builder {
        match self {
            Self::Real => controller,
            Self::Virtual(time) => time.get().pace(controller),
        }
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    /// A call that answers with what `convert` makes of its result.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Call {
        self.start(async { future.await.map_err(Failure::from) }, None, convert)
    }

    /// A call that answers with nothing.
    pub(crate) fn done(&self, future: impl Future<Output = Result<()>> + Send + 'static) -> Call {
        self.call(future, |py, ()| Ok(none(py)))
    }

    /// A call without a result. It may raise an exception that is not Haddock's.
    pub(crate) fn raising(&self, future: impl Future<Output = PyResult<()>> + Send + 'static) -> Call {
        self.start(async { future.await.map_err(Failure::from) }, None, |py, ()| Ok(none(py)))
    }

    /// A call of a future. The future may listen for being given up.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, Failure>> + Send + 'static,
        given_up: Option<CancellationToken>,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> Call {
        let driver = self.clone();
        Call::of(future, given_up, convert, move |work| driver.run(work))
    }

    fn run(self, work: BoxFuture<'static, ()>) -> PyResult<()> {
        match self {
            Self::Real => drop(runtime()?.spawn(work)),
            Self::Virtual(time) => {
                let thread = std::thread::Builder::new().name("haddock-virtual".to_owned());
                thread
                    .spawn(move || time.get().block_on(work))
                    .map_err(|error| raise(&Error::new(ErrorKind::Io, format!("cannot start a thread: {error}"))))?;
            }
        }
        Ok(())
    }
}

/// Virtual time. It passes only while something waits, and then at once.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct VirtualTime {
    time: Home<Arc<Time>>,
}

#[pymethods]
impl VirtualTime {
    /// Time that begins at that many milliseconds since the Unix epoch.
    #[new]
    fn new(start: u64) -> PyResult<Self> {
        Ok(Self { time: Home::new(Arc::new(Time(Some(CoreTime::new(Timestamp::from_millis(start)).raised()?)))) })
    }

    /// The present time, in milliseconds since the Unix epoch.
    fn now(&self) -> PyResult<u64> {
        Ok(self.time.get()?.get().clock().now().as_millis())
    }

    /// Lets that many seconds pass. Everything that is due in them happens.
    fn advance(&self, seconds: f64) -> PyResult<Call> {
        let driver = Driver::of(Some(self))?;
        let duration = crate::convert::seconds(seconds)?;
        Ok(driver.done(async move {
            pause(duration).await;
            Ok(())
        }))
    }
}

/// Waits that long, in the driver's time.
pub(crate) async fn pause(duration: Duration) {
    // A time limit on a future that never ends, because only haddock-core may sleep.
    let _ = tokio::time::timeout(duration, std::future::pending::<()>()).await;
}
