//! A server that runs already is adopted.

use std::time::Duration;

use haddock_core::release::{Action, Event, PhaseName, Verb, Verdict};
use haddock_core::routing::Count;
use haddock_core::{ErrorKind, InstanceId, Share, VersionId};

use crate::scene::{IDLE, SERVER, Scene, adoption, version};

const V1: VersionId = VersionId(1);

/// A scene in which the server serves.
fn adopted() -> (Scene, InstanceId) {
    let mut scene = Scene::new();
    scene.ask(adoption());
    scene.server = Some(Ok(()));
    scene.until(|event| matches!(event, Event::InstanceServing { .. }));
    let id = scene.instances(1).remove(0);
    (scene, id)
}

fn is_released(event: &Event) -> bool {
    matches!(event, Event::ExternalReleased { .. })
}

fn refusal(scene: &Scene) -> Option<haddock_core::Error> {
    scene.events.iter().rev().find_map(|event| match event {
        Event::RequestRefused { error, .. } => Some(error.clone()),
        _ => None,
    })
}

#[test]
fn once_it_answers_it_is_the_known_good_version_and_has_everything() {
    let mut scene = Scene::new();
    let request = scene.ask(adoption());
    scene.step();
    let id = scene.instances(1).remove(0);
    let event = Event::ExternalAdopted { request, instance: id.clone(), version: V1, address: SERVER };
    assert!(scene.events.contains(&event), "{:?}", scene.events);
    scene.pass(Duration::from_secs(60));
    assert_eq!(scene.state.instances[&id].phase.name(), PhaseName::Starting, "nobody has asked it yet");
    assert_eq!(scene.state.known_good, None);
    assert!(scene.actions.is_empty(), "nothing is done about it: {:?}", scene.actions);
    scene.server = Some(Ok(()));
    scene.pass(Duration::from_secs(1));
    assert_eq!((scene.state.known_good, scene.state.versions[&V1].verdict), (Some(V1), Verdict::Settled));
    assert_eq!(scene.state.instances[&id].phase.name(), PhaseName::Serving);
    assert_eq!(scene.figures(&id).share, Some(Share::FULL));
    assert_eq!(scene.locator.begin(&scene.service, None, false, scene.now).expect("a share").address, SERVER);
}

#[test]
fn nothing_of_it_is_ever_pulled_launched_or_stopped() {
    let (mut scene, id) = adopted();
    scene.release(version(2));
    scene.until(is_released);
    scene.pass(IDLE * 2);
    for action in &scene.actions {
        match action {
            Action::Pull { version } => assert_ne!(*version, V1),
            Action::Launch { instance, .. } | Action::Stop { instance } | Action::RemoveStray { instance } => {
                assert_ne!(*instance, id);
            }
            _ => {}
        }
    }
    assert!(scene.events.contains(&Event::ExternalReleased { instance: id.clone(), address: SERVER }));
    assert!(!scene.events.contains(&Event::InstanceGone { instance: id.clone(), log: Vec::new() }), "it still runs");
    assert!(!scene.state.instances.contains_key(&id));
    assert!(scene.figures(&id).closed);
    assert_eq!(scene.running(), 1, "the candidate");
}

#[test]
fn its_sessions_from_before_stay_although_the_candidate_has_everything() {
    let (mut scene, id) = adopted();
    let service = scene.service.clone();
    // Long after the adoption its clients come through the locator.
    scene.pass(IDLE * 3);
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    assert_eq!(scene.figures(&id).share, Some(Share::ZERO));
    assert_eq!(scene.figures(&id).live, Count::Unknown, "more of them may come");
    let ticket = scene.locator.begin_foreign(&service, "JSESSIONID", false, scene.now).expect("served");
    assert_eq!(ticket.instance, id);
    let cookie = scene.locator.finish(&service, &ticket, false, scene.now).expect("a cookie");
    scene.pass(IDLE - Duration::from_secs(1));
    assert_eq!(scene.figures(&id).live, Count::Exact(1));
    let ticket = scene.locator.begin(&service, Some(&cookie), false, scene.now).expect("served");
    assert_eq!(ticket.instance, id);
    let late = scene.locator.begin_foreign(&service, "JSESSIONID", false, scene.now).expect("served");
    assert_ne!(late.instance, id, "whoever had a session has come or lost it");
    scene.locator.finish(&service, &ticket, false, scene.now);
    scene.until(is_released);
}

#[test]
fn one_that_does_not_answer_is_given_up_with_the_reason() {
    let mut scene = Scene::new();
    scene.ask(adoption());
    scene.server = Some(Err("connection refused"));
    scene.until(is_released);
    let error = scene.events.iter().find_map(|event| match event {
        Event::InstanceFailed { error, .. } => Some(error),
        _ => None,
    });
    let error = error.expect("it failed");
    assert_eq!(error.kind(), ErrorKind::NeverReady);
    assert_eq!(
        error.message(),
        "the server at `10.0.0.1:8080` was not ready within 20 s: connection refused",
        "{error:?}"
    );
    assert!(error.hint().is_some());
    assert!(scene.state.instances.is_empty());
    assert_eq!((scene.state.known_good, scene.state.versions[&V1].verdict), (None, Verdict::Bad));
    assert!(scene.actions.is_empty());
    // It may be tried again.
    scene.server = Some(Ok(()));
    scene.ask(adoption());
    scene.until(|event| matches!(event, Event::InstanceServing { .. }));
    assert_eq!(scene.state.known_good, Some(VersionId(2)));
}

