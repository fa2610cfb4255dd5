//! HAProxy and the gateway, each before an instance that writes down what reaches it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use haddock_core::locator::gateway::{Gateway, Limits};
use haddock_core::routing::{Route, RoutingTable, SessionPolicy};
use haddock_core::{FencingToken, InstanceId, ServiceName, Share};
use haddock_tests::{pause, skip};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long a proxy may be silent before it is taken for one that waits for more; and the same on a machine that has so
/// much to do that the short one says nothing.
pub(crate) const SILENCES: [Duration; 2] = [Duration::from_millis(400), Duration::from_secs(5)];

/// One of the two, with its instance.
pub(crate) struct Side {
    address: SocketAddr,
    instance: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    version: Option<String>,
    _proxy: Proxy,
}

#[allow(dead_code, reason = "kept for as long as it is to run")]
enum Proxy {
    Gateway(Gateway, TempDir),
    Haproxy(Process, TempDir),
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts both. `None`: there is no HAProxy, which was said aloud.
pub(crate) async fn start() -> Option<(Side, Side)> {
    let Some(program) = haproxy() else {
        skip("HAProxy");
        return None;
    };
    Some((behind_haproxy(program).await, behind_gateway().await))
}

fn haproxy() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join("haproxy")).find(|program| program.is_file())
}

async fn behind_haproxy(program: PathBuf) -> Side {
    let (instance, seen) = instance().await;
    let folder = tempfile::tempdir().expect("a folder");
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
    let config = folder.path().join("haproxy.cfg");
    let mut file = std::fs::File::create(&config).expect("writable");
    write!(
        file,
        "global\n maxconn 200\ndefaults\n mode http\n timeout connect 2s\n timeout client 10s\n timeout server 10s\n \
         timeout http-request 10s\n option forwardfor\nfrontend in\n bind {address}\n default_backend shop\nbackend shop\n \
         cookie SRV insert indirect nocache\n server s1 {instance} cookie s1\n"
    )
    .expect("writable");
    let told = Command::new(&program).arg("-v").output().expect("it runs").stdout;
    let version = String::from_utf8_lossy(&told).split_whitespace().nth(2).map(str::to_owned);
    let mut command = Command::new(program);
    command.args(["-db", "-q", "-f"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process(command.spawn().expect("it starts"));
    let up = async {
        while TcpStream::connect(address).await.is_err() {
            pause().await;
        }
    };
    timeout(Duration::from_secs(10), up).await.expect("HAProxy listens");
    Side { address, instance, seen, version, _proxy: Proxy::Haproxy(process, folder) }
}

async fn behind_gateway() -> Side {
    let (instance, seen) = instance().await;
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits { head_within: Duration::from_secs(10), ..Limits::default() };
    let gateway = Gateway::builder().state_dir(folder.path()).limits(limits).start().await.expect("a gateway");
    let table = RoutingTable {
        service: ServiceName::new("shop").expect("valid"),
        number: FencingToken { epoch: 1, revision: 1 },
        session: SessionPolicy::default(),
        routes: [(InstanceId::new("shop-1").expect("valid"), Route::new(instance, Share::FULL))].into(),
        watermark: None,
    };
    gateway.locator().apply(&table).await.expect("new");
    Side { address: gateway.local_addr(), instance, seen, version: None, _proxy: Proxy::Gateway(gateway, folder) }
}

impl Side {
    /// The version of HAProxy.
    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Sends these bytes on a connection of their own; answers with the statuses that came, the last body, and whether the
    /// proxy closed the connection or waits for more.
    pub(crate) async fn send(&self, bytes: &[u8], silence: Duration) -> String {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let mut answer = Vec::new();
        // What is sent in two halves comes in two pieces.
        for (n, part) in bytes.split(|byte| *byte == b'\x01').enumerate() {
            if n > 0 {
                let _ = timeout(silence, stream.read_buf(&mut answer)).await;
            }
            if stream.write_all(part).await.is_err() {
                break;
            }
        }
        let end = loop {
            match timeout(silence, stream.read_buf(&mut answer)).await {
                Ok(Ok(0) | Err(_)) => break "closed",
                Ok(Ok(_)) => {}
                Err(_) => break "open",
            }
        };
        let text = String::from_utf8_lossy(&answer);
        let mut statuses: Vec<&str> = Vec::new();
        for piece in text.split("HTTP/1.").skip(1) {
            statuses.push(piece.get(2..5).unwrap_or("?"));
        }
        let served =
            text.rfind("HTTP/1.").map(|at| &text[at..]).and_then(body).filter(|_| statuses.last() == Some(&"200"));
        let served = served.map(|body| format!(" {body:?}")).unwrap_or_default();
        let statuses = if statuses.is_empty() { "nothing".to_owned() } else { statuses.join("+") };
        format!("{statuses}{served} {end}")
    }

    /// What has reached the instance.
    pub(crate) fn seen(&self) -> Vec<String> {
        let own = self.instance.to_string();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|seen| seen.replace(&own, "ITS-ADDRESS").replace('\0', "\\0")).collect()
    }
}

/// The body of an answer, however it is sent.
fn body(answer: &str) -> Option<String> {
    let (head, mut rest) = answer.split_once("\r\n\r\n")?;
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Some(rest.to_owned());
    }
    let mut body = String::new();
    while let Some((length, more)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length.split(';').next()?, 16).ok()?;
        if length == 0 {
            break;
        }
        body.push_str(more.get(..length)?);
        rest = more.get(length..)?.trim_start_matches("\r\n");
    }
    Some(body)
}

