//! The gateway in a process of its own.
//!
//! ```text
//! cargo run --release --example gateway -- --state /var/lib/haddock --listen 0.0.0.0:80 --admin 127.0.0.1:8081
//! ```
//!
//! Once it takes connections it prints one line of JSON with its addresses. It ends at SIGINT or SIGTERM, after the
//! requests at hand.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use haddock_core::locator::gateway::{Gateway, Limits};
use haddock_core::{Error, ErrorKind, ServiceName};
use ipnet::IpNet;
use tokio::signal::unix::{SignalKind, signal};

/// A sticky HTTP proxy that knows which sessions live where.
#[derive(Debug, Parser)]
struct Options {
    /// Where clients connect.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the admin API listens; beyond the loopback it needs a token file.
    #[arg(long, default_value = "127.0.0.1:8081")]
    admin: SocketAddr,
    /// The directory in which tables and closed marks outlive a restart.
    #[arg(long)]
    state: PathBuf,
    /// A service, with the hosts under which it is asked for; without hosts it takes all that no other has. May be
    /// given several times. Default: the first service that gets a table takes all.
    #[arg(long, value_name = "NAME[=HOST,HOST]", value_parser = service)]
    service: Vec<(ServiceName, Vec<String>)>,
    /// The file with the key that signs the cookies. Default: `key` in the state directory.
    #[arg(long)]
    key: Option<PathBuf>,
    /// The file with the token of the admin API.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` headers are believed.
    #[arg(long, value_name = "CIDR")]
    trust_proxy: Vec<IpNet>,
    /// Threads that serve clients. Default: one for each core, at most 4.
    #[arg(long)]
    worker_threads: Option<usize>,
    /// Sessions of each service that can be counted.
    #[arg(long)]
    sessions: Option<u32>,
    /// How long a connection may be silent before its other end is asked whether it is there, in seconds. 0: it is not.
    #[arg(long, default_value_t = 60)]
    tcp_keepalive: u64,
    /// How long nothing may go over a WebSocket before it is ended, in seconds. Default: for ever.
    #[arg(long)]
    tunnel_idle: Option<u64>,
    /// TRACE is passed on.
    #[arg(long)]
    allow_trace: bool,
    /// How long requests may take to end at shutdown, in seconds.
    #[arg(long, default_value_t = 10)]
    grace: u64,
}

fn service(text: &str) -> Result<(ServiceName, Vec<String>), Error> {
    let (name, hosts) = text.split_once('=').unwrap_or((text, ""));
    let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect();
    Ok((ServiceName::new(name)?, hosts))
}

// The gateway has threads of its own; this one only waits.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    if let Err(error) = run(Options::parse()).await {
        let _ = writeln!(std::io::stderr(), "{error:#}");
        std::process::exit(1);
    }
}

async fn run(options: Options) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::new(ErrorKind::Io, error.to_string());
    let mut builder = Gateway::builder().listen(options.listen).admin(options.admin).state_dir(options.state);
    for (name, hosts) in options.service {
        builder = builder.service(name, hosts);
    }
    if let Some(path) = options.key {
        builder = builder.key_file(path);
    }
    if let Some(path) = options.token_file {
        builder = builder.admin_token_file(path);
    }
    for peers in options.trust_proxy {
        builder = builder.trust_proxy(peers);
    }
    if let Some(workers) = options.worker_threads {
        builder = builder.worker_threads(workers);
    }
    let default = Limits::default();
    builder = builder.allow_trace(options.allow_trace).limits(Limits {
        sessions: options.sessions.unwrap_or(default.sessions),
        tcp_keepalive: Some(Duration::from_secs(options.tcp_keepalive)).filter(|keepalive| !keepalive.is_zero()),
        tunnel_idle: options.tunnel_idle.map(Duration::from_secs),
        ..default
    });
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    let gateway = builder.start().await?;
    let ready = serde_json::json!({
        "listen": gateway.local_addr(),
        "admin": gateway.admin_addr(),
        "pid": std::process::id(),
    });
    let mut out = std::io::stdout();
    writeln!(out, "{ready}").and_then(|()| out.flush()).map_err(io)?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    gateway.shutdown(Duration::from_secs(options.grace)).await;
    Ok(())
}
