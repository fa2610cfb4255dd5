//! Container runtimes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use haddock_core::environment::probe::Probing;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::runtime::process::ProcessRuntime;
use pyo3::prelude::*;

use crate::call::Call;
use crate::driver::Driver;
use crate::error::Raised;
use crate::home::Home;

/// A runtime, and what probes its instances if the network does not.
#[derive(Clone)]
pub(crate) struct Inner {
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) probing: Option<Arc<dyn Probing>>,
}

/// A container runtime.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Runtime {
    pub(crate) inner: Home<Inner>,
}

impl Runtime {
    pub(crate) fn new(runtime: Arc<dyn ContainerRuntime>, probing: Option<Arc<dyn Probing>>) -> Self {
        Self { inner: Home::new(Inner { runtime, probing }) }
    }
}

#[pymethods]
impl Runtime {
    fn __repr__(&self) -> PyResult<String> {
        Ok(self.inner.get()?.runtime.to_string())
    }
}

/// Connects to a Docker Engine.
#[pyfunction]
pub(crate) fn docker(host: Option<String>) -> PyResult<Call> {
    Driver::Real.call(
        async move {
            let builder = host.into_iter().fold(DockerRuntime::builder(), |builder, host| builder.host(host));
            builder.connect().await
        },
        |py, runtime| Ok(Py::new(py, Runtime::new(Arc::new(runtime), None))?.into_any()),
    )
}

/// Opens a directory of child processes.
#[pyfunction]
pub(crate) fn process(directory: PathBuf, images: BTreeMap<String, Vec<String>>) -> PyResult<Runtime> {
    let builder = images
        .into_iter()
        .fold(ProcessRuntime::builder(directory), |builder, (image, command)| builder.image(image, command));
    Ok(Runtime::new(Arc::new(builder.build().raised()?), None))
}
