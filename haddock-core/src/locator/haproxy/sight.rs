//! Everything that one look at HAProxy shows of a service.

use std::time::Duration;

use super::answers::{self, BackendStats, Process, ServerState, ServerStats, TableHead};
use super::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::time::Clock;

/// The oldest version with `add server` that this was tested with.
const OLDEST: (u32, u32) = (2, 6);
/// The key of an entry that shows how long the table keeps entries. It is there for a moment.
const PROBE_KEY: &str = "haddock-asks-for-expire";

/// HAProxy's clock and ours both count milliseconds, and HAProxy looks at its own once for several commands.
const CLOCKS_DIFFER: Duration = Duration::from_millis(20);

/// What the backend's stick table is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeping {
    /// There is none.
    NoTable,
    /// Its keys are no text, or it stores no servers.
    NotSessions,
    /// Each entry is a session.
    Sessions {
        /// How long it is kept after its last use. `None`: for ever.
        expire: Option<Duration>,
        /// Whether it says that the application has ended the session.
        tells_ends: bool,
    },
}

/// One look.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub(super) process: Process,
    pub(super) servers: Vec<ServerState>,
    pub(super) stats: BackendStats,
    pub(super) table: Option<TableHead>,
}

impl Sight {
    pub(super) fn server(&self, name: &str) -> Option<&ServerState> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// Whether a cookie names the server of a session.
    pub(super) fn is_named(&self) -> bool {
        !self.stats.cookie.is_empty()
    }

    pub(super) fn stats(&self, name: &str) -> ServerStats {
        self.stats.servers.get(name).copied().unwrap_or_default()
    }
}

/// The process. An HAProxy that is too old is refused.
pub(super) async fn process(client: &Client) -> Result<Process> {
    let refused = || Error::new(ErrorKind::LocatorRefused, format!("{client} does not answer like an HAProxy"));
    let process = answers::process(&client.ask("show info").await?).ok_or_else(refused)?;
    if process.version < OLDEST {
        let (major, minor) = process.version;
        let message = format!("{client} is HAProxy {major}.{minor}, which cannot add servers without a reload");
        return Err(Error::new(ErrorKind::NotSupported, message).with_hint("use HAProxy 2.6 or newer"));
    }
    Ok(process)
}

/// `None`: HAProxy has no such backend.
pub(super) async fn look(client: &Client, backend: &str) -> Result<Option<Sight>> {
    let process = process(client).await?;
    // The counters first: what is no longer busy has its session in the table that is listed later.
    let stats = answers::stats(&client.ask(&format!("show stat {backend} 6 -1")).await?);
    let servers = answers::servers(&client.ask(&format!("show servers state {backend}")).await?);
    let (Some(servers), Some(stats)) = (servers, stats) else { return Ok(None) };
    let table = answers::table(&client.ask("show table").await?, backend);
    Ok(Some(Sight { process, servers, stats, table }))
}

/// What the table is good for. HAProxy does not tell, so an entry is made, looked at and removed.
pub(super) async fn keeping(
    client: &Client,
    clock: &dyn Clock,
    backend: &str,
    table: Option<&TableHead>,
) -> Result<Keeping> {
    let Some(table) = table else { return Ok(Keeping::NoTable) };
    if table.kind != "string" {
        return Ok(Keeping::NotSessions);
    }
    let began = clock.now();
    if !client.ask(&format!("set table {backend} key {PROBE_KEY} data.server_id 0")).await?.is_empty() {
        return Ok(Keeping::NotSessions);
    }
    let entry = client.ask(&format!("show table {backend} key {PROBE_KEY}")).await?;
    let elapsed = clock.now().since(began);
    client.ask(&format!("clear table {backend} key {PROBE_KEY}")).await?;
    let expire = entry.lines().find_map(|line| answers::entry_expiry(line.as_bytes()));
    let tells_ends = entry.lines().any(|line| answers::entry_has_ended(line.as_bytes()).is_some());
    let expire = expire.filter(|expire| !expire.is_zero()).map(|left| expiry(left, elapsed));
    Ok(Keeping::Sessions { expire, tells_ends })
}

/// What the file says, by what was left of it when the entry was looked at, this time after it was made at most. People write
/// whole seconds, and Haddock's own lines have `session.idle` itself: a millisecond less would be too little for ever.
fn expiry(left: Duration, elapsed: Duration) -> Duration {
    let whole = Duration::from_secs((left + elapsed + CLOCKS_DIFFER).as_secs());
    whole.max(left)
}

/// What is known of a backend, and of which process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) incarnation: u64,
    pub(super) keeping: Keeping,
    /// Whether a cookie names the server of a session.
    pub(super) named: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_what_the_file_says_however_late_it_was_looked_at() {
        let ms = Duration::from_millis;
        for (left, elapsed, expected) in [
            (8_000, 0, 8_000),
            (7_999, 3, 8_000),
            (7_000, 1_000, 8_000),
            (7_999, 0, 8_000),
            (7_979, 0, 7_979),
            (7_500, 20, 7_500),
            (1_799, 5, 1_799),
            (900, 150, 1_000),
        ] {
            assert_eq!(expiry(ms(left), ms(elapsed)), ms(expected), "{left} after {elapsed}");
        }
    }
}
