//! What would be done with each image, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::Images;
use super::context::{Context, ContextDigest};
use super::event::{BuildHappening, OnBuildEvent, Teller};
use super::inputs::{Inputs, in_words, tag_of};
use super::memory::{Memory, Remembered};
use super::options::{BuildAction, BuildOptions};
use super::outside::{self, Ask, Outside};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::image::tree::{NeededImage, TreeImage};
use crate::runtime::HostImage;

/// How many questions the builder and registries are asked at the same time.
pub(super) const QUESTIONS: usize = 8;

/// What is done with one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedImage {
    /// Its name in the tree.
    pub name: String,
    /// What.
    pub action: BuildAction,
    /// Why, for people.
    pub because: String,
    /// The name that people use.
    pub reference: ImageReference,
}

/// What would be done with the images of a tree, each after what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildPlan {
    /// The images.
    pub images: Vec<PlannedImage>,
}

/// An image, all that it is made of, and what is done with it.
pub(super) struct Prepared<'a> {
    pub(super) image: &'a TreeImage,
    pub(super) context: Arc<Context>,
    pub(super) inputs: Inputs,
    pub(super) digest: String,
    /// Its name by its inputs.
    pub(super) by_inputs: ImageReference,
    pub(super) remembered: Remembered,
    pub(super) host: Option<HostImage>,
    /// Whether its registry has it, if that was asked.
    pub(super) in_registry: bool,
    pub(super) planned: PlannedImage,
}

/// All images that are looked at, and what they need from outside.
pub(super) struct Preparation<'a> {
    pub(super) images: Vec<Prepared<'a>>,
    pub(super) outside: BTreeMap<ImageReference, Outside>,
}

impl Preparation<'_> {
    /// The image of this name, if it is looked at.
    pub(super) fn image(&self, name: &str) -> Option<&Prepared<'_>> {
        self.images.iter().find(|image| image.image.name == name)
    }
}

impl Images {
    /// What [`build`](Self::build) would do. Nothing is changed.
    ///
    /// The inputs of an image are its Dockerfile, the files of its context that `.dockerignore` leaves, its arguments,
    /// labels, target and platform, and the inputs or the digests of the images that it needs. Time stamps, owners, the
    /// order of files and the names of folders are no inputs.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if the options name no image of the tree;
    /// [`ImageTree`](ErrorKind::ImageTree) if a context cannot be read;
    /// [`ImageMissing`](ErrorKind::ImageMissing), with the place in the Dockerfile, if an image that is needed from outside
    /// is nowhere; the errors of [`ImageBuilder`](crate::runtime::ImageBuilder).
    pub async fn plan(&self, options: &BuildOptions) -> Result<BuildPlan> {
        let preparation = self.prepare(options, &|_| {}).await?;
        Ok(BuildPlan { images: preparation.images.into_iter().map(|image| image.planned).collect() })
    }

