//! Relays: what is between a client and a server, and what it does to their connections.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate::Certificate;
use crate::pause;

/// How many bytes a slow relay passes on in each [`pause`] of 10 ms: some 1.6 MB in a second.
const SLOW_PIECE: usize = 16 * 1024;

/// A relay on a loopback port, gone when dropped.
pub struct Relay {
    address: SocketAddr,
    task: JoinHandle<()>,
    heads: Arc<Mutex<String>>,
    passed: Arc<AtomicUsize>,
}

impl Relay {
    async fn start<F: Future<Output = io::Result<()>> + Send + 'static>(
        serve: impl Fn(TcpStream, Arc<Mutex<String>>, Arc<AtomicUsize>) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (heads, passed) = <(Arc<Mutex<String>>, Arc<AtomicUsize>)>::default();
        let noted = (Arc::clone(&heads), Arc::clone(&passed));
        let task = tokio::spawn(async move {
            // They end with the task.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serve(client, Arc::clone(&noted.0), Arc::clone(&noted.1)));
            }
        });
        Self { address, task, heads, passed }
    }

    /// One that lets a client send only slowly.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn slow(to: SocketAddr) -> Self {
        Self::start(move |mut client, _, passed| async move {
            let mut server = TcpStream::connect(to).await?;
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
            let there = async {
                let mut piece = vec![0; SLOW_PIECE];
                loop {
                    let size = from_client.read(&mut piece).await?;
                    if size == 0 {
                        return to_server.shutdown().await;
                    }
                    to_server.write_all(&piece[..size]).await?;
                    passed.fetch_add(size, Ordering::SeqCst);
                    pause().await;
                }
            };
            tokio::try_join!(there, tokio::io::copy(&mut from_server, &mut to_client)).map(drop)
        })
        .await
    }

    /// One that passes requests of HTTP on, and notes their heads. What begins an upload is sent to `elsewhere`, if
    /// there is such an address.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn http(to: SocketAddr, elsewhere: Option<SocketAddr>) -> Self {
        Self::start(move |mut client, heads, _| async move {
            let Some(head) = head(&mut client).await? else { return Ok(()) };
            heads.lock().expect("no panic").push_str(&head);
            let mut words = head.split_whitespace();
            if let (Some("POST"), Some(path), Some(other)) = (words.next(), words.next(), elsewhere) {
                let redirect = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close\r\n";
                return client.write_all(format!("{redirect}Location: http://{other}{path}\r\n\r\n").as_bytes()).await;
            }
            let mut server = TcpStream::connect(to).await?;
            // One request for each connection, so that each head is seen.
            let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            server.write_all(head.as_bytes()).await?;
            copy_bidirectional(&mut client, &mut server).await.map(drop)
        })
        .await
    }

    /// One that passes requests of HTTP on, and notes their heads. Requests for paths with this part are sent elsewhere.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn redirecting(to: SocketAddr, part: &'static str, elsewhere: SocketAddr) -> Self {
        Self::start(move |mut client, heads, _| async move {
            let Some(head) = head(&mut client).await? else { return Ok(()) };
            heads.lock().expect("no panic").push_str(&head);
            let path = head.split_whitespace().nth(1).unwrap_or_default();
            let is_known = head.to_lowercase().contains("authorization:");
            if path.contains(part) && is_known {
                let redirect = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close\r\n";
                let redirect = format!("{redirect}Location: http://{elsewhere}{path}\r\n\r\n");
                return client.write_all(redirect.as_bytes()).await;
            }
            let mut server = TcpStream::connect(to).await?;
            let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            server.write_all(head.as_bytes()).await?;
            copy_bidirectional(&mut client, &mut server).await.map(drop)
        })
        .await
    }

    /// One that takes TLS and passes it on to a socket without it.
    ///
    /// # Panics
    /// If there is no free port, or the certificate cannot be read.
    pub async fn tls(certificate: &Certificate, socket: &Path) -> Self {
        let file = |name: &str| certificate.folder().join(name);
        let chain = vec![CertificateDer::from_pem_file(file("cert.pem")).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("a key");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("they fit");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let socket: Arc<PathBuf> = Arc::new(socket.to_owned());
        Self::start(move |client, _, _| {
            let (acceptor, socket) = (acceptor.clone(), Arc::clone(&socket));
            async move {
                let mut client = acceptor.accept(client).await?;
                let mut server = UnixStream::connect(&*socket).await?;
                copy_bidirectional(&mut client, &mut server).await.map(drop)
            }
        })
        .await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of the requests so far, of one by [`http`](Self::http).
    ///
    /// # Panics
    /// If the relay did.
    #[must_use]
    pub fn heads(&self) -> String {
        self.heads.lock().expect("no panic").clone()
    }

    /// How many bytes clients have sent by now, of one by [`slow`](Self::slow).
    #[must_use]
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The head of a request, with its empty line; `None` if the client says nothing.
async fn head(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // A byte at a time: what follows belongs to the body.
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) if head.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    String::from_utf8(head).map(Some).map_err(io::Error::other)
}
