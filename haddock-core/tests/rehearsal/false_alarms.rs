//! A good version, released again and again: how often is it given up?
//!
//! Each rehearsal looks every second, from the first share until the old version is gone. Sessions are of uneven length, and fail
//! at any time of theirs. `HADDOCK_GUARD_RUNS=10000` runs the full number of releases; each test prints its figures.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use haddock_core::ServiceName;
use haddock_core::environment::{ServiceSettings, Stage};
use haddock_core::rehearsal::{Rehearsal, Stay, Traffic};
use haddock_core::release::NewVersion;
use haddock_core::routing::{Rate, Share};

const FALSE_ALARM: f64 = 0.01;
const BASELINES: [f64; 4] = [0.0, 0.001, 0.01, 0.05];

fn runs() -> u64 {
    std::env::var("HADDOCK_GUARD_RUNS").map_or(40, |runs| runs.parse().expect("HADDOCK_GUARD_RUNS is a number"))
}

fn rate(rate: f64) -> Rate {
    Rate::new(rate).expect("a rate")
}

/// Sixty sessions a minute, and stages of five minutes.
fn rehearsal(change: impl FnOnce(&mut ServiceSettings)) -> Rehearsal {
    let service = ServiceName::new("shop").expect("valid");
    let mut settings = ServiceSettings::external(service, SocketAddr::from(([127, 0, 0, 1], 80)));
    let stage = |percent| Stage::new(Share::percent(percent), Duration::from_secs(300));
    settings.release.ramp = vec![stage(10), stage(50), stage(100)];
    settings.release.settle = Duration::from_secs(300);
    settings.session.idle = Duration::from_secs(120);
    change(&mut settings);
    let images = BTreeMap::from([(settings.entry.component.clone(), "app".to_owned())]);
    let stay = Stay::log_normal(Duration::from_secs(120), 3.0).expect("a spread");
    let traffic = Traffic::steady(60.0, stay).expect("a rate");
    Rehearsal::new(NewVersion::new(String::new(), settings, images), traffic)
}

/// The largest probability that so many of all allow at 99.9 % (Clopper and Pearson 1934).
fn at_most(count: u64, runs: u64) -> f64 {
    let tail = |probability: f64| {
        let mut term = (runs as f64 * (-probability).ln_1p()).exp();
        (0..count).fold(term, |sum, k| {
            term *= (runs - k) as f64 / (k + 1) as f64 * probability / (1.0 - probability);
            sum + term
        })
    };
    let (mut low, mut high) = (0.0, 0.9);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if tail(middle) > 0.001 { low = middle } else { high = middle }
    }
    high
}

/// Whether no more good versions are given up than are allowed.
fn holds(what: &str, mut rehearsal: Rehearsal, runs: u64) -> bool {
    BASELINES.iter().fold(true, |holds, base| {
        rehearsal.base.errors = Some(rate(*base));
        let summary = rehearsal.summary(1, runs).expect("a plan");
        let count = (summary.false_aborts * runs as f64).round() as u64;
        let most = at_most(count, runs);
        eprintln!("{what}, {base} fail on both: {count} of {runs} given up; the probability is at most {most:.5}");
        assert!((summary.aborted - summary.false_aborts).abs() < f64::EPSILON, "nothing is wrong with any of them");
        holds && count as f64 <= FALSE_ALARM * runs as f64
    })
}

#[test]
fn good_versions_are_not_given_up() {
    assert!(holds("stages", rehearsal(|_| {}), runs()));
}

#[test]
fn a_guard_that_is_too_generous_is_caught() {
    let generous = rehearsal(|settings| {
        let guard = &mut settings.release.guard;
        (guard.false_alarm, guard.tolerate, guard.at_most) = (rate(0.9), Rate::ZERO, Rate::ZERO);
    });
    assert!(!holds("too generous", generous, 60));
}
