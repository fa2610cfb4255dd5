//! Container runtimes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use haddock_core::environment::probe::Probing;
use haddock_core::runtime::docker::{DockerRuntime, DockerRuntimeBuilder, ReachChoice};
use haddock_core::runtime::process::ProcessRuntime;
use haddock_core::runtime::{ContainerRuntime, ImageRegistry};
use pyo3::prelude::*;
use serde_json::json;

use crate::call::Call;
use crate::convert::to_python;
use crate::driver::Driver;
use crate::error::Raised;
use crate::home::Home;

/// A runtime, and its own probe, if it has one.
#[derive(Clone)]
pub(crate) struct Inner {
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) probing: Option<Arc<dyn Probing>>,
    /// The registries that it pulls from, if they can be asked.
    pub(crate) registry: Option<Arc<dyn ImageRegistry>>,
}

/// A container runtime.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Runtime {
    pub(crate) inner: Home<Inner>,
}

impl Runtime {
    pub(crate) fn new(
        runtime: Arc<dyn ContainerRuntime>,
        probing: Option<Arc<dyn Probing>>,
        registry: Option<Arc<dyn ImageRegistry>>,
    ) -> Self {
        Self { inner: Home::new(Inner { runtime, probing, registry }) }
    }
}

#[pymethods]
impl Runtime {
    fn __repr__(&self) -> PyResult<String> {
        Ok(self.inner.get()?.runtime.to_string())
    }
}

/// Where an engine is, and how its containers are reached.
fn builder(
    host: Option<String>,
    context: Option<String>,
    reach: Option<&str>,
    address_pool: Option<&str>,
) -> haddock_core::Result<DockerRuntimeBuilder> {
    let mut builder = host.into_iter().fold(DockerRuntime::builder(), DockerRuntimeBuilder::host);
    builder = context.into_iter().fold(builder, DockerRuntimeBuilder::context);
    if let Some(reach) = reach {
        builder = builder.reach(reach.parse::<ReachChoice>()?);
    }
    if let Some(pool) = address_pool {
        builder = builder.pool(pool.parse()?);
    }
    Ok(builder)
}

/// Connects to a Docker Engine.
#[pyfunction]
#[pyo3(signature = (host, context, reach, address_pool))]
pub(crate) fn docker(
    host: Option<String>,
    context: Option<String>,
    reach: Option<&str>,
    address_pool: Option<&str>,
) -> PyResult<Call> {
    let builder = builder(host, context, reach, address_pool).raised()?;
    Ok(Driver::Real.call(async move { builder.connect().await }, |py, runtime| {
        let registry = Arc::new(runtime.registries());
        Ok(Py::new(py, Runtime::new(Arc::new(runtime), None, Some(registry)))?.into_any())
    }))
}

/// The version of a Docker Engine, and how its containers are
/// reached.
#[pyfunction]
#[pyo3(signature = (host, context, reach, address_pool))]
pub(crate) fn docker_report(
    host: Option<String>,
    context: Option<String>,
    reach: Option<&str>,
    address_pool: Option<&str>,
) -> PyResult<Call> {
    let builder = builder(host, context, reach, address_pool).raised()?;
    Ok(Driver::Real.call(async move { builder.connect().await?.report().await }, |py, report| {
        let told = json!({
            "address": report.address,
            "source": report.source.to_string(),
            "version": report.version,
            "api": report.api,
            "reach": report.reach.to_string(),
            "why": report.why,
            "pool": report.pool.to_string(),
            "subnets": report.pool.len(),
            "free": report.free,
            "in_the_way": report.in_the_way,
        });
        to_python(py, &told)
    }))
}

/// Opens a directory of child processes.
#[pyfunction]
pub(crate) fn process(directory: PathBuf, images: BTreeMap<String, Vec<String>>) -> PyResult<Runtime> {
    let builder = images
        .into_iter()
        .fold(ProcessRuntime::builder(directory), |builder, (image, command)| builder.image(image, command));
    Ok(Runtime::new(Arc::new(builder.build().raised()?), None, None))
}
