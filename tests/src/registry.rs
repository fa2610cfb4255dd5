//! A registry of our own, on a loopback port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{pause, skip};

/// `tester` with the password `secret`, in bcrypt, as `htpasswd -B` writes it.
const ACCOUNTS: &str = "tester:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A running `docker-registry` (Debian's package of the Distribution registry), gone when dropped.
pub struct Registry {
    child: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl Registry {
    /// One that takes everybody, or only `tester` with the password `secret`. `None` where it is not installed.
    ///
    /// # Panics
    /// If `HADDOCK_TEST_REQUIRE` is set and it is not installed; if it does not answer.
    pub async fn start(with_accounts: bool) -> Option<Self> {
        Self::start_at(free_port(), with_accounts).await
    }

    /// The same, at this loopback address.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_at(address: SocketAddr, with_accounts: bool) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let port = address.port();
        let root = folder.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {root}/data }} }}\n\
             http: {{ addr: 127.0.0.1:{port} }}\n"
        );
        if with_accounts {
            std::fs::write(folder.path().join("accounts"), ACCOUNTS).expect("written");
            config.push_str(&format!("auth: {{ htpasswd: {{ realm: tests, path: {root}/accounts }} }}\n"));
        }
        std::fs::write(folder.path().join("config.yml"), config).expect("written");
        let mut registry = Self { child: None, port, folder };
        registry.up().await.then_some(registry)
    }

    /// Starts it (again); `false` where it is not installed.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn up(&mut self) -> bool {
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = started else {
            skip("docker-registry");
            return false;
        };
        self.child = Some(child);
        for _ in 0..1_000 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            pause().await;
        }
        panic!("the registry does not answer")
    }

    /// Stops it; what it holds stays.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its name in references. The engine takes a loopback address without TLS.
    #[must_use]
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The Docker client's `config.json` after a login as `tester` with this password (in base64: `tester:…`).
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn logged_in(&self, base64: &str) -> PathBuf {
        let path = self.folder.path().join("config.json");
        std::fs::write(&path, format!(r#"{{"auths":{{"{}":{{"auth":"{base64}"}}}}}}"#, self.name())).expect("written");
        path
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.down();
    }
}

/// A port on the loopback that nobody had a moment ago.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}
