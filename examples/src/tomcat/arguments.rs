//! The command line of the example `tomcat`.

use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Releases new versions of a web application in Tomcat under load, one after the other. Sessions are known by
/// JSESSIONID. Ends with 0 only if no request failed, no basket was lost, no session moved, and each old instance was
/// removed after its last session, and not before.
#[derive(Debug, Clone, Parser)]
#[command(name = "tomcat")]
pub struct Arguments {
    /// How clients reach the instances.
    #[arg(long, value_enum, default_value_t = Through::Gateway)]
    pub through: Through,
    /// Writes the outcome as one JSON object as the last line.
    #[arg(long)]
    pub json: bool,
    /// Clients that have a session at the same time.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub clients: u32,
    /// Releases under load, after the first version.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub releases: u32,
    /// After how many seconds without a request a session has expired.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub idle: u64,
    /// After the first release, the second and the third, does something to what is in front: reloads HAProxy, kills it, and
    /// reloads it again; kills one gateway of two, then the other; starts a newer gateway beside the one that runs, twice,
    /// and kills it. Requests that were in flight on what was killed are counted apart.
    #[arg(long)]
    pub disturb: bool,
    /// How many seconds a stage of the ramp lasts.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub every: u64,
}

impl Arguments {
    /// After how long without a request a session has expired.
    #[must_use]
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle)
    }

    /// The number of the last version.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.releases + 1
    }
}

/// How clients reach the instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Through {
    /// One gateway.
    Gateway,
    /// An HAProxy, which is started with a configuration of ours.
    Haproxy,
    /// Two gateways with the same key. Each client uses them in turn.
    Group,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read() {
        let read = Arguments::parse_from("tomcat --through group --json --clients 50 --idle 8".split(' '));
        assert_eq!((read.through, read.json, read.clients), (Through::Group, true, 50));
        assert_eq!((read.idle(), read.last()), (Duration::from_secs(8), 4));
        assert!(Arguments::try_parse_from(["tomcat", "--through", "nginx"]).is_err());
        assert!(Arguments::try_parse_from(["tomcat", "--clients", "1"]).is_err());
    }
}
