//! The WebSocket of a session.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::header;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::answer::Answer;
use super::connection::Reason;
use super::jar::Jar;

/// An open WebSocket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: WebSocketStream<TcpStream>,
    limit: Duration,
    sent: u64,
}

impl Socket {
    /// Opens it for the session whose cookies these are; answers with the application's greeting. Each step, now and
    /// later, may take `limit`.
    pub(super) async fn open(target: SocketAddr, jar: &mut Jar, limit: Duration) -> Result<(Self, Answer), Reason> {
        let open = async {
            let mut request = format!("ws://{target}/ws")
                .into_client_request()
                .map_err(|error| Reason::new("no websocket request", error))?;
            if let Some(cookies) = jar.header() {
                request.headers_mut().insert(header::COOKIE, cookies);
            }
            let stream = TcpStream::connect(target).await.map_err(|error| Reason::new("no connection", error))?;
            let _ = stream.set_nodelay(true);
            let (stream, response) = tokio_tungstenite::client_async(request, stream)
                .await
                .map_err(|error| Reason::new("no websocket", error))?;
            jar.take(response.headers());
            Ok(Self { stream, limit, sent: 0 })
        };
        let mut socket = within(limit, open).await?;
        let greeting = socket.receive().await?;
        Ok((socket, greeting))
    }

    /// Sends a text and reads its echo.
    pub(super) async fn echo(&mut self) -> Result<Answer, Reason> {
        self.sent += 1;
        let text = format!("message {}", self.sent);
        let sent = within(self.limit, async {
            self.stream.send(Message::text(text.clone())).await.map_err(|error| Reason::new("the websocket", error))
        });
        sent.await?;
        let answer = self.receive().await?;
        if answer.echo.as_deref() == Some(&text) {
            Ok(answer)
        } else {
            Err(Reason(format!("the websocket echoed {:?} to {text:?}", answer.echo)))
        }
    }

    /// Closes it in an orderly way: with a close from both sides.
    pub(super) async fn close(mut self) -> Result<(), Reason> {
        let limit = self.limit;
        within(limit, async {
            self.stream.close(None).await.map_err(|error| Reason::new("the websocket", error))?;
            loop {
                match self.stream.next().await {
                    None | Some(Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(Reason::new("the websocket while it closed", error)),
                }
            }
        })
        .await
    }

    async fn receive(&mut self) -> Result<Answer, Reason> {
        within(self.limit, async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return serde_json::from_str(&text)
                            .map_err(|error| Reason::new("not the application's message", error));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_))) | None => return Err(Reason("the websocket was closed".into())),
                    Some(Ok(other)) => return Err(Reason(format!("not a text: {other:?}"))),
                    Some(Err(error)) => return Err(Reason::new("the websocket", error)),
                }
            }
        })
        .await
    }
}

async fn within<T>(limit: Duration, future: impl Future<Output = Result<T, Reason>>) -> Result<T, Reason> {
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or_else(|_| Err(Reason(format!("the websocket was silent for {} ms", limit.as_millis()))))
}
