//! Runtimes, locators and gates that are written in Python.
//!
//! Each call is made outside the async threads, attached to the interpreter. Virtual time stands still meanwhile,
//! as with all blocking work.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use haddock_core::container::{
    Container, ContainerId, ContainerSpec, Endpoint, HealthCheck, Incarnation, Network, NetworkSpec, PublishedPort,
    RestartPolicy, RuntimeEvent, Selector,
};
use haddock_core::controller::{Gate, GateQuestion};
use haddock_core::environment::probe::{Probe, ProbeFailure, Probing};
use haddock_core::image::ImageReference;
use haddock_core::locator::{LocatorCapabilities, ServiceLocator, SessionCount};
use haddock_core::release::GateAnswer;
use haddock_core::routing::{CloseAnswer, RoutingTable};
use haddock_core::runtime::{ContainerRuntime, RuntimeCapabilities};
use haddock_core::{Error, ErrorKind, FencingToken, InstanceId, LocatorReport, Result, ServiceName};
use pyo3::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::convert::{from_python, to_python};
use crate::error::caught;
use crate::locator::Locator;
use crate::runtime::Runtime;

/// A Python object, and the function `(method, arguments) -> answer` that calls it with plain data.
struct Port {
    name: String,
    call: Arc<Py<PyAny>>,
    refusal: ErrorKind,
}

impl Port {
    async fn call<T: DeserializeOwned>(&self, method: &'static str, arguments: Value) -> Result<T> {
        let (call, refusal) = (Arc::clone(&self.call), self.refusal);
        let called = tokio::task::spawn_blocking(move || {
            Python::try_attach(|py| {
                let answer = to_python(py, &arguments).and_then(|arguments| call.call1(py, (method, arguments)));
                let plain = answer.and_then(|answer| from_python(answer.bind(py)));
                plain.map_err(|raised| caught(py, &raised, refusal))
            })
        });
        let gone = || Error::new(refusal, format!("{} cannot be called: the program is being shut down", self.name));
        let plain = called.await.ok().flatten().ok_or_else(gone)??;
        serde_json::from_value(plain).map_err(|error| {
            Error::new(refusal, format!("`{method}` of {} answered with something else: {error}", self.name))
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Port").field(&self.name).finish()
    }
}

/// A runtime written in Python, with its caller, its capabilities, and whether it probes by itself.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "each is something that the class says of itself")]
pub(crate) fn python_runtime(
    name: String,
    call: Py<PyAny>,
    networks: bool,
    pull: bool,
    options: BTreeSet<String>,
    probes: bool,
    start_again: bool,
    unpause: bool,
) -> Runtime {
    let port = Port { name, call: Arc::new(call), refusal: ErrorKind::RuntimeRefused };
    let capabilities = RuntimeCapabilities { networks, pull, start_again, unpause, ..RuntimeCapabilities::default() };
    let runtime = Arc::new(PythonRuntime { port, capabilities, options });
    let probing = probes.then(|| Arc::clone(&runtime) as Arc<dyn Probing>);
    Runtime::new(runtime, probing, None)
}

#[derive(Debug)]
struct PythonRuntime {
    port: Port,
    capabilities: RuntimeCapabilities,
    /// The options of a container that it supports.
    options: BTreeSet<String>,
}

impl fmt::Display for PythonRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.port.fmt(f)
    }
}

#[async_trait]
impl Probing for PythonRuntime {
    async fn probe(&self, probe: &Probe, limit: Duration) -> Result<(), ProbeFailure> {
        let asked = self.port.call("probe", json!([probe.address, probe.http]));
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(ProbeFailure::Refused),
            Ok(Err(error)) => Err(ProbeFailure::Broken(error.to_string())),
            Err(_) => Err(ProbeFailure::TimedOut),
        }
    }
}

