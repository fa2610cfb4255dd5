//! How many sessions each server has: entries of the stick table, counted while they are listed.
//!
//! HAProxy has no such number, so each count is a listing of the whole table. Its cost grows with the table: on one core,
//! 10 ms for 10 000 entries, 0.12 s for 100 000, and 1.2 s and 96 MB for 1 000 000. HAProxy goes on with requests
//! meanwhile (none waited for more than 20 ms). A listing of one server's entries is cheaper, but holds a thread of
//! HAProxy until it is done (0.14 s for 1 000 000), so it is used only for tables that are larger than that.
//!
//! Whatever it cost, a listing is used again for 25 times as long. So counting takes at most 4 % of a core, and tables of
//! up to some 20 000 entries are listed each time. Between two listings the count is an upper limit: new sessions can
//! only be those for which the balancing has chosen the server since.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answers::{self, BackendStats, ServerState, TableHead};
use super::client::Client;
use crate::routing::Count;
use crate::time::{Clock, Timestamp};

/// For how many times of its cost a listing is used again.
const REUSED: u32 = 25;
/// What costs less is listed each time.
const CHEAP: Duration = Duration::from_millis(20);
/// How long a listing may take. The controller waits 3 s for a report.
const LISTING_LIMIT: Duration = Duration::from_millis(2_200);
/// The largest table that is listed as a whole.
const MAX_WHOLE: u64 = 1_000_000;

/// A listing of a backend's table.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    incarnation: u64,
    at: Timestamp,
    cost: Duration,
    /// For each server that was counted: its sessions, and how often it had been chosen before.
    servers: BTreeMap<u32, Counted>,
    fresh: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    sessions: u64,
    chosen: u64,
}

impl Listing {
    /// Whether it can still be used.
    pub(super) fn is_good(&self, incarnation: u64, now: Timestamp) -> bool {
        self.incarnation == incarnation && self.cost >= CHEAP && now.since(self.at) < self.cost * REUSED
    }

    /// The same one, some time later.
    pub(super) fn again(self) -> Self {
        Self { fresh: false, ..self }
    }

    /// The sessions of a server that has been chosen so often.
    pub(super) fn sessions(&self, server: u32, chosen: u64) -> Count {
        match self.servers.get(&server) {
            None => Count::Unknown,
            Some(counted) if self.fresh => Count::Exact(counted.sessions),
            Some(counted) => Count::AtMost(counted.sessions + chosen.saturating_sub(counted.chosen)),
        }
    }
}

/// Lists the table of a backend. What could not be listed in time is unknown.
pub(super) async fn list(
    client: &Client,
    clock: &dyn Clock,
    backend: &str,
    incarnation: u64,
    head: &TableHead,
    servers: &[ServerState],
    stats: &BackendStats,
) -> Listing {
    let at = clock.now();
    // A session whose first answer is not there yet has no entry. Its request was counted as chosen, and is busy.
    let chosen = |server: &ServerState| {
        stats.servers.get(&server.name).map_or(0, |stats| stats.chosen.saturating_sub(stats.busy))
    };
    let mut counted: BTreeMap<u32, Counted> = BTreeMap::new();
    if head.used <= MAX_WHOLE {
        for server in servers {
            counted.insert(server.id, Counted { sessions: 0, chosen: chosen(server) });
        }
        let command = format!("show table {backend}");
        let listed = client.each_line(&command, LISTING_LIMIT, |line| {
            let server = answers::live_entry_server(line);
            if let Some(counted) = server.and_then(|server| counted.get_mut(&server)) {
                counted.sessions += 1;
            }
        });
        if listed.await.is_err() {
            counted.clear();
        }
    } else {
        // Only what may have to be closed.
        for server in servers.iter().filter(|server| server.weight == 0) {
            let mut sessions = 0;
            let command = format!("show table {backend} data.server_id eq {}", server.id);
            let listed = client.each_line(&command, LISTING_LIMIT, |line| {
                sessions += u64::from(answers::live_entry_server(line).is_some());
            });
            if listed.await.is_ok() {
                counted.insert(server.id, Counted { sessions, chosen: chosen(server) });
            }
        }
    }
    Listing { incarnation, at, cost: clock.now().since(at), servers: counted, fresh: true }
}
