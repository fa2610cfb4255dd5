//! The conformance suites, case by case, against a harness that is written in Python.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use haddock_core::image::ImageReference;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::suite as locators;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::suite as runtimes;
use haddock_core::{InstanceId, ServiceName, Timestamp};
use pyo3::exceptions::{PyAssertionError, PyValueError};
use pyo3::prelude::*;

use crate::call::{Call, panic_message};
use crate::driver::Driver;
use crate::error::Raised;
use crate::locator::Locator;
use crate::runtime::Runtime;

/// A Python object that prepares each case.
#[derive(Clone)]
struct Stage(Arc<Py<PyAny>>);

impl Stage {
    /// Calls a method of it. An exception fails the case.
    async fn ask<T>(&self, method: &'static str, arguments: Vec<String>) -> T
    where
        T: for<'a, 'py> FromPyObject<'a, 'py, Error: Into<PyErr>> + Send + 'static,
    {
        let stage = self.clone();
        let asked = tokio::task::spawn_blocking(move || stage.ask_now(method, &arguments));
        asked.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn ask_now<T>(&self, method: &str, arguments: &[String]) -> T
    where
        T: for<'a, 'py> FromPyObject<'a, 'py, Error: Into<PyErr>>,
    {
        Python::attach(|py| {
            let answer = self
                .0
                .call1(py, (method, arguments.to_vec()))
                .and_then(|answer| answer.extract::<T>(py).map_err(Into::into));
            answer.unwrap_or_else(|error| panic!("`{method}` of the harness: {error}"))
        })
    }
}

/// Runs a case. A violated contract is an `AssertionError`.
fn run(case: impl Future<Output = ()> + Send + 'static) -> Call {
    Driver::Real.raising(async move {
        let outcome = AssertUnwindSafe(case).catch_unwind().await;
        outcome.map_err(|panic| PyAssertionError::new_err(panic_message(&*panic)))
    })
}

struct RuntimeStage {
    stage: Stage,
    runtime: Arc<dyn ContainerRuntime>,
    images: [ImageReference; 4],
    connects: bool,
}

#[async_trait]
impl runtimes::RuntimeHarness for RuntimeStage {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &*self.runtime
    }

    fn serving(&self) -> ImageReference {
        self.images[0].clone()
    }

    fn exiting(&self) -> ImageReference {
        self.images[1].clone()
    }

    fn stubborn(&self) -> ImageReference {
        self.images[2].clone()
    }

    fn missing(&self) -> ImageReference {
        self.images[3].clone()
    }

    fn connects(&self) -> bool {
        self.connects
    }

    fn calling(&self, alias: &str) -> Option<Vec<String>> {
        self.stage.ask_now("calling", &[alias.to_owned()])
    }

    fn checking(&self, code: u8) -> Option<Vec<String>> {
        self.stage.ask_now("checking", &[code.to_string()])
    }

    async fn pause(&self) {
        self.stage.ask::<Option<bool>>("pause", Vec::new()).await;
    }
}

macro_rules! runtime_names {
    ($($case:ident)+) => {
        const RUNTIME_CASES: &[&str] = &[$(stringify!($case)),+];

        async fn run_runtime_case(name: &str, harness: &RuntimeStage) {
            match name {
                $(stringify!($case) => runtimes::run(name, harness, runtimes::cases::$case).await,)+
                _ => unreachable!("the name was looked up"),
            }
        }
    };
}

haddock_core::runtime_cases! { [runtime_names] }

/// The cases of the runtimes' suite.
#[pyfunction]
pub(crate) fn runtime_cases() -> Vec<&'static str> {
    RUNTIME_CASES.to_vec()
}

/// The known name of a case.
fn known(names: &'static [&'static str], case: &str) -> PyResult<&'static str> {
    let found = names.iter().find(|name| **name == case);
    found.copied().ok_or_else(|| PyValueError::new_err(format!("there is no case {case:?}")))
}

/// Runs a case of the runtimes' suite. `harness` is called with a method's name and its arguments. `images` are the
/// serving, the exiting, the stubborn and the missing image.
#[pyfunction]
pub(crate) fn runtime_case(
    case: &str,
    runtime: &Runtime,
    harness: Py<PyAny>,
    images: [String; 4],
    connects: bool,
) -> PyResult<Call> {
    let name = known(RUNTIME_CASES, case)?;
    let [serving, exiting, stubborn, missing] = images;
    let image = |name: String| name.parse::<ImageReference>().raised();
    let harness = RuntimeStage {
        stage: Stage(Arc::new(harness)),
        runtime: Arc::clone(&runtime.inner.get()?.runtime),
        images: [image(serving)?, image(exiting)?, image(stubborn)?, image(missing)?],
        connects,
    };
    Ok(run(async move { run_runtime_case(name, &harness).await }))
}

