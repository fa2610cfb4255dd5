//! Commands within containers, and what containers use.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bollard::container::LogOutput;
use bollard::exec::StartExecResults;
use bollard::models::{BollardDate, ExecConfig, HealthcheckResult};
use bollard::query_parameters::{InspectContainerOptions, StatsOptionsBuilder};
use futures_util::StreamExt;
use procfs::net::TcpState;
use tokio::time::timeout;

use super::DockerRuntime;
use super::error::{translate, unavailable};
use crate::container::{ContainerId, ExecSpec, Executed, Usage};
use crate::error::{Error, ErrorKind, Result};

/// Who has opened connections to the container whose first process is this one, here on the engine's machine; `None` if
/// that cannot be seen.
fn callers(pid: i32, container: &str) -> Option<Vec<IpAddr>> {
    let process = procfs::process::Process::new(pid).ok()?;
    // Through a socket that was handed on from another machine, the number would be somebody else's.
    let of_container = process.cgroups().ok()?.into_iter().any(|group| group.pathname.contains(container));
    if !of_container {
        return None;
    }
    let mut entries = process.tcp().ok()?;
    entries.extend(process.tcp6().unwrap_or_default());
    let listening: BTreeSet<u16> =
        entries.iter().filter(|it| it.state == TcpState::Listen).map(|it| it.local_address.port()).collect();
    let open = entries.iter().filter(|it| it.state == TcpState::Established);
    let called = open.filter(|it| listening.contains(&it.local_address.port()));
    Some(called.map(|it| it.remote_address.ip().to_canonical()).collect())
}

/// The part of the time, in thousandths, in which one of these checks ran, from the first to the last.
fn checking(log: &[HealthcheckResult]) -> Option<u64> {
    let at = |date: &Option<BollardDate>| date.as_ref()?.parse::<jiff::Timestamp>().ok();
    let runs: Vec<(jiff::Timestamp, jiff::Timestamp)> =
        log.iter().filter_map(|check| Some((at(&check.start)?, at(&check.end)?))).collect();
    let whole = runs.last()?.0.duration_since(runs.first()?.0).as_millis();
    // The last begins another period, which is not over.
    let ran: i128 = runs[..runs.len() - 1].iter().map(|(start, end)| end.duration_since(*start).as_millis()).sum();
    u64::try_from(ran * 1000 / whole.max(1)).ok()
}

/// Adds to what was written, of which the last `keep` bytes count.
fn push(written: &mut Vec<u8>, more: &[u8], keep: Option<usize>) {
    written.extend_from_slice(more);
    // Cut now and then, not at each byte.
    if let Some(keep) = keep.filter(|keep| written.len() > 2 * keep) {
        written.drain(..written.len() - keep);
    }
}

impl DockerRuntime {
    pub(super) async fn run(&self, container: &ContainerId, exec: &ExecSpec) -> Result<Executed> {
        let what = format!("run a command in container `{container}`");
        let config = ExecConfig {
            cmd: Some(exec.command.clone()),
            env: Some(exec.environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..Default::default()
        };
        let created = self.client.read(&what, self.client.docker.create_exec(&container.0, config)).await?;
        let ended = async {
            let started = self.client.docker.start_exec(&created.id, None).await;
            let started = started.map_err(|error| translate(&what, &error))?;
            let mut ran = Executed::default();
            if let StartExecResults::Attached { mut output, .. } = started {
                while let Some(frame) = output.next().await {
                    match frame.map_err(|error| translate(&what, &error))? {
                        LogOutput::StdErr { message } => push(&mut ran.stderr, &message, exec.keep),
                        LogOutput::StdOut { message } | LogOutput::Console { message } => {
                            push(&mut ran.stdout, &message, exec.keep);
                        }
                        LogOutput::StdIn { .. } => {}
                    }
                }
            }
            let ended = self.client.read(&what, self.client.docker.inspect_exec(&created.id)).await?;
            ran.exit_code = ended.exit_code.unwrap_or(-1);
            Ok(ran)
        };
        let within = exec.within;
        match timeout(within, ended).await {
            Ok(ended) => ended,
            Err(_) => Err(Error::new(ErrorKind::TimedOut, format!("cannot {what} within {} s", within.as_secs_f64()))),
        }
    }

    pub(super) async fn container_usage(&self, container: &ContainerId) -> Result<Usage> {
        let what = format!("ask what container `{container}` uses");
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = Box::pin(self.client.docker.stats(&container.0, Some(options)));
        let Some(stats) = self.client.next(&what, &mut stats).await? else {
            return Err(unavailable(&what, "the answer is empty"));
        };
        let stats = stats.map_err(|error| translate(&what, &error))?;
        let cpu = stats.cpu_stats.and_then(|it| it.cpu_usage).and_then(|it| it.total_usage).unwrap_or(0);
        let mut usage = Usage { cpu, ..Usage::default() };
        for network in stats.networks.unwrap_or_default().into_values() {
            usage.received += network.rx_bytes.unwrap_or(0);
            usage.sent += network.tx_bytes.unwrap_or(0);
        }
        let inspected = self.client.docker.inspect_container(&container.0, None::<InspectContainerOptions>);
        let inspected = self.client.read(&what, inspected).await?;
        usage.commands = inspected.exec_ids.unwrap_or_default();
        let health = inspected.state.as_ref().and_then(|state| state.health.as_ref()?.log.as_ref());
        usage.checking = health.and_then(|log| checking(log)).unwrap_or(0);
        let pid = inspected.state.and_then(|state| state.pid).filter(|pid| self.local && *pid > 0);
        usage.callers = pid.and_then(|pid| callers(i32::try_from(pid).ok()?, &container.0));
        Ok(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(start: &str, end: &str) -> HealthcheckResult {
        let at = |time: &str| Some(format!("2026-11-27T06:00:{time}Z"));
        HealthcheckResult { start: at(start), end: at(end), ..HealthcheckResult::default() }
    }

    #[test]
    fn checks_take_their_part_of_the_time_between_them() {
        assert_eq!(checking(&[]), None);
        assert_eq!(checking(&[check("01", "02")]), Some(0), "it is not known when the next begins");
        let log = [check("01.000", "01.200"), check("02.200000001", "02.400"), check("03.400", "03.900")];
        assert_eq!(checking(&log), Some(166));
    }
}
