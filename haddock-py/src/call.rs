//! Something under way. A verb answers with a [`Call`], which begins when it is started: blocking code then waits for it,
//! async code is told by a callback. Dropped or cancelled, the future is dropped. One that can be *given up* is told so
//! first, and has the time to undo what it has made.

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

/// How long Ctrl-C may go unseen.
const SLICE: Duration = Duration::from_millis(50);

/// What came of it, made into a Python object by whoever asks.
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
    /// Tells it that it is given up, if it can undo what it has made.
    given_up: Option<CancellationToken>,
}

/// A time limit, and what for, in words.
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

    /// Waits for the end, for at most a slice.
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
                // What was cancelled may end by itself at the same moment.
                Stage::Ended(_) | Stage::Taken => return,
            }
        };
        self.ended.notify_all();
        if let Stage::Running { then: Some(then) } = before {
            tell(&then);
        }
    }
}

/// How many threads call callbacks just now.
static TELLING: AtomicUsize = AtomicUsize::new(0);
/// How long the end of the program waits for them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Waits until no thread is within a callback: one that is when the interpreter ends takes the process with it.
pub(crate) fn let_callbacks_end() {
    let step = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    while TELLING.load(Ordering::Acquire) > 0 && waited < LAST_WORDS {
        std::thread::sleep(step);
        waited += step;
    }
}

/// Calls a callback. After the interpreter's end there is nobody to tell.
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

/// Something that begins when it is started.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Call {
    inner: Home<Inner>,
}

struct Inner {
    slot: Arc<Slot>,
    begin: Mutex<Option<Begin>>,
}

impl Call {
    /// Makes a call of a future, and of what runs it. `given_up` is heard by the future, if it is.
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
                // What is made of an error here must not need the interpreter: this thread is not to wait for it.
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

/// Waits until time is up, by the time of whoever runs it.
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
    /// Begins. After that many seconds it ends with `timed_out`, which says `what` did not end. A second time: nothing.
    fn start(&self, limit: Option<f64>, what: String) -> PyResult<()> {
        let limit = limit.map(|limit| Ok::<_, PyErr>(Limit { after: seconds(limit)?, what })).transpose()?;
        let begin = self.inner.get()?.begin.lock().unwrap_or_else(PoisonError::into_inner).take();
        begin.map_or(Ok(()), |begin| begin(limit))
    }

    /// Waits for the end and answers with the result. A signal's handler that raises ends the call: one that can be
    /// given up undoes what it has made, unless there is another signal meanwhile.
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

    /// Calls back, once, from whatever thread, when it has ended.
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

    /// Tells it to undo what it has made. Whether it can: else it is to be cancelled.
    fn give_up(&self) -> PyResult<bool> {
        let given_up = &self.inner.get()?.slot.given_up;
        if let Some(given_up) = given_up {
            given_up.cancel();
        }
        Ok(given_up.is_some())
    }

    /// Drops what is under way.
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
