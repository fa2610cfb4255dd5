//! The locators' suite fails for a locator that promises more than it does.
#![cfg(all(feature = "controller", feature = "testing"))]
#![allow(missing_docs)]

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use haddock_core::locator::suite::{self, Harness};
use haddock_core::locator::{LocatorCapabilities, ServiceLocator, SessionCount};
use haddock_core::routing::{CloseAnswer, Count, LocatorReport, RoutingTable};
use haddock_core::{FencingToken, InstanceId, Result, ServiceName};

#[path = "../examples/own_locator.rs"]
#[expect(dead_code, unreachable_pub, reason = "the example has a main function")]
mod own_locator;

use own_locator::Router;
use own_locator::tests::Stage;

/// A router that says that it can do more than it can, or does less than it says.
#[derive(Debug)]
struct Liar {
    router: Router,
    says: LocatorCapabilities,
    /// Whether it never knows how many sessions live.
    blind: bool,
    /// Whether it says that an instance is closed, but still sends requests to it.
    closes: bool,
}

impl fmt::Display for Liar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a liar")
    }
}

#[async_trait]
impl ServiceLocator for Liar {
    fn capabilities(&self) -> LocatorCapabilities {
        self.says
    }

    async fn apply(&self, table: &RoutingTable) -> Result<()> {
        let mut table = table.clone();
        if !self.closes {
            return self.router.apply(&table).await;
        }
        // The instance that it has closed gets requests again.
        table.watermark = None;
        self.router.apply(&table).await
    }

    async fn close(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<CloseAnswer> {
        match self.closes {
            true => Ok(CloseAnswer::Closed),
            false => self.router.close(service, instance, number).await,
        }
    }

    async fn evict(&self, service: &ServiceName, instance: &InstanceId, number: FencingToken) -> Result<()> {
        self.router.evict(service, instance, number).await
    }

    async fn observe(&self, service: &ServiceName) -> Result<LocatorReport> {
        let mut report = self.router.observe(service).await?;
        for figures in report.instances.values_mut().filter(|_| self.blind) {
            figures.live = Count::Unknown;
        }
        Ok(report)
    }
}

macro_rules! cases {
    ($($case:ident)*) => {
        /// The names of the cases that it fails.
        async fn failed(stage: impl Fn() -> Stage) -> Vec<&'static str> {
            let mut failed = Vec::new();
            $(
                let case = suite::run(stringify!($case), stage(), suite::$case);
                if AssertUnwindSafe(case).catch_unwind().await.is_err() {
                    failed.push(stringify!($case));
                }
            )*
            failed
        }
    };
}
haddock_core::locator_cases! { [cases] }

async fn failed_of(change: impl Fn(&mut Liar)) -> Vec<&'static str> {
    failed(|| {
        Stage::new(|router| {
            let mut liar = Liar { says: router.capabilities(), router, blind: false, closes: false };
            change(&mut liar);
            Arc::new(liar)
        })
    })
    .await
}

#[tokio::test]
async fn whoever_promises_nothing_that_is_not_there_passes() {
    assert_eq!(failed_of(|_| {}).await, [""; 0]);
}

#[tokio::test]
async fn each_promise_is_looked_at() {
    let hold = failed_of(|liar| liar.says.hold = true).await;
    assert!(hold.contains(&"held_requests_wait_and_go_on_where_they_were"), "{hold:?}");
    let adoption = failed_of(|liar| liar.says.adoption = true).await;
    assert!(adoption.contains(&"sessions_from_before_its_adoption_stay_on_an_instance"), "{adoption:?}");
    let by_client = failed_of(|liar| liar.says.by_client = true).await;
    assert!(by_client.contains(&"a_client_keeps_to_its_version_over_its_sessions"), "{by_client:?}");
    assert!(by_client.contains(&"a_client_goes_over_to_newer_versions_only"), "{by_client:?}");
    let count = failed_of(|liar| liar.blind = true).await;
    assert!(count.contains(&"sessions_and_requests_are_counted"), "{count:?}");
    let close = failed_of(|liar| liar.closes = true).await;
    assert!(close.contains(&"a_close_is_atomic_with_routing") && close.contains(&"close_wants_no_share"), "{close:?}");
    let none = failed_of(|liar| liar.says.session_count = SessionCount::None).await;
    assert!(none.contains(&"sessions_and_requests_are_counted"), "{none:?}: one that cannot count says so");
}

#[test]
fn what_is_left_out_is_known_by_name() {
    let stage = Stage::new(|router| Arc::new(router));
    let dynamic: &dyn Harness = &stage;
    for (case, why) in [
        ("a_hold_ends_by_itself", Some("hold")),
        ("a_named_cookie_tells_sessions_from_before_from_other_clients", Some("adoption")),
        ("a_close_is_atomic_with_routing", None),
    ] {
        assert_eq!(suite::left_out(case, dynamic), why, "{case}");
    }
}
