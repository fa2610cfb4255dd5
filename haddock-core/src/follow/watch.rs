//! Which images of the compose file a tag names.

use crate::environment::{EnvironmentSpec, FollowSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::name::ComponentName;

/// Stands for a tag while none is known. It is found again in the images that the tag names.
pub(super) const PLACEHOLDER: &str = "haddock.follow";

/// The images of a compose file that a tag names.
#[derive(Debug)]
pub(super) struct Watch {
    /// The repository whose tags are meant.
    pub(super) repository: ImageReference,
    /// What stands before and after the value of `TAG` in a tag of that repository.
    around: (String, String),
    /// The components that a tag names, with their images at the placeholder.
    parts: Vec<(ComponentName, ImageReference)>,
    /// The entry, if the file does not name its image by `TAG`: the tag is given to it.
    given: Option<ComponentName>,
}

impl Watch {
    /// What is to be watched. The specification was resolved with the placeholder as the tag.
    pub(super) fn of(spec: &EnvironmentSpec, follow: &FollowSettings) -> Result<Self> {
        let entry = &spec.service()?.entry.component;
        let spec = spec.in_production()?;
        let own =
            spec.versioned().into_iter().filter_map(|name| Some((name.clone(), &spec.components.get(&name)?.image)));
        let is_named = |image: &ImageReference| image.tag().is_some_and(|tag| tag.contains(PLACEHOLDER));
        let mut parts: Vec<(ComponentName, ImageReference)> =
            own.filter(|(_, image)| is_named(image)).map(|(name, image)| (name, image.clone())).collect();
        let entry_image = spec.components.get(entry).map(|component| component.image.clone());
        let repository = follow.image.clone().or(entry_image.clone());
        let repository = repository.ok_or_else(|| nothing(entry))?;
        let named_entry = parts.iter().any(|(name, _)| name == entry);
        let given = entry_image.filter(|image| !named_entry && image.has_repository_of(&repository));
        let given = given.map(|image| (entry.clone(), image.with_tag(PLACEHOLDER)));
        if let Some((name, image)) = given.clone() {
            parts.push((name, image?));
        }
        if parts.is_empty() {
            return Err(nothing(entry));
        }
        let of_repository = parts.iter().find(|(_, image)| image.has_repository_of(&repository));
        let tag = of_repository.and_then(|(_, image)| image.tag()).unwrap_or(PLACEHOLDER);
        let (before, after) = tag.split_once(PLACEHOLDER).unwrap_or_default();
        let around = (before.to_owned(), after.to_owned());
        Ok(Self { repository, around, parts, given: given.map(|(name, _)| name) })
    }

    /// The value of `TAG` that this tag of the repository stands for; `None`: the file has no place for it.
    pub(super) fn value<'t>(&self, tag: &'t str) -> Option<&'t str> {
        let (before, after) = &self.around;
        tag.strip_prefix(before.as_str())?.strip_suffix(after.as_str()).filter(|value| !value.is_empty())
    }

    /// The images at this value of `TAG`.
    pub(super) fn images(&self, value: &str) -> Result<Vec<(ComponentName, ImageReference)>> {
        let at = |(name, image): &(ComponentName, ImageReference)| {
            let tag = image.tag().unwrap_or_default().replace(PLACEHOLDER, value);
            Ok((name.clone(), image.with_tag(&tag)?))
        };
        self.parts.iter().map(at).collect()
    }

    /// The component that the tag has to be given to, if the file does not do so.
    pub(super) fn given(&self) -> Option<&ComponentName> {
        self.given.as_ref()
    }
}

fn nothing(entry: &ComponentName) -> Error {
    let message =
        format!("no image of the file is named by `${{TAG}}`, and `x-haddock.follow.image` is not that of `{entry}`");
    Error::new(ErrorKind::NotSupported, message).with_hint("name the image by `${TAG}`, or remove `image`")
}
