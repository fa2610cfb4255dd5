//! A lost journal is rebuilt from labels and from what the locator has in force.

use std::collections::BTreeMap;
use std::time::Duration;

use haddock_core::container::{Container, label};
use haddock_core::release::{Adoption, Event, NewVersion, PhaseName, Remains, ServiceState, Verb, Verdict, recover};
use haddock_core::routing::FencingToken;
use haddock_core::{ErrorKind, InstanceId, JournalId, LocatorName, Share, VersionId};

use crate::scene::{IDLE, Scene, adoption, version};

const V1: VersionId = VersionId(1);
const V2: VersionId = VersionId(2);

/// What can be seen in the scene, with everything that was ever released in the spec store.
fn remains(scene: &mut Scene) -> Remains {
    let (now, service) = (scene.now, scene.service.clone());
    let known = |new: &NewVersion| {
        let pins = new.images.iter().map(|(name, image)| (name.clone(), format!("{image}@1"))).collect();
        (new.spec.clone(), (new.clone(), pins))
    };
    let released = scene.state.versions.values().filter(|version| !version.external);
    let specifications = released.map(|version| known(&version.new)).collect();
    let report = scene.locator.report(&service, now);
    Remains {
        containers: scene.engine.containers(now).cloned().collect(),
        locators: BTreeMap::from([(LocatorName::new("g1").expect("valid"), report)]),
        specifications,
        ..Remains::default()
    }
}

fn recovered(scene: &Scene, remains: &Remains) -> haddock_core::Result<ServiceState> {
    recover(&scene.service, &scene.state.journal, remains, scene.now).map(|(state, _)| state)
}

/// The journal is lost and recovered, and another controller acts.
fn lose(scene: &mut Scene, remains: &Remains) {
    let mut state = recovered(scene, remains).expect("enough is left");
    state.number = FencingToken { epoch: state.number.epoch, revision: 1 };
    scene.take_over(state);
}

fn in_a_ramp() -> Scene {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::StageReached { .. }));
    scene.pass(Duration::from_secs(2));
    scene
}

#[test]
fn what_has_the_most_new_sessions_is_known_good_and_what_came_later_drains() {
    let mut scene = in_a_ramp();
    // Both have half: the earlier one counts.
    let (one, two) = (scene.instances(1).remove(0), scene.instances(2).remove(0));
    let service = scene.service.clone();
    let tickets: Vec<_> = (0..2).filter_map(|_| scene.locator.begin(&service, None, false, scene.now)).collect();
    let cookies: Vec<_> =
        tickets.iter().filter_map(|ticket| scene.locator.finish(&service, ticket, false, scene.now)).collect();
    assert!(cookies.iter().any(|cookie| cookie.instance == two), "somebody has a session on the candidate");
    let remains = remains(&mut scene);
    let state = recovered(&scene, &remains).expect("enough is left");
    assert_eq!((state.known_good, state.release.clone()), (Some(V1), None));
    assert_eq!((state.versions[&V1].verdict, state.versions[&V2].verdict), (Verdict::Settled, Verdict::Aborted));
    assert_eq!(state.versions[&V2].new.spec, "spec-2");
    assert_eq!(state.versions[&V2].pins, scene.state.versions[&V2].pins);
    for id in [&one, &two] {
        assert_eq!(state.instances[id].phase.name(), PhaseName::Serving);
        assert_eq!(state.instances[id].incarnations(), scene.state.instances[id].incarnations());
        assert_eq!(state.instances[id].address(), scene.state.instances[id].address());
    }
    assert!(state.next_instance > 10, "what was being launched may show later: {}", state.next_instance);
    lose(&mut scene, &remains);
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.figures(&one).share, Some(Share::FULL));
    assert_eq!(scene.state.instances[&two].phase.name(), PhaseName::Draining);
    for cookie in &cookies {
        let ticket = scene.locator.begin(&service, Some(cookie), false, scene.now).expect("served");
        assert_eq!(ticket.session, cookie.session, "nobody noticed");
        scene.locator.finish(&service, &ticket, false, scene.now);
    }
    scene.until(|event| *event == Event::InstanceGone { instance: two.clone(), log: Vec::new() });
    assert_eq!(scene.running(), 1);
    scene.release(version(3));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
}

#[test]
fn whatever_was_decided_before_is_older() {
    let mut scene = in_a_ramp();
    let mut remains = remains(&mut scene);
    let newest = remains.locators.values().next().expect("one").newest;
    assert_eq!(recovered(&scene, &remains).expect("enough is left").number.epoch, newest.epoch + 1);
    remains.containers[0].labels.insert(label::EPOCH.to_owned(), "41".into());
    let number = recovered(&scene, &remains).expect("enough is left").number;
    assert_eq!(number, FencingToken { epoch: 42, revision: 0 });
}

#[test]
fn what_was_closed_is_stopped_and_what_no_locator_lists_is_launched_anew() {
    let mut scene = in_a_ramp();
    let two = scene.instances(2).remove(0);
    let service = scene.service.clone();
    scene.locator.evict(&service, &two, scene.state.number, scene.now).expect("the newest");
    let seen = remains(&mut scene);
    assert_eq!(recovered(&scene, &seen).expect("enough is left").instances[&two].phase.name(), PhaseName::Retiring);
    lose(&mut scene, &seen);
    scene.until(|event| *event == Event::InstanceGone { instance: two.clone(), log: Vec::new() });

    let mut scene = in_a_ramp();
    let mut remains = remains(&mut scene);
    // The gateway's state directory is lost, too.
    scene.locator = haddock_core::locator::sim::SimLocatorCore::new(2, scene.now);
    let report = scene.locator.report(&service, scene.now);
    remains.locators.values_mut().for_each(|it| *it = report.clone());
    let state = recovered(&scene, &remains).expect("enough is left");
    assert_eq!(state.known_good, Some(V2), "for all that can be seen");
    assert!(state.instances.values().all(|instance| instance.is(PhaseName::Starting)));
    lose(&mut scene, &remains);
    scene.until(|event| matches!(event, Event::InstanceServing { .. }));
    scene.pass(Duration::from_secs(10));
    assert_eq!(scene.running(), 1, "nothing was started, and what is not needed had no session that anybody knew of");
    assert_eq!(scene.figures(&scene.instances(2)[0].clone()).share, Some(Share::FULL));
}

