//! Reads the answers of the runtime API (HAProxy's management guide, section 9.3).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What `show info` says of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Major and minor number.
    pub(super) version: (u32, u32),
    /// Tells this process from an earlier one.
    pub(super) incarnation: u64,
    /// At least the time since it was started. HAProxy counts whole seconds.
    pub(super) uptime: Duration,
}

/// One line of `show servers state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerState {
    pub(super) name: String,
    pub(super) id: u32,
    /// `None`: it has a name that is not resolved, or none at all.
    pub(super) address: Option<SocketAddr>,
    /// 0: it takes requests. Else the bits of maintenance and of draining.
    pub(super) admin: u32,
    pub(super) weight: u16,
}

/// In maintenance because somebody said so.
const FORCED_MAINTENANCE: u32 = 1;

impl ServerState {
    pub(super) fn is_in_maintenance(&self) -> bool {
        self.admin & FORCED_MAINTENANCE != 0
    }
}

/// A server's line of `show stat`. The counters begin with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ServerStats {
    /// Requests on it (`scur`) and those that wait for it (`qcur`).
    pub(super) busy: u64,
    /// Requests that were sent to it (`stot`).
    pub(super) requests: u64,
    /// Requests for which the balancing chose it: those without a session (`lbtot`).
    pub(super) chosen: u64,
    /// No connection (`econ`), no answer (`eresp`), 5xx.
    pub(super) failed: u64,
    /// Since when no request came (`lastsess`).
    pub(super) quiet: Option<Duration>,
}

/// What `show stat` says of a backend and its servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct BackendStats {
    /// The balancing algorithm. Empty: not told.
    pub(super) algorithm: String,
    /// The cookie that names the server of a session. Empty: there is none.
    pub(super) cookie: String,
    pub(super) servers: BTreeMap<String, ServerStats>,
}

/// A line of `show table`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableHead {
    pub(super) kind: String,
    pub(super) size: u64,
    pub(super) used: u64,
}

pub(super) fn process(text: &str) -> Option<Process> {
    let field = |name: &str| text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()));
    let mut numbers = field("Version")?.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version = (numbers.next()?, numbers.next()?);
    let (pid, started): (u64, u64) = (field("Pid")?.parse().ok()?, field("Start_time_sec")?.parse().ok()?);
    let uptime = Duration::from_secs(field("Uptime_sec")?.parse().ok()?);
    // A pid has at most 22 bits. In a container, each process may have the same one.
    Some(Process { version, incarnation: (started << 22) ^ pid, uptime })
}

/// The servers of a backend. `None`: there is no such backend.
pub(super) fn servers(text: &str) -> Option<Vec<ServerState>> {
    let mut lines = text.lines();
    // The version of the format, and then the names of the columns.
    lines.next().filter(|version| version.trim().parse::<u32>().is_ok())?;
    let columns: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(' ').collect();
    let mut servers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let values: Vec<&str> = line.split(' ').collect();
        let field = |name: &str| values.get(columns.iter().position(|column| *column == name)?).copied();
        let address = || {
            let address: IpAddr = field("srv_addr")?.parse().ok()?;
            Some(SocketAddr::new(address, field("srv_port")?.parse().ok()?))
        };
        servers.push(ServerState {
            name: field("srv_name")?.to_owned(),
            id: field("srv_id")?.parse().ok()?,
            address: address(),
            admin: field("srv_admin_state")?.parse().ok()?,
            weight: field("srv_uweight")?.parse().ok()?,
        });
    }
    Some(servers)
}

/// Whether each group of peers in `show peers` has done what it does at the start: got the tables that others have, or
/// waited for them in vain. HAProxy shows it by two bits, one for the process before and one for other machines.
pub(super) fn peers_are_settled(text: &str) -> bool {
    const SETTLED: u64 = 3;
    // A group's own line has no indent; those of its members do.
    let groups = text.lines().filter(|line| line.starts_with("0x"));
    let flags = groups.filter_map(|line| line.split(" flags=0x").nth(1)?.split(' ').next());
    flags.map(|digits| u64::from_str_radix(digits, 16)).all(|flags| flags.is_ok_and(|it| it & SETTLED == SETTLED))
}

/// The figures of a backend, from `show stat BACKEND 6 -1`. `None`: there is no such backend.
pub(super) fn stats(text: &str) -> Option<BackendStats> {
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(',').collect();
    let mut stats = BackendStats::default();
    for line in lines.filter(|line| !line.is_empty()) {
        let values: Vec<&str> = line.split(',').collect();
        let field = |name: &str| values.get(columns.iter().position(|column| *column == name)?).copied();
        let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or(0);
        match field("svname")? {
            "BACKEND" => {
                stats.algorithm = field("algo").unwrap_or_default().to_owned();
                stats.cookie = field("cookie").unwrap_or_default().to_owned();
            }
            "FRONTEND" => {}
            name => {
                let quiet = field("lastsess").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
                let server = ServerStats {
                    busy: number("scur") + number("qcur"),
                    requests: number("stot"),
                    chosen: number("lbtot"),
                    failed: number("econ") + number("eresp") + number("hrsp_5xx"),
                    quiet,
                };
                stats.servers.insert(name.to_owned(), server);
            }
        }
    }
    Some(stats)
}

/// The stick table of that name, from `show table`.
pub(super) fn table(text: &str, name: &str) -> Option<TableHead> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix("# table: ")?.strip_prefix(name)?.strip_prefix(", ")?;
        let field = |name: &str| {
            rest.split(',').find_map(|part| Some(part.trim().strip_prefix(name)?.strip_prefix(':')?.trim()))
        };
        Some(TableHead {
            kind: field("type")?.to_owned(),
            size: field("size")?.parse().ok()?,
            used: field("used")?.parse().ok()?,
        })
    })
}

/// The server of an entry of a stick table. 0: none yet. `None`: the line is no entry.
///
/// The key is chosen by a client and comes first, so the line is read from its end.
pub(super) fn entry_server(line: &[u8]) -> Option<u32> {
    number_behind(line, b" server_id=")
}

/// Whether the application has ended an entry's session: `http-response sc-set-gpt0` says so. `None`: the table does not tell.
pub(super) fn entry_has_ended(line: &[u8]) -> Option<bool> {
    // What is stored comes behind the expiry.
    let at = line.windows(5).rposition(|part| part == b" exp=")?;
    number_behind(&line[at..], b" gpt0=").map(|tag| tag == 1)
}

/// The server of an entry whose session has not ended. `None`: the line is no such entry.
pub(super) fn live_entry_server(line: &[u8]) -> Option<u32> {
    entry_server(line).filter(|_| entry_has_ended(line) != Some(true))
}

/// How long an entry of a stick table is kept if it is not used. Zero: for ever.
pub(super) fn entry_expiry(line: &[u8]) -> Option<Duration> {
    number_behind(line, b" exp=").map(|millis| Duration::from_millis(millis.into()))
}

fn number_behind(line: &[u8], name: &[u8]) -> Option<u32> {
    let at = line.windows(name.len()).rposition(|part| part == name)? + name.len();
    let digits = line[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&line[at..at + digits]).ok()?.parse().ok()
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
