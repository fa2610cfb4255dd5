//! What the application says of its sessions, besides the locator.

use std::time::Duration;

use haddock_core::InstanceId;
use haddock_core::environment::{CountSettings, Drain};
use haddock_core::release::{Action, Event, NewVersion, PhaseName};

use crate::scene::{IDLE, Scene, version};

/// Longer than anything that a drain waits for here.
const LONG: Duration = Duration::from_secs(600);

fn counted(number: u64) -> NewVersion {
    let mut new = version(number);
    new.settings.release.count = Some(CountSettings::new("/sessions"));
    new
}

/// Version 1 drains for version 2. The locator has no session of it.
fn draining(first: NewVersion) -> (Scene, InstanceId) {
    let mut scene = Scene::new();
    scene.release(first);
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let id = scene.instances(1).remove(0);
    scene.release(counted(2));
    scene.until(|event| matches!(event, Event::InstanceDraining { .. }));
    (scene, id)
}

fn closes(scene: &Scene) -> usize {
    scene.actions.iter().filter(|action| matches!(action, Action::Close { .. } | Action::Evict { .. })).count()
}

#[test]
fn it_is_closed_only_when_the_application_too_has_said_none() {
    let (mut scene, id) = draining(counted(1));
    for says in [None, Some((Ok(2), None)), Some((Ok(1), None)), Some((Err("status 500"), None)), None] {
        scene.says = says;
        scene.pass(LONG);
        assert!(scene.state.instances[&id].is(PhaseName::Draining), "{says:?} is not none");
        assert_eq!(closes(&scene), 0, "{says:?} is not none");
    }
    scene.says = Some((Ok(0), None));
    scene.until(|event| matches!(event, Event::InstanceGone { instance, .. } if *instance == id));
}

#[test]
fn one_that_is_not_asked_goes_by_the_locator_alone() {
    let (mut scene, id) = draining(version(1));
    scene.says = Some((Ok(7), None));
    scene.until(|event| matches!(event, Event::InstanceGone { instance, .. } if *instance == id));
}

#[test]
fn what_it_said_before_the_locator_had_none_does_not_count() {
    let mut scene = Scene::new();
    scene.release(counted(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let id = scene.instances(1).remove(0);
    let (service, now) = (scene.service.clone(), scene.now);
    let ticket = scene.locator.begin(&service, None, false, now).expect("it serves");
    scene.locator.finish(&service, &ticket, false, now);
    scene.release(counted(2));
    scene.until(|event| matches!(event, Event::InstanceDraining { .. }));
    // It says none while the locator still has a session, which may be about to log in.
    let early = scene.now;
    scene.says = Some((Ok(0), Some(early)));
    scene.pass(IDLE + LONG);
    assert_eq!(closes(&scene), 0, "that was before the session ended");
    scene.says = Some((Ok(0), None));
    scene.until(|event| matches!(event, Event::InstanceGone { instance, .. } if *instance == id));
}

#[test]
fn a_deadline_and_a_failure_end_it_whatever_the_application_says() {
    let mut first = counted(1);
    first.settings.release.drain = Drain { evict_after: Some(LONG) };
    let (mut scene, id) = draining(first);
    scene.says = Some((Ok(3), None));
    scene.pass(LONG / 2);
    assert_eq!(closes(&scene), 0);
    scene.until(|event| matches!(event, Event::DrainOverdue { .. }));
    scene.until(|event| matches!(event, Event::InstanceGone { instance, .. } if *instance == id));

    let (mut scene, id) = draining(counted(1));
    scene.says = Some((Ok(3), None));
    let now = scene.now;
    let named = format!("{id}-app");
    let found = scene.engine.containers(now).find(|it| it.name == named).expect("it runs").id.clone();
    scene.engine.stop(&found);
    scene.until(|event| matches!(event, Event::InstanceGone { instance, .. } if *instance == id));
}

#[test]
fn another_controller_and_another_clock_ask_again() {
    let (mut scene, id) = draining(counted(1));
    scene.pass(LONG);
    let state = scene.state.clone();
    scene.take_over(state);
    scene.pass(LONG);
    assert_eq!(closes(&scene), 0, "it has not been asked by this one");
    scene.says = Some((Ok(0), None));
    scene.until(|event| matches!(event, Event::InstanceGone { instance, .. } if *instance == id));
}

#[test]
fn the_file_as_it_is_now_decides_for_the_version_that_serves() {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let id = scene.instances(1).remove(0);
    // The same images, and a file that asks from now on.
    scene.release(counted(1));
    scene.until(|event| matches!(event, Event::ReleaseUnchanged { other_rules: true, .. }));
    scene.release(counted(2));
    scene.pass(LONG);
    assert!(scene.state.instances[&id].is(PhaseName::Draining), "nobody has said none");
    scene.says = Some((Ok(0), None));
    scene.until(|event| matches!(event, Event::InstanceGone { instance, .. } if *instance == id));
}
