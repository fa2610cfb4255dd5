//! Probing from our side: what decides readiness.
//!
//! A health check has its first verdict one interval after the start. A connection from here succeeds a millisecond
//! after the program listens. So a [`Prober`] probes every few milliseconds until a probe passes. It probes by a
//! [`Probing`]: over the network, unless the addresses of a runtime are not real.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
#[cfg(feature = "probes")]
use bytes::Bytes;
#[cfg(feature = "probes")]
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
#[cfg(feature = "probes")]
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::time::{Clock, Timestamp, sleep};

/// How long one probe may take by default.
pub const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// How long a connection has to last. A port that Docker publishes takes connections although nobody listens behind it,
/// and closes them at once.
const MIN_CONNECTION: Duration = Duration::from_millis(20);
/// How long a body may be that is read. A number, or some JSON with it, is far shorter.
const MAX_BODY: usize = 64 << 10;
/// The time between two probes that fail: short at first, and then half as long again each time.
const FIRST_INTERVAL: Duration = Duration::from_millis(5);
const MAX_FAILING_INTERVAL: Duration = Duration::from_millis(250);
/// The time between two probes once one has passed, by default.
pub const STEADY_INTERVAL: Duration = Duration::from_secs(1);

/// What to ask of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Where.
    pub address: SocketAddr,
    /// The path that has to answer 2xx or 3xx; `None`: the port takes a TCP connection.
    pub http: Option<String>,
    /// The host that is asked for by HTTP; `None`: the address. Many frameworks answer 400 for a host that they do not
    /// know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProbeFailure {
    /// Nobody listens, or the connection was closed at once.
    Refused,
    /// No answer within the time limit.
    TimedOut,
    /// An answer other than 2xx and 3xx.
    Status(u16),
    /// A body of more than 64 KiB, where it is read.
    TooLong,
    /// An answer that is no HTTP.
    Broken(String),
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::TooLong => write!(f, "an answer of more than {} KiB", MAX_BODY >> 10),
            Self::Broken(why) => write!(f, "no HTTP: {why}"),
        }
    }
}

impl std::error::Error for ProbeFailure {}

impl Probe {
    /// Whether the port takes a TCP connection.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self { address, http: None, host: None }
    }

    /// Probes once, for at most `limit`.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn once(&self, limit: Duration) -> Result<(), ProbeFailure> {
        let probed = async {
            let stream = self.connect().await?;
            let Some(path) = &self.http else { return lasts(stream).await };
            match get(stream, &self.asked_as(), path, 0).await?.0 {
                200..=399 => Ok(()),
                status => Err(ProbeFailure::Status(status)),
            }
        };
        timeout(limit, probed).await.unwrap_or(Err(ProbeFailure::TimedOut))
    }

    /// What the path answers, if it answers 2xx within `limit`, and with at most 64 KiB.
    ///
    /// # Errors
    /// Why there is no such answer.
    pub async fn body(&self, limit: Duration) -> Result<Vec<u8>, ProbeFailure> {
        let asked = async {
            let path = self.http.as_deref().unwrap_or("/");
            match get(self.connect().await?, &self.asked_as(), path, MAX_BODY).await? {
                (200..=299, body) => Ok(body),
                (status, _) => Err(ProbeFailure::Status(status)),
            }
        };
        timeout(limit, asked).await.unwrap_or(Err(ProbeFailure::TimedOut))
    }

    async fn connect(&self) -> Result<TcpStream, ProbeFailure> {
        TcpStream::connect(self.address).await.map_err(|_| ProbeFailure::Refused)
    }

    fn asked_as(&self) -> String {
        self.host.clone().unwrap_or_else(|| self.address.to_string())
    }
}

