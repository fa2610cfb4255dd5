//! Which certificates are trusted, and where plain HTTP is allowed.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use ureq::tls::{Certificate, PemItem, parse_pem};

use super::super::DockerRuntime;
use crate::error::{Error, ErrorKind, Result};

/// Where engines look for the authorities of a registry.
const CERTIFICATES: &str = "/etc/docker/certs.d";

/// How far a registry is trusted.
pub(super) struct Trust {
    pub(super) authorities: Vec<Certificate<'static>>,
    pub(super) may_be_plain: bool,
    pub(super) is_loopback: bool,
}

impl Trust {
    /// Of the registry of this name; `insecure`: the engine's `insecure-registries`, as hosts and networks.
    pub(super) fn of(registry: &str, insecure: &[String]) -> Result<Self> {
        // An authority that the system has and that cannot be read is as one that it does not have.
        let system = rustls_native_certs::load_native_certs().certs;
        let system = system.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
        let mut authorities: Vec<_> = system.collect();
        authorities.extend(of_folder(&Path::new(CERTIFICATES).join(registry))?);
        let is_loopback = is_loopback(registry);
        Ok(Self { authorities, may_be_plain: is_loopback || is_insecure(registry, insecure), is_loopback })
    }
}

/// The certificates in the files of a folder that end in `.crt`.
fn of_folder(folder: &Path) -> Result<Vec<Certificate<'static>>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.extension().is_none_or(|extension| extension != "crt") {
            continue;
        }
        let unreadable = |why: &str| {
            Error::new(ErrorKind::Io, format!("the certificate `{}` cannot be read: {why}", path.display()))
                .with_hint("it has to be in PEM, and readable for this user")
        };
        let text = fs::read(&path).map_err(|error| unreadable(&error.to_string()))?;
        for item in parse_pem(&text) {
            if let PemItem::Certificate(certificate) = item.map_err(|error| unreadable(&error.to_string()))? {
                found.push(certificate);
            }
        }
    }
    Ok(found)
}

/// The host of `host:port`.
pub(super) fn host(registry: &str) -> &str {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    host.trim_start_matches('[').trim_end_matches(']')
}

pub(super) fn is_loopback(registry: &str) -> bool {
    let host = host(registry);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_insecure(registry: &str, insecure: &[String]) -> bool {
    let address: Option<IpAddr> = host(registry).parse().ok();
    insecure.iter().any(|entry| {
        let network: Option<IpNet> = entry.parse().ok();
        entry == registry || network.zip(address).is_some_and(|(network, address)| network.contains(&address))
    })
}

impl DockerRuntime {
    /// The engine's `insecure-registries`: hosts and networks.
    pub(super) async fn insecure_registries(&self) -> Result<Vec<String>> {
        let info = self.client.read("ask the engine for its registries", self.client.docker.info()).await?;
        let Some(config) = info.registry_config else { return Ok(Vec::new()) };
        let named = config.index_configs.into_iter().flatten();
        let insecure = named.filter(|(_, index)| index.secure == Some(false)).map(|(name, _)| name);
        Ok(config.insecure_registry_cidrs.into_iter().flatten().chain(insecure).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_and_for_what_the_engine_names() {
        let insecure = ["10.0.0.0/8".to_owned(), "r.local:5000".to_owned()];
        for (registry, expected) in [
            ("127.0.0.1:5000", true),
            ("127.9.9.9", true),
            ("[::1]:5000", true),
            ("localhost:5000", true),
            ("localhost.example.com", false),
            ("10.1.2.3:5000", true),
            ("11.1.2.3:5000", false),
            ("r.local:5000", true),
            ("r.local", false),
            ("127.0.0.1.example.com", false),
        ] {
            assert_eq!(is_loopback(registry) || is_insecure(registry, &insecure), expected, "{registry}");
        }
    }

    #[test]
    fn a_broken_certificate_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(of_folder(folder.path()).expect("read").is_empty());
        fs::write(folder.path().join("ca.crt"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
            .expect("written");
        fs::write(folder.path().join("client.key"), "no certificate").expect("written");
        let error = of_folder(folder.path()).expect_err("no certificate");
        assert!(error.message().contains("ca.crt"), "{error:#}");
    }
}
