//! Zero-downtime releases of a Tomcat, whose baskets are in its HTTP sessions, under load.
//!
//! ```text
//! cargo run --release --example tomcat                           through the gateway: 500 clients, three releases
//! cargo run --release --example tomcat -- --through group        through two gateways, which clients use in turn
//! cargo run --release --example tomcat -- --through haproxy      through an HAProxy
//! cargo run --release --example tomcat -- --through group --disturb      one gateway is killed, then the other
//! ```
//!
//! Sessions are known by the application's own cookie, `JSESSIONID`. A client logs in, which changes the id of its session.
//! It puts things into its basket and looks whether they are there. In the end every second one logs out, and the others
//! just go away; on the last version but one, all log out. No client ever retries. The program ends with 0 only if no
//! request failed, no basket was lost, no session moved, and no instance was removed before the end of its last session.
//!
//! It needs Docker. The images are those of `examples/images`, which need root and `debootstrap` once; the first time takes
//! minutes. For `--through haproxy` it also needs `haproxy`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use haddock_examples::show::Timeline;
use haddock_examples::tomcat::{Arguments, GATEWAY, House, Outcome, gateway_main, missing_for_images, perform};

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(GATEWAY) {
        return gateway_main().await;
    }
    match run(&Arguments::parse()).await {
        Ok(outcome) if outcome.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> io::Result<Outcome> {
    if let Some(missing) = missing_for_images() {
        return Err(io::Error::other(format!("this needs {missing}")));
    }
    let house = House::open(arguments, Some(&std::env::current_exe()?)).await?;
    let performed = tokio::select! {
        performed = perform(&house, arguments) => performed,
        _ = tokio::signal::ctrl_c() => Err(io::Error::other("stopped before the end")),
    };
    // Whatever happened, no container is left behind.
    let closed = house.close().await;
    let (outcome, timeline) = performed?;
    closed?;
    show(arguments, &outcome, &timeline)?;
    Ok(outcome)
}

fn show(arguments: &Arguments, outcome: &Outcome, timeline: &Timeline) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\nsessions on each version, second by second:\n\n{}", timeline.chart())?;
    writeln!(out, "{}\n", outcome.text())?;
    for failure in &outcome.seen.failures {
        writeln!(out, "session {} at {:.1} s {:?}: {}", failure.session, failure.t, failure.kind, failure.what)?;
    }
    if outcome.is_good() {
        writeln!(out, "No request failed, no basket was lost, no session moved.")?;
    }
    for problem in &outcome.seen.problems {
        writeln!(out, "PROBLEM: {problem}")?;
    }
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(outcome)?)?;
    }
    Ok(())
}
