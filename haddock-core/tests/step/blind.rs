//! A release whose gateway does not answer says so.

use std::time::Duration;

use haddock_core::ErrorKind;
use haddock_core::release::Event;

use crate::scene::{Scene, version};

fn told(scene: &Scene) -> Vec<String> {
    let error = |event: &Event| match event {
        Event::ReleaseWaits { error, .. } => Some(error.message().to_owned()),
        _ => None,
    };
    scene.events.iter().filter_map(error).collect()
}

#[test]
fn a_release_without_its_gateway_waits_for_it_and_says_so_once() {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::StageReached { .. }));
    scene.cut_off = true;
    scene.pass(Duration::from_secs(60));
    assert_eq!(told(&scene), ["waits for the gateway `g1`, which does not answer"]);
    let waits = scene.state.release.as_ref().and_then(|release| release.waits.clone());
    assert_eq!(waits.map(|error| error.kind()), Some(ErrorKind::LocatorUnavailable));

    scene.cut_off = false;
    scene.until(|event| matches!(event, Event::ReleaseSettling { .. }));
    assert_eq!(scene.state.release.as_ref().map(|release| release.waits.is_some()), Some(false));
}

#[test]
fn a_gateway_that_is_started_anew_is_nothing_to_tell() {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::StageReached { .. }));
    for _ in 0..3 {
        scene.cut_off = true;
        scene.pass(Duration::from_secs(3));
        scene.cut_off = false;
        scene.pass(Duration::from_secs(1));
    }
    scene.pass(Duration::from_secs(60));
    assert!(scene.events.iter().any(|event| matches!(event, Event::ReleaseSettled { .. })), "it goes on");
    assert_eq!(told(&scene), Vec::<String>::new());
}
