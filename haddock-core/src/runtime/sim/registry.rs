//! The simulated engine's registry.

use async_trait::async_trait;

use super::{SimEngine, SimRuntime};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::runtime::{ImageRegistry, RegistryImage};
use crate::time::Timestamp;

impl SimEngine {
    /// From now on registries refuse to delete images; or they do it.
    pub fn forbid_deletes(&mut self, forbidden: bool) {
        self.shelf.deletes_forbidden = forbidden;
    }

    /// When the image was built that the registry has under this name.
    pub fn date_image(&mut self, name: &str, built: Timestamp) {
        if let Some(id) = self.images.of_registry(name) {
            self.shelf.details.entry(id).or_default().created = built;
        }
    }

    fn registry_answers(&self) -> Result<()> {
        self.shelf.registry_fails.clone().map_or(Ok(()), Err)
    }

    fn described_in_registry(&self, image: &ImageReference) -> Option<RegistryImage> {
        let of = |name: &str| self.images.of_registry(name).map(|id| (id.clone(), super::builds::digest(&id)));
        let by_digest = || {
            let wanted = image.digest()?;
            let same = |name: &&str| ImageReference::parse(name).is_ok_and(|name| name.has_repository_of(image));
            let mut found = self.images.names_in_registry().filter(same).filter_map(of);
            found.find(|(_, digest)| digest == wanted)
        };
        let (id, digest) = of(&image.to_string()).or_else(by_digest)?;
        let detail = self.shelf.details.get(&id);
        Some(RegistryImage {
            ids: [id, digest.clone()].into(),
            digest,
            labels: detail.map(|it| it.labels.clone()).unwrap_or_default(),
            created: detail.map(|it| it.created),
            ..RegistryImage::default()
        })
    }
}

#[async_trait]
impl ImageRegistry for SimRuntime {
    async fn list_tags(&self, repository: &ImageReference) -> Result<Vec<String>> {
        self.call(|engine, _| {
            engine.registry_answers()?;
            let names = engine.images.names_in_registry().filter_map(|name| ImageReference::parse(name).ok());
            let ours = names.filter(|name| name.has_repository_of(repository) && name.digest().is_none());
            Ok(ours.filter_map(|name| name.tag().map(str::to_owned)).collect())
        })
    }

    async fn digest_of_tag(&self, image: &ImageReference) -> Result<Option<String>> {
        self.call(|engine, _| {
            engine.registry_answers()?;
            Ok(engine.described_in_registry(image).map(|described| described.digest))
        })
    }

    async fn describe_image(&self, image: &ImageReference) -> Result<Option<RegistryImage>> {
        self.call(|engine, _| {
            engine.registry_answers()?;
            Ok(engine.described_in_registry(image))
        })
    }

    async fn delete_image(&self, image: &ImageReference) -> Result<()> {
        self.call(|engine, _| {
            engine.registry_answers()?;
            if engine.shelf.deletes_forbidden || image.digest().is_none() {
                let message = format!("registry `{}` does not allow that images are deleted", image.registry());
                return Err(Error::new(ErrorKind::NotSupported, message));
            }
            let names: Vec<String> = engine.images.names_in_registry().map(str::to_owned).collect();
            for name in names {
                let of_it = |it: &ImageReference| {
                    let described = engine.described_in_registry(it);
                    it.has_repository_of(image)
                        && described.is_some_and(|it| Some(it.digest.as_str()) == image.digest())
                };
                if ImageReference::parse(&name).is_ok_and(|name| of_it(&name)) {
                    engine.images.delete(&name);
                }
            }
            Ok(())
        })
    }
}
