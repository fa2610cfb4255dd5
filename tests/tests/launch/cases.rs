//! The cases.

use std::sync::Arc;
use std::time::Duration;

use haddock_core::ErrorKind;
use haddock_core::container::{Container, ContainerState, Selector, label};
use haddock_core::environment::DependencyCondition;
use haddock_core::environment::launch::{LaunchPlan, Launched, launch, teardown};
use haddock_core::environment::probe::{Probe, Prober};
use haddock_core::{JournalId, SystemClock};
use haddock_tests::environment::{Corner, after, checked, component, linked, name};
use tokio::time::timeout;

use DependencyCondition::{CompletedSuccessfully, Healthy, Started};

/// An oracle with a health check, a migration, an application that needs both, and a proxy in front.
pub(crate) async fn shop(corner: &Corner<'_>) -> LaunchPlan {
    let harness = corner.harness;
    let oracle = checked(component(harness, &["serve"]), harness.checking(0).expect("health checks are run"));
    let migrate = after(component(harness, &["exit", "0"]), "oracle", Healthy);
    let app = linked(component(harness, &["serve"]), "oracle", "db");
    let app = after(app, "migrate", CompletedSuccessfully);
    let web = after(linked(component(harness, &["serve"]), "app", "app"), "oracle", Started);
    corner.plan(1, [("oracle", oracle), ("migrate", migrate), ("app", app), ("web", web)]).await
}

async fn up(corner: &Corner<'_>, plan: &LaunchPlan) -> Launched {
    launch(corner.runtime(), plan).await.expect("launched")
}

fn started(launched: &Launched, component: &str) -> u64 {
    launched.containers[&name(component)].started
}

pub(crate) async fn an_environment_comes_up_in_order_and_goes_down(corner: &Corner<'_>) {
    let plan = shop(corner).await;
    let launched = up(corner, &plan).await;
    let order = ["oracle", "migrate", "app", "web"].map(|component| started(&launched, component));
    assert!(order.is_sorted() && order[0] > 0, "{order:?}");
    let migrated = ContainerState::Exited { code: 0, out_of_memory: false };
    assert_eq!(launched.containers[&name("migrate")].state, migrated);

    let address = launched.entry.expect("the entry has an address");
    let prober =
        Prober::start(Probe { http: Some("/".to_owned()), ..Probe::tcp(address) }, Arc::new(SystemClock::new()));
    let mut verdicts = prober.subscribe();
    let ready = verdicts.wait_for(|verdict| verdict.as_ref().is_some_and(|verdict| verdict.is_healthy()));
    timeout(Duration::from_secs(10), ready).await.expect("ready in time").expect("the prober lives");

    let names = ["app", "migrate", "oracle", "web"].map(|component| format!("{}-{component}", plan.instance));
    let networks = usize::from(corner.runtime().capabilities().networks);
    assert_eq!(corner.inventory().await, (names.to_vec(), networks));
    for _ in 0..2 {
        teardown(corner.runtime(), &plan.journal, &plan.instance).await.expect("taken down");
        assert_eq!(corner.inventory().await, (vec![], 0));
    }
}

pub(crate) async fn a_launch_by_the_next_controller_takes_over_what_is_there(corner: &Corner<'_>) {
    let plan = shop(corner).await;
    let first = up(corner, &plan).await;
    let next = LaunchPlan { epoch: 2, ..plan };
    let again = up(corner, &next).await;
    let lives = |launched: &Launched| -> Vec<_> { launched.containers.values().map(Container::incarnation).collect() };
    assert_eq!(lives(&again), lives(&first), "nothing was started again, the migration least of all");
    assert_eq!(again.entry, first.entry);
}

pub(crate) async fn a_component_that_ends_is_told_with_its_log(corner: &Corner<'_>) {
    let web = after(component(corner.harness, &["serve"]), "oracle", Healthy);
    let oracle = checked(component(corner.harness, &["exit", "7"]), corner.harness.checking(1).expect("checks"));
    let plan = corner.plan(1, [("web", web), ("oracle", oracle)]).await;
    let error = launch(corner.runtime(), &plan).await.expect_err("it ended");
    assert_eq!(error.kind(), ErrorKind::ContainerExited);
    assert!(error.message().starts_with("component `oracle` exited with code 7"), "{error}");
    assert_eq!(error.log_tail().last().map(String::as_str), Some("line 5"), "{error:?}");
    assert_eq!(corner.inventory().await.0.len(), 2, "what was made stays for the teardown");
    // Not run again, and the same answer.
    let again = launch(corner.runtime(), &plan).await.expect_err("it ended");
    assert_eq!(again, error);
}

