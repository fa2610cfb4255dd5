//! A gateway in a process of its own, which is killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use haddock_core::InstanceId;
use haddock_core::locator::ServiceLocator as _;
use haddock_core::locator::gateway::Gateway;
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::locator::suite::Cookies;
use haddock_core::routing::{Count, InstanceFigures};

use crate::world::{Instance, eventually, get, service, table};

const IDLE: Duration = Duration::from_secs(1800);
/// Where the gateway of such a process keeps its state.
const STATE: &str = "HADDOCK_TEST_STATE";

/// The process of the gateway: this test, started by the other one.
#[tokio::test]
async fn a_gateway_of_its_own() {
    let Some(dir) = std::env::var_os(STATE).map(PathBuf::from) else { return };
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let gateway = Gateway::builder().admin(free).state_dir(&dir).start().await.expect("a gateway");
    let addresses = format!("{} {}", gateway.local_addr(), gateway.admin_addr().expect("asked for"));
    std::fs::write(dir.join("addresses.part"), addresses).expect("ours");
    std::fs::rename(dir.join("addresses.part"), dir.join("addresses")).expect("ours");
    // Until it is killed; and never longer than who started it.
    let ends = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = ends.await;
}

struct Process {
    child: Child,
    clients: SocketAddr,
    remote: RemoteGateway,
}

impl Process {
    async fn start(dir: &Path) -> Self {
        let told = dir.join("addresses");
        let _ = std::fs::remove_file(&told);
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "killed::a_gateway_of_its_own", "--nocapture"])
            .env(STATE, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        eventually("it serves", async || told.exists()).await;
        let text = std::fs::read_to_string(told).expect("there");
        let (clients, admin) = text.split_once(' ').expect("two addresses");
        let remote = RemoteGateway::new(&format!("http://{admin}"), None).expect("valid");
        Self { child, clients: clients.parse().expect("an address"), remote }
    }

    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    async fn figures(&self, instance: &str) -> InstanceFigures {
        let report = self.remote.observe(&service()).await.expect("a report");
        report.instances[&InstanceId::new(instance).expect("valid")].clone()
    }
}

#[tokio::test]
async fn a_process_that_is_killed_forgets_no_session() {
    let dir = tempfile::tempdir().expect("a directory");
    let both = [Instance::start("shop-1").await, Instance::start("shop-2").await];
    let routes = |old, new| [("shop-1", both[0].address, old), ("shop-2", both[1].address, new)];
    let mut process = Process::start(dir.path()).await;
    process.remote.apply(&table(1, IDLE, &routes(100, 0))).await.expect("new");
    let mut clients = Vec::new();
    for round in 1..=3 {
        for _ in 0..20 {
            let mut client = Cookies::new();
            get(process.clients, "/", &mut client).await;
            clients.push(client);
        }
        // Killed in the middle of some load, of which every answer that came counts.
        let mut load = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let address = process.clients;
            load.spawn(async move {
                let mut begun = Vec::new();
                loop {
                    let one = tokio::spawn(async move {
                        let mut client = Cookies::new();
                        get(address, "/", &mut client).await;
                        client
                    });
                    match one.await {
                        Ok(client) => begun.push(client),
                        Err(_) => return begun,
                    }
                }
            });
        }
        let enough = clients.len() as u64 + 20;
        eventually(
            "there is load",
            async || matches!(process.figures("shop-1").await.live, Count::Exact(live) if live >= enough),
        )
        .await;
        process.kill();
        while let Some(begun) = load.join_next().await {
            clients.extend(begun.expect("no panic"));
        }
        process = Process::start(dir.path()).await;
        let Count::Exact(live) = process.figures("shop-1").await.live else { panic!("unknown after kill {round}") };
        let answered = clients.len() as u64;
        // A request that was killed before its answer came has a session, or none.
        assert!((answered..=answered + 4 * round).contains(&live), "{live} for {answered}");
    }
    process.remote.apply(&table(2, IDLE, &routes(0, 100))).await.expect("new");
    for client in &mut clients {
        let reply = get(process.clients, "/", client).await;
        assert_eq!(reply.instance(), InstanceId::new("shop-1").ok(), "it stays where it is");
    }
    process.kill();
}
