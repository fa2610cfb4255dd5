//! A stage whose gate is asked lasts until it says go.

use std::time::Duration;

use haddock_core::environment::StageGate;
use haddock_core::release::{Action, Event, GateAnswer, NewVersion, ReleasePhase, TaskResult, Verb, Verdict};
use haddock_core::{Error, ErrorKind, FencingToken, Share, VersionId};

use crate::scene::{Scene, version};

const EVERY: Duration = Duration::from_secs(60);

/// A service whose version 1 has settled, and a release of version 2 whose first stage has a gate.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.release(version(1));
    scene.until(settled);
    scene.release(with_gate(2));
    scene
}

fn with_gate(number: u64) -> NewVersion {
    let mut new = version(number);
    new.settings.release.ramp[0].gate = StageGate::Asked { every: EVERY };
    new
}

fn settled(event: &Event) -> bool {
    matches!(event, Event::ReleaseSettled { .. })
}

fn says(answer: GateAnswer, output: &str) -> Option<Result<TaskResult, Error>> {
    Some(Ok(TaskResult::Answered(answer, vec![output.to_owned()])))
}

fn questions(scene: &Scene) -> Vec<FencingToken> {
    let of = |action: &Action| match action {
        Action::Gate { version: VersionId(2), stage: 0, number } => Some(*number),
        Action::Gate { .. } => panic!("no other stage has a gate: {action:?}"),
        _ => None,
    };
    scene.actions.iter().filter_map(of).collect()
}

fn waits(scene: &Scene) -> Vec<&Error> {
    let of = |event| match event {
        &Event::ReleaseWaits { version: VersionId(2), ref error } => Some(error),
        _ => None,
    };
    scene.events.iter().filter_map(of).collect()
}

/// Why the release waits now.
fn reason(scene: &Scene) -> Option<Error> {
    scene.state.release.as_ref()?.waits.clone()
}

fn is_in_first_stage(scene: &Scene) -> bool {
    scene.state.release.as_ref().is_some_and(|release| release.phase == ReleasePhase::Ramping(0))
}

#[test]
fn a_stage_lasts_until_its_gate_says_go() {
    let mut scene = scene();
    scene.pass(Duration::from_secs(4));
    assert_eq!(questions(&scene), [], "the time of the stage is not over");
    scene.gate = says(GateAnswer::Wait, "3 of 4 checks");
    scene.pass(EVERY * 3 + Duration::from_secs(10));
    let asked = questions(&scene);
    assert!((3..=5).contains(&asked.len()), "{asked:?}");
    assert!(asked.windows(2).all(|two| two[0] < two[1]), "each question has a number of its own: {asked:?}");
    assert!(is_in_first_stage(&scene));
    assert_eq!(scene.share(2), Share::percent(50));
    // What it writes differs. The history has the wait once, and the state what it wrote last.
    scene.gate = says(GateAnswer::Wait, "4 of 4 checks, warming up");
    scene.pass(EVERY * 2);
    let [told] = waits(&scene)[..] else { panic!("{:?}", waits(&scene)) };
    assert_eq!((told.message(), told.log_tail()), ("the gate after 50% says wait", &["3 of 4 checks".to_owned()][..]));
    assert_eq!(reason(&scene).expect("it waits").log_tail(), ["4 of 4 checks, warming up"]);
    scene.gate = says(GateAnswer::Go, "4 of 4 checks");
    scene.until(settled);
    let opened = Event::GateOpened { version: VersionId(2), stage: 0, output: vec!["4 of 4 checks".to_owned()] };
    assert_eq!(scene.events.iter().filter(|event| **event == opened).count(), 1);
    let number = questions(&scene).len();
    scene.pass(EVERY * 3);
    assert_eq!(questions(&scene).len(), number, "nothing is left to ask");
}

#[test]
fn a_gate_that_says_stop_ends_the_release_and_the_history_says_why() {
    for paused in [false, true] {
        let mut scene = scene();
        scene.until(|event| matches!(event, Event::StageReached { version: VersionId(2), .. }));
        scene.pass(Duration::from_secs(10));
        assert_eq!(questions(&scene).len(), 1, "it thinks");
        assert_eq!(reason(&scene).expect("it waits").message(), "for the answer of the gate after 50%");
        assert_eq!(waits(&scene), [] as [&Error; 0], "nobody is told that it thinks");
        if paused {
            scene.ask(Verb::Pause);
            scene.pass(Duration::from_secs(1));
        }
        let stop = GateAnswer::Stop("it ended with exit code 3".to_owned());
        scene.answer(says(stop, "the basket is empty").expect("an answer"));
        scene.until(|event| matches!(event, Event::ReleaseAborted { .. }));
        let error = scene.events.iter().find_map(|event| match event {
            Event::ReleaseAborting { version: VersionId(2), reason } => reason.error(),
            _ => None,
        });
        let error = error.expect("it failed");
        assert_eq!(error.kind(), ErrorKind::HookFailed);
        assert_eq!(error.message(), "the gate after 50% says stop: it ended with exit code 3");
        assert_eq!(error.log_tail(), ["the basket is empty"]);
        assert_eq!(scene.state.versions[&VersionId(2)].verdict, Verdict::Bad, "it does not come back by itself");
        assert_eq!((scene.share(1), scene.share(2)), (Share::FULL, Share::ZERO));
    }
}

