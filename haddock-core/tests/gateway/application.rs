//! Sessions that are known by a cookie of the application.

use std::time::Duration;

use haddock_core::locator::ServiceLocator as _;
use haddock_core::locator::gateway::Gateway;
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{
    ApplicationCookie, CloseAnswer, CookieMode, Count, InstanceFigures, RoutingTable, SessionPolicy,
};
use haddock_core::{ErrorKind, InstanceId};
use http::{Request, header};
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{Instance, Reply, World, eventually, get, number, send, service, table};

const IDLE: Duration = Duration::from_secs(60);
const NAME: &str = "JSESSIONID";
const MODES: [CookieMode; 2] = [CookieMode::Prefix, CookieMode::Learn];

fn id(n: usize) -> InstanceId {
    InstanceId::new(format!("shop-{n}")).expect("valid")
}

/// Two instances, the first of which has all new sessions.
struct Shop {
    world: World,
    first: Instance,
    second: Instance,
    mode: CookieMode,
}

impl Shop {
    async fn new(mode: CookieMode) -> Self {
        let world = World::new(false).await;
        let (first, second) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
        for (instance, name) in [(&first, "first"), (&second, "second")] {
            let set = [
                ("/begin", vec![format!("{NAME}={name}; Path=/; HttpOnly")]),
                ("/quoted", vec![format!("{NAME}=\"{name}.node1\"; Version=1; Path=/")]),
                (
                    "/several",
                    vec![format!("{NAME}=none; Path=/"), "lang=de".to_owned(), format!("{NAME}={name}; Path=/")],
                ),
                ("/login", vec![format!("{NAME}={name}-known; Path=/; HttpOnly")]),
                ("/logout", vec![format!("{NAME}=; Path=/; Max-Age=0")]),
                ("/change", vec![format!("{NAME}=; Path=/; Max-Age=0"), format!("{NAME}={name}-next; Path=/")]),
            ];
            let set = set.into_iter().map(|(path, lines)| (path.to_owned(), lines)).collect();
            *instance.sets.lock().expect("not poisoned") = set;
        }
        let shop = Self { world, first, second, mode };
        shop.shares(1, 100, 0).await;
        shop
    }

    fn table(&self, revision: u64, first: u32, second: u32) -> RoutingTable {
        let routes = [("shop-1", self.first.address, first), ("shop-2", self.second.address, second)];
        let plain = table(revision, IDLE, &routes);
        let application = Some(ApplicationCookie { name: NAME.to_owned(), mode: self.mode });
        RoutingTable { session: SessionPolicy { application, ..plain.session }, ..plain }
    }

    async fn shares(&self, revision: u64, first: u32, second: u32) {
        self.world.locator().apply(&self.table(revision, first, second)).await.expect("the newest");
    }

    async fn get(&self, path: &str, cookies: &mut Cookies) -> Reply {
        get(self.world.address(), path, cookies).await
    }

    /// Which instance answers.
    async fn ask(&self, cookies: &mut Cookies) -> Option<InstanceId> {
        self.get("/", cookies).await.instance()
    }

    async fn figures(&self, n: usize) -> InstanceFigures {
        let report = self.world.locator().observe(&service()).await.expect("an answer");
        report.instances.get(&id(n)).cloned().unwrap_or_default()
    }

    async fn restart(&self) {
        self.world.kill();
        self.world.begin(|builder| builder).await;
    }
}

/// The cookies that the instance has seen last.
fn seen(instance: &Instance) -> String {
    let parts = instance.last.lock().expect("not poisoned").take().expect("asked");
    let lines = parts.headers.get_all(header::COOKIE).iter().map(|line| line.to_str().expect("text").to_owned());
    lines.collect::<Vec<_>>().join("; ")
}

