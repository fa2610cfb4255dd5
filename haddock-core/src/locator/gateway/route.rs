//! The prefix that an application's cookie gets. It names the instance that has set the cookie.
//!
//! ```text
//!   JSESSIONID=<24 characters: MAC 18 B, base64url><instance id>.<the application's value>
//! ```
//!
//! The MAC is keyed BLAKE3, cut to 144 bits, under a key derived for the service. It covers the instance and the value.
//! So nobody can pick an instance, nor use the prefix of one value with another. An instance's id has no dot, so the
//! first one ends the prefix.

use crate::name::ServiceName;

use super::cookie::{MAX_INSTANCE_BYTES, decode, encode, same};
use super::key::Keys;

const MAC_BYTES: usize = 18;
/// The MAC in base64, without padding as it is a multiple of three.
const MAC_TEXT_BYTES: usize = MAC_BYTES / 3 * 4;
const SEPARATOR: u8 = b'.';

/// Makes and checks the prefixes of one service, and the ids of its sessions.
pub(super) struct RouteSealer {
    current: [u8; 32],
    previous: Option<[u8; 32]>,
    ids: [u8; 32],
}

impl std::fmt::Debug for RouteSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RouteSealer")
    }
}

/// A value whose prefix is genuine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Routed<'a> {
    pub(super) instance: &'a str,
    /// What the application has set.
    pub(super) plain: &'a [u8],
}

impl RouteSealer {
    pub(super) fn new(keys: &Keys, service: &ServiceName) -> Self {
        // No service's name has a zero in it, so these keys differ from those of the gateway's own cookies.
        let derive = |key: &[u8; 32], purpose: &str| {
            *blake3::keyed_hash(key, format!("{service}\0{purpose}").as_bytes()).as_bytes()
        };
        Self {
            current: derive(keys.current(), "route"),
            previous: keys.previous().map(|key| derive(key, "route")),
            ids: derive(keys.current(), "session"),
        }
    }

    /// The id of the session that the application knows by this value.
    pub(super) fn id(&self, value: &[u8]) -> u64 {
        let mut id = [0; 8];
        id.copy_from_slice(&blake3::keyed_hash(&self.ids, value).as_bytes()[..8]);
        u64::from_be_bytes(id)
    }

    /// Writes the prefix of this value to `out`.
    pub(super) fn seal(&self, instance: &str, plain: &[u8], out: &mut Vec<u8>) {
        encode(&mac(&self.current, instance, plain), out);
        out.extend_from_slice(instance.as_bytes());
        out.push(SEPARATOR);
    }

    /// What the value says, if one of our keys made its prefix.
    pub(super) fn open<'a>(&self, value: &'a [u8]) -> Option<Routed<'a>> {
        let (head, rest) = value.split_at_checked(MAC_TEXT_BYTES)?;
        let dot = rest.iter().take(MAX_INSTANCE_BYTES + 1).position(|byte| *byte == SEPARATOR)?;
        let (instance, plain) = (std::str::from_utf8(&rest[..dot]).ok()?, &rest[dot + 1..]);
        let mut theirs = [0; MAC_BYTES];
        decode(head, &mut theirs)?;
        let genuine = |key| same(&mac(key, instance, plain), &theirs);
        let is_genuine =
            !instance.is_empty() && (genuine(&self.current) || self.previous.as_ref().is_some_and(genuine));
        is_genuine.then_some(Routed { instance, plain })
    }
}

fn mac(key: &[u8; 32], instance: &str, plain: &[u8]) -> [u8; MAC_BYTES] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(instance.as_bytes()).update(&[SEPARATOR]).update(plain);
    let mut out = [0; MAC_BYTES];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..MAC_BYTES]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer(current: u8, previous: Option<u8>, service: &str) -> RouteSealer {
        let keys = Keys::new([current; 32], previous.map(|byte| [byte; 32]));
        RouteSealer::new(&keys, &ServiceName::new(service).expect("valid"))
    }

    fn sealed(sealer: &RouteSealer, instance: &str, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealer.seal(instance, plain, &mut out);
        out.extend_from_slice(plain);
        out
    }

    const PLAIN: &[u8] = b"5A3C9E.node1";

    #[test]
    fn no_bit_can_be_changed_and_nothing_cut_off() {
        let ours = sealer(1, None, "shop");
        let value = sealed(&ours, "shop-1-ab", PLAIN);
        assert_eq!(ours.open(&value), Some(Routed { instance: "shop-1-ab", plain: PLAIN }));
        for at in 0..value.len() {
            for bit in 0..8 {
                let mut altered = value.clone();
                altered[at] ^= 1 << bit;
                assert_eq!(ours.open(&altered), None, "byte {at}, bit {bit}");
            }
            assert_eq!(ours.open(&value[..at]), None);
        }
    }

    #[test]
    fn a_prefix_is_good_for_one_value_of_one_service_under_one_key() {
        let ours = sealer(1, None, "shop");
        let mut replayed = Vec::new();
        ours.seal("shop-1-ab", PLAIN, &mut replayed);
        replayed.extend_from_slice(b"another");
        assert_eq!(ours.open(&replayed), None);
        let value = sealed(&ours, "shop-1-ab", PLAIN);
        assert_eq!(sealer(2, None, "shop").open(&value), None);
        assert_eq!(sealer(1, None, "bank").open(&value), None);
        assert!(sealer(2, Some(1), "shop").open(&value).is_some(), "while keys are rotated");
        assert_ne!(ours.id(PLAIN), sealer(2, None, "shop").id(PLAIN));
        assert_eq!(format!("{ours:?}"), "RouteSealer");
    }

    #[test]
    fn an_empty_value_can_have_a_prefix_and_the_longest_instance_too() {
        let (ours, long) = (sealer(1, None, "shop"), "i".repeat(MAX_INSTANCE_BYTES));
        for (instance, plain) in [("a", b"".as_slice()), (&long, PLAIN)] {
            assert_eq!(ours.open(&sealed(&ours, instance, plain)), Some(Routed { instance, plain }));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(sealer(1, None, "shop").open(&bytes), None);
        }

        #[test]
        fn any_value_survives(instance in "[a-z][a-z0-9-]{0,79}", plain in prop::collection::vec(any::<u8>(), 0..300)) {
            let ours = sealer(1, None, "shop");
            let value = sealed(&ours, &instance, &plain);
            prop_assert_eq!(ours.open(&value), Some(Routed { instance: &instance, plain: &plain }));
        }
    }
}