/// The specification with the values of its variables, because the runtime needs them.
fn plain_spec(spec: &ContainerSpec) -> Value {
    // Destructured, so that a new field does not compile until it is handled here or in `refuse`.
    let ContainerSpec {
        name,
        image,
        entrypoint,
        command,
        environment,
        identity,
        labels: _, // by `all_labels`
        networks,
        network_mode: _, // refused, as are mounts and files
        expose,
        publish,
        health_check,
        stop_signal,
        mounts: _,
        files: _,
        restart,
        options,
    } = spec;
    let check = |check: &HealthCheck| {
        let HealthCheck { test, interval, timeout, retries, start_period, start_interval } = check;
        json!({
            "test": test,
            "interval": interval.map(|it| it.as_secs_f64()),
            "timeout": timeout.map(|it| it.as_secs_f64()),
            "retries": retries,
            "start_period": start_period.map(|it| it.as_secs_f64()),
            "start_interval": start_interval.map(|it| it.as_secs_f64()),
        })
    };
    let environment: serde_json::Map<String, Value> =
        environment.iter().map(|(name, value)| (name.clone(), json!(value.expose()))).collect();
    let network = networks.first().map(|it| json!({"network": it.network, "aliases": it.aliases}));
    let publish: Vec<Value> = publish
        .iter()
        .map(|port| json!({"container": port.container, "host_address": port.host_address, "host": port.host}))
        .collect();
    json!({
        "name": name,
        "image": image,
        "entrypoint": entrypoint,
        "command": command,
        "environment": environment,
        "identity": identity.labels(),
        "labels": spec.all_labels(),
        "network": network,
        "expose": expose,
        "publish": publish,
        "health_check": health_check.as_ref().map(check),
        "stop_signal": stop_signal,
        "restart": restart,
        "options": options,
    })
}

/// Refuses options that are not passed to a runtime written in Python, or that it does not support, and names them.
fn refuse(spec: &ContainerSpec, can: &BTreeSet<String>, runtime: &dyn fmt::Display) -> Result<()> {
    let shown = |port: &PublishedPort| port.host_last.is_none() && port.protocol.is_tcp();
    let asked = |it: &Endpoint| Endpoint { aliases: Vec::new(), priority: None, ..it.clone() } != Endpoint::default();
    let what = match () {
        () if !spec.mounts.is_empty() => "`volumes`",
        () if !spec.files.is_empty() => "`secrets` and `configs`",
        () if spec.network_mode.is_some() => "`network_mode`",
        () if spec.networks.len() > 1 => "more than one network",
        () if spec.networks.iter().any(|it| !it.links.is_empty()) => "`external_links`",
        () if spec.networks.iter().any(|it| asked(&it.endpoint)) => "settings of a container's network",
        () if !spec.publish.iter().all(shown) => "`ports` that are a range, or not TCP",
        () if spec.restart.is_some_and(|policy| policy != RestartPolicy::No) && !can.contains("restart") => "`restart`",
        () => {
            let can: Vec<&str> = can.iter().map(String::as_str).collect();
            return spec.options.only(&can, runtime);
        }
    };
    Err(Error::new(ErrorKind::NotSupported, format!("{runtime} has no {what} for containers"))
        .with_hint("remove it, or use another runtime"))
}

#[async_trait]
impl ContainerRuntime for PythonRuntime {
    fn capabilities(&self) -> RuntimeCapabilities {
        self.capabilities
    }

    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String> {
        self.port.call("pull", json!([image.to_string(), refresh])).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        refuse(spec, &self.options, self)?;
        self.port.call("create", json!([plain_spec(spec)])).await
    }

    async fn start(&self, container: &ContainerId) -> Result<()> {
        self.port.call("start", json!([container.0])).await
    }

    async fn start_again(&self, life: &Incarnation) -> Result<()> {
        match self.capabilities.start_again {
            true => self.port.call("start_again", json!([life.container.0, life.started])).await,
            false => Err(self.cannot("start containers again")),
        }
    }

