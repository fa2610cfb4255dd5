//! The pool that subnets come from.
//!
//! The engine's own pools run out at about 30 networks; ours has 1024 subnets by default.
//!
//! A subnet is free if no network of the engine overlaps it, and no route of this machine is in the way. A route is in
//! the way if it lies within the pool's block, or is that block. A wider one that covers the whole block, as of most
//! VPNs (10.0.0.0/8), is not: the route to the network's bridge is the more specific one, and wins. Behind the VPN, only
//! the addresses of that subnet are out of reach then. Subnets that no route covers at all are taken first.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::error::{Error, ErrorKind, Result};

/// Bits of a subnet: room for 61 containers and the gateway.
const DEFAULT_PREFIX: u8 = 26;

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
        Self { blocks: vec![block], prefix: DEFAULT_PREFIX }
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

    /// The free subnets, beginning at a place that the name decides: two who create the same network meet at the same
    /// subnet, where the engine lets only one of them through; two who create different networks seldom meet.
    pub(super) fn free(&self, name: &str, used: &Used) -> impl Iterator<Item = Ipv4Net> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let count = self.len();
        let first = hasher.finish() % count;
        let all = move || (0..count).map(move |step| self.nth((first + step) % count));
        let unused = move |covered: bool| {
            all().filter(move |(block, subnet)| {
                !used.routes.iter().any(|it| in_the_way(*it, *block, *subnet))
                    && !used.networks.iter().any(|it| overlap(*it, *subnet))
                    && used.routes.iter().any(|it| overlap(*it, *subnet)) == covered
            })
        };
        unused(false).chain(unused(true)).map(|(_, subnet)| subnet)
    }

    /// How many subnets this covers.
    pub(super) fn taken_by(&self, route: Ipv4Net) -> u64 {
        (0..self.len()).map(|n| self.nth(n)).filter(|(block, subnet)| in_the_way(route, *block, *subnet)).count() as u64
    }

    /// A subnet, with its block.
    fn nth(&self, mut n: u64) -> (Ipv4Net, Ipv4Net) {
        for block in &self.blocks {
            let subnets = 1_u64 << (self.prefix - block.prefix_len());
            if n < subnets {
                let offset = u32::try_from(n << (32 - self.prefix)).expect("it lies within a block");
                let address = u32::from(block.network()) + offset;
                return (*block, Ipv4Net::new_assert(address.into(), self.prefix));
            }
            n -= subnets;
        }
        unreachable!("n is less than the pool's length")
    }
}

impl fmt::Display for AddressPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for block in &self.blocks {
            write!(f, "{block},")?;
        }
        write!(f, "size={}", self.prefix)
    }
}

/// Reads blocks, and the length of a subnet's prefix, which is 26 if it is not there.
///
/// ```
/// use haddock_core::runtime::docker::AddressPool;
///
/// let pool: AddressPool = "172.28.0.0/14,192.168.128.0/17,size=25".parse()?;
/// assert_eq!(pool.len(), 2048 + 256);
/// # Ok::<_, haddock_core::Error>(())
/// ```
impl FromStr for AddressPool {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut prefix = DEFAULT_PREFIX;
        let mut blocks = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let read = match part.strip_prefix("size=") {
                Some(size) => size.parse().map(|size| prefix = size).is_ok(),
                None => part.parse().map(|block| blocks.push(block)).is_ok(),
            };
            if !read {
                let message = format!("`{part}` in the address pool `{text}` is neither a block nor a size");
                return Err(Error::new(ErrorKind::InvalidValue, message)
                    .with_hint("write blocks and the size of a subnet, such as `172.28.0.0/14,size=26`"));
            }
        }
        Self::new(blocks, prefix)
    }
}

/// What is in use.
#[derive(Debug, Clone, Default)]
pub(super) struct Used {
    /// Subnets of the engine's networks.
    pub(super) networks: Vec<Ipv4Net>,
    /// What this machine's routes and the like lead to.
    pub(super) routes: Vec<Ipv4Net>,
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// Whether a route keeps a subnet of that block from being used.
fn in_the_way(route: Ipv4Net, block: Ipv4Net, subnet: Ipv4Net) -> bool {
    overlap(route, subnet) && route.prefix_len() >= block.prefix_len()
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
        let none = Used::default();
        let mut all: Vec<_> = pool.free("shop", &none).collect();
        assert_eq!(pool.free("shop", &none).collect::<Vec<_>>(), all, "the same name, the same order");
        all.sort();
        let expected = ["10.1.0.0/26", "10.1.0.64/26", "10.1.0.128/26", "10.1.0.192/26", "10.9.0.0/26", "10.9.0.64/26"];
        assert_eq!(all, expected.map(net));

        let networks = vec![net("10.1.0.70/32"), net("10.9.0.0/16"), net("10.1.0.128/25")];
        let used = Used { networks, ..Used::default() };
        assert_eq!(pool.free("shop", &used).collect::<Vec<_>>(), [net("10.1.0.0/26")]);
    }

    #[test]
    fn a_route_that_covers_the_pool_does_not_use_it_up_and_one_within_does() {
        let pool = AddressPool::new([net("10.1.0.0/24"), net("172.30.0.0/25")], 26).expect("valid");
        let free = |routes: &[&str]| {
            let used = Used { routes: routes.iter().map(|it| net(it)).collect(), ..Used::default() };
            pool.free("shop", &used).collect::<Vec<_>>()
        };
        let under_a_vpn = free(&["10.0.0.0/8"]);
        assert_eq!(under_a_vpn.len(), 6);
        // Subnets that no route covers come first.
        assert!(under_a_vpn[..2].iter().all(|subnet| net("172.30.0.0/25").contains(subnet)), "{under_a_vpn:?}");
        assert_eq!(free(&["10.1.0.0/24"]).len(), 2, "somebody has the block itself");
        assert_eq!(free(&["10.0.0.0/8", "10.1.0.64/27", "172.30.0.1/32"]).len(), 4);
        assert_eq!((pool.taken_by(net("10.1.0.0/24")), pool.taken_by(net("10.0.0.0/8"))), (4, 0));
    }

    #[test]
    fn a_pool_is_read_and_written() {
        let pool: AddressPool = "10.1.0.0/24, 172.30.0.0/25,size=27".parse().expect("valid");
        assert_eq!(pool, AddressPool::new([net("10.1.0.0/24"), net("172.30.0.0/25")], 27).expect("valid"));
        assert_eq!(pool.to_string().parse::<AddressPool>().expect("valid"), pool);
        assert_eq!("10.213.0.0/16".parse::<AddressPool>().expect("valid"), AddressPool::default());
        for wrong in ["", "10.1.0.0", "10.1.0.0/24,size=x", "size=26", "10.1.0.0/24,size=30"] {
            assert_eq!(wrong.parse::<AddressPool>().expect_err(wrong).kind(), ErrorKind::InvalidValue);
        }
    }

    #[test]
    fn a_pool_must_hold_a_subnet() {
        for (blocks, prefix) in [(vec![], 26), (vec![net("10.1.0.0/27")], 26), (vec![net("10.1.0.0/24")], 30)] {
            assert_eq!(AddressPool::new(blocks, prefix).expect_err("invalid").kind(), ErrorKind::InvalidValue);
        }
    }
}
