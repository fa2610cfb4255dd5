//! A service that is released again and again, for years: what is kept of it, and how long a step takes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haddock_core::Timestamp;
use haddock_core::controller::{Acting, Controller, Service};
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::journal::{Journal, Keep};
use haddock_core::locator::ServiceLocator;
use haddock_core::locator::gateway::Gateway;
use haddock_core::release::{Observation, step};
use haddock_core::testing::World;
use tempfile::TempDir;

const FILE: &str = "
name: shop
services: { web: { image: 'shop:${TAG}', expose: ['8080'] } }
x-haddock:
  session: { idle: 1m }
  release: { ramp: [10%, 100%], every: 1m, settle: 1m }
";

/// How much of the history is kept: little, so that the journal reaches its bound soon.
const KEEP: Keep = Keep { age: Duration::from_secs(24 * 3600), events: 1_000 };
/// The time between two releases. 5 000 of them are three years.
const BETWEEN: Duration = Duration::from_secs(5 * 3600);

/// The engine is simulated. The gateway and the journal are those of production, and the time is virtual.
pub struct Life {
    world: World,
    file: ComposeFile,
    journal: Arc<SqliteJournal>,
    locator: Arc<dyn ServiceLocator>,
    service: Service,
    folder: TempDir,
    releases: u64,
    // In this order: the loop ends before its gateway does.
    _acting: Acting,
    _gateway: Gateway,
}

/// What is kept after so many releases.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub releases: u64,
    /// Bytes of the service's state, as JSON.
    pub state: usize,
    /// Events in the journal.
    pub events: usize,
    /// Bytes of the journal's files.
    pub journal: u64,
    /// Specifications that are kept.
    pub specs: usize,
    /// Instances that the gateway knows.
    pub instances: usize,
    /// Bytes that the gateway keeps on disk, without its log.
    pub gateway: u64,
    /// Bytes of the gateway's log of sessions, which is written anew from time to time.
    pub log: u64,
    /// Resident memory of this process, in bytes.
    pub memory: u64,
    /// How long a step takes, the fastest of many.
    pub step: Duration,
}

impl Life {
    pub fn new() -> Self {
        let world = World::new().expect("a runtime");
        let folder = folder().expect("a folder");
        let journal = Arc::new(SqliteJournal::open(folder.path().join("haddock.db")).expect("a new journal"));
        let specs = SpecStore::directory(folder.path().join("specs")).expect("a new store");
        let gateway = Gateway::builder()
            .listen(([127, 0, 0, 1], 0).into())
            .state_dir(folder.path().join("gateway"))
            .worker_threads(1)
            .clock(world.time.clock());
        let gateway = world.time.block_on(gateway.start()).expect("a free port");
        let locator = gateway.locator();
        let (runtime, kept) = (Arc::new(world.runtime.clone()), Arc::clone(&journal));
        let controller = Controller::builder(runtime.clone(), Arc::clone(&locator), kept, specs)
            .clock(world.time.clock())
            .probing(runtime)
            // Nothing happens here that would not wake the loop, so it need not look often.
            .tick(Duration::from_secs(1_800))
            .poll(Duration::from_secs(30))
            .lease(Duration::from_secs(12 * 3600))
            .and_then(|builder| builder.keep(KEEP))
            .expect("good values")
            .build();
        let file = ComposeFile::parse("compose.yaml", FILE).expect("YAML");
        let service = controller.service(file.resolve(&options(0)).expect("good").name);
        let acting = world.time.block_on(service.act()).expect("nobody else acts");
        Self { world, file, journal, locator, service, folder, releases: 0, _acting: acting, _gateway: gateway }
    }

    /// Releases a new version, and lets the time pass until the next.
    pub fn release(&mut self) {
        self.releases += 1;
        let spec = self.file.resolve(&options(self.releases)).expect("good").spec;
        self.world.time.block_on(async {
            let release = self.service.release(&spec, "a test", None).await.expect("submitted");
            release.gone().await.expect("it settles, and what was before is gone");
        });
        self.world.time.advance(BETWEEN);
    }

    /// How many releases there were.
    pub fn releases(&self) -> u64 {
        self.releases
    }

    pub fn figures(&self) -> Figures {
        let name = self.service.name();
        self.world.time.block_on(async {
            let state = self.journal.load(name).await.expect("readable").expect("it was released");
            let report = self.locator.observe(name).await.expect("it answers");
            let now = state.now;
            let kept = self.folder.path().join("gateway");
            let log = bytes_of(&kept, "sessions-");
            let step = (0..200).map(|_| took(|| drop(step(&state, &Observation::default(), now)))).min();
            Figures {
                releases: self.releases,
                state: serde_json::to_vec(&state).expect("plain data").len(),
                events: self.journal.history(name, 0, usize::MAX).await.expect("readable").len(),
                journal: bytes_of(self.folder.path(), "haddock.db"),
                specs: std::fs::read_dir(self.folder.path().join("specs")).expect("readable").count(),
                instances: report.instances.len(),
                gateway: bytes_of(&kept, "") - log,
                log,
                memory: resident(),
                step: step.expect("it was tried"),
            }
        })
    }

    /// The time of the world.
    pub fn now(&self) -> Timestamp {
        self.world.time.clock().now()
    }
}

/// In memory where there is such a place: each commit would wait for the disk.
fn folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

fn options(release: u64) -> ResolveOptions {
    ResolveOptions { tag: Some(format!("v{release:06}")), purpose: Purpose::Release, ..ResolveOptions::default() }
}

#[allow(clippy::disallowed_methods, reason = "how long something takes is what is asked")]
fn took(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// The bytes of the files in a folder whose names begin so.
fn bytes_of(folder: &Path, prefix: &str) -> u64 {
    let files = std::fs::read_dir(folder).expect("readable").map(|file| file.expect("readable"));
    let named = files.filter(|file| file.file_name().to_string_lossy().starts_with(prefix));
    named.filter_map(|file| file.metadata().ok()).filter(|it| it.is_file()).map(|it| it.len()).sum()
}

/// 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map_or(0, |kilobytes| kilobytes * 1024)
}
