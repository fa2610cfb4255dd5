//! A relay that hands each request to one of several applications in turn, and breaks some.

#![allow(clippy::unwrap_used, reason = "part of a test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the relay does wrong, to every so manieth request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    None,
    /// Cuts the connection in the middle of the answer.
    CutEvery(u64),
    /// Resets the connection after the answer.
    ResetAfterEvery(u64),
    /// Hands the request on twice, and answers with the second answer.
    TwiceEvery(u64),
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicU64>,
    pub(crate) faults: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) async fn start(applications: Vec<SocketAddr>, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, faults) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, broken) = (Arc::clone(&requests), Arc::clone(&faults));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (counted, broken, applications) = (Arc::clone(&counted), Arc::clone(&broken), applications.clone());
                tokio::spawn(async move {
                    let Some(head) = read_head(client).await else { return };
                    let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                    let application = applications[usize::try_from(number).unwrap() % applications.len()];
                    serve(head, number, application, fault, &broken).await;
                });
            }
        });
        Self { address, requests, faults }
    }
}

async fn read_head(mut client: TcpStream) -> Option<(TcpStream, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some((client, String::from_utf8(head).unwrap()))
}

/// Answers one request and closes the connection without having said so before.
async fn serve(
    (mut client, head): (TcpStream, String),
    number: u64,
    application: SocketAddr,
    fault: Fault,
    broken: &AtomicU64,
) {
    let (Fault::CutEvery(every) | Fault::ResetAfterEvery(every) | Fault::TwiceEvery(every)) = fault else {
        let answer = ask(&head, application).await;
        let _ = client.write_all(&answer).await;
        return;
    };
    let breaks = number.is_multiple_of(every);
    if breaks {
        broken.fetch_add(1, Ordering::SeqCst);
    }
    let mut answer = ask(&head, application).await;
    match fault {
        Fault::CutEvery(_) if breaks => {
            let _ = client.write_all(&answer[..answer.len() - 5]).await;
            return;
        }
        Fault::TwiceEvery(_) if breaks => answer = ask(&head, application).await,
        _ => {}
    }
    let _ = client.write_all(&answer).await;
    if breaks && matches!(fault, Fault::ResetAfterEvery(_)) {
        // The answer is sent, and has been taken, before the reset comes.
        client.readable_within_a_moment().await;
        let _ = client.set_zero_linger();
    }
}

trait Moment {
    async fn readable_within_a_moment(&self);
}

impl Moment for TcpStream {
    async fn readable_within_a_moment(&self) {
        let _ = tokio::time::timeout(std::time::Duration::from_millis(10), self.readable()).await;
    }
}

/// The application's whole answer, without its word that the connection ends with it.
async fn ask(head: &str, application: SocketAddr) -> Vec<u8> {
    let mut application = TcpStream::connect(application).await.unwrap();
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    application.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    application.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap().replacen("connection: close\r\n", "", 1).into_bytes()
}
