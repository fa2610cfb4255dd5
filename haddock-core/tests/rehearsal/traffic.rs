//! Models of traffic, and recorded traffic.

use std::time::Duration;

use haddock_core::Timestamp;
use haddock_core::rehearsal::{Minute, RecordedSessions, Stay, Traffic};

use crate::plan::{IDLE, minutes, plan};

/// Sessions that begin within so many hours.
fn begun(traffic: Traffic, hours: u64) -> u64 {
    let mut plan = plan(0.0);
    plan.traffic = traffic;
    (plan.at_least, plan.at_most) = (minutes(60 * hours), minutes(60 * hours));
    plan.run(5).expect("runs").sessions.begun
}

fn about(found: u64, expected: f64) {
    let tolerance = 5.0 * expected.sqrt();
    assert!((found as f64 - expected).abs() < tolerance, "{found} instead of {expected}");
}

#[test]
fn sessions_begin_as_often_as_the_model_says() {
    let steady = |rate| Traffic::steady(rate, Stay::fixed(minutes(1))).expect("valid");
    about(begun(steady(20.0), 10), 20.0 * 600.0);
    assert_eq!(begun(steady(0.0), 10), 0);
    let mut hours = [0.0; 24];
    // The rehearsal begins at ten.
    (hours[11], hours[13]) = (1.0, 0.5);
    about(begun(steady(20.0).by_hour(hours).expect("valid"), 24), 20.0 * 90.0);
    // On a Tuesday, and the Wednesday after it.
    let days = [0.0, 1.0, 0.25, 0.0, 0.0, 0.0, 0.0];
    about(begun(steady(20.0).by_weekday(days).expect("valid"), 24), 20.0 * 60.0 * (14.0 + 0.25 * 10.0));
    let zone = jiff_zone(5);
    let moved = steady(20.0).by_weekday(days).expect("valid").in_zone(zone);
    about(begun(moved, 24), 20.0 * 60.0 * (9.0 + 0.25 * 15.0));
}

fn jiff_zone(hours: i8) -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::fixed(jiff::tz::offset(hours))
}

#[test]
fn a_model_out_of_range_is_refused() {
    for rate in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
        assert!(Traffic::steady(rate, Stay::default()).is_err(), "{rate}");
    }
    let traffic = || Traffic::steady(1.0, Stay::default()).expect("valid");
    assert!(traffic().by_hour([-0.5; 24]).is_err());
    assert!(traffic().by_weekday([f64::NAN; 7]).is_err());
    assert!(Stay::log_normal(minutes(1), 0.5).is_err() && Stay::log_normal(Duration::ZERO, 2.0).is_err());
    assert!(Traffic::recorded(&[], Stay::default()).is_err());
}

/// The minute of the begin of a rehearsal.
const BEGIN: u64 = 1_767_693_600_000 / 60_000;

fn minute(number: u64, begun: u64, failed: u64) -> Minute {
    Minute { minute: Timestamp::from_millis(number * 60_000 + 17), begun, ended: 0, failed }
}

#[test]
fn recorded_traffic_comes_back_to_the_session() {
    let rows: Vec<Minute> = (0..120).map(|at| minute(BEGIN + at, at % 7, 0)).collect();
    let traffic = Traffic::recorded(&rows, Stay::fixed(minutes(1))).expect("valid");
    let exact: u64 = rows.iter().map(|row| row.begun).sum();
    // Sessions of the very first and last millisecond may fall on either side.
    assert_eq!(begun(traffic.clone(), 2), exact);
    // It is shorter than a day, so it repeats itself as it is.
    assert_eq!(begun(traffic, 8), 4 * exact);
}

#[test]
fn a_recording_of_more_than_a_day_repeats_itself_by_days() {
    let rows: Vec<Minute> = (0..36 * 60).map(|at| minute(BEGIN + at, u64::from(at % 1440 < 720), 0)).collect();
    let traffic = Traffic::recorded(&rows, Stay::fixed(minutes(1))).expect("valid");
    assert_eq!(begun(traffic, 72), 3 * 720);
}

#[test]
fn recorded_failures_are_those_of_the_base() {
    let rows: Vec<Minute> = (0..1440).map(|at| minute(BEGIN + at, 50, 5)).collect();
    let mut plan = plan(0.0);
    plan.traffic = Traffic::recorded(&rows, Stay::fixed(minutes(2))).expect("valid");
    plan.at_least = minutes(600);
    let outcome = plan.run(1).expect("runs");
    about(outcome.sessions.failed, outcome.sessions.begun as f64 * 0.1);
    assert_eq!(outcome.releases[0].sessions_harmed, 0);
}

#[test]
fn the_length_of_stay_is_estimated_from_what_began_and_expired() {
    // By day ten sessions a minute, which live for 25 minutes each; by night nobody.
    let day = |at: u64| (480..1080).contains(&(at % 1440));
    let rows = (0..3 * 1440).map(|at| {
        let ended = if at >= 25 && day(at - 25) { 10 } else { 0 };
        Minute { ended, ..minute(BEGIN + at, if day(at) { 10 } else { 0 }, 0) }
    });
    let rows: Vec<Minute> = rows.collect();
    let found = Stay::estimated(&rows, IDLE).expect("there is a night");
    assert_eq!(found, Stay::exponential(minutes(20)));
    assert_eq!(Stay::estimated(&rows[..20], IDLE), None, "nobody has expired yet");
    assert_eq!(Stay::estimated(&rows, minutes(30)), None, "they are idle for longer than they live");
}

#[test]
fn a_file_of_sessions_is_read() {
    let file = "# from the access log\nduration , begin\n 30, 2026-01-06T10:00:01Z\n1m30s,2026-01-06T11:00:59+01:00\n4.5,2026-01-06T10:02:00Z\n";
    let found = RecordedSessions::read(file.as_bytes()).expect("well-formed");
    let begun: Vec<_> = found.minutes.iter().map(|row| (row.minute.as_millis() / 60_000 - BEGIN, row.begun)).collect();
    assert_eq!(begun, [(0, 2), (2, 1)]);
    let stays = [30_000, 90_000, 4_500].map(Duration::from_millis);
    assert_eq!(found.stay, Stay::recorded(stays.to_vec()).expect("some"));
    let only = RecordedSessions::read("duration\n12\n".as_bytes()).expect("well-formed");
    assert!(only.minutes.is_empty());
}

#[test]
fn a_file_that_cannot_be_read_says_where() {
    for (file, what) in [
        ("begin\n2026-01-06T10:00:01Z\n", "line 2"),
        ("duration\n5\nlong\n", "line 3"),
        ("duration\n-5\n", "line 2"),
        ("begin,duration\nyesterday,5\n", "line 2"),
        ("duration\n", "no length of stay"),
    ] {
        let error = RecordedSessions::read(file.as_bytes()).expect_err("not well-formed").to_string();
        assert!(error.contains(what), "{error}");
    }
}
