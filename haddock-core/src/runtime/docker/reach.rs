//! Where exposed ports are reached.
//!
//! An engine's socket says nothing about its networks. Those of an engine without root, in a virtual machine (Docker
//! Desktop, Colima, podman machine) or outside the container that we run in are not on this machine; an address of
//! theirs leads nowhere, and only what the engine publishes is reached. So the engine is asked once, when the first
//! address is needed, and what it says is compared with this machine.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::str::FromStr;

use bollard::models::{Network as BollardNetwork, SystemInfo};
use tokio::time::timeout;

use super::client::READ;
use super::error::unavailable;
use super::network::subnets;
use super::{DockerRuntime, routes};
use crate::error::{Error, ErrorKind, Result};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where the locator and our probes reach an exposed port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// At the container's address on its network: the engine's networks are on this machine.
    Direct,
    /// At an ephemeral port that the engine publishes on this address of its machine.
    Published(IpAddr),
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("at the containers' own addresses"),
            Self::Published(address) => write!(f, "at published ports of {address}"),
        }
    }
}

/// What was asked for: a [`Reach`], or to find out.
///
/// As a text: `auto`, `direct`, `published`, or `published:` and an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReachChoice {
    /// The engine is asked.
    #[default]
    Auto,
    /// [`Reach::Direct`].
    Direct,
    /// [`Reach::Published`]; `None`: on the engine's host.
    Published(Option<IpAddr>),
}

impl From<Reach> for ReachChoice {
    fn from(reach: Reach) -> Self {
        match reach {
            Reach::Direct => Self::Direct,
            Reach::Published(address) => Self::Published(Some(address)),
        }
    }
}

impl FromStr for ReachChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match (text, text.strip_prefix("published:").map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("direct", _) => Ok(Self::Direct),
            ("published", _) => Ok(Self::Published(None)),
            (_, Some(Ok(address))) => Ok(Self::Published(Some(address))),
            _ => Err(Error::new(ErrorKind::InvalidValue, format!("`{text}` is no way to reach containers"))
                .with_hint("write `auto`, `direct`, `published` or `published:ADDRESS`")),
        }
    }
}

/// What is known of this machine.
struct Machine {
    linux: bool,
    host_name: String,
    kernel: String,
    interfaces: Vec<String>,
    addresses: Vec<Ipv4Addr>,
    /// Within a container, the way out of it.
    container_gateway: Option<Ipv4Addr>,
}

impl Machine {
    fn this() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let in_container = ["/.dockerenv", "/run/.containerenv"].iter().any(|path| Path::new(path).exists());
        Self {
            linux: cfg!(target_os = "linux"),
            host_name: read("/proc/sys/kernel/hostname"),
            kernel: read("/proc/sys/kernel/osrelease"),
            interfaces: routes::interfaces(),
            addresses: routes::addresses(),
            container_gateway: routes::default_gateway().filter(|_| in_container),
        }
    }
}

impl DockerRuntime {
    /// Where exposed ports are reached: as it was asked for, or as it was found out, once.
    pub(super) async fn reach(&self) -> Result<Reach> {
        Ok(self.reach_and_why().await?.0)
    }

    pub(super) async fn reach_and_why(&self) -> Result<&(Reach, String)> {
        self.reach.get_or_try_init(|| self.find_reach()).await
    }

    async fn find_reach(&self) -> Result<(Reach, String)> {
        let asked = "it was asked for".to_owned();
        match self.reach_choice {
            ReachChoice::Direct => return Ok((Reach::Direct, asked)),
            ReachChoice::Published(Some(address)) => return Ok((Reach::Published(address), asked)),
            ReachChoice::Published(None) => return Ok((Reach::Published(address_of(&self.host).await?), asked)),
            ReachChoice::Auto => {}
        }
        let address = address_of(&self.host).await?;
        if !address.is_loopback() {
            return Ok((Reach::Published(address), "the engine is on another machine".to_owned()));
        }
        let none = HashMap::new();
        let (info, networks) = tokio::try_join!(
            self.client.read("ask the engine what it is", self.client.docker.info()),
            self.all_networks(&none)
        )?;
        let (direct, why) = are_here(&info, &networks, &Machine::this(), self.engine.podman);
        let machine = Machine::this();
        Ok(match (direct, machine.container_gateway) {
            (true, _) => (Reach::Direct, why),
            // What the engine publishes at our own loopback address would be at its machine's.
            (false, Some(gateway)) => (Reach::Published(gateway.into()), why),
            (false, None) => (Reach::Published(address), why),
        })
    }
}

