//! Whose a thing on a runtime is, apart from what is known about it.

use std::collections::BTreeMap;

use super::{ContainerSpec, NetworkSpec, VolumeSpec, label};
use crate::name::{ComponentName, InstanceId, JournalId};

/// Whose a container, network or volume is: its journal, its environment, and, where these decide, its component and the
/// digest of what it was made from.
///
/// A runtime takes a thing of the same name only if it carries all of this. Other labels (what the user wrote, the
/// epoch) say what is known about a thing. They change while it stays the same thing, so they are never matched.
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

    /// The same, of that component.
    #[must_use]
    pub fn component(mut self, name: &ComponentName) -> Self {
        self.0.insert(label::COMPONENT.to_owned(), name.to_string());
        self
    }

    /// The same, made from what has this digest.
    #[must_use]
    pub fn made_from(mut self, digest: impl Into<String>) -> Self {
        self.0.insert(label::SPEC.to_owned(), digest.into());
        self
    }

    /// The labels that say it.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Whether what has these labels is the one that is meant. Nothing is, where nothing is said.
    #[must_use]
    pub fn is_carried_by(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// These labels and its own, which cannot be taken the place of.
    fn over(&self, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        labels.clone().into_iter().chain(self.0.clone()).collect()
    }
}

impl ContainerSpec {
    /// The labels to put on the container.
    #[must_use]
    pub fn all_labels(&self) -> BTreeMap<String, String> {
        self.identity.over(&self.labels)
    }
}

impl NetworkSpec {
    /// The labels to put on the network.
    #[must_use]
    pub fn all_labels(&self) -> BTreeMap<String, String> {
        self.identity.over(&self.labels)
    }
}

impl VolumeSpec {
    /// The labels to put on the volume.
    #[must_use]
    pub fn all_labels(&self) -> BTreeMap<String, String> {
        self.identity.over(&self.labels)
    }
}
