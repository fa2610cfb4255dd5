//! The client as a process of its own, driven over its standard input and output.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use clap::Parser as _;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{Options, Report, Summary, drive};

/// The word with which a program of ours, as its first argument, becomes the client.
pub const CLIENT: &str = "__client";

/// What the client is asked for, as its command line has it.
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// The client as a `main`, with the command line after [`CLIENT`].
#[must_use]
pub fn client_main(arguments: impl Iterator<Item = String>) -> ExitCode {
    let line = Line::parse_from(std::iter::once(CLIENT.to_owned()).chain(arguments));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a process that has just begun has threads to start");
    let summary = runtime.block_on(drive(line.options, None));
    // Standard input may still be read by a thread that nothing wakes: it is not waited for.
    runtime.shutdown_background();
    if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A client that runs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Load {
    child: Child,
    stdin: ChildStdin,
    reports: watch::Receiver<Report>,
    reader: JoinHandle<io::Result<Summary>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Report(Box<Report>),
    Summary(Box<Summary>),
}

impl Load {
    /// Starts the program as the client, with this load.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(program: &Path, options: &Options) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg(CLIENT)
            .args(arguments(options))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the client has no pipes"));
        };
        let (send, reports) = watch::channel(Report::default());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await? {
                match serde_json::from_str(&line).map_err(io::Error::other)? {
                    Said::Report(report) => drop(send.send_replace(*report)),
                    Said::Summary(summary) => return Ok(*summary),
                }
            }
            Err(io::Error::other("the client ended without a summary"))
        });
        Ok(Self { child, stdin, reports, reader })
    }

    /// The newest report, and those to come.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<Report> {
        self.reports.clone()
    }

    /// The newest report.
    #[must_use]
    pub fn report(&self) -> Report {
        self.reports.borrow().clone()
    }

    /// Waits until a report fulfils the condition.
    ///
    /// # Errors
    /// When the client ends, or none does within `limit`.
    pub async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        is_so: impl FnMut(&Report) -> bool,
    ) -> io::Result<Report> {
        match tokio::time::timeout(limit, self.reports.wait_for(is_so)).await {
            Ok(Ok(report)) => Ok(report.clone()),
            Ok(Err(_)) => Err(io::Error::other(format!("the client ended while it was waited for {what}"))),
            Err(_) => Err(io::Error::other(format!("not within {} s: {what}", limit.as_secs()))),
        }
    }

    /// Tells the sessions now on that version to leave, spread over that time.
    ///
    /// # Errors
    /// When the client has ended.
    pub async fn leave(&mut self, version: &str, over: Duration) -> io::Result<()> {
        self.tell(&serde_json::json!({ "leave": version, "over": over.as_secs_f64() })).await
    }

    /// Lets every session end what it has begun; answers with what happened.
    ///
    /// # Errors
    /// When the client ends without having told.
    pub async fn stop(mut self) -> io::Result<Summary> {
        self.tell(&serde_json::json!({ "stop": true })).await?;
        let summary = self.reader.await.map_err(io::Error::other)?;
        self.child.wait().await?;
        summary
    }

    async fn tell(&mut self, command: &serde_json::Value) -> io::Result<()> {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await?;
        self.stdin.flush().await
    }
}

/// The options as the client's command line has them.
fn arguments(options: &Options) -> Vec<String> {
    let Options { target, sessions, rate, slow, slow_ms, websockets, stay, residents, idle, timeout, arrivals } =
        options;
    let target: &SocketAddr = target;
    let mut arguments = vec![
        format!("--target={target}"),
        format!("--sessions={sessions}"),
        format!("--rate={rate}"),
        format!("--slow={slow}"),
        format!("--websockets={websockets}"),
        format!("--residents={residents}"),
        format!("--idle={}", idle.as_secs_f64()),
        format!("--timeout={}", timeout.as_secs_f64()),
        format!("--arrivals={arrivals}"),
    ];
    arguments.extend(stay.map(|stay| format!("--stay={}", stay.as_secs_f64())));
    arguments.push("--slow-ms".into());
    arguments.extend(slow_ms.iter().map(u64::to_string));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_survive_the_command_line() {
        let mut options = Options::new(SocketAddr::from(([127, 0, 0, 1], 8080)));
        options.stay = Some(Duration::from_millis(4500));
        options.residents = 0.4;
        options.slow_ms = vec![100, 900];
        options.idle = Duration::from_millis(2500);
        let read = Line::parse_from(std::iter::once(CLIENT.to_owned()).chain(arguments(&options))).options;
        assert_eq!(format!("{read:?}"), format!("{options:?}"));
    }

    #[test]
    fn reports_and_summaries_are_told_apart() {
        let report = serde_json::to_string(&Report { t: 1.5, ..Report::default() }).unwrap();
        let summary = serde_json::to_string(&Summary { seconds: 9.0, ..Summary::default() }).unwrap();
        assert!(matches!(serde_json::from_str(&report).unwrap(), Said::Report(report) if report.t == 1.5));
        assert!(matches!(serde_json::from_str(&summary).unwrap(), Said::Summary(summary) if summary.seconds == 9.0));
    }
}
