//! A service on a real engine, with all that it takes to release it: images, gateway, journal, load.
//!
//! ```text
//!   test ──verbs──▶ journal ◀── controlling process, or a controller in the test
//!                                   │            │
//!   load ──▶ gateway process ◀──────┘            └──▶ engine
//! ```
//!
//! Each site has a journal, a gateway and image tags of its own, so that tests do not see each other. Dropped, it
//! removes all that it made on the engine, whatever became of the test.

mod cleanup;
mod draft;
mod foreign;
mod processes;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::TryStreamExt as _;
use haddock_core::container::{Container, Network, Selector};
use haddock_core::controller::{Controller, Release, Service, Watcher};
use haddock_core::environment::store::SpecStore;
use haddock_core::image::ImageReference;
use haddock_core::journal::Journal;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::locator::remote::RemoteGateway;
use haddock_core::release::{Event, PhaseName, RecordedEvent, ServiceState};
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::{JournalId, ServiceName, VersionId};
use haddock_examples::client::Options;
use haddock_examples::show::Load;
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::timeout;

pub use draft::Draft;
pub use foreign::Foreign;
pub use processes::{Addresses, Answer, Controlling, GatewayProcess, Orders};
pub use verdict::{assert_clean, excuse};

use crate::docker::{self, NOWHERE};
use crate::points::{Death, Passed};
use cleanup::Cleanup;

/// How long a release in a test may take. It takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// A service, and all that it takes to release it.
pub struct Site {
    /// The engine.
    pub engine: DockerRuntime,
    /// The engine, for what a runtime cannot do.
    pub docker: Docker,
    /// The gateway.
    pub gateway: GatewayProcess,
    /// Where everything of this site is kept.
    pub folder: TempDir,
    program: PathBuf,
    repository: String,
    journal_path: PathBuf,
    journal: Arc<SqliteJournal>,
    specs: SpecStore,
    service: Service,
    cleanup: Cleanup,
}

impl Site {
    /// A site on the engine, if one answers. `program` is `env!("CARGO_BIN_EXE_player")`.
    pub async fn open(program: &str) -> Option<Self> {
        Self::with_journal(program, None).await
    }

    /// A site whose journal is in that folder.
    ///
    /// # Panics
    /// If one of its parts does not come up.
    pub async fn with_journal(program: &str, folder_of_journal: Option<&Path>) -> Option<Self> {
        let engine = docker::engine().await?;
        // From here on the machine is watched.
        assert_eq!(excuse(), "");
        let docker = Docker::connect_with_defaults().expect("an engine");
        let folder = tempfile::Builder::new().prefix("haddock-site-").tempdir().expect("a folder");
        let journal_path = folder_of_journal.unwrap_or(folder.path()).join("journal.sqlite");
        let journal = Arc::new(SqliteJournal::open(&journal_path).expect("a journal"));
        let specs = SpecStore::directory(folder.path().join("specs")).expect("a spec store");
        let repository = format!("{NOWHERE}/haddock-site-{}", journal.id());
        let program = PathBuf::from(program);
        let gateway = GatewayProcess::start(&program, &folder.path().join("gateway")).await;
        let cleanup = Cleanup::new(journal.id().clone());
        let runtime: Arc<dyn ContainerRuntime> = Arc::new(engine.clone());
        let controller = Self::controller_of(&journal, &specs, &gateway, runtime).build();
        let service = controller.service(ServiceName::new("demo").expect("a name"));
        Some(Self {
            engine,
            docker,
            gateway,
            folder,
            program,
            repository,
            journal_path,
            journal,
            specs,
            service,
            cleanup,
        })
    }

    fn controller_of(
        journal: &Arc<SqliteJournal>,
        specs: &SpecStore,
        gateway: &GatewayProcess,
        runtime: Arc<dyn ContainerRuntime>,
    ) -> haddock_core::controller::Builder {
        let locator = RemoteGateway::new(&gateway.addresses.admin_url(), None).expect("an address");
        let journal: Arc<dyn Journal> = Arc::<SqliteJournal>::clone(journal);
        Controller::builder(runtime, Arc::new(locator), journal, specs.clone())
            .holder("the test")
            .tick(Duration::from_millis(200))
    }

