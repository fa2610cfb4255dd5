//! What a compose file declares besides its components, in the form of the Compose Specification.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Target;
use crate::container::{Bytes, Sensitive, Ulimit};
use crate::error::{Error, ErrorKind};
use crate::name::ComponentName;
use crate::value;

/// An entry under `networks:`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeclaredNetwork {
    /// Its name on the engine; `None`: one of the environment's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is somebody else's, and neither created nor removed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// The driver; `None`: `bridge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Whether containers on it cannot reach anything outside.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
    /// Whether containers that are started by hand may join. This matters only in a swarm. Elsewhere any container may
    /// join.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attachable: bool,
    /// Whether it has addresses of IPv4; `None`: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Whether it has addresses of IPv6; `None`: no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Labels of the user.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its addresses.
    #[serde(skip_serializing_if = "Ipam::is_default")]
    pub ipam: Ipam,
}

/// Where a network's addresses come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ipam {
    /// The driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The subnets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<IpamConfig>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

impl Ipam {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IpamConfig {
    /// The subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<IpNet>,
    /// Its gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The part of it that containers get addresses from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<IpNet>,
    /// Addresses in it that containers do not get, because they belong to something else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// An entry under `volumes:`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeclaredVolume {
    /// Its name on the engine; `None`: one of the environment's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is somebody else's, and neither created nor removed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// The driver; `None`: `local`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Options of the driver.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Labels of the user.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// An entry under `secrets:` or `configs:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredFile {
    /// Its name where the file gives one.
    pub name: Option<String>,
    /// Where its content comes from.
    pub source: FileSource,
    /// The content; `None`: there was none when the compose file was read.
    pub content: Option<Sensitive>,
}

/// Where the content of a secret or config comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FileSource {
    /// The file at this path.
    File(String),
    /// The environment variable of this name.
    Environment(String),
    /// The compose file itself.
    Content,
}

/// A secret or config that a component is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileUse {
    /// Its name in the compose file.
    pub source: String,
    /// The path inside; `None`: `/run/secrets/` and the name for a secret, `/` and the name for a config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The number of the owner; `None`: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The number of the group; `None`: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<String>,
    /// The permissions in octal; `None`: 0444.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// `build`: what an image is made from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the key of the Compose Specification of that name")]
pub struct Build {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_contexts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_to: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_cache: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_cache_filter: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pull: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<FileUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Bytes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
}

/// When a registry is asked for an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PullPolicy {
    /// Each time.
    Always,
    /// Never: the host has it.
    Never,
    /// When the host has none.
    Missing,
    /// Never: it is built.
    Build,
    /// When the image on the host is older than this: `daily`, `weekly`, or `every_` and a duration.
    Every(PullWindow),
}

/// How old an image on the host may be, as the file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullWindow {
    written: String,
    age: Duration,
}

impl PullWindow {
    /// How old the image may be.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }
}

impl fmt::Display for PullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::Never => "never",
            Self::Missing => "missing",
            Self::Build => "build",
            Self::Every(window) => &window.written,
        })
    }
}

impl FromStr for PullPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let every = |age| Self::Every(PullWindow { written: text.to_owned(), age });
        Ok(match (text, text.strip_prefix("every_")) {
            ("always", _) => Self::Always,
            ("never", _) => Self::Never,
            ("missing" | "if_not_present", _) => Self::Missing,
            ("build", _) => Self::Build,
            ("daily", _) => every(DAY),
            ("weekly", _) => every(7 * DAY),
            (_, Some(age)) => every(value::duration(age)?),
            ("refresh", None) => {
                let message = "the pull policy `refresh` does not say when";
                let error = Error::new(ErrorKind::NotSupported, message).with_hint("write `daily` or `every_12h`");
                return Err(error.stricter_than_compose("when it is to be asked for"));
            }
            _ => {
                return Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a pull policy"))
                    .with_hint("write `always`, `never`, `missing`, `build`, `daily`, `weekly` or `every_12h`"));
            }
        })
    }
}

/// `x-haddock.production`. Every release applies it. Environments by name do not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Production {
    /// What takes the place of a component. The component is then not started.
    pub links: BTreeMap<ComponentName, Target>,
    /// Components that are left out.
    pub without: BTreeSet<ComponentName>,
    /// Environment variables that are added or replaced, by component.
    pub variables: BTreeMap<ComponentName, BTreeMap<String, Sensitive>>,
}
