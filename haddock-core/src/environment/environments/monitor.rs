//! Ending environments that nobody uses.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::history::Deed;
use super::{Environment, Environments};
use crate::container::{Container, Network, Selector, Usage, label};
use crate::environment::idle::{Activity, IdlePolicy, IdleVerdict, Memory};
use crate::environment::launch::DEFAULT_GRACE;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{EnvironmentName, InstanceId};
use crate::time::{Clock, SystemClock, sleep};

/// Before it is ended it is looked at once more, after that long.
const AGAIN: Duration = Duration::from_millis(500);

/// What came of an environment when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// Its name.
    pub name: EnvironmentName,
    /// What became of it, or would.
    pub verdict: IdleVerdict,
}

/// Says that this process uses an environment, until it is dropped. Killed, it leaves behind that it did: then the next
/// [`prune`](Environments::prune) removes the environment.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _file: File,
}

impl Claim {
    /// Ends it in an orderly way: the environment stays, and nobody claims it.
    pub fn release(self) {
        // Whoever could not remove it has lost it already.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Environments {
    /// Says that this process uses the environment.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if that cannot be written down; [`NotSupported`](ErrorKind::NotSupported) if
    /// specifications, and with them this, are in memory only.
    pub fn claim(&self, name: &EnvironmentName) -> Result<Claim> {
        let path = self.note(name, "claim")?;
        let failed = |error: std::io::Error| unwritten(&path, &error);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        file.lock_shared().map_err(failed)?;
        Ok(Claim { path, _file: file })
    }

    /// Keeps an environment for that long, whether or not anybody uses it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none, and those of [`claim`](Self::claim).
    pub async fn keep(&self, name: &EnvironmentName, time: Duration) -> Result<()> {
        self.get(name).await?;
        let now = SystemClock::new().now();
        let mut memory = self.recall(name)?.unwrap_or_else(|| Memory::new(now));
        memory.keep_until = Some(now + time);
        self.remember(name, &memory)
    }

    /// Looks at each environment, and ends those that nobody has used for as long as their files say, or, where these
    /// say nothing, `policy`: it stops them, and later removes them, volumes kept. One whose claim's owner was killed is
    /// removed at once. Instances of services and what they share are never touched. With `dry_run` nothing is done.
    ///
    /// It takes two looks in a row to find one idle: call it at intervals.
    ///
    /// # Errors
    /// The runtime's, and those of [`claim`](Self::claim).
    pub async fn prune(&self, policy: &IdlePolicy, dry_run: bool) -> Result<Vec<Pruned>> {
        self.prune_but(policy, dry_run, &|_| None).await
    }

    /// As [`prune`](Self::prune), but for those of which `used` says why they are in use, which no look at them shows.
    pub(crate) async fn prune_but(
        &self,
        policy: &IdlePolicy,
        dry_run: bool,
        used: &(dyn Fn(&Environment) -> Option<String> + Sync),
    ) -> Result<Vec<Pruned>> {
        let mut all = Vec::new();
        for environment in self.list().await? {
            if environment.name.as_str().ends_with("-shared") {
                continue;
            }
            let name = environment.name.clone();
            if let Some(why) = used(&environment) {
                all.push(Pruned { name, verdict: IdleVerdict::Used { why } });
                continue;
            }
            let verdict = self.look_at(&environment, policy, dry_run).await?;
            if !dry_run {
                match &verdict {
                    IdleVerdict::Stop { .. } => {
                        self.stop(&environment).await?;
                        self.tell(&name, Deed::Stop, self.record(&name)?.as_ref(), Vec::new(), None);
                    }
                    IdleVerdict::Remove { .. } => _ = self.down(&name, false).await?,
                    IdleVerdict::Used { .. } | IdleVerdict::Idle { .. } => {}
                }
            }
            all.push(Pruned { name, verdict });
        }
        Ok(all)
    }

    async fn look_at(&self, environment: &Environment, policy: &IdlePolicy, dry_run: bool) -> Result<IdleVerdict> {
        let name = &environment.name;
        match self.claimed(name)? {
            Some(true) => return Ok(IdleVerdict::Used { why: "a process claims it".to_owned() }),
            Some(false) => return Ok(IdleVerdict::Remove { idle: Duration::ZERO }),
            None => {}
        }
        let policy = of_file(environment).unwrap_or(*policy);
        let clock = SystemClock::new();
        let mut memory = self.recall(name)?.unwrap_or_else(|| Memory::new(clock.now()));
        let mut verdict = memory.judge(self.activity(environment, &clock).await, clock.now(), &policy);
        if !dry_run && matches!(verdict, IdleVerdict::Stop { .. } | IdleVerdict::Remove { .. }) {
            // Somebody may have come just now.
            sleep(AGAIN).await;
            verdict = memory.judge(self.activity(environment, &clock).await, clock.now(), &policy);
        }
        self.remember(name, &memory)?;
        Ok(verdict)
    }

    /// What it does; `None` if that cannot be known.
    async fn activity(&self, environment: &Environment, clock: &SystemClock) -> Option<Activity> {
        let uid = InstanceId::of_environment(&self.journal, &environment.name);
        let networks = self.runtime.networks(&Selector::environment(&self.journal, &uid)).await.ok()?;
        let running: Vec<&Container> = environment.components.values().filter(|it| it.is_running()).collect();
        // What is paused or about to be started again uses nothing, and is there to be stopped.
        let active = environment.components.values().any(Container::is_active);
        let (mut cpu, mut bytes, mut connections, mut checking) = (0, 0, 0, 0);
        let mut sessions = BTreeSet::new();
        for container in &running {
            let Usage { cpu: used, received, sent, callers, commands, checking: checks } =
                self.runtime.usage(&container.id).await.ok()?;
            cpu += used;
            checking += checks;
            bytes += received + sent;
            connections += callers?.iter().filter(|caller| is_outside(**caller, &networks)).count();
            sessions.extend(commands);
        }
        Some(Activity { at: clock.now(), cpu, bytes, connections, sessions, running: active, checking })
    }

    /// Stops what runs, those first that need others.
    async fn stop(&self, environment: &Environment) -> Result<()> {
        let rank = |container: &&Container| {
            std::cmp::Reverse(container.labels.get(label::RANK).and_then(|rank| rank.parse::<u64>().ok()))
        };
        let mut running: Vec<&Container> = environment.components.values().filter(|it| it.is_active()).collect();
        running.sort_by_key(rank);
        for container in running {
            let grace = container.labels.get(label::GRACE).and_then(|grace| grace.parse().ok());
            self.runtime.stop(&container.id, grace.map_or(DEFAULT_GRACE, Duration::from_millis)).await?;
        }
        Ok(())
    }

    /// Whether somebody claims it; `Some(false)`: somebody did, and was killed.
    fn claimed(&self, name: &EnvironmentName) -> Result<Option<bool>> {
        let Ok(path) = self.note(name, "claim") else { return Ok(None) };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unwritten(&path, &error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(false)),
            Err(TryLockError::WouldBlock) => Ok(Some(true)),
            Err(TryLockError::Error(error)) => Err(unwritten(&path, &error)),
        }
    }

