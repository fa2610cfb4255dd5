//! The gateway beside HAProxy: requests per second, latency and processor time, in the same run.
//!
//! ```text
//! cargo run --release --example bench_gateway -- [--rounds 5] [--seconds 2] [--json]
//! ```
//!
//! Each proxy runs alone on core 0, with one thread; clients and instances share core 1, in this process. Rounds
//! alternate between the proxies, and medians are compared. `direct` is the clients and instances without a proxy: a
//! proxy that gets near it is not what limits. The processor time that a proxy takes for a request does not depend on
//! that, nor on what else the machine does.
//!
//! HAProxy is Debian's, with `cookie SRV insert indirect nocache`, `forwardfor` and connections reused. The gateway has
//! all its duties: signed cookie, sessions counted, hygiene, limits.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use haddock_core::locator::gateway::{Gateway, Limits};
use haddock_core::routing::{Route, RoutingTable, SessionPolicy};
use haddock_core::{FencingToken, InstanceId, ServiceName, Share};
use hdrhistogram::Histogram;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

#[derive(Debug, Clone, Parser)]
struct Options {
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
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
    /// Only this proxy.
    #[arg(long)]
    only: Option<Proxy>,
    /// Only this way to use connections.
    #[arg(long)]
    mode: Option<Mode>,
    /// Internal: serve as the gateway, for these instances.
    #[arg(long, hide = true, num_args = 1..)]
    gateway: Vec<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Proxy {
    Gateway,
    Haproxy,
    Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Mode {
    /// Connections are kept alive.
    KeepAlive,
    /// Each request has a connection of its own.
    Close,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if !options.gateway.is_empty() {
        return runtime.block_on(serve(&options.gateway));
    }
    pin(1)?;
    runtime.block_on(LocalSet::new().run_until(measure(options)))
}

fn pin(core: usize) -> Result<(), Failure> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// The gateway, in a process of its own.
async fn serve(instances: &[SocketAddr]) -> Result<(), Failure> {
    pin(0)?;
    let state = tempfile::tempdir()?;
    let gateway =
        Gateway::builder().state_dir(state.path()).worker_threads(1).limits(Limits::default()).start().await?;
    let routes = instances.iter().enumerate().map(|(n, address)| {
        let id = InstanceId::new(format!("shop-{n}-benchmrk")).expect("valid");
        (id, Route::new(*address, Share::percent(50)))
    });
    let table = RoutingTable {
        service: ServiceName::new("shop")?,
        number: FencingToken { epoch: 1, revision: 1 },
        session: SessionPolicy::default(),
        routes: routes.collect(),
        watermark: None,
    };
    gateway.locator().apply(&table).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", gateway.local_addr())?;
    out.flush()?;
    // Until whoever started us goes away.
    let mut stdin = String::new();
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut stdin)).await??;
    Ok(())
}

/// A proxy that runs, and is killed when dropped.
struct Running {
    child: Option<Child>,
    address: SocketAddr,
    _files: Option<tempfile::TempDir>,
}

impl Running {
    fn start(proxy: Proxy, instances: &[SocketAddr]) -> Result<Self, Failure> {
        match proxy {
            Proxy::Direct => Ok(Self { child: None, address: instances[0], _files: None }),
            Proxy::Gateway => {
                let mut child = Command::new(std::env::current_exe()?)
                    .arg("--gateway")
                    .args(instances.iter().map(ToString::to_string))
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()?;
                let mut line = String::new();
                BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
                Ok(Self { child: Some(child), address: line.trim().parse()?, _files: None })
            }
            Proxy::Haproxy => {
                let files = tempfile::tempdir()?;
                let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                let mut text = format!(
                    "global\n nbthread 1\n maxconn 5000\ndefaults\n mode http\n timeout connect 2s\n timeout client 75s\n \
                     timeout server 300s\n timeout http-request 10s\n option forwardfor\n option http-keep-alive\n\
                     frontend in\n bind 127.0.0.1:{port}\n default_backend shop\nbackend shop\n balance roundrobin\n \
                     http-reuse always\n cookie SRV insert indirect nocache\n"
                );
                for (n, address) in instances.iter().enumerate() {
                    text.push_str(&format!(" server s{n} {address} cookie s{n}\n"));
                }
                let config = files.path().join("haproxy.cfg");
                std::fs::write(&config, text)?;
                let child = Command::new("taskset")
                    .args(["-c", "0", "/usr/sbin/haproxy", "-db", "-q", "-f"])
                    .arg(&config)
                    .spawn()?;
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                let began = Instant::now();
                while std::net::TcpStream::connect(address).is_err() {
                    if began.elapsed() > Duration::from_secs(5) {
                        return Err("HAProxy does not start: is it installed?".into());
                    }
                    std::thread::yield_now();
                }
                Ok(Self { child: Some(child), address, _files: Some(files) })
            }
        }
    }

