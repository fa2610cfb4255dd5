//! An instance dies.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::query_parameters::KillContainerOptions;
use haddock_core::release::{Event, PhaseName, ReleasePhase, ServiceState};
use haddock_core::{ErrorKind, VersionId};
use haddock_examples::client::Options;
use haddock_tests::site::{assert_clean, excuse};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::scene::{PATIENCE, Scene, assert_told, now};

async fn kill_instance_of(scene: &Scene, version: VersionId) {
    let state = scene.site.state().await;
    let (id, _) = state.instances_of(version).next().expect("it has an instance");
    let name = format!("{id}-web");
    scene.site.docker.kill_container(&name, None::<KillContainerOptions>).await.expect("killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_that_dies_during_the_ramp() {
    let Some(mut scene) = Scene::open().await else { return };
    scene.site.image("v2").await;
    // These began on version 1 and stay: whatever becomes of the candidate, they must not notice.
    let residents = Options { stay: None, ..scene.site.steady(20) };
    let residents = scene.site.load(&residents).await;
    // The steady ones would begin on either.
    let steady = std::mem::replace(&mut scene.load, residents);
    assert_clean(&steady.stop().await.expect("a summary"));

    let mut draft = scene.site.draft();
    draft.every = Duration::from_secs(60);
    let release = scene.site.release(&draft, "v2").await;
    let ramping = |state: &ServiceState| {
        let first = state.release.as_ref().is_some_and(|release| release.phase == ReleasePhase::Ramping(0));
        first && state.instances_of(VersionId(2)).any(|(_, instance)| instance.is(PhaseName::Serving))
    };
    scene.site.until("the candidate serves", ramping).await;
    // These begin now, on either, and stay.
    // Docker may take seconds to tell of a death, and each of their requests fails after two: none of them was idle.
    let idle = Duration::from_secs(60);
    let newcomers = Options { stay: None, slow: 0.0, websockets: 0.0, idle, ..scene.site.steady(16) };
    let newcomers = scene.site.load(&newcomers).await;
    let on = newcomers.report().sessions_by_version;
    let (old, new) = (on.get("v1").copied().unwrap_or(0), on.get("v2").copied().unwrap_or(0));
    assert!(old > 0 && new > 0, "half go to each: {on:?}");

    let died = now();
    kill_instance_of(&scene, VersionId(2)).await;
    let error = timeout(PATIENCE, release.settled()).await.expect("it ends").expect_err("its candidate is dead");
    eprintln!("the known good version had everything {:.0?} after the candidate's death", died.elapsed());
    assert_eq!(error.kind(), ErrorKind::ContainerExited);
    assert_told!(scene, &error);

    let mut newcomers = newcomers;
    let moved = newcomers.until("all have moved", PATIENCE, |report| {
        report.sessions_by_version.len() == 1 && report.sessions_by_version.get("v1") == Some(&(old + new))
    });
    moved.await.expect("the lost sessions begin anew on the known good version");
    let summary = newcomers.stop().await.expect("a summary");
    assert_eq!((summary.lost, summary.moved), (new, new), "the candidate's and no other: {summary:#?}{}", excuse());
    let hurt: BTreeSet<u64> = summary.failures.iter().map(|failure| failure.session).collect();
    assert!(hurt.len() as u64 <= new, "{hurt:?} were hurt, and {new} were on the candidate");
    // The residents were on the known good version all along.
    scene.ends_with(VersionId(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_instance_dies() {
    let Some(mut scene) = Scene::open().await else { return };
    let load = scene.site.load(&scene.site.steady(1)).await;
    assert_clean(&std::mem::replace(&mut scene.load, load).stop().await.expect("a summary"));
    let died = now();
    kill_instance_of(&scene, VersionId(1)).await;
    let error = scene.event("it is seen to have failed", |event| match event {
        Event::InstanceFailed { error, .. } => Some(error),
        _ => None,
    });
    let error = error.await;
    eprintln!("its death was known after {:.0?}", died.elapsed());
    assert_eq!(error.kind(), ErrorKind::ContainerExited);
    assert_told!(scene, &error);
    let address = scene.site.gateway.addresses.clients;
    let answers = async {
        while !answers_200(address).await {
            haddock_tests::pause().await;
        }
    };
    timeout(PATIENCE, answers).await.expect("a replacement comes by itself");
    eprintln!("it served again {:.0?} after its only instance had died", died.elapsed());

    let replaced = scene.site.events(|event| match event {
        Event::InstanceStarting { replacement: true, version, .. } => Some(version),
        _ => None,
    });
    assert_eq!(replaced.await, [VersionId(1)], "one replacement, of the version that served");
    let alone = |state: &ServiceState| state.instances.values().all(|instance| instance.is(PhaseName::Serving));
    scene.site.until("the dead one is gone", alone).await;
    scene.site.assert_only(VersionId(1)).await;
    // The session of the dead one is lost, and nothing else.
    let load = scene.site.load(&scene.site.steady(10)).await;
    let lone = std::mem::replace(&mut scene.load, load).stop().await.expect("a summary");
    assert!(lone.lost <= 1, "{lone:#?}");
    scene.ends_with(VersionId(1)).await;
}

/// Whether a new session is answered.
async fn answers_200(address: std::net::SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(Duration::from_secs(10), ask).await;
    matches!(answer, Ok(Ok(answer)) if answer.starts_with(b"HTTP/1.1 200"))
}
