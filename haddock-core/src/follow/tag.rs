//! A tag that was seen in a registry.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::ComponentName;
use crate::time::Timestamp;

/// A tag that was seen in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeenTag {
    /// The tag.
    pub name: String,
    /// The digest that it has now. If it has got another one, it is another tag for everything that is decided.
    pub digest: String,
    /// When its images were built, or the last of them. `None`: none of them says.
    pub built: Option<Timestamp>,
    /// The VCS commit that its image names, if it does.
    pub commit: Option<String>,
    /// By what hosts may know the image of each component that the tag names: ids and digests.
    pub images: BTreeMap<ComponentName, BTreeSet<String>>,
    /// An image of this tag that is not in the registry yet.
    pub missing: Option<String>,
}

impl SeenTag {
    /// Whether a version with these images has the same as this tag.
    #[must_use]
    pub fn is_of(&self, pins: &BTreeMap<ComponentName, String>) -> bool {
        let same =
            |(name, ids): (&ComponentName, &BTreeSet<String>)| pins.get(name).is_some_and(|pin| ids.contains(pin));
        !self.images.is_empty() && self.missing.is_none() && self.images.iter().all(same)
    }
}
