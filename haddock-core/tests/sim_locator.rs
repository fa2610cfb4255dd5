//! The simulated locator keeps the part of the locators' contract that is about clients. Its sessions are data, so the rest is
//! tried by what compares it with the gateway.
#![allow(missing_docs)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::sim::{Cookie, SessionId, SimLocator};
use haddock_core::locator::suite::{self, Ask, Cookies, Harness, InFlight};
use haddock_core::{Clock, InstanceId, LocatorName, ServiceName, Timestamp};

/// A clock that stands still until somebody moves it.
#[derive(Debug, Default)]
struct ByHand(Mutex<Duration>);

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_893_456_000_000) + *self.0.lock().expect("no panic")
    }
}

struct Stage {
    locator: SimLocator,
    clock: Arc<ByHand>,
}

impl Stage {
    fn new() -> Self {
        let clock = Arc::new(ByHand::default());
        let name = LocatorName::new("sim").expect("valid");
        Self { locator: SimLocator::new(name, Arc::clone(&clock) as Arc<dyn Clock>), clock }
    }
}

/// What a client keeps, as a text.
fn written(cookie: &Cookie) -> String {
    format!("{} {} {} {}", cookie.session.0, cookie.instance, cookie.last_use.as_millis(), cookie.client)
}

fn read(text: &str) -> Cookie {
    let [session, instance, last_use, client] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    Cookie {
        session: SessionId(number(session)),
        instance: InstanceId::new(instance).expect("valid"),
        last_use: Timestamp::from_millis(number(last_use)),
        client: number(client),
    }
}

#[async_trait]
impl Harness for Stage {
    fn locator(&self) -> Arc<dyn ServiceLocator> {
        Arc::new(self.locator.clone())
    }

    fn service(&self) -> ServiceName {
        ServiceName::new("suite").expect("valid")
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn start(&self, _instance: &InstanceId) -> SocketAddr {
        ([127, 0, 0, 1], 8080).into() // nothing is forwarded
    }

    async fn ask(&self, cookies: &mut Cookies, ask: Ask) -> Option<InstanceId> {
        let cookie = cookies.get("session").map(|text| read(text));
        let ticket = self.locator.begin(&self.service(), cookie.as_ref(), false)?;
        let kept = self.locator.finish(&self.service(), &ticket, ask == Ask::Failure)?;
        cookies.insert("session".to_owned(), written(&kept));
        Some(ticket.instance)
    }

    async fn begin(&self, _cookies: &mut Cookies) -> Option<Box<dyn InFlight>> {
        None // these cases leave no request unanswered
    }

    async fn pass(&self, time: Duration) {
        *self.clock.0.lock().expect("no panic") += time;
    }

    async fn restart(&self) -> bool {
        self.locator.restart();
        true
    }
}

#[tokio::test]
async fn a_client_keeps_to_its_version_over_its_sessions() {
    suite::a_client_keeps_to_its_version_over_its_sessions(Stage::new()).await;
}

#[tokio::test]
async fn a_client_goes_over_to_newer_versions_only() {
    suite::a_client_goes_over_to_newer_versions_only(Stage::new()).await;
}
