//! The connection: time limits, and how many changes at once.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use futures_core::Stream;
use futures_util::StreamExt;
use http::HeaderValue;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::context::Located;
use super::error::{answer, translate, unavailable};
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::turn::turn;

/// What bollard may return.
pub(super) type Answer<T> = std::result::Result<T, BollardError>;

/// How long the engine may take to answer a question, from the contract.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(8);
/// How long a change may go without an answer until the engine is asked whether it is there, and the time between two such
/// questions.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long the engine may take to answer that. With [`PING_INTERVAL`] it is within the 10 s of the contract.
const PING_LIMIT: Duration = Duration::from_secs(3);
/// How long a change may take while the engine says that it is there: a start on a busy machine takes seconds.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);
/// Docker 20.10, the oldest that Debian, Ubuntu and RHEL still ship.
const OLDEST_API: (u32, u32) = (1, 41);
/// How many changes are asked of the engine at once. It works on about four creations or starts in parallel. With sixteen,
/// those get their part of it beside the health checks of what runs already. Without a limit, hundreds would wait for each
/// other for longer than [`CHANGE_LIMIT`].
const MAX_PARALLEL_CHANGES: usize = 16;

/// What an engine says of itself.
#[derive(Debug, Clone)]
pub(super) struct EngineVersion {
    pub(super) version: String,
    pub(super) api: (u32, u32),
    pub(super) podman: bool,
    /// `os/architecture`.
    pub(super) platform: String,
}

/// A connection to an engine. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) docker: Docker,
    changes: Arc<Semaphore>,
}

impl Client {
    /// Prepares a connection. It looks at the socket's file or the certificates, and does not connect yet.
    pub(super) fn connect(located: &Located) -> Result<Self> {
        let what = "connect";
        let host = located.host.as_str();
        let seconds = CHANGE_LIMIT.as_secs();
        let docker = match (&located.certificates, host.split_once("://").map(|(scheme, _)| scheme)) {
            (_, Some("unix")) => Docker::connect_with_unix(host, seconds, API_DEFAULT_VERSION),
            (Some(folder), Some("tcp" | "https")) => {
                let [key, certificate, authority] = ["key.pem", "cert.pem", "ca.pem"].map(|name| folder.join(name));
                if let Some(none) = [&key, &certificate, &authority].into_iter().find(|path| !path.is_file()) {
                    let message = format!("`{host}` is reached with TLS, and there is no `{}`", none.display());
                    return Err(Error::new(ErrorKind::NotSupported, message).with_hint(
                        "put `ca.pem`, `cert.pem` and `key.pem` there, or name their folder: DOCKER_CERT_PATH",
                    ));
                }
                Docker::connect_with_ssl(host, &key, &certificate, &authority, seconds, API_DEFAULT_VERSION)
            }
            (None, Some("tcp" | "http")) => Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION),
            _ => {
                return Err(Error::new(ErrorKind::NotSupported, format!("`{host}` is not an address we can connect to"))
                    .with_hint("use `unix:///path/to/docker.sock` or `tcp://host:port`; for `ssh://`, forward the socket with `ssh -L`"));
            }
        };
        let docker = docker.map_err(|error| translate(what, &error))?.with_request_modifier(url_safe);
        Ok(Self { docker, changes: Arc::new(Semaphore::new(MAX_PARALLEL_CHANGES)) })
    }

    /// What the engine says of itself. It must speak a known API.
    pub(super) async fn engine(&self) -> Result<EngineVersion> {
        let version = self.read("ask for the engine's version", self.docker.version()).await?;
        let api = version.api_version.unwrap_or_default();
        let parsed = api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let Some(api) = parsed.filter(|api: &(u32, u32)| *api >= OLDEST_API) else {
            let message = format!("the Docker Engine speaks API `{api}`, and the oldest we know is 1.41");
            return Err(Error::new(ErrorKind::NotSupported, message).with_hint("use Docker 20.10 or newer"));
        };
        let components = version.components.unwrap_or_default();
        let podman = components.iter().any(|component| component.name.starts_with("Podman"));
        let part = |part: Option<String>| part.unwrap_or_default();
        let platform = format!("{}/{}", part(version.os), part(version.arch));
        Ok(EngineVersion { version: part(version.version), api, podman, platform })
    }

    /// Asks a question. An engine that does not answer in time counts as away.
    pub(super) async fn read<T>(&self, what: &str, call: impl Future<Output = Answer<T>>) -> Result<T> {
        self.ask(what, call).await?.map_err(|error| translate(what, &error))
    }

    /// Asks a question whose refusal the caller reads.
    pub(super) async fn ask<T>(&self, what: &str, call: impl Future<Output = Answer<T>>) -> Result<Answer<T>> {
        match timeout(READ_LIMIT, call).await {
            Err(_) => Err(unavailable(what, "no answer within 8 s")),
            Ok(Err(error)) if answer(&error).is_none() => Err(translate(what, &error)),
            Ok(answered) => Ok(answered),
        }
    }

    /// A permit to change something.
    pub(super) async fn permit(&self) -> SemaphorePermit<'_> {
        turn(self.changes.acquire()).await.expect("the semaphore is never closed")
    }

    /// Makes a change. As long as the engine answers other calls, it may take up to a minute.
    pub(super) async fn change<T>(&self, what: &str, call: impl Future<Output = Answer<T>>) -> Result<Answer<T>> {
        self.patiently(what, CHANGE_LIMIT, call).await
    }

    /// Waits up to `limit`, as long as the engine is there.
    pub(super) async fn patiently<T>(
        &self,
        what: &str,
        limit: Duration,
        call: impl Future<Output = Answer<T>>,
    ) -> Result<Answer<T>> {
        let mut call = pin!(call);
        let patient = async {
            loop {
                let answered = match timeout(PING_INTERVAL, &mut call).await {
                    Ok(answered) => answered,
                    // The call goes on meanwhile, and its answer may come first.
                    Err(_) => tokio::select! {
                        answered = &mut call => answered,
                        there = self.ping(what) => match there {
                            Ok(()) => continue,
                            Err(error) => return Err(error),
                        },
                    },
                };
                return match answered {
                    Err(error) if answer(&error).is_none() => Err(translate(what, &error)),
                    answered => Ok(answered),
                };
            }
        };
        match timeout(limit, patient).await {
            Ok(answered) => answered,
            Err(_) => Err(Error::new(ErrorKind::TimedOut, format!("cannot {what} within {} s", limit.as_secs()))
                .with_hint("the engine may still do it; the next look tells")),
        }
    }

    /// The next item of a stream, for as long as the engine is there.
    pub(super) async fn next<T, S>(&self, what: &str, stream: &mut S) -> Result<Option<Answer<T>>>
    where
        S: Stream<Item = Answer<T>> + Unpin,
    {
        loop {
            match timeout(PING_INTERVAL, stream.next()).await {
                Ok(Some(Err(error))) if is_end_of_line(&error) => {}
                Ok(item) => return Ok(item),
                Err(_) => self.ping(what).await?,
            }
        }
    }

    /// Whether the engine is there.
    async fn ping(&self, what: &str) -> Result<()> {
        match timeout(PING_LIMIT, self.docker.ping()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(translate(what, &error)),
            Err(_) => Err(unavailable(what, "no answer to a ping within 3 s")),
        }
    }

    /// A client that waits this long for the first byte: bollard's own limit covers that wait.
    pub(super) fn waiting(&self, limit: Duration) -> Docker {
        self.docker.clone().with_timeout(limit)
    }
}

