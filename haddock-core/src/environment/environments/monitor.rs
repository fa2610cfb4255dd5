//! Ending environments that nobody uses.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

use super::history::EnvironmentAction;
use super::{Environment, Environments};
use crate::container::{Container, ContainerState, Network, Usage, label};
use crate::environment::idle::{Activity, IdlePolicy, IdleVerdict, Life, Memory};
use crate::environment::launch::DEFAULT_GRACE;
use crate::error::{Error, ErrorKind, Result};
use crate::name::EnvironmentName;
use crate::time::sleep;

/// An idle environment is looked at once more, after this time, before it is stopped or removed.
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(500);

/// The result of looking at an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// Its name.
    pub name: EnvironmentName,
    /// What was done with it, or would be done.
    pub verdict: IdleVerdict,
}

/// Marks an environment as used by this process, until it is dropped. If the process is killed, the mark stays, and the
/// next [`prune`](Environments::prune) removes the environment.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    _file: File,
}

impl Claim {
    /// Ends the claim in order: the environment stays, and nobody claims it.
    pub fn release(self) {
        // If it cannot be removed, it is gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Knows uses of an environment that cannot be seen at the environment itself.
#[async_trait]
pub(crate) trait Users: Send + Sync {
    /// Why it is in use now, for people. `None`: it is not in use in this way.
    async fn why_used(&self, environment: &Environment) -> Result<Option<String>>;
}

struct NobodyElse;

#[async_trait]
impl Users for NobodyElse {
    async fn why_used(&self, _environment: &Environment) -> Result<Option<String>> {
        Ok(None)
    }
}

impl Environments {
    /// Marks the environment as used by this process.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if that cannot be written down; [`NotSupported`](ErrorKind::NotSupported) if
    /// specifications are kept in memory, because then there is no folder for it.
    pub fn claim(&self, name: &EnvironmentName) -> Result<Claim> {
        let path = self.path(name, "claim")?;
        let failed = |error: std::io::Error| unwritten(&path, &error);
        loop {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
            file.lock_shared().map_err(failed)?;
            // Another process may have removed the file before it was locked.
            let is_there = std::fs::metadata(&path).is_ok_and(|there| {
                file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
            });
            if is_there {
                return Ok(Claim { path, _file: file });
            }
        }
    }

    /// Keeps an environment for this time, whether or not anybody uses it.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none, [`Io`](ErrorKind::Io) if that cannot be written down.
    pub async fn keep(&self, name: &EnvironmentName, time: Duration) -> Result<()> {
        self.get(name).await?;
        let until = self.now() + time;
        let text = serde_json::to_vec(&until).expect("plain data can be written as JSON");
        self.specs.put_note(&format!("{name}.keep"), text)
    }

    /// Looks at each environment, and ends those that nobody has used for long enough: it stops them, and later removes
    /// them, but not their volumes. How long is enough, their files say; `policy` is for files that do not. If an
    /// environment was claimed by a process that was killed, it is removed at once. Instances of services and what they
    /// share are never touched. With `dry_run` nothing is done, and it does not count as a look.
    ///
    /// Two looks in a row have to find an environment idle, and the time between two looks counts for at most half of a
    /// limit. So call it at intervals. One that cannot be inspected, stopped or removed is [`IdleVerdict::Failed`]; the
    /// others are looked at nevertheless.
    ///
    /// # Errors
    /// The runtime's, if it does not say which environments there are.
    pub async fn prune(&self, policy: &IdlePolicy, dry_run: bool) -> Result<Vec<Pruned>> {
        self.prune_but(policy, dry_run, &NobodyElse).await
    }

    /// As [`prune`](Self::prune), but keeps environments that are in use for a reason that only `users` knows.
    pub(crate) async fn prune_but(&self, policy: &IdlePolicy, dry_run: bool, users: &dyn Users) -> Result<Vec<Pruned>> {
        let mut all = Vec::new();
        for environment in self.list().await? {
            if self.serves(&environment.name)?.is_some() {
                continue;
            }
            let name = environment.name.clone();
            let pruned = if dry_run {
                self.decide(&environment, policy, users).await.map(|(verdict, _)| Some(verdict))
            } else {
                self.end_idle(&name, policy, users).await
            };
            match pruned {
                Ok(Some(verdict)) => all.push(Pruned { name, verdict }),
                // Somebody else has removed it.
                Ok(None) => {}
                Err(error) => all.push(Pruned { name, verdict: IdleVerdict::Failed { error } }),
            }
        }
        Ok(all)
    }

    /// Looks at one, and ends it if it is idle, while nobody else can change it. `None`: it is gone.
    async fn end_idle(
        &self,
        name: &EnvironmentName,
        policy: &IdlePolicy,
        users: &dyn Users,
    ) -> Result<Option<IdleVerdict>> {
        let used = |why: &str| Ok(Some(IdleVerdict::Used { why: why.to_owned() }));
        let Some(_turn) = self.locks.try_take(name)? else { return used("something is being done with it") };
        let mut ends = false;
        loop {
            let environment = match self.get(name).await {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                environment => environment?,
            };
            let (verdict, memory) = self.decide(&environment, policy, users).await?;
            match memory {
                Some(memory) => self.remember(name, &memory)?,
                None => self.mark_used(name),
            }
            let is_over = matches!(verdict, IdleVerdict::Stop { .. } | IdleVerdict::Remove { .. });
            if is_over && !ends {
                // Somebody may have begun to use it just now.
                ends = true;
                sleep(SECOND_LOOK_AFTER).await;
                continue;
            }
            match &verdict {
                IdleVerdict::Stop { .. } => {
                    let stopped = self.stop(&environment).await;
                    self.tell(
                        name,
                        EnvironmentAction::Stop,
                        self.record(name)?.as_ref(),
                        Vec::new(),
                        stopped.as_ref().err(),
                    );
                    stopped?;
                }
                IdleVerdict::Remove { .. } => match self.down_in_turn(name, false).await {
                    // What others need is in use.
                    Err(error) if error.kind() == ErrorKind::Busy => return used(error.message()),
                    removed => _ = removed?,
                },
                IdleVerdict::Used { .. } | IdleVerdict::Idle { .. } | IdleVerdict::Failed { .. } => {}
            }
            return Ok(Some(verdict));
        }
    }

    /// What to do with it, and what to remember of this look. `None`: remember that it is in use.
    async fn decide(
        &self,
        environment: &Environment,
        policy: &IdlePolicy,
        users: &dyn Users,
    ) -> Result<(IdleVerdict, Option<Memory>)> {
        let name = &environment.name;
        if let Some(why) = users.why_used(environment).await? {
            return Ok((IdleVerdict::Used { why }, None));
        }
        match self.claimed(name)? {
            Some(true) => return Ok((IdleVerdict::Used { why: "a process claims it".to_owned() }, None)),
            Some(false) => return Ok((IdleVerdict::Remove { idle: Duration::ZERO }, None)),
            None => {}
        }
        let policy = self.policy(name)?.unwrap_or(*policy);
        let mut memory: Memory = self.recall(name, "idle")?.unwrap_or_default();
        let kept = self.recall(name, "keep")?;
        let activity = self.activity(environment).await;
        let verdict = memory.judge(activity, self.now(), &policy, kept);
        Ok((verdict, Some(memory)))
    }

    /// The policy of its file when it was last brought up. `None` if the file had none, or if it is unknown.
    fn policy(&self, name: &EnvironmentName) -> Result<Option<IdlePolicy>> {
        let Some(record) = self.record(name)? else { return Ok(None) };
        let policy = self.specs.get(&record.spec)?.and_then(|spec| spec.idle);
        Ok(policy.filter(|policy| *policy != IdlePolicy::default()))
    }

    /// Lets its idle time begin anew.
    pub(super) fn mark_used(&self, name: &EnvironmentName) {
        self.specs.remove_note(&format!("{name}.idle"));
    }

    /// Somebody brings it up: its idle time begins anew, and claims of killed processes are forgotten.
    pub(super) fn mark_up(&self, name: &EnvironmentName) -> Result<()> {
        self.mark_used(name);
        if self.claimed(name)? == Some(false) {
            self.specs.remove_note(&format!("{name}.claim"));
        }
        Ok(())
    }

    /// What it does; `None` if that cannot be known.
    async fn activity(&self, environment: &Environment) -> Option<Activity> {
        let networks = self.runtime.networks(&self.selector(&environment.name)).await.ok()?;
        let running = environment.components.values().filter(|it| it.is_running());
        let mut seen = Activity {
            at: self.now(),
            lives: Vec::new(),
            // A container that is paused or about to be started again uses nothing, but it can be stopped.
            running: environment.components.values().any(Container::is_active),
            restarting: environment.components.values().any(is_restarting),
            connections: 0,
            sessions: BTreeSet::new(),
            checking: 0,
        };
        for container in running {
            let Usage { cpu, received, sent, callers, commands, checking } =
                self.runtime.usage(&container.id).await.ok()?;
            let incarnation = container.incarnation();
            seen.lives.push(Life { incarnation, cpu, bytes: received.saturating_add(sent) });
            seen.checking += checking;
            seen.connections += callers?.iter().filter(|caller| is_outside(**caller, &networks)).count();
            seen.sessions.extend(commands);
        }
        seen.at = self.now();
        Some(seen)
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
        let Ok(path) = self.path(name, "claim") else { return Ok(None) };
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
        for kind in ["claim", "idle", "keep", "up"] {
            self.specs.remove_note(&format!("{name}.{kind}"));
        }
    }

    /// What is noted of it. A note that cannot be read counts as missing.
    fn recall<T: DeserializeOwned>(&self, name: &EnvironmentName, kind: &str) -> Result<Option<T>> {
        let text = self.specs.note(&format!("{name}.{kind}"))?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    fn remember(&self, name: &EnvironmentName, memory: &Memory) -> Result<()> {
        let text = serde_json::to_vec(memory).expect("plain data can be written as JSON");
        let Ok(path) = self.path(name, "idle") else {
            return self.specs.put_note(&format!("{name}.idle"), text);
        };
        // The note is not flushed to disk, so a look does not wait for that. If a crash damages the note, the
        // environment counts as never looked at.
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(&text));
        written.map_err(|error| unwritten(&path, &error))
    }

    /// The file in which something about an environment is written down.
    fn path(&self, name: &EnvironmentName, kind: &str) -> Result<PathBuf> {
        let folder = self.specs.folder().ok_or_else(|| {
            Error::new(ErrorKind::NotSupported, "with specifications in memory nobody can claim an environment")
                .with_hint("open the specifications in a folder")
        })?;
        Ok(folder.join(format!("{name}.{kind}")))
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot read or write `{}`: {error}", path.display()))
}

/// Whether a caller is outside the environment. On the environment's networks that is only the engine's host: calls to
/// a published port come from its address.
fn is_outside(caller: std::net::IpAddr, networks: &[Network]) -> bool {
    let host = |network: &Network| network.subnet.and_then(|subnet| subnet.hosts().next());
    !caller.is_loopback()
        && networks.iter().all(|network| {
            !network.subnet.is_some_and(|subnet| subnet.contains(&caller)) || host(network) == Some(caller)
        })
}

fn is_restarting(container: &Container) -> bool {
    matches!(container.state, ContainerState::Restarting { .. })
}