async fn lasts(mut stream: TcpStream) -> Result<(), ProbeFailure> {
    match timeout(MIN_CONNECTION, stream.read(&mut [0; 1])).await {
        Ok(Ok(0) | Err(_)) => Err(ProbeFailure::Refused),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

#[cfg(not(feature = "probes"))]
async fn get(_stream: TcpStream, _host: &str, _path: &str, _most: usize) -> Result<(u16, Vec<u8>), ProbeFailure> {
    Err(ProbeFailure::Broken("this program was built without the feature `probes`".to_owned()))
}

/// The status of the answer. With `most`, also its body, if that has no more bytes.
#[cfg(feature = "probes")]
async fn get(stream: TcpStream, host: &str, path: &str, most: usize) -> Result<(u16, Vec<u8>), ProbeFailure> {
    let broken = |error: hyper::Error| {
        // It was closed or reset before there was an answer. This counts as if nobody listened.
        if error.is_parse() { ProbeFailure::Broken(error.to_string()) } else { ProbeFailure::Refused }
    };
    let request = http::Request::get(path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, "haddock-probe")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| ProbeFailure::Broken(error.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        if most == 0 {
            return Ok((status, Vec::new()));
        }
        let body = Limited::new(answer.into_body(), most).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => ProbeFailure::TooLong,
            false => ProbeFailure::Broken("the answer broke off".to_owned()),
        })?;
        Ok((status, body.to_bytes().to_vec()))
    };
    // The connection is driven here, and dropped once what is asked for is there.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driven => match never {},
    }
}

/// Something that can tell whether an address answers.
#[async_trait]
pub trait Probing: Send + Sync + fmt::Debug + 'static {
    /// Probes once, for at most `limit`.
    ///
    /// # Errors
    /// Why it failed.
    async fn probe(&self, probe: &Probe, limit: Duration) -> Result<(), ProbeFailure>;

    /// What the path of a probe answers, if that is 2xx. By default it is asked for over the network.
    ///
    /// # Errors
    /// Why there is no such answer.
    async fn body(&self, probe: &Probe, limit: Duration) -> Result<Vec<u8>, ProbeFailure> {
        probe.body(limit).await
    }

    /// Whether it can probe by HTTP. If not, a service that needs this is refused.
    fn asks_by_http(&self) -> bool {
        true
    }
}

/// Probes by a connection from this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetworkProbing;

#[async_trait]
impl Probing for NetworkProbing {
    async fn probe(&self, probe: &Probe, limit: Duration) -> Result<(), ProbeFailure> {
        probe.once(limit).await
    }

    fn asks_by_http(&self) -> bool {
        cfg!(feature = "probes")
    }
}

/// What the last probe said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// When that probe began.
    pub at: Timestamp,
    /// Since when every probe has had this result: passed, or failed for any reason.
    pub since: Timestamp,
    /// Whether it passed, or why it failed.
    pub outcome: Result<(), ProbeFailure>,
}

impl Verdict {
    /// Whether it passed.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.outcome.is_ok()
    }
}

/// Probes an address until it is dropped, and keeps the latest verdict.
#[derive(Debug)]
pub struct Prober {
    latest: watch::Receiver<Option<Verdict>>,
    task: tokio::task::AbortHandle,
}

impl Prober {
    /// Begins to probe over the network, on the present tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(probe: Probe, clock: Arc<dyn Clock>) -> Self {
        Self::start_by(Arc::new(NetworkProbing), probe, STEADY_INTERVAL, clock)
    }

    /// Begins to probe by other means, every `steady` once a probe has passed.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start_by(probing: Arc<dyn Probing>, probe: Probe, steady: Duration, clock: Arc<dyn Clock>) -> Self {
        let (sender, latest) = watch::channel(None);
        let task = tokio::spawn(run(probing, probe, steady, clock, sender)).abort_handle();
        Self { latest, task }
    }

    /// The latest verdict; `None` before the first.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.latest.borrow().clone()
    }

    /// A receiver that is told of each verdict.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Verdict>> {
        self.latest.clone()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    probing: Arc<dyn Probing>,
    probe: Probe,
    steady: Duration,
    clock: Arc<dyn Clock>,
    sender: watch::Sender<Option<Verdict>>,
) {
    let mut pause = FIRST_INTERVAL;
    let mut last: Option<Verdict> = None;
    loop {
        let at = clock.now();
        let outcome = probing.probe(&probe, PROBE_LIMIT).await;
        let healthy = outcome.is_ok();
        let unchanged = last.as_ref().filter(|last| last.is_healthy() == healthy);
        pause = match (healthy, unchanged) {
            (true, _) => steady,
            (false, None) => FIRST_INTERVAL,
            (false, Some(_)) => (pause * 3 / 2).min(MAX_FAILING_INTERVAL),
        };
        let verdict = Verdict { at, since: unchanged.map_or(at, |last| last.since), outcome };
        last = Some(verdict.clone());
        if sender.send(Some(verdict)).is_err() {
            return;
        }
        sleep(pause).await;
    }
}

