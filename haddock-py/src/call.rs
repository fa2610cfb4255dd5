//! Running calls. A verb returns a [`Call`], which begins when it is started. Blocking code then waits for it; async
//! code gets a callback. If the call is dropped or cancelled, its future is dropped. A call that can be *given up* is
//! told so first, and has time to undo what it has made.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use haddock_core::{Error, ErrorKind};
use pyo3::exceptions::PyRuntimeError;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::convert::seconds;
use crate::error::Failure;
use crate::home::Home;

/// The longest time until Ctrl-C is noticed.
const SLICE: Duration = Duration::from_millis(50);

/// The result. The caller converts it to a Python object.
type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

enum Stage {
    Running { then: Option<Py<PyAny>> },
    Ended(Outcome),
    Taken,
}

struct Slot {
    stage: Mutex<Stage>,
    ended: Condvar,
    cancel: CancellationToken,
    /// Gives it up, if it can undo what it has made.
    given_up: Option<CancellationToken>,
}

/// A time limit, and the name of what it limits.
struct Limit {
    after: Duration,
    what: String,
}

/// Begins what a call does.
type Begin = Box<dyn FnOnce(Option<Limit>) -> PyResult<()> + Send>;

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end, for at most one slice.
    fn wait(&self) -> bool {
        let running = |stage: &mut Stage| matches!(stage, Stage::Running { .. });
        let waited = self.ended.wait_timeout_while(self.lock(), SLICE, running);
        let (stage, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !matches!(*stage, Stage::Running { .. })
    }

    fn end(&self, outcome: Outcome) {
        let before = {
            let mut stage = self.lock();
            match *stage {
                Stage::Running { .. } => std::mem::replace(&mut *stage, Stage::Ended(outcome)),
                // A cancelled call may end by itself at the same moment.
                Stage::Ended(_) | Stage::Taken => return,
            }
        };
        self.ended.notify_all();
        if let Stage::Running { then: Some(then) } = before {
            tell(&then);
        }
    }
}

/// How many threads are in a callback at present.
static TELLING: AtomicUsize = AtomicUsize::new(0);
/// How long the end of the program waits for them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Waits until no thread is in a callback. A thread in a callback would kill the process when the interpreter ends.
pub(crate) fn let_callbacks_end() {
    let step = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    while TELLING.load(Ordering::Acquire) > 0 && waited < LAST_WORDS {
        std::thread::sleep(step);
        waited += step;
    }
}

/// Calls a callback. After the interpreter's end it does nothing.
fn tell(then: &Py<PyAny>) {
    struct Told;
    impl Drop for Told {
        fn drop(&mut self) {
            TELLING.fetch_sub(1, Ordering::Release);
        }
    }
    TELLING.fetch_add(1, Ordering::Acquire);
    let _told = Told;
    Python::try_attach(|py| {
        if let Err(error) = then.call0(py) {
            error.write_unraisable(py, None);
        }
    });
}

/// Ends a call whose future was dropped before its end, as at the shutdown of its driver.
struct End(Arc<Slot>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end(Box::new(|_| Err(PyRuntimeError::new_err("the program is being shut down"))));
    }
}

/// A call that begins when it is started.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Call {
    inner: Home<Inner>,
}

struct Inner {
    slot: Arc<Slot>,
    begin: Mutex<Option<Begin>>,
}

