//! Networks, and who is on them.

use super::SimEngine;
use super::engine::not_found;
use crate::container::{ContainerId, Network, NetworkSpec, Selector};
use crate::error::{Error, ErrorKind, Result};

impl SimEngine {
    /// Creates a network; takes one of the same name and identity.
    ///
    /// # Errors
    /// [`ErrorKind::NameTaken`].
    pub fn create_network(&mut self, spec: &NetworkSpec) -> Result<Network> {
        if let Some(network) = self.networks.values().find(|network| network.name == spec.name) {
            if spec.identity.is_carried_by(&network.labels) {
                return Ok(network.clone());
            }
            let message = format!("the name `{}` is taken by a network of somebody else", spec.name);
            return Err(Error::new(ErrorKind::NameTaken, message));
        }
        self.counter += 1;
        let id = format!("n{:011x}", self.counter);
        let network = Network { id: id.clone(), name: spec.name.clone(), labels: spec.all_labels(), subnet: None };
        self.networks.insert(id, network.clone());
        Ok(network)
    }

    /// Makes a container join a network.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn connect(&mut self, id: &ContainerId, network: &str) -> Result<()> {
        let joined = self.network_id(network);
        let made = self.made.get_mut(id).ok_or_else(|| not_found(id))?;
        if !made.container.networks.iter().any(|joined| joined == network) {
            made.container.networks.push(network.to_owned());
        }
        let mut networks = made.networks.clone();
        networks.entry(network.to_owned()).or_insert(joined);
        made.join(networks);
        Ok(())
    }

    /// Makes a container leave a network.
    pub fn disconnect(&mut self, id: &ContainerId, network: &str) {
        if let Some(made) = self.made.get_mut(id) {
            made.container.networks.retain(|joined| joined != network);
            let mut networks = made.networks.clone();
            networks.remove(network);
            made.join(networks);
        }
    }

    /// The networks that the selector matches.
    #[must_use]
    pub fn list_networks(&self, selector: &Selector) -> Vec<Network> {
        self.networks.values().filter(|network| selector.matches(&network.labels)).cloned().collect()
    }

    /// Removes a network. Returns whether it existed. A container that was on it and does not run cannot be started any
    /// more, even if there is a new network of that name.
    ///
    /// # Errors
    /// [`ErrorKind::RuntimeRefused`] while a container runs on it.
    pub fn remove_network(&mut self, id: &str) -> Result<bool> {
        let on =
            |id: &str| self.made.values().any(|it| it.is_alive() && it.networks.values().flatten().any(|on| on == id));
        if on(id) {
            let message = format!("network `{id}` cannot be removed: a container runs on it");
            return Err(Error::new(ErrorKind::RuntimeRefused, message));
        }
        Ok(self.networks.remove(id).is_some())
    }

    pub(super) fn network_id(&self, name: &str) -> Option<String> {
        self.networks.values().find(|network| network.name == name).map(|network| network.id.clone())
    }
}
