//! What an image is made of, and what of it has changed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::context::{Change, ContextDigest};
use super::labels;
use crate::image::tree::TreeImage;
use crate::runtime::HostImage;

/// Changes when the same inputs would give another image than before.
const LAYOUT: u32 = 1;
/// What tags of inputs begin with.
pub(super) const INPUTS_TAG: &str = "inputs-";
/// How many digits of the digest are in a tag: 128 bits.
const TAG_DIGITS: usize = 32;
/// How many changes a reason names.
const NAMED_CHANGES: usize = 3;

/// All that an image is made of. Equal inputs make equal images, as far as its steps allow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Inputs {
    layout: u32,
    /// The Dockerfile, as messages show it, and the hash of its text.
    dockerfile: (String, String),
    /// The folder of the context, as messages show it.
    folder: String,
    context: ContextDigest,
    /// The hashes of arguments, because their values may be secret, and of all other settings.
    settings: BTreeMap<String, String>,
    /// What stands for each image that it needs: the inputs of one of the tree, the digest of another one.
    needs: BTreeMap<String, String>,
}

impl Inputs {
    /// `host` is the platform of images that name none.
    pub(super) fn of(image: &TreeImage, context: ContextDigest, needs: BTreeMap<String, String>, host: &str) -> Self {
        let mut settings = BTreeMap::new();
        for (name, value) in &image.args {
            settings.insert(format!("argument `{name}`"), hash(value.as_bytes()));
        }
        for (name, value) in &image.labels {
            settings.insert(format!("label `{name}`"), hash(value.as_bytes()));
        }
        for (name, value) in
            [("`extra_hosts`", image.extra_hosts.join(" ")), ("`network`", image.network.clone().unwrap_or_default())]
        {
            settings.extend((!value.is_empty()).then(|| (name.to_owned(), value)));
        }
        settings.extend(image.target.as_ref().map(|target| ("`target`".to_owned(), target.clone())));
        let platform = image.platform.as_deref().unwrap_or(host);
        settings.insert("the platform".to_owned(), platform.to_owned());
        let dockerfile = (image.path.display().to_string(), hash(image.head.text().as_bytes()));
        let beside = image.dockerfile.as_ref().is_some_and(|file| file.parent() == Some(&image.context));
        let folder = if beside { image.path.parent().unwrap_or(Path::new("")) } else { &image.context };
        Self { layout: LAYOUT, dockerfile, folder: folder.display().to_string(), context, settings, needs }
    }

    /// One digest for all of them. Where the Dockerfile is does not count.
    pub(super) fn digest(&self) -> String {
        let parts = (self.layout, &self.dockerfile.1, &self.context.digest, &self.settings, &self.needs);
        hash(&serde_json::to_vec(&parts).expect("texts are JSON"))
    }

    /// What stood for an image that it needed.
    pub(super) fn need(&self, name: &str) -> Option<&String> {
        self.needs.get(name)
    }

    /// What differs from an earlier build, for people. Nothing: the inputs are the same.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let dockerfile = &self.dockerfile.0;
        if self.dockerfile.1 != before.dockerfile.1 {
            changes.push(format!("`{dockerfile}` has changed"));
        }
        // The Dockerfile is often in its own context. It is named once.
        let files = self.context.changes(&before.context).into_iter().map(|change| self.placed(change));
        changes.extend(files.filter(|change| path_of(change) != dockerfile).map(|change| change.to_string()));
        changes.extend(differences(&self.settings, &before.settings).map(|it| format!("{it} has changed")));
        changes.extend(differences(&self.needs, &before.needs).map(|it| format!("`{it}` has changed")));
        changes
    }

    /// The change with the whole path, as people know it.
    fn placed(&self, change: Change) -> Change {
        let whole = |path: String| Path::new(&self.folder).join(path).display().to_string();
        match change {
            Change::Added(path) => Change::Added(whole(path)),
            Change::Changed(path) => Change::Changed(whole(path)),
            Change::Removed(path) => Change::Removed(whole(path)),
        }
    }
}

fn path_of(change: &Change) -> &str {
    match change {
        Change::Added(path) | Change::Changed(path) | Change::Removed(path) => path,
    }
}

/// The keys whose values differ, or that only one has.
fn differences<'a>(
    now: &'a BTreeMap<String, String>,
    before: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = &'a String> {
    let changed = now.iter().filter(|(key, value)| before.get(*key) != Some(value)).map(|(key, _)| key);
    changed.chain(before.keys().filter(|key| !now.contains_key(*key)))
}

/// The first changes, and how many more there are.
pub(super) fn in_words(changes: &[String]) -> String {
    let named = changes.iter().take(NAMED_CHANGES).cloned().collect::<Vec<_>>().join(", ");
    match changes.len().saturating_sub(NAMED_CHANGES) {
        0 => named,
        more => format!("{named}, and {more} more"),
    }
}

/// The tag that finds an image by its inputs.
pub(super) fn tag_of(digest: &str) -> String {
    format!("{INPUTS_TAG}{}", &digest[..TAG_DIGITS])
}

/// The tag of inputs that an image with these labels has, if it was built here. An image that only stands on one of ours has
/// its labels, but not this tag: labels are inherited, tags are not.
pub(super) fn own_tag(labels: &BTreeMap<String, String>) -> Option<String> {
    labels.get(labels::INPUTS).filter(|digest| is_digest(digest)).map(|digest| tag_of(digest))
}

/// Whether an image was built here.
pub(super) fn is_built_here(image: &HostImage) -> bool {
    own_tag(&image.labels).is_some_and(|own| image.tags.iter().any(|tag| tag.tag() == Some(own.as_str())))
}

/// A label of an image that others have built may hold anything.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
