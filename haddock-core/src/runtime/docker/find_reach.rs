//! Finds out where exposed ports are reached.
//!
//! An engine's socket says nothing about its networks. Some engines have their networks elsewhere: those without root,
//! those in a virtual machine (Docker Desktop, Colima, podman machine), and those outside the container that we run in.
//! Addresses on such networks cannot be reached, only what the engine publishes. So the engine is asked once, when the
//! first address is needed, and its answer is compared with this machine.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use bollard::models::{Network as BollardNetwork, SystemInfo};
use tokio::time::timeout;

use super::client::READ_LIMIT;
use super::error::unavailable;
use super::network::subnets;
use super::reach::{Reach, ReachChoice};
use super::{DockerRuntime, routes};
use crate::error::Result;
use crate::time::sleep;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How often the engine's networks are listed before a missing bridge proves that they are elsewhere, and the pause
/// between two lists. The engine lists a network for a moment before its bridge is there, and after it is gone.
const LISTS: u32 = 5;
const BETWEEN_LISTS: Duration = Duration::from_millis(300);

/// What is known of this machine.
struct Machine {
    linux: bool,
    host_name: String,
    kernel: String,
    interfaces: Vec<String>,
    addresses: Vec<Ipv4Addr>,
    /// The default gateway, if we run within a container.
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
    /// Where exposed ports are reached: as the user chose, or as was found out once.
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
        let info = self.client.read("ask the engine what it is", self.client.docker.info()).await?;
        let info = &info;
        let verdict = judged(|| async move {
            let networks = self.all_networks(&HashMap::new()).await?;
            Ok(are_here(info, &networks, &Machine::this(), self.engine.podman))
        });
        let why = match verdict.await? {
            Verdict::Here(why) => return Ok((Reach::Direct, why)),
            Verdict::Elsewhere(why) => why,
            Verdict::NoBridge => "none of its networks has its bridge on this machine",
        };
        // Within a container, the loopback address is not that of the engine's machine. Its ports are reached through
        // the gateway there.
        let address = Machine::this().container_gateway.map_or(address, IpAddr::from);
        Ok((Reach::Published(address), why.to_owned()))
    }
}

/// The first verdict that proves something, or the last.
async fn judged<F: Future<Output = Result<Verdict>>>(verdict: impl Fn() -> F) -> Result<Verdict> {
    for _ in 1..LISTS {
        match verdict().await? {
            Verdict::NoBridge => sleep(BETWEEN_LISTS).await,
            known => return Ok(known),
        }
    }
    verdict().await
}

/// Where the engine's networks are, and how that is known.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Here(String),
    Elsewhere(&'static str),
    /// No network has its bridge here. That proves nothing of networks that are just made or removed.
    NoBridge,
}

/// Whether the engine's networks are on this machine.
fn are_here(info: &SystemInfo, networks: &[BollardNetwork], machine: &Machine, podman: bool) -> Verdict {
    let not = Verdict::Elsewhere;
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
    // The names of Docker's bridges are unique, so they prove whether it is this network namespace. Podman's are not
    // unique, and exist only while a container runs.
    let here = |network: &&BollardNetwork| interface(network).is_some_and(|it| machine.interfaces.contains(&it));
    if let Some(network) = others.iter().copied().find(here).filter(|_| !podman) {
        let name = network.name.as_deref().unwrap_or_default();
        return Verdict::Here(format!("the bridge of its network `{name}` is an interface of this machine"));
    }
    let same = |theirs: &Option<String>, ours: &str| theirs.as_deref() == Some(ours);
    if !same(&info.kernel_version, &machine.kernel) || !same(&info.name, &machine.host_name) {
        return not("the engine's machine has another name, or another kernel");
    }
    if !podman && !others.is_empty() {
        return Verdict::NoBridge;
    }
    match default.first().filter(|_| !podman) {
        Some(network) if !subnets(network).any(|it| machine.addresses.iter().any(|address| it.contains(address))) => {
            not("this machine has no address on its bridge")
        }
        Some(_) => Verdict::Here("this machine has an address on its bridge".to_owned()),
        None => Verdict::Here("the engine's machine has the name and the kernel of this one".to_owned()),
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
    let lookup = timeout(READ_LIMIT, tokio::net::lookup_host((name, 0))).await;
    Ok(lookup.map_err(|_| unknown())?.map_err(|_| unknown())?.next().ok_or_else(unknown)?.ip())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use bollard::models::{Ipam, IpamConfig};

    use super::*;
    use crate::error::ErrorKind;

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
        let verdict = |info: SystemInfo, networks: &[BollardNetwork]| are_here(&info, networks, &machine(), false);
        let here = |info, networks: &[BollardNetwork]| matches!(verdict(info, networks), Verdict::Here(_));
        assert!(here(info(), &[bridge()]));
        assert!(here(info(), &[bridge(), elsewhere(), network("shop", "10.213.0.64/26")]));
        // An engine in another network namespace, beside one whose `docker0` has the same address.
        assert_eq!(verdict(info(), &[bridge(), elsewhere()]), Verdict::NoBridge);
        assert!(!here(info(), &[network("bridge", "172.18.0.0/16")]));
        assert!(!here(SystemInfo { name: Some("colima".to_owned()), ..info() }, &[bridge()]));
        assert!(!here(SystemInfo { operating_system: Some("Docker Desktop".to_owned()), ..info() }, &[bridge()]));
        let rootless = Some(vec!["name=seccomp".to_owned(), "name=rootless".to_owned()]);
        assert!(!here(SystemInfo { security_options: rootless, ..info() }, &[bridge()]));
        // Podman's bridges have other names, and come and go with containers.
        assert!(matches!(are_here(&info(), &[elsewhere()], &machine(), true), Verdict::Here(_)));
        let other = are_here(&info(), &[bridge()], &Machine { linux: false, ..machine() }, false);
        assert!(matches!(other, Verdict::Elsewhere(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_is_just_made_or_removed_proves_nothing() {
        let (alone, going) = ([network("bridge", "172.17.0.0/16")], network("other", "10.213.0.0/26"));
        let lists = async |going_for: u32| {
            let seen = Cell::new(0);
            let verdict = judged(async || {
                seen.set(seen.get() + 1);
                let both = [alone[0].clone(), going.clone()];
                let networks: &[BollardNetwork] = if seen.get() > going_for { &alone } else { &both };
                Ok(are_here(&info(), networks, &machine(), false))
            });
            (verdict.await.expect("a verdict"), seen.get())
        };
        assert!(matches!(lists(1).await, (Verdict::Here(_), 2)), "it was removed");
        assert_eq!(lists(LISTS).await, (Verdict::NoBridge, LISTS), "it stays, and has no bridge here");
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
