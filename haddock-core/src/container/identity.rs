//! To whom a thing on a runtime belongs, apart from what is known about it.

use std::collections::BTreeMap;

use super::label;
use crate::name::{ComponentName, InstanceId, JournalId};

/// To whom a container, network or volume belongs: its journal and its environment. Where they matter, also its
/// component and the digest of what it was made from.
///
/// A runtime takes over a thing of the same name only if the thing carries all of this. Other labels (the user's, the
/// epoch) say what is known about a thing. They may change while it stays the same thing, so they are never compared.
///
/// ```
/// use std::collections::BTreeMap;
/// use haddock_core::container::{Identity, VolumeSpec};
/// use haddock_core::{InstanceId, JournalId};
///
/// let owner = Identity::environment(&JournalId::new("j1")?, &InstanceId::new("shop-env-j1")?);
/// let wanted = VolumeSpec { identity: owner.clone(), ..VolumeSpec::default() };
/// let mut found = wanted.all_labels();
/// found.insert("team".to_owned(), "another than the file says now".to_owned());
/// assert!(owner.is_carried_by(&found));
/// assert!(!owner.is_carried_by(&BTreeMap::new()));
/// # Ok::<(), haddock_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity(BTreeMap<String, String>);

impl Identity {
    /// What belongs to this environment of this journal.
    #[must_use]
    pub fn environment(journal: &JournalId, uid: &InstanceId) -> Self {
        let labels = [(label::JOURNAL, journal.to_string()), (label::ENVIRONMENT, uid.to_string())];
        Self(labels.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// The same, for a component of it.
    #[must_use]
    pub fn component(mut self, name: &ComponentName) -> Self {
        self.0.insert(label::COMPONENT.to_owned(), name.to_string());
        self
    }

    /// The same, for a thing made from the specification with this digest.
    #[must_use]
    pub fn made_from(mut self, digest: impl Into<String>) -> Self {
        self.0.insert(label::SPEC.to_owned(), digest.into());
        self
    }

    /// The labels that carry this identity.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Whether a thing with these labels has this identity. An empty identity matches nothing.
    #[must_use]
    pub fn is_carried_by(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// These labels, and those of the identity, which win.
    pub(super) fn over(&self, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        labels.clone().into_iter().chain(self.0.clone()).collect()
    }
}
