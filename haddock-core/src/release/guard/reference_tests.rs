//! The bounds, against a reference with 60 digits that shares no code and no formula with them: the mixture by products
//! or by Stirling's series from 60 on, likelihoods by their definition, and the border by bisection.

use std::cell::RefCell;

use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;

use super::special::ln_beta;
use super::{Comparison, Evidence, Guard, Sessions};

type Big = FBig<HalfEven, 2>;

/// Bits: 60 digits, and 20 more for what Stirling's formula cancels at 10⁸.
const PRECISION: usize = 270;

/// The mixture is multiplied out up to here.
const FEW: u64 = 300;

fn big(number: f64) -> Big {
    Big::try_from(number).expect("finite").with_precision(PRECISION).value()
}

fn whole(number: u64) -> Big {
    big(number as f64)
}

thread_local! {
    static BERNOULLI: RefCell<Vec<Big>> = const { RefCell::new(Vec::new()) };
}

/// `B₀, B₁, …, B₅₀`, from `Σ C(n+1, k) Bₖ = 0`.
fn bernoulli(index: usize) -> Big {
    BERNOULLI.with_borrow_mut(|known| {
        while known.len() <= 50 {
            let n = known.len() as u64;
            let mut sum = big(0.0);
            let mut choose = big(1.0);
            for (k, number) in (0_u64..).zip(known.iter()) {
                sum += &choose * number;
                choose = choose * whole(n + 1 - k) / whole(k + 1);
            }
            known.push(if n == 0 { big(1.0) } else { -sum / whole(n + 1) });
        }
        known[index].clone()
    })
}

fn ln_gamma(x: &Big) -> Big {
    let mut x = x.clone();
    let mut product = big(1.0);
    while x < big(60.0) {
        product *= &x;
        x += big(1.0);
    }
    let two_pi = big(2.0) * Big::pi_to(PRECISION);
    let mut sum = (&x - big(0.5)) * x.ln() - &x + two_pi.ln() / big(2.0) - product.ln();
    let mut power = x.clone();
    for j in 1..=25_u64 {
        sum += bernoulli(2 * j as usize) / (whole(2 * j * (2 * j - 1)) * &power);
        power *= &x * &x;
    }
    sum
}

trait Pi {
    fn pi_to(bits: usize) -> Self;
}

impl Pi for Big {
    /// Machin: π = 16 atan(1/5) − 4 atan(1/239).
    fn pi_to(bits: usize) -> Self {
        let atan = |inverse: u64| {
            let mut sum = big(0.0);
            let mut power = big(1.0) / whole(inverse);
            for j in 0..bits as u64 / 4 {
                let term = &power / whole(2 * j + 1);
                sum = if j % 2 == 0 { sum + term } else { sum - term };
                power /= whole(inverse * inverse);
            }
            sum
        };
        big(16.0) * atan(5) - big(4.0) * atan(239)
    }
}

fn ln_beta_reference(a: &Big, b: &Big) -> Big {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(&(a + b))
}

/// The logarithm of the mixture's likelihood of a sample.
fn ln_mixture(sessions: Sessions, a: &Big, b: &Big) -> Big {
    let (n, k) = (sessions.begun(), sessions.failed());
    if n > FEW {
        let (x, y) = (a + whole(k), b + whole(n - k));
        return ln_beta_reference(&x, &y) - ln_beta_reference(a, b);
    }
    let rising = |start: &Big, count: u64| (0..count).fold(big(1.0), |product, i| product * (start + whole(i)));
    (rising(a, k) * rising(b, n - k) / rising(&(a + b), n)).ln()
}

fn times_ln(count: u64, rate: &Big) -> Big {
    if count == 0 { big(0.0) } else { whole(count) * rate.ln() }
}

fn ln_likelihood(sessions: Sessions, rate: &Big) -> Big {
    times_ln(sessions.failed(), rate) + times_ln(sessions.begun() - sessions.failed(), &(big(1.0) - rate))
}

fn own_rate(sessions: Sessions) -> Big {
    whole(sessions.failed()) / whole(sessions.begun())
}

/// The largest likelihood of both samples in which the rate of `one` is at most that of `other` plus `extra`. Both have
/// sessions.
fn best(one: Sessions, other: Sessions, extra: &Big) -> Big {
    if own_rate(one) - own_rate(other) <= *extra {
        return ln_likelihood(one, &own_rate(one)) + ln_likelihood(other, &own_rate(other));
    }
    let zero = big(0.0);
    let mut low = if *extra < zero { -extra } else { zero.clone() };
    let mut high = if *extra < zero { big(1.0) } else { big(1.0) - extra };
    let term = |count: u64, by: &Big| if count == 0 { big(0.0) } else { whole(count) / by };
    let good = |sessions: Sessions| sessions.begun() - sessions.failed();
    for _ in 0..200 {
        let rate = (&low + &high) / big(2.0);
        let moved = &rate + extra;
        let up = term(other.failed(), &rate) + term(one.failed(), &moved);
        let down = term(good(other), &(big(1.0) - &rate)) + term(good(one), &(big(1.0) - &moved));
        if up > down {
            low = rate;
        } else {
            high = rate;
        }
    }
    let rate = (&low + &high) / big(2.0);
    ln_likelihood(other, &rate) + ln_likelihood(one, &(&rate + extra))
}