#[test]
fn a_specification_that_is_missing_is_named() {
    let mut scene = in_a_ramp();
    let mut remains = remains(&mut scene);
    let (digest, (mut other, pins)) = remains.specifications.pop_last().expect("two");
    let error = recovered(&scene, &remains).expect_err("it is missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains(&format!("`{digest}`")), "{error}");
    // Another file can stand for the lost one, if it may be the same.
    other.spec = "another".into();
    remains.specifications.insert(digest.clone(), (other.clone(), pins.clone()));
    assert_eq!(recovered(&scene, &remains).expect("it will do").versions[&V2].new.spec, "another");
    let more = haddock_core::ComponentName::new("side").expect("valid");
    other.images.insert(more, "side:1".into());
    remains.specifications.insert(digest, (other, pins));
    assert!(recovered(&scene, &remains).expect_err("it is another").message().contains("`side`"));
}

#[test]
fn what_has_no_container_is_not_forgotten_unasked() {
    let mut scene = in_a_ramp();
    let two = scene.instances(2).remove(0);
    let mut remains = remains(&mut scene);
    remains.containers.retain(|container| container.instance().as_ref() != Some(&two));
    let error = recovered(&scene, &remains).expect_err("it may be an adopted server");
    assert!(error.message().contains(two.as_str()) && error.hint().is_some(), "{error}");
    remains.rest_is_gone = true;
    let state = recovered(&scene, &remains).expect("it is gone");
    assert!(!state.instances.contains_key(&two));
    assert!(state.next_instance > 2, "its id is not given out again");
    // The table that names it is replaced, even though nothing else has changed.
    let now = scene.now;
    let of_two = |container: &&Container| container.instance().as_ref() == Some(&two);
    let dead: Vec<_> = scene.engine.containers(now).filter(of_two).map(|it| it.id.clone()).collect();
    for id in dead {
        scene.engine.remove(&id);
    }
    lose(&mut scene, &remains);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.figures(&two).share, None);
}

#[test]
fn an_adopted_server_is_found_again_by_its_address() {
    let mut scene = Scene::new();
    scene.ask(adoption());
    scene.server = Some(Ok(()));
    scene.until(|event| matches!(event, Event::InstanceServing { .. }));
    let server = scene.instances(1).remove(0);
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::StageReached { .. }));
    scene.pass(Duration::from_secs(7));
    let mut remains = remains(&mut scene);
    assert_eq!(recovered(&scene, &remains).expect_err("what is it?").kind(), ErrorKind::NothingToDo);
    let Verb::Adopt(known) = adoption() else { panic!("it is one") };
    let known: Adoption = *known;
    remains.adopted = Some(known.clone());
    let state = recovered(&scene, &remains).expect("enough is left");
    assert_eq!(state.instances[&server].address(), Some(known.address));
    assert!(state.versions[&V1].external && !state.versions[&V2].external);
    lose(&mut scene, &remains);
    let service = scene.service.clone();
    scene.pass(Duration::from_secs(2));
    let ticket = scene.locator.begin_foreign(&service, "JSESSIONID", false, scene.now).expect("served");
    assert_eq!(ticket.instance, server, "its sessions from before may still come");
    scene.locator.finish(&service, &ticket, false, scene.now);
    scene.pass(IDLE * 3);
    assert!(
        !scene.events.iter().any(|event| *event == Event::InstanceGone { instance: server.clone(), log: Vec::new() })
    );
}

#[test]
fn nothing_and_what_is_of_another_journal_are_refused() {
    let mut scene = in_a_ramp();
    let remains = remains(&mut scene);
    let error = recover(&scene.service, &scene.state.journal, &Remains::default(), scene.now).expect_err("nothing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let other = JournalId::new("j2").expect("valid");
    let error = recover(&scene.service, &other, &remains, scene.now).expect_err("of another");
    assert_eq!(error.kind(), ErrorKind::NothingToDo);
    assert!(error.message().contains(&InstanceId::of(&scene.state.journal, &scene.service, 1).to_string()), "{error}");
}

/// A copy of the journal is older than the last release. It does not know the instances that this release has started,
/// and does not give out their names again.
#[test]
fn an_older_copy_of_the_journal_gives_no_name_out_twice() {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let copy = scene.state.clone();
    scene.release(version(2));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let newer = scene.instances(2).remove(0);
    scene.pass(IDLE);

    let mut restored = copy;
    // Whoever restores it begins with an epoch that was never given out.
    restored.number.epoch = scene.state.number.epoch + 1;
    scene.take_over(restored);
    scene.release(version(3));
    scene.until(|event| matches!(event, Event::InstanceStarting { .. }));
    let started = scene.events.iter().find_map(|event| match event {
        Event::InstanceStarting { instance, .. } => Some(instance.clone()),
        _ => None,
    });
    assert!(started.as_ref().is_some_and(|started| *started != newer), "{started:?}");
}
