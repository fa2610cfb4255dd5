//! Which images of the tree a Dockerfile means.

use std::collections::BTreeMap;

use super::image::{Need, NeededImage, TreeImage};
use super::near::nearest;
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::image::dockerfile::ImageUse;

/// Fills in what each image needs.
pub(super) fn fill(images: &mut [TreeImage], prefix: Option<&str>) -> Result<()> {
    let names: BTreeMap<String, ImageReference> =
        images.iter().map(|image| (image.name.clone(), image.repository.clone())).collect();
    for image in images {
        let args = image.values_of_args();
        let target = image.target.as_deref();
        image.base = image.head.base(&args, target)?.map(|used| used.image);
        let uses = image.head.uses(&args, target)?;
        let needs = uses.into_iter().map(|used| Ok(Need { image: meant(&used, &image.name, &names, prefix)?, used }));
        image.needs = needs.collect::<Result<_>>()?;
    }
    Ok(())
}

fn meant(
    used: &ImageUse,
    own: &str,
    names: &BTreeMap<String, ImageReference>,
    prefix: Option<&str>,
) -> Result<NeededImage> {
    let image = ImageReference::parse(&used.image)?;
    // Another tag, or a digest, means one from a registry.
    if image.digest().is_some() || image.tag() != Some("latest") {
        return Ok(NeededImage::Outside(image));
    }
    let short = used.image.strip_suffix(":latest").unwrap_or(&used.image);
    if short != own && names.contains_key(short) {
        return Ok(NeededImage::Tree(short.to_owned()));
    }
    let same = names.iter().find(|(_, repository)| repository.has_repository_of(&image));
    if let Some((name, _)) = same {
        return Ok(NeededImage::Tree(name.clone()));
    }
    // The registry may have images under the prefix that are not of this tree. One that is nearly the name of one of the
    // tree is a mistake.
    let rest = prefix.and_then(|prefix| short.strip_prefix(prefix)?.strip_prefix('/'));
    if let (Some(prefix), Some(rest)) = (prefix, rest) {
        let start = ImageReference::parse(&format!("{prefix}/x"))?.canonical_repository();
        let start = start.strip_suffix('x').unwrap_or(&start);
        let known: Vec<String> = names
            .values()
            .filter_map(|kept| Some(kept.canonical_repository().strip_prefix(start)?.to_owned()))
            .collect();
        if let Some(near) = nearest(rest, known.iter().map(String::as_str)) {
            return Err(Error::new(ErrorKind::ImageTree, format!("the tree has no image `{short}`"))
                .with_hint(format!(
                    "did you mean `{prefix}/{near}`? Give it a tag or a digest if it is not of this tree"
                ))
                .at(used.place.clone()));
        }
    }
    Ok(NeededImage::Outside(image))
}
