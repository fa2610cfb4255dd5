//! A candidate is judged by its sessions.

use std::time::Duration;

use haddock_core::environment::{AutoRamp, Stage, StageGate};
use haddock_core::release::guard::Finding;
use haddock_core::release::{Event, GateAnswer, NewVersion, PhaseName, TaskResult, Verb, Verdict};
use haddock_core::routing::Sessions;
use haddock_core::{ErrorKind, Share, VersionId};

use crate::scene::{Scene, version};

/// Shares that fail, in one of so many sessions: of version 1, and of version 2. 0: none.
struct Faults(u64, u64);

/// A service whose version 1 has settled.
fn serving(replicas: u32) -> Scene {
    let mut scene = Scene::new();
    scene.release(with(version(1), |new| new.settings.release.replicas = replicas));
    scene.until(|event| matches!(event, Event::ReleaseSettled { .. }));
    scene
}

fn with(mut new: NewVersion, change: impl FnOnce(&mut NewVersion)) -> NewVersion {
    change(&mut new);
    new
}

/// Long stages, in which sessions can be seen.
fn slowly(number: u64) -> NewVersion {
    with(version(number), |new| {
        let release = &mut new.settings.release;
        let stage = |percent| Stage::new(Share::percent(percent), Duration::from_secs(300));
        release.ramp = vec![stage(10), stage(50), stage(100)];
        release.settle = Duration::from_secs(300);
    })
}

/// Four sessions a tick of one request each, until this has happened or the time is over.
fn traffic(scene: &mut Scene, faults: &Faults, time: Duration, end: impl Fn(&Event) -> bool) -> bool {
    let (from, until) = (scene.events.len(), scene.now + time);
    let mut begun = std::collections::BTreeMap::<u64, u64>::new();
    while scene.now < until {
        for _ in 0..4 {
            let (service, now) = (scene.service.clone(), scene.now);
            let Some(ticket) = scene.locator.begin(&service, None, false, now) else { continue };
            let version = scene.state.instances.get(&ticket.instance).map_or(0, |instance| instance.version.0);
            let count = begun.entry(version).or_default();
            *count += 1;
            let one_in = if version == 1 { faults.0 } else { faults.1 };
            let failed = one_in > 0 && (*count).is_multiple_of(one_in);
            scene.locator.finish(&service, &ticket, failed, now);
        }
        scene.pass(Duration::from_millis(100));
        if scene.events[from..].iter().any(&end) {
            return true;
        }
    }
    false
}

fn is_aborted(event: &Event) -> bool {
    matches!(event, Event::ReleaseAborted { .. })
}

fn is_settled(event: &Event) -> bool {
    matches!(event, Event::ReleaseSettled { .. })
}

fn at(scene: &Scene, matches: impl Fn(&Event) -> bool) -> usize {
    scene.events.iter().position(matches).expect("it has happened")
}

#[test]
fn a_harmful_candidate_gives_its_share_back_and_only_then_ends() {
    let mut scene = serving(1);
    scene.release(slowly(2));
    assert!(traffic(&mut scene, &Faults(0, 10), Duration::from_secs(900), is_aborted), "{:?}", scene.state.watch);
    let harm = scene.state.versions[&VersionId(2)].harm.expect("it was judged");
    assert_eq!(harm.finding, Finding::Harmful);
    assert!(harm.candidate.begun() < 200 && harm.extra.low > 0.01, "{harm}");
    assert_eq!(scene.state.versions[&VersionId(2)].verdict, Verdict::Bad);
    scene.until(|event| matches!(event, Event::InstanceGone { .. }));
    let back = at(&scene, |event| matches!(event, Event::ReleaseAborted { .. }));
    let ended =
        at(&scene, |event| matches!(event, Event::InstanceFailed { error, .. } if error.kind() == ErrorKind::Harmful));
    assert!(back < ended, "the share is back before the instance ends: {:#?}", scene.events);
    assert_eq!((scene.share(1), scene.running()), (Share::FULL, 1));
}

#[test]
fn a_clean_candidate_goes_all_the_way_and_the_history_says_on_what_evidence() {
    let mut scene = serving(1);
    scene.release(slowly(2));
    // Both fail alike.
    assert!(
        traffic(&mut scene, &Faults(200, 200), Duration::from_secs(1_200), is_settled),
        "{:?}",
        scene.state.release
    );
    let judged = scene.events.iter().filter_map(|event| match event {
        Event::Judged { version: VersionId(2), judgement, .. } => Some(judgement.finding),
        _ => None,
    });
    assert_eq!(judged.collect::<Vec<_>>(), [Finding::Fine, Finding::Fine], "when it changes, and when it settles");
}