fn set(reply: &Reply) -> Vec<String> {
    reply.headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn no_cookie_is_added_and_a_session_begins_when_the_application_says_so() {
    for mode in MODES {
        let shop = Shop::new(mode).await;
        let mut cookies = Cookies::new();
        for _ in 0..3 {
            assert!(set(&shop.get("/", &mut cookies).await).is_empty());
        }
        let figures = shop.figures(1).await;
        assert_eq!((figures.live, figures.sessions_begun, figures.requests_begun), (Count::Exact(0), 0, 3));
        let lines = set(&shop.get("/begin", &mut cookies).await);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with("first; Path=/; HttpOnly"), "{lines:?}");
        assert_eq!(lines[0].starts_with("JSESSIONID=first;"), mode == CookieMode::Learn, "{lines:?}");
        assert_eq!(cookies.len(), 1);
        shop.shares(2, 0, 100).await;
        for _ in 0..2 {
            assert_eq!(shop.ask(&mut cookies).await, Some(id(1)));
            assert_eq!(seen(&shop.first), "JSESSIONID=first", "it sees its own value");
        }
        assert_eq!(shop.ask(&mut Cookies::new()).await, Some(id(2)));
        let figures = shop.figures(1).await;
        assert_eq!((figures.live, figures.sessions_begun), (Count::Exact(1), 1));
    }
}

#[tokio::test]
async fn quoted_values_and_several_of_one_name_are_read_as_browsers_read_them() {
    for mode in MODES {
        let shop = Shop::new(mode).await;
        let (mut quoted, mut several) = (Cookies::new(), Cookies::new());
        shop.get("/quoted", &mut quoted).await;
        let lines = set(&shop.get("/several", &mut several).await);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1], "lang=de");
        assert_eq!(shop.figures(1).await.sessions_begun, 2);
        shop.shares(2, 0, 100).await;
        assert_eq!(shop.ask(&mut quoted).await, Some(id(1)));
        assert_eq!(seen(&shop.first), "JSESSIONID=\"first.node1\"");
        assert_eq!(shop.ask(&mut several).await, Some(id(1)));
        assert_eq!(seen(&shop.first), "JSESSIONID=first; lang=de");
    }
}

#[tokio::test]
async fn a_login_renews_the_value_and_the_session_stays_one() {
    for mode in MODES {
        let shop = Shop::new(mode).await;
        let mut cookies = Cookies::new();
        shop.get("/begin", &mut cookies).await;
        let before = cookies.clone();
        shop.shares(2, 0, 100).await;
        assert_eq!(shop.get("/login", &mut cookies).await.instance(), Some(id(1)));
        assert_ne!(before, cookies);
        assert_eq!(shop.ask(&mut cookies).await, Some(id(1)));
        assert_eq!(seen(&shop.first), "JSESSIONID=first-known");
        // A request that the client had sent before.
        assert_eq!(shop.ask(&mut before.clone()).await, Some(id(1)));
        let figures = shop.figures(1).await;
        assert_eq!((figures.live, figures.sessions_begun), (Count::Exact(1), 1));
    }
}

#[tokio::test]
async fn a_logout_drains_at_once_and_what_is_in_flight_still_counts() {
    for mode in MODES {
        let shop = Shop::new(mode).await;
        let mut cookies = Cookies::new();
        shop.get("/begin", &mut cookies).await;
        shop.shares(2, 0, 100).await;
        let address = shop.world.address();
        let mut same = cookies.clone();
        let slow = tokio::spawn(async move { get(address, "/hold", &mut same).await });
        shop.first.held().await;
        assert_eq!(shop.get("/logout", &mut cookies).await.instance(), Some(id(1)));
        assert!(cookies.is_empty(), "{cookies:?}");
        let figures = shop.figures(1).await;
        assert_eq!((figures.live, figures.in_flight), (Count::Exact(0), 1));
        let close = || async { shop.world.locator().close(&service(), &id(1), number(3)).await.expect("the newest") };
        assert!(matches!(close().await, CloseAnswer::Busy(_)));
        shop.first.let_go.add_permits(1);
        assert_eq!(slow.await.expect("no panic").instance(), Some(id(1)));
        eventually("it has ended", async || shop.figures(1).await.in_flight == 0).await;
        assert_eq!(close().await, CloseAnswer::Closed);
        assert_eq!(shop.ask(&mut cookies).await, Some(id(2)));
    }
}

