//! The engine cannot be reached for a while. What is not known changes no phase.

use std::time::Duration;

use haddock_core::release::{Event, PhaseName, ReleasePhase};
use haddock_core::runtime::docker::DockerRuntime;
use haddock_core::{ErrorKind, VersionId};
use haddock_tests::proxy::{Mood, Proxy};
use haddock_tests::site::Site;

use super::scene::{PLAYER, Scene, assert_told};

/// A minute if there is time, else a part of it.
fn outage() -> Duration {
    Duration::from_secs(if std::env::var_os("HADDOCK_SLOW").is_some() { 60 } else { 15 })
}

async fn scene_behind(proxy: &Proxy) -> Option<Scene> {
    let site = Site::open(PLAYER).await?;
    let runtime = DockerRuntime::builder().host(proxy.host()).name("the engine").connect().await.expect("an engine");
    Some(Scene::on(site, runtime).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_gone_before_the_release_begins() {
    let proxy = Proxy::new();
    let Some(scene) = scene_behind(&proxy).await else { return };
    scene.site.image("v2").await;
    proxy.set(Mood::Away);
    let release = scene.site.release(&scene.site.draft(), "v2").await;
    let error = scene.event("the release waits", |event| match event {
        Event::ReleaseWaits { error, .. } => Some(error),
        _ => None,
    });
    let error = error.await;
    assert_eq!(error.kind(), ErrorKind::RuntimeUnavailable);
    assert_told!(scene, &error);
    scene.nothing_changes_for(outage()).await;
    proxy.set(Mood::Sound);
    scene.ends_well(&release).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_goes_while_the_candidate_is_launched() {
    let proxy = Proxy::new();
    let Some(scene) = scene_behind(&proxy).await else { return };
    scene.site.image("v2").await;
    let mut draft = scene.site.draft();
    draft.start_delay = Duration::from_secs(4);
    let release = scene.site.release(&draft, "v2").await;
    // Its container is there, but nobody has looked at it yet since it was started.
    scene.site.until("the candidate is launched", |state| state.instances_of(VersionId(2)).next().is_some()).await;
    proxy.set(Mood::Away);
    scene.nothing_changes_for(outage()).await;
    proxy.set(Mood::Sound);
    scene.ends_well(&release).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_says_nothing_during_the_ramp() {
    let proxy = Proxy::new();
    let Some(scene) = scene_behind(&proxy).await else { return };
    scene.site.image("v2").await;
    let mut draft = scene.site.draft();
    draft.every = Duration::from_secs(2);
    let release = scene.site.release(&draft, "v2").await;
    let ramping = |state: &haddock_core::release::ServiceState| {
        let first = state.release.as_ref().is_some_and(|release| release.phase == ReleasePhase::Ramping(0));
        first && state.instances_of(VersionId(2)).any(|(_, instance)| instance.is(PhaseName::Serving))
    };
    scene.site.until("the candidate serves", ramping).await;
    proxy.set(Mood::Frozen);
    scene.nothing_changes_for(outage()).await;
    proxy.set(Mood::Sound);
    scene.ends_well(&release).await;
}