#[test]
fn a_version_that_turns_harmful_after_the_full_share_goes_back() {
    let mut scene = serving(1);
    scene.release(version(2));
    assert!(traffic(&mut scene, &Faults(0, 0), Duration::from_secs(100), is_settled));
    let went_back = |event: &Event| matches!(event, Event::WentBack { .. });
    assert!(traffic(&mut scene, &Faults(0, 2), Duration::from_secs(60), went_back), "{:?}", scene.state.watch);
    assert_eq!(scene.state.known_good, Some(VersionId(1)));
    scene.until(|event| matches!(event, Event::InstanceGone { .. }));
    assert_eq!((scene.share(1), scene.running()), (Share::FULL, 1));
    let first = at(&scene, |event| matches!(event, Event::InstanceFailed { .. }));
    assert!(at(&scene, went_back) < first);
}

#[test]
fn the_rate_of_sessions_is_that_of_the_present_share() {
    let mut scene = serving(1);
    scene.release(slowly(2));
    let rate_after = |scene: &mut Scene, seconds| {
        traffic(scene, &Faults(0, 0), Duration::from_secs(seconds), is_aborted);
        scene.state.watch.as_ref().and_then(|watch| watch.sessions_per_second()).expect("sessions have begun")
    };
    // 40 sessions begin in a second: 10 %, 50 % and all of them on the candidate.
    for (seconds, expected) in [(250, 4.0), (300, 20.0), (300, 40.0)] {
        let rate = rate_after(&mut scene, seconds);
        assert!((rate / expected - 1.0).abs() < 0.2, "{rate} a second, expected {expected}");
    }
}

#[test]
fn a_first_release_is_given_up_but_goes_on_serving() {
    let mut scene = Scene::new();
    scene.release(slowly(1));
    assert!(traffic(&mut scene, &Faults(2, 2), Duration::from_secs(900), is_aborted));
    scene.pass(Duration::from_secs(60));
    assert_eq!((scene.share(1), scene.running()), (Share::FULL, 1), "nothing else could serve");
}

#[test]
fn what_only_tells_does_not_act() {
    let mut scene = serving(1);
    scene.release(with(slowly(2), |new| new.settings.release.guard.acts = false));
    let judged =
        |event: &Event| matches!(event, Event::Judged { judgement, .. } if judgement.finding == Finding::Harmful);
    assert!(traffic(&mut scene, &Faults(0, 5), Duration::from_secs(300), judged));
    assert!(!traffic(&mut scene, &Faults(0, 5), Duration::from_secs(30), is_aborted));
}

#[test]
fn nobody_is_judged_while_a_locator_cannot_be_read() {
    let mut scene = serving(1);
    scene.release(slowly(2));
    scene.until(|event| matches!(event, Event::InstanceServing { share, .. } if *share == Share::percent(10)));
    scene.cut_off = true;
    assert!(!traffic(&mut scene, &Faults(0, 1), Duration::from_secs(120), |event| matches!(
        event,
        Event::Judged { .. }
    )));
    scene.cut_off = false;
    assert!(traffic(&mut scene, &Faults(0, 1), Duration::from_secs(5), is_aborted));
}

#[test]
fn no_traffic_is_no_evidence() {
    let mut scene = serving(1);
    scene.release(version(2));
    scene.until(is_settled);
    let watch = scene.state.watch.as_ref().map(|watch| watch.finding);
    assert!(watch.is_none_or(|finding| finding == Finding::NotEnough));
}

#[test]
fn what_a_locator_had_counted_before_its_restart_still_counts() {
    let mut scene = serving(1);
    scene.release(slowly(2));
    scene.until(|event| matches!(event, Event::InstanceServing { share, .. } if *share == Share::percent(10)));
    traffic(&mut scene, &Faults(0, 0), Duration::from_secs(30), |_| false);
    let before = scene.state.watch.clone().expect("it is watched");
    let begun = before.evidence(Default::default()).candidate().begun();
    assert!(begun > 80, "{begun}");
    let now = scene.now;
    scene.locator.restart(now);
    traffic(&mut scene, &Faults(0, 0), Duration::from_secs(20), |_| false);
    let after = scene.state.watch.clone().expect("it is watched").evidence(Default::default()).candidate().begun();
    assert!(after > begun && after < begun + 300, "{after} after {begun}");
}

#[test]
fn a_stage_waits_for_sessions_and_at_its_gate() {
    let mut scene = serving(1);
    scene.release(with(version(2), |new| {
        new.settings.release.ramp[0].after = 100;
        new.settings.release.ramp[0].gate = StageGate::Hold;
    }));
    scene.pass(Duration::from_secs(60));
    let waits =
        |scene: &Scene| scene.state.release.as_ref().and_then(|release| release.waits.clone()).expect("it waits");
    assert_eq!(waits(&scene).message(), "until 100 sessions have begun on it");
    assert!(!traffic(&mut scene, &Faults(0, 0), Duration::from_secs(30), is_settled));
    assert_eq!(waits(&scene).message(), "at the gate after 50%");
    scene.ask(Verb::Advance);
    assert!(traffic(&mut scene, &Faults(0, 0), Duration::from_secs(30), is_settled));
}

