//! Certificates of an authority of our own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use tokio::net::UnixStream;

use crate::skip;

/// A folder with `ca.pem` of a new authority that nobody trusts, and with `cert.pem` and `key.pem` by it. Gone when
/// dropped.
pub struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// One for a server at this address.
    ///
    /// # Panics
    /// If there are no random numbers, or no room for the files.
    #[must_use]
    pub fn of(host: &str) -> Self {
        let named = |hosts: Vec<String>, name: &str| {
            let mut params = CertificateParams::new(hosts).expect("an address");
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut authority = named(Vec::new(), "haddock test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = KeyPair::generate().expect("a key");
        let itself = authority.self_signed(&authority_key).expect("signed");
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key");
        let signed = named(vec![host.to_owned()], "haddock test").signed_by(&key, &issuer).expect("signed");
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("ca.pem", itself.pem()), ("cert.pem", signed.pem()), ("key.pem", key.serialize_pem())] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        Self { folder }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// The engine's trust in a registry's authority, which ends when dropped.
pub struct Trust {
    folder: PathBuf,
}

impl Trust {
    /// Lets the engine trust this authority for the registry of this name. `None` if its folder cannot be written.
    ///
    /// # Panics
    /// If `HADDOCK_TEST_REQUIRE` is set and it cannot.
    pub async fn given(certificate: &Certificate, registry: &str) -> Option<Self> {
        let certificates = match engine_root().await {
            Some(root) => root.join("etc/docker/certs.d"),
            None => {
                skip("an engine on a local socket");
                return None;
            }
        };
        let trust = Self { folder: certificates.join(registry) };
        let written = std::fs::create_dir_all(&trust.folder)
            .and_then(|()| std::fs::copy(certificate.folder().join("ca.pem"), trust.folder.join("ca.crt")));
        if let Err(error) = written {
            skip(&format!("the right to write `{}` ({error})", trust.folder.display()));
            return None;
        }
        Some(trust)
    }
}

impl Drop for Trust {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        // Only an empty one goes: that of somebody else's registries stays.
        let _ = self.folder.parent().map(std::fs::remove_dir);
    }
}

/// The root of the engine's files: it may have others than this process.
async fn engine_root() -> Option<PathBuf> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let engine = UnixStream::connect(host.strip_prefix("unix://")?).await.ok()?;
    Some(format!("/proc/{}/root", engine.peer_cred().ok()?.pid()?).into())
}
