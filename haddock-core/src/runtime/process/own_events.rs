//! What this runtime tells of its own acts, so that its watchers hear of them at once.

use std::collections::BTreeMap;

use tokio::sync::broadcast;

use super::folder::Record;
use crate::container::ContainerId;

/// Events that wait for a watcher. One that is further behind looks at all containers instead.
const MAX_QUEUED_EVENTS: usize = 1024;

/// A start, an end or a removal, by this runtime.
#[derive(Debug, Clone)]
pub(super) struct OwnEvent {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) container: ContainerId,
    pub(super) action: &'static str,
}

/// Where this runtime tells what it does.
pub(super) struct OwnEvents(broadcast::Sender<OwnEvent>);

impl Default for OwnEvents {
    fn default() -> Self {
        Self(broadcast::Sender::new(MAX_QUEUED_EVENTS))
    }
}

impl OwnEvents {
    pub(super) fn tell(&self, record: &Record, action: &'static str) {
        // Nobody may be listening.
        let _ = self.0.send(OwnEvent { labels: record.labels.clone(), container: record.id(), action });
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<OwnEvent> {
        self.0.subscribe()
    }
}
