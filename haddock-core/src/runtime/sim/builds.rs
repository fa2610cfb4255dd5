//! Builds of images, and what registries have of them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::SimEngine;
use super::shelf::{Detail, SimBuild};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{BuildRequest, HostImage, ImageRemoval};
use crate::time::Timestamp;

impl SimEngine {
    /// From now on each build takes this long.
    pub fn set_build_time(&mut self, time: Duration) {
        self.shelf.build_time = time;
    }

    /// From now on each push and each pull by a builder takes this long.
    pub fn set_transfer_time(&mut self, time: Duration) {
        self.shelf.transfer_time = time;
    }

    /// From now on builds of this repository, such as `registry.local/shop/web`, fail with this error; or succeed.
    pub fn fail_builds_of(&mut self, repository: impl Into<String>, error: Option<Error>) {
        let repository = repository.into();
        match error {
            Some(error) => drop(self.shelf.failures.insert(repository, error)),
            None => drop(self.shelf.failures.remove(&repository)),
        }
    }

    /// From now on every push, every pull by a builder and every question to a registry fails with this error; or
    /// succeeds.
    pub fn fail_registries(&mut self, error: Option<Error>) {
        self.shelf.registry_fails = error;
    }

    /// From now on the engine refuses to remove this image, for this reason; or it removes it.
    pub fn refuse_removal_of(&mut self, id: impl Into<String>, because: Option<String>) {
        let id = id.into();
        match because {
            Some(because) => drop(self.shelf.needed.insert(id, because)),
            None => drop(self.shelf.needed.remove(&id)),
        }
    }

    /// The builds that were asked for, oldest first, with those that failed.
    #[must_use]
    pub fn builds(&self) -> &[SimBuild] {
        &self.shelf.builds
    }

    /// The names that were pushed, oldest first.
    #[must_use]
    pub fn pushed(&self) -> &[String] {
        &self.shelf.pushed
    }

    /// How many builds run now.
    #[must_use]
    pub fn running_builds(&self) -> usize {
        self.shelf.running
    }

    /// How many builds ran at the same time at most.
    #[must_use]
    pub fn most_running_builds(&self) -> usize {
        self.shelf.most_running
    }

    /// The names of images on the host.
    pub fn image_names(&self) -> impl Iterator<Item = &str> {
        self.images.names_on_host()
    }

    /// The digest that the registry has for this name.
    #[must_use]
    pub fn digest_in_registry(&self, image: &ImageReference) -> Option<String> {
        self.images.id(&image.to_string()).ok().map(|id| digest(&id))
    }

    /// Begins a build: what it stands on has to be there. Returns the ids of that, in the order of the `FROM` lines.
    pub(super) fn begin_build(&mut self, request: &BuildRequest, context: Vec<u8>) -> Result<Vec<String>> {
        let dockerfile = file_of(&context, &request.dockerfile).ok_or_else(|| {
            let message = format!("the context has no Dockerfile `{}`", request.dockerfile);
            Error::new(ErrorKind::ImageTree, message)
        })?;
        let bases = bases(&dockerfile, &request.args);
        self.shelf.builds.push(SimBuild { request: request.clone(), context, bases: bases.clone() });
        let ids =
            bases.iter().map(|base| ImageReference::parse(base).and_then(|it| self.fetch(&it.to_string(), false)));
        ids.collect()
    }

    /// Completes a build. The same build gives the same image, as with the cache of an engine.
    pub(super) fn complete_build(&mut self, build: &SimBuild, bases: &[String], now: Timestamp) -> Result<String> {
        let SimBuild { request, context, .. } = build;
        let failure = request.tags.iter().find_map(|tag| self.shelf.failures.get(&repository(tag)));
        if let Some(error) = failure {
            return Err(error.clone());
        }
        let (args, labels, target) = (&request.args, &request.labels, &request.target);
        let id = format!("sha256:{}", hash(&(context, bases, args, labels, target, &request.platform)));
        let detail = Detail { labels: labels.clone(), created: now, named: now, digests: BTreeSet::new() };
        self.shelf.details.entry(id.clone()).or_insert(detail);
        for tag in &request.tags {
            self.name(&id, tag, now);
        }
        self.images.know(&id);
        Ok(id)
    }

    pub(super) fn name(&mut self, id: &str, name: &ImageReference, now: Timestamp) {
        self.images.name_on_host(&name.to_string(), id);
        if let Some(detail) = self.shelf.details.get_mut(id) {
            detail.named = now;
        }
    }

    pub(super) fn host_image(&self, name: &str) -> Option<HostImage> {
        let id = self.images.on_host(name)?;
        Some(self.described(&id))
    }

