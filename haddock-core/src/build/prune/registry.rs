//! Deletes old images from registries.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::choose::{Candidate, Named, removable};
use crate::build::Images;
use crate::build::inputs::own_tag;
use crate::build::labels;
use crate::build::plan::QUESTIONS;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{ImageRegistry, RegistryImage};
use crate::time::Timestamp;

/// Which images of registries stay, and which are deleted.
///
/// Only images that [`Images`] has built are looked at, in the repositories of its tree. Of these stay: some of each
/// repository, namely those that were built last; those at the tag of [`Images`]; those that containers on the host were
/// made of; those that are named here; those that another one that stays is built on; and those that are a part of an
/// image for several platforms. A registry deletes an image with all its tags, so one stays if one of its tags does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneRegistry {
    /// How many images of each repository stay: those that were built last. Registries do not tell when a tag was given.
    pub keep: usize,
    /// The images that stay in any case, such as those of releases to which one may go back: ids, digests (`sha256:…`) and
    /// names.
    pub also: BTreeSet<String>,
    /// Only say what would be deleted.
    pub dry_run: bool,
}

/// An image that was, or would be, deleted from a registry; or that should have been, and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrunedFromRegistry {
    /// Its name by its digest.
    pub reference: ImageReference,
    /// All its tags.
    pub tags: Vec<String>,
    /// When it was built.
    pub created: Option<Timestamp>,
    /// The bytes of its layers, compressed. What other images share is counted, too, and a registry frees space only with
    /// its own garbage collection.
    pub size: u64,
    /// Why it is still there, if it was not deleted.
    pub stays: Option<String>,
}

/// An image of a repository, with its tags.
struct Found {
    reference: ImageReference,
    tags: BTreeSet<String>,
    image: RegistryImage,
}

impl Images {
    /// Deletes old images from the registries of this tree, each before those that it is built on.
    ///
    /// ```no_run
    /// use haddock_core::build::{Images, PruneRegistry};
    /// # use haddock_core::runtime::docker::DockerRuntime;
    ///
    /// # async fn example(images: &Images, engine: &DockerRuntime) -> haddock_core::Result<()> {
    /// let prune = PruneRegistry { keep: 10, dry_run: true, ..PruneRegistry::default() };
    /// for image in images.prune_registry(&engine.registries(), &prune).await? {
    ///     println!("{} would be deleted, with the tags {:?}", image.reference, image.tags);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NotSupported`](ErrorKind::NotSupported) if a registry does not allow it, or if the images of the tree are in no
    /// registry but Docker Hub; [`InvalidImageReference`](ErrorKind::InvalidImageReference) if `also` holds something that
    /// is no image; the errors of registry and builder. After the first deletion, an error is told by
    /// [`stays`](PrunedFromRegistry::stays) of this image and of the rest, and nothing more is tried.
    pub async fn prune_registry(
        &self,
        registry: &dyn ImageRegistry,
        prune: &PruneRegistry,
    ) -> Result<Vec<PrunedFromRegistry>> {
        let also = Named::read(&prune.also)?;
        let in_use: BTreeSet<String> = self.builder.images_in_use().await?.into_iter().collect();
        let mut found = Vec::new();
        for repository in self.repositories()? {
            found.extend(images_of(registry, &repository).await?);
        }
        let parts: BTreeSet<(&str, &str, &str)> = found.iter().flat_map(Found::parts).collect();
        let ours: Vec<&Found> = found.iter().filter(|it| it.is_ours()).collect();
        let candidates: Vec<_> = ours
            .iter()
            .map(|found| {
                let is_needed = found.is_needed(&in_use, &also, &self.tag) || parts.contains(&found.place());
                found.candidate(is_needed)
            })
            .collect();
        let chosen = removable(&candidates, prune.keep);
        let mut pruned: Vec<_> = chosen.into_iter().map(|index| ours[index].pruned()).collect();
        if !prune.dry_run {
            delete_all(registry, &mut pruned).await?;
        }
        Ok(pruned)
    }

    /// The repositories of the tree in registries that can be asked, each once.
    fn repositories(&self) -> Result<Vec<ImageReference>> {
        let mut repositories: Vec<ImageReference> = Vec::new();
        for image in self.tree.images() {
            let is_known = repositories.iter().any(|it| it.has_repository_of(&image.repository));
            if !is_known && !image.repository.is_on_docker_hub() {
                repositories.push(image.repository.clone());
            }
        }
        if repositories.is_empty() {
            let message = "the images of the tree are in no registry of their own, and Docker Hub deletes nothing";
            return Err(Error::new(ErrorKind::NotSupported, message)
                .with_hint("name the registry in `haddock-images.yaml`, such as `prefix: registry.local:5000/shop`"));
        }
        Ok(repositories)
    }
}

