//! A TCP relay between client and gateway that can cut a connection on which a request waits for its answer.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The relay. It works until it is dropped.
#[derive(Debug)]
pub struct Breaker {
    address: SocketAddr,
    connections: Connections,
    accepting: tokio::task::JoinHandle<()>,
}

type Connections = Arc<Mutex<BTreeMap<u64, State>>>;

/// A connection through the relay.
#[derive(Debug)]
struct State {
    /// The last bytes seen came from the client: an answer is due.
    waiting: bool,
    cut: Option<oneshot::Sender<()>>,
}

impl Breaker {
    /// Listens on a free loopback port and relays to `target`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = Connections::default();
        let shared = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0.. {
                let Ok((client, _)) = listener.accept().await else { return };
                tasks.spawn(connection(number, client, target, Arc::clone(&shared)));
                while tasks.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, connections, accepting })
    }

    /// Where the client connects to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts one connection on which an answer is due; tells whether there was one.
    #[must_use]
    pub fn cut_one(&self) -> bool {
        let mut connections = lock(&self.connections);
        let waiting = connections.values_mut().find(|state| state.waiting && state.cut.is_some());
        waiting.and_then(|state| state.cut.take()).is_some_and(|cut| cut.send(()).is_ok())
    }
}

impl Drop for Breaker {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(connections: &Connections) -> MutexGuard<'_, BTreeMap<u64, State>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connection(number: u64, client: TcpStream, target: SocketAddr, connections: Connections) {
    let (cut, cutting) = oneshot::channel();
    lock(&connections).insert(number, State { waiting: false, cut: Some(cut) });
    tokio::select! {
        // The sender stays in the table until it is used.
        _ = cutting => {}
        _ = relay(number, client, target, &connections) => {}
    }
    lock(&connections).remove(&number);
}

async fn relay(number: u64, client: TcpStream, target: SocketAddr, connections: &Connections) -> io::Result<()> {
    let server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let waiting = |waiting| {
        if let Some(state) = lock(connections).get_mut(&number) {
            state.waiting = waiting;
        }
    };
    let up = async {
        let mut buffer = [0; 8192];
        loop {
            let length = from_client.read(&mut buffer).await?;
            if length == 0 {
                return to_server.shutdown().await;
            }
            waiting(true);
            to_server.write_all(&buffer[..length]).await?;
        }
    };
    let down = async {
        let mut buffer = [0; 8192];
        loop {
            let length = from_server.read(&mut buffer).await?;
            if length == 0 {
                return to_client.shutdown().await;
            }
            waiting(false);
            to_client.write_all(&buffer[..length]).await?;
        }
    };
    tokio::try_join!(up, down).map(|((), ())| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_relays_and_cuts_only_where_an_answer_is_due() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let breaker = Breaker::start(server.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(breaker.address()).await.unwrap();
        let (mut served, _) = server.accept().await.unwrap();
        assert!(!breaker.cut_one(), "nothing is due yet");

        let mut buffer = [0; 4];
        client.write_all(b"ask ").await.unwrap();
        served.read_exact(&mut buffer).await.unwrap();
        served.write_all(b"said").await.unwrap();
        client.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"said");
        assert!(!breaker.cut_one(), "it has been answered");

        client.write_all(b"more").await.unwrap();
        served.read_exact(&mut buffer).await.unwrap();
        assert!(breaker.cut_one());
        assert!(matches!(client.read(&mut buffer).await, Ok(0) | Err(_)), "the client sees the cut");
        assert!(!breaker.cut_one(), "it is cut once");
    }
}