impl Call {
    /// Makes a call of a future and of its driver. The future listens to `given_up`, if there is one.
    pub(crate) fn of<T: Send + 'static>(
        future: impl Future<Output = Result<T, Failure>> + Send + 'static,
        given_up: Option<CancellationToken>,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
        run: impl FnOnce(BoxFuture<'static, ()>) -> PyResult<()> + Send + 'static,
    ) -> Self {
        let cancel = CancellationToken::new();
        let stage = Mutex::new(Stage::Running { then: None });
        let (ended, given_up_by, cancelled) = (Condvar::new(), given_up.clone(), cancel.clone());
        let slot = Arc::new(Slot { stage, ended, cancel, given_up });
        let end = End(Arc::clone(&slot));
        let begin: Begin = Box::new(move |limit| {
            let work = async move {
                let mut future = Box::pin(AssertUnwindSafe(future).catch_unwind());
                // Converting an error here must not need the interpreter, because this thread must not wait for it.
                let outcome: Outcome = tokio::select! {
                    biased;
                    () = cancelled.cancelled() => Box::new(|_| Err(PyRuntimeError::new_err("the call was cancelled"))),
                    late = late(limit) => {
                        if let Some(given_up) = given_up_by {
                            given_up.cancel();
                            tokio::select! {
                                () = cancelled.cancelled() => {}
                                _ = &mut future => {}
                            }
                        }
                        Box::new(|py| Err(Failure::Ours(late).raise(py)))
                    }
                    ended = &mut future => match ended {
                        Ok(Ok(value)) => Box::new(|py| convert(py, value)),
                        Ok(Err(failure)) => Box::new(|py| Err(failure.raise(py))),
                        Err(panic) => Box::new(move |_| Err(PanicException::new_err(panic_message(&*panic)))),
                    },
                };
                end.0.end(outcome);
            };
            run(Box::pin(work))
        });
        Self { inner: Home::new(Inner { slot, begin: Mutex::new(Some(begin)) }) }
    }
}

/// Waits until time is up, by the driver's time.
async fn late(limit: Option<Limit>) -> Error {
    let Some(Limit { after, what }) = limit else { return std::future::pending().await };
    crate::driver::pause(after).await;
    Error::new(ErrorKind::TimedOut, format!("`{what}` did not end within {} s", after.as_secs_f64()))
        .with_hint("give it a longer `timeout`, or look what it waits for")
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

#[pymethods]
impl Call {
    /// Begins. After that many seconds it ends with `timed_out`, which says that `what` did not end. A second call does
    /// nothing.
    fn start(&self, limit: Option<f64>, what: String) -> PyResult<()> {
        let limit = limit.map(|limit| Ok::<_, PyErr>(Limit { after: seconds(limit)?, what })).transpose()?;
        let begin = self.inner.get()?.begin.lock().unwrap_or_else(PoisonError::into_inner).take();
        begin.map_or(Ok(()), |begin| begin(limit))
    }

    /// Waits for the end and returns the result. If a signal handler raises, the call ends. A call that can be given up
    /// first undoes what it has made, unless there is another signal meanwhile.
    #[pyo3(signature = () -> "typing.Any")]
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let slot = &self.inner.get()?.slot;
        let mut interrupted = None;
        while !py.detach(|| slot.wait()) {
            let Err(interrupt) = py.check_signals() else { continue };
            match &slot.given_up {
                Some(given_up) if interrupted.is_none() => {
                    given_up.cancel();
                    interrupted = Some(interrupt);
                }
                _ => {
                    slot.cancel.cancel();
                    return Err(interrupt);
                }
            }
        }
        interrupted.map_or_else(|| self.result(py), Err)
    }

    /// Calls back once when it has ended, from any thread.
    fn then(&self, callback: Py<PyAny>) -> PyResult<()> {
        let slot = &self.inner.get()?.slot;
        {
            let mut stage = slot.lock();
            if let Stage::Running { then } = &mut *stage {
                *then = Some(callback);
                return Ok(());
            }
        }
        tell(&callback);
        Ok(())
    }

    /// Tells it to undo what it has made. Returns whether it can; if not, cancel it.
    fn give_up(&self) -> PyResult<bool> {
        let given_up = &self.inner.get()?.slot.given_up;
        if let Some(given_up) = given_up {
            given_up.cancel();
        }
        Ok(given_up.is_some())
    }

    /// Drops the running future.
    fn cancel(&self) -> PyResult<()> {
        self.inner.get()?.slot.cancel.cancel();
        Ok(())
    }

    /// The result, once.
    #[pyo3(signature = () -> "typing.Any")]
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let taken = {
            let mut stage = self.inner.get()?.slot.lock();
            match *stage {
                Stage::Ended(_) => std::mem::replace(&mut *stage, Stage::Taken),
                Stage::Running { .. } | Stage::Taken => return Err(PyRuntimeError::new_err("there is no result")),
            }
        };
        match taken {
            Stage::Ended(outcome) => outcome(py),
            Stage::Running { .. } | Stage::Taken => unreachable!("it was looked at under the lock"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Ok(inner) = self.inner.get() {
            inner.slot.cancel.cancel();
        }
    }
}
