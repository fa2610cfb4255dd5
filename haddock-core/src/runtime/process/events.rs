//! Events: what this runtime does is told at once, what others do to the folder is seen ten times a second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::ProcessRuntime;
use super::folder::Record;
use crate::container::{Container, ContainerId, ContainerState, Health, RuntimeEvent, Selector};
use crate::error::Result;
use crate::runtime::ContainerRuntime;
use crate::time::{Clock, SystemClock};

/// Between two looks at what others do.
const LOOK: Duration = Duration::from_millis(100);
/// Events that a reader may be late by.
const LATE: usize = 1024;
/// Tellings remembered, so that nothing is told twice.
const REMEMBERED: usize = 4096;

/// A start, an end or a removal, by this runtime.
#[derive(Debug, Clone)]
pub(super) struct Told {
    labels: BTreeMap<String, String>,
    container: ContainerId,
    action: &'static str,
}

/// Where this runtime tells what it does.
pub(super) struct Teller(broadcast::Sender<Told>);

impl Default for Teller {
    fn default() -> Self {
        Self(broadcast::Sender::new(LATE))
    }
}

impl Teller {
    pub(super) fn tell(&self, record: &Record, action: &'static str) {
        // Nobody may be listening.
        let _ = self.0.send(Told { labels: record.labels.clone(), container: record.id(), action });
    }
}

/// What is compared between two looks.
struct Seen {
    started: bool,
    ended: bool,
    health: Health,
}

impl From<Container> for Seen {
    fn from(container: Container) -> Self {
        let ended = matches!(container.state, ContainerState::Exited { .. });
        Self { started: container.started != 0, ended, health: container.health }
    }
}

struct Watch {
    runtime: ProcessRuntime,
    selector: Selector,
    clock: SystemClock,
    told: broadcast::Receiver<Told>,
    seen: BTreeMap<ContainerId, Seen>,
    /// A container starts, ends and goes once in its life.
    known: BTreeSet<(ContainerId, &'static str)>,
    order: VecDeque<(ContainerId, &'static str)>,
    waiting: VecDeque<RuntimeEvent>,
}

pub(super) async fn watch(runtime: ProcessRuntime, selector: Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
    let told = runtime.shared.teller.0.subscribe();
    let mut watch = Watch {
        runtime,
        selector,
        clock: SystemClock::new(),
        told,
        seen: BTreeMap::new(),
        known: BTreeSet::new(),
        order: VecDeque::new(),
        waiting: VecDeque::new(),
    };
    watch.look().await?;
    watch.waiting.clear();
    Ok(stream::unfold(watch, |mut watch| async move {
        loop {
            if let Some(event) = watch.waiting.pop_front() {
                return Some((event, watch));
            }
            match timeout(LOOK, watch.told.recv()).await {
                Ok(Ok(told)) if watch.selector.matches(&told.labels) => watch.tell(&told.container, told.action),
                Ok(Ok(_)) => {}
                // The folder is gone: so is the connection.
                Ok(Err(_)) | Err(_) => watch.look().await.ok()?,
            }
        }
    })
    .boxed())
}

impl Watch {
    fn tell(&mut self, container: &ContainerId, action: &'static str) {
        let telling = (container.clone(), action);
        if action != "health_status" {
            if !self.known.insert(telling.clone()) {
                return;
            }
            self.order.push_back(telling);
            if self.order.len() > REMEMBERED {
                self.order.pop_front().map(|oldest| self.known.remove(&oldest));
            }
        }
        let at = self.clock.now();
        self.waiting.push_back(RuntimeEvent { container: container.clone(), action: action.to_owned(), at });
    }

    async fn look(&mut self) -> Result<()> {
        let containers = self.runtime.list(&self.selector).await?;
        let now: BTreeMap<ContainerId, Seen> =
            containers.into_iter().map(|container| (container.id.clone(), container.into())).collect();
        let before = std::mem::take(&mut self.seen);
        for (id, new) in &now {
            let old = before.get(id);
            if new.started && !old.is_some_and(|old| old.started) {
                self.tell(id, "start");
            }
            if new.ended && !old.is_some_and(|old| old.ended) {
                self.tell(id, "die");
            }
            if old.is_some_and(|old| old.health != new.health) {
                self.tell(id, "health_status");
            }
        }
        for (id, old) in before.iter().filter(|(id, _)| !now.contains_key(*id)) {
            if old.started && !old.ended {
                self.tell(id, "die");
            }
            self.tell(id, "destroy");
        }
        self.seen = now;
        Ok(())
    }
}
