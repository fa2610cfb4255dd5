//! What runs before a version, hooks within instances, and notifications.

use std::time::Duration;

use haddock_core::environment::{Before, Hook};
use haddock_core::release::{AbortReason, Action, Event, NewVersion, PhaseName, TaskResult, Verb};
use haddock_core::{Error, ErrorKind, InstanceId};

use crate::scene::{Scene, component, version};

fn with_before(number: u64) -> NewVersion {
    let mut new = version(number);
    let before = Before { component: component("migrate"), within: Duration::from_secs(600) };
    new.settings.release.before = Some(before);
    new
}

fn with_hooks(number: u64) -> NewVersion {
    let mut new = version(number);
    new.settings.release.hooks = [Hook::Serving, Hook::Draining].into();
    new
}

fn with_receivers(number: u64) -> NewVersion {
    let mut new = version(number);
    new.settings.notify = 2;
    new
}

/// A scene that has the image for the component that runs before a version.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.engine.add_image("app:before", haddock_core::runtime::sim::SimImage::good(Duration::ZERO));
    scene
}

fn settled(event: &Event) -> bool {
    matches!(event, Event::ReleaseSettled { .. })
}

fn befores(scene: &Scene) -> Vec<InstanceId> {
    let of = |action: &Action| match action {
        Action::Before { instance, .. } => Some(instance.clone()),
        _ => None,
    };
    scene.actions.iter().filter_map(of).collect()
}

fn hooks(scene: &Scene) -> Vec<(InstanceId, Hook)> {
    let of = |action: &Action| match action {
        Action::Hook { instance, hook, .. } => Some((instance.clone(), *hook)),
        _ => None,
    };
    scene.actions.iter().filter_map(of).collect()
}

/// The receiver and the event of each try of a notification.
fn told(scene: &Scene) -> Vec<(usize, Event)> {
    let of = |action: &Action| match action {
        Action::Notify { notification: it } => Some((it.receiver, it.event.clone())),
        _ => None,
    };
    scene.actions.iter().filter_map(of).collect()
}

fn refused() -> Error {
    Error::new(ErrorKind::HookFailed, "it ended with exit code 1")
}

#[test]
fn nothing_is_launched_until_what_runs_before_has_ended_and_it_runs_once() {
    let mut scene = scene();
    scene.release(with_before(1));
    scene.pass(Duration::from_secs(60));
    assert_eq!(befores(&scene).len(), 1, "it goes on, and is not begun again");
    assert_eq!(scene.instances(1), [], "nothing was launched");
    let before = befores(&scene).remove(0);
    // A controller that takes over finds the same run, and starts no other.
    let state = scene.state.clone();
    scene.take_over(state);
    scene.before = Some(Ok(TaskResult::Said(vec!["3 tables".to_owned()])));
    scene.until(settled);
    assert_eq!(befores(&scene), [before.clone(), before.clone()]);
    let ended = Event::BeforeEnded {
        version: haddock_core::VersionId(1),
        component: component("migrate"),
        output: vec!["3 tables".to_owned()],
    };
    assert!(scene.events.contains(&ended), "{:?}", scene.events);
    assert_eq!(scene.running(), 1, "what ran before is removed");
    assert!(scene.state.leaving.is_empty());
    assert!(!scene.events.iter().any(|event| matches!(event, Event::StrayFound { .. })));
    // A second version has a run of its own. A rollback has none.
    scene.release(with_before(2));
    scene.until(settled);
    scene.ask(Verb::Rollback);
    scene.until(settled);
    scene.pass(Duration::from_secs(5));
    assert_eq!(befores(&scene).len(), 3);
}

#[test]
fn a_release_whose_before_fails_launches_nothing_and_leaves_nothing() {
    let mut scene = scene();
    scene.release(version(1));
    scene.until(settled);
    scene.before = Some(Err(Error::new(ErrorKind::ContainerExited, "exited with code 1")));
    scene.release(with_before(2));
    scene.pass(Duration::from_secs(5));
    let aborted = |event: &Event| matches!(event, Event::ReleaseAborted { reason: AbortReason::Failed(error), .. } if error.kind() == ErrorKind::ContainerExited);
    assert!(scene.events.iter().any(aborted), "{:?}", scene.events);
    assert_eq!(befores(&scene).len(), 1, "it is not tried again");
    assert_eq!((scene.instances(2), scene.running()), (vec![], 1));
}

#[test]
fn an_abort_stops_what_runs_before() {
    let mut scene = scene();
    scene.release(with_before(1));
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.running(), 1);
    scene.ask(Verb::Abort);
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.running(), 0);
    assert_eq!((scene.state.release.clone(), scene.state.leaving.len()), (None, 0));
}