/// The logarithm of the evidence against an extra rate of at most (or at least) `extra`.
fn ln_evidence(evidence: &Evidence, extra: f64, at_most: bool) -> Big {
    let (three, fifth) = (big(3.0) / big(10.0), big(1.0) / big(5.0));
    let extra = big(extra);
    match evidence {
        Evidence::Alone(sessions) => {
            let own = own_rate(*sessions);
            let best = if (own <= extra) == at_most { own } else { extra };
            ln_mixture(*sessions, &three, &big(1.0)) - ln_likelihood(*sessions, &best)
        }
        Evidence::Compared(periods) => {
            let mixture = ln_mixture(evidence.candidate(), &three, &big(1.0))
                + ln_mixture(evidence.baseline().expect("compared"), &fifth, &big(5.0));
            periods.iter().fold(mixture, |sum, period| {
                sum - if at_most {
                    best(period.candidate, period.baseline, &extra)
                } else {
                    best(period.baseline, period.candidate, &-extra.clone())
                }
            })
        }
    }
}

fn sessions(begun: u64, failed: u64) -> Sessions {
    Sessions::new(begun, failed).expect("valid")
}

/// Asserts that the reference crosses `1/0.01` within 10⁻⁹ of each bound.
fn assert_bounds(evidence: &Evidence) {
    let extra = Guard::default().judge(evidence).extra;
    let enough = big(100.0).ln();
    let least = if matches!(evidence, Evidence::Alone(_)) { 0.0 } else { -1.0 };
    let check = |bound: f64, at_most: bool, edge: f64| {
        let inward = if at_most { 1.0 } else { -1.0 };
        let step = inward * 1e-9 * bound.abs();
        if bound != edge {
            let outside = ln_evidence(evidence, bound - step, at_most);
            assert!(outside >= enough, "{evidence:?}: {bound} is too far out: {outside}");
        }
        let inside = ln_evidence(evidence, bound + step, at_most);
        assert!(inside < enough, "{evidence:?}: {bound} is too far in: {inside}");
    };
    check(extra.low, true, least);
    check(extra.high, false, 1.0);
}

#[test]
fn ln_beta_agrees_to_the_last_digits() {
    for (a, b) in [
        (1e8, 1e8),
        (1e8 + 0.3, 1.0),
        (0.2, 1e8 + 5.0),
        (0.3, 0.2),
        (5e7 + 0.3, 1e8),
        (12.3, 1e8),
        (10.0, 10.0),
        (9.999, 10.001),
        (3.3, 17.0),
        (1e12, 1e3),
        (0.5, 1e-3),
    ] {
        let exact = ln_beta_reference(&big(a), &big(b)).to_f64().value();
        let got = ln_beta(a, b);
        assert!((got - exact).abs() <= 1e-14 + 4.0 * f64::EPSILON * exact.abs(), "B({a}, {b}): {got}, not {exact}");
    }
}

#[test]
fn the_two_ways_of_the_reference_agree() {
    let (a, b) = (big(0.3), big(5.0));
    let product = ln_mixture(sessions(FEW, 37), &a, &b);
    let series = ln_beta_reference(&(&a + whole(37)), &(&b + whole(FEW - 37))) - ln_beta_reference(&a, &b);
    let difference = (product - series).to_f64().value();
    assert!(difference.abs() < 1e-50, "{difference}");
}

#[test]
fn bounds_agree_with_the_reference() {
    let pairs = [
        ((10, 0), (90, 0)),
        ((10, 10), (90, 0)),
        ((1, 1), (1, 0)),
        ((5, 5), (5, 5)),
        ((300, 25), (9_000, 9)),
        ((300, 1), (2_700, 250)),
        ((20_000, 1_000), (20_000, 1_000)),
        ((1_000_000, 1_003), (9_000_000, 9_000)),
    ];
    for ((n, k), (m, j)) in pairs {
        assert_bounds(&Evidence::compared(sessions(n, k), sessions(m, j)));
    }
}

#[test]
fn bounds_of_a_hundred_million_sessions_agree() {
    let many = 100_000_000;
    for (failed, base) in
        [(0, 0), (many, many), (many, 0), (0, many), (many / 2, many / 2), (1_000, 7), (many - 3, many - 9)]
    {
        assert_bounds(&Evidence::compared(sessions(many, failed), sessions(many, base)));
    }
}

#[test]
fn bounds_without_a_baseline_agree() {
    for (begun, failed) in
        [(1, 0), (1, 1), (50, 2), (2_000, 2_000), (100_000_000, 0), (100_000_000, 100_000_000), (100_000_000, 31)]
    {
        assert_bounds(&Evidence::Alone(sessions(begun, failed)));
    }
}

#[test]
fn bounds_over_several_periods_agree() {
    let period = |candidate, baseline| Comparison { candidate, baseline };
    assert_bounds(&Evidence::Compared(vec![
        period(sessions(100, 3), sessions(900, 1)),
        period(sessions(500, 40), sessions(500, 5)),
        period(sessions(4_000, 61), sessions(1_000, 20)),
    ]));
    assert_bounds(&Evidence::Compared(vec![
        period(sessions(10, 0), sessions(90, 90)),
        period(sessions(50_000_000, 50_000), sessions(50_000_000, 49_000)),
    ]));
}
