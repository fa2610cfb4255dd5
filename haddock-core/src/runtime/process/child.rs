//! The processes: start, find again, signal.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::time::timeout;

use super::folder::{Launch, Record, failed, write};
use super::{Shared, ports};
use crate::container::ContainerState;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, SystemClock, sleep};

/// The shell that stands over the process: it says who it is before the program runs, and with what it ended after.
/// Its traps make it outlive the signals that a stop sends to the group, and are reset for the program (POSIX.1-2017,
/// XCU 2.11). `$0` is the container's folder.
const SUPERVISOR: &str = r#"
read -r boot < /proc/sys/kernel/random/boot_id
read -r stat < "/proc/$$/stat"
printf '%s\n%s\n.\n' "$boot" "$stat" > "$0/run"
trap : HUP INT QUIT TERM USR1 USR2 ALRM
"$@"
printf '%s\n' "$?" > "$0/exit"
"#;

/// Names the container in its processes' environment, so that a stray of ours is told from a stranger.
const MARK: &str = "HADDOCK_CONTAINER";
/// What we pass on of our own environment.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];
/// Killed with SIGKILL, or gone with the machine: the two ways to end without a word.
const KILLED: i64 = 128 + 9;
const POLL: Duration = Duration::from_millis(2);
/// How long the shell may take to say who it is, or to be gone after SIGKILL.
const PROMPT: Duration = Duration::from_secs(8);

/// What a container is doing, and since when.
pub(super) struct Life {
    pub(super) state: ContainerState,
    /// Nanoseconds since the Unix epoch; zero if never started.
    pub(super) started: u64,
    /// The process group, while it runs.
    group: Option<Pid>,
}

/// Reads what the container is doing.
pub(super) fn life(record: &Record) -> Life {
    let started = started(record);
    let ended = |code| Life { state: ContainerState::Exited { code, out_of_memory: false }, started, group: None };
    if let Some(code) = exit_code(record) {
        return ended(code);
    }
    let Some(run) = Run::read(record) else {
        return Life { state: ContainerState::Created, started: 0, group: None };
    };
    if run.is_alive() {
        return Life { state: ContainerState::Running, started, group: Some(run.pid) };
    }
    // It may have ended with a word between our two looks.
    ended(exit_code(record).unwrap_or(KILLED))
}

fn exit_code(record: &Record) -> Option<i64> {
    fs::read_to_string(record.path.join("exit")).ok()?.trim().parse().ok()
}

/// The first line of `starting`.
fn started(record: &Record) -> u64 {
    let text = fs::read_to_string(record.path.join("starting")).unwrap_or_default();
    text.lines().next().and_then(|line| line.parse().ok()).unwrap_or(0)
}

/// A process that does not change into another: pid, start time, boot.
struct Run {
    pid: Pid,
    ticks: u64,
    boot: String,
}

impl Run {
    fn read(record: &Record) -> Option<Self> {
        let text = fs::read_to_string(record.path.join("run")).ok()?;
        let mut lines = text.lines();
        let (boot, stat) = (lines.next()?, lines.next()?);
        // Without the last line it is half written.
        let (pid, ticks) = (lines.next()? == ".").then(|| identity(stat))??;
        Some(Self { pid, ticks, boot: boot.to_owned() })
    }

