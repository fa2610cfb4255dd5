//! What the next gateway knows of the sessions: after one that ended in order, and after one that was killed. Here it is dropped
//! with all that it has in memory; `killed` kills a process.

use std::path::PathBuf;
use std::time::Duration;

use haddock_core::locator::gateway::Limits;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{ApplicationCookie, CloseAnswer, CookieMode, Count, RoutingTable, SessionPolicy};
use haddock_core::{Clock as _, InstanceId};

use crate::world::{Instance, World, eventually, get, number, service, table};

const IDLE: Duration = Duration::from_secs(30 * 60);
const MINUTE: Duration = Duration::from_secs(60);
/// How much later a session may expire for a gateway that knows it from the log of one that was killed.
const LATE: Duration = Duration::from_secs(30 * 60 / 16 + 1);

fn id(name: &str) -> InstanceId {
    InstanceId::new(name).expect("valid")
}

/// A gateway with a draining instance that has this many sessions, and one that serves.
async fn draining(sessions: usize) -> (World, [Instance; 2], Vec<Cookies>) {
    let world = World::new(false).await;
    let both = [Instance::start("shop-1").await, Instance::start("shop-2").await];
    let routes = |old, new| [("shop-1", both[0].address, old), ("shop-2", both[1].address, new)];
    world.locator().apply(&table(1, IDLE, &routes(100, 0))).await.expect("new");
    let mut clients = vec![Cookies::new(); sessions];
    for client in &mut clients {
        get(world.address(), "/", client).await;
    }
    world.locator().apply(&table(2, IDLE, &routes(0, 100))).await.expect("newer");
    (world, both, clients)
}

async fn end_in_order(world: &World) {
    world.take().shutdown(Duration::from_secs(5)).await;
}

/// Its log of sessions.
fn log(world: &World) -> PathBuf {
    world.dir.path().join("state/sessions-shop")
}

#[tokio::test]
async fn the_next_gateway_goes_on_counting() {
    let (world, _both, mut clients) = draining(3).await;
    world.clock.pass(20 * MINUTE);
    // One comes back in time.
    get(world.address(), "/", &mut clients[0]).await;
    end_in_order(&world).await;
    world.clock.pass(MINUTE);
    world.begin(|builder| builder).await;
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(3));
    assert_eq!(world.figures("shop-2").await.live, Count::Exact(0));
    // Each expires when it would have expired without a restart.
    world.clock.pass(10 * MINUTE);
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(1));
    assert_eq!(get(world.address(), "/", &mut clients[0]).await.instance(), Some(id("shop-1")), "its session goes on");
    world.clock.pass(31 * MINUTE);
    let closed = world.locator().close(&service(), &id("shop-1"), number(3)).await.expect("it answers");
    assert_eq!(closed, CloseAnswer::Closed, "the drain waits for its sessions, and for nothing more");
}

#[tokio::test]
async fn without_sessions_it_is_drained_at_once() {
    let (world, _both, _) = draining(0).await;
    end_in_order(&world).await;
    world.begin(|builder| builder).await;
    let closed = world.locator().close(&service(), &id("shop-1"), number(3)).await.expect("it answers");
    assert_eq!(closed, CloseAnswer::Closed);
}

#[tokio::test]
async fn after_a_kill_it_knows_them_too_and_a_drain_ends_with_the_last() {
    let (world, _both, mut clients) = draining(3).await;
    world.clock.pass(20 * MINUTE);
    get(world.address(), "/", &mut clients[0]).await;
    // However often.
    for _ in 0..3 {
        world.kill();
        world.clock.pass(MINUTE / 3);
        world.begin(|builder| builder).await;
        assert_eq!(world.figures("shop-1").await.live, Count::Exact(3));
        assert_eq!(world.figures("shop-2").await.live, Count::Exact(0));
    }
    world.clock.pass(9 * MINUTE + LATE);
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(1), "the two that were not used");
    let busy = world.locator().close(&service(), &id("shop-1"), number(3)).await.expect("it answers");
    assert!(matches!(busy, CloseAnswer::Busy(_)));
    assert_eq!(get(world.address(), "/", &mut clients[0]).await.instance(), Some(id("shop-1")), "its session goes on");
    world.kill();
    world.begin(|builder| builder).await;
    world.clock.pass(IDLE + LATE);
    let closed = world.locator().close(&service(), &id("shop-1"), number(4)).await.expect("it answers");
    assert_eq!(closed, CloseAnswer::Closed, "the drain waits for its sessions, and for nothing more");
}

