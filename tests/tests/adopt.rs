//! A plain server runs, with sessions on it. It is adopted, its clients are sent through the gateway, a version is
//! released: they notice nothing, and when the last of them has gone the server is reported and still runs.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::{Controller, Service};
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::launch::teardown;
use haddock_core::environment::store::SpecStore;
use haddock_core::environment::{EnvironmentSpec, ServiceSettings};
use haddock_core::journal::memory::MemoryJournal;
use haddock_core::locator::gateway::Gateway;
use haddock_core::release::Event;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::process::ProcessRuntime;
use haddock_core::{JournalId, ServiceName};
use haddock_tests::pause;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PLAYER: &str = env!("CARGO_BIN_EXE_player");
/// How long a session may be idle, for the application and the gateway alike. A busy machine may take some seconds from the
/// first request to the adoption.
const IDLE_SECONDS: &str = "12";

/// The server that runs today. Ends with the test.
struct Plain(Child, SocketAddr);

impl Plain {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        let mut command = Command::new(PLAYER);
        command.arg("app").env("ADDRESS", "127.0.0.1").env("PORT", free.port().to_string());
        command.env("VERSION", "old").env("SESSION_IDLE_SECONDS", IDLE_SECONDS);
        Self(command.spawn().expect("it starts"), free)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that keeps whatever cookies it is given.
#[derive(Default)]
struct Client {
    cookies: BTreeMap<String, String>,
    count: u64,
}

impl Client {
    /// Asks once; the version that answers, if any does.
    async fn ask(&mut self, to: SocketAddr) -> Option<String> {
        let asked = async {
            let mut stream = TcpStream::connect(to).await.ok()?;
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let cookies =
                if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
            let request = format!("GET / HTTP/1.1\r\nHost: demo\r\n{cookies}Connection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            Some(answer)
        };
        let answer = timeout(Duration::from_secs(10), asked).await.ok()??;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        for line in head.lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            if name.eq_ignore_ascii_case("set-cookie") {
                let (name, value) = value.split(';').next()?.split_once('=')?;
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let answer: serde_json::Value = serde_json::from_str(body).ok()?;
        self.count = answer["count"].as_u64()?;
        Some(answer["version"].as_str()?.to_owned())
    }

    /// Asks once more, as somebody who has a session on the old server, and nothing is lost.
    async fn goes_on(&mut self, to: SocketAddr) {
        let before = self.count;
        assert_eq!(self.ask(to).await.as_deref(), Some("old"), "after {before} requests");
        assert_eq!(self.count, before + 1, "its session was lost");
    }
}

fn spec() -> EnvironmentSpec {
    let variables = [("IDLE_SECONDS", IDLE_SECONDS), ("ADDRESS", "127.0.0.1"), ("EVERY", "1s")];
    let options = ResolveOptions {
        variables: variables.into_iter().collect(),
        tag: Some("v2".into()),
        purpose: Purpose::Release,
        ..ResolveOptions::default()
    };
    let file = ComposeFile::parse("demo.yaml", include_str!("../../examples/compose/demo.yaml")).expect("YAML");
    file.resolve(&options).expect("complete").spec
}

async fn until(service: &Service, what: &str, happened: impl Fn(&Event) -> bool) {
    let told = async {
        let mut events = service.events(0);
        while !events.next().await.expect("the history").iter().any(|recorded| happened(&recorded.event)) {}
    };
    timeout(Duration::from_secs(60), told).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_an_adopted_server_notice_nothing_of_the_first_release() {
    let server = Plain::start();
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = ProcessRuntime::builder(folder.path().join("processes"));
    let runtime = runtime.image("haddock-demo:v2", [PLAYER.to_owned(), "app".to_owned()]).build().expect("a runtime");
    let runtime: Arc<dyn ContainerRuntime> = Arc::new(runtime);
    let gateway = Gateway::builder().state_dir(folder.path().join("gateway")).start().await.expect("a gateway");
    let journal = JournalId::new("adopt").expect("valid");
    let name = ServiceName::new("demo").expect("valid");
    let specs = SpecStore::directory(folder.path().join("specs")).expect("a store");
    let memory = Arc::new(MemoryJournal::new(journal.clone()));
    let controller = Controller::builder(Arc::clone(&runtime), gateway.locator(), memory, specs)
        .tick(Duration::from_millis(200))
        .build();
    let service = controller.service(name.clone());

    // As it was before: nobody knows of Haddock.
    let mut eager = Vec::new();
    while eager.len() < 10 {
        let mut client = Client::default();
        match client.ask(server.1).await {
            Some(_) => eager.push(client),
            None => pause().await,
        }
    }
    let mut patient = Client::default();
    patient.ask(server.1).await.expect("it answers");

    let acting = service.act().await.expect("nobody else acts");
    let spec = spec();
    let settings = ServiceSettings { service: name, ..spec.service().expect("a service").clone() };
    service.adopt(server.1, settings, "the test").await.expect("it answers");
    until(&service, "it serves", |event| matches!(event, Event::InstanceServing { .. })).await;
    patient.goes_on(server.1).await;
    let through = gateway.local_addr();
    let release = service.release(&spec, "the test", None).await.expect("a request");
    until(&service, "the ramp", |event| matches!(event, Event::StageReached { .. })).await;
    let settled = tokio::spawn(async move { release.settled().await });
    let mut rounds = 0;
    while !settled.is_finished() {
        for client in &mut eager {
            client.goes_on(through).await;
        }
        // It comes for the first time when the candidate has much, and uses its session at long intervals.
        if rounds % 10 == 9 {
            patient.goes_on(through).await;
        }
        rounds += 1;
        for _ in 0..20 {
            pause().await;
        }
    }
    settled.await.expect("no panic").expect("it settles");
    for client in eager.iter_mut().chain([&mut patient]) {
        client.goes_on(through).await;
    }
    assert!(rounds > 5, "the ramp took its time: {rounds}");
    assert_eq!(Client::default().ask(through).await.as_deref(), Some("v2"), "a new client has no session from before");

    // Its clients leave.
    until(&service, "it is drained", |event| matches!(event, Event::ExternalReleased { .. })).await;
    assert_eq!(Client::default().ask(server.1).await.as_deref(), Some("old"), "it was not stopped");
    let mut lost = 0;
    for recorded in service.events(0).next().await.expect("the history") {
        if let Event::InstanceRetiring { sessions_lost, .. } = recorded.event {
            lost += sessions_lost;
        }
    }
    assert_eq!(lost, 0);
    acting.stop().await.expect("nobody took over");
    let left = service.status().await.expect("readable").expect("released").state.instances;
    assert_eq!(left.len(), 1, "the new version serves alone");
    for instance in left.keys() {
        teardown(&*runtime, &journal, instance).await.expect("the test's own process");
    }
    gateway.shutdown(Duration::from_secs(5)).await;
}
