//! The journal's disk is full.

use std::time::Duration;

use haddock_core::ErrorKind;
use haddock_core::release::ReleasePhase;
use haddock_tests::disk::Disk;
use haddock_tests::pause;
use tokio::time::timeout;

use super::scene::{PATIENCE, Scene, assert_told};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_holds_the_release_up() {
    let Some(disk) = Disk::mount(16) else { return };
    let Some(scene) = Scene::with_journal(disk.path()).await else { return };
    scene.site.image("v2").await;
    let mut draft = scene.site.draft();
    draft.every = Duration::from_secs(1);
    let release = scene.site.release(&draft, "v2").await;
    let ramping = |phase: &ReleasePhase| matches!(phase, ReleasePhase::Ramping(_));
    scene.site.until("it ramps", |state| state.release.as_ref().is_some_and(|r| ramping(&r.phase))).await;
    disk.fill();
    let reported = async {
        loop {
            if let Some(error) = scene.troubles.all().into_iter().find(|error| error.kind() == ErrorKind::JournalFull) {
                return error;
            }
            pause().await;
        }
    };
    let error = timeout(PATIENCE, reported).await.expect("it is reported");
    assert_told!(scene, &error);
    scene.nothing_changes_for(Duration::from_secs(4)).await;
    disk.free();
    scene.ends_well(&release).await;
}