#[tokio::test]
async fn without_sessions_it_is_drained_at_once_after_a_kill() {
    let (world, _both, _) = draining(0).await;
    world.kill();
    world.begin(|builder| builder).await;
    let closed = world.locator().close(&service(), &id("shop-1"), number(3)).await.expect("it answers");
    assert_eq!(closed, CloseAnswer::Closed);
}

#[tokio::test]
async fn a_session_that_was_in_use_at_the_kill_lives_for_an_idle_time() {
    let (world, both, mut clients) = draining(1).await;
    let (address, mut client) = (world.address(), clients.remove(0));
    let held = tokio::spawn(async move {
        // The gateway is killed before it has an answer.
        let _ = tokio::spawn(async move { get(address, "/hold", &mut client).await }).await;
    });
    both[0].held().await;
    for _ in 0..10 {
        let before = log_length(&world);
        world.clock.pass(5 * MINUTE);
        eventually("it has looked", async || log_length(&world) != before).await;
    }
    world.kill();
    let _ = held.await;
    world.begin(|builder| builder).await;
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(1));
    world.clock.pass(IDLE - MINUTE);
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(1));
    world.clock.pass(MINUTE + LATE);
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(0));
}

fn log_length(world: &World) -> u64 {
    std::fs::metadata(log(world)).map_or(0, |file| file.len())
}

#[tokio::test]
async fn what_the_application_ended_is_no_session_after_a_kill_either() {
    for mode in [CookieMode::Prefix, CookieMode::Learn] {
        let world = World::new(false).await;
        let instance = Instance::start("shop-1").await;
        let sets = [
            ("/begin", "SID=first; Path=/"),
            ("/other", "SID=second; Path=/"),
            ("/login", "SID=first-known; Path=/"),
            ("/logout", "SID=; Path=/; Max-Age=0"),
        ];
        *instance.sets.lock().expect("not poisoned") =
            sets.map(|(path, set)| (path.to_owned(), vec![set.to_owned()])).into();
        let session = SessionPolicy {
            idle: IDLE,
            application: Some(ApplicationCookie { name: "SID".to_owned(), mode }),
            ..SessionPolicy::default()
        };
        let table = RoutingTable { session, ..table(1, IDLE, &[("shop-1", instance.address, 100)]) };
        world.locator().apply(&table).await.expect("new");
        let mut clients = [Cookies::new(), Cookies::new()];
        get(world.address(), "/begin", &mut clients[0]).await;
        get(world.address(), "/login", &mut clients[0]).await;
        get(world.address(), "/other", &mut clients[1]).await;
        world.kill();
        world.begin(|builder| builder).await;
        assert_eq!(world.figures("shop-1").await.live, Count::Exact(2), "{mode:?}");
        get(world.address(), "/logout", &mut clients[1]).await;
        world.kill();
        world.begin(|builder| builder).await;
        assert_eq!(world.figures("shop-1").await.live, Count::Exact(1), "{mode:?}");
        get(world.address(), "/logout", &mut clients[0]).await;
        world.kill();
        world.begin(|builder| builder).await;
        assert_eq!(world.figures("shop-1").await.live, Count::Exact(0), "{mode:?}");
    }
}