#[tokio::test]
async fn a_log_out_at_one_gateway_is_heard_by_another_one_with_the_same_key() {
    const KEY: [u8; 32] = [7; 32];
    for mode in MODES {
        let (shop, other) = (Shop::new(mode).await, World::new(false).await);
        for world in [&shop.world, &other] {
            world.kill();
            world.begin(|builder| builder.key(KEY)).await;
            world.locator().apply(&shop.table(3, 100, 0)).await.expect("the newest");
            // Their key is not new.
            world.pass(IDLE * 2).await;
        }
        let mut cookies = Cookies::new();
        shop.get("/begin", &mut cookies).await;
        if mode == CookieMode::Learn {
            // The other one learns it from an answer of its own.
            get(other.address(), "/begin", &mut cookies).await;
        } else {
            get(other.address(), "/", &mut cookies).await;
        }
        assert_eq!(other.figures("shop-1").await.live, Count::Exact(1));
        shop.get("/logout", &mut cookies).await;
        assert_eq!(shop.figures(1).await.live, Count::Exact(0));
        let [from, to] = [&shop.world, &other]
            .map(|world| RemoteGateway::new(&format!("http://{}", world.admin()), None).expect("valid"));
        let ended = from.ended_sessions(&service(), 0).await.expect("an answer");
        assert_eq!(ended.sessions.len(), 1);
        to.end_sessions(&service(), &ended.sessions).await.expect("heard");
        assert_eq!(other.figures("shop-1").await.live, Count::Exact(0));
        let next = from.ended_sessions(&service(), ended.next).await.expect("an answer");
        assert_eq!((next.next, next.sessions.len()), (ended.next, 0));
        shop.world.kill();
        let error = from.ended_sessions(&service(), 0).await.expect_err("it has ended");
        assert_eq!(error.kind(), ErrorKind::LocatorUnavailable);
    }
}

#[tokio::test]
async fn a_session_that_is_replaced_after_its_end_is_another_one() {
    for mode in MODES {
        let shop = Shop::new(mode).await;
        let mut cookies = Cookies::new();
        shop.get("/begin", &mut cookies).await;
        shop.get("/change", &mut cookies).await;
        shop.shares(2, 0, 100).await;
        assert_eq!(shop.ask(&mut cookies).await, Some(id(1)));
        assert_eq!(seen(&shop.first), "JSESSIONID=first-next");
        let figures = shop.figures(1).await;
        assert_eq!((figures.live, figures.sessions_begun), (Count::Exact(1), 2));
    }
}

#[tokio::test]
async fn a_session_in_the_path_is_followed_without_a_cookie() {
    for mode in MODES {
        let shop = Shop::new(mode).await;
        shop.get("/begin", &mut Cookies::new()).await;
        shop.shares(2, 0, 100).await;
        for path in ["/cart;jsessionid=first", "/cart;JSESSIONID=first/x?y=1"] {
            assert_eq!(shop.get(path, &mut Cookies::new()).await.instance(), Some(id(1)), "{path}");
        }
        let mut other = Cookies::from([(NAME.to_owned(), "stranger".to_owned())]);
        assert_eq!(
            shop.get("/cart;jsessionid=first", &mut other).await.instance(),
            Some(id(2)),
            "a cookie counts first"
        );
        assert_eq!(shop.get("/cart;jsessionid=other", &mut Cookies::new()).await.instance(), Some(id(2)));
    }
}

#[tokio::test]
async fn without_its_log_a_restarted_gateway_knows_sessions_by_a_prefix_alone() {
    for mode in MODES {
        let shop = Shop::new(mode).await;
        let mut cookies = Cookies::new();
        shop.get("/begin", &mut cookies).await;
        shop.shares(2, 0, 100).await;
        shop.restart().await;
        assert_eq!(shop.figures(1).await.live, Count::Exact(1), "it has its log");
        assert_eq!(shop.ask(&mut cookies).await, Some(id(1)), "{mode:?}");
        // As if the machine had been started anew.
        shop.world.kill();
        std::fs::remove_file(shop.world.dir.path().join("state/sessions-shop")).expect("there");
        shop.world.begin(|builder| builder).await;
        assert_eq!(shop.figures(1).await.live, Count::Unknown);
        let to = if mode == CookieMode::Prefix { 1 } else { 2 };
        assert_eq!(shop.ask(&mut cookies).await, Some(id(to)), "{mode:?}");
        assert_eq!(seen(if to == 1 { &shop.first } else { &shop.second }), "JSESSIONID=first");
        shop.world.clock.pass(IDLE);
        let live = if mode == CookieMode::Prefix { 1 } else { 0 };
        shop.ask(&mut cookies).await;
        assert_eq!(shop.figures(1).await.live, Count::Exact(live));
        assert_eq!(shop.figures(1).await.sessions_begun, 0, "it began before");
    }
}

