//! What is on disk: before it is said, when the disk is full, and for one gateway alone.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use haddock_core::locator::gateway::Gateway;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{CloseAnswer, RoutingTable, Watermark};
use haddock_core::{ErrorKind, InstanceId, JournalId};

use crate::world::{Instance, World, get, number, service, table};

const IDLE: Duration = Duration::from_secs(60);

fn id(name: &str) -> InstanceId {
    InstanceId::new(name).expect("valid")
}

/// Where the service's state is written before it takes its place.
fn beside(world: &World) -> PathBuf {
    world.dir.path().join("state/service-shop.new")
}

#[tokio::test]
async fn a_full_disk_is_told_and_neither_a_table_nor_a_closed_mark_is_lost() {
    let world = World::new(false).await;
    let (one, two) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    let tables =
        [[100, 0], [0, 100]].map(|shares| [("shop-1", one.address, shares[0]), ("shop-2", two.address, shares[1])]);
    let locator = world.locator();
    locator.apply(&table(1, IDLE, &tables[0])).await.expect("new");
    let mut cookies = Cookies::new();
    get(world.address(), "/", &mut cookies).await;
    locator.apply(&table(2, IDLE, &tables[1])).await.expect("new");
    world.clock.pass(IDLE * 2);

    symlink("/dev/full", beside(&world)).expect("ours");
    let error = locator.close(&service(), &id("shop-1"), number(3)).await.expect_err("no room");
    assert!(error.message().contains("No space left") && error.hint().is_some(), "{error:#}");
    // Whatever was left half written is gone, or the next write would do.
    symlink("/dev/full", beside(&world)).expect("it was taken away");
    let report = locator.observe(&service()).await.expect("an answer");
    assert_eq!((report.newest, report.instances[&id("shop-1")].closed), (number(2), false), "it is not on disk");
    assert!(world.metrics().await.contains("\nhaddock_state_unsaved 1\n"));
    assert!(report.unsaved.is_some_and(|why| why.contains("No space left")), "whoever looks is told");
    // Until it is, nothing gets there, and nothing that is older is taken up.
    locator.close(&service(), &id("shop-1"), number(2)).await.expect_err("older than what was asked for");
    assert_eq!(get(world.address(), "/", &mut cookies).await.instance(), Some(id("shop-2")));
    let error = locator.apply(&table(4, IDLE, &tables[0])).await.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(get(world.address(), "/", &mut Cookies::new()).await.instance(), Some(id("shop-2")), "it is as it was");

    // There is room again, and the same call is enough.
    let closed = locator.close(&service(), &id("shop-1"), number(5)).await.expect("room");
    assert_eq!(closed, CloseAnswer::Closed);
    let report = locator.observe(&service()).await.expect("an answer");
    assert_eq!((report.newest, report.instances[&id("shop-1")].closed), (number(5), true));
    assert_eq!(report.unsaved, None);
    assert!(world.metrics().await.contains("\nhaddock_state_unsaved 0\n"));
    world.restart().await;
    assert!(world.locator().observe(&service()).await.expect("an answer").instances[&id("shop-1")].closed);
}

#[tokio::test]
async fn what_was_evicted_without_room_may_open_again_after_a_restart_and_nobody_was_told_otherwise() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    symlink("/dev/full", beside(&world)).expect("ours");
    world.locator().evict(&service(), &id("shop-1"), number(2)).await.expect_err("no room");
    assert!(!world.locator().observe(&service()).await.expect("an answer").instances[&id("shop-1")].closed);
    assert_eq!(get(world.address(), "/", &mut Cookies::new()).await.status, 503);
    world.restart().await;
    assert_eq!(get(world.address(), "/", &mut Cookies::new()).await.status, 200);
}

#[tokio::test]
async fn a_gateway_that_knows_its_state_starts_on_a_full_disk() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    symlink("/dev/full", world.dir.path().join("state/gateway.new")).expect("ours");
    world.restart().await;
    assert_eq!(get(world.address(), "/", &mut Cookies::new()).await.status, 200);
}

#[tokio::test]
async fn one_gateway_at_a_time_has_a_state_directory() {
    let world = World::new(false).await;
    let again = || Gateway::builder().state_dir(world.dir.path().join("state")).start();
    let error = again().await.expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::Busy);
    let old = world.take();
    let locator = old.locator();
    old.shutdown(Duration::from_secs(1)).await;
    let next = again().await.expect("free");
    // Whoever has the locator of the old one still cannot write over what the next one keeps.
    let error = locator.evict(&service(), &id("shop-1"), number(9)).await.expect_err("it has ended");
    assert_eq!(error.kind(), ErrorKind::LocatorUnavailable);
    assert!(next.locator().observe(&service()).await.expect("an answer").instances.is_empty());
}

#[tokio::test]
async fn the_figures_of_the_gone_leave_reports_metrics_and_files() {
    let world = World::new(true).await;
    let journal = JournalId::new("0123456789abcdef").expect("valid");
    let of = |n: u64| InstanceId::of(&journal, &service(), n);
    let instance = Instance::start("any").await;
    for n in 1..30 {
        let routes = [(n, 0), (n + 1, 100)].map(|(n, share)| (of(n), share));
        let names = routes.each_ref().map(|(id, share)| (id.as_str(), instance.address, *share));
        let watermark = Some(Watermark { journal: journal.clone(), oldest: n });
        let table = RoutingTable { watermark, ..table(n * 2, IDLE, &names) };
        world.locator().apply(&table).await.expect("new");
        world.locator().evict(&service(), &of(n), number(n * 2 + 1)).await.expect("new");
        if n % 10 == 0 {
            world.restart().await;
        }
    }
    let there: BTreeMap<_, _> = world.locator().observe(&service()).await.expect("an answer").instances;
    assert_eq!(there.keys().cloned().collect::<Vec<_>>(), [of(29), of(30)]);
    let metrics = world.metrics().await;
    assert!(metrics.contains(of(29).as_str()) && !metrics.contains(of(28).as_str()), "{metrics}");
    let file = std::fs::read_to_string(world.dir.path().join("state/service-shop.json")).expect("there");
    assert!(!file.contains(of(27).as_str()), "{file}");
}
