//! The image cannot be had.

use haddock_core::release::Event;
use haddock_core::{ErrorKind, VersionId};
use haddock_tests::registry::Registry;

use super::scene::{Scene, assert_told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_nowhere() {
    let Some(registry) = Registry::start(false).await else { return };
    let Some(scene) = Scene::open().await else { return };
    let mut draft = scene.site.draft();
    draft.repository = format!("{}/accounting", registry.address());
    let error = scene.fails(&draft).await;
    assert_eq!(error.kind(), ErrorKind::ImageMissing);
    assert_told!(scene, &error);
    scene.ends_with(VersionId(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_refuses() {
    let Some(registry) = Registry::start(true).await else { return };
    let Some(scene) = Scene::open().await else { return };
    let mut draft = scene.site.draft();
    draft.repository = format!("{}/accounting", registry.address());
    let error = scene.fails(&draft).await;
    assert_eq!(error.kind(), ErrorKind::RegistryRefused);
    assert_told!(scene, &error);
    scene.ends_with(VersionId(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_down_is_waited_for() {
    let Some(mut registry) = Registry::start(false).await else { return };
    let Some(scene) = Scene::open().await else { return };
    let mut draft = scene.site.draft();
    draft.repository = format!("{}/accounting", registry.name());
    scene.site.push(&draft.repository, "v2").await;
    registry.down();
    let release = scene.site.release(&draft, "v2").await;
    let error = scene.event("the release waits", |event| match event {
        Event::ReleaseWaits { error, .. } => Some(error),
        _ => None,
    });
    let error = error.await;
    assert_eq!(error.kind(), ErrorKind::RegistryUnavailable);
    assert_told!(scene, &error);
    registry.up().await;
    scene.ends_well(&release).await;
}
