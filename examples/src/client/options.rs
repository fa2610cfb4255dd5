//! What load there is to be.

use std::net::SocketAddr;
use std::time::Duration;

/// The load. Durations on the command line are in seconds, with fractions.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where the service is reached.
    #[arg(long)]
    pub target: SocketAddr,
    /// Sessions that are kept open; one that leaves is followed by another before it leaves.
    #[arg(long, default_value_t = 200)]
    pub sessions: usize,
    /// Requests a second of all sessions together, beyond the slow ones.
    #[arg(long, default_value_t = 400.0)]
    pub rate: f64,
    /// Part of the sessions that sends one slow request after another.
    #[arg(long, default_value_t = 0.2)]
    pub slow: f64,
    /// The shortest and the longest slow request, in milliseconds.
    #[arg(long, value_names = ["FROM", "TO"], num_args = 2, default_values_t = [500, 1500])]
    pub slow_ms: Vec<u64>,
    /// Part of the sessions that holds a WebSocket.
    #[arg(long, default_value_t = 0.1)]
    pub websockets: f64,
    /// How long a session stays, on average; each stays between half and one and a half times that. Without it each
    /// stays until it is told to leave.
    #[arg(long, value_parser = seconds)]
    pub stay: Option<Duration>,
    /// Part of the sessions that stays until it is told to leave, whatever `--stay` says.
    #[arg(long, default_value_t = 0.0)]
    pub residents: f64,
    /// After how long without a request the service may forget a session. The client never pauses that long; if it
    /// was held up for longer all the same, a forgotten session counts as lapsed and not as lost.
    #[arg(long, value_parser = seconds, default_value = "1800")]
    pub idle: Duration,
    /// How long an answer may take beyond what a slow request asks for; later, the request has failed.
    #[arg(long, value_parser = seconds, default_value = "10")]
    pub timeout: Duration,
    /// How many new sessions are opened a second, at most.
    #[arg(long, default_value_t = 200.0)]
    pub arrivals: f64,
}

impl Options {
    /// The default load on this address.
    #[must_use]
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            sessions: 200,
            rate: 400.0,
            slow: 0.2,
            slow_ms: vec![500, 1500],
            websockets: 0.1,
            stay: None,
            residents: 0.0,
            idle: Duration::from_secs(1800),
            timeout: Duration::from_secs(10),
            arrivals: 200.0,
        }
    }
}

/// Seconds with fractions, as the command line has them, with or without an `s`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    number
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("`{text}` is not a number of seconds"))
}
