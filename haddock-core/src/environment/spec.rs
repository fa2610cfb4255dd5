//! An environment as a compose file describes it, all variables filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::{Entry, ServiceSettings};
use crate::container::{HealthCheck, PublishedPort, Sensitive};
use crate::error::{Error, ErrorKind, Result};
use crate::image::ImageReference;
use crate::name::{ComponentName, LinkAlias};

/// A resolved compose file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// The settings of the service that its entry serves; `None`: nothing in it takes traffic.
    pub settings: Option<ServiceSettings>,
    /// The components.
    pub components: BTreeMap<ComponentName, Component>,
}

impl EnvironmentSpec {
    /// The settings of the service, for what needs one.
    ///
    /// # Errors
    /// [`ComposeFile`](ErrorKind::ComposeFile) if it is no service: no component takes traffic.
    pub fn service(&self) -> Result<&ServiceSettings> {
        self.settings.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::ComposeFile, "no component takes traffic, so the environment is no service")
                .with_hint("say which one does: `x-haddock: { entry: \"component:8080\" }`")
        })
    }

    /// What takes the traffic.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        self.settings.as_ref().map(|settings| &settings.entry)
    }

    /// The names under which others reach a component: its own, and the aliases of the links to it.
    #[must_use]
    pub fn aliases(&self, target: &ComponentName) -> Vec<String> {
        let links = self.components.values().flat_map(|component| &component.links);
        let links = links.filter(|link| link.component == *target).map(|link| link.alias.to_string());
        let all: BTreeSet<String> = links.chain([target.to_string()]).collect();
        all.into_iter().collect()
    }

    /// The components of which a release brings its own.
    #[must_use]
    pub fn versioned(&self) -> BTreeSet<ComponentName> {
        let versioned = self.components.iter().filter(|(_, component)| component.versioned);
        versioned.map(|(name, _)| name.clone()).collect()
    }
}

/// One entry under `services:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The image.
    pub image: ImageReference,
    /// Whether a release brings its own, rather than linking to the one that runs once per service.
    pub versioned: bool,
    /// Instead of the image's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's command.
    pub command: Option<Vec<String>>,
    /// Environment variables.
    pub environment: BTreeMap<String, Sensitive>,
    /// Ports others on the network reach.
    pub expose: Vec<u16>,
    /// Ports on the host.
    pub ports: Vec<PublishedPort>,
    /// What has to be there before it starts.
    pub depends_on: BTreeMap<ComponentName, DependencyCondition>,
    /// The aliases under which it reaches others.
    pub links: Vec<Link>,
    /// Its own health check.
    pub health_check: Option<HealthCheck>,
    /// Labels of the user.
    pub labels: BTreeMap<String, String>,
    /// How long a stop waits before it kills; `None`: 10 s.
    pub stop_grace_period: Option<Duration>,
    /// The signal that asks it to stop.
    pub stop_signal: Option<String>,
}

/// What `depends_on` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// It has been started.
    Started,
    /// Its health check passes.
    Healthy,
    /// It has ended with exit code 0.
    CompletedSuccessfully,
}

/// An alias under which a component reaches another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other component.
    pub component: ComponentName,
    /// The alias.
    pub alias: LinkAlias,
}
