//! An environment as a compose file describes it, all variables filled in.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::settings::ServiceSettings;
use crate::container::{HealthCheck, PublishedPort, Sensitive};
use crate::image::ImageReference;
use crate::name::{ComponentName, LinkAlias};

/// A resolved compose file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// The settings of the service that its entry serves.
    pub settings: ServiceSettings,
    /// The components.
    pub components: BTreeMap<ComponentName, Component>,
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