    /// Forgets what was noted of it.
    pub(super) fn forget(&self, name: &EnvironmentName) {
        for kind in ["claim", "idle", "up"] {
            self.specs.remove_note(&format!("{name}.{kind}"));
        }
    }

    fn recall(&self, name: &EnvironmentName) -> Result<Option<Memory>> {
        let path = self.note(name, "idle")?;
        match std::fs::read(&path) {
            // What cannot be read is forgotten: it is then looked at as if for the first time.
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unwritten(&path, &error)),
        }
    }

    fn remember(&self, name: &EnvironmentName, memory: &Memory) -> Result<()> {
        let path = self.note(name, "idle")?;
        let text = serde_json::to_vec(memory).expect("plain data can be written as JSON");
        std::fs::write(&path, text).map_err(|error| unwritten(&path, &error))
    }

    /// Where something about an environment is written down.
    fn note(&self, name: &EnvironmentName, kind: &str) -> Result<PathBuf> {
        let folder = self.specs.folder().ok_or_else(|| {
            Error::new(ErrorKind::NotSupported, "with specifications in memory nothing is noted of environments")
                .with_hint("open the specifications in a folder")
        })?;
        Ok(folder.join(format!("{name}.{kind}")))
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read or write `{}`: {error}", path.display()))
}

/// What its file said when it was brought up.
fn of_file(environment: &Environment) -> Option<IdlePolicy> {
    let said = |label: &str| {
        let mut labels = environment.components.values().filter_map(|container| container.labels.get(label));
        labels.find_map(|text| text.parse().ok()).map(Duration::from_millis)
    };
    let policy = IdlePolicy { stop_after: said(label::STOP_AFTER), remove_after: said(label::REMOVE_AFTER) };
    (policy != IdlePolicy::default()).then_some(policy)
}

/// Whether a caller is none of the environment's own: on its networks, only the engine's host, by which come those that
/// call a published port.
fn is_outside(caller: std::net::IpAddr, networks: &[Network]) -> bool {
    let host = |network: &Network| network.subnet.and_then(|subnet| subnet.hosts().next());
    !caller.is_loopback()
        && networks.iter().all(|network| {
            !network.subnet.is_some_and(|subnet| subnet.contains(&caller)) || host(network) == Some(caller)
        })
}

/// The labels that say what the file says of it.
pub(super) fn labels(policy: &IdlePolicy) -> impl Iterator<Item = (String, String)> {
    let said = [(label::STOP_AFTER, policy.stop_after), (label::REMOVE_AFTER, policy.remove_after)];
    said.into_iter().filter_map(|(label, time)| Some((label.to_owned(), time?.as_millis().to_string())))
}
