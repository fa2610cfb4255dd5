//! A missed probe or two decide nothing.

use std::time::Duration;

use haddock_core::release::{Event, Verb};
use haddock_core::{Share, VersionId};

use crate::scene::{Scene, version};

const HICCUP: Duration = Duration::from_secs(2);

/// A service whose version 1 has settled, and whose version 2 is about to become ready.
fn launching() -> Scene {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::InstanceStarting { .. }));
    scene
}

fn reached(scene: &Scene) -> Vec<(usize, Share)> {
    let stages = scene.events.iter().filter_map(|event| match event {
        Event::StageReached { version: VersionId(2), stage, share } => Some((*stage, *share)),
        _ => None,
    });
    stages.collect()
}

#[test]
fn a_ramp_begins_with_its_first_stage_whatever_the_known_good_version_misses() {
    // Version 1 is silent while the candidate becomes ready: for a moment, or until the silence counts.
    for silence in [HICCUP, Duration::from_secs(20)] {
        let mut scene = launching();
        let good = scene.instances(1).remove(0);
        scene.silence(&good, silence);
        scene.until(|event| matches!(event, Event::StageReached { version: VersionId(2), .. }));
        assert_eq!(reached(&scene), [(0, Share::percent(50))]);
        if silence == HICCUP {
            for _ in 0..30 {
                scene.pass(Duration::from_millis(100));
                assert!(scene.share(2) <= Share::percent(50), "{}", scene.share(2));
            }
        }
        scene.until(|event| matches!(event, Event::ReleaseSettled { version: VersionId(2) }));
    }
}

#[test]
fn one_that_does_not_answer_for_long_has_no_share_until_it_does() {
    let mut scene = launching();
    scene.until(|event| matches!(event, Event::InstanceServing { share, .. } if *share == Share::percent(50)));
    scene.ask(Verb::Pause);
    let good = scene.instances(1).remove(0);
    scene.silence(&good, Duration::from_secs(10));
    scene.pass(Duration::from_secs(4));
    assert_eq!((scene.share(1), scene.share(2)), (Share::percent(50), Share::percent(50)), "that may be a hiccup");
    scene.pass(Duration::from_secs(3));
    assert_eq!((scene.share(1), scene.share(2)), (Share::ZERO, Share::FULL), "that is none");
    scene.pass(Duration::from_secs(5));
    assert_eq!((scene.share(1), scene.share(2)), (Share::percent(50), Share::percent(50)));
}

#[test]
fn what_drains_gets_nothing_back_for_a_hiccup_of_what_serves() {
    let mut scene = launching();
    // Version 1 has a session, and drains for as long as that lives.
    let first = scene.instances(1).remove(0);
    let service = scene.service.clone();
    let ticket = scene.locator.begin(&service, None, false, scene.now).expect("it serves");
    assert_eq!(ticket.instance, first);
    scene.locator.finish(&service, &ticket, false, scene.now);
    scene.until(|event| matches!(event, Event::ReleaseSettled { version: VersionId(2) }));
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.share(2), Share::FULL);
    let second = scene.instances(2).remove(0);
    scene.silence(&second, HICCUP);
    for _ in 0..40 {
        scene.pass(Duration::from_millis(100));
        assert_eq!((scene.share(1), scene.share(2)), (Share::ZERO, Share::FULL));
    }
}

#[test]
fn nothing_settles_on_what_does_not_answer() {
    let mut scene = launching();
    scene.until(|event| matches!(event, Event::ReleaseSettling { version: VersionId(2) }));
    scene.pass(Duration::from_millis(4_000));
    let second = scene.instances(2).remove(0);
    scene.silence(&second, HICCUP);
    scene.pass(Duration::from_millis(1_500));
    assert_ne!(scene.state.known_good, Some(VersionId(2)));
    scene.until(|event| matches!(event, Event::ReleaseSettled { version: VersionId(2) }));
}

#[test]
fn an_abort_gives_nothing_to_what_does_not_answer_while_the_candidate_does() {
    let mut scene = launching();
    scene.until(|event| matches!(event, Event::ReleaseSettling { version: VersionId(2) }));
    scene.pass(Duration::from_millis(500));
    let good = scene.instances(1).remove(0);
    scene.silence(&good, Duration::from_secs(3));
    scene.pass(Duration::from_millis(200));
    scene.ask(Verb::Abort);
    scene.pass(Duration::from_secs(2));
    assert_eq!(scene.share(2), Share::FULL, "it keeps its share until the other can have it");
    scene.until(|event| matches!(event, Event::ReleaseAborted { .. }));
    assert_eq!(scene.share(1), Share::FULL);
}

#[test]
fn what_serves_already_is_not_launched_again_for_a_hiccup() {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let good = scene.instances(1).remove(0);
    scene.silence(&good, HICCUP);
    scene.pass(Duration::from_millis(200));
    scene.release(version(1));
    scene.pass(Duration::from_secs(4));
    assert_eq!(scene.running(), 1);
    assert!(scene.events.iter().any(|event| matches!(event, Event::ReleaseUnchanged { .. })));
}