/// Whether the engine's networks are on this machine, and how that is known.
fn are_here(info: &SystemInfo, networks: &[BollardNetwork], machine: &Machine, podman: bool) -> (bool, String) {
    let not = |why: &str| (false, why.to_owned());
    if !machine.linux {
        return not("containers run in a virtual machine here");
    }
    if info.security_options.iter().flatten().any(|option| option == "name=rootless") {
        return not("the engine runs without root, and its networks are out of reach");
    }
    if info.operating_system.as_deref() == Some("Docker Desktop") {
        return not("Docker Desktop runs containers in a virtual machine");
    }
    let bridges = networks.iter().filter(|network| network.driver.as_deref() == Some("bridge"));
    let (default, others): (Vec<_>, Vec<_>) = bridges.partition(|network| network.name.as_deref() == Some("bridge"));
    // Their names are unique: they show without doubt whether it is this network namespace. Podman's are not, and are
    // there only while a container runs.
    if !podman && !others.is_empty() {
        let here = |network: &&BollardNetwork| interface(network).is_some_and(|it| machine.interfaces.contains(&it));
        return match others.into_iter().find(here) {
            Some(network) => {
                let name = network.name.as_deref().unwrap_or_default();
                (true, format!("the bridge of its network `{name}` is an interface of this machine"))
            }
            None => not("none of its networks has its bridge on this machine"),
        };
    }
    let same = |theirs: &Option<String>, ours: &str| theirs.as_deref() == Some(ours);
    if !same(&info.kernel_version, &machine.kernel) || !same(&info.name, &machine.host_name) {
        return not("the engine's machine has another name, or another kernel");
    }
    match default.first().filter(|_| !podman) {
        Some(network) if !subnets(network).any(|it| machine.addresses.iter().any(|address| it.contains(address))) => {
            not("this machine has no address on its bridge")
        }
        Some(_) => (true, "this machine has an address on its bridge".to_owned()),
        None => (true, "the engine's machine has the name and the kernel of this one".to_owned()),
    }
}

/// The interface of a bridge network.
fn interface(network: &BollardNetwork) -> Option<String> {
    let named = network.options.as_ref().and_then(|options| options.get("com.docker.network.bridge.name").cloned());
    named.or_else(|| Some(format!("br-{}", network.id.as_deref()?.get(..12)?)))
}

/// The address of the engine's machine.
async fn address_of(host: &str) -> Result<IpAddr> {
    if host.starts_with("unix://") {
        return Ok(LOOPBACK);
    }
    let authority = host.split("://").nth(1).unwrap_or(host).trim_end_matches('/');
    let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name).trim_matches(['[', ']']);
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(address);
    }
    let unknown = || unavailable("connect", &format!("no address is known for `{name}`"));
    let lookup = timeout(READ, tokio::net::lookup_host((name, 0))).await;
    Ok(lookup.map_err(|_| unknown())?.map_err(|_| unknown())?.next().ok_or_else(unknown)?.ip())
}

#[cfg(test)]
mod tests {
    use bollard::models::{Ipam, IpamConfig};

    use super::*;

    fn network(name: &str, subnet: &str) -> BollardNetwork {
        let config = IpamConfig { subnet: Some(subnet.to_owned()), ..IpamConfig::default() };
        BollardNetwork {
            name: Some(name.to_owned()),
            id: Some(format!("{name:0>12}c0ffee")),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
            ..BollardNetwork::default()
        }
    }

    fn machine() -> Machine {
        Machine {
            linux: true,
            host_name: "here".to_owned(),
            kernel: "6.1".to_owned(),
            interfaces: vec!["lo".to_owned(), "docker0".to_owned(), "br-00000000shop".to_owned()],
            addresses: vec![Ipv4Addr::new(172, 17, 0, 1)],
            container_gateway: None,
        }
    }

    fn info() -> SystemInfo {
        SystemInfo {
            name: Some("here".to_owned()),
            kernel_version: Some("6.1".to_owned()),
            operating_system: Some("Debian GNU/Linux 12".to_owned()),
            security_options: Some(vec!["name=seccomp,profile=default".to_owned()]),
            ..SystemInfo::default()
        }
    }

    #[test]
    fn networks_are_here_or_not() {
        let bridge = || network("bridge", "172.17.0.0/16");
        let elsewhere = || network("other", "10.213.0.0/26");
        let here = |info: SystemInfo, networks: &[BollardNetwork]| are_here(&info, networks, &machine(), false).0;
        assert!(here(info(), &[bridge()]));
        assert!(here(info(), &[bridge(), elsewhere(), network("shop", "10.213.0.64/26")]));
        // An engine in another network namespace, beside one whose `docker0` has the same address.
        assert!(!here(info(), &[bridge(), elsewhere()]));
        assert!(!here(info(), &[network("bridge", "172.18.0.0/16")]));
        assert!(!here(SystemInfo { name: Some("colima".to_owned()), ..info() }, &[bridge()]));
        assert!(!here(SystemInfo { operating_system: Some("Docker Desktop".to_owned()), ..info() }, &[bridge()]));
        let rootless = Some(vec!["name=seccomp".to_owned(), "name=rootless".to_owned()]);
        assert!(!here(SystemInfo { security_options: rootless, ..info() }, &[bridge()]));
        // Podman's bridges have other names, and come and go with containers.
        assert!(are_here(&info(), &[elsewhere()], &machine(), true).0);
        assert!(!are_here(&info(), &[bridge()], &Machine { linux: false, ..machine() }, false).0);
    }

    #[test]
    fn a_choice_is_read() {
        let loopback = ReachChoice::Published(Some(LOOPBACK));
        assert_eq!("auto".parse(), Ok(ReachChoice::Auto));
        assert_eq!("published".parse(), Ok(ReachChoice::Published(None)));
        assert_eq!("published:127.0.0.1".parse(), Ok(loopback));
        assert_eq!("sideways".parse::<ReachChoice>().expect_err("none").kind(), ErrorKind::InvalidValue);
    }
}
