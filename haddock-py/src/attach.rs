//! Commands within containers, with streams for Python.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use haddock_core::container::{AttachSpec, Output, OutputStream, TerminalSize};
use haddock_core::controller::Controller;
use haddock_core::runtime::{Attached as Running, CommandControl, CommandInput};
use haddock_core::{EnvironmentName, Error, ErrorKind, InstanceId, Result, ServiceName};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use tokio::sync::Mutex;

use crate::call::Call;
use crate::convert::to_python;
use crate::home::Home;
use crate::house::{Calls, House};

/// The place of a command: an environment, or an instance of a service.
#[derive(FromPyObject, Clone)]
#[pyo3(from_item_all)]
pub(crate) struct Place {
    name: Option<String>,
    service: Option<String>,
    instance: Option<String>,
    component: Option<String>,
}

/// A place whose names have been read.
pub(crate) enum Inside {
    Environment(EnvironmentName, String),
    Instance(ServiceName, InstanceId, Option<String>),
}

impl Place {
    /// The place, with the default instance if none is named.
    pub(crate) async fn find(&self, controller: &Controller) -> Result<Inside> {
        let Some(service) = &self.service else {
            let name = EnvironmentName::new(self.name.clone().unwrap_or_default())?;
            return Ok(Inside::Environment(name, self.component.clone().unwrap_or_default()));
        };
        let service = ServiceName::new(service)?;
        let instance = match &self.instance {
            Some(instance) => InstanceId::new(instance)?,
            None => controller.service(service.clone()).serving_instance().await?,
        };
        Ok(Inside::Instance(service, instance, self.component.clone()))
    }
}

/// A command to run.
#[derive(FromPyObject, Clone)]
#[pyo3(from_item_all)]
pub(crate) struct Command {
    command: Vec<String>,
    stdin: bool,
    terminal: Option<(u16, u16)>,
}

/// A terminal size in columns and rows.
fn size((columns, rows): (u16, u16)) -> TerminalSize {
    TerminalSize { columns, rows }
}

/// Starts it.
pub(crate) fn start(house: &Arc<House>, place: Place, command: Command) -> PyResult<Call> {
    let (calls, house) = (house.calls(), Arc::clone(house));
    let work = async move {
        let Command { command, stdin, terminal } = command;
        let spec = AttachSpec { command, stdin, terminal: terminal.map(size), ..AttachSpec::default() };
        let controller = house.controller();
        match place.find(&controller).await? {
            Inside::Environment(name, component) => controller.environments().attach(&name, &component, &spec).await,
            Inside::Instance(service, instance, component) => {
                controller.service(service).attach(&instance, component.as_deref(), &spec).await
            }
        }
    };
    let within = calls.clone();
    calls.call(work, move |py, running: Running| Ok(Py::new(py, Attached::of(running, within))?.into_any()))
}

struct Parts {
    input: Mutex<Box<dyn CommandInput>>,
    output: Mutex<futures_util::stream::BoxStream<'static, Result<Output>>>,
    control: Box<dyn CommandControl>,
}

/// A running command. Its input may be written while its output is read.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Attached {
    calls: Calls,
    parts: Home<Arc<Parts>>,
}

impl Attached {
    fn of(running: Running, calls: Calls) -> Self {
        let Running { input, output, control } = running;
        let parts = Parts { input: Mutex::new(input), output: Mutex::new(output), control };
        Self { calls, parts: Home::new(Arc::new(parts)) }
    }
}

/// The error if a write, a read or the command takes too long.
fn late(within: Option<f64>) -> Error {
    let within = within.unwrap_or_default();
    Error::new(ErrorKind::TimedOut, format!("the command has not ended within {within:.1} s"))
        .with_hint("the command goes on in its container")
}

#[pymethods]
impl Attached {
    /// Its next output: the stream and the bytes; `None`: it has closed its streams.
    fn read(&self, within: Option<f64>) -> PyResult<Call> {
        let parts = Arc::clone(self.parts.get()?);
        let limit = within.map(crate::convert::seconds).transpose()?.unwrap_or(Duration::MAX);
        let work = async move {
            let next = async { parts.output.lock().await.next().await };
            tokio::time::timeout(limit, next).await.map_err(|_| late(within))?.transpose()
        };
        self.calls.call(work, |py, output: Option<Output>| {
            let Some(Output { stream, bytes }) = output else { return Ok(py.None()) };
            let error = stream == OutputStream::Stderr;
            let pair = PyTuple::new(py, [to_python(py, &error)?, PyBytes::new(py, &bytes).into_any().unbind()])?;
            Ok(pair.into_any().unbind())
        })
    }

    /// Writes to its standard input. Returns whether it still reads.
    fn write(&self, bytes: &[u8]) -> PyResult<Call> {
        let (parts, bytes) = (Arc::clone(self.parts.get()?), bytes.to_vec());
        let work = async move { parts.input.lock().await.write(&bytes).await };
        self.calls.call(work, |py, reads: bool| to_python(py, &reads))
    }

    /// Ends its standard input.
    fn close_input(&self) -> PyResult<Call> {
        let parts = Arc::clone(self.parts.get()?);
        self.calls.done(async move { parts.input.lock().await.close().await })
    }

    /// Sets the size of its terminal.
    fn resize(&self, columns: u16, rows: u16) -> PyResult<Call> {
        let parts = Arc::clone(self.parts.get()?);
        self.calls.done(async move { parts.control.resize(size((columns, rows))).await })
    }

    /// Its exit code, once it has closed its streams.
    fn exit_code(&self, within: f64) -> PyResult<Call> {
        let (parts, within) = (Arc::clone(self.parts.get()?), crate::convert::seconds(within)?);
        let work = async move { parts.control.exit_code(within).await };
        self.calls.call(work, |py, code: i64| to_python(py, &code))
    }
}
