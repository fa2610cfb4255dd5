//! Clients that are known over their sessions.

use std::time::Duration;

use haddock_core::InstanceId;
use haddock_core::locator::suite::{Cookies, Harness as _};
use haddock_core::routing::{ApplicationCookie, CookieMode, CookiePolicy, RoutingTable, SameSite, SessionBy};
use http::header;

use crate::world::{Instance, Reply, World, get, table};

const IDLE: Duration = Duration::from_secs(60);
const NAME: &str = "haddock-client.shop";
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Shop {
    world: World,
    instances: [Instance; 2],
}

impl Shop {
    /// Half of the clients are for each of two versions.
    async fn new(change: impl Fn(&mut RoutingTable)) -> Self {
        let world = World::new(false).await;
        let instances = [Instance::start("shop-1").await, Instance::start("shop-2").await];
        let shop = Self { world, instances };
        shop.shares(1, 50, 50, change).await;
        shop
    }

    async fn shares(&self, revision: u64, first: u32, second: u32, change: impl Fn(&mut RoutingTable)) {
        let [one, two] = &self.instances;
        let mut table = table(revision, IDLE, &[("shop-1", one.address, first), ("shop-2", two.address, second)]);
        table.session.by = SessionBy::Client;
        for (n, version) in [("shop-1", 4), ("shop-2", 9)] {
            table.routes.get_mut(&InstanceId::new(n).expect("valid")).expect("listed").version = Some(version);
        }
        change(&mut table);
        self.world.locator().apply(&table).await.expect("the newest");
    }

    async fn get(&self, cookies: &mut Cookies) -> Reply {
        get(self.world.address(), "/", cookies).await
    }

    /// A new session of that client: where it is, and the lines that set cookies.
    async fn come(&self, cookies: &mut Cookies) -> (String, Vec<String>) {
        self.world.clock.pass(IDLE * 2);
        let reply = self.get(cookies).await;
        let lines = reply.headers.get_all(header::SET_COOKIE).iter();
        let lines = lines.map(|line| line.to_str().expect("text").to_owned()).collect();
        (reply.instance().expect("it answers").to_string(), lines)
    }

    /// The cookies that the instances have seen last.
    fn seen(&self) -> Vec<String> {
        let last = self.instances.iter().filter_map(|instance| instance.last.lock().expect("not poisoned").take());
        let lines = last.flat_map(|parts| parts.headers.get_all(header::COOKIE).iter().cloned().collect::<Vec<_>>());
        lines.map(|line| line.to_str().expect("text").to_owned()).collect()
    }
}

fn of_client(lines: &[String]) -> Option<&String> {
    lines.iter().find(|line| line.starts_with(NAME))
}

#[tokio::test]
async fn a_client_is_given_a_cookie_for_a_year_which_nobody_else_sees() {
    let shop = Shop::new(|_| {}).await;
    let mut cookies = Cookies::from([("lang".to_owned(), "de".to_owned())]);
    let (first, lines) = shop.come(&mut cookies).await;
    let line = of_client(&lines).expect("it is new");
    assert!(line.ends_with("; Max-Age=31536000; Path=/; HttpOnly"), "{line}");
    assert_eq!(lines.len(), 2, "and one for the session: {lines:?}");
    // Within the session it is not asked again.
    shop.get(&mut cookies).await;
    assert_eq!(shop.seen(), ["lang=de"]);
    for day in 0..40 {
        let (now, lines) = shop.come(&mut cookies).await;
        assert_eq!(now, first);
        assert_eq!(of_client(&lines).is_some(), day == 31, "renewed once a month, and not on day {day}");
        shop.world.clock.pass(DAY);
    }
    assert!(shop.seen().iter().all(|seen| seen == "lang=de"));
}

#[tokio::test]
async fn what_somebody_made_up_is_a_new_client() {
    let shop = Shop::new(|_| {}).await;
    let mut cookies = Cookies::new();
    shop.come(&mut cookies).await;
    let genuine = cookies[NAME].clone();
    let other_end = if genuine.ends_with('A') { "B" } else { "A" };
    for forged in ["", "1", &format!("{}{other_end}", &genuine[..genuine.len() - 1]), &"A".repeat(44)] {
        let mut cookies = Cookies::from([(NAME.to_owned(), forged.to_owned())]);
        let (_, lines) = shop.come(&mut cookies).await;
        assert!(of_client(&lines).is_some(), "{forged:?} is nobody");
        assert_ne!(cookies[NAME], genuine);
        assert_eq!(shop.seen(), [""; 0], "{forged:?}");
    }
}

#[tokio::test]
async fn the_cookie_has_the_attributes_of_the_settings() {
    let shop = Shop::new(|table| {
        table.session.cookie =
            CookiePolicy { same_site: SameSite::Lax, domain: Some("example.com".to_owned()), ..Default::default() };
    })
    .await;
    let (_, lines) = shop.come(&mut Cookies::new()).await;
    let line = of_client(&lines).expect("it is new");
    assert!(line.ends_with("; Max-Age=31536000; Path=/; Domain=example.com; HttpOnly; SameSite=Lax"), "{line}");
}

#[tokio::test]
async fn clients_are_known_over_sessions_of_the_application() {
    for mode in [CookieMode::Prefix, CookieMode::Learn] {
        let shop = Shop::new(|table| {
            table.session.application = Some(ApplicationCookie { name: "JSESSIONID".to_owned(), mode });
        })
        .await;
        let mut cookies = Cookies::new();
        let (first, lines) = shop.come(&mut cookies).await;
        assert_eq!(lines.len(), 1, "the session is not known by a cookie of ours: {lines:?}");
        assert!(of_client(&lines).is_some());
        for _ in 0..20 {
            let (now, lines) = shop.come(&mut cookies).await;
            assert_eq!((now, lines), (first.clone(), vec![]));
        }
        assert_eq!(shop.seen(), [""; 0]);
    }
}

#[tokio::test]
async fn without_the_setting_there_is_no_such_cookie_and_an_old_one_stays_hidden() {
    let shop = Shop::new(|_| {}).await;
    let mut cookies = Cookies::new();
    shop.come(&mut cookies).await;
    shop.shares(2, 50, 50, |table| table.session.by = SessionBy::Session).await;
    let mut met = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let (now, lines) = shop.come(&mut cookies).await;
        assert_eq!(of_client(&lines), None);
        met.insert(now);
    }
    assert_eq!(met.len(), 2, "each session goes by the shares");
    assert_eq!(shop.seen(), [""; 0]);
    // A restart forgets neither the setting nor who somebody is.
    shop.shares(3, 50, 50, |_| {}).await;
    let (first, _) = shop.come(&mut cookies).await;
    shop.world.kill();
    shop.world.begin(|builder| builder).await;
    for _ in 0..6 {
        let (now, lines) = shop.come(&mut cookies).await;
        assert_eq!((now, of_client(&lines)), (first.clone(), None));
    }
}
