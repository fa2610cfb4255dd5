//! This machine's network, from the kernel's tables.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// A subnet that this machine uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) subnet: Ipv4Net,
    pub(super) of: Of,
}

/// What a subnet belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    /// A route to this interface.
    Interface(String),
    /// An address of this machine that no route shows.
    Address,
    /// The next hop of a route.
    Gateway,
    /// A name server of this machine.
    NameServer,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Of::Interface(interface) => write!(f, "the route {} to `{interface}`", self.subnet),
            Of::Address => write!(f, "this machine's address {}", self.subnet.addr()),
            Of::Gateway => write!(f, "the gateway {}", self.subnet.addr()),
            Of::NameServer => write!(f, "the name server {}", self.subnet.addr()),
        }
    }
}

impl Route {
    /// Whether it may belong to a network that the engine is making: its bridge has an address before it has a route.
    pub(super) fn may_be_new(&self) -> bool {
        match &self.of {
            Of::Interface(interface) => interface.starts_with("br-"),
            Of::Address => true,
            Of::Gateway | Of::NameServer => false,
        }
    }

    fn host(address: Ipv4Addr, of: Of) -> Self {
        Self { subnet: Ipv4Net::from(address), of }
    }
}

/// What this machine uses: by its routes, its own addresses, its gateways and name servers.
pub(super) fn of_this_machine() -> Vec<Route> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let table = read("/proc/net/route");
    let mut all: Vec<Route> = routed(&table).collect();
    // An interface's own address is mostly within a route to it.
    let addresses = addresses();
    let alone = addresses.into_iter().filter(|it| !all.iter().any(|route| route.subnet.contains(it)));
    let alone: Vec<Route> = alone.map(|address| Route::host(address, Of::Address)).collect();
    all.extend(alone);
    all.extend(gateways(&table).map(|(_, address)| Route::host(address, Of::Gateway)));
    all.extend(name_servers(&read("/etc/resolv.conf")).map(|address| Route::host(address, Of::NameServer)));
    all
}

/// This machine's own addresses.
pub(super) fn addresses() -> Vec<Ipv4Addr> {
    local(&std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default()).collect()
}

/// The names of this machine's interfaces.
pub(super) fn interfaces() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect()
}

/// The default gateway.
pub(super) fn default_gateway() -> Option<Ipv4Addr> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    gateways(&table).find(|(subnet, _)| subnet.prefix_len() == 0).map(|(_, address)| address)
}

/// Of `/proc/net/route`: interface, destination, gateway and mask, hexadecimal, in the machine's byte order.
fn rows(table: &str) -> impl Iterator<Item = (String, Ipv4Net, Ipv4Addr)> {
    table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The kernel prints the network's byte order as a number of the machine.
        let address = |at: usize| Some(Ipv4Addr::from(u32::from_be(u32::from_str_radix(fields.get(at)?, 16).ok()?)));
        let subnet = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
        Some(((*fields.first()?).to_owned(), subnet, address(2)?))
    })
}

/// The default route does not count: a subnet with a route of its own does not use it.
fn routed(table: &str) -> impl Iterator<Item = Route> {
    let routes = rows(table).filter(|(_, subnet, _)| subnet.prefix_len() > 0);
    routes.map(|(interface, subnet, _)| Route { subnet, of: Of::Interface(interface) })
}

fn gateways(table: &str) -> impl Iterator<Item = (Ipv4Net, Ipv4Addr)> {
    rows(table).map(|(_, subnet, gateway)| (subnet, gateway)).filter(|(_, gateway)| !gateway.is_unspecified())
}

/// Of `resolv.conf`.
fn name_servers(text: &str) -> impl Iterator<Item = Ipv4Addr> {
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    named.filter(|address: &Ipv4Addr| !address.is_loopback())
}

/// Of `/proc/net/fib_trie`: addresses followed by `/32 host LOCAL`, which the route table does not show.
fn local(trie: &str) -> impl Iterator<Item = Ipv4Addr> {
    let lines: Vec<&str> = trie.lines().map(str::trim).collect();
    let found: Vec<Ipv4Addr> = lines
        .windows(2)
        .filter(|pair| pair[1] == "/32 host LOCAL")
        .filter_map(|pair| pair[0].strip_prefix("|-- ")?.parse().ok())
        .collect();
    found.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().expect("a net")
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let route = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        if cfg!(target_endian = "little") {
            let docker0 = Route { subnet: net("172.17.0.0/16"), of: Of::Interface("docker0".to_owned()) };
            assert_eq!(routed(route).collect::<Vec<_>>(), [docker0]);
            assert_eq!(gateways(route).collect::<Vec<_>>(), [(net("0.0.0.0/0"), Ipv4Addr::new(192, 0, 2, 1))]);
        }
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.8.0.1\n        /32 host LOCAL\n     |-- 10.8.0.0\n        /24 link UNICAST\n";
        let servers = "# nameserver 1.2.3.4\nnameserver 127.0.0.53\nnameserver 10.213.0.2\nnameserver fd00::1\n";
        assert_eq!(name_servers(servers).collect::<Vec<_>>(), [Ipv4Addr::new(10, 213, 0, 2)]);
        assert_eq!(local(trie).collect::<Vec<_>>(), [Ipv4Addr::new(10, 8, 0, 1)]);
    }
}