#[cfg(all(test, feature = "probes"))]
mod tests {
    use super::*;
    use crate::time::SystemClock;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(5);

    /// Answers every connection with these bytes, and closes it.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if !answer.is_empty() {
                    let mut request = [0; 1024];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn an_answer_counts_by_its_status() {
        for (answer, expected) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
            ("HTTP/1.1 302 Found\r\nLocation: /login\r\ncontent-length: 0\r\n\r\n", Ok(())),
            ("HTTP/1.0 200 OK\r\n\r\nhello", Ok(())),
            ("HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n", Err(ProbeFailure::Status(503))),
            ("", Err(ProbeFailure::Refused)),
        ] {
            let probe = Probe { http: Some("/health".into()), ..Probe::tcp(server(answer).await) };
            assert_eq!(probe.once(LIMIT).await, expected, "{answer:?}");
        }
        let probe = Probe { http: Some("/".into()), ..Probe::tcp(server("SSH-2.0-OpenSSH\r\n").await) };
        assert!(matches!(probe.once(LIMIT).await, Err(ProbeFailure::Broken(_))));
    }

    #[tokio::test]
    async fn an_application_that_knows_its_host_is_asked_for_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
                let status = if text.contains("\r\nhost: shop.example\r\n") { "200 OK" } else { "400 Bad Request" };
                let _ = stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
            }
        });
        let probe = Probe { http: Some("/".into()), ..Probe::tcp(address) };
        assert_eq!(probe.once(LIMIT).await, Err(ProbeFailure::Status(400)));
        let probe = Probe { host: Some("shop.example".into()), ..probe };
        assert_eq!(probe.once(LIMIT).await, Ok(()));
    }

    #[tokio::test]
    async fn a_connection_counts_only_if_it_lasts() {
        let closing = Probe::tcp(server("").await);
        assert_eq!(closing.once(LIMIT).await, Err(ProbeFailure::Refused));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = Probe::tcp(listener.local_addr().expect("an address"));
        assert_eq!(open.once(LIMIT).await, Ok(()), "the backlog takes it");
        let silent = Probe { http: Some("/".into()), ..open.clone() };
        assert_eq!(silent.once(Duration::from_millis(50)).await, Err(ProbeFailure::TimedOut));
        drop(listener);
        assert_eq!(open.once(LIMIT).await, Err(ProbeFailure::Refused));
    }

    #[tokio::test]
    async fn a_prober_sees_a_start_and_an_end_within_moments() {
        let reserved = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = reserved.local_addr().expect("an address");
        drop(reserved);
        let prober = Prober::start(Probe::tcp(address), Arc::new(SystemClock::new()));
        let mut verdicts = prober.subscribe();
        let mut until = async |healthy: bool| {
            let told = verdicts.wait_for(|it| it.as_ref().is_some_and(|it| it.is_healthy() == healthy));
            timeout(LIMIT, told).await.expect("in time").expect("the prober lives");
        };
        until(false).await;
        let listener = TcpListener::bind(address).await.expect("still free");
        until(true).await;
        drop(listener);
        until(false).await;
        assert_eq!(prober.verdict().expect("there is one").outcome, Err(ProbeFailure::Refused));
    }
}