/// Whether nothing is wrong but that an answer ended in the end of a line. Engines write `\r\n` after each item. If that
/// comes in a piece of its own after the last one, bollard takes the `\r` for the begin of another item. HTTP tells when an
/// answer is cut off, so it is not this.
fn is_end_of_line(error: &BollardError) -> bool {
    matches!(error, BollardError::IOError { err } if err.to_string() == "bytes remaining on stream")
}

/// Credentials in the base64 that engines read. Bollard writes the other one, which differs for a password with a `?`.
fn url_safe(mut request: BollardRequest) -> BollardRequest {
    for name in ["x-registry-auth", "x-registry-config"] {
        let Some(value) = request.headers_mut().get_mut(name) else { continue };
        let text = value.to_str().unwrap_or_default().replace('+', "-").replace('/', "_");
        if let Ok(mut safe) = HeaderValue::from_str(&text) {
            safe.set_sensitive(true);
            *value = safe;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bollard::query_parameters::CreateImageOptionsBuilder;
    use bollard::{API_DEFAULT_VERSION, Docker};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;
    use tokio::sync::{Notify, Semaphore};

    use super::*;

    /// Answers one request with two chunks, the second one when it is told to.
    async fn answering(listener: UnixListener, first: &str, second: &str, go_on: &Notify) {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut asked).await.expect("a request") > 0);
        }
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}{}", chunk(first)).as_bytes()).await.expect("the client reads");
        go_on.notified().await;
        stream.write_all(format!("{}0\r\n\r\n", chunk(second)).as_bytes()).await.expect("the client reads");
    }

    #[tokio::test]
    async fn the_end_of_the_last_line_may_come_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let docker = Docker::connect_with_socket(path.to_str().expect("UTF-8"), 10, API_DEFAULT_VERSION);
        let client = Client { docker: docker.expect("a client"), changes: Arc::new(Semaphore::new(1)) };
        let has_both = Notify::new();
        let reading = async {
            let options = CreateImageOptionsBuilder::default().from_image("any").build();
            let mut stream = client.docker.create_image(Some(options), None, None);
            let mut said = Vec::new();
            while let Some(item) = client.next("pull", &mut stream).await.expect("the engine is there") {
                said.push(item.expect("nothing is wrong").status.expect("a status"));
                if said.len() == 2 {
                    has_both.notify_one();
                }
            }
            said
        };
        let first = "{\"status\":\"one\"}\r\n{\"status\":\"two\"}";
        let (said, ()) = tokio::join!(reading, answering(listener, first, "\r\n", &has_both));
        assert_eq!(said, ["one", "two"]);
    }
}