    fn is_alive(&self) -> bool {
        boot_id() == self.boot
            && stat(self.pid.as_raw()).is_some_and(|stat| {
                let zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']));
                !zombie && identity(&stat) == Some((self.pid, self.ticks))
            })
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Pid and start time (fields 1 and 22) of a line of `/proc/PID/stat`. Field 2 is the program's name in parentheses,
/// with anything in it.
fn identity(stat: &str) -> Option<(Pid, u64)> {
    let pid: i32 = stat.split(' ').next()?.parse().ok()?;
    Some((Pid::from_raw(pid), field(stat, 22)?))
}

fn field<T: FromStr>(stat: &str, number: usize) -> Option<T> {
    stat.rsplit(") ").next()?.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// Starts a created container; does nothing about any other.
pub(super) async fn start(record: &Record, peers: &[Record], shared: Arc<Shared>) -> Result<()> {
    let name = &record.name;
    let begin = record.path.join("starting");
    loop {
        if life(record).state != ContainerState::Created {
            return Ok(());
        }
        match claim(record) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("write", &begin, &error)),
        }
        // Somebody is at it: wait for the word of the process, or take over from one who died before there was one.
        let somebody = async {
            while Run::read(record).is_none() && (claimant_lives(record) || !strays(record).is_empty()) {
                sleep(POLL).await;
            }
        };
        if timeout(PROMPT, somebody).await.is_err() {
            return Err(Error::new(
                ErrorKind::TimedOut,
                format!("another process began to start container `{name}`, and has not ended"),
            ));
        }
        if Run::read(record).is_none() {
            let _ = fs::remove_file(&begin);
        }
    }
    let spawned = shared.folder.with_free_ports(record).and_then(|record| spawn(&record, peers, Arc::clone(&shared)));
    if let Err(error) = spawned {
        let _ = fs::remove_file(&begin);
        return Err(error);
    }
    let word = async {
        while !has_begun(record) {
            sleep(POLL).await;
        }
    };
    timeout(PROMPT, word).await.map_err(|_| {
        Error::new(ErrorKind::TimedOut, format!("the process of container `{name}` did not begin in time"))
    })
}

/// Whether the program itself runs, or has ended: a signal that comes while the shell is about to run it would be lost.
fn has_begun(record: &Record) -> bool {
    let Some(run) = Run::read(record) else { return false };
    let line = |pid: Pid| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let shell = line(run.pid);
    // Until then the shell's child is a copy of the shell.
    let program = || children(run.pid).into_iter().map(line).any(|child| !child.is_empty() && child != shell);
    exit_code(record).is_some() || !run.is_alive() || program()
}

fn children(parent: Pid) -> Vec<Pid> {
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let pids: Vec<i32> = match listed {
        Ok(pids) => pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect(),
        // A kernel without CONFIG_PROC_CHILDREN.
        Err(_) => processes().filter(|pid| stat(*pid).and_then(|it| field(&it, 4)) == Some(parent.as_raw())).collect(),
    };
    pids.into_iter().map(Pid::from_raw).collect()
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Writes `starting`, if nobody has: when, and who we are.
fn claim(record: &Record) -> io::Result<()> {
    let nanos = SystemClock::new().now().as_millis().saturating_mul(1_000_000);
    let me = stat(std::process::id().cast_signed()).unwrap_or_default();
    let path = record.path.join("starting");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(format!("{nanos}\n{}\n{me}", boot_id()).as_bytes())
}

/// Whether the process that wrote `starting` is still there.
fn claimant_lives(record: &Record) -> bool {
    let text = fs::read_to_string(record.path.join("starting")).unwrap_or_default();
    let mut lines = text.lines().skip(1);
    let (Some(boot), Some(stat)) = (lines.next(), lines.next()) else { return false };
    identity(stat).is_some_and(|(pid, ticks)| Run { pid, ticks, boot: boot.to_owned() }.is_alive())
}

fn spawn(record: &Record, peers: &[Record], shared: Arc<Shared>) -> Result<()> {
    use std::os::unix::process::CommandExt;

    let name = &record.name;
    if let Some(port) = record.fixed.iter().find(|port| ports::is_taken(**port)) {
        let message = format!("cannot start container `{name}`: host port `127.0.0.1:{port}` is in use");
        return Err(Error::new(ErrorKind::PortTaken, message).with_hint("free the port, or publish another one"));
    }
    let launch = record.launch()?;
    let program = &launch.command[0];
    if program.contains('/') && !std::path::Path::new(program).exists() {
        let message = format!("cannot start container `{name}`: there is no program `{program}`");
        return Err(Error::new(ErrorKind::RuntimeRefused, message));
    }
    let path = record.path.join("log");
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let log = log.map_err(|error| failed("write", &path, &error))?;
    let errors = log.try_clone().map_err(|error| failed("write", &path, &error))?;

    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(SUPERVISOR).arg(&record.path).args(&launch.command);
    command.env_clear().envs(environment(record, peers, &launch)).env(MARK, &record.id().0);
    command.current_dir(&record.path).stdin(Stdio::null()).stdout(log).stderr(errors);
    // A group of its own: what is sent to ours, from the terminal for example, does not reach it.
    command.process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| Error::new(ErrorKind::RuntimeRefused, format!("cannot start container `{name}`: {error}")))?;
    shared.teller.tell(record, "start");
    // Somebody has to wait for it, else it stays a zombie until we end.
    let record = record.clone();
    std::thread::Builder::new()
        .name("haddock-wait".to_owned())
        .stack_size(64 << 10)
        .spawn(move || {
            let _ = child.wait();
            shared.teller.tell(&record, "die");
        })
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start a thread: {error}")))?;
    Ok(())
}

/// All that a process of the container finds in its environment; what the component sets comes first.
pub(super) fn environment(record: &Record, peers: &[Record], launch: &Launch) -> BTreeMap<String, OsString> {
    let inherited = INHERITED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)));
    let mut environment: BTreeMap<String, OsString> = inherited.collect();
    environment.extend(addresses(record, peers).into_iter().map(|(name, value)| (name, value.into())));
    environment.extend(launch.environment.iter().map(|(name, value)| (name.clone(), value.into())));
    environment
}

