//! Clients that stay on the version that they have met.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a locator decides where a new session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "gateway", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SessionBy {
    /// Each session by itself, in proportion to the shares.
    #[default]
    Session,
    /// The client decides, as [`version_of_client`] says: a client keeps to the version that it has met, over its sessions,
    /// and goes over only to newer ones. The locator knows it by a cookie of its own, which lasts for a year.
    Client,
}

impl SessionBy {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The version to which a client's new session goes. `None` if no version has a share.
///
/// `shares` are the shares of the versions, as weights: they need not add up to anything. `number` gives a random number for each
/// version. It has to be the same for the client and the version at all times, and independent of the client's numbers for
/// other versions. A keyed hash of both will do.
///
/// From the newest version to the oldest, a client takes the first one whose number lies below the version's part of what
/// the newer ones have left. So the versions get their shares of the clients. When the part of a version grows, clients come
/// to it from older ones, and none leaves it for an older one. And each version begins with other clients than the one
/// before.
///
/// ```
/// use std::collections::BTreeMap;
/// use haddock_core::routing::version_of_client;
///
/// // Of no use but in an example: a client whose number is the same for every version.
/// let place = |client: u64, newest: u32| version_of_client(&BTreeMap::from([(1, 100 - newest), (2, newest)]), |_| client);
/// let quarter = u64::MAX / 4;
/// assert_eq!((place(quarter, 10), place(quarter, 50), place(quarter, 100)), (Some(1), Some(2), Some(2)));
/// assert_eq!(place(quarter, 0), Some(1), "the newest version has lost its share");
/// assert_eq!(version_of_client(&BTreeMap::from([(1, 0)]), |_| 7), None);
/// ```
pub fn version_of_client<V: Ord + Copy>(shares: &BTreeMap<V, u32>, number: impl Fn(V) -> u64) -> Option<V> {
    let mut left: u128 = shares.values().map(|share| u128::from(*share)).sum();
    for (version, share) in shares.iter().rev() {
        let share = u128::from(*share);
        // The number, scaled to what is left (Lemire 2019).
        if (u128::from(number(*version)) * left) >> 64 < share {
            return Some(*version);
        }
        left -= share;
    }
    None
}

/// A random number for a client and a version, for clients that are known by a random number themselves: SplitMix64
/// (Steele, Lea and Flood 2014), over both. It is not keyed, so whoever knows the client's number can compute it.
///
/// ```
/// use haddock_core::routing::client_number;
///
/// assert_eq!(client_number(7, Some(2)), client_number(7, Some(2)));
/// assert_ne!(client_number(7, Some(2)), client_number(7, Some(3)));
/// ```
#[must_use]
pub fn client_number(client: u64, version: Option<u64>) -> u64 {
    let mix = |number: u64| {
        let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    };
    mix(client ^ mix(version.map_or(0, |version| version.wrapping_add(1))))
}