#[test]
fn an_instance_is_told_when_it_serves_and_before_it_is_closed() {
    let mut scene = scene();
    scene.release(with_hooks(1));
    scene.until(settled);
    let one = scene.instances(1).remove(0);
    assert_eq!(hooks(&scene), [(one.clone(), Hook::Serving)], "once");
    let ran = Event::HookRan { instance: one.clone(), hook: Hook::Serving, output: vec!["as told".to_owned()] };
    assert!(scene.events.contains(&ran));
    // While the hook cannot be run, the instance is not closed, although it has no sessions any more.
    scene.hook = Err(Error::new(ErrorKind::RuntimeUnavailable, "the engine is away"));
    scene.release(version(2));
    scene.until(settled);
    scene.pass(Duration::from_secs(120));
    assert_eq!(scene.state.instances[&one].phase.name(), PhaseName::Draining);
    assert!(hooks(&scene).len() > 4, "it is tried for as long as the engine is away");
    scene.hook = Ok(TaskResult::Said(Vec::new()));
    scene.until(|event| matches!(event, Event::InstanceGone { .. }));
    let last = Event::HookRan { instance: one, hook: Hook::Draining, output: Vec::new() };
    assert!(scene.events.contains(&last));
}

#[test]
fn a_hook_that_fails_is_tried_three_times_and_ends_a_release_only_if_the_candidate_cannot_serve() {
    let mut scene = scene();
    scene.release(with_hooks(1));
    scene.until(settled);
    scene.hook = Err(refused());
    scene.release(with_hooks(2));
    scene.until(|event| matches!(event, Event::ReleaseAborted { .. }));
    let failed: Vec<&Event> = scene.events.iter().filter(|it| matches!(it, Event::HookFailed { .. })).collect();
    let [Event::HookFailed { hook: Hook::Serving, error, .. }] = failed[..] else { panic!("{failed:?}") };
    assert_eq!(*error, refused());
    let candidate = hooks(&scene).into_iter().filter(|(_, hook)| *hook == Hook::Serving).count();
    assert_eq!(candidate, 1 + 3);
    // The hook of a draining instance fails, and the instance is removed nevertheless.
    scene.until(|event| matches!(event, Event::InstanceGone { .. }));
    assert_eq!(scene.state.instances.len(), 1, "the known good one serves on");
}

#[test]
fn each_receiver_is_told_in_order_until_it_has_heard() {
    let mut scene = scene();
    scene.release(with_receivers(1));
    scene.until(settled);
    scene.pass(Duration::from_secs(1));
    let of = |receiver: usize| -> Vec<Event> {
        told(&scene).into_iter().filter(|(to, _)| *to == receiver).map(|(_, event)| event).collect()
    };
    let [Event::ReleaseStarted { .. }, Event::ReleaseSettled { .. }] = &of(0)[..] else { panic!("{:?}", of(0)) };
    assert_eq!(of(0), of(1));
    assert!(scene.state.notifications.is_empty(), "and is told no more");
    scene.telling = Err(refused());
    scene.release(with_receivers(2));
    scene.pass(Duration::from_secs(60));
    let started = told(&scene).into_iter().skip(4).collect::<Vec<_>>();
    assert!(started.iter().all(|(_, event)| matches!(event, Event::ReleaseStarted { .. })), "what follows waits");
    assert!((6..=14).contains(&started.len()), "{}", started.len());
    scene.until(|event| matches!(event, Event::NotificationUndelivered { .. }));
    let lost = scene.events.iter().filter(|event| matches!(event, Event::NotificationUndelivered { .. })).count();
    assert_eq!(lost, 2, "to each receiver");
    scene.telling = Ok(TaskResult::Done);
    scene.pass(Duration::from_secs(120));
    assert!(scene.state.notifications.is_empty(), "{:?}", scene.state.notifications);
    assert!(told(&scene).iter().any(|(_, event)| matches!(event, Event::ReleaseSettled { version } if version.0 == 2)));
}

#[test]
fn a_notification_outlives_its_controller() {
    let mut scene = scene();
    scene.telling = Err(refused());
    scene.release(with_receivers(1));
    scene.pass(Duration::from_secs(1));
    let state = scene.state.clone();
    assert_eq!(state.notifications.len(), 2);
    let kept = serde_json::to_string(&state).expect("plain data");
    let state = serde_json::from_str(&kept).expect("as written");
    scene.take_over(state);
    scene.telling = Ok(TaskResult::Done);
    scene.until(settled);
    scene.pass(Duration::from_secs(1));
    assert!(scene.state.notifications.is_empty());
}
