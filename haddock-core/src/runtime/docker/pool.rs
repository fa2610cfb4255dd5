//! The pool that subnets come from.
//!
//! The engine's own pools run out at about 30 networks; ours has 1024 subnets by default.

use std::hash::{DefaultHasher, Hash, Hasher};

use ipnet::Ipv4Net;

use crate::error::{Error, ErrorKind, Result};

/// Blocks of addresses, cut into subnets of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPool {
    blocks: Vec<Ipv4Net>,
    prefix: u8,
}

impl Default for AddressPool {
    /// /26 out of 10.213.0.0/16.
    fn default() -> Self {
        let block = Ipv4Net::new([10, 213, 0, 0].into(), 16).expect("16 is a length of an IPv4 prefix");
        Self { blocks: vec![block], prefix: 26 }
    }
}

impl AddressPool {
    /// Subnets of `prefix` bits out of these blocks.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if there is no block, a block is smaller than a subnet, or a subnet
    /// would be smaller than /29, which is the least for a gateway and a few containers.
    pub fn new(blocks: impl IntoIterator<Item = Ipv4Net>, prefix: u8) -> Result<Self> {
        let blocks: Vec<Ipv4Net> = blocks.into_iter().map(|block| block.trunc()).collect();
        if blocks.is_empty() {
            return Err(Error::new(ErrorKind::InvalidValue, "an address pool has no block"));
        }
        if prefix > 29 {
            return Err(Error::new(ErrorKind::InvalidValue, format!("a subnet of /{prefix} is too small"))
                .with_hint("use /29 or larger, such as /26"));
        }
        if let Some(block) = blocks.iter().find(|block| block.prefix_len() > prefix) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                format!("`{block}` is smaller than a subnet of /{prefix}"),
            )
            .with_hint("use a larger block, or smaller subnets"));
        }
        Ok(Self { blocks, prefix })
    }

    /// How many subnets it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.blocks.iter().map(|block| 1_u64 << (self.prefix - block.prefix_len())).sum()
    }

    /// Never: a pool has at least one block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The subnets that overlap with none of `used`, beginning at a place that the name decides: two who create the
    /// same network meet at the same subnet, where the engine lets only one of them through; two who create different
    /// networks seldom meet.
    pub(super) fn free(&self, name: &str, used: &[Ipv4Net]) -> impl Iterator<Item = Ipv4Net> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let count = self.len();
        let first = hasher.finish() % count;
        (0..count).map(move |step| self.nth((first + step) % count)).filter(|subnet| {
            !used.iter().any(|other| other.contains(&subnet.network()) || subnet.contains(&other.network()))
        })
    }

    fn nth(&self, mut n: u64) -> Ipv4Net {
        for block in &self.blocks {
            let subnets = 1_u64 << (self.prefix - block.prefix_len());
            if n < subnets {
                let offset = u32::try_from(n << (32 - self.prefix)).expect("it lies within a block");
                let address = u32::from(block.network()) + offset;
                return Ipv4Net::new_assert(address.into(), self.prefix);
            }
            n -= subnets;
        }
        unreachable!("n is less than the pool's length")
    }
}

/// A subnet that this machine uses, and the interface that a route leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) subnet: Ipv4Net,
    pub(super) interface: String,
}

impl Route {
    /// Whether it may belong to a network that the engine is making: its bridge has an address before it has a route.
    pub(super) fn may_be_new(&self) -> bool {
        self.interface.is_empty() || self.interface.starts_with("br-")
    }
}

/// The subnets that this machine's routes and interfaces use, by the kernel's tables.
pub(super) fn of_this_machine() -> Vec<Route> {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let trie = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut all: Vec<Route> = routed(&routes).collect();
    // An interface's own address is mostly within a route to it.
    let alone: Vec<Ipv4Net> = local(&trie).filter(|net| !all.iter().any(|route| route.subnet.contains(net))).collect();
    all.extend(alone.into_iter().map(|subnet| Route { subnet, interface: String::new() }));
    all
}

/// Of `/proc/net/route`: interface, destination and mask, hexadecimal, in the machine's byte order. The default route
/// is not one.
fn routed(table: &str) -> impl Iterator<Item = Route> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let interface = fields.next()?.to_owned();
        let destination = u32::from_str_radix(fields.next()?, 16).ok()?;
        let mask = u32::from_str_radix(fields.nth(5)?, 16).ok()?;
        // The kernel prints the network's byte order as a number of the machine.
        let (destination, mask) = (u32::from_be(destination), u32::from_be(mask));
        let subnet = Ipv4Net::with_netmask(destination.into(), mask.into()).ok()?;
        (mask != 0).then_some(Route { subnet, interface })
    })
}

/// Of `/proc/net/fib_trie`: addresses followed by `/32 host LOCAL`, which the route table does not show.
fn local(trie: &str) -> impl Iterator<Item = Ipv4Net> {
    let lines: Vec<&str> = trie.lines().map(str::trim).collect();
    let found: Vec<Ipv4Net> = lines
        .windows(2)
        .filter(|pair| pair[1] == "/32 host LOCAL")
        .filter_map(|pair| Ipv4Net::new(pair[0].strip_prefix("|-- ")?.parse().ok()?, 32).ok())
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
    fn every_subnet_is_offered_once_and_none_that_overlaps() {
        let pool = AddressPool::new([net("10.1.0.0/24"), net("10.9.0.0/25")], 26).expect("valid");
        assert_eq!(pool.len(), 6);
        let mut all: Vec<_> = pool.free("shop", &[]).collect();
        assert_eq!(pool.free("shop", &[]).collect::<Vec<_>>(), all, "the same name, the same order");
        all.sort();
        let expected = ["10.1.0.0/26", "10.1.0.64/26", "10.1.0.128/26", "10.1.0.192/26", "10.9.0.0/26", "10.9.0.64/26"];
        assert_eq!(all, expected.map(net));

        let used = [net("10.1.0.70/32"), net("10.9.0.0/16"), net("10.1.0.128/25")];
        assert_eq!(pool.free("shop", &used).collect::<Vec<_>>(), [net("10.1.0.0/26")]);
    }

    #[test]
    fn a_pool_must_hold_a_subnet() {
        for (blocks, prefix) in [(vec![], 26), (vec![net("10.1.0.0/27")], 26), (vec![net("10.1.0.0/24")], 30)] {
            assert_eq!(AddressPool::new(blocks, prefix).expect_err("invalid").kind(), ErrorKind::InvalidValue);
        }
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let route = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        if cfg!(target_endian = "little") {
            let docker0 = Route { subnet: net("172.17.0.0/16"), interface: "docker0".to_owned() };
            assert_eq!(routed(route).collect::<Vec<_>>(), [docker0]);
        }
        let trie = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.8.0.1\n        /32 host LOCAL\n     |-- 10.8.0.0\n        /24 link UNICAST\n";
        assert_eq!(local(trie).collect::<Vec<_>>(), [net("10.8.0.1/32")]);
    }
}
