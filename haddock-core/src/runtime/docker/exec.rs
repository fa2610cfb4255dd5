//! Commands within containers, and what containers use.

use std::collections::BTreeSet;
use std::net::IpAddr;

use bollard::models::{BollardDate, HealthcheckResult};
use bollard::query_parameters::{InspectContainerOptions, StatsOptionsBuilder};
use futures_util::StreamExt;
use procfs::net::TcpState;
use tokio::time::timeout;

use super::DockerRuntime;
use super::error::{translate, unavailable};
use crate::container::{AttachSpec, ContainerId, ExecSpec, Executed, Output, OutputStream, Usage};
use crate::error::{Error, ErrorKind, Result};

/// The open connections to the container with this first process, on the engine's machine. `None` if that cannot be
/// seen.
fn callers(pid: i32, container: &str) -> Option<Vec<IpAddr>> {
    let process = procfs::process::Process::new(pid).ok()?;
    // The socket may belong to an engine on another machine. Then this process number would mean another process.
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
    // The last check begins another period, which is not over.
    let ran: i128 = runs[..runs.len() - 1].iter().map(|(start, end)| end.duration_since(*start).as_millis()).sum();
    u64::try_from(ran * 1000 / whole.max(1)).ok()
}

/// Collects what is written, and keeps the last `keep` bytes.
fn cut(written: &mut Vec<u8>, keep: Option<usize>) {
    let superfluous = keep.map_or(0, |keep| written.len().saturating_sub(keep));
    written.drain(..superfluous);
}

impl DockerRuntime {
    pub(super) async fn run(&self, container: &ContainerId, exec: &ExecSpec) -> Result<Executed> {
        let (command, environment) = (exec.command.clone(), exec.environment.clone());
        let spec = AttachSpec { command, environment, stdin: false, terminal: None };
        let ended = async {
            let mut attached = self.attach_to(container, &spec).await?;
            let mut ran = Executed::default();
            while let Some(output) = attached.output.next().await {
                let Output { stream, bytes } = output?;
                let written = match stream {
                    OutputStream::Stdout => &mut ran.stdout,
                    OutputStream::Stderr => &mut ran.stderr,
                };
                written.extend_from_slice(&bytes);
                // It is cut from time to time, not at each byte.
                if exec.keep.is_some_and(|keep| written.len() > 2 * keep) {
                    cut(written, exec.keep);
                }
            }
            cut(&mut ran.stdout, exec.keep);
            cut(&mut ran.stderr, exec.keep);
            ran.exit_code = attached.control.exit_code(exec.within).await?;
            Ok(ran)
        };
        match timeout(exec.within, ended).await {
            Ok(ended) => ended,
            Err(_) => {
                let within = exec.within.as_secs_f64();
                let message = format!("cannot run a command in container `{container}` within {within} s");
                Err(Error::new(ErrorKind::TimedOut, message))
            }
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
        let pid =
            inspected.state.and_then(|state| state.pid).filter(|pid| self.host.starts_with("unix://") && *pid > 0);
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
