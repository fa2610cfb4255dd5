//! Requests that another proxy carries, which asks the gateway where they go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::suite::{Ask, Cookies, Harness, InFlight};
use haddock_core::routing::{ApplicationCookie, Count, SessionPolicy};
use haddock_core::{InstanceId, ServiceName, Timestamp};
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::world::{Reply, World, eventually, path_of, send, service, table};

/// A proxy that asks the gateway of this world.
pub(crate) struct Asking(pub(crate) World);

/// What a call of the admin API is answered.
async fn post(admin: SocketAddr, path: &str, body: &Value) -> (StatusCode, Value, Reply) {
    let request =
        Request::post(path).header(header::HOST, "127.0.0.1").header(header::CONTENT_TYPE, "application/json");
    let reply = send(admin, request.body(Full::new(Bytes::from(body.to_string()))).expect("valid")).await;
    (reply.status, serde_json::from_slice(&reply.body).expect("JSON"), reply)
}

async fn ok(admin: SocketAddr, path: &str, body: Value) -> Value {
    let (status, answer, _) = post(admin, path, &body).await;
    assert_eq!(status, StatusCode::OK, "{body}: {answer}");
    answer
}

fn keep(cookies: &mut Cookies, set: &Value) {
    for cookie in set.as_array().expect("a list") {
        let pair = cookie.as_str().expect("text").split(';').next().expect("a pair");
        let (name, value) = pair.split_once('=').expect("a pair");
        match value {
            "" => cookies.remove(name),
            value => cookies.insert(name.to_owned(), value.to_owned()),
        };
    }
}

/// Carries one request, as a proxy does.
async fn carry(admin: SocketAddr, path: &str, cookies: &mut Cookies) -> Option<InstanceId> {
    let mut question = json!({ "service": service(), "path": path });
    if !cookies.is_empty() {
        let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        question["cookie"] = pairs.join("; ").into();
    }
    let (status, route, _) = post(admin, "/v1/route", &question).await;
    if status != StatusCode::OK {
        // Before the first table, the gateway has never heard of the service.
        assert!([StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_FOUND].contains(&status), "{route}");
        return None;
    }
    let mut request = Request::builder().uri(path).header(header::HOST, "shop.example");
    if let Some(cookie) = route["cookie"].as_str() {
        request = request.header(header::COOKIE, cookie);
    }
    let address = route["address"].as_str().expect("text").parse().expect("an address");
    let reply = send(address, request.body(Full::default()).expect("valid")).await;
    let set = reply.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().expect("text"));
    let report = json!({ "route": route["route"], "became": "answered", "status": reply.status.as_u16(),
        "set_cookie": set.collect::<Vec<_>>() });
    let told = ok(admin, "/v1/report", report).await;
    assert_eq!(told["open"], true);
    let ended = ok(admin, "/v1/report", json!({ "route": route["route"] })).await;
    assert_eq!(ended["open"], false);
    keep(cookies, &told["set_cookie"]);
    keep(cookies, &route["set_cookie"]);
    let instance = reply.instance();
    assert_eq!(instance.as_ref().map(InstanceId::as_str), route["instance"].as_str());
    instance
}

struct Carried {
    instance: InstanceId,
    let_go: Arc<Semaphore>,
    done: tokio::task::JoinHandle<Option<InstanceId>>,
}

#[async_trait]
impl InFlight for Carried {
    fn instance(&self) -> InstanceId {
        self.instance.clone()
    }

    async fn finish(self: Box<Self>) {
        self.let_go.add_permits(1);
        assert_eq!(self.done.await.expect("no panic"), Some(self.instance));
    }
}

#[async_trait]
impl Harness for Asking {
    fn locator(&self) -> Arc<dyn ServiceLocator> {
        self.0.locator()
    }

    fn service(&self) -> ServiceName {
        service()
    }

    fn application(&self) -> Option<ApplicationCookie> {
        self.0.application()
    }

