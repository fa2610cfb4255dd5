//! Which components a release brings with it, and which run once per service.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::name::ComponentName;

/// Why a component is versioned or shared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Versioned: the text of its image mentions this variable, which the release sets.
    ImageMentions(String),
    /// Versioned: the release names its image.
    ImageGiven,
    /// Versioned: it runs before a version is launched, as `x-haddock.release.before` says.
    Before,
    /// Versioned: it links to this versioned component.
    LinksTo(ComponentName),
    /// Shared: `x-haddock.shared` lists it.
    Listed,
    /// Shared: nothing makes it versioned.
    Nothing,
}

impl Reason {
    /// Whether a release brings its own copy of the component.
    #[must_use]
    pub fn is_versioned(&self) -> bool {
        !matches!(self, Self::Listed | Self::Nothing)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageMentions(variable) => write!(f, "versioned: its image mentions `${{{variable}}}`"),
            Self::ImageGiven => f.write_str("versioned: the release names its image"),
            Self::Before => f.write_str("versioned: it runs before a version is launched"),
            Self::LinksTo(component) => write!(f, "versioned: it links to `{component}`, which is versioned"),
            Self::Listed => f.write_str("shared: `x-haddock.shared` lists it"),
            Self::Nothing => {
                f.write_str("shared: its image is the same in every release, and so are those it links to")
            }
        }
    }
}

/// What decides whether a component is versioned.
pub(super) struct Facts<'f> {
    /// The first variable of the release that its image mentions.
    pub(super) mentions: Option<&'f str>,
    pub(super) image_given: bool,
    pub(super) links: Vec<&'f ComponentName>,
    pub(super) listed: bool,
    pub(super) before: bool,
}

/// Decides for each component whether it is versioned. One that is listed as shared stays shared, whatever it links to.
pub(super) fn classify(facts: &BTreeMap<&ComponentName, Facts<'_>>) -> BTreeMap<ComponentName, Reason> {
    let mut reasons: BTreeMap<&ComponentName, Reason> = BTreeMap::new();
    for (name, facts) in facts {
        let reason = match facts {
            Facts { listed: true, .. } => Reason::Listed,
            Facts { image_given: true, .. } => Reason::ImageGiven,
            Facts { mentions: Some(variable), .. } => Reason::ImageMentions((*variable).to_owned()),
            Facts { before: true, .. } => Reason::Before,
            _ => continue,
        };
        reasons.insert(name, reason);
    }
    // Follow the links backwards: what links to a versioned component is versioned, too.
    let mut linked_by: BTreeMap<&ComponentName, Vec<&ComponentName>> = BTreeMap::new();
    for (name, facts) in facts {
        facts.links.iter().for_each(|to| linked_by.entry(to).or_default().push(name));
    }
    let mut spreading: VecDeque<&ComponentName> =
        reasons.iter().filter(|(_, reason)| reason.is_versioned()).map(|(name, _)| *name).collect();
    while let Some(versioned) = spreading.pop_front() {
        for name in linked_by.get(versioned).into_iter().flatten() {
            if let Entry::Vacant(undecided) = reasons.entry(name) {
                undecided.insert(Reason::LinksTo(versioned.clone()));
                spreading.push_back(name);
            }
        }
    }
    facts.keys().map(|name| ((*name).clone(), reasons.remove(name).unwrap_or(Reason::Nothing))).collect()
}
