//! A container or network as a runtime describes it right after creation.

use std::collections::BTreeMap;

use super::{Container, ContainerId, ContainerSpec, ContainerState, Health, Network, NetworkSpec};

impl Container {
    /// A container that was created from this specification and never started. A runtime starts from this and changes
    /// what it knows. So its code compiles when the type gets more fields.
    #[must_use]
    pub fn created(id: ContainerId, spec: &ContainerSpec) -> Self {
        Self {
            id,
            name: spec.name.clone(),
            labels: spec.all_labels(),
            state: ContainerState::Created,
            started: 0,
            health: Health::None,
            addresses: BTreeMap::new(),
            published: BTreeMap::new(),
            image: spec.image.clone(),
            networks: Vec::new(),
            network_ids: BTreeMap::new(),
        }
    }
}

impl Network {
    /// A network that was made from this specification, without a subnet.
    #[must_use]
    pub fn created(id: impl Into<String>, spec: &NetworkSpec) -> Self {
        Self { id: id.into(), name: spec.name.clone(), labels: spec.all_labels(), subnet: None }
    }
}