#[test]
fn the_guard_does_not_wait_for_a_gate() {
    for answer in [None, Some(Ok(TaskResult::Answered(GateAnswer::Wait, Vec::new())))] {
        let mut scene = serving(1);
        scene.gate = answer;
        scene.release(with(version(2), |new| {
            new.settings.release.ramp[0].gate = StageGate::Asked { every: Duration::from_secs(60) };
        }));
        // Its stage is over, and nothing is wrong yet.
        assert!(!traffic(&mut scene, &Faults(0, 0), Duration::from_secs(20), |event| {
            matches!(event, Event::ReleaseAborting { .. } | Event::ReleaseSettling { .. })
        }));
        assert!(scene.state.release.as_ref().is_some_and(|release| release.gate.is_some()), "it is asked");
        let aborted = |event: &Event| matches!(event, Event::ReleaseAborted { reason, .. } if reason.error().is_some_and(|error| error.kind() == ErrorKind::Harmful));
        assert!(traffic(&mut scene, &Faults(0, 3), Duration::from_secs(120), aborted), "{:?}", scene.state.release);
    }
}

#[test]
fn a_ramp_that_follows_the_evidence_begins_small_and_goes_full_when_it_is_fine() {
    let mut scene = serving(1);
    scene.release(with(version(2), |new| {
        let release = &mut new.settings.release;
        release.ramp[0].share = Share::percent(1);
        release.auto = Some(AutoRamp::default());
    }));
    assert!(traffic(&mut scene, &Faults(0, 0), Duration::from_secs(600), is_settled), "{:?}", scene.state.release);
    let shares: Vec<Share> = scene
        .events
        .iter()
        .filter_map(|event| match event {
            Event::StageReached { version: VersionId(2), share, .. } => Some(*share),
            _ => None,
        })
        .collect();
    assert_eq!(shares.first(), Some(&Share::percent(1)));
    assert_eq!(shares.last(), Some(&Share::FULL));
    assert!(shares.len() > 2 && shares.windows(2).all(|two| two[0] < two[1]), "{shares:?}");
    assert!(shares[..shares.len() - 1].iter().all(|share| *share <= Share::percent(25)), "{shares:?}");
}

#[test]
fn one_bad_replica_of_a_good_version_goes_alone() {
    let mut scene = serving(3);
    let bad = scene.instances(1).remove(1);
    let until = scene.now + Duration::from_secs(300);
    while scene.now < until && scene.state.instances.get(&bad).is_some_and(|it| it.is(PhaseName::Serving)) {
        for _ in 0..10 {
            let (service, now) = (scene.service.clone(), scene.now);
            let Some(ticket) = scene.locator.begin(&service, None, false, now) else { continue };
            scene.locator.finish(&service, &ticket, ticket.instance == bad && ticket.session.0 % 4 == 0, now);
        }
        scene.pass(Duration::from_millis(100));
    }
    scene.until(|event| matches!(event, Event::InstanceGone { .. }));
    assert!(!scene.state.instances.contains_key(&bad));
    scene.pass(Duration::from_secs(30));
    assert_eq!((scene.share(1), scene.instances(1).len()), (Share::FULL, 3), "it was replaced");
    let failed: Vec<_> = scene.events.iter().filter(|event| matches!(event, Event::InstanceFailed { .. })).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
}

#[test]
fn a_share_that_is_not_given_is_told_once() {
    let mut scene = serving(1);
    scene.release(slowly(2));
    scene.until(|event| matches!(event, Event::InstanceServing { share, .. } if *share == Share::percent(10)));
    let mismatch = |event: &Event| matches!(event, Event::SharesMismatch { version: VersionId(2), .. });
    assert!(!traffic(&mut scene, &Faults(0, 0), Duration::from_secs(60), mismatch), "it is given");
    // A locator that gives half of it.
    scene.misread = Some(|report| {
        for cohort in report.instances.values_mut().flat_map(|figures| &mut figures.cohorts) {
            let begun = cohort.sessions.begun();
            if begun < 600 {
                cohort.sessions = Sessions::new(begun / 2, 0).expect("none failed");
            }
        }
    });
    assert!(traffic(&mut scene, &Faults(0, 0), Duration::from_secs(60), mismatch));
    traffic(&mut scene, &Faults(0, 0), Duration::from_secs(30), |_| false);
    assert_eq!(scene.events.iter().filter(|event| mismatch(event)).count(), 1);
}