#[test]
fn a_locator_that_cannot_find_its_sessions_adopts_nothing() {
    let mut scene = Scene::new();
    scene.capabilities.adoption = false;
    scene.server = Some(Ok(()));
    scene.ask(adoption());
    scene.step();
    let error = refusal(&scene).expect("refused");
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert_eq!(error.message(), "locator `g1` cannot find the sessions of a server that is adopted");
    assert!(scene.state.instances.is_empty() && scene.state.versions.is_empty());
    // A release does not need this capability.
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
}

#[test]
fn a_service_that_has_instances_adopts_nothing() {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.ask(adoption());
    scene.step();
    assert_eq!(refusal(&scene).expect("refused").kind(), ErrorKind::NothingToDo, "a release is in progress");
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene.events.clear();
    scene.ask(adoption());
    scene.step();
    let error = refusal(&scene).expect("refused");
    assert!(error.hint().is_some(), "{error:?}");
    let (mut scene, _) = adopted();
    scene.ask(adoption());
    scene.step();
    assert!(refusal(&scene).is_some(), "one is enough");
    assert_eq!(scene.state.instances.len(), 1);
}

#[test]
fn a_release_waits_until_the_server_has_answered_and_begins_with_its_first_stage() {
    let mut scene = Scene::new();
    scene.ask(adoption());
    scene.step();
    scene.release(version(2));
    scene.pass(Duration::from_secs(10));
    assert!(scene.state.release.as_ref().expect("in progress").waits.is_some());
    assert!(scene.actions.is_empty(), "nothing is pulled yet: {:?}", scene.actions);
    scene.server = Some(Ok(()));
    scene.until(|event| matches!(event, Event::StageReached { .. }));
    let first = scene.events.iter().find_map(|event| match event {
        Event::StageReached { share, .. } => Some(*share),
        _ => None,
    });
    assert_eq!(first, Some(Share::percent(50)));
}

#[test]
fn while_it_drains_there_is_a_way_back_to_it_and_then_no_more() {
    let (mut scene, id) = adopted();
    let service = scene.service.clone();
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let live = scene.locator.begin_foreign(&service, "JSESSIONID", false, scene.now).expect("served");
    scene.ask(Verb::Rollback);
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    assert!(!scene.actions.contains(&Action::Pull { version: V1 }), "it has no image");
    assert_eq!(scene.state.known_good, Some(V1));
    assert_eq!(scene.figures(&id).share, Some(Share::FULL));
    assert_eq!(scene.locator.begin(&service, None, false, scene.now).expect("a share").address, SERVER);
    scene.locator.finish(&service, &live, false, scene.now);

    let (mut scene, _) = adopted();
    scene.release(version(2));
    scene.until(is_released);
    scene.ask(Verb::Rollback);
    scene.step();
    let error = refusal(&scene).expect("refused");
    assert_eq!(error.kind(), ErrorKind::NothingToDo);
    assert!(error.message().contains("adopted"), "{error}");
    assert!(scene.state.release.is_none());
}

#[test]
fn an_abort_gives_everything_back_to_it() {
    let (mut scene, id) = adopted();
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::StageReached { .. }));
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.figures(&id).share, Some(Share::percent(50)));
    scene.ask(Verb::Abort);
    scene.until(|event| matches!(event, Event::ReleaseAborted { .. }));
    assert_eq!(scene.figures(&id).share, Some(Share::FULL));
    scene.until(|event| matches!(event, Event::InstanceGone { .. }));
    assert_eq!(scene.running(), 0, "the candidate has drained");
}

#[test]
fn unresponsive_it_fails_in_time_and_is_not_replaced() {
    let (mut scene, id) = adopted();
    scene.server = Some(Err("no answer in time"));
    scene.pass(Duration::from_secs(10));
    assert!(scene.events.contains(&Event::InstanceUnresponsive { instance: id.clone() }));
    scene.server = Some(Ok(()));
    scene.pass(Duration::from_secs(10));
    assert!(scene.events.contains(&Event::InstanceResponsive { instance: id.clone() }));
    scene.server = Some(Err("no answer in time"));
    scene.pass(Duration::from_secs(600));
    assert_eq!(scene.state.instances[&id].phase.name(), PhaseName::Failed);
    let failure = scene.state.instances[&id].failure().expect("it has one").clone();
    assert!(failure.message().ends_with("no answer in time"), "{failure}");
    assert_eq!(scene.figures(&id).share, Some(Share::FULL), "there is nobody to give its share to");
    assert_eq!(scene.state.instances.len(), 1, "there is no replacement");
    // A first release has nobody to protect from its candidate. After it, the server can go.
    scene.release(version(2));
    scene.until(is_released);
    assert_eq!(scene.state.instances.len(), 1);
    assert_eq!(scene.state.known_good, Some(V1), "the release has not settled yet");
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
}

#[test]
fn one_that_failed_can_be_adopted_again() {
    let (mut scene, id) = adopted();
    scene.server = Some(Err("no answer in time"));
    scene.until(|event| matches!(event, Event::InstanceFailed { .. }));
    scene.server = Some(Ok(()));
    scene.ask(adoption());
    scene.until(is_released);
    assert!(!scene.state.instances.contains_key(&id));
    assert_eq!(scene.state.known_good, Some(VersionId(2)));
    let again = scene.instances(2).remove(0);
    assert_eq!(scene.figures(&again).share, Some(Share::FULL));
}
