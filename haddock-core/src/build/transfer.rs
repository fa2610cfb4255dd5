//! Images to and from their registries.

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::event::{BuildHappening, OnBuildEvent, Teller};
use super::inputs::own_tag;
use super::outside::digest_of;
use super::{Images, labels};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::image::tree::TreeImage;
use crate::runtime::HostImage;

/// An image that was pushed or pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// Its name in the tree.
    pub name: String,
    /// The name that people use.
    pub reference: ImageReference,
    /// Its digest in the registry: a name of this image for ever.
    pub digest: Option<String>,
}

impl Images {
    /// Gives these images to their registries, at their tags; of none: all. Layers that a registry has are not sent.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the tree has no such image; [`ImageMissing`](ErrorKind::ImageMissing) if one
    /// was not built at this tag; [`InvalidValue`](ErrorKind::InvalidValue) if the tree differs from its commit and
    /// `allow_dirty` is false; [`RegistryRefused`](ErrorKind::RegistryRefused) and
    /// [`RegistryUnavailable`](ErrorKind::RegistryUnavailable).
    pub async fn push(
        &self,
        names: &[String],
        allow_dirty: bool,
        observer: OnBuildEvent<'_>,
    ) -> Result<Vec<Transferred>> {
        self.check_clean(allow_dirty)?;
        let named = self.named(names)?;
        let pushes: Vec<_> = named.into_iter().map(|image| self.push_built(image, observer).boxed()).collect();
        stream::iter(pushes).buffered(self.at_once.get()).try_collect().await
    }

    async fn push_built(&self, image: &TreeImage, observer: OnBuildEvent<'_>) -> Result<Transferred> {
        let reference = self.reference(image);
        let host = self.builder.find_image(&reference).await?.ok_or_else(|| {
            let message = format!("image `{reference}` is not on the host");
            Error::new(ErrorKind::ImageMissing, message).with_hint("run `haddock build` first, or name the tag")
        })?;
        // The label may be inherited from the base.
        let by_inputs = by_inputs(&host, image)?.filter(|name| host.tags.contains(name));
        let teller = Teller { image: &image.name, to: observer };
        let digest = self.push_one(&reference, by_inputs.as_ref(), teller).await?;
        Ok(Transferred { name: image.name.clone(), reference, digest: Some(digest) })
    }

    /// Gets these images from their registries, at their tags; of none: all.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the tree has no such image; the errors of a
    /// [`pull`](crate::runtime::ContainerRuntime::pull).
    pub async fn pull(&self, names: &[String], observer: OnBuildEvent<'_>) -> Result<Vec<Transferred>> {
        let named = self.named(names)?;
        let pulls: Vec<_> = named.into_iter().map(|image| self.pull_pushed(image, observer).boxed()).collect();
        stream::iter(pulls).buffered(self.at_once.get()).try_collect().await
    }

    async fn pull_pushed(&self, image: &TreeImage, observer: OnBuildEvent<'_>) -> Result<Transferred> {
        let reference = self.reference(image);
        let teller = Teller { image: &image.name, to: observer };
        let host = self.pull_one(&reference, teller).await?;
        // A build of the same inputs finds it.
        let is_of_it = host.labels.get(labels::NAME) == Some(&image.name);
        if let Some(by_inputs) = by_inputs(&host, image)?.filter(|_| is_of_it) {
            self.builder.tag_image(&host.id, &by_inputs).await?;
        }
        let digest = digest_of(&host, &reference);
        Ok(Transferred { name: image.name.clone(), reference, digest })
    }

    pub(super) async fn pull_one(&self, reference: &ImageReference, teller: Teller<'_>) -> Result<HostImage> {
        teller.tell(BuildHappening::Pulling);
        let host = self.builder.pull_image(reference, &|output| teller.output(output)).await?;
        teller.tell(BuildHappening::Pulled);
        Ok(host)
    }

    /// Pushes an image, also under the name by which other machines find it.
    pub(super) async fn push_one(
        &self,
        reference: &ImageReference,
        by_inputs: Option<&ImageReference>,
        teller: Teller<'_>,
    ) -> Result<String> {
        teller.tell(BuildHappening::Pushing);
        let digest = self.builder.push_image(reference, &|output| teller.output(output)).await?;
        if let Some(by_inputs) = by_inputs {
            self.builder.push_image(by_inputs, &|_| {}).await?;
        }
        teller.tell(BuildHappening::Pushed { digest: digest.clone() });
        Ok(digest)
    }

    pub(super) fn check_clean(&self, allow_dirty: bool) -> Result<()> {
        match &self.revision {
            Some(revision) if revision.dirty && !allow_dirty => {
                let message = format!("the tree differs from its commit, so nothing is pushed as `{}`", self.tag);
                Err(Error::new(ErrorKind::InvalidValue, message)
                    .with_hint("commit the changes first, or push with `--allow-dirty`"))
            }
            _ => Ok(()),
        }
    }

    /// These images, without what they need; of none: all.
    fn named(&self, names: &[String]) -> Result<Vec<&TreeImage>> {
        if names.is_empty() {
            // A part has no name of its own.
            let all = self.chosen(&[])?;
            return Ok(all.into_iter().filter(|image| !image.is_part).collect());
        }
        names.iter().map(|name| self.tree.get(name)).collect()
    }
}

/// The name of an image by its inputs, if its label tells them.
fn by_inputs(host: &HostImage, image: &TreeImage) -> Result<Option<ImageReference>> {
    own_tag(&host.labels).map(|tag| image.repository.with_tag(&tag)).transpose()
}