    fn described(&self, id: &str) -> HostImage {
        let detail = self.shelf.details.get(id);
        let reference = |name: &str| ImageReference::parse(name).ok();
        HostImage {
            id: id.to_owned(),
            tags: self.images.names_of(id).filter_map(reference).filter(|name| name.digest().is_none()).collect(),
            digests: detail.into_iter().flat_map(|it| &it.digests).filter_map(|it| reference(it)).collect(),
            labels: detail.map(|it| it.labels.clone()).unwrap_or_default(),
            created: detail.map(|it| it.created),
            named: detail.map(|it| it.named),
            size: 0,
        }
    }

    pub(super) fn labelled(&self, label: &str) -> Vec<HostImage> {
        let has = |(_, detail): &(&String, &Detail)| detail.labels.contains_key(label);
        let found = self.shelf.details.iter().filter(has).filter(|(id, _)| self.images.is_known(id));
        found.map(|(id, _)| self.described(id)).collect()
    }

    pub(super) fn push(&mut self, image: &ImageReference) -> Result<String> {
        let name = image.to_string();
        let Some(id) = self.images.on_host(&name) else {
            return Err(Error::new(ErrorKind::ImageMissing, format!("image `{name}` is not on the host")));
        };
        let digest = digest(&id);
        let pinned = image.with_digest(&digest)?;
        for known_as in [&name, &pinned.to_string(), &by_digest(&pinned)] {
            self.images.put(&name, known_as, &id);
        }
        self.shelf.details.entry(id).or_default().digests.insert(by_digest(&pinned));
        self.shelf.pushed.push(name);
        Ok(digest)
    }

    pub(super) fn untag(&mut self, name: &str) {
        let Some(id) = self.images.on_host(name) else { return };
        let used = self.is_used(&id);
        self.images.unname(name);
        if !used && self.images.names_of(&id).next().is_none() {
            // What it is like stays known: a registry may have it.
            self.images.forget(&id);
        }
    }

    pub(super) fn remove_image(&mut self, id: &str) -> ImageRemoval {
        let needed = self.shelf.needed.get(id).cloned();
        if let Some(because) = needed.or_else(|| self.is_used(id).then(|| "a container is using it".to_owned())) {
            return ImageRemoval::Stays { because };
        }
        let names: Vec<String> = self.images.names_of(id).map(str::to_owned).collect();
        names.iter().for_each(|name| self.images.unname(name));
        self.images.forget(id);
        ImageRemoval::Removed
    }

    fn is_used(&self, id: &str) -> bool {
        self.made.values().any(|made| self.images.meant_by(&made.spec.image) == id)
    }
}

/// The name without tag and digest.
fn repository(image: &ImageReference) -> String {
    let name = image.to_string();
    let name = name.split_once('@').map_or(name.as_str(), |(name, _)| name);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name.to_owned(),
        _ => name.to_owned(),
    }
}

/// The name with its digest and without its tag.
fn by_digest(image: &ImageReference) -> String {
    format!("{}@{}", repository(image), image.digest().unwrap_or_default())
}

/// The digest that an image has in every registry.
pub(super) fn digest(id: &str) -> String {
    format!("sha256:{}", hash(&("digest", id)))
}

/// 64 hexadecimal digits.
fn hash(of: &impl Hash) -> String {
    (0_u8..4)
        .map(|part| {
            let mut hasher = DefaultHasher::new();
            (part, of).hash(&mut hasher);
            format!("{:016x}", hasher.finish())
        })
        .collect()
}

/// The text of a file in a tar archive. Names of more than 100 bytes are not found.
fn file_of(archive: &[u8], path: &str) -> Option<String> {
    let text = |field: &[u8]| {
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).trim().to_owned()
    };
    let mut rest = archive;
    while rest.len() >= 512 {
        let (header, after) = rest.split_at(512);
        let size = usize::from_str_radix(&text(&header[124..136]), 8).ok()?;
        if text(&header[..100]).trim_start_matches("./") == path {
            return Some(String::from_utf8_lossy(after.get(..size)?).into_owned());
        }
        rest = after.get(size.div_ceil(512) * 512..)?;
    }
    None
}

/// The images that a Dockerfile begins with, with the values of arguments in their names.
fn bases(dockerfile: &str, args: &BTreeMap<String, String>) -> Vec<String> {
    let mut values = BTreeMap::new();
    let (mut stages, mut found) = (BTreeSet::new(), Vec::new());
    for line in dockerfile.lines() {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        match words.as_slice() {
            [word, arg, ..] if word.eq_ignore_ascii_case("ARG") => {
                let (name, default) = arg.split_once('=').unwrap_or((arg, ""));
                values.insert(name, args.get(name).map_or(default, String::as_str));
            }
            [word, image, rest @ ..] if word.eq_ignore_ascii_case("FROM") => {
                let image = values.iter().fold((*image).to_owned(), |image, (name, value)| {
                    image.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
                });
                if image != "scratch" && !stages.contains(&image) && !found.contains(&image) {
                    found.push(image);
                }
                if let [_, stage] = rest {
                    stages.insert((*stage).to_owned());
                }
            }
            _ => {}
        }
    }
    found
}
