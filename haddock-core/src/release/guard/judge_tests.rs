use super::*;
use crate::routing::Share;

fn sessions(begun: u64, failed: u64) -> Sessions {
    Sessions::new(begun, failed).expect("valid")
}

fn compared(candidate: (u64, u64), baseline: (u64, u64)) -> Evidence {
    Evidence::compared(sessions(candidate.0, candidate.1), sessions(baseline.0, baseline.1))
}

fn rate(rate: f64) -> Rate {
    Rate::new(rate).expect("valid")
}

#[test]
fn no_traffic_is_no_evidence() {
    let guard = Guard::default();
    for evidence in [compared((0, 0), (0, 0)), compared((0, 0), (1_000, 990)), Evidence::Compared(vec![])] {
        let judged = guard.judge(&evidence);
        assert_eq!(judged.finding, Finding::NotEnough, "{evidence:?}");
        assert_eq!(guard.sessions_to_verdict(&evidence), None);
        assert_eq!(guard.smallest_visible(&evidence), None);
    }
    let alone = guard.judge(&Evidence::Alone(Sessions::NONE));
    assert_eq!((alone.finding, alone.extra), (Finding::NotEnough, Interval { low: 0.0, high: 1.0 }));
}

#[test]
fn without_a_session_on_the_baseline_failures_prove_nothing() {
    for failed in [20, 500, 1_000] {
        assert_eq!(Guard::default().finding(&compared((1_000, failed), (0, 0))), Finding::NotEnough);
    }
    assert_eq!(
        Guard::default().finding(&compared((1_000, 0), (0, 0))),
        Finding::Fine,
        "no rate of a baseline is below 0"
    );
}

#[test]
fn a_candidate_that_always_fails_is_found_after_a_few_sessions() {
    let guard = Guard::default();
    let first = (1..).find(|n| guard.finding(&compared((*n, *n), (9 * n, 0))) == Finding::Harmful);
    assert_eq!(first, Some(3));
    assert_eq!(guard.finding(&compared((100_000_000, 100_000_000), (100_000_000, 0))), Finding::Harmful);
}

#[test]
fn if_all_fails_everywhere_the_candidate_is_fine() {
    assert_eq!(
        Guard::default().finding(&compared((100_000_000, 100_000_000), (100_000_000, 100_000_000))),
        Finding::Fine
    );
    assert_eq!(Guard::default().finding(&compared((10, 10), (90, 90))), Finding::NotEnough);
}

#[test]
fn verdicts_and_the_interval_agree() {
    let guard = Guard::default();
    let mut seen = std::collections::BTreeSet::new();
    for n in [1, 10, 100, 1_000, 10_000] {
        for k in [0, n / 100, n / 20, n / 3, n] {
            for base in [(9 * n, 0), (9 * n, n / 10), (n, n / 2), (1, 0)] {
                let judged = guard.judge(&compared((n, k), base));
                let Interval { low, high } = judged.extra;
                assert!(low <= high, "{judged:?}");
                let finding = match (low > 0.01, high < 0.01) {
                    (true, _) => Finding::Harmful,
                    (_, true) => Finding::Fine,
                    _ => Finding::NotEnough,
                };
                assert_eq!(judged.finding, finding, "{judged:?}");
                assert_eq!(guard.finding(&compared((n, k), base)), finding);
                seen.insert(format!("{finding:?}"));
            }
        }
    }
    assert_eq!(seen.len(), 3, "each verdict was met: {seen:?}");
}

#[test]
fn the_first_release_is_held_to_an_absolute_bound() {
    let guard = Guard::default();
    assert_eq!(guard.finding(&Evidence::Alone(sessions(200, 30))), Finding::Harmful);
    assert_eq!(guard.finding(&Evidence::Alone(sessions(200, 0))), Finding::Fine);
    assert_eq!(guard.finding(&Evidence::Alone(sessions(200, 9))), Finding::NotEnough);
    assert_eq!(guard.with_at_most(rate(0.5)).finding(&Evidence::Alone(sessions(200, 30))), Finding::Fine);
}

