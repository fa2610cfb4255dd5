//! The simulated runtime and locator, with the faults that a test can cause.

use std::sync::Arc;

use haddock_core::container::ContainerId;
use haddock_core::locator::sim::{Cookie, SessionId, SimLocator as CoreLocator, Ticket};
use haddock_core::runtime::sim::{SimImage, SimRuntime as CoreRuntime};
use haddock_core::{Error, ErrorKind, InstanceId, LocatorName, ServiceName, Timestamp};
use pyo3::prelude::*;

use crate::convert::{seconds, to_python};
use crate::driver::{Driver, VirtualTime};
use crate::error::{Raised, raise};
use crate::home::Home;

/// How containers of an image behave: seconds until it answers; seconds until it ends, and with which code.
fn image(boot: Option<f64>, ends: Option<f64>, code: i64) -> PyResult<SimImage> {
    Ok(SimImage {
        boot: boot.map(seconds).transpose()?,
        end: ends.map(seconds).transpose()?.map(|after| (after, code)),
    })
}

/// A simulated container runtime.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct SimRuntime {
    pub(crate) runtime: Home<CoreRuntime>,
}

#[pymethods]
impl SimRuntime {
    #[new]
    fn new(time: &VirtualTime) -> PyResult<Self> {
        let clock = Driver::of(Some(time))?.clock();
        Ok(Self { runtime: Home::new(CoreRuntime::new(clock)) })
    }

    /// Puts an image into the registry.
    fn image(&self, name: String, boot: Option<f64>, ends: Option<f64>, code: i64) -> PyResult<()> {
        self.runtime.get()?.add_image(name, image(boot, ends, code)?);
        Ok(())
    }

    /// Makes the registry have every other image, all with the same behaviour.
    fn other_images(&self, boot: Option<f64>, ends: Option<f64>, code: i64) -> PyResult<()> {
        self.runtime.get()?.set_other_images(Some(image(boot, ends, code)?));
        Ok(())
    }

    /// The containers, as plain data.
    #[pyo3(signature = () -> "list[dict[str, typing.Any]]")]
    fn containers(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let all = self.runtime.get()?.with(|engine, now| engine.containers(now).cloned().collect::<Vec<_>>());
        to_python(py, &all)
    }

    /// Ends the process of a container.
    fn kill(&self, container: String, code: i64) -> PyResult<()> {
        self.runtime.get()?.with(|engine, _| engine.kill(&ContainerId(container), code));
        Ok(())
    }

    /// Starts a container anew: another incarnation.
    fn restart(&self, container: String) -> PyResult<()> {
        self.runtime.get()?.with(|engine, now| engine.restart(&ContainerId(container), now));
        Ok(())
    }

    /// Pauses a container.
    fn pause(&self, container: String) -> PyResult<()> {
        self.runtime.get()?.with(|engine, now| engine.pause(&ContainerId(container), now));
        Ok(())
    }

    /// Keeps a container from answering for that many seconds.
    fn hang(&self, container: String, lasts: f64) -> PyResult<()> {
        let lasts = seconds(lasts)?;
        self.runtime.get()?.with(|engine, now| engine.hang(&ContainerId(container), now + lasts));
        Ok(())
    }

    /// From now on it does not answer, or answers again.
    fn set_down(&self, down: bool) -> PyResult<()> {
        self.runtime.get()?.set_down(down);
        Ok(())
    }

    /// The next calls are refused.
    fn fail_next(&self, calls: u32) -> PyResult<()> {
        self.runtime.get()?.fail_next(calls);
        Ok(())
    }

    /// The answers of the next calls are lost.
    fn lose_next_answers(&self, calls: u32) -> PyResult<()> {
        self.runtime.get()?.lose_next_answers(calls);
        Ok(())
    }
}

/// A simulated service locator.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct SimLocator {
    pub(crate) locator: Home<CoreLocator>,
}

/// A session of the simulated locator: session, instance, last use in milliseconds since the Unix epoch, client.
type PlainCookie = (u64, String, u64, u64);

fn cookie((session, instance, last_use, client): PlainCookie) -> PyResult<Cookie> {
    let instance = InstanceId::new(instance).raised()?;
    Ok(Cookie { session: SessionId(session), instance, last_use: Timestamp::from_millis(last_use), client })
}

#[pymethods]
impl SimLocator {
    #[new]
    fn new(time: &VirtualTime) -> PyResult<Self> {
        let name = LocatorName::new("sim").raised()?;
        Ok(Self { locator: Home::new(CoreLocator::new(name, Driver::of(Some(time))?.clock())) })
    }

    /// Begins a request. `None`: no instance has a share, or the locator is down.
    fn begin(&self, service: &str, sticky: Option<PlainCookie>, upgraded: bool) -> PyResult<Option<SimRequest>> {
        let service = ServiceName::new(service).raised()?;
        let sticky = sticky.map(cookie).transpose()?;
        let locator = self.locator.get()?;
        let ticket = locator.begin(&service, sticky.as_ref(), upgraded);
        Ok(ticket.map(|ticket| SimRequest { locator: Home::new(locator.clone()), service, ticket }))
    }

    /// From now on it does not answer, or answers again.
    fn set_down(&self, down: bool) -> PyResult<()> {
        self.locator.get()?.set_down(down);
        Ok(())
    }

    /// The next calls are refused.
    fn fail_next(&self, calls: u32) -> PyResult<()> {
        self.locator.get()?.fail_next(calls);
        Ok(())
    }

    /// The answers of the next calls are lost.
    fn lose_next_answers(&self, calls: u32) -> PyResult<()> {
        self.locator.get()?.lose_next_answers(calls);
        Ok(())
    }

    /// Ends its process and starts it again.
    fn restart(&self) -> PyResult<()> {
        self.locator.get()?.restart();
        Ok(())
    }
}

/// A request in flight.
#[pyclass(frozen, module = "haddock._native")]
pub(crate) struct SimRequest {
    locator: Home<CoreLocator>,
    service: ServiceName,
    ticket: Ticket,
}

#[pymethods]
impl SimRequest {
    /// The instance that has it.
    fn instance(&self) -> String {
        self.ticket.instance.to_string()
    }

    /// The address of that instance.
    fn address(&self) -> String {
        self.ticket.address.to_string()
    }

    /// Whether it opened its session.
    fn opened(&self) -> bool {
        self.ticket.opened
    }

    /// Ends it. Returns the cookie that the client keeps; `None` if its session was ended.
    fn finish(&self, failed: bool) -> PyResult<Option<PlainCookie>> {
        let kept = self.locator.get()?.finish(&self.service, &self.ticket, failed);
        Ok(kept.map(|kept| (kept.session.0, kept.instance.to_string(), kept.last_use.as_millis(), kept.client)))
    }
}

impl SimRuntime {
    /// The runtime behind the port.
    pub(crate) fn inner(&self) -> PyResult<crate::runtime::Inner> {
        let runtime = self.runtime.get()?.clone();
        let (probing, registry) = (Arc::new(runtime.clone()), Arc::new(runtime.clone()));
        Ok(crate::runtime::Inner { probing: Some(probing), registry: Some(registry), runtime: Arc::new(runtime) })
    }
}

/// A runtime or a locator of any kind.
pub(crate) fn unknown(what: &str) -> PyErr {
    raise(&Error::new(ErrorKind::InvalidValue, format!("this is no {what}")))
}
