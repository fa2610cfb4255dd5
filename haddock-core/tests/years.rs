//! What is kept of a service does not grow with the number of its releases.
#![allow(missing_docs)]

#[path = "years/life.rs"]
#[allow(dead_code, unreachable_pub, reason = "the benchmark needs more of it")]
mod life;

use life::Life;

#[test]
fn a_service_that_is_released_for_years_does_not_grow() {
    let mut life = Life::new();
    let began = life.now();
    let mut after = |releases: u64| {
        while life.releases() < releases {
            life.release();
        }
        life.figures()
    };
    let (young, old) = (after(20), after(80));
    // A number with another digit, here and there.
    assert!(old.state <= young.state + 64, "the state grew from {young:?} to {old:?}");
    assert!(old.instances <= young.instances, "the gateway knows those that are gone: {young:?}, {old:?}");
    assert!(old.gateway <= young.gateway + 64, "the gateway keeps those that are gone: {young:?}, {old:?}");
    // Some 4096 records of 32 bytes more than there are sessions.
    assert!((1..256 * 1024).contains(&old.log), "the log of sessions is not written anew: {young:?}, {old:?}");
    assert!(old.specs <= young.specs, "what nothing needs is kept: {young:?}, {old:?}");
    assert!(young.events > 300, "otherwise nothing would be shown: {young:?}");
    // It is pruned once an hour.
    assert!(old.events < 1_100, "the history is not pruned: {old:?}");
    assert!(life.now() - began > std::time::Duration::from_secs(14 * 24 * 3600), "two weeks of virtual time");
}
