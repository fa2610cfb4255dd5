//! A small web application that keeps its sessions in memory, as the applications do that Haddock exists for.
//!
//! Each session has a counter that grows by exactly one with each request. A request with a cookie that the instance
//! does not know begins a new session at 1: that is how a lost session shows. On SIGTERM the application ends at
//! once and takes everything in flight with it: whoever stops it too early is found out.
//!
//! Called with the argument `check` it asks the one that runs beside it for `/health`, and ends with 0 if that answers 200:
//! a health check for an image that has nothing else in it. With `row TEXT` it adds a row to the database of `STORE`, `TEXT` and
//! after it the value of `HADDOCK_VERSION`, if there is one, and ends: a migration, or a hook.
//!
//! | path | what it does |
//! |---|---|
//! | `/` | answers `{session, count, version, instance, user}` |
//! | `/slow?ms=700` | the same after that long |
//! | `/login?user=ann` | gives the session a user |
//! | `/logout` | ends the session |
//! | `/ws` | a WebSocket of the session: greets with the answer of `/`, then echoes, each echo with the answer |
//! | `/health` | 200, or 503 during the start-up delay |
//! | `/call` | `{version, instance, calls}`: each of `CALLS` asked for its own `/call`; 502 if one does not answer |
//! | `/rows` | `{rows, version}`: the rows of its database; `POST /rows?row=…` adds one first |
//! | `/fail?rate=0.1` | from now on, this part of the sessions' requests is answered 500 |
//! | `/stats` | `{sessions, version, instance}`, of no session |
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `PORT` | the TCP port to listen on | 8080 |
//! | `ADDRESS` | the address to listen on | `0.0.0.0` |
//! | `VERSION` | what the answers say | `dev` |
//! | `INSTANCE` | what the answers say | random |
//! | `START_DELAY_MS` | how long every path answers 503 after the start | 0 |
//! | `ERROR_RATE` | part of the sessions' requests that is answered 500, from 0 to 1 | 0 |
//! | `ONLY_HOST` | the only host that it answers; 400 to any other, as with Django's `ALLOWED_HOSTS` | any |
//! | `EXIT_AT_START` | ends at once with this exit code | does not |
//! | `CALLS` | whom to ask for `/call`: `host:port`, several with blanks between | nobody |
//! | `STORE` | whom to ask for rows, `host:port`; without it the rows are in the file `ROWS` | none |
//! | `ROWS` | the file of the rows | `/rows` |
//! | `SESSION_IDLE_SECONDS` | how long a session may be idle, in seconds with fractions | 1800 |
#![forbid(unsafe_code)]

mod config;
mod others;
mod session;
mod web;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::ExitCode;

pub use config::Config;
pub use session::COOKIE;

/// Runs the application as the environment variables say, until SIGTERM or SIGINT.
///
/// For a `main` that is nothing but the application: it starts a runtime of its own.
#[must_use]
pub fn main() -> ExitCode {
    let config = match Config::from_env(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    if std::env::args().nth(1).as_deref() == Some("check") {
        return check(&config);
    }
    if let (Some("row"), Some(text)) = (std::env::args().nth(1).as_deref(), std::env::args().nth(2)) {
        return add_row(&config, &text);
    }
    if let Some(code) = config.exit_at_start {
        eprintln!("ending at once with {code}, as `EXIT_AT_START` says");
        return ExitCode::from(code);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Leaving this function drops the runtime, and with it each connection in whatever state it is.
    match runtime.block_on(run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the application that runs beside this process is healthy.
fn check(config: &Config) -> ExitCode {
    let ip = if config.address.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { config.address };
    let asked = TcpStream::connect((ip, config.port)).and_then(|mut stream| {
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    match asked {
        Ok(answer) if answer.lines().next().is_some_and(|status| status.contains(" 200 ")) => ExitCode::SUCCESS,
        Ok(answer) => {
            eprintln!("unhealthy: {}", answer.lines().next().unwrap_or("no answer"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("unhealthy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Adds a row to the database of another.
fn add_row(config: &Config, text: &str) -> ExitCode {
    let version = std::env::var("HADDOCK_VERSION").map(|version| format!("-{version}")).unwrap_or_default();
    let added = match (&config.store, tokio::runtime::Builder::new_current_thread().enable_all().build()) {
        (Some(store), Ok(runtime)) => {
            runtime.block_on(others::ask("POST", store, &format!("/rows?row={text}{version}")))
        }
        (None, _) => Err("`STORE` does not say whose rows".to_owned()),
        (_, Err(error)) => Err(format!("no runtime: {error}")),
    };
    match added {
        Ok(_) => {
            eprintln!("added row {text}{version}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Listens and serves until SIGTERM or SIGINT.
///
/// # Errors
/// When the port is taken or the signals cannot be watched.
pub async fn run(config: Config) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = tokio::net::TcpListener::bind((config.address, config.port)).await?;
    eprintln!("{} ({}) listens on {}", config.version, config.instance, listener.local_addr()?);
    tokio::select! {
        served = serve(listener, config) => served,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Serves on a listener for as long as the future is polled. Connections that are open when it is dropped live on
/// until their runtime ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: tokio::net::TcpListener, config: Config) -> std::io::Result<()> {
    axum::serve(listener, web::router(config)).await
}
