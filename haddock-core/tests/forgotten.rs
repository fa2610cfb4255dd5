//! Values of versions that are gone are deleted everywhere. Values that are still needed stay.
#![allow(missing_docs)]
#![allow(
    clippy::disallowed_methods,
    reason = "time passes by a virtual clock, or is the step of a wait that has a deadline"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::container::Selector;
use haddock_core::controller::Controller;
use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions, Variables};
use haddock_core::environment::environments::UpOptions;
use haddock_core::environment::store::SpecStore;
use haddock_core::journal::sqlite::SqliteJournal;
use haddock_core::locator::sim::SimLocator;
use haddock_core::release::ServiceState;
use haddock_core::runtime::ContainerRuntime as _;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::{EnvironmentName, LocatorName, ServiceName, SystemClock};

const FILE: &str = r#"
name: shop
services:
  shop:
    image: "shop:${TAG}"
    expose: ["8080"]
    command: ["serve", "--password=${PW}"]
    environment: { PASSWORD: "${PW}" }
    labels: { token: "${PW}" }
x-haddock:
  entry: "shop:8080"
  release: { ramp: [100%], settle: 0s, hooks: { serving: "true" } }
  notify: ["true ${PW}"]
"#;

struct Site {
    folder: tempfile::TempDir,
    runtime: SimRuntime,
    locator: SimLocator,
}

impl Site {
    fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        let runtime = SimRuntime::new(Arc::clone(&clock) as _);
        runtime.set_other_images(Some(SimImage::good(Duration::ZERO)));
        runtime.run_commands(|_, _| Default::default());
        let locator = SimLocator::new(LocatorName::new("gateway").expect("valid"), clock);
        Self { folder: tempfile::tempdir().expect("a folder"), runtime, locator }
    }

    /// The service as another process has it.
    fn controller(&self) -> Controller {
        let path = self.folder.path().join("journal.db");
        let journal = SqliteJournal::open(&path).expect("a journal");
        let specs = SpecStore::directory(self.folder.path().join("specs")).expect("a store");
        let (runtime, locator) = (Arc::new(self.runtime.clone()), Arc::new(self.locator.clone()));
        let builder = Controller::builder(runtime, locator, Arc::new(journal), specs);
        builder.probing(Arc::new(self.runtime.clone())).rollbacks(2).build()
    }

    /// The numbers of the secrets that are anywhere in the state directory.
    fn found(&self) -> Vec<usize> {
        let all = files(self.folder.path());
        let is_there = |n: &usize| all.iter().any(|text| text.contains(&secret(*n)));
        (1..20).filter(is_there).collect()
    }

    async fn until_found(&self, expected: &[usize]) {
        let found = async {
            while self.found() != expected {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), found).await;
        assert!(in_time.is_ok(), "{:?} are there, and not {expected:?}", self.found());
    }
}

fn secret(n: usize) -> String {
    format!("s3cret-{n}-of-many")
}

/// The contents of the files of a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a list") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            // A file may be removed meanwhile.
            all.extend(std::fs::read(&path).ok().map(|text| String::from_utf8_lossy(&text).into_owned()));
        }
    }
    all
}

fn spec(n: usize, purpose: Purpose) -> EnvironmentSpec {
    let variables = Variables::from_iter([("PW".to_owned(), secret(n))]);
    let options = ResolveOptions { tag: Some(format!("v{n}")), variables, purpose, ..ResolveOptions::default() };
    ComposeFile::parse("compose.yaml", FILE).expect("YAML").resolve(&options).expect("good").spec
}

/// Whether the version of that tag is the one that is known good.
fn is_good(state: &ServiceState, tag: &str) -> bool {
    let version = state.known_good.and_then(|id| state.versions.get(&id));
    version.is_some_and(|version| version.new.images.values().any(|image| image.ends_with(tag)))
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_past_releases_are_nowhere_and_those_that_may_be_needed_stay() {
    let site = Site::new();
    let (one, other) = (site.controller(), site.controller());
    let name = ServiceName::new("shop").expect("valid");
    let acting = one.service(name.clone()).act().await.expect("nobody else acts");
    for n in 1..=6 {
        // The one who asks is another process, and both forget.
        let release = other.service(name.clone()).release(&spec(n, Purpose::Release), "me", None).await.expect("asked");
        other.forget().await.expect("nothing that is needed");
        release.settled().await.expect("settled");
    }
    // The known good version, and two to which there is a way back. Their instances are gone.
    site.until_found(&[4, 5, 6]).await;
    other.service(name.clone()).rollback("me").await.expect("asked").settled().await.expect("there is a way back");
    other.service(name.clone()).wait_for(|state| is_good(state, "v5")).await.expect("a state");
    acting.stop().await.expect("nobody took over");

    // A request that nobody has taken up needs its specification, however often somebody forgets others.
    other.service(name.clone()).release(&spec(7, Purpose::Release), "me", None).await.expect("asked");
    assert!(other.forget().await.expect("nobody puts one"));
    assert!(site.found().contains(&7));
    let acting = site.controller().service(name.clone()).act().await.expect("nobody else acts");
    one.service(name).wait_for(|state| is_good(state, "v7")).await.expect("a state");
    acting.stop().await.expect("nobody took over");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_an_environment_are_nowhere_after_its_down() {
    let site = Site::new();
    let controller = site.controller();
    let (pr, keep) = (EnvironmentName::new("pr").expect("valid"), EnvironmentName::new("keep").expect("valid"));
    let options = UpOptions::default();
    controller.environments().up(&pr, &spec(1, Purpose::Environment), &options).await.expect("up");
    controller.environments().up(&keep, &spec(2, Purpose::Environment), &options).await.expect("up");
    controller.environments().up(&pr, &spec(3, Purpose::Environment), &options).await.expect("up");
    assert!(controller.forget().await.expect("forgotten"));
    assert_eq!(site.found(), [2, 3], "what it was brought up from before is not needed");
    controller.down(&pr, false).await.expect("down");
    assert_eq!(site.found(), [2]);
    assert!(!controller.environments().history(&pr).expect("a history").is_empty());
    let diff = controller.environments().diff(&keep, &spec(2, Purpose::Environment)).await;
    assert_eq!(diff.expect("it is known what it was made from"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_keeps_its_specification_although_its_journal_is_lost() {
    let site = Site::new();
    let controller = site.controller();
    let name = ServiceName::new("shop").expect("valid");
    let acting = controller.service(name.clone()).act().await.expect("nobody else acts");
    let asked = controller.service(name.clone()).release(&spec(1, Purpose::Release), "me", None).await.expect("asked");
    asked.settled().await.expect("settled");
    acting.stop().await.expect("nobody took over");
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(site.folder.path().join(format!("journal.db{end}")));
    }
    let other = site.controller();
    assert!(other.forget().await.expect("forgotten"));
    assert_eq!(site.found(), [1]);
    // Half a file of a writer that was killed is no specification.
    std::fs::write(site.folder.path().join(format!("specs/{}.0123.new", "0".repeat(64))), secret(9)).expect("written");
    assert_eq!(site.found(), [1, 9]);
    for container in site.runtime.list(&Selector::default()).await.expect("a list") {
        site.runtime.remove(&container.id).await.expect("removed");
    }
    assert!(other.forget().await.expect("forgotten"));
    assert_eq!(site.found(), Vec::<usize>::new());
}
