//! Puts a load of sessions on a service and says what happened to them.
//!
//! Reports and, last, a summary are written to standard output, one JSON object a line; commands are read from
//! standard input in the same way (see `haddock_examples::client`). The exit code is 0 only if nothing failed, was
//! lost or moved.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use haddock_examples::client::{Options, drive};

/// Puts a load of sessions on a service and says what happened to them.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Stops after so many seconds; without it, when standard input ends.
    #[arg(long = "for", value_name = "SECONDS")]
    length: Option<f64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let summary = drive(arguments.options, arguments.length.map(Duration::from_secs_f64)).await;
    if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
