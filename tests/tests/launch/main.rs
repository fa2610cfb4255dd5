//! Launch and teardown of environments, the same on Docker and with processes.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use haddock_core::runtime::suite::RuntimeHarness;
use haddock_tests::environment::Corner;

mod cases;
mod faults;

/// Runs a case in a corner of its own, and removes what it left there.
async fn run(harness: &dyn RuntimeHarness, case: impl AsyncFnOnce(&Corner<'_>)) {
    let corner = Corner::new(harness);
    let outcome = AssertUnwindSafe(case(&corner)).catch_unwind().await;
    corner.clean().await;
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
                    super::run(&harness, super::cases::$case).await;
                }
            )+
        }
        mod docker {
            $(
                #[tokio::test]
                async fn $case() {
                    if let Some(harness) = haddock_tests::docker::DockerHarness::new().await {
                        super::run(&harness, super::cases::$case).await;
                    }
                }
            )+
        }
    };
}

on_both! {
    an_environment_comes_up_in_order_and_goes_down
    a_launch_by_the_next_controller_takes_over_what_is_there
    a_component_that_ends_is_told_with_its_log
    an_unhealthy_dependency_is_told_with_what_its_check_said
    a_dependency_that_is_never_ready_ends_at_the_deadline
    another_specification_is_not_taken_over
    labels_of_the_user_do_not_replace_ours
    a_teardown_leaves_others_alone
    a_launch_that_was_cut_off_is_finished_by_the_next
}