#[tokio::test]
async fn after_a_kill_a_session_is_found_that_only_the_table_knew() {
    let world = World::new(false).await;
    let both = [Instance::start("shop-1").await, Instance::start("shop-2").await];
    for instance in &both {
        *instance.session.lock().expect("not poisoned") = Some("SID".to_owned());
    }
    let session = SessionPolicy {
        idle: IDLE,
        application: Some(ApplicationCookie { name: "SID".to_owned(), mode: CookieMode::Learn }),
        ..SessionPolicy::default()
    };
    let of = |revision, old, new| {
        let routes = [("shop-1", both[0].address, old), ("shop-2", both[1].address, new)];
        RoutingTable { session: session.clone(), ..table(revision, IDLE, &routes) }
    };
    world.locator().apply(&of(1, 100, 0)).await.expect("new");
    let mut client = Cookies::new();
    get(world.address(), "/", &mut client).await;
    world.locator().apply(&of(2, 0, 100)).await.expect("new");
    world.kill();
    world.begin(|builder| builder).await;
    assert_eq!(get(world.address(), "/", &mut client).await.instance(), Some(id("shop-1")));
}

#[tokio::test]
async fn what_is_not_known_is_not_taken_for_known() {
    for case in ["damaged", "damaged after its end", "cut after its end", "of another table", "full", "none"] {
        let (world, both, _) = draining(2).await;
        let state = world.dir.path().join("state");
        let later = [("shop-1", both[0].address, 0), ("shop-2", both[1].address, 100)];
        if case.ends_with("its end") {
            end_in_order(&world).await;
        }
        let kept = std::fs::read(log(&world)).expect("there");
        let middle = kept.len() / 2;
        let mut damaged = kept.clone();
        damaged[middle] ^= 1;
        match case {
            "cut after its end" => std::fs::write(log(&world), &kept[..middle]).expect("ours"),
            "of another table" => {
                for revision in [5, 6, 7] {
                    world.locator().apply(&table(revision, IDLE, &later)).await.expect("newer");
                }
                world.kill();
                std::fs::write(log(&world), kept).expect("put back");
            }
            "full" => {
                // It cannot write its log from its start on, however often it tries.
                end_in_order(&world).await;
                std::fs::create_dir(state.join("sessions-shop.new")).expect("ours");
                world.begin(|builder| builder).await;
                assert_eq!(world.figures("shop-1").await.live, Count::Exact(2), "it knows them itself");
                world.kill();
            }
            "none" => {
                world.kill();
                std::fs::remove_file(log(&world)).expect("ours");
            }
            _ => {
                if case == "damaged" {
                    world.kill();
                }
                std::fs::write(log(&world), damaged).expect("ours");
            }
        }
        world.begin(|builder| builder).await;
        assert_eq!(world.figures("shop-1").await.live, Count::Unknown, "{case}");
        // The next one does not know it any better.
        world.kill();
        world.begin(|builder| builder).await;
        assert_eq!(world.figures("shop-1").await.live, Count::Unknown, "{case}");
        world.clock.pass(IDLE + LATE);
        assert_eq!(world.figures("shop-1").await.live, Count::Exact(0), "{case}, after an idle time");
    }
}

#[tokio::test]
async fn a_number_that_did_not_get_to_the_disk_is_no_other_table() {
    let (world, both, _) = draining(2).await;
    let beside = world.dir.path().join("state/service-shop.new");
    std::os::unix::fs::symlink("/dev/full", &beside).expect("ours");
    let newer = [("shop-1", both[0].address, 50), ("shop-2", both[1].address, 50)];
    world.locator().apply(&table(3, IDLE, &newer)).await.expect_err("no room");
    world.kill();
    world.begin(|builder| builder).await;
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(2));
}

#[tokio::test]
async fn a_clock_that_was_set_back_prolongs_no_session_for_ever() {
    let (world, _both, _) = draining(1).await;
    world.clock.pass(10 * MINUTE);
    end_in_order(&world).await;
    world.clock.set_back(9 * MINUTE);
    world.begin(|builder| builder).await;
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(1));
    world.clock.pass(IDLE + MINUTE);
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(0));
}

#[tokio::test]
async fn more_sessions_than_it_has_room_for_are_unknown() {
    let (world, _both, _) = draining(20).await;
    end_in_order(&world).await;
    world.begin(|builder| builder.limits(Limits { sessions: 8, ..Limits::default() })).await;
    assert_eq!(world.figures("shop-1").await.live, Count::Unknown);
    let now = world.clock.now();
    world.clock.pass(IDLE + MINUTE);
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(0), "since {now:?}");
}
