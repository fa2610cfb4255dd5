//! A relay in front of the engine's socket, that can be cut: an engine that is there for everybody but us.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// The engine's own socket.
const ENGINE: &str = "/var/run/docker.sock";

/// A socket behind which the engine is, or is not.
#[derive(Debug)]
pub struct Relay {
    path: PathBuf,
    open: watch::Sender<bool>,
    _folder: TempDir,
}

impl Relay {
    /// Opens one.
    ///
    /// # Panics
    /// If there is no room for a socket.
    #[must_use]
    pub fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let open = watch::Sender::new(true);
        tokio::spawn(serve(listener, open.subscribe()));
        Self { path, open, _folder: folder }
    }

    /// Where it listens, as a runtime wants it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// The socket's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends every connection; new ones end at once.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

/// Ends with the test's runtime.
async fn serve(listener: UnixListener, open: watch::Receiver<bool>) {
    while let Ok((mut caller, _)) = listener.accept().await {
        let mut open = open.clone();
        tokio::spawn(async move {
            if !*open.borrow_and_update() {
                return;
            }
            let Ok(mut engine) = UnixStream::connect(ENGINE).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut caller, &mut engine) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}
