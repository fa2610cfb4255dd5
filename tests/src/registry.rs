//! A real image registry on the loopback: Debian's `docker-registry`.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{pause, skip};

/// A user that nobody logs in as: its password is not written down anywhere (bcrypt, as the registry wants it).
const USERS: &str = "nobody:$2b$04$NOd9Tfwop1vR2Skm9reKn.vzBthMpT6DpDwI.hcKxTyh2kYdSQKU.\n";
/// How long it may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// A registry that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Registry {
    /// Where it listens.
    pub address: SocketAddr,
    _child: Child,
    _folder: TempDir,
}

impl Registry {
    /// Starts one, if the program is there. With `locked` it wants credentials that nobody has.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start(locked: bool) -> Option<Self> {
        Self::start_at(free_port(), locked).await
    }

    /// The same at this address.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn start_at(address: SocketAddr, locked: bool) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path(), address, locked);
        std::fs::write(folder.path().join("config.yml"), config).expect("the folder can be written");
        std::fs::write(folder.path().join("users"), USERS).expect("the folder can be written");
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(folder.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                skip(&format!("Debian's `docker-registry` ({error})"));
                return None;
            }
        };
        let listens = async {
            while TcpStream::connect(address).await.is_err() {
                pause().await;
            }
        };
        timeout(PATIENCE, listens).await.expect("the registry listens");
        Some(Self { address, _child: child, _folder: folder })
    }
}

fn config(folder: &Path, address: SocketAddr, locked: bool) -> String {
    let folder = folder.display();
    let auth =
        if locked { format!("auth:\n  htpasswd: {{ realm: haddock, path: {folder}/users }}\n") } else { String::new() };
    format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {folder}/data }} }}\n\
         http: {{ addr: \"{address}\" }}\n{auth}"
    )
}

/// A port on the loopback that nobody had a moment ago.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}
