//! Registries that are asked from here, and not by the engine: it cannot list tags, nor delete images.
//!
//! This is the [HTTP API of the OCI distribution specification](https://github.com/opencontainers/distribution-spec).
//! The credentials are those that the engine gets for a push, and so is the trust: the certificates in
//! `/etc/docker/certs.d` beside those of the system, and plain HTTP on loopback and for the engine's
//! `insecure-registries`.
//!
//! | file | part |
//! |---|---|
//! | `client` | requests to one registry, with credentials and redirects |
//! | `challenge` | which credentials a registry wants |
//! | `manifest` | what an image is, by its manifests and configurations |
//! | `trust` | certificates, and where plain HTTP is allowed |

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use self::client::RegistryClient;
use self::trust::Trust;
use super::DockerRuntime;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{ImageRegistry, RegistryImage};

mod challenge;
mod client;
mod manifest;
mod trust;

/// The registries that an engine pushes to, with the credentials of its user.
#[derive(Clone)]
pub struct DockerRegistries {
    runtime: DockerRuntime,
    clients: Arc<Mutex<BTreeMap<String, Arc<RegistryClient>>>>,
}

impl DockerRuntime {
    /// The registries that this engine pushes to, asked from here. Nothing is asked yet.
    #[must_use]
    pub fn registries(&self) -> DockerRegistries {
        DockerRegistries { runtime: self.clone(), clients: Arc::default() }
    }
}

impl DockerRegistries {
    async fn client(&self, registry: &str) -> Result<Arc<RegistryClient>> {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(registry) {
            return Ok(Arc::clone(client));
        }
        let insecure = self.runtime.insecure_registries().await?;
        let (stored, host) = (self.runtime.stored(registry).await, registry.to_owned());
        let found = blocking(move || RegistryClient::find(&host, stored, &Trust::of(&host, &insecure)?)).await?;
        let client = Arc::new(found);
        clients.insert(registry.to_owned(), Arc::clone(&client));
        Ok(client)
    }

    async fn ask<T: Send + 'static>(
        &self,
        image: &ImageReference,
        ask: impl FnOnce(&RegistryClient, &ImageReference) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (client, image) = (self.client(image.registry()).await?, image.clone());
        blocking(move || ask(&client, &image)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Panicked, format!("asking a registry panicked: {panic}"))))
}

#[async_trait]
impl ImageRegistry for DockerRegistries {
    async fn list_tags(&self, repository: &ImageReference) -> Result<Vec<String>> {
        self.ask(repository, RegistryClient::tags).await
    }

    async fn digest_of_tag(&self, image: &ImageReference) -> Result<Option<String>> {
        self.ask(image, RegistryClient::digest).await
    }

    async fn describe_image(&self, image: &ImageReference) -> Result<Option<RegistryImage>> {
        self.ask(image, manifest::describe).await
    }

    async fn delete_image(&self, image: &ImageReference) -> Result<()> {
        self.ask(image, RegistryClient::delete).await
    }
}

impl fmt::Display for DockerRegistries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the registries of {}", self.runtime)
    }
}

impl fmt::Debug for DockerRegistries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerRegistries").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}
