//! What happens at the gateway, for those that want to be told at once.
//!
//! The newest events are kept in a ring. Each reader has a place in it, so a slow one takes no memory and holds nobody up:
//! it misses events, and is told so.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use crate::name::{InstanceId, ServiceName};
use crate::routing::{Count, FencingToken, Share, millis};
use crate::time::Timestamp;

/// Events that are kept. A release of a service has some dozens; session counts come once a second.
const MAX_KEPT: usize = 1024;

/// Readers at a time.
const MAX_READERS: usize = 64;

/// Something that happened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Happened {
    /// A table came into force.
    TableApplied {
        service: ServiceName,
        number: FencingToken,
        /// The share of each instance.
        shares: BTreeMap<InstanceId, Share>,
    },
    /// An instance is listed that was not.
    InstanceAdded { service: ServiceName, instance: InstanceId, address: SocketAddr },
    /// An instance is listed no more.
    InstanceRemoved { service: ServiceName, instance: InstanceId },
    /// An instance gets nothing more, for ever.
    InstanceClosed { service: ServiceName, instance: InstanceId },
    /// An instance gets nothing more, for ever, and its sessions have ended.
    InstanceEvicted { service: ServiceName, instance: InstanceId },
    /// Requests for an instance wait.
    Held {
        service: ServiceName,
        instance: InstanceId,
        /// For how long at most, in milliseconds.
        #[serde(with = "millis")]
        #[schemars(with = "u64")]
        within: Duration,
    },
    /// They go on.
    Resumed { service: ServiceName, instance: InstanceId },
    /// Numbers of live sessions have changed. It comes at most once a second.
    Sessions {
        service: ServiceName,
        /// Of all instances.
        live: BTreeMap<InstanceId, Count>,
    },
    /// Certificates were read again.
    CertificatesReloaded,
    /// Events were lost before this one: look at everything anew.
    Lost,
}

impl Happened {
    /// The service that it is about. `None`: all of them.
    pub(super) fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::TableApplied { service, .. }
            | Self::InstanceAdded { service, .. }
            | Self::InstanceRemoved { service, .. }
            | Self::InstanceClosed { service, .. }
            | Self::InstanceEvicted { service, .. }
            | Self::Held { service, .. }
            | Self::Resumed { service, .. }
            | Self::Sessions { service, .. } => Some(service),
            Self::CertificatesReloaded | Self::Lost => None,
        }
    }

    /// Its kind, as in its JSON.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::TableApplied { .. } => "table_applied",
            Self::InstanceAdded { .. } => "instance_added",
            Self::InstanceRemoved { .. } => "instance_removed",
            Self::InstanceClosed { .. } => "instance_closed",
            Self::InstanceEvicted { .. } => "instance_evicted",
            Self::Held { .. } => "held",
            Self::Resumed { .. } => "resumed",
            Self::Sessions { .. } => "sessions",
            Self::CertificatesReloaded => "certificates_reloaded",
            Self::Lost => "lost",
        }
    }
}

/// An event, and when it happened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Event {
    pub(super) at: Timestamp,
    #[serde(flatten)]
    pub(super) happened: Happened,
}

/// The events of a gateway.
#[derive(Debug)]
pub(super) struct Events {
    ring: Mutex<Ring>,
    /// The number of the newest one. The first has the number 1.
    newest: watch::Sender<u64>,
    readers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Ring {
    newest: u64,
    kept: VecDeque<Event>,
}

impl Events {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { ring: Mutex::default(), newest: watch::Sender::new(0), readers: AtomicUsize::new(0) })
    }

    /// Something has happened.
    pub(super) fn note(&self, at: Timestamp, happened: Happened) {
        let mut ring = self.ring();
        if ring.kept.len() == MAX_KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Event { at, happened });
        ring.newest += 1;
        self.newest.send_replace(ring.newest);
    }

    /// The number of the newest event.
    pub(super) fn newest(&self) -> u64 {
        self.ring().newest
    }

    /// The first events after that one, with the number of the first. A higher number means that some were lost.
    pub(super) fn after(&self, number: u64, most: usize) -> (u64, Vec<Event>) {
        let ring = self.ring();
        let oldest = ring.newest - ring.kept.len() as u64 + 1;
        let first = (number + 1).max(oldest);
        let skipped = usize::try_from(first - oldest).unwrap_or(usize::MAX);
        (first, ring.kept.iter().skip(skipped).take(most).cloned().collect())
    }

    /// Tells of each further event.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Counts a reader until it is dropped. `None`: there are too many.
    pub(super) fn reader(self: &Arc<Self>) -> Option<Reader> {
        let counted = self.readers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |readers| {
            (readers < MAX_READERS).then_some(readers + 1)
        });
        counted.ok().map(|_| Reader(Arc::clone(self)))
    }

    /// Whether anybody reads.
    pub(super) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 0
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who reads.
#[derive(Debug)]
pub(super) struct Reader(Arc<Events>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_and_a_gap_is_seen() {
        let events = Events::new();
        assert_eq!(events.after(0, 10).1.len(), 0);
        for n in 1..=MAX_KEPT as u64 + 5 {
            events.note(Timestamp::from_millis(n), Happened::CertificatesReloaded);
        }
        let (first, some) = events.after(0, 2);
        assert_eq!((first, some.len(), some[0].at.as_millis()), (6, 2, 6), "five are lost");
        let (first, some) = events.after(7, 2);
        assert_eq!((first, some[0].at.as_millis()), (8, 8));
        let newest = events.newest();
        assert_eq!(events.after(newest, 2).1.len(), 0);
        assert_eq!(events.after(newest - 1, 2).1.len(), 1);
    }

    #[test]
    fn readers_are_counted_and_bounded() {
        let events = Events::new();
        let readers: Vec<_> = (0..MAX_READERS).map(|_| events.reader().expect("room")).collect();
        assert!(events.reader().is_none() && events.is_read());
        drop(readers);
        assert!(!events.is_read() && events.reader().is_some());
    }

    #[test]
    fn the_name_is_that_of_the_json() {
        let service = ServiceName::new("shop").expect("valid");
        let instance = InstanceId::new("shop-1").expect("valid");
        let of = |happened: Happened| {
            let json = serde_json::to_value(&happened).expect("plain data");
            assert_eq!(json["event"], happened.name());
            json.to_string()
        };
        of(Happened::Lost);
        of(Happened::CertificatesReloaded);
        of(Happened::InstanceClosed { service: service.clone(), instance: instance.clone() });
        of(Happened::InstanceEvicted { service: service.clone(), instance: instance.clone() });
        of(Happened::InstanceRemoved { service: service.clone(), instance: instance.clone() });
        of(Happened::Resumed { service: service.clone(), instance: instance.clone() });
        let address = ([127, 0, 0, 1], 1).into();
        of(Happened::InstanceAdded { service: service.clone(), instance: instance.clone(), address });
        of(Happened::Sessions { service: service.clone(), live: BTreeMap::from([(instance.clone(), Count::Unknown)]) });
        let shares = BTreeMap::from([(instance.clone(), Share::FULL)]);
        of(Happened::TableApplied { service: service.clone(), number: FencingToken::default(), shares });
        let json = of(Happened::Held { service, instance, within: Duration::from_secs(2) });
        assert!(json.contains("\"within\":2000"), "{json}");
    }
}
