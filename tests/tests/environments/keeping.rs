//! What stays, and what ends by itself.

use std::time::Duration;

use haddock_core::container::{Mount, MountKind, Selector};
use haddock_core::environment::DeclaredVolume;
use haddock_core::environment::environments::{Environments, UpOptions};
use haddock_core::environment::idle::{IdlePolicy, IdleVerdict};
use haddock_core::runtime::suite::PORT;
use haddock_core::{EnvironmentName, ErrorKind};
use haddock_tests::environment::{component, name};
use tokio::net::TcpStream;

use crate::place::Place;

const AT_ONCE: IdlePolicy = IdlePolicy { stop_after: Some(Duration::from_millis(1)), remove_after: None };

async fn verdict(environments: &Environments, environment: &EnvironmentName) -> IdleVerdict {
    let pruned = environments.prune(&AT_ONCE, false).await.expect("looked at");
    pruned.into_iter().find(|it| it.name == *environment).expect("it is one of them").verdict
}

pub(crate) async fn what_nobody_uses_ends_and_a_silent_connection_keeps_it(place: &Place<'_>) {
    let (environments, pr) = (place.environments(), place.name("pr"));
    let spec = place.spec([("web", component(place.corner.harness, &["serve"]))]).await;
    let up = place.up(&pr, &spec).await.expect("up");
    let address = up.environment.address("web", PORT).expect("an address");

    let silent = TcpStream::connect(address).await.expect("it listens");
    for _ in 0..3 {
        let verdict = verdict(&environments, &pr).await;
        assert!(matches!(verdict, IdleVerdict::Used { .. }), "{verdict:?}");
    }
    drop(silent);
    environments.keep(&pr, Duration::from_secs(3600)).await.expect("kept");
    assert!(matches!(verdict(&environments, &pr).await, IdleVerdict::Used { .. }), "somebody keeps it");
    environments.keep(&pr, Duration::ZERO).await.expect("no longer");
    // The connection is gone, two looks say so, and the third finds it stopped.
    let mut stopped = false;
    for _ in 0..100 {
        stopped |= matches!(verdict(&environments, &pr).await, IdleVerdict::Stop { .. });
        if stopped {
            break;
        }
    }
    assert!(stopped);
    let environment = environments.get(&pr).await.expect("it is stopped, not gone");
    assert!(environment.components.values().all(|container| !container.is_running()));
}

pub(crate) async fn what_a_killed_owner_left_is_removed(place: &Place<'_>) {
    let (environments, pr) = (place.environments(), place.name("pr"));
    let spec = place.spec([("web", component(place.corner.harness, &["serve"]))]).await;
    place.up(&pr, &spec).await.expect("up");
    let claim = environments.claim(&pr).expect("claimed");
    assert!(matches!(verdict(&environments, &pr).await, IdleVerdict::Used { .. }));
    // As when its process is killed: the lock is gone, and nobody has taken the claim back.
    drop(claim);
    assert!(matches!(verdict(&environments, &pr).await, IdleVerdict::Remove { .. }));
    assert_eq!(environments.get(&pr).await.expect_err("gone").kind(), ErrorKind::NotFound);
}

pub(crate) async fn volumes_stay_until_told_otherwise(place: &Place<'_>) {
    let (environments, pr) = (place.environments(), place.name("pr"));
    let mut web = component(place.corner.harness, &["serve"]);
    web.mounts = vec![Mount { source: Some("data".to_owned()), ..Mount::new(MountKind::Volume, "/data") }];
    let mut spec = place.spec([("web", web)]).await;
    spec.volumes.insert("data".to_owned(), DeclaredVolume::default());
    let volumes = async || {
        let ours = Selector::journal(&place.corner.journal);
        place.corner.harness.runtime().volumes(&ours).await.expect("a list").into_iter().map(|it| it.name)
    };
    place.up(&pr, &spec).await.expect("up");
    environments.down(&pr, false).await.expect("down");
    assert_eq!(volumes().await.collect::<Vec<_>>(), [format!("{pr}_data")]);
    place.up(&pr, &spec).await.expect("up again, on the same volume");
    assert!(environments.down(&pr, true).await.expect("down"));
    assert_eq!(volumes().await.count(), 0);
}

pub(crate) async fn what_is_shared_comes_up_once(place: &Place<'_>) {
    let environments = place.environments();
    let mut oracle = component(place.corner.harness, &["serve"]);
    oracle.versioned = false;
    let spec = place.spec([("oracle", oracle), ("web", component(place.corner.harness, &["serve"]))]).await;
    let options = UpOptions::default();
    let up = environments.up_shared(&spec, &options, true).await.expect("up").expect("it was not there");
    assert_eq!(up.environment.components.keys().collect::<Vec<_>>(), [&name("oracle")]);
    assert_eq!(environments.up_shared(&spec, &options, true).await.expect("looked at"), None);
    let shared = up.environment.name;
    assert!(environments.prune(&AT_ONCE, false).await.expect("looked at").is_empty(), "it is not for the monitor");
    assert!(environments.down(&shared, false).await.expect("no instance needs it"));
}
