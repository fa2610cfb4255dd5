//! The order in which images can be built.

use std::collections::{BTreeMap, BTreeSet};

use super::image::TreeImage;
use crate::error::{Error, ErrorKind, Result};

/// The images, each after those that it needs, within that by name.
pub(super) fn in_order(images: Vec<TreeImage>) -> Result<Vec<TreeImage>> {
    let mut left: BTreeMap<String, TreeImage> = images.into_iter().map(|image| (image.name.clone(), image)).collect();
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let is_free = |image: &TreeImage| !image.tree_needs().any(|(name, _)| left.contains_key(name));
        let Some(next) = left.values().find(|image| is_free(image)).map(|image| image.name.clone()) else {
            return Err(circle(&left));
        };
        ordered.extend(left.remove(&next));
    }
    Ok(ordered)
}

/// Each of these needs another one of them.
fn circle(left: &BTreeMap<String, TreeImage>) -> Error {
    let next = |name: &str| left[name].tree_needs().find(|(needed, _)| left.contains_key(*needed));
    let mut path: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut at = left.keys().next().map_or("", String::as_str);
    while seen.insert(at) {
        path.push(at);
        at = next(at).map_or(at, |(needed, _)| needed);
    }
    // What leads to the circle does not belong to it. It is told from its first name on.
    let mut path = path.split_off(path.iter().position(|name| *name == at).unwrap_or(0));
    let first = path.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(first, _)| first);
    path.rotate_left(first);
    let steps: Vec<String> = path
        .iter()
        .filter_map(|name| next(name).map(|(needed, used)| (name, needed, &used.place)))
        .map(|(name, needed, place)| format!("`{name}` needs `{needed}` ({}:{})", place.file, place.line))
        .collect();
    let message = match path.len() {
        1 => format!("an image needs itself: {}", steps.join(", ")),
        _ => format!("images need each other in a circle: {}", steps.join(", ")),
    };
    let hint = match path.len() {
        1 => "name another image, or another tag or a digest if one from a registry is meant",
        _ => "let one of them stand on another image",
    };
    let error = Error::new(ErrorKind::ImageTree, message).with_hint(hint);
    match path.first().and_then(|name| next(name)) {
        Some((_, used)) => error.at(used.place.clone()),
        None => error,
    }
}