    /// Processor time taken so far.
    fn cpu(&self) -> Duration {
        self.child.as_ref().map_or(Duration::ZERO, |child| cpu(&child.id().to_string()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Processor time of a process and all its threads, from the scheduler, in nanoseconds.
fn cpu(pid: &str) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// What a round has shown.
#[derive(Debug, Clone, Copy)]
struct Figures {
    per_second: f64,
    p50: f64,
    p99: f64,
    /// Microseconds of processor time of the proxy for each request.
    cpu: f64,
    /// How busy the proxy and the clients with the instances were, of one core.
    proxy_busy: f64,
    others_busy: f64,
}

async fn measure(options: Options) -> Result<(), Failure> {
    let mut instances = Vec::new();
    for _ in 0..2 {
        instances.push(instance(options.body).await?);
    }
    let modes: Vec<Mode> = [Mode::KeepAlive, Mode::Close]
        .into_iter()
        .filter(|mode| options.mode.is_none_or(|only| only == *mode))
        .collect();
    let proxies: Vec<Proxy> = [Proxy::Direct, Proxy::Haproxy, Proxy::Gateway]
        .into_iter()
        .filter(|proxy| options.only.is_none_or(|only| only == *proxy))
        .collect();
    let mut results: BTreeMap<(Mode, Proxy), Vec<Figures>> = BTreeMap::new();
    for mode in &modes {
        for proxy in &proxies {
            let running = Running::start(*proxy, &instances)?;
            round(&running, *mode, &options, 0.3).await?;
        }
        for _ in 0..options.rounds {
            for proxy in &proxies {
                let running = Running::start(*proxy, &instances)?;
                round(&running, *mode, &options, 0.2).await?;
                let figures = round(&running, *mode, &options, options.seconds).await?;
                results.entry((*mode, *proxy)).or_default().push(figures);
            }
        }
    }
    print(&results, options.json)
}

fn median(of: &[Figures], what: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = of.iter().map(what).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(results: &BTreeMap<(Mode, Proxy), Vec<Figures>>, json: bool) -> Result<(), Failure> {
    let mut table = comfy_table::Table::new();
    table.set_header(["connections", "proxy", "req/s", "p50 ms", "p99 ms", "cpu µs/req", "proxy busy", "others busy"]);
    let mut lines = Vec::new();
    for ((mode, proxy), rounds) in results {
        let of = |what: fn(&Figures) -> f64| median(rounds, what);
        let (rate, p50, p99, cpu) = (of(|f| f.per_second), of(|f| f.p50), of(|f| f.p99), of(|f| f.cpu));
        let (busy, others) = (of(|f| f.proxy_busy), of(|f| f.others_busy));
        table.add_row([
            format!("{mode:?}"),
            format!("{proxy:?}"),
            format!("{rate:.0}"),
            format!("{p50:.2}"),
            format!("{p99:.2}"),
            format!("{cpu:.1}"),
            format!("{:.0}%", busy * 100.0),
            format!("{:.0}%", others * 100.0),
        ]);
        lines.push(serde_json::json!({
            "mode": format!("{mode:?}"), "proxy": format!("{proxy:?}"), "requests_per_second": rate, "p50_ms": p50,
            "p99_ms": p99, "cpu_us_per_request": cpu, "proxy_busy": busy, "others_busy": others, "rounds": rounds.len(),
        }));
    }
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    let mut ratios = BTreeMap::new();
    for mode in [Mode::KeepAlive, Mode::Close] {
        if let (Some(ours), Some(theirs)) = (results.get(&(mode, Proxy::Gateway)), results.get(&(mode, Proxy::Haproxy)))
        {
            let ratio = |what: fn(&Figures) -> f64| median(ours, what) / median(theirs, what);
            let (rate, p99, cpu) = (ratio(|f| f.per_second), ratio(|f| f.p99), ratio(|f| f.cpu));
            writeln!(out, "{mode:?}: gateway to HAProxy: throughput {rate:.2}, p99 {p99:.2}, processor time {cpu:.2}")?;
            ratios.insert(format!("{mode:?}"), serde_json::json!({ "throughput": rate, "p99": p99, "cpu": cpu }));
        }
    }
    if json {
        writeln!(out, "{}", serde_json::json!({ "figures": lines, "ratios": ratios }))?;
    }
    Ok(())
}

/// An instance: as little work as can be, so that the proxy is what is measured.
async fn instance(body: usize) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let response = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {body}\r\nserver: bench\r\n\
         vary: accept-encoding\r\netag: \"5f3c-61a2\"\r\ndate: Sat, 21 Nov 2026 22:00:00 GMT\r\n\r\n{}",
        "x".repeat(body)
    );
    let response = Rc::new(response);
    tokio::task::spawn_local(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let response = Rc::clone(&response);
            tokio::task::spawn_local(async move {
                let mut buffer = vec![0; 16 * 1024];
                let mut filled = 0;
                loop {
                    match stream.read(&mut buffer[filled..]).await {
                        Ok(0) | Err(_) => return,
                        Ok(n) => filled += n,
                    }
                    if buffer[..filled].ends_with(b"\r\n\r\n") {
                        // A client that asks us directly may want the connection closed.
                        let last = buffer[..filled].windows(17).any(|part| part == b"connection: close");
                        filled = 0;
                        if stream.write_all(response.as_bytes()).await.is_err() || last {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn round(running: &Running, mode: Mode, options: &Options, seconds: f64) -> Result<Figures, Failure> {
    let length = Duration::from_secs_f64(seconds);
    let (cpu_before, own_before) = (running.cpu(), cpu("self"));
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        let address = running.address;
        let body = options.body;
        clients.push(tokio::task::spawn_local(async move { client(address, mode, body, began, length).await }));
    }
    let mut all = Histogram::<u64>::new(3)?;
    for client in clients {
        all.add(client.await?.map_err(|error| error.to_string())?)?;
    }
    let took = began.elapsed();
    let (proxy, own) = (running.cpu() - cpu_before, cpu("self") - own_before);
    let millis = |quantile| all.value_at_quantile(quantile) as f64 / 1e6;
    Ok(Figures {
        per_second: all.len() as f64 / took.as_secs_f64(),
        p50: millis(0.5),
        p99: millis(0.99),
        cpu: proxy.as_secs_f64() * 1e6 / all.len() as f64,
        proxy_busy: proxy.as_secs_f64() / took.as_secs_f64(),
        others_busy: own.as_secs_f64() / took.as_secs_f64(),
    })
}

async fn client(
    address: SocketAddr,
    mode: Mode,
    body: usize,
    began: Instant,
    length: Duration,
) -> Result<Histogram<u64>, std::io::Error> {
    let mut seen = Histogram::<u64>::new(3).map_err(std::io::Error::other)?;
    let mut cookie = String::new();
    let mut kept: Option<TcpStream> = None;
    let mut buffer = vec![0; 16 * 1024 + body];
    let mut request = String::new();
    while began.elapsed() < length {
        if request.is_empty() {
            request = request_with(&cookie, mode);
        }
        let start = Instant::now();
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request.as_bytes()).await?;
        let head = read_response(&mut stream, &mut buffer, body).await?;
        seen.record(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)).map_err(std::io::Error::other)?;
        if let Some(new) = set_cookie(&buffer[..head]) {
            cookie = new;
            request.clear();
        }
        match mode {
            Mode::KeepAlive => kept = Some(stream),
            // The proxy closes first: so no port of ours stays behind.
            Mode::Close => while stream.read(&mut buffer).await? > 0 {},
        }
    }
    Ok(seen)
}

fn request_with(cookie: &str, mode: Mode) -> String {
    let mut request = String::from(
        "GET /shop/list?page=2 HTTP/1.1\r\nhost: shop.example\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64) Bench/1.0\r\n\
         accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\naccept-language: en,de;q=0.5\r\n\
         accept-encoding: gzip, deflate, br\r\nreferer: http://shop.example/shop\r\n",
    );
    if !cookie.is_empty() {
        request.push_str(&format!("cookie: {cookie}\r\n"));
    }
    if mode == Mode::Close {
        request.push_str("connection: close\r\n");
    }
    request.push_str("\r\n");
    request
}

/// Reads one response; answers with the length of its head.
async fn read_response(stream: &mut TcpStream, buffer: &mut [u8], body: usize) -> Result<usize, std::io::Error> {
    let mut filled = 0;
    loop {
        let n = stream.read(&mut buffer[filled..]).await?;
        if n == 0 {
            return Err(std::io::Error::other("the connection ended before the response"));
        }
        filled += n;
        // The body has no empty line: looked for from the end, where it is near.
        if let Some(head) = buffer[..filled].windows(4).position(|part| part == b"\r\n\r\n") {
            if !buffer.starts_with(b"HTTP/1.1 200") {
                return Err(std::io::Error::other(String::from_utf8_lossy(&buffer[..head]).into_owned()));
            }
            if filled >= head + 4 + body {
                return Ok(head);
            }
        }
    }
}

fn set_cookie(head: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(head).ok()?;
    let line = text.lines().find(|line| line.len() > 11 && line[..11].eq_ignore_ascii_case("set-cookie:"))?;
    Some(line[11..].trim().split(';').next()?.to_owned())
}
