//! Something under way. A verb starts a future and answers with a [`Call`]; blocking code waits for it, async code is
//! told by a callback. Dropped or cancelled, the future is dropped.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use tokio_util::sync::CancellationToken;

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
}

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

/// Something under way.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Call {
    slot: Home<Arc<Slot>>,
}

impl Call {
    /// Makes a call of a future, and what has to be run for it.
    pub(crate) fn of<T: Send + 'static>(
        future: impl Future<Output = PyResult<T>> + Send + 'static,
        convert: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let cancel = CancellationToken::new();
        let stage = Mutex::new(Stage::Running { then: None });
        let slot = Arc::new(Slot { stage, ended: Condvar::new(), cancel: cancel.clone() });
        let end = End(Arc::clone(&slot));
        let work = async move {
            let outcome: Outcome = tokio::select! {
                biased;
                () = cancel.cancelled() => Box::new(|_| Err(PyRuntimeError::new_err("the call was cancelled"))),
                ended = AssertUnwindSafe(future).catch_unwind() => match ended {
                    Ok(Ok(value)) => Box::new(|py| convert(py, value)),
                    Ok(Err(error)) => Box::new(|_| Err(error)),
                    Err(panic) => Box::new(move |_| Err(PanicException::new_err(panic_message(&*panic)))),
                },
            };
            end.0.end(outcome);
        };
        (Self { slot: Home::new(slot) }, work)
    }
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

#[pymethods]
impl Call {
    /// Waits for the end and answers with the result. A signal's handler that raises ends the call.
    #[pyo3(signature = () -> "typing.Any")]
    fn wait(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let slot = self.slot.get()?;
        while !py.detach(|| slot.wait()) {
            if let Err(interrupt) = py.check_signals() {
                slot.cancel.cancel();
                return Err(interrupt);
            }
        }
        self.result(py)
    }

    /// Calls back, once, from whatever thread, when it has ended.
    fn then(&self, callback: Py<PyAny>) -> PyResult<()> {
        let slot = self.slot.get()?;
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

    /// Drops what is under way.
    fn cancel(&self) -> PyResult<()> {
        self.slot.get()?.cancel.cancel();
        Ok(())
    }

    /// The result, once.
    #[pyo3(signature = () -> "typing.Any")]
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let taken = {
            let mut stage = self.slot.get()?.lock();
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
        if let Ok(slot) = self.slot.get() {
            slot.cancel.cancel();
        }
    }
}
