//! A launch and a teardown that fail at each of their calls, and are done again.

use std::sync::Arc;

use haddock_core::environment::launch::{launch, teardown};
use haddock_tests::environment::Corner;
use haddock_tests::faulty::{Fault, Faulty};
use haddock_tests::process::ProcessHarness;

#[tokio::test]
async fn a_launch_and_a_teardown_that_fail_at_any_call_are_done_by_the_next() {
    let harness = ProcessHarness::new(env!("CARGO_BIN_EXE_fixture"));
    for fault in [Fault::Fails, Fault::Lost] {
        let mut failed = [0, 0];
        for at in 0.. {
            let corner = Corner::new(&harness);
            let plan = super::cases::shop(&corner).await;
            let faulty = || Faulty::new(Arc::new(harness.runtime.clone()), at, fault);

            let launched = launch(&*faulty(), &plan).await;
            if launched.is_err() {
                failed[0] += 1;
                launch(&harness.runtime, &plan).await.expect("the next does it");
            }
            assert_eq!(corner.inventory().await.0.len(), 4, "call {at}");
            let down = teardown(&*faulty(), &plan.journal, &plan.instance).await;
            if down.is_err() {
                failed[1] += 1;
                teardown(&harness.runtime, &plan.journal, &plan.instance).await.expect("the next does it");
            }
            assert_eq!(corner.inventory().await, (vec![], 0), "call {at}");
            if launched.is_ok() && down.is_ok() && at > 60 {
                break;
            }
        }
        assert!(failed[0] >= 12 && failed[1] >= 5, "the faults were met: {failed:?}");
    }
}
