//! A runtime whose calls fail, are late or lost, or are the last that we make; and the faults that mutants plant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::stream::BoxStream;
use haddock_core::container::{
    AttachSpec, Attachment, Container, ContainerId, ContainerSpec, ContainerState, ExecSpec, Executed, Incarnation,
    LogLine, LogQuery, Network, NetworkSpec, PublishedPort, PullOptions, RuntimeEvent, Selector, Usage, Volume,
    VolumeSpec, label,
};
use haddock_core::image::ImageReference;
use haddock_core::runtime::{Attached, ContainerRuntime, RuntimeCapabilities};
use haddock_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, RwLock};

use super::step::Trouble;

/// What is made wrong, as it once was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Removing a container removes its anonymous volumes.
    RemovalTakesVolumes,
    /// A paused container is taken for one that runs.
    PausedLooksRunning,
    /// A volume of an earlier commit is not ours.
    VolumesBelongToACommit,
    /// A container that has ended is removed, and made anew.
    StoppedIsGone,
    /// What the environment is made from does not name its file.
    NoFile,
    /// An `up` is no use of an environment.
    UpIsNoUse,
    /// A dry run counts as a look.
    DryRunsCount,
    /// Components whose profile is not active are not in the file.
    InactiveIsGone,
    /// Two at once do not wait for each other.
    NoTurns,
    /// `down` leaves what the engine does not list by name.
    DownLeavesNetworks,
    /// Ports of the host are not looked at before something is removed for what wants them.
    PortsAreNotAsked,
    /// What is somebody else's is not looked at before.
    OthersAreNotAsked,
    /// A container that its engine starts again and again has ended.
    RestartingLooksExited,
    /// A container is known by its name alone.
    RenamedIsUnknown,
    /// A network is known by its name alone.
    NetworksHaveNoIds,
    /// Two names become one, since long names are cut.
    NamesAreCut,
    /// What `only` does not name is not in the file.
    OnlyIsAll,
    /// `down` does not ask who has links to it.
    LinksAreNotAsked,
    /// `prune` decides, and waits for its turn.
    PruneDecidesFirst,
}

/// The runtime of one life of ours.
#[derive(Clone)]
pub(crate) struct Flaky {
    inner: Arc<dyn ContainerRuntime>,
    script: Arc<Mutex<Script>>,
    killed: Arc<Notify>,
    given_up: Arc<Notify>,
    /// Held by what the engine does.
    under_way: Arc<RwLock<()>>,
    /// From which commit each volume was made, and which it is now.
    commits: Commits,
    faults: BTreeSet<Fault>,
}

/// The commit that is now, and that from which each volume was made.
pub(crate) type Commits = Arc<Mutex<(u32, BTreeMap<String, u32>)>>;

#[derive(Debug, Default)]
struct Script {
    calls: u32,
    trouble: Option<Trouble>,
    fired: bool,
}

impl Flaky {
    pub(crate) fn new(inner: Arc<dyn ContainerRuntime>, commits: Commits, faults: BTreeSet<Fault>) -> Self {
        Self {
            inner,
            script: Arc::default(),
            killed: Arc::default(),
            given_up: Arc::default(),
            under_way: Arc::default(),
            commits,
            faults,
        }
    }

    /// From now on the calls are counted, and that happens.
    pub(crate) fn begin(&self, trouble: Trouble) {
        *self.script() = Script { calls: 0, trouble: Some(trouble), fired: false };
        // What nobody took notice of is no longer so.
        let _ = self.given_up.notified().now_or_never();
    }

    /// Ends that. Answers whether it has happened.
    pub(crate) fn end(&self) -> bool {
        let mut script = self.script();
        script.trouble = None;
        script.fired
    }

    /// Returns when we are killed.
    pub(crate) async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Returns when we are to give up.
    pub(crate) async fn given_up(&self) -> Error {
        self.given_up.notified().await;
        Error::new(ErrorKind::TimedOut, "somebody has given up")
    }

