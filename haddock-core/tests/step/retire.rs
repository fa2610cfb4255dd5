//! A service that is retired drains, and is forgotten.

use std::time::Duration;

use haddock_core::release::{Action, Event, PhaseName, Verb};
use haddock_core::{ErrorKind, RequestId, VersionId};

use crate::scene::{IDLE, Scene, adoption, version};

fn settled() -> Scene {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene
}

fn refusal(scene: &Scene, request: &RequestId) -> Option<(ErrorKind, String)> {
    scene.events.iter().find_map(|event| match event {
        Event::RequestRefused { id, error } if id == request => Some((error.kind(), error.message().to_owned())),
        _ => None,
    })
}

fn is_retired(event: &Event) -> bool {
    matches!(event, Event::ServiceRetired)
}

#[test]
fn its_sessions_go_on_until_they_end_and_then_nothing_is_left() {
    let mut scene = settled();
    let ticket = scene.locator.begin(&scene.service, None, false, scene.now).expect("it serves");
    let cookie = scene.locator.finish(&scene.service, &ticket, false, scene.now);
    let before = scene.state.number;
    scene.ask(Verb::Retire);
    scene.pass(IDLE / 2);
    assert!(scene.state.instances.values().all(|instance| instance.is(PhaseName::Draining)));
    let (service, now) = (scene.service.clone(), scene.now);
    assert!(scene.locator.begin(&service, None, false, now).is_none(), "no new sessions");
    let again = scene.locator.begin(&service, cookie.as_ref(), false, now).expect("the session goes on");
    assert!(!again.opened);
    scene.locator.finish(&service, &again, false, now);
    scene.pass(IDLE / 2 + Duration::from_secs(1));
    assert_eq!(scene.running(), 1, "it was used again");
    scene.until(is_retired);
    assert_eq!(scene.running(), 0);
    assert_eq!(scene.locator.table(&service).map(|table| table.routes.len()), Some(0));
    assert!(scene.state.is_forgotten() && scene.state.versions.is_empty() && scene.state.known_good.is_none());
    assert!(scene.state.number > before && scene.state.next_instance == 2, "numbers never come again");
    let quiet = scene.actions.len();
    scene.pass(Duration::from_secs(30));
    assert_eq!(scene.actions.len(), quiet, "there is nothing more to do");
}

#[test]
fn its_name_can_be_used_again() {
    let mut scene = settled();
    scene.ask(Verb::Retire);
    scene.until(is_retired);
    scene.release(version(7));
    assert!(!scene.state.is_forgotten());
    scene.until(|event| *event == Event::ReleaseSettled { version: VersionId(2) });
    assert_eq!(scene.state.known_good, Some(VersionId(2)), "versions go on being counted");
    assert_eq!(scene.running(), 1);
    scene.ask(Verb::Retire);
    scene.until(is_retired);
    assert_eq!((scene.state.last_version, scene.running()), (Some(VersionId(2)), 0));
}

#[test]
fn a_deadline_counts_as_in_any_drain() {
    let mut scene = Scene::new();
    let mut new = version(1);
    new.settings.release.drain.evict_after = Some(Duration::from_secs(10));
    scene.release(new);
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let ticket = scene.locator.begin(&scene.service, None, true, scene.now).expect("it serves");
    scene.ask(Verb::Retire);
    let from = scene.now;
    scene.until(is_retired);
    assert!(scene.now - from < Duration::from_secs(30), "{:?}", scene.now - from);
    assert!(scene.events.iter().any(|event| matches!(event, Event::InstanceRetiring { sessions_lost: 1, .. })));
    scene.locator.finish(&scene.service, &ticket, false, scene.now);
}

#[test]
fn it_is_refused_while_a_release_goes_on_and_so_is_a_release_while_it_goes() {
    let mut scene = settled();
    scene.release(version(2));
    let early = scene.ask(Verb::Retire);
    scene.step();
    let (kind, message) = refusal(&scene, &early).expect("a release goes on");
    assert!(kind == ErrorKind::Busy && message.contains("the release of version 2"), "{message}");
    scene.until(|event| *event == Event::ReleaseSettled { version: VersionId(2) });
    scene.pass(Duration::from_secs(1));
    let in_time = scene.ask(Verb::Retire);
    let again = scene.ask(Verb::Retire);
    let late = scene.ask(Verb::Release(Box::new(version(3))));
    scene.step();
    assert_eq!((refusal(&scene, &in_time), refusal(&scene, &again)), (None, None));
    let (kind, message) = refusal(&scene, &late).expect("it goes");
    assert!(kind == ErrorKind::Busy && message.contains("`shop` is being retired, as `the test` asked"), "{message}");
    scene.until(is_retired);
    let over = scene.ask(Verb::Retire);
    scene.step();
    assert_eq!(refusal(&scene, &over).expect("there is nothing").0, ErrorKind::NothingToDo);
    assert!(scene.state.is_forgotten(), "a refusal brings nothing back");
}

#[test]
fn an_abort_lets_it_serve_again() {
    let mut scene = settled();
    let ticket = scene.locator.begin(&scene.service, None, true, scene.now).expect("it serves");
    scene.ask(Verb::Retire);
    scene.pass(IDLE);
    let [instance] = scene.instances(1).try_into().expect("one");
    assert_eq!(scene.state.instances[&instance].phase.name(), PhaseName::Draining);
    scene.ask(Verb::Abort);
    scene.until(|event| matches!(event, Event::InstanceServing { .. }));
    assert!(scene.state.retiring.is_none() && scene.state.instances[&instance].is(PhaseName::Serving));
    assert_eq!(scene.running(), 1);
    scene.locator.finish(&scene.service, &ticket, false, scene.now);
}

#[test]
fn what_has_died_is_not_replaced_and_what_starts_is_given_up() {
    let mut scene = settled();
    let life = scene.state.instances.values().next().expect("one").incarnations()["app"].clone();
    scene.engine.kill(&life.container, 137);
    scene.until(|event| matches!(event, Event::InstanceStarting { replacement: true, .. }));
    scene.ask(Verb::Retire);
    scene.until(is_retired);
    assert_eq!(scene.running(), 0);
    let launches = |action: &&Action| matches!(action, Action::Launch { .. });
    assert_eq!(scene.actions.iter().filter(launches).count(), 2);
}

#[test]
fn an_adopted_server_drains_and_is_let_go() {
    let mut scene = Scene::new();
    scene.server = Some(Ok(()));
    scene.ask(adoption());
    scene.until(|event| matches!(event, Event::InstanceServing { .. }));
    scene.ask(Verb::Retire);
    let from = scene.now;
    scene.until(is_retired);
    assert!(scene.now - from >= IDLE, "sessions from before have one idle time in which to come");
    assert!(scene.events.iter().any(|event| matches!(event, Event::ExternalReleased { .. })));
}

#[test]
fn it_is_not_forgotten_while_a_locator_cannot_be_asked() {
    let mut scene = settled();
    scene.ask(Verb::Retire);
    scene.until(|event| matches!(event, Event::InstanceRetiring { .. }));
    scene.cut_off = true;
    scene.pass(Duration::from_secs(120));
    assert!(!scene.events.iter().any(is_retired));
    scene.cut_off = false;
    scene.until(is_retired);
}