pub(crate) async fn an_unhealthy_dependency_is_told_with_what_its_check_said(corner: &Corner<'_>) {
    let missing = vec!["CMD".to_owned(), "/no/such/checker".to_owned()];
    let failing = corner.harness.checking(1).expect("checks");
    for (number, test, said) in [(1, failing, "the check ended with 1"), (2, missing, "/no/such/checker")] {
        let web = after(component(corner.harness, &["serve"]), "oracle", Healthy);
        let oracle = checked(component(corner.harness, &["serve"]), test);
        let plan = corner.plan(number, [("web", web), ("oracle", oracle)]).await;
        let error = launch(corner.runtime(), &plan).await.expect_err("it is unhealthy");
        assert_eq!(error.kind(), ErrorKind::NeverReady);
        assert!(error.message().starts_with("component `oracle` is unhealthy"), "{error}");
        assert!(error.message().contains(said), "{error}");
        assert_eq!(error.log_tail(), ["serving"]);
    }
}

pub(crate) async fn a_dependency_that_is_never_ready_ends_at_the_deadline(corner: &Corner<'_>) {
    let web = after(component(corner.harness, &["serve"]), "migrate", CompletedSuccessfully);
    let plan = corner.plan(1, [("web", web), ("migrate", component(corner.harness, &["serve"]))]).await;
    let plan = LaunchPlan { within: Duration::from_secs(8), ..plan };
    let error = launch(corner.runtime(), &plan).await.expect_err("time is up");
    assert_eq!(error.kind(), ErrorKind::NeverReady);
    assert!(error.message().contains("component `web` waits for `migrate` to be done"), "{error}");
    assert_eq!(error.log_tail(), ["migrate: serving"]);
}

pub(crate) async fn another_specification_is_not_taken_over(corner: &Corner<'_>) {
    let plan = corner.plan(1, [("web", component(corner.harness, &["serve"]))]).await;
    let before = up(corner, &plan).await;
    let other = LaunchPlan { spec_digest: "digest-2".to_owned(), ..plan.clone() };
    let error = launch(corner.runtime(), &other).await.expect_err("made from another");
    assert_eq!(error.kind(), ErrorKind::NameTaken);
    assert_eq!(up(corner, &plan).await, before);
}

pub(crate) async fn labels_of_the_user_do_not_replace_ours(corner: &Corner<'_>) {
    let mut web = component(corner.harness, &["serve"]);
    web.labels.insert("team".to_owned(), "shop".to_owned());
    web.labels.insert(label::JOURNAL.to_owned(), "stolen".to_owned());
    web.labels.insert("haddock.keep".to_owned(), "for ever".to_owned());
    let plan = corner.plan(1, [("web", web)]).await;
    let launched = up(corner, &plan).await;
    let labels = &launched.containers[&name("web")].labels;
    assert_eq!(labels.get("team").map(String::as_str), Some("shop"));
    assert_eq!(labels.get(label::JOURNAL).map(String::as_str), Some(plan.journal.as_str()));
    assert_eq!(labels.get("haddock.keep"), None);
}

pub(crate) async fn a_teardown_leaves_others_alone(corner: &Corner<'_>) {
    let other =
        Corner { harness: corner.harness, journal: JournalId::new(format!("{}f", corner.journal)).expect("ok") };
    let ours = corner.plan(1, [("web", component(corner.harness, &["serve"]))]).await;
    let next = LaunchPlan { instance: corner.instance(2), ..ours.clone() };
    let theirs = LaunchPlan { journal: other.journal.clone(), instance: other.instance(1), ..ours.clone() };
    up(corner, &ours).await;
    let (next, theirs) = (up(corner, &next).await, up(&other, &theirs).await);
    // The uid of an environment is not enough: the journal has to be ours too.
    teardown(corner.runtime(), &corner.journal, &other.instance(1)).await.expect("nothing to do");
    teardown(corner.runtime(), &corner.journal, &ours.instance).await.expect("taken down");
    let left = corner.runtime().list(&Selector::journal(&corner.journal)).await.expect("a list");
    assert_eq!(left, next.containers.into_values().collect::<Vec<_>>());
    let left = corner.runtime().list(&Selector::journal(&other.journal)).await.expect("a list");
    other.clean().await;
    assert_eq!(left, theirs.containers.into_values().collect::<Vec<_>>());
}

pub(crate) async fn a_launch_that_was_cut_off_is_finished_by_the_next(corner: &Corner<'_>) {
    let plan = shop(corner).await;
    // Cut off at more and more distant moments, until one is not.
    let mut cuts = 0;
    let launched = loop {
        match timeout(Duration::from_millis(5 + 40 * cuts), launch(corner.runtime(), &plan)).await {
            Ok(launched) => break launched.expect("launched"),
            Err(_) => cuts += 1,
        }
    };
    assert!(cuts > 0, "it was cut off at least once");
    assert_eq!(corner.inventory().await.0.len(), 4);
    let migration = launched.containers[&name("migrate")].id.clone();
    assert_eq!(corner.runtime().logs(&migration, 100).await.expect("logs").len(), 5, "it ran once");
}
