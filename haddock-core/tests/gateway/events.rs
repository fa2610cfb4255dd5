//! The stream of events.

use std::net::SocketAddr;
use std::time::Duration;

use haddock_core::InstanceId;
use haddock_core::locator::suite::{Cookies, Harness as _};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::world::{Instance, World, eventually, get, number, service, table};

const IDLE: Duration = Duration::from_secs(60);

/// Somebody who reads the stream.
struct Reading(BufReader<TcpStream>);

impl Reading {
    async fn begin(admin: SocketAddr, query: &str, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(admin).await.expect("a connection");
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!("GET /v1/events{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut reading = Self(BufReader::new(stream));
        let head = reading.until(|line| line == "retry: 2000").await;
        assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        reading
    }

    async fn until(&mut self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let read = async {
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                assert_ne!(self.0.read_line(&mut line).await.expect("a line"), 0, "it ended after {lines:?}");
                lines.push(line.trim_end().to_owned());
                if is_last(line.trim_end()) {
                    return lines;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("in time")
    }

    /// The next event that is not about numbers of sessions, and its id.
    async fn next(&mut self) -> (String, Value) {
        loop {
            let (id, event) = self.any().await;
            if event["event"] != "sessions" {
                return (id, event);
            }
        }
    }

    async fn any(&mut self) -> (String, Value) {
        let lines = self.until(|line| line.starts_with("data: ")).await;
        let [.., id, name, data] = lines.as_slice() else { panic!("{lines:?}") };
        let event: Value = serde_json::from_str(&data["data: ".len()..]).expect("JSON");
        assert_eq!(*name, format!("event: {}", event["event"].as_str().expect("a name")));
        (id["id: ".len()..].to_owned(), event)
    }

    /// The kinds of the next ones.
    async fn kinds(&mut self, most: usize) -> Vec<String> {
        let mut kinds = Vec::new();
        for _ in 0..most {
            kinds.push(self.next().await.1["event"].as_str().expect("a name").to_owned());
        }
        kinds
    }
}

fn id(name: &str) -> InstanceId {
    InstanceId::new(name).expect("valid")
}

#[tokio::test]
async fn each_thing_that_happens_is_told_once_and_what_was_missed_later() {
    let world = World::new(false).await;
    let (first, second) = (Instance::start("shop-1").await, Instance::start("shop-2").await);
    let mut reading = Reading::begin(world.admin(), "?service=shop", None).await;
    let locator = world.locator();
    let one = [("shop-1", first.address, 100)];
    locator.apply(&table(1, IDLE, &one)).await.expect("new");
    let (_, event) = reading.next().await;
    assert_eq!(event["event"], "table_applied");
    assert_eq!((&event["service"], &event["number"]["revision"]), (&"shop".into(), &1.into()));
    assert_eq!(event["shares"]["shop-1"], 10_000);
    let (seen, event) = reading.next().await;
    assert_eq!((&event["event"], &event["instance"]), (&"instance_added".into(), &"shop-1".into()));
    assert_eq!(event["address"], first.address.to_string());

    get(world.address(), "/", &mut Cookies::new()).await;
    let counted = loop {
        let (_, event) = reading.any().await;
        if event["live"]["shop-1"]["exact"] == 1 {
            break event;
        }
    };
    assert_eq!(counted["event"], "sessions");

    locator.hold(&service(), &id("shop-1"), Duration::from_secs(9)).await.expect("listed");
    locator.resume(&service(), &id("shop-1")).await.expect("listed");
    locator
        .apply(&table(2, IDLE, &[("shop-1", first.address, 0), ("shop-2", second.address, 100)]))
        .await
        .expect("newer");
    locator.close(&service(), &id("shop-1"), number(3)).await.expect("asked");
    locator.evict(&service(), &id("shop-1"), number(3)).await.expect("newer");
    locator.evict(&service(), &id("shop-1"), number(3)).await.expect("the same again");
    locator.apply(&table(4, IDLE, &[("shop-2", second.address, 0)])).await.expect("newer");
    locator.close(&service(), &id("shop-2"), number(5)).await.expect("empty");
    locator.close(&service(), &id("shop-2"), number(5)).await.expect("the same again");
    locator.apply(&table(6, IDLE, &[])).await.expect("newer");
    let told = [
        "held",
        "resumed",
        "table_applied",
        "instance_added",
        "instance_evicted",
        "table_applied",
        "instance_removed",
        "instance_closed",
        "table_applied",
        "instance_removed",
    ];
    assert_eq!(reading.kinds(told.len()).await, told);

    let mut again = Reading::begin(world.admin(), "?service=shop", Some(&seen)).await;
    assert_eq!(again.kinds(told.len()).await, told);
    let mut other = Reading::begin(world.admin(), "?service=bank", Some(&seen)).await;
    world.kill();
    assert_eq!(other.0.read_line(&mut String::new()).await.unwrap_or(0), 1, "the line after the head, and no event");
}

#[tokio::test]
async fn after_a_restart_events_are_lost() {
    let world = World::new(false).await;
    let instance = Instance::start("shop-1").await;
    let mut reading = Reading::begin(world.admin(), "", None).await;
    world.locator().apply(&table(1, IDLE, &[("shop-1", instance.address, 100)])).await.expect("new");
    let (seen, _) = reading.next().await;
    world.kill();
    world.begin(|builder| builder).await;
    let mut again = Reading::begin(world.admin(), "", Some(&seen)).await;
    assert_eq!(again.next().await.1["event"], "lost");
    world.locator().apply(&table(2, IDLE, &[("shop-1", instance.address, 50)])).await.expect("newer");
    assert_eq!(again.next().await.1["event"], "table_applied");
}

#[tokio::test]
async fn readers_that_go_away_make_room_for_others() {
    let world = World::new(false).await;
    let mut readers = Vec::new();
    for _ in 0..64 {
        readers.push(Reading::begin(world.admin(), "", None).await);
    }
    assert_eq!(status(world.admin()).await, "HTTP/1.1 503 Service Unavailable");
    readers.clear();
    eventually("there is room", async || status(world.admin()).await == "HTTP/1.1 200 OK").await;
}

async fn status(admin: SocketAddr) -> String {
    let mut stream = TcpStream::connect(admin).await.expect("a connection");
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.expect("written");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.expect("a line");
    line.trim_end().to_owned()
}

#[tokio::test]
async fn certificates_that_are_read_again_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("shop.pem"), folder.path().join("shop.key"));
    let write = || {
        let pair = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["shop.example".to_owned()]).expect("a name");
        std::fs::write(&certificate, params.self_signed(&pair).expect("signed").pem()).expect("ours");
        std::fs::write(&key, pair.serialize_pem()).expect("ours");
    };
    write();
    let world = World::new(false).await;
    world.kill();
    world.begin(|builder| builder.tls(&certificate, &key)).await;
    let mut reading = Reading::begin(world.admin(), "?service=shop", None).await;
    write();
    // They are looked at once a second, by the clock of the gateway.
    let time = async {
        let mut round = tokio::time::interval(Duration::from_millis(20));
        loop {
            round.tick().await;
            world.clock.pass(Duration::from_secs(2));
        }
    };
    let told = tokio::select! {
        (_, event) = reading.next() => event,
        () = time => unreachable!("it goes on for ever"),
    };
    assert_eq!((&told["event"], told.get("service")), (&"certificates_reloaded".into(), None));
}