#[test]
fn a_gate_is_asked_again_by_whoever_takes_over() {
    // At each step of the release, somebody else goes on from what the journal has.
    let mut scene = scene();
    scene.until(|event| matches!(event, Event::StageReached { version: VersionId(2), .. }));
    scene.pass(Duration::from_secs(10));
    let first = questions(&scene);
    assert_eq!(first.len(), 1);
    for lives in 2..5 {
        let state = scene.state.clone();
        scene.take_over(state);
        scene.pass(Duration::from_secs(2));
        assert_eq!(questions(&scene).len(), lives, "asked again, and once");
        assert!(is_in_first_stage(&scene));
    }
    // What the first one is answered no longer counts.
    let state = scene.state.clone();
    scene.take_over(state);
    scene.gate = says(GateAnswer::Go, "fine");
    scene.until(settled);
    assert_eq!(questions(&scene).len(), 5);
}

#[test]
fn a_gate_that_is_not_there_is_waited_for_until_somebody_has_it() {
    let mut scene = scene();
    scene.gate = Some(Err(Error::new(ErrorKind::NotFound, "this controller has no gate `smoke`")));
    scene.pass(EVERY * 4);
    assert!(is_in_first_stage(&scene));
    assert_eq!(reason(&scene).expect("it waits").message(), "this controller has no gate `smoke`");
    assert_eq!(waits(&scene).len(), 1, "told once");
    let asked = questions(&scene).len();
    assert!((3..=5).contains(&asked), "{asked}");
    // Another controller has it, and need not wait for the time of the first one.
    let state = scene.state.clone();
    scene.take_over(state);
    scene.gate = says(GateAnswer::Go, "fine");
    let from = scene.now;
    scene.until(|event| matches!(event, Event::GateOpened { .. }));
    assert!(scene.now.since(from) < Duration::from_secs(5));
    scene.until(settled);
}

#[test]
fn nobody_has_to_wait_for_a_gate() {
    let mut scene = scene();
    scene.until(|event| matches!(event, Event::StageReached { version: VersionId(2), .. }));
    scene.pass(Duration::from_secs(10));
    scene.ask(Verb::Advance);
    scene.pass(Duration::from_secs(1));
    assert!(!is_in_first_stage(&scene));
    assert!(scene.state.release.as_ref().is_some_and(|release| release.gate.is_none()));
    // Its stop comes too late.
    scene.answer(says(GateAnswer::Stop("too late".into()), "").expect("an answer"));
    scene.until(settled);
    assert_eq!(scene.state.known_good, Some(VersionId(2)));
    // A rollback has no stage with a gate.
    scene.ask(Verb::Rollback);
    scene.until(settled);
    assert_eq!(questions(&scene).len(), 1);
}

#[test]
fn a_gate_is_not_asked_while_the_ramp_is_held() {
    let mut scene = scene();
    scene.gate = says(GateAnswer::Go, "fine");
    scene.until(|event| matches!(event, Event::StageReached { version: VersionId(2), .. }));
    scene.ask(Verb::Pause);
    scene.pass(EVERY * 2);
    assert_eq!(questions(&scene), []);
    scene.ask(Verb::Resume);
    scene.until(settled);
}

#[test]
fn a_state_keeps_its_gates_and_reads_those_from_before() {
    let mut scene = scene();
    scene.until(|event| matches!(event, Event::StageReached { version: VersionId(2), .. }));
    scene.pass(Duration::from_secs(10));
    let text = serde_json::to_string(&scene.state).expect("plain data");
    assert_eq!(serde_json::from_str::<haddock_core::release::ServiceState>(&text).expect("read"), scene.state);
    let stage = |text: &str| serde_json::from_str::<haddock_core::environment::Stage>(text).expect("a stage").gate;
    assert_eq!(stage(r#"{"share":1000,"hold":5000,"gate":true}"#), StageGate::Hold);
    assert_eq!(stage(r#"{"share":1000,"hold":5000}"#), StageGate::Open);
}
