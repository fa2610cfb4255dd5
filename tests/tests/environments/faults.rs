//! An `up`, a change and a `down` that go wrong, or are killed, at each of their calls: the same again comes to the same
//! end.

use std::sync::Arc;

use haddock_core::environment::environments::UpOptions;
use haddock_core::runtime::ContainerRuntime;
use haddock_tests::environment::Corner;
use haddock_tests::faulty::{Fault, Faulty};
use haddock_tests::process::ProcessHarness;

use crate::place::{Place, changed};

/// How often each went wrong.
#[derive(Debug, Default, PartialEq, Eq)]
struct Met {
    up: usize,
    change: usize,
    down: usize,
}

#[tokio::test]
async fn whatever_call_goes_wrong_the_same_again_comes_to_the_same_end() {
    let harness = ProcessHarness::new(env!("CARGO_BIN_EXE_fixture"));
    let runtime: Arc<dyn ContainerRuntime> = Arc::new(harness.runtime.clone());
    let options = UpOptions::default();
    for fault in Fault::ALL {
        let mut met = Met::default();
        for at in 0.. {
            let place = Place::new(Corner::new(&harness), Arc::clone(&runtime));
            let (pr, spec) = (place.name("pr"), place.shop().await);
            let well = place.environments();
            let faulty = || Faulty::new(Arc::clone(&runtime), at, fault);

            let one = faulty();
            let up = one.outlive(place.environments_on(one.clone()).up(&pr, &spec, &options)).await;
            if !matches!(up, Some(Ok(_))) {
                met.up += 1;
                if fault == Fault::Fails {
                    // The last call only looks at what is up already.
                    let left = place.corner.inventory().await.0;
                    let whole = || async { well.plan(&pr, &spec, &options).await.expect("a plan").is_empty() };
                    assert!(left.is_empty() || whole().await, "{at}: it is undone, and not {left:?}");
                }
                well.up(&pr, &spec, &options).await.expect("the next does it");
            }
            let again = well.up(&pr, &spec, &options).await.expect("nothing to do");
            assert!(again.plan.is_empty() && place.ids(&pr).await.len() == 4, "{fault:?} {at}: {}", again.plan);

            let (two, other) = (faulty(), changed(&spec, "app"));
            let change = two.outlive(place.environments_on(two.clone()).up(&pr, &other, &options)).await;
            if !matches!(change, Some(Ok(_))) {
                met.change += 1;
                well.up(&pr, &other, &options).await.expect("the next does it");
            }
            let again = well.up(&pr, &other, &options).await.expect("nothing to do");
            assert!(again.plan.is_empty() && place.ids(&pr).await.len() == 4, "{fault:?} {at}: {}", again.plan);

            let three = faulty();
            let down = three.outlive(place.environments_on(three.clone()).down(&pr, false)).await;
            if !matches!(down, Some(Ok(_))) {
                met.down += 1;
                well.down(&pr, false).await.expect("the next does it");
            }
            assert_eq!(place.corner.inventory().await, (vec![], 0), "{fault:?} {at}");
            let done = |it: &Option<haddock_core::Result<_>>| matches!(it, Some(Ok(_)));
            if done(&up.map(|it| it.map(drop))) && done(&change.map(|it| it.map(drop))) && at > 60 {
                break;
            }
        }
        assert!(met.up >= 18 && met.change >= 12 && met.down >= 5, "{fault:?}: the faults were met: {met:?}");
    }
}
