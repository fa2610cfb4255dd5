//! A service at version 1 that is acted for in the test, and errors as people read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::controller::{Acting, Release};
use haddock_core::release::{Event, ReleasePhase, ServiceState};
use haddock_core::runtime::ContainerRuntime;
use haddock_core::{Error, InstanceId, VersionId};
use haddock_examples::show::Load;
use haddock_tests::site::{Draft, Site, assert_clean};
use haddock_tests::troubles::Troubles;
use tokio::time::{Instant, timeout};

pub(crate) const PLAYER: &str = env!("CARGO_BIN_EXE_player");
/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A service at version 1 under load.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) load: Load,
    pub(crate) troubles: Arc<Troubles>,
    acting: Acting,
}

impl Scene {
    /// On the engine, if one answers.
    pub(crate) async fn open() -> Option<Self> {
        let site = Site::open(PLAYER).await?;
        let engine = site.engine.clone();
        Some(Self::on(site, engine).await)
    }

    /// With the journal in that folder.
    pub(crate) async fn with_journal(folder: &Path) -> Option<Self> {
        let site = Site::with_journal(PLAYER, Some(folder)).await?;
        let engine = site.engine.clone();
        Some(Self::on(site, engine).await)
    }

    /// On that runtime.
    pub(crate) async fn on(site: Site, runtime: impl ContainerRuntime) -> Self {
        let troubles = Troubles::new();
        let acting = site.service_on(runtime, Arc::<Troubles>::clone(&troubles)).act().await.expect("nobody else acts");
        site.release_and_wait(&site.draft(), "v1").await;
        let load = site.load(&site.steady(30)).await;
        Self { site, load, troubles, acting }
    }

    /// Releases `v2` so, which is to fail; answers with why.
    pub(crate) async fn fails(&self, draft: &Draft) -> Error {
        let release = self.site.release(draft, "v2").await;
        let settled = timeout(PATIENCE, release.settled()).await.expect("a release that fails ends");
        settled.expect_err("it cannot settle")
    }

    /// Waits until that release has settled and nothing else is left, and asserts that nobody noticed anything.
    pub(crate) async fn ends_well(self, release: &Release) {
        let gone = timeout(PATIENCE, release.gone()).await.expect("it goes on");
        let version = gone.unwrap_or_else(|error| panic!("{error:#}"));
        self.ends_with(version).await;
    }

    /// Asserts that only this version is left, and that nobody noticed anything.
    pub(crate) async fn ends_with(self, version: VersionId) {
        let only = |state: &ServiceState| {
            state.release.is_none() && state.instances.values().all(|instance| instance.version == version)
        };
        self.site.until("only one version is left", only).await;
        self.site.assert_only(version).await;
        let summary = self.load.stop().await.expect("a summary");
        assert_clean(&summary);
        self.acting.stop().await.expect("it acted to the end");
    }

    /// The first event that `pick` takes, as soon as there is one.
    pub(crate) async fn event<T>(&self, what: &str, pick: impl Fn(Event) -> Option<T>) -> T {
        let mut events = self.site.service().events(0);
        let found = async {
            loop {
                let page = events.next().await.expect("a journal");
                if let Some(found) = page.into_iter().find_map(|recorded| pick(recorded.event)) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("it never happened: {what}"))
    }

    /// Asserts for that long that no phase of anything changes.
    pub(crate) async fn nothing_changes_for(&self, long: Duration) {
        let before = phases(&self.site.state().await);
        let changed = self.site.service().wait_for(|state| phases(state) != before);
        if let Ok(state) = timeout(long, changed).await {
            panic!("{before:?} became {:?}", phases(&state.expect("a journal")));
        }
    }

    /// An error as people read it, with what differs from run to run taken out.
    pub(crate) fn told(&self, error: &Error) -> String {
        let repository = self.site.draft().repository;
        format!("{:?}\n{error:#}", error.kind()).replace(&repository, "[repository]")
    }
}

fn phases(state: &ServiceState) -> (Option<ReleasePhase>, BTreeMap<InstanceId, haddock_core::release::PhaseName>) {
    let release = state.release.as_ref().map(|release| release.phase.clone());
    (release, state.instances.iter().map(|(id, instance)| (id.clone(), instance.phase.name())).collect())
}

/// Compares an error with its snapshot, without ids, addresses, paths and times.
macro_rules! assert_told {
    ($scene:expr, $error:expr) => {
        insta::with_settings!({filters => vec![
            (r"demo-\d+-[0-9a-f]{8}", "[instance]"),
            (r"\b[0-9a-f]{12,64}\b", "[id]"),
            (r"\([0-9a-f]{8}\)", "([random])"),
            (r"\d+\.\d+\.\d+\.\d+(:\d+)?", "[address]"),
            (r"/tmp/[^`:\s]+", "[path]"),
            (r"(the Docker Engine does not answer): .*", "$1: [how the connection ended]"),
        ]}, {
            insta::assert_snapshot!($scene.told($error));
        })
    };
}
pub(crate) use assert_told;

#[allow(clippy::disallowed_methods, reason = "the test tells how long it took")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