    async fn unpause(&self, container: &ContainerId) -> Result<()> {
        match self.capabilities.unpause {
            true => self.port.call("unpause", json!([container.0])).await,
            false => Err(self.cannot("let paused containers go on")),
        }
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>> {
        self.port.call("inspect", json!([container.0])).await
    }

    async fn health_output(&self, container: &ContainerId) -> Result<Option<String>> {
        self.port.call("health_output", json!([container.0])).await
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Container>> {
        self.port.call("list", json!([selector])).await
    }

    async fn stop(&self, container: &ContainerId, grace: Duration) -> Result<()> {
        self.port.call("stop", json!([container.0, grace.as_secs_f64()])).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<()> {
        self.port.call("remove", json!([container.0])).await
    }

    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>> {
        self.port.call("logs", json!([container.0, tail])).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        spec.only_a_name(self)?;
        self.port.call("create_network", json!([spec.name, spec.all_labels(), spec.identity.labels()])).await
    }

    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>> {
        self.port.call("networks", json!([selector])).await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.port.call("remove_network", json!([id])).await
    }

    async fn events(&self, _selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        Ok(futures_util::stream::pending().boxed())
    }
}

/// A locator written in Python, with its caller and its capabilities.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one for each capability")]
pub(crate) fn python_locator(
    name: String,
    call: Py<PyAny>,
    keeps_sticky_at_zero: bool,
    session_count: &str,
    atomic_close: bool,
    adoption: bool,
    counts_by_table: bool,
    follows_unseen: bool,
    counts_by_policy: bool,
    by_client: bool,
    closes_in_rounds: bool,
) -> PyResult<Locator> {
    let session_count = match session_count {
        "exact" => SessionCount::Exact,
        "upper_bound" => SessionCount::UpperBound,
        "none" => SessionCount::None,
        other => {
            let message = format!("session_count is \"exact\", \"upper_bound\" or \"none\", not {other:?}");
            return Err(pyo3::exceptions::PyValueError::new_err(message));
        }
    };
    let port = Port { name, call: Arc::new(call), refusal: ErrorKind::LocatorRefused };
    let capabilities = LocatorCapabilities {
        keeps_sticky_at_zero,
        session_count,
        atomic_close,
        adoption,
        counts_by_table,
        follows_unseen,
        counts_by_policy,
        by_client,
        closes_in_rounds,
        ..LocatorCapabilities::default()
    };
    Ok(Locator::new(Arc::new(PythonLocator { port, capabilities })))
}

#[derive(Debug)]
struct PythonLocator {
    port: Port,
    capabilities: LocatorCapabilities,
}

impl fmt::Display for PythonLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.port.fmt(f)
    }
}

#[async_trait]
impl ServiceLocator for PythonLocator {
    fn capabilities(&self) -> LocatorCapabilities {
        self.capabilities
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        self.port.call("apply", json!([table])).await
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        self.port.call("close", json!([service, instance, number])).await
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()> {
        self.port.call("evict", json!([service, instance, number])).await
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        self.port.call("observe", json!([service])).await
    }
}

/// A function that is asked before a ramp goes on, with its name.
#[derive(Clone)]
pub(crate) struct PythonGate {
    name: String,
    call: Arc<Py<PyAny>>,
}

impl PythonGate {
    pub(crate) fn new(name: String, call: Py<PyAny>) -> Self {
        Self { name, call: Arc::new(call) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

#[async_trait]
impl Gate for PythonGate {
    async fn ask(&self, question: GateQuestion) -> Result<GateAnswer> {
        let GateQuestion { service, version, stage, share, addresses, .. } = question;
        let plain = json!({
            "service": service,
            "version": version,
            "stage": stage,
            "share": f64::from(share.as_basis_points()) / 10_000.0,
            "addresses": addresses,
        });
        let call = Arc::clone(&self.call);
        let asked = tokio::task::spawn_blocking(move || {
            Python::try_attach(|py| {
                let question = to_python(py, &plain)?;
                call.call1(py, (question,))?.extract::<(String, String)>(py)
            })
        });
        let unasked = |why: String| Error::new(ErrorKind::HookFailed, format!("gate `{}` {why}", self.name));
        match asked.await.ok().flatten() {
            None => Err(unasked("cannot be asked: the program is being shut down".to_owned())),
            Some(Err(raised)) => Err(unasked(format!("has no answer: {raised}"))),
            Some(Ok((answer, why))) => Ok(match answer.as_str() {
                "go" => GateAnswer::Go,
                "wait" => GateAnswer::Wait,
                _ => GateAnswer::Stop(why),
            }),
        }
    }
}
