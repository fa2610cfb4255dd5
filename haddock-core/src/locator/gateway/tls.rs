//! Certificates: read from files, chosen by the name that a client asks for, read again when the files change.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::Serialize;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, version};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// What a client and the gateway may speak within TLS, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A file of certificates and keys is some kilobytes long. What is longer is another file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The files of a certificate: the chain as PEM, its own certificate first, and the private key as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// A certificate in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TlsCertificate {
    /// Where it was read from.
    pub file: PathBuf,
    /// The names that it is for.
    pub names: Vec<String>,
    /// When it ends.
    pub ends: Timestamp,
}

/// The certificates of a gateway.
pub(super) struct Certificates {
    files: Vec<TlsFiles>,
    loaded: RwLock<Arc<Vec<Loaded>>>,
    /// The state of the files when they were last read, whether or not they were good.
    read: Mutex<Vec<FileState>>,
}

struct Loaded {
    shown: TlsCertificate,
    key: Arc<CertifiedKey>,
}

/// What tells that a file was changed or replaced.
type FileState = Option<(u64, u64, i64, i64)>;

impl Certificates {
    pub(super) fn load(files: Vec<TlsFiles>) -> Result<Arc<Self>> {
        let read = files.iter().flat_map(states).collect();
        let loaded = files.iter().map(load).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Self { files, loaded: RwLock::new(Arc::new(loaded)), read: Mutex::new(read) }))
    }

    /// Reads the files again if they have changed. If one cannot be used, all stays as it was: a key and its certificate
    /// may be replaced one after the other. Answers whether new ones are in use.
    pub(super) fn refresh(&self) -> bool {
        let now: Vec<FileState> = self.files.iter().flat_map(states).collect();
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == now {
            return false;
        }
        let loaded = self.files.iter().map(load).collect::<Result<Vec<_>>>();
        *read = now;
        match loaded {
            Ok(loaded) => {
                *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                tracing::info!("certificates were read again");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "changed certificates cannot be used, so the ones before stay");
                false
            }
        }
    }

    pub(super) fn shown(&self) -> Vec<TlsCertificate> {
        self.loaded().iter().map(|loaded| loaded.shown.clone()).collect()
    }

    fn loaded(&self) -> Arc<Vec<Loaded>> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What makes connections of clients with these certificates: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    pub(super) fn acceptor(self: Arc<Self>) -> Result<TlsAcceptor> {
        self.accepting(&PROTOCOLS, None)
    }

    /// What makes connections of callers of the admin API: HTTP/1.1. With the file of an authority, a caller needs a
    /// certificate of it.
    pub(super) fn admin_acceptor(self: Arc<Self>, authority: Option<&Path>) -> Result<TlsAcceptor> {
        self.accepting(&PROTOCOLS[1..], authority)
    }

    fn accepting(self: Arc<Self>, protocols: &[&[u8]], authority: Option<&Path>) -> Result<TlsAcceptor> {
        let failed = |error| Error::new(ErrorKind::Io, format!("TLS cannot be set up: {error}"));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(failed)?;
        let builder = match authority {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let provider = Arc::new(ring::default_provider());
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(file)?), provider).build();
                let verifier = verifier.map_err(|error| unusable(file, &format!("cannot be used: {error}")))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(self);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config.ticketer = ring::Ticketer::new().map_err(failed)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificates {
    /// The first certificate for the name that the client asks for, else the first of all.
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.loaded();
        let name = client_hello.server_name().and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let for_name = name.and_then(|name| {
            loaded.iter().find(|loaded| {
                let own = loaded.key.cert.first().and_then(|own| ParsedCertificate::try_from(own).ok());
                own.is_some_and(|own| verify_server_name(&own, &name).is_ok())
            })
        });
        for_name.or_else(|| loaded.first()).map(|loaded| Arc::clone(&loaded.key))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

fn states(files: &TlsFiles) -> [FileState; 2] {
    [&files.certificate, &files.key].map(|path| {
        let state = fs::metadata(path).ok()?;
        Some((state.ino(), state.len(), state.mtime(), state.mtime_nsec()))
    })
}

/// The authorities of a file.
pub(in crate::locator) fn authorities(file: &Path) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in chain(file)? {
        store
            .add(certificate)
            .map_err(|error| unusable(file, &format!("has a certificate of no authority: {error}")))?;
    }
    Ok(store)
}

/// The certificates of a file. There is at least one.
fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_slice_iter(&read(file)?).collect::<std::result::Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unusable(file, &format!("is no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(unusable(file, "has no certificate")
            .with_hint("it has to hold the chain as PEM, its own certificate first"));
    }
    Ok(chain)
}

/// A certificate with its chain, and its key, as they are in the files.
pub(in crate::locator) fn pair(files: &TlsFiles) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|_| {
        // The parser's text could quote the key.
        unusable(&files.key, "has no private key").with_hint("it has to hold an unencrypted key as PEM")
    })?;
    Ok((chain(&files.certificate)?, key))
}

fn load(files: &TlsFiles) -> Result<Loaded> {
    let certificate = &files.certificate;
    let (chain, key) = pair(files)?;
    let shown = show(certificate, &chain[0])?;
    let key = ring::default_provider()
        .key_provider
        .load_private_key(key)
        .map_err(|_| unusable(&files.key, "has a key of a kind that is not supported").with_hint("use ECDSA or RSA"))?;
    let key = CertifiedKey::new(chain, key);
    key.keys_match().map_err(|_| {
        unusable(&files.key, &format!("has another key than the certificate in `{}`", certificate.display()))
    })?;
    Ok(Loaded { shown, key: Arc::new(key) })
}

fn show(file: &Path, own: &CertificateDer<'_>) -> Result<TlsCertificate> {
    let (_, parsed) = X509Certificate::from_der(own)
        .map_err(|error| unusable(file, &format!("has no certificate that can be read: {error}")))?;
    let names =
        parsed.subject_alternative_name().ok().flatten().into_iter().flat_map(|names| &names.value.general_names);
    let ends = parsed.validity().not_after.timestamp();
    Ok(TlsCertificate {
        file: file.to_owned(),
        names: names
            .filter_map(|name| match name {
                x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect(),
        ends: Timestamp::from_millis(u64::try_from(ends).unwrap_or(0) * 1000),
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let cannot =
        |error: std::io::Error| Error::new(ErrorKind::Io, format!("cannot read `{}`: {error}", path.display()));
    let mut text = Vec::new();
    fs::File::open(path).map_err(cannot)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(unusable(path, "is too long for a certificate or a key"));
    }
    Ok(text)
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::InvalidValue, format!("`{}` {why}", path.display()))
}
