//! Plain data, as in JSON, in both directions.

use std::time::Duration;

use haddock_core::environment::value;
use haddock_core::{Error, ErrorKind};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};
use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::error::Raised;

/// `None`.
pub(crate) fn none(py: Python<'_>) -> Py<PyAny> {
    py.None()
}

/// Converts a value that can be written as JSON to Python's dict, list, str, int, float,
/// bool or None.
pub(crate) fn to_python(py: Python<'_>, data: &impl Serialize) -> PyResult<Py<PyAny>> {
    let value = serde_json::to_value(data).map_err(|error| PyTypeError::new_err(error.to_string()))?;
    object(py, &value).map(Bound::unbind)
}

fn object<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => whole.into_pyobject(py)?.into_any(),
            (_, Some(whole)) => whole.into_pyobject(py)?.into_any(),
            _ => number.as_f64().into_pyobject(py)?.into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(values) => {
            let list = PyList::empty(py);
            for value in values {
                list.append(object(py, value)?)?;
            }
            list.into_any()
        }
        Value::Object(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(key, object(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

/// Converts Python's dict, list, tuple, str, int, float, bool or None to JSON.
pub(crate) fn from_python(data: &Bound<'_, PyAny>) -> PyResult<Value> {
    if data.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(value) = data.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if let Ok(text) = data.cast::<PyString>() {
        return Ok(Value::String(text.to_cow()?.into_owned()));
    }
    if let Ok(entries) = data.cast::<PyDict>() {
        let mut map = Map::new();
        for (key, value) in entries {
            map.insert(key.extract()?, from_python(&value)?);
        }
        return Ok(Value::Object(map));
    }
    if let Ok(list) = data.cast::<PyList>() {
        return list.iter().map(|item| from_python(&item)).collect::<PyResult<_>>().map(Value::Array);
    }
    if let Ok(tuple) = data.cast::<PyTuple>() {
        return tuple.iter().map(|item| from_python(&item)).collect::<PyResult<_>>().map(Value::Array);
    }
    if let Ok(whole) = data.extract::<u64>() {
        return Ok(Value::Number(whole.into()));
    }
    if let Ok(whole) = data.extract::<i64>() {
        return Ok(Value::Number(whole.into()));
    }
    if let Some(number) = data.extract::<f64>().ok().and_then(Number::from_f64) {
        return Ok(Value::Number(number));
    }
    Err(PyTypeError::new_err(format!("`{}` is no plain data", data.get_type().name()?)))
}

/// The seconds of a duration as compose files have it.
#[pyfunction]
pub(crate) fn duration(text: &str) -> PyResult<f64> {
    Ok(value::duration(text).raised()?.as_secs_f64())
}

/// A duration of seconds.
pub(crate) fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| {
            Error::new(ErrorKind::InvalidValue, format!("a duration cannot be {seconds} s")).with_hint("give 0 or more")
        })
        .raised()
}
