//! What containers are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// How containers of an image behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimImage {
    /// The time from its start until it answers; `None`: it never answers.
    pub boot: Option<Duration>,
    /// How long after its start it ends, and with which code; `None`: it runs until it is stopped.
    pub end: Option<(Duration, i64)>,
}

impl SimImage {
    /// It answers after `boot` and runs until it is stopped.
    #[must_use]
    pub const fn good(boot: Duration) -> Self {
        Self { boot: Some(boot), end: None }
    }

    /// It runs and never answers.
    #[must_use]
    pub const fn never_ready() -> Self {
        Self { boot: None, end: None }
    }

    /// It ends with `code` this long after its start. If `boot` is shorter, it answers from then on.
    #[must_use]
    pub const fn ending(boot: Duration, after: Duration, code: i64) -> Self {
        Self { boot: Some(boot), end: Some((after, code)) }
    }
}

/// A registry, and the images of it that are on the host.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    registry: BTreeMap<String, SimImage>,
    others: Option<SimImage>,
    /// The ids of images whose name has come to mean another image.
    ids: BTreeMap<String, String>,
    /// The names of those ids.
    names: BTreeMap<String, String>,
    /// The ids that names have on the host.
    local: BTreeMap<String, String>,
    volumes: BTreeMap<String, Vec<String>>,
    output: BTreeMap<String, Vec<String>>,
    stubborn: BTreeSet<String>,
    /// The ids of images on the host that were built there.
    built: BTreeSet<String>,
}

impl Images {
    pub(super) fn add(&mut self, name: String, image: SimImage) {
        self.registry.insert(name, image);
    }

    pub(super) fn set_others(&mut self, image: Option<SimImage>) {
        self.others = image;
    }

    pub(super) fn push(&mut self, name: &str, version: &str) {
        let id = format!("{name}@{version}");
        self.names.insert(id.clone(), name.to_owned());
        self.ids.insert(name.to_owned(), id);
    }

    pub(super) fn set_volumes(&mut self, name: String, paths: Vec<String>) {
        self.volumes.insert(name, paths);
    }

    pub(super) fn set_output(&mut self, name: String, lines: Vec<String>) {
        self.output.insert(name, lines);
    }

    pub(super) fn set_stubborn(&mut self, name: String) {
        self.stubborn.insert(name);
    }

    /// What it writes as soon as it is started.
    pub(super) fn output(&self, image: &str) -> &[String] {
        self.output.get(self.name(image)).map_or(&[], Vec::as_slice)
    }

    /// Whether it runs on when it is asked to stop, and has to be killed.
    pub(super) fn is_stubborn(&self, image: &str) -> bool {
        self.stubborn.contains(self.name(image))
    }

    /// The behaviour of that name, or of that id.
    pub(super) fn behaviour(&self, image: &str) -> Result<SimImage> {
        let built = self.built.contains(image).then_some(SimImage::good(Duration::ZERO));
        let found = self.registry.get(self.name(image)).copied().or(self.others).or(built);
        found.ok_or_else(|| Error::new(ErrorKind::ImageMissing, format!("image `{image}` is not in the registry")))
    }

    pub(super) fn volumes(&self, image: &str) -> &[String] {
        self.volumes.get(self.name(image)).map_or(&[], Vec::as_slice)
    }

    /// The id that the name has in the registry.
    pub(super) fn id(&self, name: &str) -> Result<String> {
        self.behaviour(name).map(|_| self.ids.get(name).cloned().unwrap_or_else(|| name.to_owned()))
    }

    /// The id that the name has on the host. The registry is asked first if the host has none, or if this is wanted.
    pub(super) fn fetch(&mut self, name: &str, refresh: bool) -> Result<String> {
        match self.local.get(name).filter(|_| !refresh) {
            Some(id) => Ok(id.clone()),
            None => {
                let id = self.id(name)?;
                self.local.insert(name.to_owned(), id.clone());
                Ok(id)
            }
        }
    }

    /// Gives an image on the host one more name. It behaves as images of that name do in the registry.
    pub(super) fn name_on_host(&mut self, name: &str, id: &str) {
        self.local.insert(name.to_owned(), id.to_owned());
        self.names.entry(id.to_owned()).or_insert_with(|| name.to_owned());
    }

    /// Takes a name on the host away.
    pub(super) fn unname(&mut self, name: &str) {
        self.local.remove(name);
    }

    /// The id that a name has on the host.
    pub(super) fn on_host(&self, name: &str) -> Option<String> {
        self.local.get(name).cloned()
    }

    pub(super) fn names_on_host(&self) -> impl Iterator<Item = &str> {
        self.local.keys().map(String::as_str)
    }

    /// The names on the host of an image.
    pub(super) fn names_of(&self, id: &str) -> impl Iterator<Item = &str> {
        self.local.iter().filter(move |(_, of)| *of == id).map(|(name, _)| name.as_str())
    }

    /// The id of an image by its name on the host, or by its id.
    pub(super) fn meant_by(&self, image: &str) -> String {
        self.on_host(image).unwrap_or_else(|| image.to_owned())
    }

    /// An image was built.
    pub(super) fn know(&mut self, id: &str) {
        self.built.insert(id.to_owned());
    }

    /// An image is gone from the host.
    pub(super) fn forget(&mut self, id: &str) {
        self.built.remove(id);
    }

    /// Whether the host has an image of this id.
    pub(super) fn is_known(&self, id: &str) -> bool {
        self.built.contains(id) || self.names_of(id).next().is_some()
    }

    /// Puts an image of the host into the registry under this name. It behaves as images of the name `like` do.
    pub(super) fn put(&mut self, like: &str, name: &str, id: &str) {
        let behaviour = self.behaviour(like).unwrap_or(SimImage::good(Duration::ZERO));
        self.registry.insert(name.to_owned(), behaviour);
        self.ids.insert(name.to_owned(), id.to_owned());
        self.names.entry(id.to_owned()).or_insert_with(|| name.to_owned());
    }

    /// The id that the registry has for this very name.
    pub(super) fn of_registry(&self, name: &str) -> Option<String> {
        let known = self.registry.contains_key(name);
        known.then(|| self.ids.get(name).cloned().unwrap_or_else(|| name.to_owned()))
    }

    pub(super) fn names_in_registry(&self) -> impl Iterator<Item = &str> {
        self.registry.keys().map(String::as_str)
    }

    /// The registry loses a name.
    pub(super) fn delete(&mut self, name: &str) {
        self.registry.remove(name);
        self.ids.remove(name);
    }

    fn name<'s>(&'s self, image: &'s str) -> &'s str {
        self.names.get(image).map_or(image, String::as_str)
    }
}