/// Headers that are of interest where they reach the instance.
const OF_INTEREST: [&str; 16] = [
    "host",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "expect",
    "x-secret",
    "x-kept",
    "cookie",
    "x-forwarded-for",
    "range",
    "content-encoding",
    "max-forwards",
    "x-trailer",
];

async fn instance() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let writes = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&writes)));
        }
    });
    (address, seen)
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break at;
            }
            if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        bytes.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let mut headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        headers.retain(|(name, _)| {
            OF_INTEREST.contains(&name.as_str()) || matches!(name.as_str(), "content-length" | "transfer-encoding")
        });
        headers.sort();
        let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        // Whoever asks first is told to go on.
        if value("expect").is_some() && first.contains("/wants") {
            let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let answer = cases_answer(&first);
        let body = if first.contains("/early") {
            Some(String::new())
        } else if value("transfer-encoding").is_some() {
            chunked(&mut stream, &mut bytes).await
        } else {
            let length = value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            sized(&mut stream, &mut bytes, length).await
        };
        let told: Vec<String> = headers
            .iter()
            .filter(|(name, _)| OF_INTEREST.contains(&name.as_str()))
            // Words of one hop may be written either way.
            .map(
                |(name, value)| {
                    if name == "connection" { (name, value.to_ascii_lowercase()) } else { (name, value.clone()) }
                },
            )
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        // One whose body does not come to its end is no request.
        let Some(body) = body else { return };
        let line = format!("{first} {} body={body:?}", told.join(" "));
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        if stream.write_all(answer.as_bytes()).await.is_err() || answer.contains("Connection: close") {
            return;
        }
    }
}

/// What the instance answers, by the target.
fn cases_answer(first: &str) -> &'static str {
    let answers = [
        ("/early", "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ("/two-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok!"),
        (
            "/both-lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n"),
        ("/to-the-end", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"),
        ("/old", "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nok"),
        ("/hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("/unasked", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
        (
            "/upgrade",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        ),
        ("/no-reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
        ("/nonsense", "what is this\r\nConnection: close\r\n\r\n"),
        ("/nul", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
        ("/empty", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("/same", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"),
        ("/odd-status", "HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok"),
    ];
    if first.starts_with("HEAD ") {
        return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    }
    let found = answers.into_iter().find(|(path, _)| first.contains(path));
    found.map_or("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", |(_, answer)| answer)
}

async fn sized(stream: &mut TcpStream, bytes: &mut Vec<u8>, length: usize) -> Option<String> {
    while bytes.len() < length {
        if !matches!(stream.read_buf(bytes).await, Ok(1..)) {
            return None;
        }
    }
    Some(String::from_utf8_lossy(&bytes.drain(..length).collect::<Vec<_>>()).into_owned())
}

async fn chunked(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    let mut body = String::new();
    loop {
        let line = line(stream, bytes).await?;
        let length = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if length == 0 {
            // Trailers, up to the empty line.
            while !self::line(stream, bytes).await?.is_empty() {}
            return Some(body);
        }
        body.push_str(&sized(stream, bytes, length).await?);
        self::line(stream, bytes).await?;
    }
}

async fn line(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(at) = bytes.windows(2).position(|part| part == b"\r\n") {
            let line = bytes.drain(..at + 2).take(at).collect::<Vec<_>>();
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
        if !matches!(stream.read_buf(bytes).await, Ok(1..)) {
            return None;
        }
    }
}
