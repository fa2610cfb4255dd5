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
    /// To whom it belongs. An existing one of its name is taken over only if it carries this.
    pub identity: Identity,
    /// Its other labels. They are set, and never compared.
    pub labels: BTreeMap<String, String>,
    /// The networks to join. The first is the one on which its ports are reached.
    pub networks: Vec<Attachment>,
    /// The network mode, in place of networks.
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
#[non_exhaustive]
pub enum PullWhen {
    /// Never: the host has it.
    Never,
    /// When the host has none.
    Missing,
    /// Always. If the registry has none, the host's image is used.
    Refresh,
    /// If the host has none, or pulled its own longer ago than this.
    OlderThan(Duration),
}

/// A network to join.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The names under which others on that network reach the container.
    pub aliases: Vec<String>,
    /// Aliases by which only this container reaches others on that network: `container:alias`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Further settings, such as fixed addresses.
    #[serde(default, skip_serializing_if = "Endpoint::is_default")]
    pub endpoint: Endpoint,
}

impl Attachment {
    /// Joins the network of that name, under these aliases.
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
    /// Whether no setting is made.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A network that is not one of the environment's own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkMode {
    /// The engine's default: its bridge, unless it is part of a swarm.
    Default,
    /// The engine's default bridge.
    Bridge,
    /// The host's own network.
    Host,
    /// No network at all.
    None,
    /// The network of the component of this name. A runtime gets [`Container`](Self::Container) instead.
    Service(String),
    /// The network of the container of this name.
    Container(String),
    /// The network of this name, which exists already.
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
#[non_exhaustive]
pub enum RestartPolicy {
    /// Nothing.
    No,
    /// It starts it again.
    Always,
    /// It starts it again, unless somebody has stopped it.
    UnlessStopped,
    /// It starts it again if it failed, this many times; `None`: any number of times.
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
#[non_exhaustive]
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
    /// With `host`, the last port of a range on the host. A free port of the range is used.
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
    /// Time between two checks within `start_period`; `None`: 5 s. Engines before Docker 25 ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
}

impl HealthCheck {
    /// An engine's time between two checks by default.
    const INTERVAL: Duration = Duration::from_secs(30);

    /// Makes the time between two checks at least this long.
    pub(crate) fn check_at_most_every(&mut self, least: Duration) {
        self.interval = Some(self.interval.unwrap_or(Self::INTERVAL).max(least));
        self.start_interval = self.start_interval.map(|interval| interval.max(least));
    }
}

/// Something that is mounted at a path in the container, in the form of the Compose Specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// What is mounted.
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
    /// This had a meaning only in old versions of Docker Desktop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<String>,
    /// Options for a path on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<BindOptions>,
    /// Options for a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeOptions>,
    /// Options for memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<TmpfsOptions>,
    /// Options for an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageOptions>,
}

impl Mount {
    /// A mount of this kind at this path, without any options.
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
#[non_exhaustive]
pub enum MountKind {
    /// A volume of the engine.
    Volume,
    /// A path on the engine's host.
    Bind,
    /// Memory.
    Tmpfs,
    /// The contents of an image. Engines before Docker 28 refuse it.
    Image,
}

/// Options for a mounted path of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BindOptions {
    /// How mounts below it spread, in the kernel's words: `rprivate`, `rslave` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation: Option<String>,
    /// Whether a folder is made if nothing is there; `None`: yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_host_path: Option<bool>,
    /// What happens to mounts below it. `disabled`: they are left out. `writable`: they are mounted, and stay writable
    /// even if this mount is read only. `readonly`: they are mounted read only; if that is impossible, the start fails.
    /// `None`, `enabled`: the engine decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive: Option<String>,
    /// `z` or `Z`: the folder gets a label of SELinux, shared by containers or for this one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<String>,
}

/// Options for a mounted volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VolumeOptions {
    /// Whether a new volume begins empty, even if the image has files at this path.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nocopy: bool,
    /// The folder of the volume that is mounted; `None`: all of it. Engines before Docker 26 refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
    /// The labels of a volume that is made for this mount.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Options for a mounted image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageOptions {
    /// The folder of the image that is mounted; `None`: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subpath: Option<String>,
}

/// Options for mounted memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TmpfsOptions {
    /// Its size; `None`: up to half of the host's memory.
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
    /// Its content.
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
    /// To whom it belongs. An existing one of its name is taken over only if it carries this.
    pub identity: Identity,
    /// Its other labels. They are set, and never compared.
    pub labels: BTreeMap<String, String>,
    /// The driver; `None`: `bridge`.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Whether containers on it cannot reach anything outside.
    pub internal: bool,
    /// If the network spans engines: whether containers that are started by hand may join it.
    pub attachable: bool,
    /// Whether it has addresses of IPv4; `None`: yes.
    pub enable_ipv4: Option<bool>,
    /// Whether it has addresses of IPv6; `None`: no.
    pub enable_ipv6: Option<bool>,
    /// The driver that gives out addresses; `None`: the engine.
    pub ipam_driver: Option<String>,
    /// Options of this driver.
    pub ipam_options: BTreeMap<String, String>,
    /// Its subnets. If none is of IPv4, a free one is chosen.
    pub subnets: Vec<Subnet>,
}

impl NetworkSpec {
    /// Fails if the specification has any setting beyond a name by which containers reach each other. This is for
    /// runtimes whose networks are nothing else.
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
    /// The address of the gateway; `None`: the first.
    pub gateway: Option<IpAddr>,
    /// The part of the addresses that containers get; `None`: all.
    pub ip_range: Option<ipnet::IpNet>,
    /// Addresses that containers do not get, because they belong to something else.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// What to create a volume from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeSpec {
    /// Its name.
    pub name: String,
    /// To whom it belongs. An existing one of its name is taken over only if it carries this.
    pub identity: Identity,
    /// Its other labels. They are set, and never compared.
    pub labels: BTreeMap<String, String>,
    /// The driver; `None`: `local`.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
}
