//! Clients keep to the version that they have met, and go over only to newer ones.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use haddock_core::routing::{client_number, version_of_client};
use proptest::prelude::*;

const CLIENTS: u64 = 4_000;

/// The shares of versions 1 to 3: version 3 has `newest` percent, and version 2 has `second` percent of the rest.
fn shares(second: u32, newest: u32) -> BTreeMap<Option<u64>, u32> {
    let rest = 100 - newest;
    BTreeMap::from([(Some(1), (100 - second) * rest), (Some(2), second * rest), (Some(3), newest * 100)])
}

fn placed(clients: u64, shares: &BTreeMap<Option<u64>, u32>) -> Vec<Option<u64>> {
    let place = |client| version_of_client(shares, |version| client_number(client, version)).expect("a share");
    (0..CLIENTS).map(|n| place(clients.wrapping_add(n.wrapping_mul(0x2545_f491_4f6c_dd1d)))).collect()
}

/// Whether so many of the clients are within five standard deviations of a share of ten thousand.
fn is_met(count: usize, share: u32) -> bool {
    let (n, p) = (CLIENTS as f64, f64::from(share) / 1e4);
    (count as f64 - n * p).abs() <= 5.0 * (n * p * (1.0 - p)).sqrt() + 1e-9
}

proptest! {
    #[test]
    fn nobody_goes_back_and_shares_are_met(
        clients: u64,
        mut second in prop::collection::vec(0_u32..=100, 1..8),
        mut newest in prop::collection::vec(0_u32..=100, 1..8),
    ) {
        second.sort_unstable();
        newest.sort_unstable();
        let mut before: Option<Vec<Option<u64>>> = None;
        for step in 0..second.len().max(newest.len()) {
            let at = |values: &[u32]| values[step.min(values.len() - 1)];
            let shares = shares(at(&second), at(&newest));
            let now = placed(clients, &shares);
            if let Some(before) = &before {
                let back = before.iter().zip(&now).filter(|(before, now)| now < before).count();
                prop_assert_eq!(back, 0, "{:?}", shares);
            }
            for (version, share) in &shares {
                let count = now.iter().filter(|it| *it == version).count();
                prop_assert!(is_met(count, *share), "{:?}: {} of {:?}", version, count, shares);
            }
            before = Some(now);
        }
    }
}

#[test]
fn each_release_begins_with_other_clients() {
    let tenth = |old: u64| BTreeMap::from([(Some(old), 9_000), (Some(old + 1), 1_000)]);
    let (first, second) = (placed(7, &tenth(1)), placed(7, &tenth(2)));
    let both = first.iter().zip(&second).filter(|(a, b)| (**a, **b) == (Some(2), Some(3))).count();
    assert!(is_met(both, 100), "{both}: a tenth of a tenth are the first both times");
}

#[test]
fn only_a_version_that_loses_its_share_loses_its_clients() {
    let met = placed(7, &BTreeMap::from([(Some(1), 5_000), (Some(2), 5_000)]));
    let aborted = placed(7, &BTreeMap::from([(Some(1), 10_000), (Some(2), 0)]));
    assert!(aborted.iter().all(|version| *version == Some(1)));
    // The next one finds those of version 1 as they were, and begins among all of them.
    let next = placed(7, &BTreeMap::from([(Some(1), 7_500), (Some(3), 2_500)]));
    let came = |from: u64| {
        let of = met.iter().zip(&next).filter(|(before, now)| **before == Some(from) && **now == Some(3));
        of.count() as f64
    };
    assert!((came(1) / came(2) - 1.0).abs() < 0.35, "{} and {}", came(1), came(2));
}