    pub(super) async fn prepare(&self, options: &BuildOptions, observer: OnBuildEvent<'_>) -> Result<Preparation<'_>> {
        let chosen = self.chosen(&options.images)?;
        let ask = if options.pull { Ask::RegistryFirst } else { Ask::HostFirst };
        let found = outside::find(&*self.builder, &chosen, ask);
        let (read, outside) = tokio::try_join!(self.read_all(&chosen), found)?;
        let mut images = self.with_inputs(read, &outside).await?;
        let asked: Vec<_> = images
            .iter()
            .map(|image| {
                let is_asked = match image.host {
                    // After a push that failed, only the registry tells that something is left to do.
                    Some(_) => options.push && options.changed,
                    None => !options.no_cache,
                };
                async move { is_asked && self.registry_has(image, observer).await }.boxed()
            })
            .collect();
        let in_registry: Vec<bool> = stream::iter(asked).buffered(QUESTIONS).collect().await;
        for (image, in_registry) in images.iter_mut().zip(in_registry) {
            image.in_registry = in_registry;
            let (action, because) = match &image.host {
                _ if options.no_cache => (BuildAction::Build, "all is to be built anew".to_owned()),
                Some(_) if options.push && options.changed && !in_registry => {
                    (BuildAction::Keep, "nothing has changed, but its registry does not have it".to_owned())
                }
                Some(_) => (BuildAction::Keep, "nothing has changed".to_owned()),
                None if in_registry => (BuildAction::Pull, "its registry has an image of the same inputs".to_owned()),
                None => (BuildAction::Build, reason(image)),
            };
            image.planned.action = action;
            image.planned.because = because;
        }
        Ok(Preparation { images, outside })
    }

    /// The contexts of these images, and what is kept of them.
    pub(super) async fn read_all<'a>(&self, chosen: &[&'a TreeImage]) -> Result<Vec<Read<'a>>> {
        let reads: Vec<_> = chosen.iter().map(|image| self.read(image).boxed()).collect();
        stream::iter(reads).buffered(self.at_once.get()).try_collect().await
    }

    async fn read<'a>(&self, image: &'a TreeImage) -> Result<Read<'a>> {
        let (root, dockerfile) = (image.context.clone(), image.dockerfile.clone());
        let mut remembered = Memory(self.memory.as_deref()).read(image);
        let known = remembered.known.take();
        let read = move || {
            let context = Context::scan(&root, dockerfile.as_deref())?;
            let digest = context.digest(known.as_ref())?;
            Ok::<_, Error>((context, digest, known))
        };
        let (context, mut digest, known) = tokio::task::spawn_blocking(read).await.map_err(|panic| {
            Error::new(ErrorKind::Panicked, format!("reading the context of image `{}` panicked: {panic}", image.name))
        })??;
        // It changes when no file does, so it is no input.
        remembered.known = Some(std::mem::take(&mut digest.known));
        if remembered.known != known {
            Memory(self.memory.as_deref()).write(image, &remembered);
        }
        Ok(Read { image, context: Arc::new(context), digest, remembered })
    }

    /// The inputs of these images, which come each after what it needs, and which of them the host has.
    pub(super) async fn with_inputs<'a>(
        &self,
        read: Vec<Read<'a>>,
        outside: &BTreeMap<ImageReference, Outside>,
    ) -> Result<Vec<Prepared<'a>>> {
        let host = self.builder.builder_capabilities().await?.platform;
        let mut digests: BTreeMap<&str, String> = BTreeMap::new();
        let mut images = Vec::with_capacity(read.len());
        for Read { image, context, digest, remembered } in read {
            let needs = image.needs.iter().map(|need| match &need.image {
                NeededImage::Tree(name) => (name.clone(), digests[name.as_str()].clone()),
                NeededImage::Outside(reference) => {
                    let name = reference.to_string();
                    let before = remembered.built.as_ref().and_then(|built| built.need(&name));
                    let identity = &outside[reference].identity;
                    // Nobody was asked, and the host does not have it any more: most likely it has not moved.
                    let known = if identity.is_empty() { before.unwrap_or(identity) } else { identity };
                    (name, known.clone())
                }
            });
            let inputs = Inputs::of(image, digest, needs.collect(), &host);
            let digest = inputs.digest();
            digests.insert(&image.name, digest.clone());
            let by_inputs = image.repository.with_tag(&tag_of(&digest))?;
            let planned = PlannedImage {
                name: image.name.clone(),
                action: BuildAction::Build,
                because: String::new(),
                reference: self.reference(image),
            };
            images.push(Prepared {
                image,
                context,
                inputs,
                digest,
                by_inputs,
                remembered,
                host: None,
                in_registry: false,
                planned,
            });
        }
        let asked: Vec<_> = images.iter().map(|image| self.builder.find_image(&image.by_inputs)).collect();
        let found: Vec<_> = stream::iter(asked).buffered(QUESTIONS).try_collect().await?;
        for (image, host) in images.iter_mut().zip(found) {
            image.host = host;
        }
        Ok(images)
    }

    /// Whether the registry has an image of these inputs. A registry that does not answer spares no build.
    async fn registry_has(&self, image: &Prepared<'_>, observer: OnBuildEvent<'_>) -> bool {
        // Those without a path are Docker's own.
        if image.by_inputs.is_on_docker_hub() && image.by_inputs.repository().starts_with("library/") {
            return false;
        }
        self.builder.registry_digest(&image.by_inputs).await.map_or_else(
            |error| {
                let teller = Teller { image: &image.image.name, to: observer };
                teller.tell(BuildHappening::Warning { text: format!("its registry is not asked: {error}") });
                false
            },
            |digest| digest.is_some(),
        )
    }
}

/// An image with its context, as it was read.
pub(super) struct Read<'a> {
    image: &'a TreeImage,
    context: Arc<Context>,
    digest: ContextDigest,
    remembered: Remembered,
}

/// Why an image that is nowhere has to be built.
fn reason(image: &Prepared<'_>) -> String {
    let Some(before) = &image.remembered.built else {
        return "it has not been built here before".to_owned();
    };
    match image.inputs.changes(before).as_slice() {
        [] => "the host does not have it any more".to_owned(),
        changes => in_words(changes),
    }
}
