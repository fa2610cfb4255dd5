//! What the states that engines report mean for an instance.

use std::time::Duration;

use haddock_core::container::{ContainerId, ContainerState};
use haddock_core::release::{Event, PhaseName};

use crate::scene::{Scene, component, version};

/// A service at a version with an application and a database of its own.
fn serving() -> (Scene, haddock_core::InstanceId, ContainerId) {
    let mut scene = Scene::new();
    let mut new = version(1);
    new.images.insert(component("mail"), "mail:1".to_owned());
    scene.release(new);
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    let id = scene.instances(1).remove(0);
    let now = scene.now;
    let named = format!("{id}-mail");
    let mail = scene.engine.containers(now).find(|it| it.name == named).expect("it runs").id.clone();
    (scene, id, mail)
}

#[test]
fn one_with_a_paused_component_is_unresponsive_until_that_goes_on() {
    let (mut scene, id, mail) = serving();
    let now = scene.now;
    scene.engine.pause(&mail, now);
    scene.pass(Duration::from_secs(10));
    assert!(scene.events.contains(&Event::InstanceUnresponsive { instance: id.clone() }), "its entry still answers");
    assert_ne!(scene.state.instances[&id].phase.name(), PhaseName::Failed, "its sessions are there");
    scene.engine.unpause(&mail).expect("it is there");
    scene.pass(Duration::from_secs(10));
    assert!(scene.events.contains(&Event::InstanceResponsive { instance: id.clone() }));

    let now = scene.now;
    scene.engine.pause(&mail, now);
    scene.until(|event| matches!(event, Event::InstanceFailed { .. }));
    let failed = scene.events.iter().rev().find_map(|event| match event {
        Event::InstanceFailed { error, .. } => Some(error.clone()),
        _ => None,
    });
    let failed = failed.expect("seen above");
    assert!(failed.message().contains("`mail` is paused"), "{failed}");
}

#[test]
fn one_whose_engine_restarts_or_could_not_remove_a_component_has_failed() {
    let states = [
        (ContainerState::Restarting { code: 3 }, "exited with code 3"),
        (ContainerState::Dead, "its engine could not remove it"),
        (ContainerState::Removing, "is being removed by somebody else"),
    ];
    for (state, why) in states {
        let (mut scene, id, mail) = serving();
        scene.engine.set_state(&mail, state.clone());
        scene.step();
        let failed = scene.events.iter().find_map(|event| match event {
            Event::InstanceFailed { instance, error, .. } if *instance == id => Some(error.clone()),
            _ => None,
        });
        let failed = failed.unwrap_or_else(|| panic!("{state:?} is a failure"));
        assert!(failed.message().contains("`mail`") && failed.message().contains(why), "{failed}");
    }
}

/// This holds however long the engine was away, and however seldom the launch was tried in the end.
#[test]
fn an_engine_that_comes_back_gives_a_launch_all_its_time() {
    let mut scene = Scene::new();
    scene.away = true;
    scene.release(version(1));
    scene.pass(Duration::from_secs(300));
    scene.away = false;
    scene.until(|event| matches!(event, Event::InstanceReady { .. } | Event::InstanceFailed { .. }));
    assert_eq!(scene.given, [version(1).settings.ready.within]);
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
}
