//! The loop of one service, and its lease.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::count::{Counters, questions};
use super::ends::caught;
use super::forget::{forget_when_told, prune_now_and_then};
use super::log_outs::LogOuts;
use super::observe::{Probers, observe};
use super::ports::{LOCATOR_LIMIT, Ports};
use super::tasks::{Ended, Tasks};
use crate::container::Selector;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::journal::{Commit, Lease};
use crate::name::ServiceName;
use crate::release::{ServiceLoop, Step};
use crate::time::{Timestamp, sleep};

/// The shortest time between two looks, if the first led to nothing. Many wakes within it lead to one look.
const MIN_LOOK_INTERVAL: Duration = Duration::from_millis(10);
/// The time between two tries of a journal that does not answer, or of an event stream that has ended.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A loop that acts for a service. If it is dropped, it is aborted as in a crash, and whoever acts next goes on from
/// there.
#[derive(Debug)]
#[must_use = "dropped, it ends, and nobody acts for the service"]
pub struct Acting {
    stop: CancellationToken,
    task: Option<JoinHandle<Result<()>>>,
}

impl Acting {
    /// Takes the lease and starts the loop.
    pub(crate) async fn start(ports: Arc<Ports>, service: ServiceName) -> Result<Self> {
        // No lease is taken for a state that cannot be read, so that a process that can read it may act at any time.
        if let Err(error) = ports.journal.load(&service).await {
            if !error.is_retryable() {
                ports.note_end(&service, &error).await;
            }
            return Err(error);
        }
        let lease = ports.journal.acquire(&service, &ports.holder, ports.lease, ports.clock.now()).await?;
        let state = match ports.state_or_new(&service).await {
            Ok(state) => state,
            Err(error) => {
                ports.journal.give_back(&lease).await?;
                return Err(error);
            }
        };
        let stop = CancellationToken::new();
        let until = watch::Sender::new(lease.until);
        let actor = Actor {
            waker: ports.waker(&service),
            forget: Arc::new(Notify::new()),
            tasks: Tasks::new(until.subscribe()),
            probers: Probers::default(),
            counters: Counters::default(),
            log_outs: LogOuts::default(),
            turns: ServiceLoop::new(state, lease.epoch),
            lease: lease.clone(),
            until,
            service,
            ports: Arc::clone(&ports),
        };
        let told = stop.clone();
        let task = tokio::spawn(async move {
            // Its tasks end with it, before the lease is given back.
            let result = caught("the loop of the service", actor.run(told)).await;
            ports.ended(&lease, result).await
        });
        Ok(Self { stop, task: Some(task) })
    }

