//! Instances and clients, which share core 1, and what a round of their requests shows.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use hdrhistogram::Histogram;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::Failure;
use crate::proxies::{Running, cpu};

/// The cookie of the application.
pub(crate) const COOKIE: &str = "JSESSIONID";

/// How long a proxy may take until it serves.
const FIRST_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Mode {
    /// Connections are kept alive.
    KeepAlive,
    /// Each request has a connection of its own.
    Close,
}

/// What a round has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of processor time of the proxy for each request.
    pub(crate) cpu: f64,
    /// MiB of memory of the proxy, at most.
    pub(crate) memory: f64,
    /// How busy the proxy and the clients with the instances were, of one core.
    pub(crate) proxy_busy: f64,
    pub(crate) others_busy: f64,
}

/// What clients do in a round.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) mode: Mode,
    pub(crate) connections: usize,
    pub(crate) body: usize,
    /// By https, if so.
    pub(crate) tls: Option<TlsConnector>,
}

/// Waits until the proxy serves, and puts it under load for a moment: the beginning is of no interest.
pub(crate) async fn warm_up(running: &Running, work: &Work) -> Result<(), Failure> {
    let began = Instant::now();
    // At first nobody listens, and some take connections before they have read what they are to serve.
    while let Err(error) = client(running.address, work.clone(), began, Duration::ZERO).await {
        if began.elapsed() > FIRST_LIMIT {
            return Err(format!("it does not serve: {error}\n{}", running.log()).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    round(running, work, 0.2).await.map(drop)
}

/// Puts the proxy under load for that long.
pub(crate) async fn round(running: &Running, work: &Work, seconds: f64) -> Result<Figures, Failure> {
    let length = Duration::from_secs_f64(seconds);
    let (cpu_before, own_before) = (running.cpu(), cpu("self"));
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..work.connections {
        let (address, work) = (running.address, work.clone());
        clients.push(tokio::task::spawn_local(async move { client(address, work, began, length).await }));
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

/// An instance: as little work as can be, so that the proxy is what is measured.
pub(crate) async fn instance(body: usize, sets_cookie: bool) -> Result<SocketAddr, Failure> {
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

/// The connection of a client.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Sends requests one after the other, one at least.
async fn client(
    address: SocketAddr,
    work: Work,
    began: Instant,
    length: Duration,
) -> Result<Histogram<u64>, std::io::Error> {
    let Work { mode, body, tls, .. } = work;
    let mut seen = Histogram::<u64>::new(3).map_err(std::io::Error::other)?;
    let mut cookie = String::new();
    let mut kept: Option<Box<dyn Stream>> = None;
    let mut buffer = vec![0; 16 * 1024 + body];
    let mut request = String::new();
    loop {
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
        if began.elapsed() >= length {
            return Ok(seen);
        }
    }
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