    /// The service, on another runtime, and watched.
    pub fn service_on(&self, runtime: impl ContainerRuntime, watcher: Arc<dyn Watcher>) -> Service {
        let builder = Self::controller_of(&self.journal, &self.specs, &self.gateway, Arc::new(runtime));
        builder.watcher(watcher).build().service(self.service.name().clone())
    }

    /// The service. It acts in no process until somebody has it act.
    #[must_use]
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The journal's id: the label of all that is ours.
    #[must_use]
    pub fn journal_id(&self) -> &JournalId {
        self.journal.id()
    }

    /// The service as a compose file.
    #[must_use]
    pub fn draft(&self) -> Draft {
        Draft::new(&self.repository)
    }

    /// Makes the demo application's image under this tag.
    ///
    /// # Panics
    /// If it cannot be built, or the engine refuses.
    pub async fn image(&self, tag: &str) {
        self.image_as(&self.repository, tag).await;
    }

    /// The same in another repository.
    ///
    /// # Panics
    /// If it cannot be built, or the engine refuses.
    pub async fn image_as(&self, repository: &str, tag: &str) {
        let image = demo().await;
        self.cleanup.add(repository);
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.docker.tag_image(&image.to_string(), Some(options)).await.expect("a tag");
    }

    /// Makes the demo application's image in a registry, and nowhere else.
    ///
    /// # Panics
    /// If the engine or the registry refuses.
    pub async fn push(&self, repository: &str, tag: &str) {
        self.image_as(repository, tag).await;
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let pushed = self.docker.push_image(repository, Some(options), None);
        pushed.try_collect::<Vec<_>>().await.expect("pushed");
        let options = RemoveImageOptionsBuilder::default().build();
        self.docker.remove_image(&format!("{repository}:{tag}"), Some(options), None).await.expect("forgotten");
    }

    /// Asks for the release of that tag.
    ///
    /// # Panics
    /// If the journal refuses.
    pub async fn release(&self, draft: &Draft, tag: &str) -> Release {
        self.service.release(&draft.resolve(tag), "the test", None).await.expect("a request")
    }

    /// Makes the image, asks for its release, and waits until nothing but it is left. Somebody has to act.
    ///
    /// # Panics
    /// If it does not settle.
    pub async fn release_and_wait(&self, draft: &Draft, tag: &str) {
        self.image(tag).await;
        let release = self.release(draft, tag).await;
        let gone = timeout(PATIENCE, release.gone()).await;
        gone.unwrap_or_else(|_| panic!("release {tag} is stuck")).unwrap_or_else(|error| panic!("{tag}: {error:#}"));
    }

