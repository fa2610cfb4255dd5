//! Builds images: several at once, and each as soon as what it needs is there.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::Images;
use super::built::Built;
use super::event::{BuildHappening, OnBuildEvent, Teller};
use super::labels::{self, Base};
use super::memory::Memory;
use super::options::{BuildAction, BuildOptions};
use super::outside::{Outside, digest_of};
use super::plan::{Preparation, Prepared};
use crate::error::{Error, ErrorKind, Result};
use crate::image::dockerfile::{ImageUse, UsedBy};
use crate::image::tree::{Need, NeededImage, TreeImage};
use crate::image::{ImageReference, SecretSource};
use crate::runtime::{BuildContext, BuildRequest};

/// What was done with an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltImage {
    /// Its name in the tree.
    pub name: String,
    /// What.
    pub action: BuildAction,
    /// Why, for people.
    pub because: String,
    /// Its name at the tag. If it was left alone, it has no such name, and this is the one of its inputs.
    pub reference: ImageReference,
    /// Its id on the host; `None` if only its registry has it.
    pub id: Option<String>,
    /// Its digest in the registry, if it was pushed.
    pub digest: Option<String>,
}

impl Images {
    /// Builds what has changed, takes the rest from the host or from registries, and gives all of it the tag.
    ///
    /// The order of the answer is that of the tree. If a build fails, those that run beside it are finished, and no other
    /// is begun. If the future is dropped, nothing half-built is left behind.
    ///
    /// # Errors
    /// [`BuildFailed`](crate::ErrorKind::BuildFailed) with the step that failed and its last lines; those of
    /// [`plan`](Self::plan); with `push` those of [`push`](Self::push).
    pub async fn build(&self, options: &BuildOptions, observer: OnBuildEvent<'_>) -> Result<Vec<BuiltImage>> {
        if options.push {
            self.check_clean(options.allow_dirty)?;
        }
        let preparation = self.prepare(options, observer).await?;
        for Prepared { planned, .. } in &preparation.images {
            let (action, because) = (planned.action, planned.because.clone());
            Teller { image: &planned.name, to: observer }.tell(BuildHappening::Planned { action, because });
        }
        for image in preparation.images.iter().filter(|image| image.planned.action == BuildAction::Build) {
            check_secrets(image.image)?;
        }
        self.pull_outside(&preparation, observer).await?;

        let work = Work { images: self, preparation: &preparation, options, observer };
        let chains = chains(&preparation.images);
        let mut waiting: Vec<usize> = (0..preparation.images.len()).collect();
        let mut done: BTreeMap<usize, BuiltImage> = BTreeMap::new();
        let mut there: BTreeSet<&str> = BTreeSet::new();
        let mut running = FuturesUnordered::new();
        let mut failed = None;
        loop {
            while failed.is_none() && running.len() < self.at_once.get() {
                let is_ready = |index: &usize| {
                    preparation.images[*index].image.tree_needs().all(|(needed, _)| there.contains(needed))
                };
                let ready = (0..waiting.len()).filter(|place| is_ready(&waiting[*place]));
                // Of equals the last one is taken, and that is to be the first of the tree.
                let Some(next) = ready.rev().max_by_key(|place| chains[waiting[*place]]) else { break };
                let index = waiting.remove(next);
                let (work, image) = (&work, &preparation.images[index]);
                running.push(async move { (index, work.perform(image).await) });
            }
            match running.next().await {
                None => break,
                Some((index, Ok(built))) => {
                    there.insert(&preparation.images[index].image.name);
                    done.insert(index, built);
                }
                Some((index, Err(error))) => match &failed {
                    None => failed = Some(error),
                    Some(_) => {
                        let image = &preparation.images[index].image.name;
                        let text = format!("it failed as well: {error}");
                        Teller { image, to: observer }.tell(BuildHappening::Warning { text });
                    }
                },
            }
        }
        failed.map_or_else(|| Ok(done.into_values().collect()), Err)
    }

    /// Gets the image of which its registry has told the digest, and gives it the name by which the next build looks for
    /// it.
    async fn pull_need(
        &self,
        reference: &ImageReference,
        outside: &Outside,
        need: &Need,
        observer: OnBuildEvent<'_>,
    ) -> Result<()> {
        let (name, pinned) = (reference.to_string(), outside.pinned(reference));
        let pulled = self.pull_one(&pinned, Teller { image: &name, to: observer }).await;
        let pulled = pulled.map_err(|error| error.at(need.used.place.clone()))?;
        if *reference == pinned || reference.digest().is_some() {
            return Ok(());
        }
        self.builder.tag_image(&pulled.id, reference).await
    }