impl Found {
    fn place(&self) -> (&str, &str, &str) {
        (self.reference.registry(), self.reference.repository(), &self.image.digest)
    }

    /// The images that it holds.
    fn parts(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let (registry, repository, _) = self.place();
        self.image.parts.iter().map(move |digest| (registry, repository, digest.as_str()))
    }

    /// Whether it was built by us.
    fn is_ours(&self) -> bool {
        own_tag(&self.image.labels).is_some_and(|tag| self.tags.contains(&tag))
    }

    fn is_needed(&self, in_use: &BTreeSet<String>, also: &Named, tag: &str) -> bool {
        let mut ids = self.image.ids.iter();
        let mut names = self.tags.iter().filter_map(|tag| self.reference.with_tag(tag).ok());
        self.tags.contains(tag)
            || ids.any(|id| in_use.contains(id) || also.has_id(id))
            || names.any(|name| also.has(&name))
            || also.has(&self.reference)
    }

    fn candidate(&self, is_needed: bool) -> Candidate<'_> {
        let labelled = || {
            let millis = self.image.labels.get(labels::CREATED)?.parse::<jiff::Timestamp>().ok()?.as_millisecond();
            u64::try_from(millis).ok().map(Timestamp::from_millis)
        };
        Candidate {
            id: &self.image.digest,
            repositories: [self.reference.canonical_repository()].into(),
            at: self.image.created.or_else(labelled),
            labels: &self.image.labels,
            is_found: self.is_ours(),
            is_needed,
        }
    }

    fn pruned(&self) -> PrunedFromRegistry {
        PrunedFromRegistry {
            reference: self.reference.clone(),
            tags: self.tags.iter().cloned().collect(),
            created: self.image.created,
            size: self.image.size,
            stays: None,
        }
    }
}

/// The tags of a repository, by the digest that each means.
async fn tags_of(
    registry: &dyn ImageRegistry,
    repository: &ImageReference,
) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let tags = registry.list_tags(repository).await?;
    let asked: Vec<_> = tags
        .into_iter()
        .map(|tag| {
            async move {
                let digest = registry.digest_of_tag(&repository.with_tag(&tag)?).await?;
                Ok::<_, Error>(digest.map(|digest| (digest, tag)))
            }
            .boxed()
        })
        .collect();
    let found: Vec<Option<(String, String)>> = stream::iter(asked).buffered(QUESTIONS).try_collect().await?;
    let mut by_digest: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (digest, tag) in found.into_iter().flatten() {
        by_digest.entry(digest).or_default().insert(tag);
    }
    Ok(by_digest)
}

async fn images_of(registry: &dyn ImageRegistry, repository: &ImageReference) -> Result<Vec<Found>> {
    let tags = tags_of(registry, repository).await?;
    let asked: Vec<_> = tags
        .into_iter()
        .map(|(digest, tags)| {
            async move {
                // A reference by digest alone: a tag may mean another image meanwhile.
                let reference = repository.at_digest(&digest)?;
                let image = registry.describe_image(&reference).await?;
                Ok::<_, Error>(image.map(|image| Found { reference, tags, image }))
            }
            .boxed()
        })
        .collect();
    let found: Vec<Option<Found>> = stream::iter(asked).buffered(QUESTIONS).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Deletes these images, unless one has got a tag meanwhile.
async fn delete_all(registry: &dyn ImageRegistry, pruned: &mut [PrunedFromRegistry]) -> Result<()> {
    let mut now: Vec<(ImageReference, BTreeMap<String, BTreeSet<String>>)> = Vec::new();
    for image in &*pruned {
        if !now.iter().any(|(repository, _)| repository.has_repository_of(&image.reference)) {
            now.push((image.reference.clone(), tags_of(registry, &image.reference).await?));
        }
    }
    let (mut has_deleted, mut failure): (bool, Option<String>) = (false, None);
    for image in pruned {
        if let Some(why) = &failure {
            image.stays = Some(format!("it was not tried, because of the failure before: {why}"));
            continue;
        }
        let tags = now.iter().find(|(repository, _)| repository.has_repository_of(&image.reference));
        let tags = tags.and_then(|(_, tags)| tags.get(image.reference.digest().unwrap_or_default()));
        if let Some(new) = tags.into_iter().flatten().find(|tag| !image.tags.contains(tag)) {
            image.stays = Some(format!("it has just got the tag `{new}`"));
            continue;
        }
        match registry.delete_image(&image.reference).await {
            Ok(()) => has_deleted = true,
            Err(error) if !has_deleted => return Err(error),
            Err(error) => {
                image.stays = Some(error.message().to_owned());
                failure = Some(error.message().to_owned());
            }
        }
    }
    Ok(())
}
