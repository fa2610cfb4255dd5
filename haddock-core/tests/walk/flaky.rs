//! A runtime whose calls fail, are late, lose their answers, or are the last before we are killed; and the faults that
//! mutants plant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use haddock_core::container::{Container, ContainerState, Selector, label};
use haddock_core::runtime::ContainerRuntime;
use haddock_core::testing::{Call, Faults, Faulty};
use haddock_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, RwLock};

use super::step::Trouble;

/// Faults that Haddock once had, and that mutants plant again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Removing a container removes its anonymous volumes.
    RemovalTakesVolumes,
    /// A paused container is taken for one that runs.
    PausedLooksRunning,
    /// A volume that was made from an earlier commit does not count as ours.
    VolumesBelongToACommit,
    /// A container that has ended is removed and made anew, and not started again.
    StoppedIsGone,
    /// The environment does not remember the file that it was brought up from.
    NoFile,
    /// An `up` does not count as a use of the environment.
    UpIsNoUse,
    /// A dry run counts as a look.
    DryRunsCount,
    /// Components whose profile is not active count as missing in the file.
    InactiveIsGone,
    /// Two operations at once do not wait for each other.
    NoTurns,
    /// `down` leaves networks behind.
    DownLeavesNetworks,
    /// Ports of the host are not checked before something is removed.
    PortsAreNotAsked,
    /// Names that belong to somebody else are not checked before something is removed.
    OthersAreNotAsked,
    /// A container that its engine restarts again and again counts as ended.
    RestartingLooksExited,
    /// A container is recognised by its name alone.
    RenamedIsUnknown,
    /// A network is recognised by its name alone.
    NetworksHaveNoIds,
    /// Two names become one, because long names are cut.
    NamesAreCut,
    /// Components that `only` leaves out count as missing in the file.
    OnlyIsAll,
    /// `down` does not ask who has links to it.
    LinksAreNotAsked,
    /// `prune` decides first, and waits for its turn afterwards.
    PruneDecidesFirst,
}

/// The runtime of one process: until it is killed.
#[derive(Clone)]
pub(crate) struct Flaky {
    /// The engine, without troubles.
    engine: Arc<dyn ContainerRuntime>,
    inner: Arc<Faulty<GoesOn>>,
    script: Script,
    /// The present commit, and the commit from which each volume was made.
    commits: Commits,
    faults: BTreeSet<Fault>,
}

/// The present commit, and the commit from which each volume was made.
pub(crate) type Commits = Arc<Mutex<(u32, BTreeMap<String, u32>)>>;

/// What happens to which call.
#[derive(Debug, Clone, Default)]
struct Script {
    planned: Arc<Mutex<Planned>>,
    killed: Arc<Notify>,
    given_up: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Planned {
    calls: u32,
    trouble: Option<Trouble>,
    /// The number of the call that the trouble happened to.
    hit: Option<usize>,
}

impl Script {
    fn planned(&self) -> MutexGuard<'_, Planned> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call. Returns what happens to it.
    fn trouble(&self, call: Call) -> Trouble {
        let mut planned = self.planned();
        planned.calls += 1;
        let calls = planned.calls;
        let trouble = planned.trouble.filter(|trouble| match trouble {
            Trouble::None => false,
            Trouble::KilledBefore(call)
            | Trouble::KilledAfter(call)
            | Trouble::Fails(call)
            | Trouble::Lost(call)
            | Trouble::Slow(call)
            | Trouble::GivenUp(call) => *call == calls,
        });
        if trouble.is_some() {
            planned.hit = Some(call.number);
        }
        trouble.unwrap_or(Trouble::None)
    }

    async fn kill(&self) -> Result<()> {
        self.killed.notify_one();
        pending().await
    }
}

#[async_trait]
impl Faults for Script {
    async fn before(&self, call: Call) -> Result<()> {
        if call.method == "events" {
            return Ok(());
        }
        match self.trouble(call) {
            Trouble::None | Trouble::KilledAfter(_) | Trouble::Lost(_) => Ok(()),
            Trouble::KilledBefore(_) => self.kill().await,
            Trouble::Fails(_) => Err(Error::new(ErrorKind::RuntimeUnavailable, "the walk's engine does not answer")),
            Trouble::Slow(_) => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                Ok(())
            }
            Trouble::GivenUp(_) => {
                self.given_up.notify_one();
                Ok(())
            }
        }
    }

    async fn after(&self, call: Call) -> Result<()> {
        let trouble = { Some(self.planned()).filter(|it| it.hit == Some(call.number)).and_then(|it| it.trouble) };
        match trouble {
            Some(Trouble::KilledAfter(_)) => self.kill().await,
            Some(Trouble::Lost(_)) => Err(Error::new(ErrorKind::TimedOut, "the walk's engine did not answer in time")),
            _ => Ok(()),
        }
    }
}

/// Like an engine, it goes on with a creation even if nobody waits for the answer any more. Some creations take longer
/// than others.
#[derive(Debug)]
struct GoesOn {
    inner: Arc<dyn ContainerRuntime>,
    script: Script,
    /// Held by everything that the engine is doing.
    under_way: Arc<RwLock<()>>,
}

impl fmt::Display for GoesOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

