//! What a registry has, asked for no more than may be new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

use super::tag::SeenTag;
use super::watch::Watch;
use crate::environment::TagPattern;
use crate::error::Result;
use crate::image::ImageReference;
use crate::name::ComponentName;
use crate::runtime::{ImageRegistry, RegistryImage};
use crate::time::Timestamp;

/// How many questions a registry is asked at the same time.
const QUESTIONS: usize = 8;
/// Tags may be moved to another image. Each look asks again for so many of the newest ones, and for so many of the others in
/// turn.
const ASKED_AGAIN: usize = 50;
/// Builds that can be repeated to the byte date their images at the epoch, or at 1980, which is the first year of the zip
/// format. So an earlier time says nothing.
const FIRST_TIME: Timestamp = Timestamp::from_millis(315_619_200_000);
const CREATED: &str = "org.opencontainers.image.created";
const REVISION: &str = "org.opencontainers.image.revision";

/// What is known of a registry.
#[derive(Debug)]
pub(super) struct Shelf {
    registry: Arc<dyn ImageRegistry>,
    /// The digest that each tag had when it was asked for last.
    digests: BTreeMap<ImageReference, String>,
    /// Images by digest. They never change.
    images: BTreeMap<ImageReference, Known>,
    /// The tags of the last look, the newest first.
    order: Vec<String>,
    /// Which of the older tags are asked for again next.
    turn: usize,
}

#[derive(Debug, Clone)]
struct Known {
    ids: BTreeSet<String>,
    built: Option<Timestamp>,
    commit: Option<String>,
}

impl Shelf {
    pub(super) fn new(registry: Arc<dyn ImageRegistry>) -> Self {
        let (digests, images) = (BTreeMap::new(), BTreeMap::new());
        Self { registry, digests, images, order: Vec::new(), turn: 0 }
    }

    /// The tags that are meant, with their images.
    pub(super) async fn look(&mut self, watch: &Watch, pattern: &TagPattern) -> Result<Vec<SeenTag>> {
        let listed = self.registry.list_tags(&watch.repository).await?;
        let meant = listed.into_iter().filter(|tag| pattern.matches(tag));
        let tags: Vec<(String, String)> =
            meant.filter_map(|tag| watch.value(&tag).map(str::to_owned).map(|value| (tag, value))).collect();
        let wanted: Vec<(String, Vec<(ComponentName, ImageReference)>)> =
            tags.into_iter().map(|(tag, value)| Ok((tag, watch.images(&value)?))).collect::<Result<_>>()?;
        self.ask_digests(&watch.repository, &wanted).await?;
        self.ask_images().await?;
        let mut seen = Vec::new();
        for (tag, images) in wanted {
            let own = watch.repository.with_tag(&tag)?;
            // It may have been deleted meanwhile.
            let Some(digest) = self.digests.get(&own).cloned() else { continue };
            let mut one = SeenTag { name: tag, digest, ..SeenTag::default() };
            for (component, image) in images {
                let known = self.digests.get(&image).and_then(|digest| self.images.get(&image.at_digest(digest).ok()?));
                match known {
                    Some(known) => {
                        one.built = one.built.max(known.built);
                        one.commit = one.commit.or_else(|| known.commit.clone());
                        one.images.insert(component, known.ids.clone());
                    }
                    None => one.missing = Some(image.to_string()),
                }
            }
            seen.push(one);
        }
        let mut order: Vec<&SeenTag> = seen.iter().collect();
        order.sort_by_key(|tag| std::cmp::Reverse(tag.built));
        self.order = order.into_iter().map(|tag| tag.name.clone()).collect();
        Ok(seen)
    }

    /// Asks which digests tags have: those that are new, the newest, and some of the others.
    async fn ask_digests(
        &mut self,
        repository: &ImageReference,
        wanted: &[(String, Vec<(ComponentName, ImageReference)>)],
    ) -> Result<()> {
        let begin =
            ASKED_AGAIN + if self.order.len() > ASKED_AGAIN { self.turn % (self.order.len() - ASKED_AGAIN) } else { 0 };
        let newest = self.order.iter().take(ASKED_AGAIN);
        let again: BTreeSet<&String> = newest.chain(self.order.iter().skip(begin).take(ASKED_AGAIN)).collect();
        let mut asked: BTreeSet<ImageReference> = BTreeSet::new();
        let mut all: BTreeSet<ImageReference> = BTreeSet::new();
        for (tag, images) in wanted {
            for image in images.iter().map(|(_, image)| image.clone()).chain([repository.with_tag(tag)?]) {
                if again.contains(tag) || !self.digests.contains_key(&image) {
                    asked.insert(image.clone());
                }
                all.insert(image);
            }
        }
        let registry = &self.registry;
        let questions: Vec<_> = asked
            .into_iter()
            .map(|image| async move { registry.digest_of_tag(&image).await.map(|digest| (image, digest)) }.boxed())
            .collect();
        let answers: Vec<_> = stream::iter(questions).buffered(QUESTIONS).try_collect().await?;
        for (image, digest) in answers {
            match digest {
                Some(digest) => drop(self.digests.insert(image, digest)),
                None => drop(self.digests.remove(&image)),
            }
        }
        self.digests.retain(|image, _| all.contains(image));
        self.turn = begin;
        Ok(())
    }

    /// Asks what the images are that are not known yet.
    async fn ask_images(&mut self) -> Result<()> {
        let mut all = BTreeSet::new();
        for (image, digest) in &self.digests {
            all.insert(image.at_digest(digest)?);
        }
        self.images.retain(|image, _| all.contains(image));
        let registry = &self.registry;
        let questions: Vec<_> = all
            .into_iter()
            .filter(|image| !self.images.contains_key(image))
            .map(|image| async move { registry.describe_image(&image).await.map(|found| (image, found)) }.boxed())
            .collect();
        let answers: Vec<_> = stream::iter(questions).buffered(QUESTIONS).try_collect().await?;
        self.images.extend(answers.into_iter().filter_map(|(image, found)| Some((image, Known::of(found?)))));
        Ok(())
    }
}

impl Known {
    fn of(image: RegistryImage) -> Self {
        let labelled = || {
            let millis = image.labels.get(CREATED)?.parse::<jiff::Timestamp>().ok()?.as_millisecond();
            u64::try_from(millis).ok().map(Timestamp::from_millis)
        };
        let says = |at: &Timestamp| *at >= FIRST_TIME;
        let built = image.created.filter(says).or_else(|| labelled().filter(says));
        Self { built, commit: image.labels.get(REVISION).cloned(), ids: image.ids }
    }
}
