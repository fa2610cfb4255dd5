//! A socket in front of the engine that misbehaves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// How the engine seems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As it is.
    Sound,
    /// It takes connections and says nothing.
    Frozen,
    /// It closes every connection.
    Away,
    /// It ignores the filters of lists.
    Unfiltered,
}

/// A socket in front of the engine at `/var/run/docker.sock`.
pub struct Proxy {
    mood: watch::Sender<Mood>,
    path: PathBuf,
    task: tokio::task::AbortHandle,
    _folder: TempDir,
}

impl Proxy {
    /// A sound one.
    ///
    /// # Panics
    /// If there is no room for a socket.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let (mood, seen) = watch::channel(Mood::Sound);
        let task = tokio::spawn(serve(listener, seen)).abort_handle();
        Self { mood, path, task, _folder: folder }
    }

    /// Its address.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// From now on it seems so; connections that are open are cut.
    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: UnixListener, mood: watch::Receiver<Mood>) {
    let engine: Arc<Path> = Path::new("/var/run/docker.sock").into();
    while let Ok((client, _)) = listener.accept().await {
        let (engine, mut mood) = (Arc::clone(&engine), mood.clone());
        tokio::spawn(async move {
            let now = *mood.borrow_and_update();
            let served = async {
                match now {
                    Mood::Sound | Mood::Unfiltered => forward(client, &engine, now == Mood::Unfiltered).await,
                    Mood::Frozen => {
                        let _client = client;
                        std::future::pending().await
                    }
                    Mood::Away => drop(client),
                }
            };
            tokio::select! {
                () = served => {}
                _ = mood.changed() => {}
            }
        });
    }
}

async fn forward(mut client: UnixStream, engine: &Path, unfiltered: bool) {
    let mut engine = UnixStream::connect(engine).await.expect("the engine is there");
    // The client opens a connection for each request: the first line is the only one.
    let mut head = vec![0; 64 << 10];
    let Ok(read) = client.read(&mut head).await else { return };
    head.truncate(read);
    if unfiltered {
        let text = String::from_utf8(head).expect("a request without a body is text");
        let (line, rest) = text.split_once("\r\n").expect("a request has a first line");
        let words: Vec<&str> = line.split(' ').collect();
        let (path, query) = words[1].split_once('?').unwrap_or((words[1], ""));
        let query: Vec<&str> = query.split('&').filter(|part| !part.starts_with("filters=")).collect();
        head = format!("{} {path}?{} {}\r\n{rest}", words[0], query.join("&"), words[2]).into_bytes();
    }
    if engine.write_all(&head).await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut engine).await;
    }
}