#[tokio::test]
async fn another_gateway_with_the_key_routes_alike_and_one_with_another_key_does_not() {
    let key = [9; 32];
    let shop = Shop::new(CookieMode::Prefix).await;
    shop.world.kill();
    shop.world.begin(|builder| builder.key(key)).await;
    let mut cookies = Cookies::new();
    assert_eq!(shop.get("/begin", &mut cookies).await.instance(), Some(id(1)));
    for (other, to) in [(key, 1), ([8; 32], 2)] {
        let dir = tempfile::tempdir().expect("a directory");
        let gateway = Gateway::builder().state_dir(dir.path().join("state")).key(other).worker_threads(1);
        let gateway = gateway.start().await.expect("a gateway");
        gateway.locator().apply(&shop.table(1, 0, 100)).await.expect("new");
        let reply = get(gateway.local_addr(), "/", &mut cookies.clone()).await;
        assert_eq!(reply.instance(), Some(id(to)));
        if to == 1 {
            assert_eq!(seen(&shop.first), "JSESSIONID=first");
        } else {
            assert_ne!(seen(&shop.second), "JSESSIONID=first", "it cannot be read");
        }
        gateway.shutdown(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn forged_cut_and_replayed_prefixes_make_a_new_client() {
    let shop = Shop::new(CookieMode::Prefix).await;
    let mut cookies = Cookies::new();
    shop.get("/begin", &mut cookies).await;
    shop.shares(2, 0, 100).await;
    let good = cookies[NAME].clone();
    let (head, _) = good.split_once('.').expect("a prefix");
    let flipped = if good.starts_with('A') { "B" } else { "A" };
    for bad in [
        format!("{flipped}{}", &good[1..]),
        good[..good.len() - 1].to_owned(),
        format!("{head}.second"),
        good.replace("shop-1", "shop-2"),
        format!("{head}."),
        head.to_owned(),
        "first".to_owned() + "x",
    ] {
        let mut cookies = Cookies::from([(NAME.to_owned(), bad.clone())]);
        assert_eq!(shop.ask(&mut cookies).await, Some(id(2)), "{bad}");
        assert_eq!(seen(&shop.second), format!("JSESSIONID={bad}"), "it is passed on as it is");
    }
    assert_eq!(shop.ask(&mut cookies).await, Some(id(1)));
    let live = |figures: InstanceFigures| figures.live;
    assert_eq!((live(shop.figures(1).await), live(shop.figures(2).await)), (Count::Exact(1), Count::Exact(0)));
    shop.world.locator().evict(&service(), &id(1), number(3)).await.expect("the newest");
    assert_eq!(shop.ask(&mut cookies).await, Some(id(2)), "its instance is closed");
    assert_eq!(seen(&shop.second), "JSESSIONID=first");
}

#[tokio::test]
async fn a_version_that_fails_before_it_opens_a_session_gives_evidence() {
    let shop = Shop::new(CookieMode::Prefix).await;
    for _ in 0..3 {
        shop.get("/fail", &mut Cookies::new()).await;
    }
    shop.get("/probe", &mut Cookies::new()).await;
    let figures = shop.figures(1).await;
    assert_eq!((figures.sessions_begun, figures.sessions_failed, figures.live), (3, 3, Count::Exact(0)));
    assert_eq!((figures.cohorts[0].sessions.begun(), figures.cohorts[0].sessions.failed()), (3, 3));
    // An instance that cannot be reached, too. The client is served elsewhere.
    shop.shares(2, 50, 50).await;
    shop.first.stop();
    let gone = async || TcpStream::connect(shop.first.address).await.is_err();
    eventually("it is gone", gone).await;
    let mut tried = 0;
    while shop.figures(1).await.sessions_failed == 3 {
        let mut cookies = Cookies::new();
        assert_eq!(shop.get("/begin", &mut cookies).await.instance(), Some(id(2)));
        assert_eq!(shop.ask(&mut cookies).await, Some(id(2)));
        tried += 1;
        assert!(tried < 1000, "chance never chose it");
    }
    assert_eq!(shop.figures(2).await.sessions_begun, 1, "to the application they are one");
}

#[tokio::test]
async fn a_websocket_keeps_its_session_through_a_renewal() {
    let shop = Shop::new(CookieMode::Prefix).await;
    // Answers one upgrade, with a new value of the cookie, and echoes.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a byte"));
        }
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSet-Cookie: {NAME}=socket; Path=/\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.expect("sent");
        let (mut reads, mut writes) = stream.split();
        let _ = tokio::io::copy(&mut reads, &mut writes).await;
    });
    let mut with = shop.table(2, 100, 0);
    with.routes.get_mut(&id(1)).expect("listed").address = address;
    shop.world.locator().apply(&with).await.expect("new");
    let mut stream = TcpStream::connect(shop.world.address()).await.expect("a connection");
    let request = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a byte"));
    }
    let head = String::from_utf8(head).expect("text");
    let value =
        head.lines().find_map(|line| line.to_ascii_lowercase().starts_with("set-cookie").then(|| line.to_owned()));
    let value =
        value.expect("a cookie").split_once('=').expect("a pair").1.split(';').next().expect("a value").to_owned();
    assert!(value.ends_with(".socket"), "{value}");
    let figures = shop.figures(1).await;
    assert_eq!((figures.upgraded, figures.live, figures.sessions_begun), (1, Count::Exact(1), 1));
    // Meanwhile the client logs in over another connection.
    shop.shares(3, 0, 100).await;
    let mut cookies = Cookies::from([(NAME.to_owned(), value)]);
    assert_eq!(shop.get("/login", &mut cookies).await.instance(), Some(id(1)));
    shop.world.clock.pass(IDLE * 5);
    assert_eq!(shop.figures(1).await.live, Count::Exact(1), "the socket keeps it");
    stream.write_all(b"hello").await.expect("sent");
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).await.expect("an echo");
    drop(stream);
    eventually("it has ended", async || shop.figures(1).await.upgraded == 0).await;
    assert_eq!(shop.figures(1).await.live, Count::Exact(1));
    shop.world.clock.pass(IDLE + Duration::from_millis(50));
    assert_eq!(shop.figures(1).await.live, Count::Exact(0));
}

