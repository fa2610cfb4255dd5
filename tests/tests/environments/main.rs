//! Environments by name: brought up, changed, and taken down, the same on Docker and with processes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::suite::RuntimeHarness;
use haddock_tests::environment::Corner;

mod cases;
mod faults;
mod keeping;
mod links;
mod place;

use place::Place;

/// Runs a case at a place of its own, and removes what it left there.
async fn run(harness: &dyn RuntimeHarness, runtime: Arc<dyn ContainerRuntime>, case: impl AsyncFnOnce(&Place<'_>)) {
    let place = Place::new(Corner::new(harness), runtime);
    let outcome = AssertUnwindSafe(case(&place)).catch_unwind().await;
    place.corner.clean().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

macro_rules! on_both {
    ($($case:ident)+) => {
        mod process {
            $(
                #[tokio::test]
                async fn $case() {
                    let harness = haddock_tests::process::ProcessHarness::new(env!("CARGO_BIN_EXE_fixture"));
                    let runtime = std::sync::Arc::new(harness.runtime.clone());
                    super::run(&harness, runtime, super::cases::$case).await;
                }
            )+
        }
        mod docker {
            $(
                #[tokio::test]
                async fn $case() {
                    if let Some(harness) = haddock_tests::docker::DockerHarness::new().await {
                        let runtime = std::sync::Arc::new(harness.runtime.clone());
                        super::run(&harness, runtime, super::cases::$case).await;
                    }
                }
            )+
        }
    };
}

on_both! {
    an_environment_comes_up_ready_and_goes_down
    a_second_up_finds_nothing_to_do
    a_part_comes_up_with_what_it_needs_and_stays
    what_is_changed_is_replaced_with_what_stands_on_it
    a_failure_takes_back_what_it_made_and_nothing_else
    a_failure_may_leave_what_it_made
    what_is_never_ready_is_told_with_its_log
    three_at_once_make_one
    names_of_others_are_left_alone
    two_copies_do_not_know_each_other
}

/// What takes volumes, or a look at what containers do.
mod docker_only {
    macro_rules! on_docker {
        ($($case:ident)+) => {$(
            #[tokio::test]
            async fn $case() {
                if let Some(harness) = haddock_tests::docker::DockerHarness::new().await {
                    let runtime = std::sync::Arc::new(harness.runtime.clone());
                    super::run(&harness, runtime, super::keeping::$case).await;
                }
            }
        )+};
    }

    on_docker! {
        what_nobody_uses_ends_and_a_silent_connection_keeps_it
        what_a_killed_owner_left_is_removed
        volumes_stay_until_told_otherwise
        what_is_shared_comes_up_once
    }
}
