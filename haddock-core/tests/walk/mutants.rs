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

macro_rules! found {
    ($($name:ident: $fault:ident)*) => {
        $(
            #[test]
            fn $name() {
                is_found(Fault::$fault);
            }
        )*
    };
}

found! {
    a_removal_that_takes_volumes: RemovalTakesVolumes
    a_paused_container_that_is_taken_for_one_that_runs: PausedLooksRunning
    volumes_that_belong_to_a_commit: VolumesBelongToACommit
    a_stopped_container_that_is_made_anew: StoppedIsGone
    an_up_that_is_no_use: UpIsNoUse
    a_dry_run_that_counts_as_a_look: DryRunsCount
    two_at_once_that_do_not_wait: NoTurns
    networks_that_stay: DownLeavesNetworks
    a_component_of_another_profile_that_goes: InactiveIsGone
    an_environment_that_does_not_know_its_file: NoFile
    ports_that_are_not_asked_for_before: PortsAreNotAsked
    what_is_somebody_elses_that_is_not_asked_for_before: OthersAreNotAsked
    a_restarting_container_that_is_taken_for_one_that_has_ended: RestartingLooksExited
    a_container_that_is_known_by_its_name: RenamedIsUnknown
    a_network_that_is_known_by_its_name: NetworksHaveNoIds
    names_that_are_cut: NamesAreCut
    a_part_that_is_taken_for_all: OnlyIsAll
    links_that_down_does_not_ask_for: LinksAreNotAsked
    a_prune_that_decides_before_its_turn: PruneDecidesFirst
}
