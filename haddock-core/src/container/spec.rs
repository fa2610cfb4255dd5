//! What to make containers, networks and volumes from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::options::{Bytes, ContainerOptions};
use super::{Identity, Sensitive};
use crate::error::{Error, ErrorKind};

/// What to create a container from.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ContainerSpec {
    /// Its name on the runtime; unique there.
    pub name: String,
    /// The image, by the id that [`pull`](crate::runtime::ContainerRuntime::pull) gave.
    pub image: String,
    /// Instead of the image's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's command.
    pub command: Option<Vec<String>>,
    /// Environment variables.
    pub environment: BTreeMap<String, Sensitive>,
    /// Whose it is: one of its name is taken only if it carries that.
    pub identity: Identity,
    /// Its other labels. They are put on, and never matched.
    pub labels: BTreeMap<String, String>,
    /// The networks to join. On the first of them its ports are reached.
    pub networks: Vec<Attachment>,
    /// In place of networks.
    pub network_mode: Option<NetworkMode>,
    /// TCP ports that the component listens on and others reach directly.
    pub expose: Vec<u16>,
    /// Ports to publish on the host.
    pub publish: Vec<PublishedPort>,
    /// Its own health check, if it has one.
    pub health_check: Option<HealthCheck>,
    /// The signal that asks it to stop; `None`: the image's, else SIGTERM.
    pub stop_signal: Option<String>,
    /// Volumes, folders of the host, and memory.
    pub mounts: Vec<Mount>,
    /// Files to put into it before it starts.
    pub files: Vec<InjectedFile>,
    /// What the engine does when it ends; `None`: nothing.
    pub restart: Option<RestartPolicy>,
    /// Everything else.
    pub options: ContainerOptions,
}

/// Commands, labels and other texts may hold the values of variables.
impl fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, image, .. } = self;
        f.debug_struct("ContainerSpec").field("name", name).field("image", image).finish_non_exhaustive()
    }
}

/// How an image is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullOptions {
    /// When its registry is asked.
    pub when: PullWhen,
    /// For which platform, such as `linux/arm64`; `None`: the host's.
    pub platform: Option<String>,
}

/// When an image's registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullWhen {
    /// Never: the host has it.
    Never,
    /// When the host has none.
    Missing,
    /// First; if it has none, the host's is taken.
    Refresh,
    /// First, if the host has none, or took its own that long ago.
    OlderThan(Duration),
}

/// A network to join.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The names under which others on that network reach the container.
    pub aliases: Vec<String>,
    /// Aliases that only this container has for others on that network: `container:alias`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Addresses and the like that are asked for.
    #[serde(default, skip_serializing_if = "Endpoint::is_default")]
    pub endpoint: Endpoint,
}

impl Attachment {
    /// To the network of that name, under these aliases.
    pub fn new(network: impl Into<String>, aliases: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { network: network.into(), aliases: aliases.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// How a container joins a network, in the form of the Compose Specification.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "each is the key of the Compose Specification of that name")]
pub struct Endpoint {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gw_priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_address: Option<Ipv4Addr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<Ipv6Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
}

impl Endpoint {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A network that is not one of the environment's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkMode {
    /// The engine's default: on an engine by itself, its bridge.
    Default,
    /// The engine's default bridge.
    Bridge,
    /// The host's own.
    Host,
    /// None at all.
    None,
    /// That of the component of this name. A runtime gets [`Container`](Self::Container).
    Service(String),
    /// That of the container of this name.
    Container(String),
    /// The network of this name, which is there already.
    Network(String),
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Bridge => f.write_str("bridge"),
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Network(name) => f.write_str(name),
        }
    }
}

impl FromStr for NetworkMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match (text, text.split_once(':')) {
            ("default", _) => Self::Default,
            ("bridge", _) => Self::Bridge,
            ("host", _) => Self::Host,
            ("none", _) => Self::None,
            (_, Some(("service", name))) if !name.is_empty() => Self::Service(name.to_owned()),
            (_, Some(("container", name))) if !name.is_empty() => Self::Container(name.to_owned()),
            (_, None) if !text.is_empty() => Self::Network(text.to_owned()),
            _ => {
                let hint = "write `none`, `host`, `bridge`, `service:component`, `container:name` or a network's name";
                let error = Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a network mode"));
                return Err(error.with_hint(hint).stricter_than_compose("the engine refuses it"));
            }
        })
    }
}

