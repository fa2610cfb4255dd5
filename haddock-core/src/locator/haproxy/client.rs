//! HAProxy's runtime API: a line of text each way, over a socket.
//!
//! Each command has a connection of its own, as HAProxy closes it after the answer. With several commands on one line the
//! answers cannot be told apart: some end with an empty line, and some (`del server`, in 2.6) do not.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};

use crate::error::{Error, ErrorKind, Result};

/// How long an answer may take. A call of a locator has several, and 5 s for all of them.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// The longest answer that is kept: the figures of tens of thousands of servers.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// Where HAProxy's runtime API listens: the path of a Unix socket, or `tcp://HOST:PORT`. It is the `stats socket` of
/// `haproxy.cfg`, with `level admin`.
///
/// ```
/// use haddock_core::locator::haproxy::RuntimeSocket;
///
/// # fn main() -> haddock_core::Result<()> {
/// assert_eq!("/run/haproxy/admin.sock".parse::<RuntimeSocket>()?.to_string(), "/run/haproxy/admin.sock");
/// assert!("tcp://127.0.0.1:9999".parse::<RuntimeSocket>().is_ok());
/// assert!("http://127.0.0.1:9999".parse::<RuntimeSocket>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeSocket {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP socket. Whoever reaches it can do everything, so it belongs on loopback.
    Tcp {
        /// A name or an IP address.
        host: String,
        /// The port.
        port: u16,
    },
}

impl FromStr for RuntimeSocket {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(ErrorKind::InvalidValue, format!("`{text}` is not the socket of an HAProxy"))
                .with_hint("it looks like `/run/haproxy/admin.sock` or `tcp://127.0.0.1:9999`")
        };
        if let Some(address) = text.strip_prefix("tcp://") {
            let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = port.parse().map_err(|_| bad())?;
            if host.is_empty() {
                return Err(bad());
            }
            return Ok(Self::Tcp { host: host.to_owned(), port });
        }
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(bad());
        }
        Ok(Self::Unix(path.into()))
    }
}

impl fmt::Display for RuntimeSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Asks one HAProxy.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) socket: RuntimeSocket,
}

impl Client {
    /// The answer to a command, without empty lines at its end.
    pub(super) async fn ask(&self, command: &str) -> Result<String> {
        let mut answer = Vec::new();
        let asked = async {
            let mut stream = self.send(command).await?.take(MAX_ANSWER_BYTES);
            stream.read_to_end(&mut answer).await
        };
        self.in_time(asked).await?;
        if answer.len() as u64 >= MAX_ANSWER_BYTES {
            let message = format!("{self} answers `{command}` with more than {MAX_ANSWER_BYTES} bytes");
            return Err(Error::new(ErrorKind::LocatorRefused, message));
        }
        let mut text = String::from_utf8_lossy(&answer).into_owned();
        text.truncate(text.trim_end_matches('\n').len());
        if text.starts_with("Permission denied") {
            let message = format!("{self} does not let `{command}` be asked");
            return Err(Error::new(ErrorKind::LocatorRefused, message)
                .with_hint("its line in `haproxy.cfg` is `stats socket … level admin`"));
        }
        Ok(text)
    }

    /// A command that changes something. `expected` begins its answer; empty: there is none.
    pub(super) async fn order(&self, command: &str, expected: &str) -> Result<()> {
        let answer = self.ask(command).await?;
        let fine = if expected.is_empty() { answer.is_empty() } else { answer.starts_with(expected) };
        if fine {
            return Ok(());
        }
        let told = answer.lines().next().unwrap_or("nothing");
        Err(Error::new(ErrorKind::LocatorRefused, format!("{self} answers `{command}` with: {told}")))
    }

    /// Shows each line of an answer, which may be longer than what can be kept.
    pub(super) async fn each_line(
        &self,
        command: &str,
        limit: Duration,
        mut show: impl FnMut(&[u8]) + Send,
    ) -> Result<()> {
        let asked = async {
            let mut lines = BufReader::with_capacity(256 * 1024, self.send(command).await?);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).await? > 0 {
                show(line.trim_ascii_end());
                line.clear();
            }
            Ok(())
        };
        self.in_time_of(limit, asked).await
    }

    async fn send(&self, command: &str) -> std::io::Result<Box<dyn Stream>> {
        let mut stream: Box<dyn Stream> = match &self.socket {
            RuntimeSocket::Unix(path) => Box::new(UnixStream::connect(path).await?),
            RuntimeSocket::Tcp { host, port } => Box::new(TcpStream::connect((host.as_str(), *port)).await?),
        };
        stream.write_all(format!("{command}\n").as_bytes()).await?;
        Ok(stream)
    }

    async fn in_time<T>(&self, asked: impl Future<Output = std::io::Result<T>>) -> Result<T> {
        self.in_time_of(ANSWER_LIMIT, asked).await
    }

    async fn in_time_of<T>(&self, limit: Duration, asked: impl Future<Output = std::io::Result<T>>) -> Result<T> {
        let why = match tokio::time::timeout(limit, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("nothing came within {} s", limit.as_secs_f32()),
        };
        Err(Error::new(ErrorKind::LocatorUnavailable, format!("{self} does not answer: {why}")))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HAProxy at `{}`", self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_and_written() {
        for text in ["/run/haproxy/admin.sock", "./sock", "tcp://127.0.0.1:9999", "tcp://[::1]:9999", "tcp://proxy:1"] {
            let socket: RuntimeSocket = text.parse().expect(text);
            assert_eq!(socket.to_string(), text);
        }
        assert_eq!("unix:///run/x".parse::<RuntimeSocket>().expect("valid").to_string(), "/run/x");
        for bad in ["", "tcp://", "tcp://:1", "tcp://a", "tcp://a:b", "http://a:1"] {
            assert_eq!(bad.parse::<RuntimeSocket>().expect_err(bad).kind(), ErrorKind::InvalidValue);
        }
    }

    #[tokio::test]
    async fn one_that_is_not_there_is_unavailable() {
        let client = Client { socket: RuntimeSocket::Unix("/nowhere/haproxy.sock".into()) };
        let error = client.ask("show info").await.expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::LocatorUnavailable);
        assert!(error.is_retryable() && error.message().contains("/nowhere/haproxy.sock"), "{error}");
    }
}
