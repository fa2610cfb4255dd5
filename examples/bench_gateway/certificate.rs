//! A certificate for all proxies, and clients that trust it.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Failure;

/// The files of a certificate, and what connects clients that trust it.
pub(crate) struct Certificate {
    folder: tempfile::TempDir,
    connector: TlsConnector,
}

impl Certificate {
    pub(crate) fn new() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(vec!["shop.example".to_owned()])?.self_signed(&key)?;
        let (chain, key) = (own.pem(), key.serialize_pem());
        for (name, text) in [("cert.pem", &chain), ("key.pem", &key), ("both.pem", &format!("{chain}{key}"))] {
            std::fs::write(folder.path().join(name), text)?;
        }
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(chain.as_bytes())?)?;
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { folder, connector: TlsConnector::from(Arc::new(config)) })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        self.connector.clone()
    }
}
