//! Objects that belong to the process that made them.
//!
//! After a fork, the child has copies of objects, but not their threads. The copies must be neither used nor
//! dropped: a lock that another thread held at the fork stays locked for ever.

use pyo3::PyResult;

use haddock_core::{Error, ErrorKind};

use crate::error::raise;

/// A value that only the process that made it may use.
pub(crate) struct Home<T> {
    pid: u32,
    // Only `None` while it is dropped.
    value: Option<T>,
}

impl<T> Home<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { pid: std::process::id(), value: Some(value) }
    }

    /// The value.
    ///
    /// # Errors
    /// `NotSupported` in a child of the process that made it.
    pub(crate) fn get(&self) -> PyResult<&T> {
        match &self.value {
            Some(value) if self.pid == std::process::id() => Ok(value),
            _ => Err(raise(
                &Error::new(ErrorKind::NotSupported, "this object was made before a fork, by the parent process")
                    .with_hint("make a new one in the child: connect after the fork"),
            )),
        }
    }
}

impl<T> Drop for Home<T> {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            std::mem::forget(self.value.take());
        }
    }
}
