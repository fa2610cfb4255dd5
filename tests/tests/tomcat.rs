//! A Tomcat whose sessions are known by its own cookie is released under load: the example `tomcat`, smaller.
//!
//! On a machine that has none of the example's images they are built first, which takes minutes.
//! `HADDOCK_TEST_SKIP_TOMCAT` leaves the test out.

use haddock_examples::tomcat::{Arguments, House, Outcome, Through, missing_for_images, perform};
use haddock_tests::docker::engine;
use haddock_tests::skip;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_basket_is_lost_and_a_log_out_lets_the_old_version_go() {
    if std::env::var_os("HADDOCK_TEST_SKIP_TOMCAT").is_some() {
        return eprintln!("\n!!! SKIPPED: HADDOCK_TEST_SKIP_TOMCAT is set !!!\n");
    }
    if engine().await.is_none() {
        return;
    }
    if let Some(missing) = missing_for_images() {
        return skip(missing);
    }
    let outcome = released(Through::Gateway, 2, false).await;
    let [half, all] = &outcome.old_versions[..] else { panic!("{:?}", outcome.old_versions) };
    assert!(half.went_away > 0 && half.logged_out > 0, "{half:?}");
    assert_eq!(all.went_away, 0, "a good outcome has then waited for no idle time");

    // Each client uses two gateways in turn, which have the same key.
    released(Through::Group, 1, false).await;

    // HAProxy is reloaded, and later killed.
    let disturbed = released(Through::Haproxy, 2, true).await;
    assert_eq!(disturbed.disturbed.len(), 2, "{:?}", disturbed.disturbed);
}

async fn released(through: Through, releases: u32, disturb: bool) -> Outcome {
    let arguments = Arguments { through, json: false, clients: 40, releases, idle: 8, every: 2, disturb };
    let house = House::open(&arguments, None).await.expect("a house");
    let performed = perform(&house, &arguments).await;
    // Whatever happened, no container is left behind.
    house.close().await.expect("all is removed");
    let (outcome, _) = performed.expect("a course");
    assert!(outcome.is_good(), "{:#?}\n{:#?}", outcome.seen.problems, outcome.seen.failures);
    outcome
}
