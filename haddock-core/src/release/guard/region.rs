//! Which extra rates the evidence rules out, and how strongly.
//!
//! # The martingale
//!
//! Let each session of the candidate fail with probability `p₁`, and each of the baseline with `p₀`, independently. Let `L(p₁,
//! p₀)` be the likelihood of all that was seen so far, in the order in which it was seen, and let `M` be the mixture of
//! `L` over a beta distribution of each rate:
//!
//! ```text
//! M = ∫∫ L(p₁, p₀) dBeta(p₁) dBeta(p₀) = B(a₁+k₁, b₁+n₁−k₁) / B(a₁, b₁) · B(a₀+k₀, b₀+n₀−k₀) / B(a₀, b₀)
//! ```
//!
//! At the true rates, `M / L` is a martingale that starts at 1: each next session multiplies `L` by the probability
//! of what it did, and `M` by the probability that the mixture gave it before; the expectation of the quotient is
//! 1 (Robbins 1970). This holds whichever side the next session is on, if that was settled before its outcome is known. So
//! the share may change at any time, and also because of what was seen. By Ville's inequality,
//!
//! ```text
//! P(M / L ≥ 1/α at any time) ≤ α
//! ```
//!
//! so the rates with `M / L < 1/α` are a confidence region at all times at once (beta-binomial mixture; Howard, Ramdas,
//! McAuliffe and Sekhon, *Time-uniform, nonparametric, nonasymptotic confidence sequences*, 2021).
//!
//! # The composite hypothesis
//!
//! "The extra rate is at most d" allows a whole set of rates. It is ruled out only if each of them is, so the
//! evidence against it is the smallest `M / L` in the set:
//!
//! ```text
//! E(d) = M / max { L(p₁, p₀) : p₁ − p₀ ≤ d }
//! ```
//!
//! If the hypothesis is true, then the true rates are in the set, and `E(d)` is at most `M / L` at the true rates. So the
//! chance that it ever reaches `1/α` is at most `α`, for each baseline rate and with each tolerance. (Wasserman, Ramdas
//! and Balakrishnan, *Universal inference*, 2020, section 7, call this a running maximum likelihood ratio.)
//!
//! In logarithms `ln E(d) = price + deviance`: [`Sample::price`] says by how much the mixture is worse than the best rates,
//! and the least [`Sample::deviance`] in the set by how much the set is. Both are convex in the rates. If the best rates are in the
//! set, the deviance is 0. Else its least value is on the border `p₁ = p₀ + d`, where it is convex in `p₀`: one root of one
//! monotone function.
//!
//! # Periods
//!
//! The rates of a service change over the day. If at the same time the share changes, the totals compare the candidate's
//! afternoon with the baseline's morning. So the maximum is taken for each period by itself, with its own
//! `p₀`:
//!
//! ```text
//! E(d) = M / ∏ max { Lₜ(p₁, p₀) : p₁ − p₀ ≤ d }        over the periods t
//! ```
//!
//! This is again at most `M / L` at the true rates, whatever the rates of each period are, if in each of them `p₁ − p₀ ≤ d`. The mixture
//! is a prediction, and may go on from one period to the next: only its power suffers if the rates change.

use super::sample::{Prior, Sample};

/// What the mixture expects of a candidate. Most rates are small, and one that fails always is also likely. Among the
/// priors `Beta(0.1 … 0.5, 0.5 … 10)`, this needs few sessions for both; see `docs/decisions`.
pub(super) const CANDIDATE: Prior = Prior { failed: 0.3, good: 1.0 };

/// What the mixture expects of versions that already serve: small rates.
pub(super) const BASELINE: Prior = Prior { failed: 0.2, good: 5.0 };

/// Steps in the search for the least deviance, which mostly takes five. If all of them halve the interval, it is as short as
/// doubles can tell.
const STEPS_TO_RATE: u32 = 60;

/// Halvings in the search for a bound. They end earlier where doubles end.
const HALVINGS_OF_BOUND: u32 = 120;

/// Both sides in one period. Without a baseline, the candidate is compared with a rate of 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Period {
    pub(super) candidate: Sample,
    pub(super) baseline: Option<Sample>,
}

impl Period {
    /// The least deviance with an extra rate of at most `extra`.
    fn at_most(self, extra: f64) -> f64 {
        match self.baseline {
            Some(baseline) => least_deviance(self.candidate, baseline, extra),
            None => self.candidate.deviance(self.candidate.rate().min(extra.max(0.0))),
        }
    }

    /// The least deviance with an extra rate of at least `extra`.
    fn at_least(self, extra: f64) -> f64 {
        match self.baseline {
            Some(baseline) => least_deviance(baseline, self.candidate, -extra),
            None => self.candidate.deviance(self.candidate.rate().max(extra.max(0.0))),
        }
    }
}

