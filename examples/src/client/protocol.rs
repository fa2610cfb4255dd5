//! The client as a program: commands as JSON lines on standard input, reports as JSON lines on standard output.
//!
//! ```text
//! {"open": 300}                  keep 300 sessions open from now on
//! {"leave": "v1", "over": 3.5}   the sessions now on v1 leave, spread over 3.5 seconds
//! {"stop": true}                 all leave; the summary is the last line
//! ```

use std::io::Write as _;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;

use super::books::Summary;
use super::options::Options;
use super::population::run;

/// What the client can be told while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Keep so many sessions open.
    Open(usize),
    /// The sessions that are now on this version leave, each at a time of its own within `over`.
    Leave {
        /// The version.
        version: String,
        /// In how long all have left.
        over: Duration,
    },
    /// All sessions end what they have begun and leave.
    Stop,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    open: Option<usize>,
    leave: Option<String>,
    #[serde(default)]
    over: f64,
    #[serde(default)]
    stop: bool,
}

impl std::str::FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let read: Line = serde_json::from_str(line).map_err(|error| format!("`{line}` is no command: {error}"))?;
        let over = Duration::try_from_secs_f64(read.over)
            .map_err(|_| format!("`{line}` is no command: `over` is not a number of seconds"))?;
        match read {
            Line { open: Some(target), leave: None, stop: false, .. } => Ok(Self::Open(target)),
            Line { open: None, leave: Some(version), stop: false, .. } => Ok(Self::Leave { version, over }),
            Line { open: None, leave: None, stop: true, .. } => Ok(Self::Stop),
            _ => Err(format!("`{line}` is no command: it has to be one of `open`, `leave` and `stop`")),
        }
    }
}

/// Runs the client on standard input and output. It stops when it is told to, after `length`, or, without a length,
/// when standard input ends.
pub async fn drive(options: Options, length: Option<Duration>) -> Summary {
    let (command, commands) = mpsc::unbounded_channel();
    let (report, mut reports) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        let ended = async {
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                match line.parse() {
                    Ok(Command::Stop) => return,
                    Ok(told) => drop(command.send(told)),
                    Err(message) => eprintln!("error: {message}"),
                }
            }
            if length.is_some() {
                std::future::pending::<()>().await;
            }
        };
        match length {
            Some(length) => drop(tokio::time::timeout(length, ended).await),
            None => ended.await,
        }
        // The sender is dropped here, and the client stops.
        drop(command);
    });
    let writer = tokio::spawn(async move {
        while let Some(report) = reports.recv().await {
            print(&report);
        }
    });
    let summary = run(options, commands, report).await;
    reader.abort();
    let _ = writer.await;
    print(&summary);
    summary
}

fn print(value: &impl serde::Serialize) {
    let line = serde_json::to_string(value).expect("maps with text keys are JSON");
    // Nobody reads any more: there is nobody to tell.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!(r#"{"open":200}"#.parse(), Ok(Command::Open(200)));
        let over = Duration::from_millis(3500);
        assert_eq!(r#"{"leave":"v1","over":3.5}"#.parse(), Ok(Command::Leave { version: "v1".into(), over }));
        assert_eq!(r#"{"stop":true}"#.parse(), Ok(Command::Stop));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for line in ["", "{}", r#"{"open":1,"stop":true}"#, r#"{"leaf":"v1"}"#, r#"{"leave":"v1","over":-1}"#] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }
}
