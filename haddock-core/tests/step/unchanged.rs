//! A release that changes nothing is over at once.

use std::time::Duration;

use haddock_core::release::{Action, Event, Verb, Verdict};
use haddock_core::routing::Rate;
use haddock_core::{Share, VersionId};

use crate::scene::{Scene, version};

const V1: VersionId = VersionId(1);
const V2: VersionId = VersionId(2);

fn settled() -> Scene {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene
}

fn is_over(event: &Event) -> bool {
    matches!(event, Event::ReleaseUnchanged { .. } | Event::ReleaseSettled { .. } | Event::ReleaseAborted { .. })
}

fn is_unchanged(scene: &Scene) -> bool {
    scene.events.contains(&Event::ReleaseUnchanged { version: V2, known_good: V1, other_rules: false })
}

#[test]
fn nothing_is_launched_for_what_serves_already() {
    let mut scene = settled();
    let before = scene.actions.len();
    scene.release(version(1));
    scene.pass(Duration::from_secs(1));
    assert!(is_unchanged(&scene), "{:?}", scene.state.release);
    assert_eq!(scene.state.known_good, Some(V1));
    assert_eq!(scene.state.versions[&V2].verdict, Verdict::Unchanged);
    assert!(matches!(scene.actions[before..], [Action::Pull { version: V2 }]), "{:?}", &scene.actions[before..]);
    assert_eq!(scene.running(), 1);
    scene.release(version(3));
    scene.until(is_over);
    assert_eq!(scene.state.known_good, Some(VersionId(3)), "what was not launched has its number all the same");
    scene.ask(Verb::Rollback);
    scene.until(is_over);
    let back = scene.state.known_good.expect("settled");
    assert_eq!(scene.state.versions[&back].new.spec, "spec-1", "there is no way back to what was never launched");
}

#[test]
fn other_rules_are_taken_over_without_a_launch() {
    let made_from = |rules: u64| {
        let mut new = version(1);
        (new.spec, new.instance_digest) = (format!("spec-1-rules-{rules}"), Some("instance-1".to_owned()));
        new
    };
    let mut scene = Scene::new();
    scene.release(made_from(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let mut new = made_from(2);
    new.settings.release.guard.tolerate = Rate::new(0.07).expect("a rate");
    new.settings.release.drain.evict_after = Some(Duration::from_secs(77));
    new.settings.session.slow = Some(Duration::from_secs(2));
    let wanted = new.settings.clone();
    scene.release(new);
    scene.until(is_over);
    scene.pass(Duration::from_secs(1));
    let told = Event::ReleaseUnchanged { version: V2, known_good: V1, other_rules: true };
    assert!(scene.events.contains(&told), "{:?}", scene.state.release);
    assert_eq!(scene.running(), 1);
    assert_eq!(scene.state.versions[&V1].new.settings, wanted);
    let table = scene.actions.iter().rev().find_map(|action| match action {
        Action::Apply { table, .. } => Some(table),
        _ => None,
    });
    assert_eq!(table.expect("a table").session, wanted.session, "the locator counts by the new rules");
    // The next one goes by the rules that the file had last, and by its own.
    scene.release(version(3));
    scene.until(is_over);
    assert_eq!(scene.state.known_good, Some(VersionId(3)));
}

#[test]
fn what_is_asked_for_by_force_is_released() {
    let mut scene = settled();
    let mut new = version(1);
    new.force = true;
    scene.release(new);
    scene.until(is_over);
    assert!(!is_unchanged(&scene));
    assert_eq!(scene.state.known_good, Some(V2));
}

#[test]
fn other_digests_are_another_version() {
    let mut scene = settled();
    let pins = scene.state.versions.get_mut(&V1).expect("known").pins.as_mut().expect("pinned");
    pins.values_mut().for_each(|digest| digest.push_str("-rebuilt"));
    scene.release(version(1));
    scene.until(is_over);
    assert_eq!(scene.state.known_good, Some(V2), "the tag means another image now");
}

#[test]
fn it_is_released_while_another_version_has_a_share() {
    let mut scene = settled();
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::StageReached { .. }));
    scene.pass(Duration::from_secs(1));
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    // Version 2 has settled, so the version that was known good before is now a different one.
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    assert_eq!(scene.state.known_good, Some(VersionId(3)));
}

#[test]
fn it_is_released_if_what_serves_is_not_well() {
    let mut scene = settled();
    let id = scene.instances(1).remove(0);
    let life = scene.state.instances[&id].incarnations()["app"].container.clone();
    scene.engine.hang(&life, scene.now + Duration::from_secs(30));
    scene.pass(Duration::from_secs(1));
    scene.release(version(1));
    scene.until(is_over);
    assert!(!is_unchanged(&scene));
    assert_eq!(scene.state.known_good, Some(V2));
}

#[test]
fn what_cannot_be_seen_is_not_decided() {
    let mut scene = settled();
    scene.cut_off = true;
    scene.release(version(1));
    scene.pass(Duration::from_secs(30));
    assert!(!scene.events.iter().any(|event| matches!(event, Event::ReleaseLaunching { version: V2 })));
    assert!(!is_unchanged(&scene));
    scene.cut_off = false;
    scene.pass(Duration::from_secs(1));
    assert!(is_unchanged(&scene));
    let id = scene.instances(1).remove(0);
    assert_eq!(scene.figures(&id).share, Some(Share::FULL));
}