#[test]
fn an_outage_of_all_while_the_share_grows_is_not_the_candidates() {
    // First nothing fails, at a share of 10 %. Then, at 90 %, a database is away, and each tenth session fails on both sides.
    let quiet = Comparison { candidate: sessions(1_000, 0), baseline: sessions(9_000, 0) };
    let outage = Comparison { candidate: sessions(9_000, 900), baseline: sessions(1_000, 100) };
    let guard = Guard::default();
    assert_eq!(guard.finding(&Evidence::Compared(vec![quiet, outage])), Finding::NotEnough);
    let totals = Evidence::compared(quiet.candidate + outage.candidate, quiet.baseline + outage.baseline);
    assert_eq!(guard.finding(&totals), Finding::Harmful, "what the periods are for");
}

#[test]
fn the_smallest_visible_regression_is_where_the_verdict_turns() {
    let guard = Guard::default();
    let smallest = guard.smallest_visible(&compared((10_000, 10), (90_000, 90))).expect("visible");
    let failed = ((0.001 + smallest) * 10_000.0).round() as u64;
    assert_eq!(guard.finding(&compared((10_000, failed + 1), (90_000, 90))), Finding::Harmful);
    assert_eq!(guard.finding(&compared((10_000, failed - 1), (90_000, 90))), Finding::NotEnough);
    assert!(smallest > 0.01 && smallest < 0.02, "{smallest}");
}

#[test]
fn the_forecast_of_a_verdict_comes_true() {
    let guard = Guard::default();
    for (failed, base) in [(10, 0), (0, 0), (30, 9), (1, 9)] {
        let more = guard.sessions_to_verdict(&compared((100, failed), (900, base))).expect("decided one day");
        let factor = more.div_ceil(100) + 1;
        let later = |factor: u64| compared((100 * factor, failed * factor), (900 * factor, base * factor));
        assert_ne!(guard.finding(&later(factor)), Finding::NotEnough);
        assert!(more == 0 || guard.finding(&later(factor - 1)) == Finding::NotEnough, "{failed}, {base}: {more}");
    }
    assert_eq!(guard.sessions_to_verdict(&compared((100, 1), (900, 0))), None, "just what is tolerated");
}

#[test]
fn the_share_grows_with_the_evidence_and_falls_with_harm() {
    let guard = Guard::default();
    let share = |candidate, baseline| guard.judge(&compared(candidate, baseline)).share_within(10.0, 1_000.0);
    assert_eq!(share((0, 0), (0, 0)), Share::percent(1));
    let clean = [10, 100, 300].map(|n| share((n, 0), (9 * n, 0)));
    assert!(clean.is_sorted() && clean[0] > Share::percent(1) && clean[2] < Share::FULL, "{clean:?}");
    assert!(share((300, 6), (2_700, 0)) < clean[2]);
    assert_eq!(share((2_000, 0), (18_000, 0)), Share::FULL, "fine");
    assert_eq!(share((20, 20), (180, 0)), Share::ZERO, "harmful");
    let judged = guard.judge(&compared((0, 0), (0, 0)));
    assert_eq!(judged.share_within(10.0, 0.0), Share::FULL, "nobody comes");
    assert_eq!(judged.share_within(0.0, 1.0), Share::ZERO);
}

#[test]
fn a_probability_that_is_none_is_refused() {
    for wrong in [0.0, 1.0] {
        let refused = Guard::default().with_false_alarm(rate(wrong)).expect_err("refused");
        assert!(refused.hint().is_some_and(|hint| hint.contains("0.01")), "{refused}");
    }
}

#[test]
fn stricter_settings_ask_for_more() {
    let evidence = compared((300, 17), (9_000, 9));
    assert_eq!(Guard::default().finding(&evidence), Finding::Harmful);
    let strict = Guard::default().with_false_alarm(rate(1e-6)).expect("valid");
    assert_eq!(strict.finding(&evidence), Finding::NotEnough);
    assert_eq!(Guard::default().with_tolerate(rate(0.04)).finding(&evidence), Finding::NotEnough);
}