    /// Returns when the engine has done all that it was asked for.
    pub(crate) async fn settled(&self) {
        drop(self.under_way.write().await);
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    fn shown(&self, mut container: Container) -> Container {
        if container.state == ContainerState::Paused && self.has(Fault::PausedLooksRunning) {
            container.state = ContainerState::Running;
        }
        if let (ContainerState::Restarting { code }, true) = (&container.state, self.has(Fault::RestartingLooksExited))
        {
            container.state = ContainerState::Exited { code: *code, out_of_memory: false };
        }
        if self.has(Fault::NetworksHaveNoIds) {
            container.network_ids.clear();
        }
        if self.has(Fault::RenamedIsUnknown) && container.name.starts_with("renamed-") {
            container.labels.remove(label::COMPONENT);
        }
        container
    }

    /// Whether something with these labels is seen.
    fn shows(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.has(Fault::OthersAreNotAsked) || labels.get(label::JOURNAL).is_some_and(|it| it.ends_with("walk"))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> Trouble {
        let mut script = self.script();
        script.calls += 1;
        let calls = script.calls;
        let trouble = script.trouble.filter(|trouble| match trouble {
            Trouble::None => false,
            Trouble::KilledBefore(call)
            | Trouble::KilledAfter(call)
            | Trouble::Fails(call)
            | Trouble::Lost(call)
            | Trouble::Slow(call)
            | Trouble::GivenUp(call) => *call == calls,
        });
        script.fired |= trouble.is_some();
        trouble.unwrap_or(Trouble::None)
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.trouble() {
            Trouble::None => call.await,
            Trouble::KilledBefore(_) => {
                self.killed.notify_one();
                pending().await
            }
            Trouble::KilledAfter(_) => {
                let _ = call.await;
                self.killed.notify_one();
                pending().await
            }
            Trouble::Fails(_) => Err(Error::new(ErrorKind::RuntimeUnavailable, "the walk's engine does not answer")),
            Trouble::Lost(_) => {
                let _ = call.await;
                Err(Error::new(ErrorKind::TimedOut, "the walk's engine did not answer in time"))
            }
            Trouble::Slow(_) => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                call.await
            }
            Trouble::GivenUp(_) => {
                self.given_up.notify_one();
                call.await
            }
        }
    }
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl fmt::Debug for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flaky").finish_non_exhaustive()
    }
}

