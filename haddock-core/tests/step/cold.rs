//! Nothing runs hot: an action that fails at once, for ever, is tried more and more seldom, whichever it is.

use std::time::Duration;

use haddock_core::container::{ContainerSpec, label};
use haddock_core::environment::{Before, Hook, StageGate};
use haddock_core::release::{Action, Event};
use haddock_core::runtime::sim::SimImage;
use haddock_core::{Error, ErrorKind, InstanceId};

use crate::scene::{Scene, component, version};

/// How long an action fails.
const MINUTES: u32 = 10;
/// How many commits a minute it may cost. Without waits there would be one at each of the 600 looks.
const PER_MINUTE: usize = 12;

fn settled(event: &Event) -> bool {
    matches!(event, Event::ReleaseSettled { .. })
}

/// A service whose first version has settled.
fn serving() -> Scene {
    let mut scene = Scene::new();
    scene.engine.add_image("app:before", SimImage::good(Duration::ZERO));
    scene.release(version(1));
    scene.until(settled);
    scene
}

/// Containers with our label that belong to no instance.
fn stray(scene: &mut Scene) -> InstanceId {
    let id = InstanceId::of(&scene.state.journal, &scene.service, 99);
    let labels = [
        (label::JOURNAL, scene.state.journal.to_string()),
        (label::ENVIRONMENT, id.to_string()),
        (label::COMPONENT, "app".to_owned()),
        (label::EPOCH, "1".to_owned()),
    ];
    let spec = ContainerSpec {
        name: format!("{id}-app"),
        image: "app:1".to_owned(),
        labels: labels.map(|(name, value)| (name.to_owned(), value)).into(),
        ..ContainerSpec::default()
    };
    let container = scene.engine.create(&spec).expect("the name is free");
    scene.engine.start(&container, scene.now).expect("it was just created");
    id
}

/// Brings about a situation in which the action is wanted, from the moment on at which it fails.
fn wanted(name: &'static str, error: &Error) -> Scene {
    let mut scene = serving();
    let fail = |scene: &mut Scene| scene.failing.insert(name, error.clone());
    match name {
        "pull" | "launch" | "apply" => {
            fail(&mut scene);
            scene.release(version(2));
        }
        "before" => {
            fail(&mut scene);
            let mut new = version(2);
            new.settings.release.before =
                Some(Before { component: component("migrate"), within: Duration::from_secs(3_600) });
            scene.release(new);
        }
        "hook" => {
            fail(&mut scene);
            let mut new = version(2);
            new.settings.release.hooks = [Hook::Serving, Hook::Draining].into();
            scene.release(new);
        }
        "gate" => {
            fail(&mut scene);
            let mut new = version(2);
            new.settings.release.ramp[0].gate = StageGate::Asked { every: Duration::from_secs(60) };
            scene.release(new);
        }
        "notify" => {
            fail(&mut scene);
            let mut new = version(2);
            new.settings.notify = 2;
            scene.release(new);
        }
        "close" | "stop" => {
            fail(&mut scene);
            scene.release(version(2));
            scene.until(settled);
        }
        "evict" => {
            fail(&mut scene);
            // Its replacement takes its place, and it is evicted.
            let now = scene.now;
            let id = scene.engine.containers(now).next().expect("it runs").id.clone();
            scene.engine.remove(&id);
        }
        "remove_stray" => {
            fail(&mut scene);
            stray(&mut scene);
        }
        other => unreachable!("{other}"),
    }
    scene
}

/// All actions. A new one has to be added here.
const NAMES: [&str; 11] =
    ["pull", "before", "launch", "apply", "close", "evict", "stop", "remove_stray", "hook", "gate", "notify"];

fn is_listed(action: &Action) -> bool {
    match action {
        Action::Pull { .. }
        | Action::Before { .. }
        | Action::Launch { .. }
        | Action::Apply { .. }
        | Action::Close { .. }
        | Action::Evict { .. }
        | Action::Stop { .. }
        | Action::RemoveStray { .. }
        | Action::Hook { .. }
        | Action::Gate { .. }
        | Action::Notify { .. } => NAMES.contains(&action.name()),
    }
}

#[test]
fn what_fails_at_once_costs_few_commits() {
    let kinds = [ErrorKind::RuntimeUnavailable, ErrorKind::TimedOut, ErrorKind::RuntimeRefused, ErrorKind::Panicked];
    for name in NAMES {
        for kind in kinds {
            let mut scene = wanted(name, &Error::new(kind, "it always fails"));
            let (commits, tries) = (scene.commits, scene.actions.len());
            let minute = |scene: &mut Scene| {
                let before = scene.commits;
                scene.pass(Duration::from_secs(60));
                scene.commits - before
            };
            // The first minute also has the release's own events, and short waits.
            let first = minute(&mut scene);
            let later: Vec<usize> = (1..MINUTES).map(|_| minute(&mut scene)).collect();
            let told = || format!("{name}, {kind:?}: {first}, then {later:?} commits a minute, from {commits}");
            assert!(first <= 60, "{}", told());
            assert!(later.iter().all(|commits| *commits <= PER_MINUTE), "{}", told());
            assert!(scene.actions.iter().all(is_listed));
            let of = |action: &&Action| action.name() == name;
            assert!(scene.actions.iter().filter(of).count() > 0, "it was never tried: {}", told());
            let retried = scene.actions[tries..].iter().filter(of).count();
            let is_given_up = ["pull", "before", "launch", "hook", "notify"].contains(&name);
            assert!(is_given_up || retried >= MINUTES as usize, "it was given up after {retried}: {}", told());
        }
    }
}

#[test]
fn strays_are_told_of_once_and_removed_when_that_is_possible() {
    let mut scene = serving();
    scene.failing.insert("remove_stray", Error::new(ErrorKind::RuntimeUnavailable, "it always fails"));
    let id = stray(&mut scene);
    scene.pass(Duration::from_secs(300));
    let found = |scene: &Scene| scene.events.iter().filter(|it| matches!(it, Event::StrayFound { .. })).count();
    assert_eq!(found(&scene), 1);
    // A controller that takes over knows of the waits, and keeps them.
    let state = serde_json::to_string(&scene.state).expect("plain data");
    scene.take_over(serde_json::from_str(&state).expect("plain data"));
    scene.failing.clear();
    scene.pass(Duration::from_secs(60));
    assert_eq!(found(&scene), 0, "it was told of before");
    assert_eq!(scene.running(), 1, "it is gone");
    assert!(!scene.state.removals.contains_key(&id), "and forgotten");
    // If the same name comes a second time, it is a new stray.
    stray(&mut scene);
    scene.pass(Duration::from_secs(5));
    assert_eq!((found(&scene), scene.running()), (1, 1), "and is removed at once");
}
