//! Verbs about a release: they act on this release, or do nothing.

use haddock_core::release::{Event, ReleasePhase, Verb};
use haddock_core::{ErrorKind, RequestId, Share, VersionId};

use crate::scene::{Scene, version};

const VERBS: [Verb; 4] = [Verb::Abort, Verb::Pause, Verb::Resume, Verb::Advance];

fn is_settled(version: u64) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::ReleaseSettled { version: VersionId(settled) } if *settled == version)
}

fn aborted(event: &Event) -> bool {
    matches!(event, Event::ReleaseAborted { .. })
}

fn settled() -> Scene {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(is_settled(1));
    scene
}

/// Takes a request up. Returns why it was refused.
fn refused(scene: &mut Scene, id: &RequestId) -> Option<haddock_core::Error> {
    scene.step();
    scene.events.iter().find_map(|event| match event {
        Event::RequestRefused { id: refused, error } if refused == id => Some(error.clone()),
        _ => None,
    })
}

#[test]
fn a_verb_about_what_is_over_does_nothing_to_what_goes_on() {
    for verb in VERBS {
        let mut scene = Scene::new();
        let first = scene.release(version(1));
        scene.until(is_settled(1));
        scene.release(version(2));
        scene.until(|event| matches!(event, Event::StageReached { version: VersionId(2), .. }));
        let before = scene.state.release.clone();
        let id = scene.ask_about(verb.clone(), Some(&first));
        let error = refused(&mut scene, &id).expect("it is over");
        assert_eq!(error.kind(), ErrorKind::NothingToDo);
        assert!(error.message().contains("version 1 has settled"), "{error}");
        assert_eq!(scene.state.release, before, "{verb:?}");
    }
}

#[test]
fn one_that_waits_is_withdrawn_and_the_one_in_progress_goes_on() {
    let mut scene = settled();
    scene.release(version(2));
    let waits = scene.release(version(3));
    for verb in [Verb::Pause, Verb::Advance] {
        let id = scene.ask_about(verb, Some(&waits));
        assert!(refused(&mut scene, &id).is_some_and(|error| error.message().contains("has not begun")));
    }
    scene.ask_about(Verb::Abort, Some(&waits));
    scene.step();
    assert!(scene.events.iter().any(|event| matches!(event, Event::ReleaseWithdrawn { id, .. } if *id == waits)));
    assert!(scene.state.queued.is_none());
    scene.until(is_settled(2));
    scene.pass(std::time::Duration::from_secs(5));
    assert!(scene.state.release.is_none(), "nothing comes after it");
}

#[test]
fn a_verb_about_the_one_in_progress_steers_it() {
    let mut scene = settled();
    let second = scene.release(version(2));
    scene.until(|event| matches!(event, Event::InstanceServing { share, .. } if *share == Share::percent(50)));
    let id = scene.ask_about(Verb::Pause, Some(&second));
    assert_eq!(refused(&mut scene, &id), None);
    assert!(scene.state.release.as_ref().is_some_and(|release| release.paused_at.is_some()));
    let id = scene.ask_about(Verb::Abort, Some(&second));
    assert_eq!(refused(&mut scene, &id), None);
    scene.until(aborted);
    assert_eq!(scene.state.known_good, Some(VersionId(1)));
}

/// A rollback to instances that still run makes no version of its own. Its handle still belongs to its request.
#[test]
fn a_rollback_in_progress_is_steered_by_its_own_request() {
    let mut scene = settled();
    let second = scene.release(version(2));
    scene.until(is_settled(2));
    let back = scene.ask(Verb::Rollback);
    scene.step();
    assert_eq!(scene.state.release.as_ref().map(|release| release.version), Some(VersionId(1)));
    for other in [&second, &RequestId::new("r1").expect("valid")] {
        let id = scene.ask_about(Verb::Abort, Some(other));
        assert!(refused(&mut scene, &id).is_some(), "{other}");
    }
    let id = scene.ask_about(Verb::Abort, Some(&back));
    assert_eq!(refused(&mut scene, &id), None);
    assert!(scene.events.iter().any(aborted), "it had no share yet");
    assert_eq!(scene.state.known_good, Some(VersionId(2)));
}

#[test]
fn a_rollback_after_an_abort_goes_nowhere() {
    let mut scene = settled();
    scene.release(version(2));
    scene.until(is_settled(2));
    scene.release(version(3));
    scene.ask(Verb::Abort);
    scene.until(aborted);
    let id = scene.ask(Verb::Rollback);
    let error = refused(&mut scene, &id).expect("it is back already");
    assert_eq!(error.kind(), ErrorKind::NothingToDo);
    assert!(error.message().contains("already back on version 2"), "{error}");
    assert!(scene.state.release.is_none());

    let id = scene.ask(Verb::RollbackTo(VersionId(1)));
    assert_eq!(refused(&mut scene, &id), None, "whoever names it means it");
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    assert_eq!(scene.state.versions[&scene.state.known_good.expect("settled")].new.spec, "spec-1");
}

/// A rollback is asked for twice in a row, by two people or by one who is not sure. The service goes back once.
#[test]
fn a_second_rollback_goes_nowhere() {
    for gone in [false, true] {
        let mut scene = settled();
        scene.release(version(2));
        scene.until(is_settled(2));
        scene.release(version(3));
        scene.until(is_settled(3));
        if gone {
            scene.pass(std::time::Duration::from_secs(300));
            assert!(scene.instances(2).is_empty(), "its instances have to be started again");
        }
        scene.ask(Verb::Rollback);
        scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
        let good = scene.state.known_good.expect("settled");
        assert_eq!(scene.state.versions[&good].new.spec, "spec-2");
        let id = scene.ask(Verb::Rollback);
        let error = refused(&mut scene, &id).expect("it is back already");
        assert!(error.message().contains("already back"), "{error}");
        assert_eq!(scene.state.known_good, Some(good));
    }
}

#[test]
fn a_rollback_during_a_release_is_its_abort() {
    for to in [None, Some(VersionId(1))] {
        let mut scene = settled();
        scene.release(version(2));
        scene.until(|event| matches!(event, Event::InstanceServing { share, .. } if *share == Share::percent(50)));
        let id = scene.ask(to.map_or(Verb::Rollback, Verb::RollbackTo));
        scene.step();
        let aborts = Event::RollbackAborts { request: id, version: VersionId(2), back_to: Some(VersionId(1)) };
        assert!(scene.events.contains(&aborts));
        assert!(matches!(&scene.state.release, Some(release) if matches!(release.phase, ReleasePhase::Aborting(_))));
        scene.until(aborted);
        assert_eq!(scene.state.known_good, Some(VersionId(1)));
    }
}

#[test]
fn there_is_no_way_back_to_what_never_was() {
    let mut scene = settled();
    let id = scene.ask(Verb::RollbackTo(VersionId(7)));
    assert_eq!(refused(&mut scene, &id).map(|error| error.kind()), Some(ErrorKind::NotFound));
    let id = scene.ask(Verb::RollbackTo(VersionId(1)));
    assert_eq!(refused(&mut scene, &id).map(|error| error.kind()), Some(ErrorKind::NothingToDo));
    assert!(scene.state.release.is_none());
}
