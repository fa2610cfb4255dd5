//! Events. What this runtime does is reported at once. For what others do, the folder is looked at ten times a second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::own_events::OwnEvent;
use crate::container::{Container, ContainerId, ContainerState, Health, RuntimeEvent, Selector};
use crate::error::Result;
use crate::runtime::ContainerRuntime;
use crate::time::{Clock, SystemClock};

/// How often the folder is looked at for what other processes do.
const FOLDER_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Events that are remembered, so that none is reported twice.
const MAX_REMEMBERED_EVENTS: usize = 4096;

/// The state of a container that is compared between two looks.
struct Snapshot {
    started: bool,
    ended: bool,
    health: Health,
}

impl From<Container> for Snapshot {
    fn from(container: Container) -> Self {
        let ended = matches!(container.state, ContainerState::Exited { .. });
        Self { started: container.started != 0, ended, health: container.health }
    }
}

struct Watch {
    runtime: Arc<dyn ContainerRuntime>,
    selector: Selector,
    clock: SystemClock,
    told: broadcast::Receiver<OwnEvent>,
    seen: BTreeMap<ContainerId, Snapshot>,
    /// A container starts, ends and is removed once in its life. What is here was reported.
    known: BTreeSet<(ContainerId, &'static str)>,
    order: VecDeque<(ContainerId, &'static str)>,
    waiting: VecDeque<RuntimeEvent>,
}

/// Watches the containers of the runtime, which tells by `told` what it does itself.
pub(super) async fn watch(
    runtime: Arc<dyn ContainerRuntime>,
    told: broadcast::Receiver<OwnEvent>,
    selector: Selector,
) -> Result<BoxStream<'static, RuntimeEvent>> {
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
            match timeout(FOLDER_POLL_INTERVAL, watch.told.recv()).await {
                Ok(Ok(told)) if watch.selector.matches(&told.labels) => watch.tell(&told.container, told.action),
                Ok(Ok(_)) => {}
                // If the folder cannot be read, the stream ends.
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
            if self.order.len() > MAX_REMEMBERED_EVENTS {
                self.order.pop_front().map(|oldest| self.known.remove(&oldest));
            }
        }
        let at = self.clock.now();
        self.waiting.push_back(RuntimeEvent { container: container.clone(), action: action.to_owned(), at });
    }

    async fn look(&mut self) -> Result<()> {
        let containers = self.runtime.list(&self.selector).await?;
        let now: BTreeMap<ContainerId, Snapshot> =
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
