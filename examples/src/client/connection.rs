//! One keep-alive connection, used without any retry.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::answer::Answer;
use super::jar::Jar;

/// Why a request failed, for a person to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Reason {
    pub(crate) fn new(what: &str, error: impl std::error::Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self(text)
    }
}

/// The connection of a session. It is opened when it is first needed, and again when the server has closed it in an
/// orderly way between two requests; a request never sees more than one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    target: SocketAddr,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(crate) fn new(target: SocketAddr) -> Self {
        Self { target, open: None }
    }

    /// Sends a GET and reads the answer to its end, within `limit`. Anything else than a 200 with the application's
    /// answer is a failure.
    pub(super) async fn get(&mut self, path: &str, jar: &mut Jar, limit: Duration) -> Result<Answer, Reason> {
        let answer = self.send(path, None, jar, limit).await;
        let answer = answer.and_then(|(_, body)| {
            serde_json::from_slice(&body).map_err(|error| Reason::new("not the application's answer", error))
        });
        if answer.is_err() {
            self.open = None;
        }
        answer
    }

    /// Sends a GET, or a POST of a form, and reads the answer to its end, within `limit`. Anything else than a 200 is a
    /// failure.
    pub(crate) async fn send(
        &mut self,
        path: &str,
        form: Option<&str>,
        jar: &mut Jar,
        limit: Duration,
    ) -> Result<(HeaderMap, Bytes), Reason> {
        let answer = tokio::time::timeout(limit, self.exchange(path, form, jar)).await;
        let answer = answer.unwrap_or_else(|_| Err(Reason(format!("no answer within {} ms", limit.as_millis()))));
        if answer.is_err() {
            // What is left of this connection says nothing about the next request.
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, path: &str, form: Option<&str>, jar: &mut Jar) -> Result<(HeaderMap, Bytes), Reason> {
        let mut request = match form {
            None => Request::get(path),
            Some(_) => Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
        };
        request = request.header(header::HOST, self.target.to_string());
        if let Some(cookies) = jar.header() {
            request = request.header(header::COOKIE, cookies);
        }
        let body = Full::new(form.map(|form| Bytes::copy_from_slice(form.as_bytes())).unwrap_or_default());
        let request = request.body(body).map_err(|error| Reason::new("no request", error))?;
        let sender = self.sender().await?;
        let response = sender.send_request(request).await.map_err(|error| Reason::new("no answer", error))?;
        let (head, body) = response.into_parts();
        jar.take(&head.headers);
        let body = body.collect().await.map_err(|error| Reason::new("the answer broke off", error))?.to_bytes();
        if head.status != http::StatusCode::OK {
            let text: String = String::from_utf8_lossy(&body).chars().take(80).collect();
            return Err(Reason(format!("status {}: {text}", head.status.as_u16())));
        }
        Ok((head.headers, body))
    }

    /// The open connection, or a new one if there is none or it was closed between requests.
    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Reason> {
        if let Some(mut open) = self.open.take() {
            if open.sender.ready().await.is_ok() {
                return Ok(&mut self.open.insert(open).sender);
            }
            // A FIN between two requests is the server's right; a reset is not, whatever was to come next.
            if let Ok(Err(error)) = (&mut open.driver).await {
                return Err(Reason::new("the connection broke between two requests", error));
            }
        }
        let stream = TcpStream::connect(self.target).await.map_err(|error| Reason::new("no connection", error))?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| Reason::new("no connection", error))?;
        let open = Open { sender, driver: tokio::spawn(connection) };
        Ok(&mut self.open.insert(open).sender)
    }
}
