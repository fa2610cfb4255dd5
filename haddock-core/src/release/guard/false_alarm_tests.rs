//! Good candidates, looked at after every session: how often is one found harmful?
//!
//! `HADDOCK_GUARD_RUNS=10000` runs the full number of releases. Each test prints its figures (`--nocapture`).

use super::{Evidence, Finding, Guard, Rate, Sessions};

/// Sessions of a release, on both sides.
const SESSIONS: u64 = 2_000;

const FALSE_ALARM: f64 = 0.01;

/// Enough to catch what is wrong by far.
const FEW_RUNS: u64 = 800;

const BASELINES: [f64; 4] = [0.0, 0.001, 0.01, 0.05];

fn runs() -> u64 {
    std::env::var("HADDOCK_GUARD_RUNS").map_or(1_000, |runs| runs.parse().expect("HADDOCK_GUARD_RUNS is a number"))
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn happens(&mut self, probability: f64) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let number = (bits >> 11) as f64 / (1_u64 << 53) as f64;
        number < probability
    }
}

/// Sessions of the candidate and of the baseline; whether to abort.
type Rule<'a> = &'a dyn Fn([u64; 2], [u64; 2]) -> bool;

/// How many of the releases are aborted, if the candidate fails with `extra` more than the baseline.
fn aborted(rule: Rule<'_>, baseline: f64, extra: f64, runs: u64) -> u64 {
    let rates = [baseline + extra, baseline];
    let release = |seed: u64| {
        let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        // A tenth, a half, or a share that grows when the candidate has just done well: all are allowed.
        let shares = [0.1, 0.5, 0.9];
        let mut share = shares[usize::try_from(seed % 3).expect("small")];
        let [mut begun, mut failed] = [[0_u64; 2]; 2];
        for at in 0..SESSIONS {
            let side = usize::from(!random.happens(share));
            begun[side] += 1;
            failed[side] += u64::from(random.happens(rates[side]));
            if seed.is_multiple_of(2) && at % 100 == 99 {
                share = if failed[0] * begun[1] <= failed[1] * begun[0] { 0.5 } else { 0.1 };
            }
            // What fails no more than the baseline is harmful by no rule, and need not be asked.
            if failed[0] * begun[1] > failed[1] * begun[0] && rule(begun, failed) {
                return true;
            }
        }
        false
    };
    (0..runs).filter(|seed| release(*seed)).count() as u64
}

/// The smallest and the largest probability that `count` of `runs` allow at 99.9 % each (Clopper and Pearson 1934).
fn exact_bounds(count: u64, runs: u64) -> (f64, f64) {
    // P(at most `count`) at a probability.
    let at_most = |count: u64, probability: f64| -> f64 {
        let mut term = (runs as f64 * (-probability).ln_1p()).exp();
        let mut sum = term;
        for k in 0..count {
            term *= (runs - k) as f64 / (k + 1) as f64 * probability / (1.0 - probability);
            sum += term;
        }
        sum
    };
    let root = |is_below: &dyn Fn(f64) -> bool| {
        let (mut low, mut high) = (0.0, 0.3);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if is_below(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    };
    let least = if count == 0 { 0.0 } else { root(&|p| 1.0 - at_most(count - 1, p) < 0.001) };
    (least, root(&|p| at_most(count, p) > 0.001))
}

/// The check: the share of aborts is not above `FALSE_ALARM`.
fn holds(what: &str, rule: Rule<'_>, extra: f64, runs: u64) -> bool {
    BASELINES.iter().fold(true, |holds, baseline| {
        let count = aborted(rule, *baseline, extra, runs);
        let (least, most) = exact_bounds(count, runs);
        let share = count as f64 / runs as f64;
        eprintln!("{what}, {baseline} + {extra}: {count} of {runs} aborted; exact bounds {least:.5} to {most:.5}");
        holds && share <= FALSE_ALARM
    })
}

fn guard(tolerate: f64) -> impl Fn([u64; 2], [u64; 2]) -> bool {
    let guard = Guard::default().with_tolerate(Rate::new(tolerate).expect("valid"));
    move |begun, failed| {
        let [candidate, baseline] = [0, 1].map(|side| Sessions::new(begun[side], failed[side]).expect("valid"));
        let tolerable = candidate.rate() <= baseline.rate().map(|rate| rate + tolerate);
        // A shortcut, for the time that it takes: the guard says the same.
        !tolerable && guard.finding(&Evidence::compared(candidate, baseline)) == Finding::Harmful
    }
}

#[test]
fn good_candidates_are_not_aborted() {
    assert!(holds("guard", &guard(0.01), 0.0, runs()));
}

#[test]
fn candidates_that_are_just_tolerable_are_not_aborted() {
    assert!(holds("guard at the border", &guard(0.01), 0.01, runs()));
}

#[test]
fn without_tolerance_equal_candidates_are_not_aborted() {
    assert!(holds("guard without tolerance", &guard(0.0), 0.0, runs()));
}

/// A test for one look, at the same probability, looked at after every session.
#[test]
fn a_test_for_one_look_is_caught() {
    let z = |begun: [u64; 2], failed: [u64; 2]| {
        let [n, m] = begun.map(|count| count as f64);
        let [k, j] = failed.map(|count| count as f64);
        let pooled = (k + j) / (n + m);
        let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
        // The rule of thumb for when the normal distribution may be used: five failed sessions.
        k + j >= 5.0 && (k / n - j / m) / error > 2.326
    };
    assert!(!holds("z-test", &z, 0.0, FEW_RUNS));
}

/// The guard without the price of the mixture: the likelihood of the best rates instead, which have seen the data.
#[test]
fn a_guard_that_pays_no_price_is_caught() {
    use super::region::{Period, Region};
    use super::sample::Sample;
    let generous = |begun: [u64; 2], failed: [u64; 2]| {
        let [candidate, baseline] =
            [0, 1].map(|side| Sample { begun: begun[side] as f64, failed: failed[side] as f64 });
        let region = Region::new(vec![Period { candidate, baseline: Some(baseline) }]);
        region.at_most(0.0) >= -FALSE_ALARM.ln()
    };
    assert!(!holds("no price", &generous, 0.0, FEW_RUNS));
}
