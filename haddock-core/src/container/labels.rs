//! The labels that a container, a network or a volume is made with.

use std::collections::BTreeMap;

use super::{ContainerSpec, NetworkSpec, VolumeSpec};

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
