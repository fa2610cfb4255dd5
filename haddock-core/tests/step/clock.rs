//! The clock that ran ahead, and is set right.

use std::time::Duration;

use haddock_core::release::{Action, Event, PhaseName};
use haddock_core::{Share, VersionId};

use crate::scene::{IDLE, Scene, version};

const AHEAD: Duration = Duration::from_secs(2 * 3_600);

fn set_back(scene: &Scene) -> Vec<u64> {
    let events = scene.events.iter().filter_map(|event| match event {
        Event::ClockSetBack { by } => Some(*by),
        _ => None,
    });
    events.collect()
}

/// In the middle of a ramp the clock is set right, and another controller goes on.
#[test]
fn a_release_takes_as_long_as_it_would_have() {
    let mut took = Vec::new();
    for ahead in [Duration::ZERO, AHEAD] {
        let mut scene = Scene::new();
        scene.release(version(1));
        scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
        let begun = scene.now;
        scene.ahead = ahead;
        scene.release(version(2));
        scene.until(|event| matches!(event, Event::InstanceServing { share, .. } if *share == Share::percent(50)));
        scene.ahead = Duration::ZERO;
        let state = scene.state.clone();
        scene.take_over(state);
        scene.until(|event| matches!(event, Event::ReleaseSettled { version: VersionId(2) }));
        let ahead = u64::try_from(ahead.as_millis()).expect("small");
        let told = set_back(&scene);
        assert_eq!(told.len(), usize::from(ahead > 0), "{told:?}");
        assert!(told.iter().all(|by| ahead - by < 1_000), "{told:?}");
        took.push(scene.now - begun);
    }
    let apart = took[0].abs_diff(took[1]);
    assert!(apart <= Duration::from_millis(200), "{took:?}");
}

#[test]
fn a_drain_ends_and_its_deadline_keeps_its_length() {
    let mut scene = Scene::new();
    scene.ahead = AHEAD;
    let mut first = version(1);
    first.settings.release.drain.evict_after = Some(Duration::from_secs(30));
    scene.release(first);
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene.release(version(2));
    let service = scene.service.clone();
    scene.locator.begin(&service, None, false, scene.now).expect("it serves");
    scene.until(|event| matches!(event, Event::InstanceDraining { .. }));
    let begun = scene.now;
    scene.ahead = Duration::ZERO;
    let state = scene.state.clone();
    scene.take_over(state);
    scene.until(|event| matches!(event, Event::DrainOverdue { .. }));
    let took = scene.now - begun;
    assert!(took.abs_diff(Duration::from_secs(30)) <= Duration::from_secs(1), "{took:?}");
    scene.until(|event| matches!(event, Event::InstanceGone { .. }));
    assert!(scene.now - begun < IDLE);
}

#[test]
fn what_is_remembered_is_of_the_present() {
    let mut scene = Scene::new();
    scene.ahead = AHEAD;
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::InstanceDraining { .. }));
    scene.ahead = Duration::ZERO;
    let state = scene.state.clone();
    scene.take_over(state);
    scene.step();
    let soon = scene.now + Duration::from_secs(3_600);
    for (id, instance) in &scene.state.instances {
        let drain = instance.drain().map(|drain| drain.since);
        assert!([Some(instance.since), drain].into_iter().flatten().all(|time| time < soon), "{id}: {instance:?}");
        assert_ne!(instance.phase.name(), PhaseName::Failed);
    }
    assert!(scene.state.now < soon);
}

#[test]
fn clocks_that_differ_a_little_are_no_event() {
    let mut scene = Scene::new();
    scene.ahead = Duration::from_millis(900);
    scene.release(version(1));
    scene.pass(Duration::from_secs(1));
    scene.ahead = Duration::ZERO;
    let state = scene.state.clone();
    scene.take_over(state);
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    assert!(set_back(&scene).is_empty());
}

/// What could not be removed under the wrong clock is tried again by the right one, and not two hours later.
#[test]
fn a_removal_is_tried_again() {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene.ahead = AHEAD;
    let stray = haddock_core::InstanceId::of(&scene.state.journal, &scene.service, 90);
    let tried = haddock_core::release::Attempt { count: 3, retry_at: scene.now + AHEAD };
    scene.state.removals.insert(stray.clone(), tried);
    scene.state.leaving.insert(stray.clone());
    scene.step();
    scene.ahead = Duration::ZERO;
    let state = scene.state.clone();
    scene.take_over(state);
    scene.actions.clear();
    scene.pass(Duration::from_secs(60));
    assert!(scene.actions.contains(&Action::RemoveStray { instance: stray }));
}
