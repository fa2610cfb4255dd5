//! Clients decide where their new sessions go, if the settings say so.

use std::time::Duration;

use haddock_core::release::{Action, Event, NewVersion};
use haddock_core::routing::{RoutingTable, SessionBy};
use haddock_core::{ErrorKind, VersionId};

use crate::scene::{Scene, version};

fn by_client(number: u64) -> NewVersion {
    let mut new = version(number);
    new.settings.session.by = SessionBy::Client;
    new
}

fn settled(event: &Event) -> bool {
    matches!(event, Event::ReleaseSettled { .. })
}

fn last_table(scene: &Scene) -> RoutingTable {
    let of = |action: &Action| match action {
        Action::Apply { table, .. } => Some(table.clone()),
        _ => None,
    };
    scene.actions.iter().rev().find_map(of).expect("a table")
}

fn versions(scene: &Scene) -> Vec<Option<u64>> {
    last_table(scene).routes.values().map(|route| route.version).collect()
}

#[test]
fn tables_name_the_versions_as_soon_as_clients_decide() {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(settled);
    assert_eq!(versions(&scene), [None], "for nobody else");
    scene.release(by_client(2));
    scene.until(|event| matches!(event, Event::StageReached { version: VersionId(2), .. }));
    scene.pass(Duration::from_secs(1));
    assert_eq!(versions(&scene), [Some(1), Some(2)]);
    assert_eq!(last_table(&scene).session.by, SessionBy::Client);
    scene.until(settled);
}

#[test]
fn a_person_is_on_one_version_through_a_whole_release() {
    let mut scene = Scene::new();
    scene.release(by_client(1));
    scene.until(settled);
    scene.release(by_client(2));
    let mut people: Vec<(Option<haddock_core::locator::sim::Cookie>, u64)> = vec![(None, 0); 60];
    let from = scene.events.len();
    while !scene.events[from..].iter().any(settled) {
        for (cookie, met) in &mut people {
            // Each time in a new session, since the one before has long expired.
            let before = cookie.take().map(|cookie| haddock_core::locator::sim::Cookie {
                last_use: haddock_core::Timestamp::default(),
                session: haddock_core::locator::sim::SessionId(0),
                ..cookie
            });
            let (service, now) = (scene.service.clone(), scene.now);
            let ticket = scene.locator.begin(&service, before.as_ref(), false, now).expect("somebody serves");
            let version = scene.state.instances[&ticket.instance].version.0;
            assert!(version >= *met, "from {met} back to {version}");
            *met = version;
            *cookie = scene.locator.finish(&service, &ticket, false, now);
        }
        scene.pass(Duration::from_millis(500));
    }
    assert!(people.iter().all(|(_, met)| *met == 2));
    assert!(!scene.events.iter().any(|event| matches!(event, Event::SharesMismatch { .. })), "people come often");
}

#[test]
fn a_locator_that_knows_no_clients_is_told_of_and_nothing_begins() {
    let mut scene = Scene::new();
    scene.capabilities.by_client = false;
    scene.release(by_client(1));
    let refused = scene.events.iter().find_map(|event| match event {
        Event::RequestRefused { error, .. } => Some(error.clone()),
        _ => None,
    });
    let error = refused.expect("it is refused");
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert_eq!(error.message(), "locator `g1` does not know clients beyond their sessions");
    scene.release(version(1));
    scene.until(settled);
}