// What is not handed on is what a runtime does that cannot do it.
#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ContainerRuntime for Flaky {
    fn capabilities(&self) -> RuntimeCapabilities {
        self.inner.capabilities()
    }

    async fn pull(&self, image: &ImageReference, refresh: bool) -> Result<String> {
        self.call(self.inner.pull(image, refresh)).await
    }

    async fn pull_with(&self, image: &ImageReference, how: &PullOptions) -> Result<String> {
        self.call(self.inner.pull_with(image, how)).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        // An engine goes on with it when nobody waits for its answer any more. Some take longer than others.
        let (inner, spec) = (Arc::clone(&self.inner), spec.clone());
        let turns = self.script().calls % 5;
        self.call(async {
            let under_way = Arc::clone(&self.under_way).read_owned().await;
            let created = tokio::spawn(async move {
                let _under_way = under_way;
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                inner.create(&spec).await
            });
            created.await.expect("nothing panics in there")
        })
        .await
    }

    async fn start(&self, container: &ContainerId) -> Result<()> {
        self.call(self.inner.start(container)).await
    }

    async fn start_again(&self, life: &Incarnation) -> Result<()> {
        self.call(self.inner.start_again(life)).await
    }

    async fn unpause(&self, container: &ContainerId) -> Result<()> {
        self.call(self.inner.unpause(container)).await
    }

    async fn port_is_free(&self, port: &PublishedPort) -> Result<bool> {
        Ok(self.call(self.inner.port_is_free(port)).await? || self.has(Fault::PortsAreNotAsked))
    }

    async fn image_volumes(&self, image: &str) -> Result<Vec<String>> {
        self.call(self.inner.image_volumes(image)).await
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<Container>> {
        let found = self.call(self.inner.inspect(container)).await?;
        // Looked at by its name, before that is taken.
        let hidden = |it: &Container| self.has(Fault::OthersAreNotAsked) && it.id != *container;
        Ok(found.filter(|it| !hidden(it)).map(|it| self.shown(it)))
    }

    async fn health_output(&self, container: &ContainerId) -> Result<Option<String>> {
        self.call(self.inner.health_output(container)).await
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Container>> {
        let mut all = Vec::new();
        for it in self.call(self.inner.list(selector)).await? {
            if self.has(Fault::StoppedIsGone) && matches!(it.state, ContainerState::Exited { code, .. } if code != 0) {
                self.inner.remove(&it.id).await?;
            } else {
                all.push(self.shown(it));
            }
        }
        Ok(all)
    }

    async fn stop(&self, container: &ContainerId, grace: Duration) -> Result<()> {
        self.call(self.inner.stop(container, grace)).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<()> {
        let was = self.inner.inspect(container).await?;
        self.call(self.inner.remove(container)).await?;
        if let Some(was) = was.filter(|_| self.has(Fault::RemovalTakesVolumes)) {
            for volume in self.inner.volumes(&Selector::default()).await? {
                let same = |key: &str| volume.labels.get(key) == was.labels.get(key);
                if volume.labels.contains_key(label::ANONYMOUS) && same(label::NAME) && same(label::COMPONENT) {
                    self.inner.remove_volume(&volume.name).await?;
                }
            }
        }
        Ok(())
    }

    async fn logs(&self, container: &ContainerId, tail: usize) -> Result<Vec<String>> {
        self.call(self.inner.logs(container, tail)).await
    }

    async fn follow_logs(&self, container: &ContainerId, tail: usize) -> Result<BoxStream<'static, Result<String>>> {
        self.call(self.inner.follow_logs(container, tail)).await
    }

    async fn read_log(&self, container: &ContainerId, query: &LogQuery) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.call(self.inner.read_log(container, query)).await
    }

    async fn members(&self, network: &str) -> Result<Vec<ContainerId>> {
        self.call(self.inner.members(network)).await
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<Network> {
        self.call(self.inner.create_network(spec)).await
    }

    async fn networks(&self, selector: &Selector) -> Result<Vec<Network>> {
        let all = self.call(self.inner.networks(selector)).await?;
        Ok(all.into_iter().filter(|it| self.shows(&it.labels)).collect())
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        if self.has(Fault::DownLeavesNetworks) {
            return Ok(());
        }
        self.call(self.inner.remove_network(id)).await
    }

    async fn connect(&self, container: &ContainerId, to: &Attachment) -> Result<()> {
        self.call(self.inner.connect(container, to)).await
    }

    async fn disconnect(&self, container: &ContainerId, network: &str) -> Result<()> {
        self.call(self.inner.disconnect(container, network)).await
    }

    async fn create_volume(&self, spec: &VolumeSpec) -> Result<()> {
        if self.has(Fault::VolumesBelongToACommit) {
            let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
            let now = commits.0;
            if *commits.1.entry(spec.name.clone()).or_insert(now) != now {
                return Err(Error::new(ErrorKind::NameTaken, format!("volume `{}` is not ours", spec.name)));
            }
        }
        self.call(self.inner.create_volume(spec)).await
    }

    async fn volumes(&self, selector: &Selector) -> Result<Vec<Volume>> {
        let all = self.call(self.inner.volumes(selector)).await?;
        Ok(all.into_iter().filter(|it| self.shows(&it.labels)).collect())
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.call(self.inner.remove_volume(name)).await
    }

    async fn attach(&self, container: &ContainerId, command: &AttachSpec) -> Result<Attached> {
        self.call(self.inner.attach(container, command)).await
    }

    fn cannot(&self, what: &str) -> Error {
        self.inner.cannot(what)
    }

    async fn exec(&self, container: &ContainerId, exec: &ExecSpec) -> Result<Executed> {
        self.call(self.inner.exec(container, exec)).await
    }

    async fn usage(&self, container: &ContainerId) -> Result<Usage> {
        self.call(self.inner.usage(container)).await
    }

    async fn events(&self, selector: &Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
        self.inner.events(selector).await
    }
}
