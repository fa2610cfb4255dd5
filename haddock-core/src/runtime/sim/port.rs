//! The simulated engine behind the port, with faults by script.

#[cfg(feature = "controller")]
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;

use super::{SimEngine, SimImage};
use crate::container::{
    AttachSpec, Attachment, Container, ContainerId, ContainerSpec, ExecSpec, Executed, Incarnation, Network,
    NetworkSpec, PublishedPort, PullOptions, PullWhen, RuntimeEvent, Selector, Usage, Volume, VolumeSpec,
};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
#[cfg(feature = "controller")]
use crate::runtime::Attached;
#[cfg(feature = "controller")]
use crate::runtime::probe::{Probe, ProbeFailure, Probing};
use crate::runtime::{ContainerRuntime, RuntimeCapabilities};
use crate::time::{Clock, Timestamp};

/// A [`ContainerRuntime`] whose containers are data. Clones are the same engine.
///
/// It reports no events. Callers look again from time to time.
#[derive(Clone)]
pub struct SimRuntime {
    clock: Arc<dyn Clock>,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    engine: SimEngine,
    down: bool,
    failing: u32,
    losing: u32,
    busy: Duration,
    commands: Option<Commands>,
    attached: Option<AttachedCommands>,
    usages: Option<Usages>,
    #[cfg(feature = "controller")]
    pages: BTreeMap<String, String>,
}

/// The output of commands within containers.
type Commands = Box<dyn Fn(&Container, &ExecSpec) -> Executed + Send>;
/// The output of commands that have read all of this input.
type AttachedCommands = Arc<dyn Fn(&Container, &AttachSpec, &[u8]) -> Executed + Send + Sync>;
/// What running containers have used.
type Usages = Box<dyn Fn(&Container) -> Usage + Send>;

impl SimRuntime {
    /// An engine with nothing on it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            engine: SimEngine::new(),
            down: false,
            failing: 0,
            losing: 0,
            busy: Duration::ZERO,
            commands: None,
            attached: None,
            usages: None,
            #[cfg(feature = "controller")]
            pages: BTreeMap::new(),
        };
        Self { clock, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Puts an image into the registry. It was built now.
    pub fn add_image(&self, name: impl Into<String>, image: SimImage) {
        let name = name.into();
        self.with(|engine, now| {
            engine.add_image(name.clone(), image);
            engine.date_image(&name, now);
        });
    }

    /// Lets the registry have every image that it was not given, all alike; or none of them, as at first.
    pub fn set_other_images(&self, image: Option<SimImage>) {
        self.lock().engine.set_other_images(image);
    }

    /// Whether something answers at this address now, as a readiness probe would find out.
    #[must_use]
    pub fn answers(&self, address: SocketAddr) -> bool {
        self.with(|engine, now| engine.at(address, now).is_some_and(|id| engine.answers(&id, now)))
    }

    /// Gives access to the engine, to look at it or to change something as somebody else would.
    pub fn with<T>(&self, play: impl FnOnce(&mut SimEngine, Timestamp) -> T) -> T {
        let now = self.clock.now();
        play(&mut self.lock().engine, now)
    }

    /// From now on it does not answer, or answers again. Its containers go on.
    pub fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// The next `calls` calls are refused as if it were down.
    pub fn fail_next(&self, calls: u32) {
        self.lock().failing = calls;
    }

    /// The next `calls` calls take effect, and their answers are lost:
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    pub fn lose_next_answers(&self, calls: u32) {
        self.lock().losing = calls;
    }

    /// What each container answers from now on when this path is asked for. Others answer 404, but for probes.
    #[cfg(feature = "controller")]
    pub fn set_page(&self, path: impl Into<String>, body: impl Into<String>) {
        self.lock().pages.insert(path.into(), body.into());
    }

    /// From now on every creation or start of a container waits this long for a turn: the engine is busy.
    pub fn set_busy(&self, turn: Duration) {
        self.lock().busy = turn;
    }

    #[cfg(feature = "controller")]
    async fn wait_for_a_turn(&self) {
        let busy = self.lock().busy;
        if busy > Duration::ZERO {
            crate::runtime::turn::turn(crate::time::sleep(busy)).await;
        }
    }

    #[cfg(not(feature = "controller"))]
    async fn wait_for_a_turn(&self) {}

    /// From now on it runs commands within containers. The function gives their output.
    pub fn run_commands(&self, run: impl Fn(&Container, &ExecSpec) -> Executed + Send + 'static) {
        self.lock().commands = Some(Box::new(run));
    }

    /// From now on it hands over the streams of commands. The function gives their output once they have read all of
    /// their input.
    pub fn run_attached(&self, run: impl Fn(&Container, &AttachSpec, &[u8]) -> Executed + Send + Sync + 'static) {
        self.lock().attached = Some(Arc::new(run));
    }

    /// The container, if it runs.
    fn running(&self, container: &ContainerId) -> Result<Container> {
        self.call(|engine, now| {
            let running = engine.inspect(container, now).filter(|container| container.is_running()).cloned();
            running.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("container `{container}` does not run")))
        })
    }

    /// From now on it knows what running containers have used. The function gives it.
    pub fn tell_usage(&self, usage: impl Fn(&Container) -> Usage + Send + 'static) {
        self.lock().usages = Some(Box::new(usage));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn call<T>(&self, effect: impl FnOnce(&mut SimEngine, Timestamp) -> Result<T>) -> Result<T> {
        let now = self.clock.now();
        let mut inner = self.lock();
        if inner.down || inner.failing > 0 {
            inner.failing = inner.failing.saturating_sub(1);
            return Err(Error::new(ErrorKind::RuntimeUnavailable, "the simulated runtime does not answer"));
        }
        let answer = effect(&mut inner.engine, now);
        if inner.losing > 0 {
            inner.losing -= 1;
            return Err(Error::new(ErrorKind::TimedOut, "the simulated runtime did not answer in time"));
        }
        answer
    }
}

