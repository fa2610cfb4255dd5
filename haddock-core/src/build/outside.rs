//! Images that the tree does not have: which they are at present.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::image::ImageReference;
use crate::image::tree::{NeededImage, TreeImage};
use crate::runtime::{HostImage, ImageBuilder};

/// An image outside of the tree.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    /// What stands for it, on each machine that has the same image: its digest in its registry. One that was never in a
    /// registry has only its id.
    pub(super) identity: String,
    /// Whether this is a digest of its registry.
    pub(super) in_registry: bool,
    /// Whether the host has this very image.
    pub(super) on_host: bool,
}

impl Outside {
    /// The reference by its digest, if it has one: whatever its tag means later, this image is used.
    pub(super) fn pinned(&self, reference: &ImageReference) -> ImageReference {
        let by_digest = reference.at_digest(&self.identity).ok().filter(|_| self.in_registry);
        by_digest.unwrap_or_else(|| reference.clone())
    }
}

/// Who is asked for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The host, and its registry if the host has none.
    HostFirst,
    /// Its registry, although the host may have one of that name.
    RegistryFirst,
    /// No registry.
    HostAlone,
}

/// Finds what these images need from outside.
pub(super) async fn find(
    builder: &dyn ImageBuilder,
    images: &[&TreeImage],
    ask: Ask,
) -> Result<BTreeMap<ImageReference, Outside>> {
    let mut found = BTreeMap::new();
    for image in images {
        for need in &image.needs {
            let NeededImage::Outside(reference) = &need.image else { continue };
            if found.contains_key(reference) {
                continue;
            }
            let ask = if image.pull && ask == Ask::HostFirst { Ask::RegistryFirst } else { ask };
            let outside = find_one(builder, reference, ask).await.map_err(|error| placed(error, &need.used.place))?;
            found.insert(reference.clone(), outside);
        }
    }
    Ok(found)
}

async fn find_one(builder: &dyn ImageBuilder, reference: &ImageReference, ask: Ask) -> Result<Outside> {
    let host = builder.find_image(reference).await?;
    if let (Some(digest), host) = (reference.digest(), &host) {
        return Ok(Outside { identity: digest.to_owned(), in_registry: true, on_host: host.is_some() });
    }
    let ours = host.as_ref().and_then(|image| digest_of(image, reference));
    // An image without a digest was made on this host. Its registry, if there is one, knows nothing of it.
    if let Some(image) = &host
        && (ask != Ask::RegistryFirst || ours.is_none())
    {
        let (identity, in_registry) = ours.map_or((image.id.clone(), false), |digest| (digest, true));
        return Ok(Outside { identity, in_registry, on_host: true });
    }
    if ask == Ask::HostAlone {
        return Ok(Outside { identity: String::new(), in_registry: false, on_host: false });
    }
    match builder.registry_digest(reference).await? {
        Some(digest) => {
            let on_host = ours.as_deref() == Some(digest.as_str());
            Ok(Outside { identity: digest, in_registry: true, on_host })
        }
        None => Err(Error::new(
            ErrorKind::ImageMissing,
            format!("image `{reference}` is neither on the host, nor in its registry, nor in the tree"),
        )
        .with_hint("correct the name, push the image, or add a folder with its Dockerfile to the tree")),
    }
}

/// The digest that an image has in the repository of this reference.
pub(super) fn digest_of(image: &HostImage, reference: &ImageReference) -> Option<String> {
    image.digests.iter().find(|it| it.has_repository_of(reference)).and_then(|it| it.digest()).map(str::to_owned)
}

fn placed(error: Error, place: &Place) -> Error {
    if error.place().is_some() { error } else { error.at(place.clone()) }
}
