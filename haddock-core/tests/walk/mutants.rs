//! Planted faults: each has to be found within a bounded number of walks. They are those that users met.

use std::collections::BTreeSet;

use super::flaky::Fault;
use super::runner::{many, report, shrink, take};
use super::step::walk;

/// How many walks a fault may survive.
const BOUND: u64 = 5_000;

fn is_found(fault: Fault) {
    let faults = BTreeSet::from([fault]);
    let (wrong, _) = many(0, BOUND, &faults);
    let Some(seed) = wrong else { panic!("{fault:?} is not found in {BOUND} walks") };
    let (setup, steps) = walk(seed);
    let violation = take(setup, &steps, &faults).violation;
    let Some(violation) = violation else { report(seed, &faults) };
    let fewer = shrink(setup, steps, &faults, violation.invariant);
    println!("{fault:?} is found in walk {seed}: {}: {}", violation.invariant, violation.what);
    println!("{}", take(setup, &fewer, &faults).trace.join("\n"));
    assert!(take(setup, &fewer, &BTreeSet::new()).violation.is_none(), "it is the fault that is found");
}

#[test]
#[ignore = "a gap hides it"]
fn networks_that_stay_are_found() {
    is_found(Fault::DownLeavesNetworks);
}
