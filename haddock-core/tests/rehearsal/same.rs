//! The same seed says the same, and no session is forgotten.

use haddock_core::rehearsal::{PlannedRelease, Rehearsal, Stay, Traffic};

use crate::plan::{errors, minutes, plan, rate};

/// Three releases in a day, uneven sessions, errors, a crash.
fn day() -> Rehearsal {
    let mut day = plan(0.0);
    let stay = Stay::log_normal(minutes(8), 3.0).expect("valid");
    let mut hours = [1.0; 24];
    hours[12] = 4.0;
    day.traffic = Traffic::steady(40.0, stay).expect("valid").by_hour(hours).expect("valid");
    day.base.errors = Some(rate(0.002));
    let crash = haddock_core::rehearsal::Faults { crash_after: Some(minutes(7)), ..Default::default() };
    let faults = [errors(0.002), crash, errors(0.05)];
    let releases = faults.into_iter().zip([0, 4, 8]);
    day.releases = releases.map(|(faults, hour)| PlannedRelease { after: minutes(60 * hour), faults }).collect();
    day.at_least = minutes(24 * 60);
    day
}

#[test]
fn the_same_seed_says_the_same_byte_for_byte() {
    let day = day();
    let text = |seed| serde_json::to_string(&day.run(seed).expect("runs")).expect("plain data");
    let first = text(7);
    assert_eq!(first, text(7));
    assert_ne!(first, text(8), "another seed is another day");
    let summary = |seed| serde_json::to_string(&day.summary(seed, 4).expect("runs")).expect("plain data");
    assert_eq!(summary(1), summary(1), "whatever thread takes which seed");
}

#[test]
fn each_session_that_began_has_ended_or_lives() {
    for seed in 0..5 {
        let outcome = day().run(seed).expect("runs");
        let all = outcome.sessions;
        assert_eq!(all.live_at_begin + all.begun, all.ended + all.evicted + all.live, "{all:?}");
        assert!(all.evicted > 0, "sometimes an instance ends with sessions: {all:?}");
        assert_eq!(all.turned_away, 0, "somebody always serves");
        let last = outcome.samples.last().expect("there are samples");
        let live: u64 = last.versions.values().map(|version| version.live).sum();
        let bound = outcome.samples.len();
        assert!(live > 0 && (200..=500).contains(&bound), "{live} live sessions, {bound} samples");
    }
}

#[test]
fn what_a_rehearsal_says_can_be_stored_and_read_again() {
    let outcome = day().run(1).expect("runs");
    let text = serde_json::to_string(&outcome).expect("plain data");
    let again = serde_json::from_str::<haddock_core::rehearsal::Outcome>(&text).expect("what was written");
    assert_eq!(
        (&again.releases, &again.sessions, &again.samples),
        (&outcome.releases, &outcome.sessions, &outcome.samples)
    );
    // Figures of the guard have more digits than are read again.
    let messages = |of: &haddock_core::rehearsal::Outcome| -> Vec<(String, bool)> {
        of.timeline.iter().map(|line| (line.message.clone(), line.event.notifies())).collect()
    };
    assert_eq!(messages(&again), messages(&outcome));
}

#[test]
fn several_releases_of_a_day_are_told_apart() {
    let outcome = day().run(2).expect("runs");
    let versions: Vec<_> = outcome.releases.iter().filter_map(|release| release.version).map(|it| it.0).collect();
    assert_eq!(versions, [2, 3, 4]);
    assert!(outcome.releases[0].to_gone.is_some(), "{:?}", outcome.releases[0]);
    assert!(outcome.releases[1].to_abort.is_some(), "it crashes: {:?}", outcome.releases[1]);
    assert!(!outcome.releases[1].false_abort, "{:?}", outcome.releases[1]);
}

#[test]
fn no_application_is_asked_for_its_sessions() {
    let mut asked = plan(10.0);
    asked.version.settings.release.count = Some(haddock_core::environment::CountSettings::new("/sessions"));
    assert_eq!(asked.run(1).expect("runs"), plan(10.0).run(1).expect("runs"));
}
