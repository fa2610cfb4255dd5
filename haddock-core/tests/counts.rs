//! A real server says how many sessions it has, besides the locator, and its drain waits for that.
#![allow(missing_docs)]

mod site;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::InstanceId;
use haddock_core::controller::{ApplicationSessions, Service};
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::probe::{Probe, ProbeFailure, Probing};
use haddock_core::release::{Event, PhaseName};
use haddock_core::runtime::sim::SimImage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Everything is ready at once. What is asked for its sessions is real.
#[derive(Debug)]
struct Ready;

#[async_trait]
impl Probing for Ready {
    async fn probe(&self, _probe: &Probe, _limit: Duration) -> Result<(), ProbeFailure> {
        Ok(())
    }
}

/// A server that says what it is told to.
struct Server {
    address: SocketAddr,
    says: Arc<Mutex<(u16, String)>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (says, asked) = (Arc::new(Mutex::new((200, "2".to_owned()))), Arc::new(AtomicUsize::new(0)));
        let (answers, count) = (Arc::clone(&says), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let (status, body) = answers.lock().expect("no panic").clone();
                let (status, body) =
                    if request.starts_with("GET /sessions ") { (status, body) } else { (404, String::new()) };
                let answer = format!("HTTP/1.1 {status} So\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { address, says, asked }
    }

    fn say(&self, status: u16, body: &str) {
        *self.says.lock().expect("no panic") = (status, body.to_owned());
    }

    /// Waits until it was asked some more times, by the controller and by nobody else.
    async fn is_asked_again(&self) {
        let before = self.asked.load(Ordering::Relaxed);
        site::until("it is asked again", async || self.asked.load(Ordering::Relaxed) > before + 4).await;
    }
}

fn spec(tag: &str, pointer: &str) -> EnvironmentSpec {
    let text = format!(
        "
name: shop
services: {{ shop: {{ image: 'shop:${{TAG}}', expose: ['8080'] }} }}
x-haddock:
  entry: 'shop:8080'
  session: {{ idle: 200ms, count: {{ http: /sessions, every: 20ms{pointer} }} }}
  release: {{ ramp: [100%], settle: 0s }}
"
    );
    let options = ResolveOptions { tag: Some(tag.to_owned()), purpose: Purpose::Release, ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", &text).expect("YAML").resolve(&options).expect("good").spec
}

/// How the instance is, and what its application says.
async fn seen(service: &Service, id: &InstanceId) -> Option<(PhaseName, Option<ApplicationSessions>)> {
    let summary = service.status_in_full().await.expect("a journal").expect("it was adopted").summary();
    let found = summary.instances.into_iter().find(|it| it.instance == *id)?;
    Some((found.phase, found.application_sessions))
}

async fn drains(service: &Service, id: &InstanceId, sessions: Option<u64>, unknown: Option<&str>) {
    let (phase, says) = seen(service, id).await.expect("it is still there");
    let says = says.expect("it is asked");
    assert_eq!((phase, says.sessions, says.unknown.as_deref()), (PhaseName::Draining, sessions, unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_only_when_the_application_says_so_itself() {
    let server = Server::start().await;
    let site = site::Site::with(SimImage::good(Duration::ZERO), |builder| builder.probing(Arc::new(Ready)));
    let acting = site.service.act().await.expect("nobody else acts");
    let settings = spec("1", "").service().expect("a service").clone();
    let id = site.service.adopt(server.address, settings, "me").await.expect("it answers");
    site::until("it serves", async || seen(&site.service, &id).await == Some((PhaseName::Serving, None))).await;
    assert_eq!(server.asked.load(Ordering::Relaxed), 0, "nobody asks while it serves");
    let release = site.service.release(&spec("2", ""), "me", None).await.expect("asked");
    release.settled().await.expect("it settles");
    let empty = async || {
        let status = site.service.status().await.expect("a journal").expect("adopted");
        status.locators.values().all(|report| {
            let report = report.as_ref().expect("it answers");
            report.instances.get(&id).is_none_or(haddock_core::routing::InstanceFigures::is_empty)
        })
    };
    site::until("the locator has none left", empty).await;

    let html = "<html>busy</html>";
    for (status, body, sessions, unknown) in [
        (200, "2", Some(2), None),
        (200, "1", Some(1), None),
        (500, "0", None, Some("status 500")),
        (302, "0", None, Some("status 302")),
        (200, html, None, Some("the answer is no number")),
        (200, "-1", None, Some("`-1` is no number of sessions")),
        (200, &"0".repeat(65 << 10), None, Some("an answer of more than 64 KiB")),
    ] {
        server.say(status, body);
        server.is_asked_again().await;
        drains(&site.service, &id, sessions, unknown).await;
    }

    // The controller dies. The next one knows nothing of what the server said, and asks.
    drop(acting);
    server.say(200, "1");
    let other = site.restarted();
    let acting = loop {
        if let Some(acting) = other.try_act().await.expect("a journal") {
            break acting;
        }
        let _ = tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
    };
    server.is_asked_again().await;
    drains(&other, &id, Some(1), None).await;

    server.say(200, "0\n");
    site::until("it goes", async || seen(&other, &id).await.is_none()).await;
    let mut events = other.events(0);
    let mut released = false;
    while !released {
        let page = events.next_within(Duration::from_secs(5)).await.expect("a history");
        assert!(!page.is_empty(), "the history says so");
        released =
            page.iter().any(|it| matches!(&it.event, Event::ExternalReleased { instance, .. } if *instance == id));
    }
    acting.stop().await.expect("it acted");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_gone_has_not_said_none_and_json_is_read_at_its_place() {
    let server = Server::start().await;
    let site = site::Site::with(SimImage::good(Duration::ZERO), |builder| builder.probing(Arc::new(Ready)));
    let acting = site.service.act().await.expect("nobody else acts");
    let at = ", pointer: /sessions/active";
    let settings = spec("1", at).service().expect("a service").clone();
    let id = site.service.adopt(server.address, settings, "me").await.expect("it answers");
    server.say(200, r#"{"sessions":{"active":3,"all":0}}"#);
    let release = site.service.release(&spec("2", at), "me", None).await.expect("asked");
    release.settled().await.expect("it settles");
    server.is_asked_again().await;
    drains(&site.service, &id, Some(3), None).await;
    server.say(200, r#"{"sessions":{}}"#);
    server.is_asked_again().await;
    drains(&site.service, &id, None, Some("the answer has nothing at `/sessions/active`")).await;
    server.say(200, r#"{"sessions":{"active":0}}"#);
    site::until("it goes", async || seen(&site.service, &id).await.is_none()).await;
    acting.stop().await.expect("it acted");
}