    /// Gets the images from outside that builds need and the host does not have.
    async fn pull_outside(&self, preparation: &Preparation<'_>, observer: OnBuildEvent<'_>) -> Result<()> {
        let built = preparation.images.iter().filter(|image| image.planned.action == BuildAction::Build);
        let mut needs = BTreeMap::new();
        for need in built.flat_map(|image| &image.image.needs) {
            if let NeededImage::Outside(reference) = &need.image
                && !preparation.outside[reference].on_host
            {
                needs.insert(reference, need);
            }
        }
        let pull =
            |(reference, need)| self.pull_need(reference, &preparation.outside[reference], need, observer).boxed();
        let pulls: Vec<_> = needs.into_iter().map(pull).collect();
        stream::iter(pulls).buffer_unordered(self.at_once.get()).try_collect().await
    }
}

/// A build of several images.
struct Work<'a> {
    images: &'a Images,
    preparation: &'a Preparation<'a>,
    options: &'a BuildOptions,
    observer: OnBuildEvent<'a>,
}

impl Work<'_> {
    async fn perform(&self, image: &Prepared<'_>) -> Result<BuiltImage> {
        let name = &image.image.name;
        let teller = Teller { image: name, to: self.observer };
        let builder = &self.images.builder;
        let action = image.planned.action;
        let id = match (&image.host, action) {
            (Some(host), BuildAction::Keep) => Some(host.id.clone()),
            (_, BuildAction::Pull) if self.is_needed(image) => {
                match self.images.pull_one(&image.by_inputs, teller).await {
                    Ok(pulled) => Some(pulled.id),
                    // It is incomplete there, or for another platform.
                    Err(error) => {
                        teller.tell(BuildHappening::Warning {
                            text: format!("it is built, since it cannot be pulled: {error}"),
                        });
                        Some(self.build(image, teller).await?)
                    }
                }
            }
            (_, BuildAction::Pull | BuildAction::Keep) => None,
            (_, BuildAction::Build) => Some(self.build(image, teller).await?),
        };
        self.remember(image);
        let is_to_push = self.options.push && action == BuildAction::Keep && !image.in_registry;
        let is_unchanged = self.options.changed && action != BuildAction::Build && !is_to_push;
        let is_left_alone = is_unchanged || image.image.is_part;
        let reference = if is_left_alone { &image.by_inputs } else { &image.planned.reference };
        if let Some(id) = &id
            && !is_left_alone
        {
            for name in [reference].into_iter().chain(&image.image.more_names) {
                builder.tag_image(id, name).await?;
            }
        }
        let digest = match &id {
            Some(_) if self.options.push && !is_left_alone => {
                let digest = self.images.push_one(reference, Some(&image.by_inputs), teller).await?;
                for name in &image.image.more_names {
                    self.images.push_one(name, None, teller).await?;
                }
                Some(digest)
            }
            _ => None,
        };
        let because = image.planned.because.clone();
        Ok(BuiltImage { name: name.clone(), action, because, reference: reference.clone(), id, digest })
    }

    /// Whether an image that its registry has is needed on the host.
    fn is_needed(&self, image: &Prepared<'_>) -> bool {
        let name = image.image.name.as_str();
        let mut built = self.preparation.images.iter().filter(|other| other.planned.action == BuildAction::Build);
        !self.options.changed || built.any(|other| other.image.tree_needs().any(|(needed, _)| needed == name))
    }

    async fn build(&self, image: &Prepared<'_>, teller: Teller<'_>) -> Result<String> {
        teller.tell(BuildHappening::Building);
        let tree_image = image.image;
        let text = self.pinned_text(image)?;
        let dockerfile = image.context.dockerfile().to_owned();
        let (images, base) = (self.images, self.base(image));
        let tag = image.planned.reference.tag().unwrap_or(&images.tag);
        let request = BuildRequest {
            labels: labels::of(tree_image, &image.digest, tag, images.revision.as_ref(), base),
            tags: vec![image.by_inputs.clone()],
            target: tree_image.target.clone(),
            args: tree_image.args.clone(),
            platform: tree_image.platform.clone(),
            extra_hosts: tree_image.extra_hosts.clone(),
            network: tree_image.network.clone(),
            secrets: tree_image.secrets.clone(),
            ssh: tree_image.ssh,
            no_cache: self.options.no_cache || tree_image.no_cache,
            registries: registries(tree_image),
            dockerfile: dockerfile.clone(),
        };
        let apart = image.context.apart(&text);
        let archive = image.context.archive(BTreeMap::from([(dockerfile, text.into_bytes())]));
        let context = BuildContext { archive, apart };
        let built = images.builder.build_image(&request, context, &|output| teller.output(output)).await;
        let id = built.map_err(|error| error.of_image(&tree_image.name))?;
        Built(images.memory.as_deref()).note(&id);
        teller.tell(BuildHappening::Built);
        Ok(id)
    }

    /// The Dockerfile with the images that it needs by their inputs and digests.
    fn pinned_text(&self, image: &Prepared<'_>) -> Result<String> {
        let tree_image = image.image;
        let pin = |used: &ImageUse| {
            let need = tree_image.needs.iter().find(|need| need.used.span == used.span);
            Some(self.pinned(need?).to_string())
        };
        tree_image.head.with_images(&tree_image.values_of_args(), &pin)
    }

    /// An image by its inputs or its digest: whatever its tags name later, this one is used.
    fn pinned(&self, need: &Need) -> ImageReference {
        match &need.image {
            NeededImage::Tree(name) => {
                self.preparation.image(name).expect("what is needed is looked at").by_inputs.clone()
            }
            NeededImage::Outside(reference) => self.preparation.outside[reference].pinned(reference),
        }
    }

    fn base(&self, image: &Prepared<'_>) -> Base {
        let Some(written) = &image.image.base else { return Base::default() };
        let is_base = |need: &&Need| need.used.by == UsedBy::From && need.used.image == *written;
        match image.image.needs.iter().find(is_base).map(|need| &need.image) {
            Some(NeededImage::Tree(name)) => {
                let base = self.preparation.image(name);
                let digest = base.and_then(|it| digest_of(it.host.as_ref()?, &it.planned.reference));
                let name = base.map(|it| it.planned.reference.to_string());
                Base { name, digest, inputs: base.map(|it| it.digest.clone()) }
            }
            Some(NeededImage::Outside(reference)) => {
                let outside = &self.preparation.outside[reference];
                let digest = outside.in_registry.then(|| outside.identity.clone());
                Base { name: Some(reference.canonical()), digest, inputs: None }
            }
            None => Base::default(),
        }
    }

    /// Keeps what it was built from, for the reasons of the next plan.
    fn remember(&self, image: &Prepared<'_>) {
        if image.remembered.built.as_ref() != Some(&image.inputs) {
            let remembered = image.remembered.with_built(image.inputs.clone());
            Memory(self.images.memory.as_deref()).write(image.image, &remembered);
        }
    }
}

