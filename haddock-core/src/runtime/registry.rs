//! The port to registries: what they have, and what is deleted from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::image::ImageReference;
use crate::time::Timestamp;

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryImage {
    /// Its digest there: `sha256:…`.
    pub digest: String,
    /// All by which hosts may know it: its digest, and the ids and digests of the images for each platform.
    pub ids: BTreeSet<String>,
    /// The digests of the images for each platform, if it holds several. They are images of their own in its repository.
    pub parts: BTreeSet<String>,
    /// Its labels. An image for several platforms has those that all of them have.
    pub labels: BTreeMap<String, String>,
    /// When it was built.
    pub created: Option<Timestamp>,
    /// The bytes of its layers, compressed. Layers that other images share are counted, too.
    pub size: u64,
}

/// Registries, each under the name by which references name it.
///
/// # Contract
///
/// - Only the registry and the repository of a reference count, unless the method says otherwise.
/// - Every call may be made twice, with the same effect as once. Calls may run at the same time.
/// - No error holds a credential, and no other host gets one.
///
/// # Errors
/// [`RegistryRefused`](crate::ErrorKind::RegistryRefused) if it may not be asked, or cannot be trusted;
/// [`RegistryUnavailable`](crate::ErrorKind::RegistryUnavailable) if it does not answer.
#[async_trait]
pub trait ImageRegistry: Send + Sync + fmt::Display + fmt::Debug + 'static {
    /// All tags of a repository. One that does not exist has none.
    async fn list_tags(&self, repository: &ImageReference) -> Result<Vec<String>>;

    /// The digest of the image with this tag; `None` if there is none.
    async fn digest_of_tag(&self, image: &ImageReference) -> Result<Option<String>>;

    /// The image with this digest, or else with this tag; `None` if there is none.
    async fn describe_image(&self, image: &ImageReference) -> Result<Option<RegistryImage>>;

    /// Deletes the image with this digest from its repository, with all its tags. One that does not exist is no error.
    ///
    /// # Errors
    /// [`NotSupported`](crate::ErrorKind::NotSupported) if the registry does not allow it, or the reference has no digest.
    async fn delete_image(&self, image: &ImageReference) -> Result<()>;
}