#[tokio::test]
async fn sessions_go_on_when_the_cookie_is_named_later_and_when_that_is_taken_back() {
    let shop = Shop::new(CookieMode::Prefix).await;
    let own = |revision: u64, first, second| {
        let with = shop.table(revision, first, second);
        RoutingTable { session: SessionPolicy { application: None, ..with.session }, ..with }
    };
    let locator = shop.world.locator();
    locator.apply(&own(2, 100, 0)).await.expect("new");
    let mut early = Cookies::new();
    shop.get("/begin", &mut early).await;
    assert!(early.contains_key("haddock-shop") && early[NAME] == "first");
    shop.shares(3, 0, 100).await;
    assert_eq!(shop.ask(&mut early).await, Some(id(1)));
    assert_eq!(seen(&shop.first), "JSESSIONID=first", "it does not see ours");
    // From now on it is known by the application's cookie.
    early.remove("haddock-shop");
    assert_eq!(shop.ask(&mut early).await, Some(id(1)));
    shop.get("/login", &mut early).await;
    locator.apply(&own(4, 0, 100)).await.expect("new");
    drop(locator);
    shop.restart().await;
    assert_eq!(shop.ask(&mut early).await, Some(id(1)));
    assert_eq!(seen(&shop.first), "JSESSIONID=first-known", "the prefix is still taken away");
    assert!(early.contains_key("haddock-shop"));
    assert_eq!(shop.figures(1).await.sessions_begun, 0);
}