/// What the engine does when a container ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Nothing.
    No,
    /// It starts it again.
    Always,
    /// It starts it again, unless somebody has stopped it.
    UnlessStopped,
    /// It starts it again if it failed, that many times; `None`: without end.
    OnFailure(Option<u32>),
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(None) => f.write_str("on-failure"),
            Self::OnFailure(Some(times)) => write!(f, "on-failure:{times}"),
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match (text, text.split_once(':')) {
            ("no", _) => Self::No,
            ("always", _) => Self::Always,
            ("unless-stopped", _) => Self::UnlessStopped,
            ("on-failure", _) => Self::OnFailure(None),
            (_, Some(("on-failure", times))) if times.parse::<u32>().is_ok() => Self::OnFailure(times.parse().ok()),
            _ => {
                return Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a restart policy"))
                    .with_hint("write `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:3`")
                    .stricter_than_compose("the engine refuses it"));
            }
        })
    }
}

macro_rules! as_text {
    ($($type:ident),*) => {$(
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(NetworkMode, RestartPolicy);

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Whether it is TCP.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        *self == Self::Tcp
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "sctp" => Self::Sctp,
            _ => {
                return Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is not a protocol"))
                    .with_hint("write `tcp`, `udp` or `sctp`, or nothing, which is `tcp`"));
            }
        })
    }
}

/// A container's port on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The port inside.
    pub container: u16,
    /// The address on the host; `None`: all.
    pub host_address: Option<IpAddr>,
    /// The port on the host; `None`: one that is free.
    pub host: Option<u16>,
    /// With `host`, the last of the ports on the host of which one that is free is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_last: Option<u16>,
    /// The protocol.
    #[serde(default, skip_serializing_if = "Protocol::is_tcp")]
    pub protocol: Protocol,
}

/// A component's own health check, as the engine runs it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The command: `["CMD", …]`, `["CMD-SHELL", line]`, or `["NONE"]` to switch off the image's. Empty: the image's
    /// own.
    pub test: Vec<String>,
    /// Time between two checks; `None`: the engine's default of 30 s.
    pub interval: Option<Duration>,
    /// Time limit of one check; `None`: 30 s.
    pub timeout: Option<Duration>,
    /// Failures in a row until unhealthy; `None`: 3.
    pub retries: Option<u32>,
    /// Time in which failures do not count; `None`: 0 s.
    pub start_period: Option<Duration>,
    /// Time between two checks within `start_period`; `None`: 5 s. Engines older than 25 take no notice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
}

impl HealthCheck {
    /// An engine's time between two checks, where nobody says otherwise.
    const INTERVAL: Duration = Duration::from_secs(30);

    /// Makes the time between two checks that long at least.
    pub(crate) fn check_at_most_every(&mut self, least: Duration) {
        self.interval = Some(self.interval.unwrap_or(Self::INTERVAL).max(least));
        self.start_interval = self.start_interval.map(|interval| interval.max(least));
    }
}

/// Something to see at a path inside, in the form of the Compose Specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// The volume's name, or the path on the host; `None`: an anonymous volume, or memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The path inside.
    pub target: String,
    /// Whether it cannot be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Only for Docker Desktop, where it was once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<String>,
    /// Of a path on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<BindOptions>,
    /// Of a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeOptions>,
    /// Of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<TmpfsOptions>,
    /// Of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageOptions>,
}

impl Mount {
    /// Of that kind at that path, with nothing said of it.
    pub fn new(kind: MountKind, target: impl Into<String>) -> Self {
        let target = target.into();
        Self {
            kind,
            source: None,
            target,
            read_only: false,
            consistency: None,
            bind: None,
            volume: None,
            tmpfs: None,
            image: None,
        }
    }
}

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A volume of the engine.
    Volume,
    /// A path on the engine's host.
    Bind,
    /// Memory.
    Tmpfs,
    /// What is in an image. Engines older than 28 refuse it.
    Image,
}

