//! States as an earlier Haddock wrote them are read as they were meant.

use std::collections::BTreeSet;
use std::time::Duration;

use haddock_core::release::{Event, Instance, Phase, PhaseName, ServiceState, Starting};
use haddock_core::runtime::sim::SimImage;
use haddock_core::{ErrorKind, ServiceName};
use serde_json::Value;

use crate::scene::Scene;

/// States of layout 1, one a line, as the last Haddock that wrote it left them in releases, adoptions, retirements and
/// random worlds. Each instance has every field in every phase.
const LAYOUT_1: &str = include_str!("../journals/states-layout-1.jsonl");

fn read(text: &str) -> haddock_core::Result<ServiceState> {
    ServiceState::read(&ServiceName::new("shop").expect("valid"), text)
}

/// The fields of an instance of layout 1 that matter in its phase, in the words of that layout.
fn of_layout_1(instance: &Value) -> Value {
    let phase = instance["phase"].as_str().expect("a name");
    let lives = ["ready", "serving", "draining"].contains(&phase);
    let mut kept = instance.as_object().expect("an object").clone();
    let mut drop = |fields: &[&str]| kept.retain(|name, _| !fields.contains(&name.as_str()));
    if phase != "starting" {
        drop(&["ready_by", "launch"]);
    }
    if instance["external"] != Value::Null {
        drop(&["launch"]);
    }
    if !lives {
        drop(&["unresponsive_since", "hook"]);
    }
    if phase != "draining" {
        drop(&["empty_look"]);
    }
    if phase != "failed" {
        drop(&["dead"]);
    }
    if phase != "retiring" {
        drop(&["stop"]);
    } else {
        drop(&["lives", "drain"]);
    }
    if phase == "failed" {
        let since = instance["drain"]["since"].clone();
        drop(&["drain"]);
        kept.insert("drained_since".to_owned(), since);
    }
    kept.retain(|_, value| *value != Value::Null);
    kept.into()
}

/// The same for an instance in the present layout.
fn of_now(instance: &Instance) -> Value {
    let mut out = serde_json::Map::new();
    let mut put = |name: &str, value: Value| out.insert(name.to_owned(), value);
    put("version", json(&instance.version));
    put("phase", json(&instance.phase.name()));
    put("since", json(&instance.since));
    put("address", json(&instance.address()));
    let routing = &instance.routing;
    put("named", json(&routing.named));
    put("listed", json(&routing.listed));
    put("close_asked", json(&routing.close_asked));
    put("close", json(&routing.close));
    put("closed_somewhere", json(&routing.closed_somewhere));
    put("failure", json(&instance.failure().cloned()));
    put("drain", json(&instance.drain()));
    put("unresponsive_since", json(&instance.unresponsive_since()));
    put("hook", json(&instance.hook()));
    if let Some(external) = instance.external() {
        put("external", serde_json::json!({ "cookie": external.cookie, "sessions_until": external.sessions_until }));
    }
    if !instance.is(PhaseName::Retiring) {
        put("lives", json(instance.incarnations()));
    }
    match &instance.phase {
        Phase::Starting(Starting::Launch { ready_by, attempt }) => {
            put("ready_by", json(ready_by));
            put("launch", json(attempt));
        }
        Phase::Starting(Starting::Adoption { ready_by, .. }) => drop(put("ready_by", json(ready_by))),
        Phase::Draining(draining) => drop(put("empty_look", json(&draining.empty_look))),
        Phase::Failed(failed) => {
            put("dead", json(&failed.has_ended));
            put("drained_since", json(&failed.drained_since));
        }
        Phase::Retiring(retiring) => drop(put("stop", json(&retiring.stop))),
        Phase::Ready(_) | Phase::Serving(_) => {}
    }
    out.retain(|_, value| *value != Value::Null);
    out.into()
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain data")
}