#[tokio::test]
async fn a_prefix_that_leads_nowhere_is_no_session_from_before_an_adoption() {
    let shop = Shop::new(CookieMode::Prefix).await;
    let third = Instance::start("shop-3").await;
    let mut cookies = Cookies::new();
    shop.get("/begin", &mut cookies).await;
    let mut adopts = shop.table(2, 0, 100);
    let until = shop.world.now() + IDLE;
    let mut route = haddock_core::routing::Route::new(third.address, haddock_core::Share::ZERO);
    route.adopted = Some(haddock_core::routing::Adopted { until, cookie: Some(NAME.to_owned()) });
    adopts.routes.insert(id(3), route);
    shop.world.locator().apply(&adopts).await.expect("new");
    shop.world.locator().evict(&service(), &id(1), number(3)).await.expect("the newest");
    assert_eq!(shop.ask(&mut cookies).await, Some(id(2)), "a new client");
    let mut before = Cookies::from([(NAME.to_owned(), "5A3C".to_owned())]);
    for _ in 0..2 {
        assert_eq!(shop.ask(&mut before).await, Some(id(3)));
        assert_eq!(seen(&third), "JSESSIONID=5A3C");
    }
    assert_eq!(shop.figures(3).await.sessions_begun, 1);
    shop.world.clock.pass(IDLE - Duration::from_millis(1));
    shop.ask(&mut before).await;
    shop.world.clock.pass(Duration::from_millis(1));
    assert_eq!(shop.figures(3).await.live, Count::Exact(1));
    assert_eq!(shop.ask(&mut before).await, Some(id(3)), "it is known by its cookie");
}

#[tokio::test]
async fn a_request_that_could_not_be_sent_goes_where_its_session_begins() {
    for mode in MODES {
        let shop = Shop::new(mode).await;
        let mut cookies = Cookies::new();
        shop.get("/begin", &mut cookies).await;
        shop.shares(2, 50, 50).await;
        shop.first.stop();
        eventually("it is gone", async || TcpStream::connect(shop.first.address).await.is_err()).await;
        for _ in 0..20 {
            assert_eq!(shop.ask(&mut Cookies::new()).await, Some(id(2)), "chance may choose the first");
        }
        // A session waits for its own instance until that is given up.
        let evict = async {
            eventually("it waits", async || shop.figures(1).await.in_flight == 1).await;
            shop.world.locator().evict(&service(), &id(1), number(3)).await.expect("the newest");
        };
        let (reply, ()) = tokio::join!(shop.get("/begin", &mut cookies), evict);
        assert_eq!(reply.instance(), Some(id(2)));
        assert_eq!(seen(&shop.second), "JSESSIONID=first", "without the prefix");
        assert_eq!(shop.ask(&mut cookies).await, Some(id(2)));
        assert_eq!(seen(&shop.second), "JSESSIONID=second");
    }
}

#[tokio::test]
async fn an_ignored_path_opens_nothing_even_if_it_sets_the_cookie() {
    let shop = Shop::new(CookieMode::Prefix).await;
    let set = vec![format!("{NAME}=probe; Path=/")];
    shop.first.sets.lock().expect("not poisoned").insert("/probe".to_owned(), set);
    let mut cookies = Cookies::new();
    shop.get("/probe", &mut cookies).await;
    let figures = shop.figures(1).await;
    assert_eq!((figures.live, figures.sessions_begun), (Count::Exact(0), 0));
    // Whoever uses it is where it was set.
    shop.shares(2, 0, 100).await;
    assert_eq!(shop.ask(&mut cookies).await, Some(id(1)));
    assert_eq!(shop.figures(1).await.live, Count::Exact(1));
}

#[tokio::test]
async fn the_figures_reach_the_admin_api_and_its_table_keeps_the_cookie() {
    let shop = Shop::new(CookieMode::Learn).await;
    shop.get("/begin", &mut Cookies::new()).await;
    let request = Request::get("/metrics").header(header::HOST, "127.0.0.1").body(Full::default()).expect("valid");
    let metrics = String::from_utf8(send(shop.world.admin(), request).await.body.to_vec()).expect("text");
    assert!(metrics.contains("shop-1"), "{metrics}");
    let text = serde_json::to_string(&shop.table(1, 1, 1)).expect("plain");
    assert!(text.contains(r#""application":{"name":"JSESSIONID","mode":"learn"}"#), "{text}");
    let old: SessionPolicy = serde_json::from_str(r#"{"idle":1000}"#).expect("a policy of before");
    assert_eq!(old.application, None);
    assert!(!serde_json::to_string(&old).expect("plain").contains("application"));
}
