//! What is not ours is not touched; what is ours and in no state is removed, unless it is of a newer epoch (S4).

use std::collections::BTreeMap;
use std::time::Duration;

use haddock_core::container::{ContainerSpec, Identity, NetworkSpec, label};
use haddock_core::release::{Event, ReleasePhase, ServiceState, Verb};
use haddock_core::runtime::ContainerRuntime;
use haddock_core::{ComponentName, InstanceId, VersionId};
use haddock_tests::docker::fixture;
use haddock_tests::site::{Foreign, Site, assert_clean};
use haddock_tests::troubles::Troubles;
use tokio::time::timeout;

const PLAYER: &str = env!("CARGO_BIN_EXE_player");
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_not_touched() {
    let Some(ours) = Site::open(PLAYER).await else { return };
    let Some(theirs) = Site::open(PLAYER).await else { return };
    // Another journal on this engine, with a service of the same name, under load.
    let their_acting = theirs.service().act().await.expect("nobody else acts");
    theirs.release_and_wait(&theirs.draft(), "v1").await;
    let their_load = theirs.load(&theirs.steady(20)).await;
    let their_containers = theirs.containers().await;

    let journal = ours.journal_id().to_string();
    let short = &journal[..8];
    let environment = InstanceId::of(ours.journal_id(), ours.service().name(), 700).to_string();
    let name = |what: &str| format!("haddock-foreign-{what}-{short}");
    let longer = format!("{journal}-2");
    let labels: [(&str, Vec<(&str, &str)>); 4] = [
        ("unlabelled", vec![]),
        ("labelled", vec![("com.example.team", "accounting")]),
        ("longer", vec![(label::JOURNAL, &longer), (label::ENVIRONMENT, &environment)]),
        ("environment", vec![(label::ENVIRONMENT, &environment), (label::EPOCH, "0")]),
    ];
    let mut foreign = Vec::new();
    for (what, labels) in labels {
        let container = Foreign::start(&ours.docker, &name(what), &labels).await;
        foreign.push((what, container.look(&ours.docker).await, container));
    }

    // A release, one that is aborted, and the removal of a stray of ours.
    let acting = ours.service().act().await.expect("nobody else acts");
    ours.release_and_wait(&ours.draft(), "v1").await;
    ours.release_and_wait(&ours.draft(), "v2").await;
    ours.image("v3").await;
    let mut draft = ours.draft();
    draft.every = Duration::from_secs(60);
    let aborted = ours.release(&draft, "v3").await;
    let ramping = |state: &ServiceState| {
        state.release.as_ref().is_some_and(|release| matches!(release.phase, ReleasePhase::Ramping(_)))
    };
    ours.until("v3 ramps", ramping).await;
    ours.service().ask(Verb::Abort, "the test").await.expect("there is something to abort");
    aborted.settled().await.expect_err("it was aborted");
    let only_v2 = |state: &ServiceState| {
        state.release.is_none() && state.instances.values().all(|instance| instance.version == VersionId(2))
    };
    ours.until("v3 is gone", only_v2).await;
    let stray = stray(&ours, 800, 0).await;
    let gone = |state: &ServiceState| state.number.revision > 0;
    ours.until("a state", gone).await;
    wait_until_gone(&ours, &stray).await;
    ours.assert_only(VersionId(2)).await;
    acting.stop().await.expect("it acted to the end");

    for (what, before, container) in &foreign {
        assert_eq!(container.look(&ours.docker).await, *before, "{what}");
    }
    assert_eq!(theirs.containers().await, their_containers, "the other journal's");
    let summary = their_load.stop().await.expect("a summary");
    assert_clean(&summary);
    their_acting.stop().await.expect("it acted to the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stray_is_removed_by_decision_unless_it_is_of_a_newer_epoch() {
    let Some(site) = Site::open(PLAYER).await else { return };
    let acting = site.service_on(site.engine.clone(), Troubles::new()).act().await.expect("nobody else acts");
    site.release_and_wait(&site.draft(), "v1").await;
    let load = site.load(&site.steady(20)).await;
    let newer = stray(&site, 900, 1_000_000).await;
    let older = stray(&site, 901, 0).await;
    wait_until_gone(&site, &older).await;
    // Many steps later the newer one is there still.
    site.release_and_wait(&site.draft(), "v2").await;
    let found = site.events(|event| match event {
        Event::StrayFound { instance } => Some(instance),
        _ => None,
    });
    let found = found.await;
    assert!(!found.is_empty() && found.iter().all(|id| *id == older), "decided on the older one only: {found:?}");
    let left: Vec<_> =
        site.containers().await.into_iter().filter_map(|c| c.instance()).filter(|id| *id == newer).collect();
    assert_eq!(left, std::slice::from_ref(&newer), "one of a newer epoch may be another controller's");
    assert!(site.networks().await.iter().any(|network| network.name == newer.as_str()));
    assert_clean(&load.stop().await.expect("a summary"));
    acting.stop().await.expect("it acted to the end");
}

/// A running container and its network that carry our journal's label and are in no state.
async fn stray(site: &Site, number: u64, epoch: u64) -> InstanceId {
    let id = InstanceId::of(site.journal_id(), site.service().name(), number);
    let identity = Identity::environment(site.journal_id(), &id);
    let labels = BTreeMap::from([(label::EPOCH.to_owned(), epoch.to_string())]);
    let network = NetworkSpec {
        name: id.to_string(),
        identity: identity.clone(),
        labels: labels.clone(),
        ..NetworkSpec::default()
    };
    site.engine.create_network(&network).await.expect("a network");
    let container = ContainerSpec {
        name: format!("{id}-web"),
        image: fixture(&["serve"]).await.to_string(),
        identity: identity.component(&ComponentName::new("web").expect("a name")),
        labels,
        networks: vec![haddock_core::container::Attachment::new(id.to_string(), ["web"])],
        expose: vec![8080],
        ..ContainerSpec::default()
    };
    // It may be found and removed before it is started.
    if let Ok(created) = site.engine.create(&container).await {
        let _ = site.engine.start(&created).await;
    }
    id
}

async fn wait_until_gone(site: &Site, id: &InstanceId) {
    let gone = async {
        loop {
            let containers = site.containers().await.iter().filter(|c| c.instance().as_ref() == Some(id)).count();
            let networks = site.networks().await.iter().filter(|network| network.name == id.as_str()).count();
            let found = site.events(|event| match event {
                Event::StrayFound { instance } if instance == *id => Some(()),
                _ => None,
            });
            if containers + networks == 0 && !found.await.is_empty() {
                return;
            }
            haddock_tests::pause().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("stray `{id}` is still there"));
}
