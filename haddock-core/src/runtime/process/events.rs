//! Events, by looking: at once when something of ours changed, and ten times a second for what others do.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use super::ProcessRuntime;
use crate::container::{Container, ContainerId, ContainerState, Health, RuntimeEvent, Selector};
use crate::error::Result;
use crate::runtime::ContainerRuntime;
use crate::time::{Clock, SystemClock};

/// Between two looks, when nothing of ours changed.
const LOOK: Duration = Duration::from_millis(100);

/// What is compared between two looks.
#[derive(PartialEq, Eq)]
struct Seen {
    started: u64,
    ended: bool,
    health: Health,
}

impl From<Container> for Seen {
    fn from(container: Container) -> Self {
        let ended = matches!(container.state, ContainerState::Exited { .. });
        Self { started: container.started, ended, health: container.health }
    }
}

struct Watch {
    runtime: ProcessRuntime,
    selector: Selector,
    clock: SystemClock,
    seen: BTreeMap<ContainerId, Seen>,
    waiting: VecDeque<RuntimeEvent>,
}

pub(super) async fn watch(runtime: ProcessRuntime, selector: Selector) -> Result<BoxStream<'static, RuntimeEvent>> {
    let mut watch =
        Watch { runtime, selector, clock: SystemClock::new(), seen: BTreeMap::new(), waiting: VecDeque::new() };
    watch.look().await?;
    watch.waiting.clear();
    Ok(stream::unfold(watch, |mut watch| async move {
        loop {
            if let Some(event) = watch.waiting.pop_front() {
                return Some((event, watch));
            }
            let _ = timeout(LOOK, watch.runtime.shared.changed.notified()).await;
            // The folder is gone: so is the connection.
            watch.look().await.ok()?;
        }
    })
    .boxed())
}

impl Watch {
    async fn look(&mut self) -> Result<()> {
        let containers = self.runtime.list(&self.selector).await?;
        let now: BTreeMap<ContainerId, Seen> =
            containers.into_iter().map(|container| (container.id.clone(), container.into())).collect();
        let at = self.clock.now();
        let mut tell = |container: &ContainerId, action: &str| {
            self.waiting.push_back(RuntimeEvent { container: container.clone(), action: action.to_owned(), at });
        };
        for (id, new) in &now {
            let old = self.seen.get(id);
            if new.started != old.map_or(0, |old| old.started) {
                tell(id, "start");
            }
            if new.ended && !old.is_some_and(|old| old.ended && old.started == new.started) {
                tell(id, "die");
            }
            if old.is_some_and(|old| old.health != new.health) {
                tell(id, "health_status");
            }
        }
        for (id, old) in &self.seen {
            if !now.contains_key(id) {
                if old.started != 0 && !old.ended {
                    tell(id, "die");
                }
                tell(id, "destroy");
            }
        }
        self.seen = now;
        Ok(())
    }
}