    /// Ends the loop after its present step, and gives the lease back. Actions that it was carrying out are left
    /// unfinished.
    ///
    /// # Errors
    /// Why the loop had ended already: [`Fenced`](ErrorKind::Fenced) if another took over.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        self.ended().await
    }

    /// Whether the loop has ended, by itself or because it was stopped.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the loop ends by itself.
    ///
    /// # Errors
    /// Why it ended: [`Fenced`](ErrorKind::Fenced) if another has taken over, [`Panicked`](ErrorKind::Panicked) if
    /// there is a bug, [`JournalTooNew`](ErrorKind::JournalTooNew) and the like if the journal cannot be read any more.
    pub async fn ended(&mut self) -> Result<()> {
        match &mut self.task {
            Some(task) => {
                let result = task.await;
                self.task = None;
                result.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Actor {
    ports: Arc<Ports>,
    service: ServiceName,
    lease: Lease,
    /// When the lease ends. The tasks look at it: none goes on after that.
    until: watch::Sender<Timestamp>,
    /// What is remembered between two turns.
    turns: ServiceLoop,
    tasks: Tasks,
    probers: Probers,
    counters: Counters,
    log_outs: LogOuts,
    waker: Arc<Notify>,
    /// Told when there may be specifications that nothing needs any more.
    forget: Arc<Notify>,
}

/// What a turn came to.
struct Turn {
    /// When to look again if nothing happens before.
    wake_at: Option<Timestamp>,
    committed: bool,
}

impl Actor {
    async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let events = AbortOnDrop(tokio::spawn(wake_on_events(Arc::clone(&self.ports), Arc::clone(&self.waker))));
        let forgets = AbortOnDrop(tokio::spawn(forget_when_told(Arc::clone(&self.ports), Arc::clone(&self.forget))));
        let prunes = prune_now_and_then(Arc::clone(&self.ports), self.service.clone());
        let prunes = AbortOnDrop(tokio::spawn(prunes));
        // The controller before this one may have been killed before it forgot them.
        self.forget.notify_one();
        let mut has_begun = false;
        let result = loop {
            let turn = match self.turn().await {
                Ok(turn) => {
                    if !has_begun {
                        // This loop acts, so the end of an earlier one is no longer of interest.
                        has_begun = self.ports.journal.note_end(&self.service, None).await.is_ok();
                    }
                    turn
                }
                Err(error) if error.is_retryable() => {
                    self.ports.watcher.troubled(&self.service, &error);
                    tracing::warn!(service = %self.service, %error, "cannot go on for now");
                    Turn { wake_at: Some(self.ports.clock.now() + RETRY_INTERVAL), committed: false }
                }
                Err(error) => break Err(error),
            };
            if self.wait(turn, &stop).await {
                break Ok(());
            }
        };
        drop((events, forgets, prunes));
        result
    }

    /// Observe, step, commit, act.
    async fn turn(&mut self) -> Result<Turn> {
        self.keep_lease().await?;
        self.probers.follow(self.turns.state(), &self.ports);
        self.counters.follow(questions(self.turns.state(), self.probers.host()), &self.ports.asking());
        self.log_outs.pass_on(&self.ports, self.turns.state()).await;
        let observation = observe(&self.ports, &self.service, &self.probers, self.counters.latest()).await?;
        self.probers.learn(&observation);
        let step = self.turns.step(observation, self.ports.clock.now());
        let turn = Turn { wake_at: step.wake_at, committed: step.must_commit() };
        if turn.committed {
            self.commit(step).await?;
        }
        Ok(turn)
    }

    async fn keep_lease(&mut self) -> Result<()> {
        let now = self.ports.clock.now();
        if self.renew_at() <= now {
            self.lease = self.ports.journal.renew(&self.lease, self.ports.lease, now).await?;
            self.until.send_replace(self.lease.until);
        }
        Ok(())
    }

    /// When a third of the lease has passed.
    fn renew_at(&self) -> Timestamp {
        let left = self.lease.until - self.ports.clock.now();
        self.ports.clock.now() + left.saturating_sub(self.ports.lease * 2 / 3)
    }

    async fn commit(&mut self, step: Step) -> Result<()> {
        self.ports.watcher.committing(&step);
        let commit = Commit { state: step.state.clone(), events: step.events.clone(), taken: step.taken.clone() };
        if let Err(error) = self.ports.journal.commit(&self.lease, &commit).await {
            self.reload().await?;
            return Err(error);
        }
        self.ports.watcher.committed(&step);
        self.ports.commits.send_modify(|commits| *commits += 1);
        let (before, after) = (self.turns.state().specs(self.ports.rollbacks), step.state.specs(self.ports.rollbacks));
        if !before.is_subset(&after) {
            self.forget.notify_one();
        }
        let actions = self.turns.committed(step);
        self.tasks.give_up(|task, run| !self.turns.is_running(task, run));
        for action in actions {
            // An action starts only if the lease outlasts the time that it may take at a locator. One that does not is
            // decided again.
            if self.lease.until <= self.ports.clock.now() + LOCATOR_LIMIT {
                continue;
            }
            if let Some(run) = self.turns.begin(&action) {
                self.tasks.start(&self.ports, self.turns.state(), action, run);
            }
        }
        Ok(())
    }

    /// After a commit that failed, the journal says whether it took effect.
    async fn reload(&mut self) -> Result<()> {
        match self.ports.journal.load(&self.service).await? {
            Some(state) => self.turns.reloaded(state),
            None => Ok(()),
        }
    }

    /// Notes how a run ended.
    fn note(&mut self, ended: Ended) {
        self.turns.ended(&ended.task, ended.run, ended.report);
    }

    /// Waits until there is something to look at. Returns whether to stop.
    async fn wait(&mut self, turn: Turn, stop: &CancellationToken) -> bool {
        let now = self.ports.clock.now();
        let tick = self.ports.tick.min(self.renew_at() - now);
        let tick = turn.wake_at.map_or(tick, |at| (at - now).min(tick));
        let woken = async {
            tokio::select! {
                () = stop.cancelled() => None,
                () = self.waker.notified() => None,
                ended = self.tasks.next() => ended,
            }
        };
        if let Some(ended) = timeout(tick, woken).await.unwrap_or(None) {
            self.note(ended);
        }
        while let Some(ended) = self.tasks.try_next() {
            self.note(ended);
        }
        let stopped = stop.is_cancelled();
        if !turn.committed && !stopped && self.ports.clock.now() - now < MIN_LOOK_INTERVAL {
            sleep(MIN_LOOK_INTERVAL).await;
        }
        stop.is_cancelled()
    }
}

/// Wakes the loop whenever a container of the journal starts, ends or is removed. A missed event costs a tick.
async fn wake_on_events(ports: Arc<Ports>, waker: Arc<Notify>) {
    if !ports.runtime.capabilities().events {
        return;
    }
    let selector = Selector::journal(ports.journal.id());
    loop {
        if let Ok(mut events) = ports.runtime.events(&selector).await {
            while events.next().await.is_some() {
                waker.notify_one();
            }
        }
        sleep(RETRY_INTERVAL).await;
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