/// The least deviance of both samples, if the rate of `one` is at most that of `other` plus `extra`.
fn least_deviance(one: Sample, other: Sample, extra: f64) -> f64 {
    if other.begun <= 0.0 {
        return one.deviance(one.rate().min(1.0 + extra));
    }
    if one.begun <= 0.0 {
        return other.deviance(other.rate().max(-extra));
    }
    if one.rate() - other.rate() <= extra {
        return 0.0;
    }
    // On the border, the best rate of `other` is between its own and the one that suits `one`. Newton's method, kept within.
    let mut low = other.rate().max(-extra);
    let mut high = (one.rate() - extra).min(1.0).min(1.0 - extra).max(low);
    let mut rate = 0.5 * (low + high);
    for _ in 0..STEPS_TO_RATE {
        let slope = other.slope(rate) + one.slope(rate + extra);
        if slope > 0.0 {
            high = rate;
        } else {
            low = rate;
        }
        let step = slope / (other.curvature(rate) + one.curvature(rate + extra));
        // What the step gains is half of this.
        if slope * step < 1e-15 {
            break;
        }
        let next = rate - step;
        rate = if next > low && next < high { next } else { 0.5 * (low + high) };
    }
    other.deviance(rate) + one.deviance((rate + extra).clamp(0.0, 1.0))
}

/// All that was seen, as the test needs it.
#[derive(Debug, Clone)]
pub(super) struct Region {
    periods: Vec<Period>,
}

impl Region {
    pub(super) fn new(periods: Vec<Period>) -> Self {
        Self { periods }
    }

    pub(super) fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// Whether "the extra rate is at most `extra` in each period" is ruled out at `evidence`, a logarithm.
    pub(super) fn rules_out_at_most(&self, extra: f64, evidence: f64) -> bool {
        let deviance = self.at_most(extra);
        // The price is never above 0, and takes longer.
        deviance >= evidence && deviance >= self.deviance_for(evidence)
    }

    /// Whether "the extra rate is at least `extra` in each period" is ruled out.
    pub(super) fn rules_out_at_least(&self, extra: f64, evidence: f64) -> bool {
        let deviance = self.at_least(extra);
        deviance >= evidence && deviance >= self.deviance_for(evidence)
    }

    /// The smallest extra rate that is not ruled out.
    pub(super) fn low(&self, evidence: f64) -> f64 {
        let deviance = self.deviance_for(evidence);
        let mut bounds = (self.least(), 1.0);
        if self.at_most(bounds.0) < deviance {
            return bounds.0;
        }
        halve(&mut bounds, |extra| self.at_most(extra) < deviance);
        bounds.0
    }

    /// The largest extra rate that is not ruled out.
    pub(super) fn high(&self, evidence: f64) -> f64 {
        let deviance = self.deviance_for(evidence);
        let mut bounds = (self.least(), 1.0);
        if self.at_least(bounds.1) < deviance {
            return bounds.1;
        }
        halve(&mut bounds, |extra| self.at_least(extra) >= deviance);
        bounds.1
    }

    /// The least deviance with an extra rate of at most `extra` in each period. It never rises with `extra`.
    pub(super) fn at_most(&self, extra: f64) -> f64 {
        self.periods.iter().map(|period| period.at_most(extra)).sum()
    }

    /// The least deviance with an extra rate of at least `extra` in each period. It never falls with `extra`.
    fn at_least(&self, extra: f64) -> f64 {
        self.periods.iter().map(|period| period.at_least(extra)).sum()
    }

    /// The deviance that makes up for the price of the mixture.
    fn deviance_for(&self, evidence: f64) -> f64 {
        let candidate = price(self.periods.iter().map(|period| period.candidate), CANDIDATE);
        let baseline = price(self.periods.iter().filter_map(|period| period.baseline), BASELINE);
        evidence - candidate - baseline
    }

    /// The smallest extra rate that there is.
    fn least(&self) -> f64 {
        if self.periods.iter().any(|period| period.baseline.is_some()) { -1.0 } else { 0.0 }
    }
}

/// The price of the mixture over all periods, each measured against its own rate.
fn price(periods: impl Iterator<Item = Sample> + Clone, prior: Prior) -> f64 {
    let total = periods.clone().fold(Sample::default(), Sample::and);
    // With one period, its rate is that of the total, and the sum is 0.
    total.price(prior) - periods.map(|sample| sample.deviance(total.rate())).sum::<f64>()
}

/// Moves both bounds to the place where `is_above` turns from false to true.
fn halve(bounds: &mut (f64, f64), is_above: impl Fn(f64) -> bool) {
    for _ in 0..HALVINGS_OF_BOUND {
        let middle = 0.5 * (bounds.0 + bounds.1);
        if middle <= bounds.0 || middle >= bounds.1 {
            return;
        }
        if is_above(middle) {
            bounds.1 = middle;
        } else {
            bounds.0 = middle;
        }
    }
}