impl fmt::Display for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("simulated runtime")
    }
}

impl fmt::Debug for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimRuntime").finish_non_exhaustive()
    }
}

/// Nothing listens at simulated addresses. So the engine is asked instead.
#[cfg(feature = "controller")]
#[async_trait]
impl Probing for SimRuntime {
    async fn probe(&self, probe: &Probe, _limit: Duration) -> Result<(), ProbeFailure> {
        if self.answers(probe.address) { Ok(()) } else { Err(ProbeFailure::Refused) }
    }

    async fn body(&self, probe: &Probe, limit: Duration) -> Result<Vec<u8>, ProbeFailure> {
        self.probe(probe, limit).await?;
        let inner = self.lock();
        let path = probe.http.as_deref().unwrap_or("/");
        inner.pages.get(path).map_or(Err(ProbeFailure::Status(404)), |page| Ok(page.clone().into_bytes()))
    }
}

#[async_trait]
impl ContainerRuntime for SimRuntime {
    fn capabilities(&self) -> RuntimeCapabilities {
        let inner = self.lock();
        let (exec, usage) = (inner.commands.is_some(), inner.usages.is_some());
        let attach = cfg!(feature = "controller") && inner.attached.is_some();
        RuntimeCapabilities {
            networks: true,
            pull: true,
            volumes: true,
            exec,
            attach,
            usage,
            start_again: true,
            unpause: true,
            pull_policies: true,
            connect: true,
            host_ports: true,
            ..RuntimeCapabilities::default()
        }
    }

    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String> {
        self.call(|engine, _| engine.fetch(&image.to_string(), refresh))
    }

    async fn pull_with(&self, image: &ImageReference, how: &PullOptions) -> Result<String> {
        self.call(|engine, _| {
            engine.pulled.push((image.to_string(), how.clone()));
            engine.fetch(&image.to_string(), how.when == PullWhen::Refresh)
        })
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        self.wait_for_a_turn().await;
        self.call(|engine, _| engine.create(spec))
    }

