//! The client against the demo application, directly and through a relay that breaks things: a client that cannot
//! fail would be worthless.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod relay;

use std::net::SocketAddr;
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use haddock_examples::client::{Command, Kind, Options, Report, Summary, run};
use haddock_examples::show::Breaker;
use relay::{Fault, Relay};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Whatever is waited for is there within this time, or the test fails.
const LIMIT: Duration = Duration::from_secs(20);

/// The demo application as a process; it is killed when the test ends.
struct App(Child);

impl App {
    async fn start(address: SocketAddr, variables: &[(&str, &str)]) -> Self {
        let child = Process::new(env!("CARGO_BIN_EXE_demo-app"))
            .env("ADDRESS", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .envs(variables.iter().copied())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let app = Self(child);
        tokio::time::timeout(LIMIT, async {
            while TcpStream::connect(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        app
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A running client.
struct Load {
    commands: mpsc::UnboundedSender<Command>,
    reports: mpsc::UnboundedReceiver<Report>,
    run: tokio::task::JoinHandle<Summary>,
}

impl Load {
    fn start(options: Options) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (sender, reports) = mpsc::unbounded_channel();
        Self { commands, reports, run: tokio::spawn(run(options, receiver, sender)) }
    }

    async fn until(&mut self, what: &str, mut is_so: impl FnMut(&Report) -> bool) -> Report {
        let seen = async {
            loop {
                let report = self.reports.recv().await.expect("the client reports until it is stopped");
                if is_so(&report) {
                    return report;
                }
            }
        };
        tokio::time::timeout(LIMIT, seen).await.unwrap_or_else(|_| panic!("not seen within {LIMIT:?}: {what}"))
    }

    async fn stop(self) -> Summary {
        self.commands.send(Command::Stop).unwrap();
        tokio::time::timeout(LIMIT, self.run).await.unwrap().unwrap()
    }
}

/// A small load without slow requests and WebSockets.
fn plain(target: SocketAddr, sessions: usize) -> Options {
    Options { sessions, rate: 20.0 * sessions as f64, slow: 0.0, websockets: 0.0, ..Options::new(target) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_keeps_its_sessions_is_clean() {
    let address = free_address();
    let _app = App::start(address, &[("VERSION", "v1")]).await;
    let mut load = Load::start(Options {
        sessions: 40,
        slow_ms: vec![200, 300],
        stay: Some(Duration::from_millis(1500)),
        ..Options::new(address)
    });
    let full = |report: &Report| {
        report.sessions_by_version.get("v1").is_some_and(|sessions| *sessions >= 40)
            && report.websockets.get("v1").is_some_and(|sockets| *sockets >= 4)
            && report.in_flight.get("v1").is_some_and(|requests| *requests >= 5)
    };
    load.until("40 sessions, their WebSockets and slow requests", full).await;
    let changed = load.until("sessions leave and others come", |report| report.begun_by_version["v1"] > 120).await;
    assert!(changed.sessions >= 40, "one that leaves is followed by another first: {}", changed.sessions);
    let summary = load.stop().await;
    assert!(summary.is_clean(), "{summary:#?}");
    assert!(summary.requests > 500 && summary.p50_ms > 0.0, "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_leave_when_they_are_told_to_and_their_number_follows_the_target() {
    let address = free_address();
    let _app = App::start(address, &[("VERSION", "v1")]).await;
    let mut load = Load::start(Options { websockets: 0.2, ..plain(address, 20) });
    load.until("20 sessions", |report| report.sessions == 20).await;
    load.commands.send(Command::Leave { version: "v2".into(), over: Duration::ZERO }).unwrap();
    load.commands.send(Command::Leave { version: "v1".into(), over: Duration::from_millis(500) }).unwrap();
    let left = load.until("20 successors", |report| report.begun_by_version["v1"] >= 40).await;
    assert_eq!(left.begun_by_version["v1"], 40, "the order to v1 counted once, that to v2 not at all");
    load.commands.send(Command::Open(5)).unwrap();
    load.until("15 fewer", |report| report.sessions == 5).await;
    load.commands.send(Command::Open(30)).unwrap();
    load.until("25 more", |report| report.sessions == 30).await;
    let summary = load.stop().await;
    assert!(summary.is_clean(), "{summary:#?}");
    assert_eq!(summary.sessions, 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_application_loses_every_session() {
    let address = free_address();
    let app = App::start(address, &[("VERSION", "v1"), ("INSTANCE", "one")]).await;
    let mut load = Load::start(Options { websockets: 0.2, ..plain(address, 20) });
    load.until("20 sessions", |report| report.sessions == 20).await;
    drop(app);
    let _app = App::start(address, &[("VERSION", "v1"), ("INSTANCE", "one")]).await;
    load.until("20 lost sessions", |report| report.lost >= 20).await;
    let summary = load.stop().await;
    assert_eq!((summary.lost, summary.moved), (20, 0), "{summary:#?}");
    assert!(summary.failed >= 4, "each WebSocket broke: {summary:#?}");
    assert!(summary.failures.iter().all(|failure| failure.session > 0 && failure.session <= 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_is_lapsed_only_if_the_client_was_held_up() {
    let address = free_address();
    // The application forgets after 0.2 s, the client was told 1800 s: it pauses for longer, and that is a loss.
    let _app = App::start(address, &[("SESSION_IDLE_SECONDS", "0.2")]).await;
    let mut load = Load::start(Options { rate: 2.0, ..plain(address, 2) });
    load.until("a lost session", |report| report.lost > 0).await;
    let summary = load.stop().await;
    assert_eq!((summary.lapsed, summary.failed), (0, 0), "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alternator_moves_and_loses_sessions() {
    let (one, two) = (free_address(), free_address());
    let _one = App::start(one, &[("VERSION", "v1"), ("INSTANCE", "one")]).await;
    let _two = App::start(two, &[("VERSION", "v2"), ("INSTANCE", "two")]).await;
    let relay = Relay::start(vec![one, two], Fault::None).await;
    let mut load = Load::start(plain(relay.address, 5));
    load.until("moved and lost sessions", |report| report.moved >= 5 && report.lost >= 5).await;
    let summary = load.stop().await;
    // The relay closes each connection in an orderly way after each answer: that alone is no failure.
    assert_eq!(summary.failed, 0, "{summary:#?}");
    assert!(summary.failures.iter().any(|failure| failure.kind == Kind::Moved && failure.what.contains("(two)")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_that_is_cut_fails_once_and_none_is_sent_again() {
    let address = free_address();
    let _app = App::start(address, &[]).await;
    let relay = Relay::start(vec![address], Fault::CutEvery(10)).await;
    let mut load = Load::start(plain(relay.address, 5));
    load.until("30 failed requests", |report| report.failed >= 30).await;
    let summary = load.stop().await;
    assert_eq!(summary.failed, relay.faults.load(Ordering::SeqCst), "{summary:#?}");
    assert_eq!(summary.requests, relay.requests.load(Ordering::SeqCst), "the client sent one again");
    assert_eq!((summary.lost, summary.moved), (0, 0), "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_between_two_requests_fails() {
    let address = free_address();
    let _app = App::start(address, &[]).await;
    let relay = Relay::start(vec![address], Fault::ResetAfterEvery(10)).await;
    let mut load = Load::start(plain(relay.address, 5));
    load.until("10 failed requests", |report| report.failed >= 10).await;
    let summary = load.stop().await;
    assert!(summary.failed <= relay.faults.load(Ordering::SeqCst), "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_sends_a_request_twice_is_found_out() {
    let address = free_address();
    let _app = App::start(address, &[]).await;
    let relay = Relay::start(vec![address], Fault::TwiceEvery(10)).await;
    let mut load = Load::start(plain(relay.address, 5));
    load.until("5 failed requests", |report| report.failed >= 5).await;
    let summary = load.stop().await;
    // Twice on the first request of a session is another session at 1, and no harm.
    assert!(summary.failed <= relay.faults.load(Ordering::SeqCst), "{summary:#?}");
    assert!(summary.failures.iter().all(|failure| failure.what.contains("twice")), "{summary:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_status_fails_and_loses_no_session() {
    let address = free_address();
    let _app = App::start(address, &[("ERROR_RATE", "0.1")]).await;
    let mut load = Load::start(plain(address, 10));
    load.until("20 failed requests", |report| report.failed >= 20).await;
    let summary = load.stop().await;
    assert_eq!((summary.lost, summary.moved), (0, 0), "{summary:#?}");
    assert!(summary.failures.iter().all(|failure| failure.what.contains("status 500")), "{summary:#?}");
    assert!(summary.failed * 3 < summary.requests, "a tenth fails, not most: {summary:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_starting_or_not_there_fails() {
    let address = free_address();
    let _app = App::start(address, &[("START_DELAY_MS", "600000")]).await;
    for target in [address, free_address()] {
        let mut load = Load::start(plain(target, 5));
        load.until("failed requests", |report| report.failed > 5).await;
        let summary = load.stop().await;
        assert_eq!(summary.failed, summary.requests, "{summary:#?}");
        assert!(!summary.is_clean());
    }
}

#[test]
fn no_load_at_all_is_not_clean() {
    assert!(!Summary::default().is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cut_connection_is_one_failed_request() {
    let address = free_address();
    let _app = App::start(address, &[]).await;
    let breaker = Breaker::start(address).await.unwrap();
    // Slow requests alone: one is in flight almost always, and nothing but the cut can fail.
    let options = Options { slow: 1.0, slow_ms: vec![100, 200], ..plain(breaker.address(), 10) };
    let mut load = Load::start(options);
    load.until("requests in flight", |report| report.sessions == 10 && report.in_flight.contains_key("dev")).await;
    let cut = async {
        while !breaker.cut_one() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, cut).await.unwrap();
    load.until("the failed request", |report| report.failed > 0).await;
    let summary = load.stop().await;
    assert_eq!((summary.failed, summary.lost, summary.moved), (1, 0, 0), "{summary:#?}");
}
