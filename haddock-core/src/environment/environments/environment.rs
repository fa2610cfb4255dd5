//! An environment as it is on the runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::Environments;
use crate::container::{Container, ContainerState, Selector, label};
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName};

/// An environment as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// Its components' containers.
    pub components: BTreeMap<ComponentName, Container>,
    /// Who asked for it, where that is known.
    pub by: Option<String>,
    /// From which VCS commit.
    pub commit: Option<String>,
    /// From which compose file.
    pub file: Option<String>,
}

impl Environment {
    /// Where a port of a component is reached from this machine: on the host, if it is published there, else at the
    /// container itself.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is no such component or port, or it does not run.
    pub fn address(&self, component: &str, port: u16) -> Result<SocketAddr> {
        let name = &self.name;
        let not_found = |message: String, hint: String| Error::new(ErrorKind::NotFound, message).with_hint(hint);
        let Some(container) = self.components.get(component) else {
            let known: Vec<&str> = self.components.keys().map(ComponentName::as_str).collect();
            let message = format!("environment `{name}` has no component `{component}`");
            return Err(not_found(message, format!("it has `{}`", known.join("`, `"))));
        };
        if !container.is_running() {
            let why = match container.state {
                ContainerState::Paused => "is paused",
                _ => "does not run",
            };
            let message = format!("component `{component}` of environment `{name}` {why}");
            return Err(not_found(message, "bring it up again".to_owned()));
        }
        let address = container.published.get(&port).or_else(|| container.addresses.get(&port));
        address.copied().ok_or_else(|| {
            let known: BTreeSet<u16> = container.addresses.keys().chain(container.published.keys()).copied().collect();
            let known: Vec<String> = known.iter().map(u16::to_string).collect();
            let message = format!("component `{component}` of environment `{name}` has no port {port}");
            let has = match known.as_slice() {
                [] => "it has no ports".to_owned(),
                known => format!("its ports are {}", known.join(", ")),
            };
            not_found(message, format!("{has}; list others under `expose` or `ports` in the compose file"))
        })
    }
}

impl Environments {
    /// The environments that there are, by name.
    ///
    /// # Errors
    /// The runtime's.
    pub async fn list(&self) -> Result<Vec<Environment>> {
        let mut all: BTreeMap<EnvironmentName, Vec<Container>> = BTreeMap::new();
        for container in self.runtime.list(&Selector::journal(&self.journal)).await? {
            if let Some(name) = container.labels.get(label::NAME).and_then(|name| EnvironmentName::new(name).ok()) {
                all.entry(name).or_default().push(container);
            }
        }
        all.into_iter().map(|(name, containers)| self.described(name, containers)).collect()
    }

    /// The environment of that name.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if there is none, and the runtime's.
    pub async fn get(&self, name: &EnvironmentName) -> Result<Environment> {
        let containers = self.containers_of(name).await?;
        if containers.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no environment `{name}`"))
                .with_hint("bring it up first, or look which there are"));
        }
        self.described(name.clone(), containers)
    }
}