    fn idle(&self) -> Duration {
        self.0.idle()
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn start(&self, instance: &InstanceId) -> SocketAddr {
        self.0.start(instance).await
    }

    async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId> {
        carry(self.0.admin(), path_of(ask), cookies).await
    }

    async fn begin(&self, cookies: &mut Cookies) -> Option<Box<dyn InFlight>> {
        let admin = self.0.admin();
        if cookies.is_empty() {
            carry(admin, "/", cookies).await;
        }
        let mut sent = cookies.clone();
        let done = tokio::spawn(async move { carry(admin, "/hold", &mut sent).await });
        let (instance, let_go) = self.0.instances.held().await;
        Some(Box::new(Carried { instance, let_go, done }))
    }

    async fn pass(&self, time: Duration) {
        self.0.pass(time).await;
    }

    async fn restart(&self) -> bool {
        self.0.restart().await
    }
}

const IDLE: Duration = Duration::from_secs(1800);

/// A gateway that knows two instances which nobody has started.
async fn world(policy: impl FnOnce(SessionPolicy) -> SessionPolicy) -> (World, SocketAddr) {
    let world = World::new(false).await;
    let nobody = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut table = table(1, IDLE, &[("shop-1", nobody(1), 100), ("shop-2", nobody(2), 0)]);
    table.session = policy(table.session);
    world.locator().apply(&table).await.expect("new");
    let admin = world.admin();
    (world, admin)
}

async fn route(admin: SocketAddr) -> Value {
    ok(admin, "/v1/route", json!({ "service": "shop", "path": "/cart?item=7" })).await
}

#[tokio::test]
async fn a_route_says_all_that_a_proxy_needs() {
    let (_world, admin) =
        world(|policy| SessionPolicy { draining_header: Some("x-drains".to_owned()), ..policy }).await;
    let first = route(admin).await;
    assert_eq!(first["instance"], "shop-1");
    assert_eq!(first["address"], "127.0.0.1:1");
    assert_eq!((&first["session"], &first["cookie"]), (&json!("new"), &Value::Null));
    assert_eq!((&first["draining"], &first["draining_header"]), (&json!(false), &json!("x-drains")));
    assert_eq!(first["report_within"], 300_000);
    let mut cookies = Cookies::new();
    keep(&mut cookies, &first["set_cookie"]);
    let (name, value) = cookies.iter().next().expect("a cookie");
    let question = json!({ "service": "shop", "cookie": format!("a=b; {name}={value}; c=d"), "https": true });
    let again = ok(admin, "/v1/route", question).await;
    assert_eq!((&again["instance"], &again["session"]), (&first["instance"], &json!("known")));
    assert_eq!(again["cookie"], "a=b; c=d", "the instance does not see ours");
}

#[tokio::test]
async fn questions_that_cannot_be_answered_say_why() {
    let world = World::new(false).await;
    let admin = world.admin();
    let (status, error, _) = post(admin, "/v1/route", &json!({ "service": "shop" })).await;
    assert_eq!((status, error["kind"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")), "{error}");
    world.locator().apply(&table(1, IDLE, &[])).await.expect("new");
    let (status, error, reply) = post(admin, "/v1/route", &json!({ "service": "shop" })).await;
    assert_eq!((status, error["kind"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("busy")), "{error}");
    assert_eq!(reply.headers[header::RETRY_AFTER], "1");
    for (wrong, named) in [
        (json!({ "service": "shop", "path": "a b" }), "path"),
        (json!({ "service": "shop", "cookie": "a=\n" }), "cookie"),
        (json!({ "service": "shop", "sesion": "new" }), "sesion"),
        (json!({ "path": "/" }), "service"),
    ] {
        let (status, error, _) = post(admin, "/v1/route", &wrong).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(error["message"].as_str().expect("text").contains(&format!("`{named}`")), "{error}");
    }
    for unknown in ["", "7", "0.1", "zz.1"] {
        let (status, error, _) = post(admin, "/v1/report", &json!({ "route": unknown })).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{error}");
    }
}

#[tokio::test]
async fn a_route_of_which_nothing_is_reported_ends_by_itself() {
    let (world, admin) = world(|policy| policy).await;
    let (silent, told) = (route(admin).await, route(admin).await);
    assert_eq!(world.figures("shop-1").await.in_flight, 2);
    world.clock.pass(Duration::from_secs(200));
    ok(admin, "/v1/report", json!({ "route": told["route"], "became": "answered" })).await;
    world.clock.pass(Duration::from_secs(150));
    eventually("one ends", async || world.figures("shop-1").await.in_flight == 1).await;
    let (status, _, _) = post(admin, "/v1/report", &json!({ "route": silent["route"] })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    ok(admin, "/v1/report", json!({ "route": told["route"], "status": 200 })).await;
    let figures = world.figures("shop-1").await;
    assert_eq!((figures.in_flight, figures.live, figures.requests_begun), (0, Count::Exact(2), 2));
    let (status, _, _) = post(admin, "/v1/report", &json!({ "route": told["route"], "status": 200 })).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "it has ended");
}

#[tokio::test]
async fn failed_lost_and_slow_requests_count_as_the_gateways_own() {
    let slow = Some(Duration::from_secs(2));
    let (world, admin) = world(|policy| SessionPolicy { slow, ..policy }).await;
    let reports = [
        (json!({ "status": 200 }), 0),
        (json!({ "status": 404 }), 0),
        (json!({ "status": 500 }), 1),
        (json!({ "status": 500, "failed": false }), 0),
        (json!({ "status": 200, "failed": true }), 1),
        (json!({ "became": "lost", "status": 200 }), 1),
        (json!({ "became": "lost", "status": 503 }), 1),
        (json!({ "became": "unreachable" }), 1),
        (json!({ "status": 200, "first_byte": 2001, "duration": 7000 }), 0),
        (json!({ "status": 200, "first_byte": 2000, "duration": 7000 }), 0),
    ];
    let mut failed = 0;
    for (report, fails) in &reports {
        let mut report = report.clone();
        report["route"] = route(admin).await["route"].clone();
        ok(admin, "/v1/report", report).await;
        failed += fails;
        let figures = world.figures("shop-1").await;
        assert_eq!((figures.requests_failed, figures.sessions_failed, figures.in_flight), (failed, failed, 0));
    }
    let figures = world.figures("shop-1").await;
    assert_eq!(figures.cohorts.iter().map(|cohort| cohort.slow).sum::<u64>(), 1);
    assert!(figures.failures.iter().all(|kind| kind.path == "/cart"), "{:?}", figures.failures);
    let metrics = world.metrics().await;
    let of = |bucket| format!("_duration_seconds_bucket{{service=\"shop\",instance=\"shop-1\",le=\"{bucket}\"}}");
    let counted = |bucket| {
        let line = metrics.lines().find(|line| line.contains(&of(bucket))).expect("a line");
        line.rsplit_once(' ').expect("a value").1.parse::<u64>().expect("a number")
    };
    assert_eq!((counted("5"), counted("10"), counted("+Inf")), (7, 9, 9), "the unreachable one has no answer");
}

#[tokio::test]
async fn a_new_session_goes_elsewhere_if_its_instance_cannot_be_reached() {
    let (world, admin) = world(|policy| policy).await;
    let first = route(admin).await;
    let alone = json!({ "service": "shop", "instead_of": first["route"] });
    let (status, error, _) = post(admin, "/v1/route", &alone).await;
    assert_eq!((status, error["kind"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("busy")), "{error}");
    assert_eq!(world.figures("shop-1").await.live, Count::Exact(0));
    let nobody = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let both = table(2, IDLE, &[("shop-1", nobody(1), 50), ("shop-2", nobody(2), 50)]);
    world.locator().apply(&both).await.expect("newer");
    let first = route(admin).await;
    let second = ok(admin, "/v1/route", json!({ "service": "shop", "instead_of": first["route"] })).await;
    assert_ne!(first["instance"], second["instance"]);
    assert_ne!(first["set_cookie"], second["set_cookie"]);
    // Its session is there, so it goes nowhere else.
    let mut cookies = Cookies::new();
    keep(&mut cookies, &second["set_cookie"]);
    let (name, value) = cookies.iter().next().expect("a cookie");
    ok(admin, "/v1/report", json!({ "route": second["route"], "status": 200 })).await;
    let known = ok(admin, "/v1/route", json!({ "service": "shop", "cookie": format!("{name}={value}") })).await;
    let again = ok(admin, "/v1/route", json!({ "service": "shop", "instead_of": known["route"] })).await;
    assert_eq!(again["instance"], second["instance"]);
    let total = world.figures("shop-1").await.in_flight + world.figures("shop-2").await.in_flight;
    assert_eq!(total, 1, "what was asked again counts once");
}

#[tokio::test]
async fn an_upgraded_connection_counts_until_its_end() {
    let (world, admin) = world(|policy| policy).await;
    let name = route(admin).await["route"].clone();
    for _ in 0..3 {
        ok(admin, "/v1/report", json!({ "route": name, "became": "upgraded", "status": 101 })).await;
        world.clock.pass(Duration::from_secs(299));
        let figures = world.figures("shop-1").await;
        assert_eq!((figures.in_flight, figures.upgraded), (0, 1));
    }
    ok(admin, "/v1/report", json!({ "route": name })).await;
    assert_eq!(world.figures("shop-1").await.upgraded, 0);
}

#[tokio::test]
async fn a_route_outlives_no_gateway() {
    let (world, admin) = world(|policy| policy).await;
    let name = route(admin).await["route"].clone();
    world.take().shutdown(Duration::ZERO).await;
    world.begin(|builder| builder).await;
    let (status, error, _) = post(world.admin(), "/v1/report", &json!({ "route": name, "status": 200 })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(error["hint"].as_str().expect("a hint").contains("restarted"), "{error}");
    assert_eq!(world.figures("shop-1").await.in_flight, 0);
}
