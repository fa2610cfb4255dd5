//! What is wrong with a candidate shows.

use std::time::Duration;

use haddock_core::rehearsal::{Errors, Faults};

use crate::plan::{errors, minutes, plan, rate};

#[test]
fn without_a_fault_nobody_is_harmed_and_nothing_is_aborted() {
    let summary = plan(60.0).summary(1, 20).expect("runs");
    assert_eq!((summary.aborted, summary.false_aborts), (0.0, 0.0));
    assert_eq!(summary.sessions_harmed.p90, Some(0.0));
    assert_eq!((summary.seeds, summary.seed), (20, 1));
    assert!(summary.to_gone.p10 <= summary.to_gone.p50 && summary.to_gone.p50 <= summary.to_gone.p90);
}

#[test]
fn with_a_fault_of_all_sessions_each_of_them_is_harmed() {
    let mut plan = plan(60.0);
    // Whatever the guard thinks of it.
    plan.version.settings.release.guard.acts = false;
    plan.releases[0].faults = errors(1.0);
    plan.at_least = minutes(120);
    let outcome = plan.run(1).expect("runs");
    let release = &outcome.releases[0];
    assert!(release.to_full_share.is_some() && release.sessions_begun > 5_000, "{release:?}");
    // Each has its first failed request at some time within its stay of ten minutes.
    let still_there = release.sessions_begun - release.sessions_harmed;
    assert!(still_there < 60 * 10, "{release:?}");
    assert_eq!(release.sessions_failed, release.sessions_harmed);
}

#[test]
fn sessions_that_would_have_failed_anyway_are_not_harmed() {
    let mut plan = plan(600.0);
    plan.base.errors = Some(rate(0.02));
    plan.version.settings.release.guard.acts = false;
    let same = plan.run(1).expect("runs");
    assert!(same.releases[0].sessions_failed > 0 && same.releases[0].sessions_harmed == 0, "{:?}", same.releases[0]);
    plan.releases[0].faults = errors(0.05);
    let worse = &plan.run(1).expect("runs").releases[0];
    let part = worse.sessions_harmed as f64 / worse.sessions_failed as f64;
    assert!((0.5..0.7).contains(&part), "three of five: {worse:?}");
}

#[test]
fn errors_come_after_a_warm_up_on_a_path_or_under_load() {
    let failed = |errors: Errors| {
        let mut plan = plan(600.0);
        plan.version.settings.release.guard.acts = false;
        plan.releases[0].faults = Faults { errors: Some(errors), ..Faults::default() };
        let outcome = plan.run(1).expect("runs");
        outcome.releases[0].sessions_failed as f64 / outcome.releases[0].sessions_begun as f64
    };
    let always = Errors::always(rate(0.2));
    let all = failed(always);
    assert!((0.08..0.2).contains(&all), "{all}: some fail later than the end of the rehearsal");
    let path = failed(Errors { on_path: rate(0.25), ..always });
    assert!((path / all - 0.25).abs() < 0.03, "{path} of {all}");
    let late = failed(Errors { after: minutes(20), ..always });
    assert!(late < 0.8 * all && late > 0.0, "{late} of {all}");
    assert_eq!(failed(Errors { after: minutes(24 * 60), ..always }), 0.0);
    assert_eq!(failed(Errors { above_load: 1_000_000, ..always }), 0.0);
    let loaded = failed(Errors { above_load: 2_000, ..always });
    assert!(loaded < 0.95 * all && loaded > 0.0, "{loaded} of {all}");
}

#[test]
fn a_candidate_that_crashes_is_aborted_and_its_sessions_are_lost() {
    let mut plan = plan(600.0);
    plan.releases[0].faults = Faults { crash_after: Some(minutes(3)), ..Faults::default() };
    let outcome = plan.run(1).expect("runs");
    let release = &outcome.releases[0];
    let aborted = release.to_abort.expect("aborted");
    let formula = (plan.times.pull + minutes(3)).as_secs_f64();
    assert!((formula..formula + 5.0).contains(&aborted), "after {aborted} s");
    assert!(release.to_full_share.is_none() && release.to_gone.is_none() && !release.false_abort, "{release:?}");
    // 60 a minute for three minutes, from its start on.
    assert!((120..230).contains(&release.sessions_harmed), "{release:?}");
    assert_eq!(outcome.sessions.evicted, release.sessions_harmed, "all were still there");
    assert!(outcome.timeline.iter().any(|line| line.message.contains("exited")), "{:?}", outcome.timeline);
}

#[test]
fn a_candidate_that_starts_too_slowly_gets_no_session() {
    let mut plan = plan(60.0);
    plan.releases[0].faults = Faults { slow_start: Duration::from_secs(500), ..Faults::default() };
    let release = &plan.run(1).expect("runs").releases[0];
    assert!(release.to_abort.is_some() && release.sessions_begun == 0, "{release:?}");
    let summary = plan.summary(1, 3).expect("runs");
    assert_eq!((summary.aborted, summary.to_full_share.p10, summary.to_gone.p90), (1.0, None, None));
}

#[test]
fn a_rehearsal_that_makes_no_sense_is_refused() {
    let mut plan = plan(1.0);
    assert!(plan.summary(1, 0).is_err(), "no seed");
    plan.releases.clear();
    assert!(plan.run(1).is_err(), "no release");
}
