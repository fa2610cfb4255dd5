//! The logs of several components as one.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use haddock_core::container::{ComponentLine, LogQuery};
use haddock_core::{Result, Timestamp};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::attach::{Inside, Place};
use crate::call::Call;
use crate::convert::to_python;
use crate::home::Home;
use crate::house::House;

/// Which lines.
#[derive(FromPyObject, Clone)]
#[pyo3(from_item_all)]
pub(crate) struct Query {
    tail: Option<usize>,
    since: Option<u64>,
    follow: bool,
}

/// Log lines. Reading begins when the first line is asked
/// for.
struct Lines {
    house: Arc<House>,
    place: Place,
    components: Vec<String>,
    query: LogQuery,
    stream: Option<BoxStream<'static, Result<ComponentLine>>>,
}

impl Lines {
    async fn open(&mut self) -> Result<BoxStream<'static, Result<ComponentLine>>> {
        let controller = self.house.controller();
        match self.place.find(&controller).await? {
            Inside::Environment(name, _) => {
                controller.environments().read_logs(&name, &self.components, &self.query).await
            }
            Inside::Instance(service, instance, _) => {
                controller.service(service).read_logs(&instance, &self.components, &self.query).await
            }
        }
    }

    async fn next(&mut self) -> Result<Option<ComponentLine>> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let opened = self.open().await?;
                self.stream.insert(opened)
            }
        };
        stream.next().await.transpose()
    }
}

/// Logs up to now, and new lines as they come.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct Logs {
    house: Home<Arc<House>>,
    lines: Home<Arc<Mutex<Lines>>>,
}

impl Logs {
    pub(crate) fn new(house: Arc<House>, place: Place, components: Vec<String>, query: Query) -> Self {
        let Query { tail, since, follow } = query;
        let query = LogQuery { tail, since: since.map(Timestamp::from_millis), follow };
        let lines = Lines { house: Arc::clone(&house), place, components, query, stream: None };
        Self { house: Home::new(house), lines: Home::new(Arc::new(Mutex::new(lines))) }
    }
}

#[pymethods]
impl Logs {
    /// The next line; `None`: there are no more.
    fn next(&self) -> PyResult<Call> {
        let lines = Arc::clone(self.lines.get()?);
        let work = async move { lines.lock().await.next().await };
        self.house.get()?.calls().call(work, |py, line: Option<ComponentLine>| to_python(py, &line))
    }
}