    async fn start(&self, container: &ContainerId) -> Result<()> {
        self.wait_for_a_turn().await;
        self.call(|engine, now| engine.start(container, now))
    }

    async fn start_again(&self, life: &Incarnation) -> Result<()> {
        self.call(|engine, now| engine.start_again(life, now))
    }

    async fn unpause(&self, container: &ContainerId) -> Result<()> {
        self.call(|engine, _| engine.unpause(container))
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>> {
        self.call(|engine, now| Ok(engine.inspect(container, now).cloned()))
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Container>> {
        self.call(|engine, now| Ok(engine.list(selector, now)))
    }

    async fn stop(&self, container: &ContainerId, _grace: Duration) -> Result<()> {
        self.call(|engine, _| {
            engine.stop(container);
            Ok(())
        })
    }

    async fn remove(&self, container: &ContainerId) -> Result<()> {
        self.call(|engine, _| {
            engine.remove_with_volumes(container);
            Ok(())
        })
    }

    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>> {
        self.call(|engine, _| {
            let lines = engine.logs(container, tail);
            lines.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("container `{container}` does not exist")))
        })
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        self.call(|engine, _| engine.create_network(spec))
    }

    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>> {
        self.call(|engine, _| Ok(engine.list_networks(selector)))
    }

    async fn members(&self, network: &str) -> Result<Vec<ContainerId>> {
        self.call(|engine, now| {
            let named = engine.list_networks(&Selector::default()).into_iter().find(|it| it.id == network);
            let named = named.map(|network| network.name);
            let on = |container: &&Container| container.networks.iter().any(|it| Some(it) == named.as_ref());
            Ok(engine.containers(now).filter(|it| it.is_active()).filter(on).map(|it| it.id.clone()).collect())
        })
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.call(|engine, _| engine.remove_network(id).map(drop))
    }

    async fn connect(&self, container: &ContainerId, to: &Attachment) -> Result<()> {
        self.call(|engine, _| engine.connect(container, &to.network))
    }

    async fn disconnect(&self, container: &ContainerId, network: &str) -> Result<()> {
        self.call(|engine, _| {
            engine.disconnect(container, network);
            Ok(())
        })
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        self.call(|engine, _| engine.create_volume(spec))
    }

    async fn volumes(&self, selector: &Selector) -> Result<Vec<Volume>> {
        self.call(|engine, _| Ok(engine.list_volumes(selector)))
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.call(|engine, _| engine.remove_volume(name).map(drop))
    }

    async fn image_volumes(&self, image: &str) -> Result<Vec<String>> {
        self.call(|engine, _| Ok(engine.image_volumes(image)))
    }

    async fn port_is_free(&self, port: &PublishedPort) -> Result<bool> {
        self.call(|engine, now| Ok(port.host.is_none_or(|host| engine.port_is_free(host, now))))
    }

    async fn exec(&self, container: &ContainerId, exec: &ExecSpec) -> Result<Executed> {
        if self.lock().commands.is_none() {
            return Err(self.cannot("run commands within containers"));
        }
        let running = self.running(container)?;
        let inner = self.lock();
        let run = inner.commands.as_ref().expect("seen above, and never taken away");
        Ok(run(&running, exec))
    }

    #[cfg(feature = "controller")]
    async fn attach(&self, container: &ContainerId, command: &AttachSpec) -> Result<Attached> {
        let attached = self.lock().attached.clone();
        let run = attached.ok_or_else(|| self.cannot("hand over the streams of commands"))?;
        let (running, command) = (self.running(container)?, command.clone());
        Ok(super::attach::attach(command.stdin, move |input| run(&running, &command, input)))
    }

    async fn usage(&self, container: &ContainerId) -> Result<Usage> {
        if self.lock().usages.is_none() {
            return Err(self.cannot("tell what containers use"));
        }
        let running = self.running(container)?;
        let inner = self.lock();
        let usage = inner.usages.as_ref().expect("seen above, and never taken away");
        Ok(usage(&running))
    }

    async fn events(&self, _selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        self.call(|_, _| Ok(futures_util::stream::pending().boxed()))
    }
}
