//! The figures on `docs/guard.md` are those of the guard.

use haddock_core::Share;
use haddock_core::release::guard::{Evidence, Finding, Guard, Sessions};
use haddock_core::routing::Rate;

const PAGE: &str = include_str!("../../docs/guard.md");

/// The sessions of the baseline for each one of the candidate, at a share of 10 %.
const BASELINE: u64 = 9;

fn sessions(begun: u64, failed: u64) -> Sessions {
    Sessions::new(begun, failed).expect("fewer failed than began")
}

/// As many as fail on average.
fn part(begun: u64, rate: f64) -> u64 {
    (begun as f64 * rate + 1e-9).floor() as u64
}

/// The guard of a release, with the default settings: one of its two tests, which share the false alarms.
fn guard() -> Guard {
    let half = Rate::new(0.005).expect("a rate");
    Guard::default().with_false_alarm(half).expect("a probability")
}

/// The candidate's sessions until there is this finding, if as many fail as do on average.
fn until(finding: Finding, base: f64, extra: f64) -> u64 {
    let guard = guard();
    let found = |begun: &u64| {
        let candidate = sessions(*begun, part(*begun, (base + extra).min(1.0)));
        let all = BASELINE * begun;
        guard.finding(&Evidence::compared(candidate, sessions(all, part(all, base)))) == finding
    };
    (1..100_000).find(found).expect("found in the end")
}

/// The same where nothing else serves.
fn alone_until(finding: Finding, rate: f64) -> u64 {
    let guard = Guard::default();
    let found = |begun: &u64| guard.finding(&Evidence::Alone(sessions(*begun, part(*begun, rate)))) == finding;
    (1..100_000).find(found).expect("found in the end")
}

/// Two digits, the rest zeros: "some" of them.
fn some(number: u64) -> u64 {
    let unit = 10_u64.pow(number.ilog10().saturating_sub(1));
    (number + unit / 2) / unit * unit
}

fn assert_on_page(lines: &[String]) {
    let missing: Vec<&String> = lines.iter().filter(|line| !PAGE.contains(line.as_str())).collect();
    assert!(missing.is_empty(), "docs/guard.md does not say:\n{}", lines.join("\n"));
}

#[test]
fn how_many_sessions_a_harmful_version_needs() {
    let rows = [(0.001, 0.02), (0.001, 0.05), (0.001, 0.2), (0.001, 0.999), (0.01, 0.05), (0.01, 0.2)];
    let lines = rows.map(|(base, extra)| {
        let needs = some(until(Finding::Harmful, base, extra));
        let rounded = |rate: f64| format!("{}%", (rate * 1000.0).round() / 10.0);
        format!("| {} | {} | {needs} | {} |", rounded(base), rounded(base + extra), some(part(needs, base + extra)))
    });
    assert_on_page(&lines);
}

#[test]
fn how_many_sessions_a_good_version_needs() {
    let lines = [0.0, 0.001, 0.01].map(|base| {
        let needs = some(until(Finding::Fine, base, 0.0));
        format!("| {}% | {needs} |", (base * 1000.0).round() / 10.0)
    });
    assert_on_page(&lines);
}

#[test]
fn how_many_sessions_a_first_release_needs() {
    let all = alone_until(Finding::Harmful, 1.0);
    let half = alone_until(Finding::Harmful, 0.5);
    let none = some(alone_until(Finding::Fine, 0.0));
    assert_on_page(&[
        format!("harmful after {all} sessions if all fail, and after {half} if half of them do"),
        format!("It is fine after some {none} sessions without a failed one"),
    ]);
}

#[test]
fn the_example_of_a_judgement() {
    let evidence = Evidence::compared(sessions(200, 9), sessions(1800, 4));
    let (guard, judged) = (guard(), guard().judge(&evidence));
    let percent = |rate: f64| format!("{:.1}%", rate * 100.0);
    assert_eq!(judged.finding, Finding::NotEnough);
    let (low, high) = (percent(judged.extra.low), percent(judged.extra.high));
    let visible = percent(guard.smallest_visible(&evidence).expect("enough sessions"));
    let more = some(guard.sessions_to_verdict(&evidence).expect("soon"));
    assert_on_page(&[
        format!("between {low} and {high} more of the sessions fail"),
        format!("{visible} more would have been found by now"),
        format!("about {more} more sessions"),
    ]);
}

#[test]
fn how_the_share_grows() {
    let guard = guard();
    let share = |begun: u64| {
        let evidence = Evidence::compared(sessions(begun, 0), sessions(BASELINE * begun, 0));
        guard.judge(&evidence).share_within(10.0, 1000.0)
    };
    let lines = [0, 50, 100, 400].map(|begun| format!("| {begun} | {} |", share(begun).min(Share::percent(25))));
    assert_on_page(&lines);
}
