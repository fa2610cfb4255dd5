//! What containers are made from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

/// How containers of an image behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimImage {
    /// From its start until it answers; `None`: it never does.
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

    /// It ends with `code` that long after its start, having answered from `boot` on if that comes first.
    #[must_use]
    pub const fn ending(boot: Duration, after: Duration, code: i64) -> Self {
        Self { boot: Some(boot), end: Some((after, code)) }
    }
}

/// A registry, and what of it is on the host.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    registry: BTreeMap<String, SimImage>,
    others: Option<SimImage>,
    /// The ids of images whose name means another image than at first.
    ids: BTreeMap<String, String>,
    /// The names of those ids.
    names: BTreeMap<String, String>,
    /// What the host takes a name for.
    local: BTreeMap<String, String>,
    volumes: BTreeMap<String, Vec<String>>,
    output: BTreeMap<String, Vec<String>>,
    stubborn: BTreeSet<String>,
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
        let found = self.registry.get(self.name(image)).copied().or(self.others);
        found.ok_or_else(|| Error::new(ErrorKind::ImageMissing, format!("image `{image}` is not in the registry")))
    }

    pub(super) fn volumes(&self, image: &str) -> &[String] {
        self.volumes.get(self.name(image)).map_or(&[], Vec::as_slice)
    }

    /// What the registry has under that name.
    pub(super) fn id(&self, name: &str) -> Result<String> {
        self.behaviour(name).map(|_| self.ids.get(name).cloned().unwrap_or_else(|| name.to_owned()))
    }

    /// What the host has under that name, after it has asked the registry if it has nothing, or is told to.
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

    fn name<'s>(&'s self, image: &'s str) -> &'s str {
        self.names.get(image).map_or(image, String::as_str)
    }
}
