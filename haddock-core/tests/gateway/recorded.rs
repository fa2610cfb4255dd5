//! The record of traffic, of a real gateway: over restarts, and with a disk that takes nothing.

use std::sync::Arc;
use std::time::Duration;

use haddock_core::locator::ServiceLocator;
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::locator::sim::SimLocator;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{TrafficGap, TrafficRecord};
use haddock_core::{Clock, ErrorKind, LocatorName, Share, SystemClock, Timestamp};
use http_body_util::Full;

use crate::world::{Instance, World, eventually, get, send, service, table};

const IDLE: Duration = Duration::from_secs(100);
const MINUTE: Duration = Duration::from_secs(60);

async fn record(world: &World, from: Timestamp) -> TrafficRecord {
    world.locator().traffic(&service(), from, world.clock.now()).await.expect("an answer")
}

async fn clients(world: &World, paths: &[&str]) {
    for path in paths {
        get(world.address(), path, &mut Cookies::new()).await;
    }
}

/// Seconds since some time, share, begun, ended, failed, live.
type Row = (u64, Option<Share>, [u64; 3], Option<u64>);

fn rows(record: &TrafficRecord, since: Timestamp) -> Vec<Row> {
    let row = |row: &haddock_core::routing::TrafficMinute| {
        assert_eq!(row.instance.as_str(), "shop-1");
        ((row.minute - since).as_secs(), row.share, [row.begun, row.ended, row.failed], row.live)
    };
    record.minutes.iter().map(row).collect()
}

/// Sessions that begin, fail and end, a restart, and a time in which nobody served.
async fn over_a_restart(remote: bool) {
    let world = World::new(remote).await;
    let one = Instance::start("shop-1").await;
    // The clock begins at 40 s past a minute.
    let start = world.clock.now();
    let minute = start.before(Duration::from_secs(40));
    world.locator().apply(&table(1, IDLE, &[("shop-1", one.address, 100)])).await.expect("new");
    clients(&world, &["/", "/", "/fail"]).await;
    world.clock.pass(MINUTE);
    let path = world.dir.path().join("state/traffic");
    eventually("a minute is written", async || path.is_dir()).await;
    clients(&world, &["/"]).await;
    let full = Some(Share::FULL);
    let before = [(0, full, [3, 0, 1], Some(3)), (60, full, [1, 0, 0], Some(4))];
    assert_eq!(rows(&record(&world, start).await, minute), before, "the present minute is among them");

    // It ends at 1:40, and the next begins at 21:40. By then, the sessions have expired.
    world.kill();
    world.clock.pass(MINUTE * 20);
    world.begin(|builder| builder).await;
    clients(&world, &["/fail"]).await;
    let after = record(&world, start).await;
    assert_eq!(after.gaps, [TrafficGap { from: start + MINUTE, to: start + MINUTE * 21 }]);
    let mut expected = before.to_vec();
    expected.push((21 * 60, full, [1, 0, 1], Some(1)));
    assert_eq!(rows(&after, minute), expected);
    // In steps of less than a minute, as the gateway looks more often than that.
    for _ in 0..5 {
        world.clock.pass(Duration::from_secs(50));
        let minute = world.clock.now().as_millis() / 60_000;
        eventually("the session ends", async || {
            let now = record(&world, start).await;
            now.minutes.last().is_some_and(|row| row.live.is_some() || minute - row.minute.as_millis() / 60_000 < 5)
        })
        .await;
    }
    let after = record(&world, start).await;
    let ended: u64 = after.minutes.iter().map(|row| row.ended).sum();
    assert_eq!((ended, after.minutes.last().and_then(|row| row.live)), (1, Some(0)), "{after:?}");
    assert!(after.minutes.iter().all(|row| row.minute >= minute));
}

#[tokio::test]
async fn the_record_outlives_a_restart_and_the_time_between_is_a_gap() {
    over_a_restart(false).await;
}

#[tokio::test]
async fn it_is_read_from_another_process_too() {
    over_a_restart(true).await;
}

#[tokio::test]
async fn a_disk_that_takes_nothing_stops_no_request() {
    let world = World::new(false).await;
    let one = Instance::start("shop-1").await;
    let start = world.clock.now();
    std::fs::write(world.dir.path().join("state/traffic"), "in the way").expect("ours");
    world.locator().apply(&table(1, IDLE, &[("shop-1", one.address, 100)])).await.expect("new");
    for begun in 1..=3 {
        clients(&world, &["/"]).await;
        assert_eq!(get(world.address(), "/", &mut Cookies::new()).await.status, 200);
        world.clock.pass(MINUTE);
        let record = record(&world, start).await;
        assert_eq!(record.minutes.iter().map(|row| row.begun).sum::<u64>(), 2 * begun, "it is in memory");
    }
}

#[tokio::test]
async fn an_unknown_service_has_no_record_and_a_service_without_traffic_an_empty_one() {
    let world = World::new(true).await;
    let start = world.clock.now();
    world.clock.pass(MINUTE);
    assert!(record(&world, start).await.is_unknown());
    world.kill();
    world.begin(|builder| builder.service(service(), ["shop.example"])).await;
    world.clock.pass(MINUTE);
    let known = record(&world, start + MINUTE).await;
    assert_eq!((known.minutes.len(), known.gaps.len()), (0, 0));
}

#[tokio::test]
async fn the_record_is_closed_without_the_token() {
    let world = World::new(true).await;
    world.kill();
    world.begin(|builder| builder.admin_token("sesame-sesame-sesame")).await;
    let error = world.locator().traffic(&service(), Timestamp::default(), world.clock.now()).await;
    assert!(error.expect_err("no token").hint().is_some_and(|hint| hint.contains("token")));
    let url = format!("http://{}", world.admin());
    let known = RemoteGateway::new(&url, Some("sesame-sesame-sesame")).expect("valid");
    assert!(known.traffic(&service(), world.clock.now(), world.clock.now()).await.is_ok());
    for query in ["", "?from=1", "?from=1&until=x", "?until=-1&from=0"] {
        let request = http::Request::get(format!("/v1/services/shop/traffic{query}"))
            .header("host", "127.0.0.1")
            .header("authorization", "Bearer sesame-sesame-sesame")
            .body(Full::default());
        assert_eq!(send(world.admin(), request.expect("valid")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_locator_without_a_record_says_so() {
    let sim = SimLocator::new(LocatorName::new("sim").expect("valid"), Arc::new(SystemClock::new()));
    let error = sim.traffic(&service(), Timestamp::default(), Timestamp::default()).await.expect_err("none");
    assert_eq!(error.kind(), ErrorKind::NotSupported);
}