/// Of a path on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BindOptions {
    /// Whether mounts below it are seen, by the kernel's words: `rprivate`, `rslave` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation: Option<String>,
    /// Whether a folder is made where there is nothing; `None`: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_host_path: Option<bool>,
    /// Whether what is mounted below it comes along: `disabled`: no; `writable`: so, also where the mount is read only;
    /// `readonly`: read only then, or not at all. `None`, `enabled`: as the engine does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive: Option<String>,
    /// `z` or `Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<String>,
}

/// Of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VolumeOptions {
    /// Whether a new one begins empty, although the image has something there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nocopy: bool,
    /// The folder in it; `None`: all. Engines older than 26 refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
    /// The labels of one that is made for this mount.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageOptions {
    /// The folder in it; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
}

/// Of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TmpfsOptions {
    /// How much; `None`: up to half of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Bytes>,
    /// Its permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A file to put into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectedFile {
    /// Its path inside.
    pub path: String,
    /// What it holds.
    pub content: Sensitive,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
}

/// What to create a network from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// Whose it is: one of its name is taken only if it carries that.
    pub identity: Identity,
    /// Its other labels. They are put on, and never matched.
    pub labels: BTreeMap<String, String>,
    /// The driver; `None`: `bridge`.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Whether nothing outside is reached from it.
    pub internal: bool,
    /// Whether containers by hand may join one that spans engines.
    pub attachable: bool,
    /// Whether it has addresses of IPv4; `None`: yes.
    pub enable_ipv4: Option<bool>,
    /// Whether it has addresses of IPv6; `None`: no.
    pub enable_ipv6: Option<bool>,
    /// What gives out addresses; `None`: the engine.
    pub ipam_driver: Option<String>,
    /// Options of that.
    pub ipam_options: BTreeMap<String, String>,
    /// Its subnets; without one of IPv4: one that is free.
    pub subnets: Vec<Subnet>,
}

impl NetworkSpec {
    /// Fails if it is to be more than a name under which containers reach each other: for runtimes that have no more.
    ///
    /// # Errors
    /// [`NotSupported`](ErrorKind::NotSupported), with the first such setting.
    pub fn only_a_name(&self, runtime: &dyn fmt::Display) -> Result<(), Error> {
        let Self {
            name,
            identity: _,
            labels: _,
            driver,
            driver_opts,
            internal,
            attachable: _, // whoever knows the name may join
            enable_ipv4,
            enable_ipv6,
            ipam_driver,
            ipam_options,
            subnets,
        } = self;
        let asked = [
            ("driver", driver.as_deref().is_some_and(|driver| driver != "bridge")),
            ("driver_opts", !driver_opts.is_empty()),
            ("internal", *internal),
            ("enable_ipv4", *enable_ipv4 == Some(false)),
            ("enable_ipv6", *enable_ipv6 == Some(true)),
            ("ipam", ipam_driver.is_some() || !ipam_options.is_empty() || !subnets.is_empty()),
        ];
        match asked.into_iter().find(|(_, asked)| *asked) {
            Some((what, _)) => {
                let message = format!("{runtime} has no `{what}` for networks, as `{name}` asks for it");
                Err(Error::new(ErrorKind::NotSupported, message)
                    .with_hint(format!("remove `{what}`, or use another runtime")))
            }
            None => Ok(()),
        }
    }
}

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its addresses.
    pub subnet: ipnet::IpNet,
    /// Which of them is the gateway; `None`: the first.
    pub gateway: Option<IpAddr>,
    /// Which of them containers get; `None`: all.
    pub ip_range: Option<ipnet::IpNet>,
    /// Which of them are somebody else's.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// What to create a volume from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeSpec {
    /// Its name.
    pub name: String,
    /// Whose it is: one of its name is taken only if it carries that.
    pub identity: Identity,
    /// Its other labels. They are put on, and never matched.
    pub labels: BTreeMap<String, String>,
    /// The driver; `None`: `local`.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
}