    /// A controlling process that ends as it is told.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn controlling(&self, holder: &str, death: Death) -> Controlling {
        Controlling::start(&self.program, &self.orders(holder, death)).await
    }

    fn orders(&self, holder: &str, death: Death) -> Orders {
        Orders {
            service: self.service.name().clone(),
            journal: self.journal_path.clone(),
            specs: self.folder.path().join("specs"),
            gateway: self.gateway.addresses.admin_url(),
            holder: holder.to_owned(),
            record: self.record_path(),
            death,
        }
    }

    fn record_path(&self) -> PathBuf {
        self.folder.path().join("points.jsonl")
    }

    /// The points that controlling processes have passed.
    #[must_use]
    pub fn record(&self) -> Vec<Passed> {
        let text = std::fs::read_to_string(self.record_path()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a line of the record")).collect()
    }

    /// A steady load: so many sessions that stay about half a second, a part of them slow, a part with a WebSocket.
    #[must_use]
    pub fn steady(&self, sessions: usize) -> Options {
        Options {
            sessions,
            rate: 200.0,
            slow: 0.2,
            slow_ms: vec![100, 400],
            websockets: 0.1,
            stay: Some(Duration::from_millis(500)),
            idle: Duration::from_secs(1),
            arrivals: 100.0,
            ..Options::new(self.gateway.addresses.clients)
        }
    }

    /// Puts the load on the service, and waits until all its sessions are there.
    ///
    /// # Panics
    /// If they do not come.
    pub async fn load(&self, options: &Options) -> Load {
        let wanted = options.sessions as u64;
        let mut load = Load::start(&self.program, options).expect("the client");
        let there = load.until("its sessions", PATIENCE, |report| report.sessions >= wanted).await;
        there.expect("sessions");
        load
    }

    /// The service's state.
    ///
    /// # Panics
    /// If there is none.
    pub async fn state(&self) -> ServiceState {
        self.journal.load(self.service.name()).await.expect("a journal").expect("a state")
    }

    /// Waits until the state is so.
    ///
    /// # Panics
    /// If it does not become so in time.
    pub async fn until(&self, what: &str, condition: impl Fn(&ServiceState) -> bool) -> ServiceState {
        match timeout(PATIENCE, self.service.wait_for(condition)).await {
            Ok(state) => state.expect("a journal"),
            Err(_) => panic!("not within {} s: {what}\n{:#?}", PATIENCE.as_secs(), self.state().await),
        }
    }

    /// All that happened.
    ///
    /// # Panics
    /// If the journal cannot be read.
    pub async fn history(&self) -> Vec<RecordedEvent> {
        self.journal.history(self.service.name(), 0, 100_000).await.expect("a journal")
    }

    /// The events of that kind, in order.
    pub async fn events<T>(&self, pick: impl Fn(Event) -> Option<T>) -> Vec<T> {
        self.history().await.into_iter().filter_map(|recorded| pick(recorded.event)).collect()
    }

    /// Every container with our journal's label.
    ///
    /// # Panics
    /// If the engine does not answer.
    pub async fn containers(&self) -> Vec<Container> {
        self.engine.list(&Selector::journal(self.journal_id())).await.expect("an engine")
    }

    /// Every network with our journal's label.
    ///
    /// # Panics
    /// If the engine does not answer.
    pub async fn networks(&self) -> Vec<Network> {
        self.engine.networks(&Selector::journal(self.journal_id())).await.expect("an engine")
    }

    /// Asserts that nothing is left but one serving instance of that version, with its container and network.
    ///
    /// # Panics
    /// If that is not so.
    pub async fn assert_only(&self, version: VersionId) {
        let state = self.state().await;
        assert_eq!(state.release, None, "{version}: the release is over");
        assert_eq!(state.known_good, Some(version), "the known good version");
        let instances: Vec<_> = state.instances.iter().map(|(id, i)| (id.clone(), i.version, i.phase.name())).collect();
        let [(id, its_version, phase)] = instances.as_slice() else { panic!("one instance, not {instances:?}") };
        assert_eq!((*its_version, *phase), (version, PhaseName::Serving), "{id}");
        let containers = self.containers().await;
        let containers: Vec<_> = containers.iter().map(|c| (c.name.clone(), c.is_running())).collect();
        assert_eq!(containers, [(format!("{id}-web"), true)], "{version}: containers with our label");
        let networks: Vec<_> = self.networks().await.into_iter().map(|network| network.name).collect();
        assert_eq!(networks, [id.to_string()], "{version}: networks with our label");
    }
}

/// The demo application's image, made once.
async fn demo() -> &'static ImageReference {
    static DEMO: OnceCell<ImageReference> = OnceCell::const_new();
    let make = async {
        let binary = haddock_examples::image::build_binary().await.expect("the static build");
        docker::image("demo", &binary, &["/app"], &[]).await
    };
    DEMO.get_or_init(|| make).await
}

/// Tells the demo application there that from now on this part of its requests fails.
///
/// # Panics
/// If it does not answer.
pub async fn tell_to_fail(address: std::net::SocketAddr, rate: f64) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET /fail?rate={rate} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

impl Addresses {
    /// The admin API's address as a URL.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }
}
