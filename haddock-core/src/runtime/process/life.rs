//! What a container's process is doing, as its folder and `/proc` tell.

use std::fs;
use std::str::FromStr;

use nix::unistd::Pid;

use super::folder::Record;
use crate::container::ContainerState;

/// The exit code of a process that wrote none: it was killed with SIGKILL, or ended with the machine.
pub(super) const KILLED_EXIT_CODE: i64 = 128 + 9;

/// What a container is doing, and since when.
pub(super) struct Life {
    pub(super) state: ContainerState,
    /// Nanoseconds since the Unix epoch; zero if never started.
    pub(super) started: u64,
    /// The process group, while it runs.
    pub(super) group: Option<Pid>,
}

impl Record {
    /// Reads what the container is doing.
    pub(super) fn life(&self) -> Life {
        let record = self;
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
        // It may have written its exit code between our two looks.
        ended(exit_code(record).unwrap_or(KILLED_EXIT_CODE))
    }
}

pub(super) fn exit_code(record: &Record) -> Option<i64> {
    fs::read_to_string(record.path.join("exit")).ok()?.trim().parse().ok()
}

/// The first line of `starting`.
fn started(record: &Record) -> u64 {
    let text = fs::read_to_string(record.path.join("starting")).unwrap_or_default();
    text.lines().next().and_then(|line| line.parse().ok()).unwrap_or(0)
}

/// What identifies a process for ever: pid, start time and boot.
pub(super) struct Run {
    pub(super) pid: Pid,
    pub(super) ticks: u64,
    pub(super) boot: String,
}

impl Run {
    pub(super) fn read(record: &Record) -> Option<Self> {
        let text = fs::read_to_string(record.path.join("run")).ok()?;
        let mut lines = text.lines();
        let (boot, stat) = (lines.next()?, lines.next()?);
        // Without the last line the file is incomplete.
        let (pid, ticks) = (lines.next()? == ".").then(|| identity(stat))??;
        Some(Self { pid, ticks, boot: boot.to_owned() })
    }

    pub(super) fn is_alive(&self) -> bool {
        boot_id() == self.boot
            && stat(self.pid.as_raw()).is_some_and(|stat| {
                let zombie = stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']));
                !zombie && identity(&stat) == Some((self.pid, self.ticks))
            })
    }
}

pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

pub(super) fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Pid and start time (fields 1 and 22) of a line of `/proc/PID/stat`. Field 2 is the program's name in parentheses,
/// with anything in it.
pub(super) fn identity(stat: &str) -> Option<(Pid, u64)> {
    let pid: i32 = stat.split(' ').next()?.parse().ok()?;
    Some((Pid::from_raw(pid), field(stat, 22)?))
}

pub(super) fn field<T: FromStr>(stat: &str, number: usize) -> Option<T> {
    stat.rsplit(") ").next()?.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
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
