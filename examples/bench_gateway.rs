//! The gateway beside HAProxy: requests per second, latency and processor time, in the same run.
//!
//! ```text
//! cargo run --profile dist --example bench_gateway -- [--rounds 5] [--seconds 2] [--json]
//! ```
//!
//! `--profile dist` is how binaries and wheels that are handed out are built.
//!
//! Each proxy runs alone on core 0, with one thread; clients and instances share core 1, in this process. Rounds
//! alternate between the proxies, and medians are compared. `direct` is the clients and instances without a proxy: a
//! proxy that gets near it is not what limits. The processor time that a proxy takes for a request does not depend on
//! that, nor on what else the machine does.
//!
//! HAProxy is Debian's, with `cookie SRV insert indirect nocache`, `forwardfor` and connections reused; with an application's
//! cookie it has `cookie JSESSIONID prefix nocache`. The gateway has all its duties: signed cookie, sessions counted, hygiene,
//! limits. By https both have the same certificate, and clients speak TLS 1.3.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use haddock_core::locator::gateway::{Gateway, Limits};
use haddock_core::routing::{ApplicationCookie, Route, RoutingTable, SessionPolicy};
use haddock_core::{FencingToken, InstanceId, ServiceName, Share};
use hdrhistogram::Histogram;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The cookie of the application.
const COOKIE: &str = "JSESSIONID";

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
    /// Internal: know sessions by the application's cookie.
    #[arg(long, hide = true)]
    application: bool,
    /// Internal: the folder of a certificate.
    #[arg(long, hide = true)]
    certificate: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Proxy {
    /// Without a proxy.
    Direct,
    Haproxy,
    Gateway,
    /// Sessions are known by the application's own cookie.
    HaproxyApplication,
    GatewayApplication,
    HaproxyTls,
    GatewayTls,
}

impl Proxy {
    const ALL: [Self; 7] = [
        Self::Direct,
        Self::Haproxy,
        Self::Gateway,
        Self::HaproxyApplication,
        Self::GatewayApplication,
        Self::HaproxyTls,
        Self::GatewayTls,
    ];

    /// The proxy of HAProxy with the same duties.
    fn peer(self) -> Option<Self> {
        match self {
            Self::Gateway => Some(Self::Haproxy),
            Self::GatewayApplication => Some(Self::HaproxyApplication),
            Self::GatewayTls => Some(Self::HaproxyTls),
            _ => None,
        }
    }

    fn is_application(self) -> bool {
        matches!(self, Self::HaproxyApplication | Self::GatewayApplication)
    }

