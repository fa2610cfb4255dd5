//! The processes: start, find again, signal.

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

use super::folder::{Record, failed, write};
use super::life::{KILLED_EXIT_CODE, Run, boot_id, exit_code, field, identity, stat};
use super::ports;
use super::shared::Shared;
use super::variables::environment;
use crate::container::ContainerState;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, SystemClock, sleep};

/// The shell that supervises the process. Before the program runs, it writes who it is; afterwards, the exit code. Its
/// traps let it survive the signals that a stop sends to the group. They are reset for the program (POSIX.1-2017, XCU
/// 2.11). `$0` is the container's folder.
const SUPERVISOR: &str = r#"
read -r boot < /proc/sys/kernel/random/boot_id
read -r stat < "/proc/$$/stat"
printf '%s\n%s\n.\n' "$boot" "$stat" > "$0/run"
trap : HUP INT QUIT TERM USR1 USR2 ALRM
"$@"
printf '%s\n' "$?" > "$0/exit"
"#;

/// Names the container in its processes' environment, so that a stray of ours is told from a stranger.
const CONTAINER_VARIABLE: &str = "HADDOCK_CONTAINER";
/// How often a process that starts or ends is looked at. Both take a few milliseconds.
const PROCESS_POLL_INTERVAL: Duration = Duration::from_millis(2);
/// How long the supervising shell may take to write who it is, or to end after SIGKILL.
const SUPERVISOR_LIMIT: Duration = Duration::from_secs(8);

/// Starts a created container. Any other is left as it is.
pub(super) async fn start(record: &Record, peers: &[Record], shared: Arc<Shared>) -> Result<()> {
    let name = &record.name;
    let begin = record.path.join("starting");
    loop {
        if record.life().state != ContainerState::Created {
            return Ok(());
        }
        match claim(record) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("write", &begin, &error)),
        }
        // Another process is starting it. Wait until the shell has written who it is, or take over if that process has
        // died.
        let somebody = async {
            while Run::read(record).is_none() && (claimant_lives(record) || !strays(record).is_empty()) {
                sleep(PROCESS_POLL_INTERVAL).await;
            }
        };
        if timeout(SUPERVISOR_LIMIT, somebody).await.is_err() {
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
            sleep(PROCESS_POLL_INTERVAL).await;
        }
    };
    timeout(SUPERVISOR_LIMIT, word).await.map_err(|_| {
        Error::new(ErrorKind::TimedOut, format!("the process of container `{name}` did not begin in time"))
    })
}

/// Whether the program itself runs, or has ended. A signal that arrives before the shell runs the program would be
/// lost.
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

/// Writes `starting`, with the time and who we are, unless it exists.
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
    command.env_clear().envs(environment(record, peers, &launch)).env(CONTAINER_VARIABLE, &record.id().0);
    command.current_dir(&record.path).stdin(Stdio::null()).stdout(log).stderr(errors);
    // It gets a process group of its own, so that signals to ours, such as from the terminal, do not reach it.
    command.process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| Error::new(ErrorKind::RuntimeRefused, format!("cannot start container `{name}`: {error}")))?;
    shared.own_events.tell(record, "start");
    // Somebody has to wait for it, else it stays a zombie until we end.
    let record = record.clone();
    std::thread::Builder::new()
        .name("haddock-wait".to_owned())
        .stack_size(64 << 10)
        .spawn(move || {
            let _ = child.wait();
            shared.own_events.tell(&record, "die");
        })
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start a thread: {error}")))?;
    Ok(())
}

/// Asks the group to stop, and kills it after the grace.
pub(super) async fn stop(record: &Record, grace: Duration, shared: &Shared) -> Result<()> {
    let signal = stop_signal(record)?;
    if let Some(group) = record.life().group {
        if !grace.is_zero() {
            // An error means that it has just ended, which is what we want.
            let _ = killpg(group, signal);
            let _ = timeout(grace, gone(record)).await;
        }
        if record.life().group == Some(group) {
            let _ = killpg(group, Signal::SIGKILL);
            if timeout(SUPERVISOR_LIMIT, gone(record)).await.is_err() {
                let message = format!("container `{}` cannot be killed", record.name);
                return Err(Error::new(ErrorKind::TimedOut, message));
            }
        }
        if exit_code(record).is_none()
            && let Err(error) = write(&record.path.join("exit"), format!("{KILLED_EXIT_CODE}\n").as_bytes())
            && record.path.exists()
        {
            return Err(error);
        }
        shared.own_events.tell(record, "die");
    }
    // Processes that the program left behind in the background.
    for stray in strays(record) {
        let _ = kill(stray, Signal::SIGKILL);
    }
    Ok(())
}

async fn gone(record: &Record) {
    while record.life().group.is_some() {
        sleep(PROCESS_POLL_INTERVAL).await;
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
    let mark = format!("{CONTAINER_VARIABLE}={}", record.id().0);
    let ours = processes().filter(|pid| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    });
    ours.map(Pid::from_raw).collect()
}
