//! How long a rehearsal takes: a day with a million sessions and three releases, on one core.
//!
//! ```text
//! cargo run --release --example bench_rehearsal -- [--sessions 1000000] [--json]
//! ```
//!
//! - **rehearsal**: the day as Haddock rehearses it, with the real step and its guard.
//! - **bare loop**: the same sessions in a plain event loop, one `BinaryHeap` (std) whose events are a begin and an end: no
//!   release, no step, nothing is counted but live sessions. It shows how much of the time is the rehearsal itself.
//! - **day twice as long**: the same traffic for two days. The most memory is to stay as it is: what has ended is forgotten.
//!
//! Each runs by itself, in a process of its own, so that the most memory that it had (VmHWM) is its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use haddock_core::environment::{Entry, Readiness, ReleaseSettings, ServiceSettings};
use haddock_core::rehearsal::{PlannedRelease, Rehearsal, Stay, Traffic};
use haddock_core::release::NewVersion;
use haddock_core::routing::SessionPolicy;
use haddock_core::{ComponentName, ServiceName};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const DAY: Duration = Duration::from_secs(86_400);
const STAY: Duration = Duration::from_secs(600);
const IDLE: Duration = Duration::from_secs(1_800);

#[derive(Debug, Parser)]
struct Options {
    /// Sessions of the day.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: u64,
    /// One line of JSON at the end.
    #[arg(long)]
    json: bool,
    /// Run this alone, and print seconds, sessions and kilobytes.
    #[arg(long, hide = true)]
    only: Option<Part>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    Rehearsal,
    BareLoop,
    TwoDays,
}

fn main() -> Fallible<()> {
    let options = Options::parse();
    if let Some(part) = options.only {
        return run(part, options.sessions);
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{:<12} {:>9} {:>10} {:>12} {:>10}", "", "seconds", "sessions", "ns/session", "MiB")?;
    let mut rows: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, part) in [("rehearsal", "rehearsal"), ("bare loop", "bare-loop"), ("two days", "two-days")] {
        let mut own = Command::new(std::env::current_exe()?);
        own.args(["--only", part, "--sessions", &options.sessions.to_string()]);
        let output = own.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        let row: Value = serde_json::from_slice(&output.stdout)?;
        let figure = |key: &str| row[key].as_f64().unwrap_or_default();
        let (seconds, sessions) = (figure("seconds"), figure("sessions"));
        let each = seconds / sessions * 1e9;
        writeln!(out, "{name:<12} {seconds:>9.3} {sessions:>10} {each:>12.0} {:>10.1}", figure("kib") / 1024.0)?;
        rows.insert(name, row);
    }
    let figure = |name: &str, key: &str| rows[name][key].as_f64().unwrap_or_default();
    let ratio = figure("rehearsal", "seconds") / figure("bare loop", "seconds");
    writeln!(out, "the rehearsal takes {ratio:.1} times as long as the bare loop")?;
    if options.json {
        writeln!(out, "{}", json!({ "rows": rows, "ratio": ratio }))?;
    }
    Ok(())
}

fn run(part: Part, sessions: u64) -> Fallible<()> {
    let started = now();
    let sessions = match part {
        Part::Rehearsal => rehearse(sessions, 1)?,
        Part::TwoDays => rehearse(sessions, 2)?,
        Part::BareLoop => bare_loop(sessions),
    };
    let seconds = started.elapsed().as_secs_f64();
    let status = procfs_peak()?;
    writeln!(io::stdout(), "{}", json!({ "seconds": seconds, "sessions": sessions, "kib": status }))?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}

/// The most memory that this process had, in KiB.
fn procfs_peak() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

fn rehearse(sessions: u64, days: u32) -> Fallible<u64> {
    let app = ComponentName::new("app")?;
    let settings = ServiceSettings {
        service: ServiceName::new("shop")?,
        entry: Entry { component: app.clone(), port: 8080 },
        ready: Readiness::default(),
        session: SessionPolicy { idle: IDLE, ..SessionPolicy::default() },
        release: ReleaseSettings::default(),
        notify: 0,
    };
    let version = NewVersion::new("bench".to_owned(), settings, BTreeMap::from([(app, "app:1".to_owned())]));
    let traffic = Traffic::steady(sessions as f64 / 1_440.0, Stay::exponential(STAY))?;
    let mut plan = Rehearsal::new(version, traffic);
    let hour = |hour: u64| PlannedRelease { after: Duration::from_secs(3_600 * hour), ..PlannedRelease::default() };
    plan.releases = [1, 8, 16].map(hour).to_vec();
    (plan.at_least, plan.at_most) = (DAY * days, DAY * days);
    let outcome = plan.run(1)?;
    if let Some(release) = outcome.releases.iter().find(|release| release.to_gone.is_none()) {
        return Err(format!("a release of a good version did not end well: {release:?}").into());
    }
    Ok(outcome.sessions.begun)
}

fn bare_loop(sessions: u64) -> u64 {
    let mut chance = StdRng::seed_from_u64(1);
    let mut exponential = |mean: f64| -mean * (1.0 - chance.random::<f64>()).ln();
    let day = DAY.as_secs_f64();
    let gap = day / sessions as f64;
    let (mut now, mut begun, mut live, mut most) = (exponential(gap), 0, 0_u64, 0);
    let mut ends: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    while now < day {
        let millis = (now * 1e3) as u64;
        while ends.peek().is_some_and(|Reverse(end)| *end <= millis) {
            ends.pop();
            live -= 1;
        }
        let stay = exponential(STAY.as_secs_f64()) + IDLE.as_secs_f64();
        ends.push(Reverse(millis + (stay * 1e3) as u64));
        (begun, live) = (begun + 1, live + 1);
        most = most.max(live);
        now += exponential(gap);
    }
    // The optimiser must not find that nobody looks.
    std::hint::black_box(most);
    begun
}
