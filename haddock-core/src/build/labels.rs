//! The labels of images that were built here.
//!
//! Those that begin with `org.opencontainers` are the annotations of the OCI image specification.

use std::collections::BTreeMap;

use crate::image::Revision;
use crate::image::tree::TreeImage;

/// The digest of all that the image was built from.
pub const INPUTS: &str = "haddock.image.inputs";
/// The image's name in its tree.
pub const NAME: &str = "haddock.image.name";
/// The inputs of the image of the tree that it stands on.
pub const BASE_INPUTS: &str = "haddock.image.base-inputs";

/// Those that nobody else sets: they decide what is built and what is removed.
const OURS: [&str; 3] = [INPUTS, NAME, BASE_INPUTS];

const VERSION: &str = "org.opencontainers.image.version";
const REVISION: &str = "org.opencontainers.image.revision";
const SOURCE: &str = "org.opencontainers.image.source";
pub(super) const CREATED: &str = "org.opencontainers.image.created";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// What an image stands on.
#[derive(Default)]
pub(super) struct Base {
    pub(super) name: Option<String>,
    /// Its digest in a registry, if it has one.
    pub(super) digest: Option<String>,
    /// If it is of the same tree: its inputs.
    pub(super) inputs: Option<String>,
}

pub(super) fn of(
    image: &TreeImage,
    inputs: &str,
    tag: &str,
    revision: Option<&Revision>,
    base: Base,
) -> BTreeMap<String, String> {
    let committed = revision.and_then(|it| it.committed);
    let commit = revision.map(|it| if it.dirty { format!("{}-dirty", it.commit) } else { it.commit.clone() });
    let ours = [
        (INPUTS, Some(inputs.to_owned())),
        (NAME, Some(image.name.clone())),
        (BASE_INPUTS, base.inputs),
        (VERSION, Some(tag.to_owned())),
        (REVISION, commit),
        (SOURCE, revision.and_then(|it| it.source.clone())),
        // The time of the commit, so that the same tree gives the same image at any time.
        (CREATED, committed.map(|time| time.to_string())),
        (BASE_NAME, base.name),
        (BASE_DIGEST, base.digest),
    ];
    // What is not known is empty, because otherwise the label of the image below would count.
    let is_on_another = image.base.is_some();
    let ours = ours.into_iter().filter(|(_, value)| is_on_another || value.is_some());
    let mut labels: BTreeMap<String, String> =
        ours.map(|(name, value)| (name.to_owned(), value.unwrap_or_default())).collect();
    let given = image.labels.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
    labels.extend(given.map(|(name, value)| (name.clone(), value.clone())));
    labels
}