/// How many images come one after the other at least, from each image on. What most depends on is begun first: a long chain
/// that waits for a processor makes the whole build longer.
fn chains(images: &[Prepared<'_>]) -> Vec<usize> {
    let mut chains = vec![1; images.len()];
    // Each image comes after what it needs.
    for (index, image) in images.iter().enumerate().rev() {
        for (needed, _) in image.image.tree_needs() {
            let needed = images.iter().position(|other| other.image.name == needed);
            if let Some(needed) = needed {
                chains[needed] = chains[needed].max(chains[index] + 1);
            }
        }
    }
    chains
}

/// A step that asks for a secret that is not there fails late, and with a message of the builder.
fn check_secrets(image: &TreeImage) -> Result<()> {
    for secret in &image.secrets {
        let (id, name) = (&secret.id, &image.name);
        let missing = match &secret.source {
            SecretSource::File(path) if !path.is_file() => {
                Some((format!("there is no file `{}`", path.display()), "create the file, or correct its path"))
            }
            SecretSource::Variable(variable) if std::env::var_os(variable).is_none() => {
                Some((format!("the variable `{variable}` is not set"), "set it where the build is started"))
            }
            _ => None,
        };
        if let Some((why, hint)) = missing {
            let message = format!("image `{name}`, secret `{id}`: {why}");
            return Err(Error::new(ErrorKind::ImageTree, message).with_hint(hint));
        }
    }
    Ok(())
}

/// The registries of the images from outside, each once.
fn registries(image: &TreeImage) -> Vec<String> {
    let outside = image.needs.iter().filter_map(|need| match &need.image {
        NeededImage::Outside(reference) => Some(reference.registry().to_owned()),
        NeededImage::Tree(_) => None,
    });
    outside.collect::<BTreeSet<_>>().into_iter().collect()
}
