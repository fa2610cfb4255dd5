//! HAProxy as a locator, with a real HAProxy.
#![allow(missing_docs)]
#![allow(clippy::disallowed_methods, reason = "sessions expire by the clock of HAProxy, which is that of the machine")]

mod faults;
#[path = "../../../haddock-core/tests/gateway/instances.rs"]
mod instances;
mod world;

use haddock_core::locator::suite;
use world::World;

/// The published contract.
macro_rules! contract {
    ($($case:ident)*) => {
        mod keeps_the_contract {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    let Some(world) = World::counting().await else { return };
                    suite::run(stringify!($case), world, suite::$case).await;
                }
            )*

            #[tokio::test]
            async fn cases_left_out() {
                let Some(world) = World::counting().await else { return };
                suite::print_all_left_out(&[$(stringify!($case)),*], &world);
            }
        }
    };
}
haddock_core::locator_cases! { [contract] }