#[test]
fn each_instance_of_layout_1_is_what_it_was() {
    let mut met = BTreeSet::new();
    let mut told = false;
    for (line, text) in LAYOUT_1.lines().enumerate() {
        let old: Value = serde_json::from_str(text).expect("JSON");
        let state = read(text).unwrap_or_else(|error| panic!("line {line}: {error}"));
        assert_eq!(state.schema, ServiceState::SCHEMA);
        for (id, instance) in old["instances"].as_object().expect("a map") {
            let now = &state.instances[id.as_str()];
            assert_eq!(of_now(now), of_layout_1(instance), "line {line}: {id}");
            met.insert((now.phase.name(), now.is_external()));
        }
        // Outside of instances, only two names have changed.
        let mut rest = serde_json::to_value(&state).expect("plain data");
        let mut old_rest = old.clone();
        for rest in [&mut rest, &mut old_rest] {
            let rest = rest.as_object_mut().expect("an object");
            rest.remove("schema");
            rest.remove("instances");
            if let Some(since) = rest["release"].as_object_mut().and_then(|release| release.remove("blind_since")) {
                rest["release"]["locator_silent_since"] = since;
            }
            if let Some(news) = rest.remove("news") {
                rest.insert("notifications".to_owned(), news);
                told = true;
            }
        }
        assert_eq!(rest, old_rest, "line {line}");
        // And it is written and read in the present layout.
        let again = read(&serde_json::to_string(&state).expect("plain data")).expect("as written");
        assert_eq!(again, state, "line {line}");
    }
    assert!(told, "somebody was to be told something");
    let launched = [
        PhaseName::Starting,
        PhaseName::Ready,
        PhaseName::Serving,
        PhaseName::Draining,
        PhaseName::Failed,
        PhaseName::Retiring,
    ];
    assert!(launched.iter().all(|phase| met.contains(&(*phase, false))), "{met:?}");
    assert!(launched[..5].iter().all(|phase| met.contains(&(*phase, true))), "{met:?}");
}

#[test]
fn a_state_of_layout_1_is_gone_on_with() {
    for (line, text) in LAYOUT_1.lines().enumerate() {
        let mut scene = Scene::new();
        let state = read(text).expect("readable");
        scene.now = scene.now.max(state.now);
        let released = state.versions.values().flat_map(|version| version.new.images.values().cloned());
        // The release that waits has another image.
        for image in released.chain((1..100).map(|number| format!("app:{number}"))) {
            scene.engine.add_image(&image, SimImage::good(Duration::from_secs(1)));
        }
        scene.engine.add_image("app:before", SimImage::good(Duration::ZERO));
        scene.take_over(state);
        scene.pass(Duration::from_secs(2));
        assert!(scene.state.number.revision > 0, "line {line}");
    }
}

#[test]
fn what_layout_1_did_not_know_is_refused() {
    let text = LAYOUT_1.lines().next().expect("a line");
    for (place, name) in [("", "frozen_until"), ("instances", "frozen_until"), ("instances", "phase")] {
        let mut old: Value = serde_json::from_str(text).expect("JSON");
        let at = match place {
            "" => &mut old,
            _ => old["instances"].as_object_mut().expect("a map").values_mut().next().expect("one"),
        };
        at[name] = 1.into();
        let kind = if name == "phase" { ErrorKind::JournalCorrupt } else { ErrorKind::JournalTooNew };
        assert_eq!(read(&old.to_string()).expect_err(name).kind(), kind, "{place} {name}");
    }
    // A state of this layout says so, and an earlier Haddock refuses it by that.
    let mut next = serde_json::to_value(read(text).expect("readable")).expect("plain data");
    assert_eq!(next["schema"], 2);
    next["schema"] = 3.into();
    assert_eq!(read(&next.to_string()).expect_err("newer").kind(), ErrorKind::JournalTooNew);
}

/// A history that an earlier Haddock wrote.
#[test]
fn an_event_of_the_former_name_is_read() {
    let number = serde_json::json!({ "epoch": 1, "revision": 2 });
    let error = serde_json::to_value(haddock_core::Error::new(ErrorKind::HookFailed, "no answer")).expect("plain data");
    let old = serde_json::json!({ "event": "news_undelivered", "receiver": 1, "number": number, "error": error });
    let event = Event::read(&old.to_string());
    assert!(matches!(event, Event::NotificationUndelivered { receiver: 1, .. }), "{event:?}");
    assert_eq!(serde_json::to_value(&event).expect("plain data")["event"], "notification_undelivered");
}