macro_rules! creations_go_on {
    ($me:ident, capabilities) => { $me.inner.capabilities() };
    ($me:ident, cannot, $what:ident) => { $me.inner.cannot($what) };
    ($me:ident, create, $spec:ident) => {{
        let (inner, spec) = (Arc::clone(&$me.inner), $spec.clone());
        let turns = $me.script.planned().calls % 5;
        let under_way = Arc::clone(&$me.under_way).read_owned().await;
        let created = tokio::spawn(async move {
            let _under_way = under_way;
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            inner.create(&spec).await
        });
        created.await.expect("nothing panics in there")
    }};
    ($me:ident, $method:ident $(, $argument:ident)*) => { $me.inner.$method($($argument),*).await };
}

haddock_core::forward_runtime! { [impl ContainerRuntime for GoesOn] creations_go_on }

impl Flaky {
    pub(crate) fn new(engine: Arc<dyn ContainerRuntime>, commits: Commits, faults: BTreeSet<Fault>) -> Self {
        let script = Script::default();
        let goes_on = GoesOn { inner: Arc::clone(&engine), script: script.clone(), under_way: Arc::default() };
        Self { engine, inner: Arc::new(Faulty::new(goes_on, script.clone())), script, commits, faults }
    }

    /// From now on calls are counted, and this trouble happens.
    pub(crate) fn begin(&self, trouble: Trouble) {
        *self.script.planned() = Planned { calls: 0, trouble: Some(trouble), hit: None };
        // Forget a signal that nobody has received.
        let _ = self.script.given_up.notified().now_or_never();
    }

    /// Ends the trouble. Returns whether it has happened.
    pub(crate) fn end(&self) -> bool {
        let mut planned = self.script.planned();
        planned.trouble = None;
        planned.hit.is_some()
    }

    /// Returns when we are killed.
    pub(crate) async fn killed(&self) {
        self.script.killed.notified().await;
    }

    /// Returns when we are to give up.
    pub(crate) async fn given_up(&self) -> Error {
        self.script.given_up.notified().await;
        Error::new(ErrorKind::TimedOut, "somebody has given up")
    }

    /// Returns when the engine has done everything that it was asked for.
    pub(crate) async fn settled(&self) {
        drop(self.inner.inner().under_way.write().await);
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
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.engine, f)
    }
}

impl fmt::Debug for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flaky").finish_non_exhaustive()
    }
}

macro_rules! as_mutants_have_it {
    ($me:ident, capabilities) => { $me.inner.capabilities() };
    ($me:ident, cannot, $what:ident) => { $me.inner.cannot($what) };
    ($me:ident, port_is_free, $port:ident) => {
        Ok($me.inner.port_is_free($port).await? || $me.has(Fault::PortsAreNotAsked))
    };
    ($me:ident, inspect, $container:ident) => {{
        let found = $me.inner.inspect($container).await?;
        // A look by name, for checking that the name is free.
        let hidden = |it: &Container| $me.has(Fault::OthersAreNotAsked) && it.id != *$container;
        Ok(found.filter(|it| !hidden(it)).map(|it| $me.shown(it)))
    }};
    ($me:ident, list, $selector:ident) => {{
        let mut all = Vec::new();
        for it in $me.inner.list($selector).await? {
            if $me.has(Fault::StoppedIsGone) && matches!(it.state, ContainerState::Exited { code, .. } if code != 0) {
                $me.engine.remove(&it.id).await?;
            } else {
                all.push($me.shown(it));
            }
        }
        Ok(all)
    }};
    ($me:ident, remove, $container:ident) => {{
        let was = $me.engine.inspect($container).await?;
        $me.inner.remove($container).await?;
        if let Some(was) = was.filter(|_| $me.has(Fault::RemovalTakesVolumes)) {
            for volume in $me.engine.volumes(&Selector::default()).await? {
                let same = |key: &str| volume.labels.get(key) == was.labels.get(key);
                if volume.labels.contains_key(label::ANONYMOUS) && same(label::NAME) && same(label::COMPONENT) {
                    $me.engine.remove_volume(&volume.name).await?;
                }
            }
        }
        Ok(())
    }};
    ($me:ident, networks, $selector:ident) => {{
        let all = $me.inner.networks($selector).await?;
        Ok(all.into_iter().filter(|it| $me.shows(&it.labels)).collect())
    }};
    ($me:ident, remove_network, $id:ident) => {
        match $me.has(Fault::DownLeavesNetworks) {
            true => Ok(()),
            false => $me.inner.remove_network($id).await,
        }
    };
    ($me:ident, create_volume, $spec:ident) => {{
        if $me.has(Fault::VolumesBelongToACommit) {
            let mut commits = $me.commits.lock().unwrap_or_else(PoisonError::into_inner);
            let now = commits.0;
            if *commits.1.entry($spec.name.clone()).or_insert(now) != now {
                return Err(Error::new(ErrorKind::NameTaken, format!("volume `{}` is not ours", $spec.name)));
            }
        }
        $me.inner.create_volume($spec).await
    }};
    ($me:ident, volumes, $selector:ident) => {{
        let all = $me.inner.volumes($selector).await?;
        Ok(all.into_iter().filter(|it| $me.shows(&it.labels)).collect())
    }};
    ($me:ident, $method:ident $(, $argument:ident)*) => { $me.inner.$method($($argument),*).await };
}

haddock_core::forward_runtime! { [impl ContainerRuntime for Flaky] as_mutants_have_it }