struct LocatorStage {
    stage: Stage,
    service: ServiceName,
    idle: Duration,
    late: Duration,
}

struct InFlight {
    stage: Stage,
    instance: InstanceId,
    id: String,
}

fn instance(name: String) -> InstanceId {
    InstanceId::new(name).unwrap_or_else(|error| panic!("the harness names an instance: {error}"))
}

#[async_trait]
impl locators::InFlight for InFlight {
    fn instance(&self) -> InstanceId {
        self.instance.clone()
    }

    async fn finish(self: Box<Self>) {
        self.stage.ask::<Option<bool>>("finish", vec![self.id]).await;
    }
}

#[async_trait]
impl locators::Harness for LocatorStage {
    fn locator(&self) -> Arc<dyn ServiceLocator> {
        let locator: Arc<dyn ServiceLocator> = Python::attach(|py| {
            let locator = self.stage.0.call1(py, ("locator", Vec::<String>::new())).and_then(|locator| {
                let locator = locator.cast_bound::<Locator>(py)?.get();
                Ok(Arc::clone(&locator.inner.get()?.locator))
            });
            locator.unwrap_or_else(|error| panic!("`locator` of the harness: {error}"))
        });
        locator
    }

    fn service(&self) -> ServiceName {
        self.service.clone()
    }

    fn idle(&self) -> Duration {
        self.idle
    }

    fn late(&self) -> Duration {
        self.late
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.stage.ask_now("now", &[]))
    }

    async fn start(&self, instance: &InstanceId) -> SocketAddr {
        let address: String = self.stage.ask("start", vec![instance.to_string()]).await;
        address.parse().unwrap_or_else(|_| panic!("`start` of the harness: `{address}` is no address"))
    }

    async fn ask(&self, cookies: &mut locators::Cookies, ask: locators::Ask) -> Option<InstanceId> {
        let what = match ask {
            locators::Ask::Page => "page",
            locators::Ask::Failure => "failure",
            locators::Ask::Probe => "probe",
        };
        let given = serde_json::to_string(cookies).expect("plain data");
        let (kept, served): (locators::Cookies, Option<String>) =
            self.stage.ask("ask", vec![given, what.to_owned()]).await;
        *cookies = kept;
        served.map(instance)
    }

    async fn begin(&self, cookies: &mut locators::Cookies) -> Option<Box<dyn locators::InFlight>> {
        let given = serde_json::to_string(cookies).expect("plain data");
        let begun: Option<(locators::Cookies, String, String)> = self.stage.ask("begin", vec![given]).await;
        let (kept, served, id) = begun?;
        *cookies = kept;
        Some(Box::new(InFlight { stage: self.stage.clone(), instance: instance(served), id }))
    }

    async fn pass(&self, time: Duration) {
        self.stage.ask::<Option<bool>>("let_pass", vec![time.as_secs_f64().to_string()]).await;
    }

    async fn restart(&self) -> bool {
        self.stage.ask("restart", Vec::new()).await
    }
}

macro_rules! locator_names {
    ($($case:ident)+) => {
        const LOCATOR_CASES: &[&str] = &[$(stringify!($case)),+];

        async fn run_locator_case(name: &str, harness: LocatorStage) {
            match name {
                $(stringify!($case) => locators::run(name, harness, locators::$case).await,)+
                _ => unreachable!("the name was looked up"),
            }
        }
    };
}

haddock_core::locator_cases! { [locator_names] }

/// The cases of the locators' suite.
#[pyfunction]
pub(crate) fn locator_cases() -> Vec<&'static str> {
    LOCATOR_CASES.to_vec()
}

/// Runs a case of the locators' suite. `harness` is called with a method's name and its arguments.
#[pyfunction]
pub(crate) fn locator_case(case: &str, harness: Py<PyAny>, service: &str, idle: f64, late: f64) -> PyResult<Call> {
    let name = known(LOCATOR_CASES, case)?;
    let harness = LocatorStage {
        stage: Stage(Arc::new(harness)),
        service: ServiceName::new(service).raised()?,
        idle: crate::convert::seconds(idle)?,
        late: crate::convert::seconds(late)?,
    };
    Ok(run(run_locator_case(name, harness)))
}
