//! A gateway that ends in order hands its sessions on. One that is killed cannot.

use std::path::PathBuf;
use std::time::Duration;

use haddock_core::locator::gateway::Limits;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{CloseAnswer, Count};
use haddock_core::{Clock as _, InstanceId};

use crate::world::{Instance, World, get, number, service, table};

const IDLE: Duration = Duration::from_secs(30 * 60);
const MINUTE: Duration = Duration::from_secs(60);

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

fn handed(world: &World) -> PathBuf {
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
    assert!(!handed(&world).exists(), "it is taken once");
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
async fn what_is_not_known_is_not_taken_for_known() {
    for case in ["killed", "killed later", "damaged", "cut", "of another table"] {
        let (world, both, _) = draining(2).await;
        let later = [("shop-1", both[0].address, 0), ("shop-2", both[1].address, 100)];
        match case {
            "killed" => world.kill(),
            "killed later" => {
                end_in_order(&world).await;
                world.begin(|builder| builder).await;
                world.kill();
            }
            "of another table" => {
                end_in_order(&world).await;
                let kept = std::fs::read(handed(&world)).expect("handed on");
                world.begin(|builder| builder).await;
                world.locator().apply(&table(5, IDLE, &later)).await.expect("newer");
                world.kill();
                std::fs::write(handed(&world), kept).expect("put back");
            }
            other => {
                end_in_order(&world).await;
                let mut kept = std::fs::read(handed(&world)).expect("handed on");
                let half = kept.len() / 2;
                if other == "cut" {
                    kept.truncate(half);
                } else {
                    kept[half] ^= 1;
                }
                std::fs::write(handed(&world), kept).expect("written");
            }
        }
        world.begin(|builder| builder).await;
        assert_eq!(world.figures("shop-1").await.live, Count::Unknown, "{case}");
        world.clock.pass(IDLE + MINUTE);
        assert_eq!(world.figures("shop-1").await.live, Count::Exact(0), "{case}, after an idle time");
    }
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
