//! A registry of our own, on a loopback port.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::docker::gateway;
use crate::{pause, skip};

/// `tester` with the password `secret` and `other` with `a???>>>~~~`, in bcrypt, as `htpasswd -B` writes them.
const ACCOUNTS: &str = "tester:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n\
                        other:$2y$05$abcdefghijklmnopqrstuuVG9ea2MqPrB8BL8Wk08vnIqMSaLYg26\n";

/// What a registry is like.
#[derive(Default)]
pub struct RegistryOptions<'a> {
    /// Where it listens; a free loopback port if there is none.
    pub address: Option<SocketAddr>,
    /// Whether it takes only those with an account.
    pub with_accounts: bool,
    /// The folder for what it holds; one of its own if there is none.
    pub storage: Option<&'a Path>,
    /// What it shows to those who connect with TLS; it has no TLS if there is none.
    pub certificate: Option<&'a Certificate>,
    /// Whether it deletes what it holds, if it is asked to.
    pub with_deletes: bool,
}

/// A running `docker-registry` (Debian's package of the Distribution registry), gone when dropped.
pub struct Registry {
    child: Option<Child>,
    address: SocketAddr,
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
        Self::start_as(RegistryOptions { address: Some(address), with_accounts, ..RegistryOptions::default() }).await
    }

    /// One with a certificate that nobody trusts yet, at an address where engines check certificates: they do not at loopback
    /// addresses. `None` also if this machine is not in the engine's default network.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_with_certificate() -> Option<(Self, Certificate)> {
        let Some(host) = gateway().await else {
            skip("the engine's default network on this machine");
            return None;
        };
        let certificate = Certificate::of(&host.to_string());
        let address = Some(SocketAddr::new(host, free_port().port()));
        let options = RegistryOptions { address, certificate: Some(&certificate), ..RegistryOptions::default() };
        Some((Self::start_as(options).await?, certificate))
    }

    /// One that is like this.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_as(options: RegistryOptions<'_>) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let address = options.address.unwrap_or_else(free_port);
        let data = options.storage.map_or_else(|| folder.path().join("data"), Path::to_owned);
        let tls = options.certificate.map(|certificate| {
            let of = certificate.folder().display();
            format!(", tls: {{ certificate: {of}/cert.pem, key: {of}/key.pem }}")
        });
        let mut config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: {} }} }}\n\
             http: {{ addr: '{address}'{} }}\n",
            data.display(),
            options.with_deletes,
            tls.unwrap_or_default()
        );
        if options.with_accounts {
            let accounts = folder.path().join("accounts");
            std::fs::write(&accounts, ACCOUNTS).expect("written");
            config.push_str(&format!("auth: {{ htpasswd: {{ realm: tests, path: {} }} }}\n", accounts.display()));
        }
        std::fs::write(folder.path().join("config.yml"), config).expect("written");
        let mut registry = Self { child: None, address, folder };
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
            if std::net::TcpStream::connect(self.address).is_ok() {
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

    /// Gives an image of a repository more tags, in the folder for what it holds.
    ///
    /// # Panics
    /// If there is no such image, or if the files cannot be written.
    pub fn copy_tag(&self, repository: &str, tag: &str, more: &[String]) {
        let data = self.folder.path().join("data/docker/registry/v2/repositories").join(repository);
        let tags = data.join("_manifests/tags");
        let link = std::fs::read(tags.join(tag).join("current/link")).expect("it was pushed");
        for tag in more {
            let current = tags.join(tag).join("current");
            std::fs::create_dir_all(&current).expect("made");
            std::fs::write(current.join("link"), &link).expect("written");
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name in references. The engine takes a loopback address without TLS.
    #[must_use]
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// The Docker client's `config.json` after a login with this account (`name:password` in base64).
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn logged_in(&self, base64: &str) -> PathBuf {
        self.configured(&format!(r#"{{"auths":{{"{}":{{"auth":"{base64}"}}}}}}"#, self.name()))
    }

    /// The Docker client's `config.json` with this text.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn configured(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("config.json");
        std::fs::write(&path, text).expect("written");
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