/// The variables that tell a process its ports and where its links lead.
fn addresses(record: &Record, peers: &[Record]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (index, (port, loopback)) in record.ports.iter().enumerate() {
        if index == 0 {
            variables.insert("PORT".to_owned(), loopback.to_string());
        }
        variables.insert(format!("PORT_{port}"), loopback.to_string());
    }
    for peer in peers {
        for alias in &peer.aliases {
            let alias: String =
                alias.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
            for (index, (port, loopback)) in peer.ports.iter().enumerate() {
                let address = ports::at(*loopback).to_string();
                if index == 0 {
                    variables.insert(format!("{alias}_ADDRESS"), address.clone());
                }
                variables.insert(format!("{alias}_ADDRESS_{port}"), address);
                variables.insert(format!("{alias}_PORT_{port}_TCP_ADDR"), "127.0.0.1".to_owned());
                variables.insert(format!("{alias}_PORT_{port}_TCP_PORT"), loopback.to_string());
            }
        }
    }
    variables
}

/// Asks the group to stop, and kills it after the grace.
pub(super) async fn stop(record: &Record, grace: Duration, shared: &Shared) -> Result<()> {
    let signal = stop_signal(record)?;
    if let Some(group) = life(record).group {
        if !grace.is_zero() {
            // Gone in this very moment is what we want.
            let _ = killpg(group, signal);
            let _ = timeout(grace, gone(record)).await;
        }
        if life(record).group == Some(group) {
            let _ = killpg(group, Signal::SIGKILL);
            if timeout(PROMPT, gone(record)).await.is_err() {
                let message = format!("container `{}` cannot be killed", record.name);
                return Err(Error::new(ErrorKind::TimedOut, message));
            }
        }
        if exit_code(record).is_none()
            && let Err(error) = write(&record.path.join("exit"), format!("{KILLED}\n").as_bytes())
            && record.path.exists()
        {
            return Err(error);
        }
        shared.teller.tell(record, "die");
    }
    // What the program started in the background and left behind.
    for stray in strays(record) {
        let _ = kill(stray, Signal::SIGKILL);
    }
    Ok(())
}

async fn gone(record: &Record) {
    while life(record).group.is_some() {
        sleep(POLL).await;
    }
}

fn stop_signal(record: &Record) -> Result<Signal> {
    let Some(wanted) = &record.stop_signal else { return Ok(Signal::SIGTERM) };
    let number = wanted.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
    let by_name = || {
        let name = wanted.to_ascii_uppercase();
        Signal::from_str(&if name.starts_with("SIG") { name } else { format!("SIG{name}") }).ok()
    };
    number.or_else(by_name).ok_or_else(|| {
        let message = format!("container `{}` has a stop signal `{wanted}` that does not exist", record.name);
        Error::new(ErrorKind::RuntimeRefused, message).with_hint("use a name such as `SIGTERM`")
    })
}

/// Processes that carry the container's mark.
fn strays(record: &Record) -> Vec<Pid> {
    let mark = format!("{MARK}={}", record.id().0);
    let ours = processes().filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    });
    ours.map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "4711 (a) b (c) S 1 4711 4711 0 -1 4194304 98 0 0 0 0 0 0 0 20 0 1 0 123456 2719744 221 1 1";
        assert_eq!(identity(stat), Some((Pid::from_raw(4711), 123_456)));
    }
}
