//! A rehearsal agrees with plain formulas.

use std::time::Duration;

use crate::plan::{IDLE, minutes, plan};

/// What looks and calls of the locator add: each change is seen at the next look.
const SLACK: f64 = 10.0;

#[test]
fn the_full_share_is_reached_after_the_start_and_the_stages() {
    for start in [1, 10, 100] {
        let mut plan = plan(60.0);
        plan.times.start = Duration::from_secs(start);
        let release = &plan.run(1).expect("runs").releases[0];
        let formula = (plan.times.pull + plan.times.start + minutes(5) * 2).as_secs_f64();
        let found = release.to_full_share.expect("reached");
        assert!((formula..formula + SLACK).contains(&found), "{found} s instead of {formula} s");
        let settled = release.to_settled.expect("settled");
        assert!((found + 600.0..found + 600.0 + SLACK).contains(&settled), "settled after {settled} s");
    }
}

#[test]
fn the_old_version_is_gone_when_its_last_session_has_expired() {
    // Many sessions begin, so the last of the old version begins right before the full share. Then it stays for ten minutes,
    // and is idle.
    for stay in [0, 20, 60] {
        let mut plan = plan(600.0);
        let traffic = haddock_core::rehearsal::Stay::fixed(minutes(stay));
        plan.traffic = haddock_core::rehearsal::Traffic::steady(600.0, traffic).expect("valid");
        let release = &plan.run(1).expect("runs").releases[0];
        let expired = release.to_full_share.expect("reached") + (minutes(stay) + IDLE).as_secs_f64();
        let formula = expired.max(release.to_settled.expect("settled"));
        let found = release.to_gone.expect("gone");
        assert!((formula - SLACK..formula + SLACK).contains(&found), "{found} s instead of {formula} s");
    }
}

#[test]
fn the_candidate_gets_its_share_of_the_sessions() {
    // 10 % of five minutes, 50 % of five, then all.
    let outcome = plan(600.0).run(1).expect("runs");
    let release = &outcome.releases[0];
    let full = release.to_full_share.expect("reached");
    let formula = 10.0 * (0.1 * 300.0 + 0.5 * 300.0 + (outcome.lasted - full));
    let begun = release.sessions_begun as f64;
    // Four standard deviations of a Poisson number, and some seconds of traffic.
    let tolerance = 4.0 * formula.sqrt() + 10.0 * SLACK;
    assert!((begun - formula).abs() < tolerance, "{begun} instead of {formula}");
}

#[test]
fn as_many_sessions_live_as_littles_law_says() {
    let outcome = plan(600.0).run(3).expect("runs");
    let formula = 600.0 * 15.0;
    for sample in &outcome.samples {
        let live: u64 = sample.versions.values().map(|version| version.live).sum();
        let share: f64 = sample.versions.values().map(|version| version.share).sum();
        assert!((live as f64 - formula).abs() < 5.0 * f64::sqrt(formula), "{live} live sessions instead of {formula}");
        assert!((share - 1.0).abs() < 1e-9, "shares add up to {share}");
    }
}

#[test]
fn two_versions_run_side_by_side_and_no_more() {
    let mut plan = plan(60.0);
    plan.version.settings.release.replicas = 3;
    plan.shared = 2;
    let outcome = plan.run(1).expect("runs");
    assert_eq!((outcome.versions_at_once, outcome.containers_at_once), (2, 2 * 3 + 2));
}
