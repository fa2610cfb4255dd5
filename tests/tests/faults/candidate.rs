//! The candidate is no good.

use std::time::Duration;

use haddock_core::{ErrorKind, InstanceId, VersionId};
use haddock_tests::site::Foreign;

use super::scene::{Scene, assert_told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_exits_at_its_start() {
    let Some(scene) = Scene::open().await else { return };
    scene.site.image("v2").await;
    let error = scene.fails(&scene.site.draft().variable("EXIT_AT_START", "3")).await;
    assert_eq!(error.kind(), ErrorKind::ContainerExited);
    assert_told!(scene, &error);
    scene.ends_with(VersionId(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_never_gets_ready() {
    let Some(scene) = Scene::open().await else { return };
    scene.site.image("v2").await;
    let mut draft = scene.site.draft();
    draft.start_delay = Duration::from_secs(3600);
    // A busy engine takes seconds to start it; then it would be the launch that is late.
    draft.within = Duration::from_secs(10);
    let error = scene.fails(&draft).await;
    assert_eq!(error.kind(), ErrorKind::NeverReady);
    assert_told!(scene, &error);
    scene.ends_with(VersionId(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_s_container_has_our_name() {
    let Some(scene) = Scene::open().await else { return };
    scene.site.image("v2").await;
    let (journal, service) = (scene.site.journal_id(), scene.site.service().name());
    let name = format!("{}-web", InstanceId::of(journal, service, 2));
    let foreign = Foreign::start(&scene.site.docker, &name, &[]).await;
    let before = foreign.look(&scene.site.docker).await;
    let error = scene.fails(&scene.site.draft()).await;
    assert_eq!(error.kind(), ErrorKind::NameTaken);
    assert_told!(scene, &error);
    let docker = scene.site.docker.clone();
    scene.ends_with(VersionId(1)).await;
    assert_eq!(foreign.look(&docker).await, before, "it was not touched");
}