    fn is_tls(self) -> bool {
        matches!(self, Self::HaproxyTls | Self::GatewayTls)
    }
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
        return runtime.block_on(serve(&options));
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
async fn serve(options: &Options) -> Result<(), Failure> {
    pin(0)?;
    let state = tempfile::tempdir()?;
    let mut builder = Gateway::builder().state_dir(state.path()).worker_threads(1).limits(Limits::default());
    if let Some(folder) = &options.certificate {
        builder = builder.tls(folder.join("cert.pem"), folder.join("key.pem"));
    }
    let gateway = builder.start().await?;
    let routes = options.gateway.iter().enumerate().map(|(n, address)| {
        let id = InstanceId::new(format!("shop-{n}-benchmrk")).expect("valid");
        (id, Route::new(*address, Share::percent(50)))
    });
    let table = RoutingTable {
        service: ServiceName::new("shop")?,
        number: FencingToken { epoch: 1, revision: 1 },
        session: SessionPolicy {
            application: options.application.then(|| ApplicationCookie::new(COOKIE)),
            ..SessionPolicy::default()
        },
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
    fn start(proxy: Proxy, instances: &[SocketAddr], certificate: &Certificate) -> Result<Self, Failure> {
        match proxy {
            Proxy::Direct => Ok(Self { child: None, address: instances[0], _files: None }),
            Proxy::Gateway | Proxy::GatewayApplication | Proxy::GatewayTls => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("--gateway").args(instances.iter().map(ToString::to_string));
                if proxy.is_application() {
                    command.arg("--application");
                }
                if proxy.is_tls() {
                    command.arg("--certificate").arg(certificate.folder.path());
                }
                let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
                let mut line = String::new();
                BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
                Ok(Self { child: Some(child), address: line.trim().parse()?, _files: None })
            }
            Proxy::Haproxy | Proxy::HaproxyApplication | Proxy::HaproxyTls => {
                let files = tempfile::tempdir()?;
                let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
                let config = files.path().join("haproxy.cfg");
                std::fs::write(&config, haproxy(proxy, port, instances, certificate.folder.path()))?;
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

    /// The most memory that it had so far, in MiB.
    fn memory(&self) -> f64 {
        let Some(child) = &self.child else { return 0.0 };
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    }

    /// Processor time taken so far.
    fn cpu(&self) -> Duration {
        self.child.as_ref().map_or(Duration::ZERO, |child| cpu(&child.id().to_string()))
    }
}

/// HAProxy's configuration.
fn haproxy(proxy: Proxy, port: u16, instances: &[SocketAddr], certificate: &Path) -> String {
    let tls = if proxy.is_tls() {
        format!(" ssl crt {} alpn http/1.1", certificate.join("both.pem").display())
    } else {
        String::new()
    };
    let cookie = if proxy.is_application() { "JSESSIONID prefix nocache" } else { "SRV insert indirect nocache" };
    let mut text = format!(
        "global\n nbthread 1\n maxconn 5000\ndefaults\n mode http\n timeout connect 2s\n timeout client 75s\n \
         timeout server 300s\n timeout http-request 10s\n option forwardfor\n option http-keep-alive\n\
         frontend in\n bind 127.0.0.1:{port}{tls}\n default_backend shop\nbackend shop\n balance roundrobin\n \
         http-reuse always\n cookie {cookie}\n"
    );
    for (n, address) in instances.iter().enumerate() {
        text.push_str(&format!(" server s{n} {address} cookie s{n}\n"));
    }
    text
}

/// A certificate for both proxies, and what connects clients that trust it.
struct Certificate {
    folder: tempfile::TempDir,
    connector: TlsConnector,
}

impl Certificate {
    fn new() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(vec!["shop.example".to_owned()])?.self_signed(&key)?;
        let (chain, key) = (own.pem(), key.serialize_pem());
        for (name, text) in [("cert.pem", &chain), ("key.pem", &key), ("both.pem", &format!("{chain}{key}"))] {
            std::fs::write(folder.path().join(name), text)?;
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(chain.as_bytes())?)?;
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { folder, connector: TlsConnector::from(Arc::new(config)) })
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
    /// MiB of memory of the proxy, at most.
    memory: f64,
    /// How busy the proxy and the clients with the instances were, of one core.
    proxy_busy: f64,
    others_busy: f64,
}

async fn measure(options: Options) -> Result<(), Failure> {
    let (mut plain, mut application) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        plain.push(instance(options.body, false).await?);
        application.push(instance(options.body, true).await?);
    }
    let instances = |proxy: Proxy| if proxy.is_application() { &application } else { &plain };
    let certificate = Certificate::new()?;
    let modes: Vec<Mode> = [Mode::KeepAlive, Mode::Close]
        .into_iter()
        .filter(|mode| options.mode.is_none_or(|only| only == *mode))
        .collect();
    let proxies: Vec<Proxy> =
        Proxy::ALL.into_iter().filter(|proxy| options.only.is_none_or(|only| only == *proxy)).collect();
    let mut results: BTreeMap<(Mode, Proxy), Vec<Figures>> = BTreeMap::new();
    for mode in &modes {
        for proxy in &proxies {
            let running = Running::start(*proxy, instances(*proxy), &certificate)?;
            round(&running, *proxy, *mode, &options, &certificate, 0.3).await?;
        }
        for _ in 0..options.rounds {
            for proxy in &proxies {
                let running = Running::start(*proxy, instances(*proxy), &certificate)?;
                round(&running, *proxy, *mode, &options, &certificate, 0.2).await?;
                let figures = round(&running, *proxy, *mode, &options, &certificate, options.seconds).await?;
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
    table.set_header([
        "connections",
        "proxy",
        "req/s",
        "p50 ms",
        "p99 ms",
        "cpu µs/req",
        "MiB",
        "proxy busy",
        "others busy",
    ]);
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
            format!("{:.1}", of(|f| f.memory)),
            format!("{:.0}%", busy * 100.0),
            format!("{:.0}%", others * 100.0),
        ]);
        lines.push(serde_json::json!({
            "mode": format!("{mode:?}"), "proxy": format!("{proxy:?}"), "requests_per_second": rate, "p50_ms": p50,
            "p99_ms": p99, "cpu_us_per_request": cpu, "memory_mib": of(|f| f.memory), "proxy_busy": busy, "others_busy": others, "rounds": rounds.len(),
        }));
    }
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    let mut ratios = BTreeMap::new();
    for (mode, proxy) in results.keys() {
        let (Some(peer), Some(ours)) = (proxy.peer(), results.get(&(*mode, *proxy))) else { continue };
        let Some(theirs) = results.get(&(*mode, peer)) else { continue };
        let ratio = |what: fn(&Figures) -> f64| median(ours, what) / median(theirs, what);
        let (rate, p99, cpu) = (ratio(|f| f.per_second), ratio(|f| f.p99), ratio(|f| f.cpu));
        let memory = ratio(|f| f.memory);
        writeln!(
            out,
            "{mode:?}: {proxy:?} to {peer:?}: throughput {rate:.2}, p99 {p99:.2}, processor time {cpu:.2}, memory {memory:.2}"
        )?;
        let figures = serde_json::json!({ "throughput": rate, "p99": p99, "cpu": cpu, "memory": memory });
        ratios.insert(format!("{mode:?} {proxy:?}"), figures);
    }
    if json {
        writeln!(out, "{}", serde_json::json!({ "figures": lines, "ratios": ratios }))?;
    }
    Ok(())
}

/// An instance: as little work as can be, so that the proxy is what is measured.
async fn instance(body: usize, sets_cookie: bool) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let response = |cookie: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {body}\r\nserver: bench\r\n\
             {cookie}vary: accept-encoding\r\netag: \"5f3c-61a2\"\r\ndate: Sat, 21 Nov 2026 22:00:00 GMT\r\n\r\n{}",
            "x".repeat(body)
        )
    };
    let (first, further) = (response("SET"), response(""));
    let responses = Rc::new((first, further));
    tokio::task::spawn_local(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let responses = Rc::clone(&responses);
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
                        let known = !sets_cookie
                            || buffer[..filled].windows(COOKIE.len()).any(|part| part == COOKIE.as_bytes());
                        filled = 0;
                        let written = if known {
                            stream.write_all(responses.1.as_bytes()).await
                        } else {
                            let session: u64 = rand::random();
                            let line = format!("set-cookie: {COOKIE}={session:032X}; Path=/; HttpOnly\r\n");
                            stream.write_all(responses.0.replacen("SET", &line, 1).as_bytes()).await
                        };
                        if written.is_err() || last {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn round(
    running: &Running,
    proxy: Proxy,
    mode: Mode,
    options: &Options,
    certificate: &Certificate,
    seconds: f64,
) -> Result<Figures, Failure> {
    let length = Duration::from_secs_f64(seconds);
    let (cpu_before, own_before) = (running.cpu(), cpu("self"));
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        let tls = proxy.is_tls().then(|| certificate.connector.clone());
        let (address, body) = (running.address, options.body);
        clients.push(tokio::task::spawn_local(async move { client(address, tls, mode, body, began, length).await }));
    }
    let mut all = Histogram::<u64>::new(3)?;
    for client in clients {
        all.add(client.await?.map_err(|error| error.to_string())?)?;
    }
    let took = began.elapsed();
    let (theirs, own) = (running.cpu() - cpu_before, cpu("self") - own_before);
    let millis = |quantile| all.value_at_quantile(quantile) as f64 / 1e6;
    Ok(Figures {
        per_second: all.len() as f64 / took.as_secs_f64(),
        p50: millis(0.5),
        p99: millis(0.99),
        cpu: theirs.as_secs_f64() * 1e6 / all.len() as f64,
        memory: running.memory(),
        proxy_busy: theirs.as_secs_f64() / took.as_secs_f64(),
        others_busy: own.as_secs_f64() / took.as_secs_f64(),
    })
}

/// The connection of a client.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

async fn client(
    address: SocketAddr,
    tls: Option<TlsConnector>,
    mode: Mode,
    body: usize,
    began: Instant,
    length: Duration,
) -> Result<Histogram<u64>, std::io::Error> {
    let mut seen = Histogram::<u64>::new(3).map_err(std::io::Error::other)?;
    let mut cookie = String::new();
    let mut kept: Option<Box<dyn Stream>> = None;
    let mut buffer = vec![0; 16 * 1024 + body];
    let mut request = String::new();
    while began.elapsed() < length {
        if request.is_empty() {
            request = request_with(&cookie, mode);
        }
        let start = Instant::now();
        let mut stream: Box<dyn Stream> = match kept.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                match &tls {
                    None => Box::new(stream),
                    Some(tls) => {
                        let name = ServerName::try_from("shop.example").expect("a name");
                        Box::new(tls.connect(name, stream).await?)
                    }
                }
            }
        };
        stream.write_all(request.as_bytes()).await?;
        let head = read_response(&mut *stream, &mut buffer, body).await?;
        seen.record(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)).map_err(std::io::Error::other)?;
        if let Some(new) = set_cookie(&buffer[..head]) {
            cookie = new;
            request.clear();
        }
        match mode {
            Mode::KeepAlive => kept = Some(stream),
            // The proxy closes first: so no port of ours stays behind.
            Mode::Close => while stream.read(&mut buffer).await.unwrap_or(0) > 0 {},
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
async fn read_response(stream: &mut dyn Stream, buffer: &mut [u8], body: usize) -> Result<usize, std::io::Error> {
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
