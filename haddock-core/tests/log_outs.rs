//! While an instance drains, each locator of a group hears which sessions have ended at the others.
#![allow(missing_docs)]

mod site;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::sim::SimLocator;
use haddock_core::routing::{EndedSession, EndedSessions, SessionKey};
use haddock_core::runtime::sim::SimImage;
use haddock_core::{Error, ErrorKind, LocatorName, Result, ServiceName, SystemClock};

/// A simulated locator, with a list of what has ended there.
#[derive(Debug, Clone)]
struct Member {
    name: LocatorName,
    sim: SimLocator,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    ended: Vec<EndedSession>,
    asked: u64,
    heard: Vec<SessionKey>,
    /// The ages of what it heard.
    ages: Vec<Duration>,
    is_deaf: bool,
    knows_none: bool,
}

impl Member {
    fn new(name: &str) -> Self {
        let name = LocatorName::new(name).expect("valid");
        let sim = SimLocator::new(name.clone(), Arc::new(SystemClock::new()));
        Self { name, sim, told: Arc::default() }
    }

    fn told<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.told.lock().expect("no panic"))
    }

    fn ends(&self, key: u64) {
        let ended = EndedSession { key: SessionKey(key), ago: Duration::from_secs(3) };
        self.told(|told| told.ended.push(ended));
    }

    fn heard(&self) -> Vec<u64> {
        self.told(|told| told.heard.iter().map(|key| key.0).collect())
    }

    fn list(&self, from: u64) -> Result<EndedSessions> {
        self.told(|told| {
            told.asked += 1;
            if told.knows_none {
                return Err(Error::new(ErrorKind::NotSupported, "it cannot say"));
            }
            let sessions = told.ended.iter().skip(usize::try_from(from).expect("small")).copied().collect();
            Ok(EndedSessions { next: told.ended.len() as u64, sessions })
        })
    }

    fn hear(&self, sessions: &[EndedSession]) -> Result<()> {
        self.told(|told| {
            if told.knows_none {
                return Err(Error::new(ErrorKind::NotSupported, "it does not hear"));
            }
            if told.is_deaf {
                return Err(Error::new(ErrorKind::LocatorUnavailable, "it does not answer"));
            }
            told.heard.extend(sessions.iter().map(|session| session.key));
            told.ages.extend(sessions.iter().map(|session| session.ago));
            Ok(())
        })
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sim.fmt(f)
    }
}

macro_rules! with_a_list {
    ($me:ident, capabilities) => { $me.sim.capabilities() };
    ($me:ident, ended_sessions, $service:ident, $from:ident) => {{
        let _ = $service;
        $me.list($from)
    }};
    ($me:ident, end_sessions, $service:ident, $sessions:ident) => {{
        let _ = $service;
        $me.hear($sessions)
    }};
    ($me:ident, $method:ident $(, $argument:ident)*) => { $me.sim.$method($($argument),*).await };
}

haddock_core::forward_locator! { [impl ServiceLocator for Member] with_a_list }

fn spec(tag: &str) -> EnvironmentSpec {
    let text = "
name: shop
services: { shop: { image: 'shop:${TAG}', expose: ['8080'] } }
x-haddock: { session: { idle: 1h }, release: { ramp: [100%], settle: 0s } }
";
    let options = ResolveOptions { tag: Some(tag.to_owned()), purpose: Purpose::Release, ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", text).expect("YAML").resolve(&options).expect("good").spec
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hears_what_has_ended_at_the_others_and_one_that_was_away_hears_it_later() {
    let members = ["east", "west", "mute"].map(Member::new);
    members[2].told(|told| told.knows_none = true);
    let all: Vec<_> = members
        .iter()
        .map(|member| (member.name.clone(), Arc::new(member.clone()) as Arc<dyn ServiceLocator>))
        .collect();
    let site = site::Site::with(SimImage::good(Duration::ZERO), move |builder| builder.locators(all.clone()));
    let [east, west, mute] = &members;
    let acting = site.service.act().await.expect("nobody else acts");
    site.service.release(&spec("1"), "me", None).await.expect("asked").settled().await.expect("it settles");
    // A request that goes on and on, so the first version drains.
    let shop = ServiceName::new("shop").expect("valid");
    let ticket = east.sim.begin(&shop, None, false).expect("a share");
    east.ends(7);
    assert_eq!(east.told(|told| told.asked), 0, "nobody asks while nothing drains");
    site.service.release(&spec("2"), "me", None).await.expect("asked").settled().await.expect("it settles");

    site::until("the other one hears it", async || west.heard() == [7]).await;
    let age = west.told(|told| told.ages[0]);
    assert!(age >= Duration::from_secs(3), "it is no younger than it was: {age:?}");
    west.ends(8);
    site::until("and the other way round", async || east.heard() == [8]).await;

    west.told(|told| told.is_deaf = true);
    east.ends(9);
    let asked = east.told(|told| told.asked);
    site::until("it is asked again", async || east.told(|told| told.asked) > asked + 2).await;
    west.told(|told| told.is_deaf = false);
    site::until("it is told later", async || west.heard() == [7, 9]).await;
    let asked = east.told(|told| told.asked);
    site::until("it is asked again", async || east.told(|told| told.asked) > asked + 1).await;
    assert_eq!((west.heard(), east.heard(), mute.heard()), (vec![7, 9], vec![8], vec![]), "each once");
    east.sim.finish(&shop, &ticket, false);
    acting.stop().await.expect("it acted");
}
