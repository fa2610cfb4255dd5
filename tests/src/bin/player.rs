//! The processes of the tests that need more than one: gateway, controlling process, client.
//!
//! ```text
//! player gateway FOLDER    a gateway, until standard input ends; prints where it listens
//! player control ORDERS    acts for a service, until standard input ends; prints whether it may
//! player __client …        the load
//! player app               the demo application
//! ```

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::Controller;
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::locator::gateway::Gateway;
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::{ErrorKind, Result};
use haddock_examples::show::{CLIENT, client_main};
use haddock_tests::points::Points;
use haddock_tests::site::{Addresses, Answer, Orders};
use tokio::io::AsyncReadExt as _;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_default();
    if role == CLIENT {
        return client_main(words);
    }
    if role == "app" {
        return haddock_demo_app::main();
    }
    let filter = tracing_subscriber::EnvFilter::from_env("HADDOCK_LOG");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a process that has just begun has threads to start");
    let argument = words.next().unwrap_or_default();
    let played = match role.as_str() {
        "gateway" => runtime.block_on(gateway(&argument)),
        "control" => runtime.block_on(control(&argument)),
        _ => return ExitCode::from(64),
    };
    // Standard input may still be read by a thread that nothing wakes.
    runtime.shutdown_background();
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn gateway(folder: &str) -> Result<()> {
    let any = "127.0.0.1:0".parse().expect("an address");
    let gateway = Gateway::builder().admin(any).state_dir(folder).start().await?;
    let admin = gateway.admin_addr().expect("it was asked for");
    say(&Addresses { clients: gateway.local_addr(), admin });
    told_to_stop().await;
    gateway.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

async fn control(orders: &str) -> Result<()> {
    let orders: Orders = serde_json::from_str(orders).expect("orders from the test");
    let controller = Controller::builder(
        Arc::new(DockerRuntime::connect(None).await?),
        Arc::new(RemoteGateway::new(&orders.gateway, None)?),
        Arc::new(SqliteJournal::open(&orders.journal)?),
        SpecStore::directory(&orders.specs)?,
    )
    .holder(&orders.holder)
    .tick(Duration::from_millis(200))
    .watcher(Arc::new(Points::new(&orders.record, orders.death)))
    .build();
    match controller.service(orders.service).act().await {
        Ok(acting) => {
            say(&Answer::Acting);
            told_to_stop().await;
            acting.stop().await
        }
        Err(error) if error.kind() == ErrorKind::Busy => {
            say(&Answer::Busy(error));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn say(what: &impl serde::Serialize) {
    let line = serde_json::to_string(what).expect("plain data is JSON");
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the test reads what it started");
}

/// Waits until standard input ends: whoever started this process wants no more of it, or is gone itself.
async fn told_to_stop() {
    let mut nothing = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut nothing).await;
}
