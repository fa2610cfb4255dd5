//! Errors, in both directions.

use haddock_core::{Error, ErrorKind, Result};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::convert::{from_python, to_python};

/// The base class of Haddock's exceptions.
fn base(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static BASE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let class =
        BASE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("haddock._errors")?.getattr("HaddockError")?.unbind()))?;
    Ok(class.bind(py))
}

/// The exception for an error. Its kind decides the class.
pub(crate) fn raise(error: &Error) -> PyErr {
    Python::attach(|py| match exception(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    })
}

/// The exception of an error, as an object.
pub(crate) fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    base(py)?.call_method1("_from_dict", (to_python(py, error)?,))
}

/// Why a call failed. It becomes an exception when the result is asked for, because the interpreter is held then.
pub(crate) enum Failure {
    /// An error of the library.
    Ours(Error),
    /// An exception of another kind.
    Raised(PyErr),
    /// The controller was closed.
    Closed,
}

impl Failure {
    /// As an exception.
    pub(crate) fn raise(self, py: Python<'_>) -> PyErr {
        let raised = match self {
            Self::Ours(error) => exception(py, &error),
            Self::Raised(raised) => return raised,
            Self::Closed => base(py).and_then(|base| base.call_method0("_closed")),
        };
        raised.map_or_else(|failed| failed, PyErr::from_value)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<PyErr> for Failure {
    fn from(raised: PyErr) -> Self {
        Self::Raised(raised)
    }
}

/// Converts a result, and raises its error.
pub(crate) trait Raised<T> {
    fn raised(self) -> PyResult<T>;
}

impl<T> Raised<T> for Result<T> {
    fn raised(self) -> PyResult<T> {
        self.map_err(|error| raise(&error))
    }
}

/// Converts the exception of a port that is written in Python. Haddock's exceptions keep their kind; any other is
/// a refusal.
pub(crate) fn caught(py: Python<'_>, raised: &PyErr, refusal: ErrorKind) -> Error {
    let value = raised.value(py);
    if base(py).is_ok_and(|base| value.is_instance(base).unwrap_or(false)) {
        let plain = value.call_method0("to_dict").and_then(|plain| from_python(&plain));
        if let Ok(error) = plain.map_err(|_| ()).and_then(|plain| serde_json::from_value(plain).map_err(|_| ())) {
            return error;
        }
    }
    let class = raised.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    Error::new(refusal, format!("`{class}`: {value}"))
}

/// Every kind of error, and whether it is retryable.
#[pyfunction]
#[pyo3(signature = () -> "dict[str, bool]")]
pub(crate) fn error_kinds(py: Python<'_>) -> PyResult<Py<PyAny>> {
    use ErrorKind as K;
    let kinds = [
        K::InvalidName,
        K::InvalidImageReference,
        K::InvalidValue,
        K::ComposeFile,
        K::NotSupported,
        K::ImageMissing,
        K::ImageTree,
        K::BuildFailed,
        K::RegistryRefused,
        K::RegistryUnavailable,
        K::RuntimeUnavailable,
        K::RuntimeRefused,
        K::ContainerExited,
        K::NeverReady,
        K::Harmful,
        K::HookFailed,
        K::NameTaken,
        K::PortTaken,
        K::AddressPoolExhausted,
        K::NotFound,
        K::LocatorUnavailable,
        K::StaleNumber,
        K::LocatorRefused,
        K::JournalUnavailable,
        K::JournalFull,
        K::JournalTooNew,
        K::JournalCorrupt,
        K::Busy,
        K::Fenced,
        K::TimedOut,
        K::Panicked,
        K::NothingToDo,
        K::NobodyActs,
        K::ReleaseAborted,
        K::ReleaseSuperseded,
        K::Io,
    ];
    let named = |kind: K| serde_json::to_value(kind).ok().and_then(|name| Some((name.as_str()?.to_owned(), kind)));
    let kinds: std::collections::BTreeMap<String, bool> =
        kinds.into_iter().filter_map(named).map(|(name, kind)| (name, kind.is_retryable())).collect();
    to_python(py, &kinds)
}
