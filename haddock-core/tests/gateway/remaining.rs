//! What is left on an instance that drains, and what its clients are told.

use std::time::Duration;

use haddock_core::locator::ServiceLocator as _;
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::RemainingSessions;
use haddock_core::{Clock as _, InstanceId};

use crate::world::{Instance, World, get, service, table};

const MINUTE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(30 * 60);

fn id(name: &str) -> InstanceId {
    InstanceId::new(name).expect("valid")
}

fn ends(remaining: &RemainingSessions) -> [u64; 3] {
    remaining.ends_within.map(|each| each.sessions)
}

#[tokio::test]
async fn who_is_left_and_when_it_ends_is_told() {
    let world = World::new(false).await;
    let (old, new) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    let routes = |old_share, new_share| [("shop-1", old.address, old_share), ("shop-2", new.address, new_share)];
    world.locator().apply(&table(1, IDLE, &routes(100, 0))).await.expect("new");
    let mut sessions: Vec<Cookies> = Vec::new();
    // One session every five minutes, for 20 minutes.
    for _ in 0..5 {
        sessions.push(Cookies::new());
        get(world.address(), "/", sessions.last_mut().expect("pushed")).await;
        world.clock.pass(5 * MINUTE);
    }
    // Beyond the moment at which the second one ends ten minutes later.
    world.clock.pass(Duration::from_secs(1));
    let begun = world.clock.now();
    world.locator().apply(&table(2, IDLE, &routes(0, 100))).await.expect("newer");
    let left = || async { world.locator().remaining(&service(), &id("shop-1")).await.expect("it can say") };
    let seen = left().await;
    assert_eq!((seen.live, seen.busy), (5, 0));
    // Idle for 25, 20, 15, 10 and 5 minutes: those of 25 and 20 end within ten minutes.
    assert_eq!(ends(&seen), [2, 5, 5]);
    let ago = |time: Option<haddock_core::Timestamp>| begun.since(time.expect("one is idle"));
    assert!(ago(seen.least_recent).abs_diff(25 * MINUTE) < Duration::from_secs(2), "{seen:?}");
    assert!(ago(seen.most_recent).abs_diff(5 * MINUTE) < Duration::from_secs(2), "{seen:?}");
    assert!(seen.ends_at.expect("they end").since(begun).abs_diff(25 * MINUTE) < Duration::from_secs(2), "{seen:?}");
    assert_eq!(world.locator().remaining(&service(), &id("shop-2")).await.expect("it can say").live, 0);

    // The admin API says the same.
    let remote = RemoteGateway::new(&format!("http://{}", world.admin()), None).expect("a URL");
    assert_eq!(remote.remaining(&service(), &id("shop-1")).await.expect("it can say"), seen);

    // One comes back and keeps a request open, the others leave.
    let mut busy = sessions[4].clone();
    let address = world.address();
    let held = tokio::spawn(async move { get(address, "/hold", &mut busy).await });
    old.held().await;
    for _ in 0..12 {
        world.clock.pass(MINUTE);
        world.locator().observe(&service()).await.expect("it answers");
    }
    let seen = left().await;
    assert_eq!((seen.live, seen.busy, ends(&seen)), (3, 1, [2, 2, 2]), "{seen:?}");
    assert_eq!(seen.ended, 2);
    assert!(seen.watched >= 9 * MINUTE && seen.watched <= 11 * MINUTE, "{seen:?}");
    old.let_go.add_permits(1);
    held.await.expect("answered");
    assert_eq!(left().await.busy, 0);
}

#[tokio::test]
async fn answers_of_an_instance_that_drains_say_so_if_asked() {
    let world = World::new(false).await;
    let (old, new) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    let tell = |revision, header: Option<&str>, old_share, new_share| {
        let routes = [("shop-1", old.address, old_share), ("shop-2", new.address, new_share)];
        let mut table = table(revision, IDLE, &routes);
        table.session.draining_header = header.map(str::to_owned);
        table
    };
    let locator = world.locator();
    locator.apply(&tell(1, Some("x-draining"), 100, 0)).await.expect("new");
    let (mut early, mut late) = (Cookies::new(), Cookies::new());
    assert!(!get(world.address(), "/", &mut early).await.headers.contains_key("x-draining"));
    locator.apply(&tell(2, Some("x-draining"), 0, 100)).await.expect("newer");
    assert_eq!(get(world.address(), "/", &mut early).await.headers["x-draining"], "true");
    assert!(!get(world.address(), "/", &mut late).await.headers.contains_key("x-draining"));
    locator.apply(&tell(3, None, 0, 100)).await.expect("newer");
    assert!(!get(world.address(), "/", &mut early).await.headers.contains_key("x-draining"), "nobody asked for it");
}
