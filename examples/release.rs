//! Zero-downtime releases of a small web application that keeps its sessions in memory, under load.
//!
//! ```text
//! cargo run --release --example release                     versions as processes: needs nothing but the toolchain
//! cargo run --release --example release -- --docker         versions as containers
//! cargo run --release --example release -- --sabotage stop-early      something goes wrong, and is found out
//! ```
//!
//! A client of its own, which never retries, keeps 200 sessions on the service: kept-alive connections, slow requests,
//! WebSockets. Version 2 and 3 are released meanwhile. Each session is to stay on the version where it began, until
//! it ends; then that version goes. The program ends with 0 only if that is how it went.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use haddock_examples::show::{APP, Arguments, CLIENT, Director, House, Outcome, client_main, perform};

fn main() -> ExitCode {
    let mut words = std::env::args();
    match words.nth(1).as_deref() {
        Some(APP) => return haddock_demo_app::main(),
        Some(CLIENT) => return client_main(words),
        _ => {}
    }
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run(&arguments)) {
        Ok(outcome) if outcome.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => failed(&error),
    }
}

async fn run(arguments: &Arguments) -> io::Result<Outcome> {
    let program = std::env::current_exe()?;
    let house = House::open(arguments, &program).await?;
    let course = async {
        house.make_images().await?;
        perform(&house, arguments, &program).await
    };
    let performed = tokio::select! {
        performed = course => performed,
        () = told_to_stop() => Err(io::Error::other("stopped before the end")),
    };
    // Whatever happened, nothing is left behind.
    let closed = house.close().await;
    let (outcome, director) = performed?;
    closed?;
    show(arguments, &outcome, &director)?;
    Ok(outcome)
}

fn show(arguments: &Arguments, outcome: &Outcome, director: &Director) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\nsessions on each version, second by second:\n\n{}", director.timeline().chart())?;
    writeln!(out, "{}\n", outcome.table())?;
    for failure in &outcome.failures {
        writeln!(out, "session {} at {:.1} s {:?}: {}", failure.session, failure.t, failure.kind, failure.what)?;
    }
    if outcome.is_good() {
        writeln!(out, "No request failed, no session was lost, none moved.")?;
    }
    for problem in &outcome.problems {
        writeln!(out, "PROBLEM: {problem}")?;
    }
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(())
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

fn failed(error: &io::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
