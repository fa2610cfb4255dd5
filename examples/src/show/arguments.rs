//! The main example's command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::client::seconds;

/// Releases new versions of a small web application under load, with zero downtime, and tells what happened to every
/// session. Ends with 0 only if no request failed, no session was lost or moved, and one instance is left.
#[derive(Debug, Clone, Parser)]
#[command(name = "release")]
pub struct Arguments {
    /// Runs the versions as containers on the Docker engine of `DOCKER_HOST`, instead of as processes.
    #[arg(long)]
    pub docker: bool,
    /// Writes the outcome as one JSON object as the last line.
    #[arg(long)]
    pub json: bool,
    /// Sessions that are kept on the service all the time.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub sessions: u32,
    /// Requests a second, beyond the slow ones.
    #[arg(long, default_value_t = 400.0)]
    pub rate: f64,
    /// Versions in all, the first among them.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=100))]
    pub versions: u32,
    /// How long a session may be idle, in seconds; a drain takes at least that long.
    #[arg(long, default_value = "5s", value_parser = seconds)]
    pub idle: Duration,
    /// Does something wrong on purpose, to show that it is found out.
    #[arg(long)]
    pub sabotage: Option<Sabotage>,
}

/// What can be done wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// Stops the first version's instance behind the controller's back, while it has sessions.
    StopEarly,
    /// Tells the gateway to give the first version's sessions to another instance.
    MoveSessions,
    /// Cuts one connection with a request in flight, between client and gateway.
    DropRequest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        let line = "release --docker --json --sessions 300 --idle 2.5s --versions 4 --sabotage stop-early";
        let read = Arguments::parse_from(line.split(' '));
        assert_eq!((read.sessions, read.versions, read.idle), (300, 4, Duration::from_millis(2500)));
        assert_eq!(read.sabotage, Some(Sabotage::StopEarly));
        assert!(Arguments::try_parse_from(["release", "--versions", "1"]).is_err());
        assert!(Arguments::try_parse_from(["release", "--idle", "soon"]).is_err());
    }
}
