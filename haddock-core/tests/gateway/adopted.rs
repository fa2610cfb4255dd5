//! A server that is adopted with the sessions that it has.

use std::time::Duration;

use haddock_core::locator::suite::{Cookies, Harness as _, IGNORED};
use haddock_core::routing::{Adopted, Count, Route, RoutingTable};
use haddock_core::{Clock as _, InstanceId};
use http::header;
use tokio::net::TcpStream;

use crate::world::{Instance, World, eventually, get, service, table};

const IDLE: Duration = Duration::from_secs(60);

fn id(name: &str) -> InstanceId {
    InstanceId::new(name).expect("valid")
}

/// Nothing for the adopted server, everything for the candidate.
fn late_in_the_ramp(world: &World, old: &Instance, new: &Instance) -> RoutingTable {
    let mut table = table(1, IDLE, &[("shop-1", old.address, 0), ("shop-2", new.address, 100)]);
    let adopted = Adopted { until: world.clock.now() + IDLE, cookie: None };
    table.routes.get_mut(&id("shop-1")).expect("listed").adopted = Some(adopted);
    table
}

fn a_session_from_before() -> Cookies {
    Cookies::from([("JSESSIONID".to_owned(), "5A3C".to_owned()), ("lang".to_owned(), "de".to_owned())])
}

#[tokio::test]
async fn a_session_from_before_reaches_its_server_although_the_candidate_has_everything() {
    let world = World::new(false).await;
    let (old, new) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    world.locator().apply(&late_in_the_ramp(&world, &old, &new)).await.expect("new");
    let mut cookies = a_session_from_before();
    for _ in 0..3 {
        assert_eq!(get(world.address(), "/", &mut cookies).await.instance(), Some(id("shop-1")));
        let seen = old.last.lock().expect("not poisoned").take().expect("asked");
        let sent = seen.headers[header::COOKIE].to_str().expect("text");
        assert_eq!(sent, "JSESSIONID=5A3C; lang=de", "it sees its own cookies, and not the gateway's");
    }
    assert!(cookies.contains_key("haddock-shop"), "from its first request on it is a session like any other");
    let report = world.locator().observe(&service()).await.expect("an answer");
    let figures = &report.instances[&id("shop-1")];
    assert_eq!((figures.live, figures.sessions_begun, figures.requests_begun), (Count::Unknown, 1, 3));
    world.clock.pass(IDLE - Duration::from_millis(1));
    get(world.address(), "/", &mut cookies).await;
    world.clock.pass(Duration::from_millis(1));
    let report = world.locator().observe(&service()).await.expect("an answer");
    assert_eq!(report.instances[&id("shop-1")].live, Count::Exact(1), "no other can come any more");
    assert_eq!(get(world.address(), "/", &mut cookies).await.instance(), Some(id("shop-1")));
    assert_eq!(get(world.address(), "/", &mut a_session_from_before()).await.instance(), Some(id("shop-2")));
}

#[tokio::test]
async fn a_cookie_of_a_gateway_is_none_of_the_application() {
    let world = World::new(false).await;
    let (old, new) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    world.locator().apply(&late_in_the_ramp(&world, &old, &new)).await.expect("new");
    // Of another service on the same host name, or one of ours that is not genuine: no session from before.
    for name in ["haddock-blog", "haddock-shop"] {
        let mut cookies = Cookies::from([(name.to_owned(), "AAAA".to_owned())]);
        assert_eq!(get(world.address(), "/", &mut cookies).await.instance(), Some(id("shop-2")), "{name}");
    }
}

#[tokio::test]
async fn an_ignored_path_leads_to_the_server_of_a_session_from_before_and_opens_none() {
    let world = World::new(false).await;
    let (old, new) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    world.locator().apply(&late_in_the_ramp(&world, &old, &new)).await.expect("new");
    let mut cookies = a_session_from_before();
    assert_eq!(get(world.address(), IGNORED, &mut cookies).await.instance(), Some(id("shop-1")));
    assert_eq!(cookies, a_session_from_before(), "it was given no cookie");
    let report = world.locator().observe(&service()).await.expect("an answer");
    assert_eq!(report.instances[&id("shop-1")].sessions_begun, 0);
}

#[tokio::test]
async fn a_session_from_before_waits_for_its_server_and_goes_nowhere_else() {
    let world = World::new(false).await;
    let (old, new) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    world.locator().apply(&late_in_the_ramp(&world, &old, &new)).await.expect("new");
    let address = old.address;
    old.stop();
    eventually("it is gone", async || TcpStream::connect(address).await.is_err()).await;
    let waiting = {
        let to = world.address();
        tokio::spawn(async move { get(to, "/", &mut a_session_from_before()).await })
    };
    let under_way = async || {
        let report = world.locator().observe(&service()).await.expect("an answer");
        report.instances[&id("shop-1")].in_flight == 1
    };
    eventually("the request is under way", under_way).await;
    let _again = Instance::start_at("shop-1", address).await;
    assert_eq!(waiting.await.expect("no panic").instance(), Some(id("shop-1")));
}

#[test]
fn a_route_that_was_written_before_servers_could_be_adopted_is_still_read() {
    let text = r#"{"address":"127.0.0.1:8080","share":10000}"#;
    let route: Route = serde_json::from_str(text).expect("readable");
    assert_eq!(route.adopted, None);
    assert_eq!(serde_json::to_string(&route).expect("plain data"), text, "and one of today is read by those before");
}
