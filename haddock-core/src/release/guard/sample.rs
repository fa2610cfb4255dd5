//! One side of a comparison: how well a rate explains the sessions of a sample, and how well a mixture of all rates does.
//!
//! Counts are real numbers here, because the forecasts ask what three and a half times the sessions would have shown.

use super::special::{LARGE, ln_beta, remainders};

/// A beta distribution over rates: what the mixture takes for likely before it has seen anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prior {
    pub(super) failed: f64,
    pub(super) good: f64,
}

/// Sessions begun, and those of them that failed. `0 ≤ failed ≤ begun`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sample {
    pub(super) begun: f64,
    pub(super) failed: f64,
}

impl Sample {
    /// The rate that explains the sample best; 0 without sessions.
    pub(super) fn rate(self) -> f64 {
        if self.begun > 0.0 { self.failed / self.begun } else { 0.0 }
    }

    pub(super) fn good(self) -> f64 {
        self.begun - self.failed
    }

    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { begun: self.begun * factor, failed: self.failed * factor }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { begun: self.begun + other.begun, failed: self.failed + other.failed }
    }

    /// By how much `rate` explains the sample worse than its own rate does: the difference of the logarithms of the
    /// likelihoods, `≥ 0`, infinite if the sample is impossible at that rate.
    ///
    /// It is `n · KL(own rate ‖ rate)`, and in the form of [`deviance`] free of cancellation.
    pub(super) fn deviance(self, rate: f64) -> f64 {
        deviance(self.failed, self.begun * rate) + deviance(self.good(), self.begun * (1.0 - rate))
    }

    /// The derivative of [`Sample::deviance`] by the rate. It never falls.
    pub(super) fn slope(self, rate: f64) -> f64 {
        let down = if self.failed > 0.0 { self.failed / rate } else { 0.0 };
        let up = if self.good() > 0.0 { self.good() / (1.0 - rate) } else { 0.0 };
        up - down
    }

    /// The derivative of [`Sample::slope`].
    pub(super) fn curvature(self, rate: f64) -> f64 {
        let down = if self.failed > 0.0 { self.failed / (rate * rate) } else { 0.0 };
        let up = if self.good() > 0.0 { self.good() / ((1.0 - rate) * (1.0 - rate)) } else { 0.0 };
        up + down
    }

    /// The logarithm of the likelihood under the mixture, less that under the sample's own rate. It is `≤ 0`: the price
    /// for not knowing the rate beforehand, some `½ ln n`.
    ///
    /// ```text
    /// ln B(a + k, b + n − k) − ln B(a, b) − k ln(k/n) − (n − k) ln(1 − k/n)
    /// ```
    ///
    /// With `k` and `n − k` of at least 10, the terms `k ln …` of both parts are taken together before they are computed:
    /// at `n = 10⁸` each is near `10⁸`, and their sum below 1.
    pub(super) fn price(self, prior: Prior) -> f64 {
        let Prior { failed: a, good: b } = prior;
        let (n, k, m) = (self.begun, self.failed, self.good());
        if n <= 0.0 {
            return 0.0;
        }
        let start = ln_beta(a, b);
        let (x, y) = (a + k, b + m);
        if k < LARGE || m < LARGE {
            return ln_beta(x, y) - start - times_ln(k, n) - times_ln(m, n);
        }
        let more = ((a + b) / n).ln_1p();
        let (ln_x, ln_y) = (-(y / x).ln_1p(), -(x / y).ln_1p());
        k * ((a / k).ln_1p() - more)
            + m * ((b / m).ln_1p() - more)
            + (a - 0.5) * ln_x
            + b * ln_y
            + 0.5 * (std::f64::consts::TAU.ln() - y.ln())
            + remainders(x, y)
            - start
    }
}

/// `part · ln(part / whole)`, which is 0 for `part = 0`.
fn times_ln(part: f64, whole: f64) -> f64 {
    match part {
        0.0 => 0.0,
        part if 2.0 * part > whole => part * (-(whole - part) / whole).ln_1p(),
        part => part * (part / whole).ln(),
    }
}

/// `seen ln(seen / expected) + expected − seen`, without cancellation where the two are near each other: `bd0` of Loader,
/// *Fast and accurate computation of binomial probabilities* (2000).
fn deviance(seen: f64, expected: f64) -> f64 {
    if seen <= 0.0 {
        return expected;
    }
    if expected <= 0.0 {
        return f64::INFINITY;
    }
    let difference = seen - expected;
    if difference.abs() >= 0.1 * (seen + expected) {
        return seen * (seen / expected).ln() - difference;
    }
    // ln(seen / expected) = 2 (v + v³/3 + v⁵/5 + …) with v = (seen − expected) / (seen + expected).
    let v = difference / (seen + expected);
    let mut sum = difference * v;
    let mut power = 2.0 * seen * v;
    for odd in (3..).step_by(2).map(f64::from) {
        power *= v * v;
        let next = sum + power / odd;
        if next.to_bits() == sum.to_bits() {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_forms_of_the_price_agree() {
        let prior = Prior { failed: 0.3, good: 1.0 };
        for (begun, failed) in [(20.0, 10.0), (500.0, 12.0), (5000.0, 4980.0), (1e4, 5e3)] {
            let sample = Sample { begun, failed };
            let plain = ln_beta(0.3 + failed, 1.0 + begun - failed)
                - ln_beta(0.3, 1.0)
                - failed * (failed / begun).ln()
                - (begun - failed) * (1.0 - failed / begun).ln();
            assert!((sample.price(prior) - plain).abs() < 1e-11, "{failed} of {begun}");
        }
    }

    #[test]
    fn the_deviance_is_that_of_the_likelihoods() {
        for (begun, failed) in [(10.0, 0.0), (10.0, 10.0), (100.0, 7.0), (1000.0, 990.0)] {
            let sample = Sample { begun, failed };
            assert!(sample.deviance(sample.rate()) < 1e-15);
            for rate in [0.001, 0.069, 0.0701, 0.5, 0.99, 0.9999] {
                let at = |rate: f64| {
                    let term = |count: f64, rate: f64| if count > 0.0 { count * rate.ln() } else { 0.0 };
                    term(failed, rate) + term(begun - failed, 1.0 - rate)
                };
                let plain = at(sample.rate()) - at(rate);
                let got = sample.deviance(rate);
                assert!(
                    (got - plain).abs() < 1e-10 * (1.0 + plain.abs()),
                    "{failed} of {begun} at {rate}: {got}, {plain}"
                );
            }
        }
        assert_eq!(Sample { begun: 3.0, failed: 1.0 }.deviance(0.0), f64::INFINITY);
        assert_eq!(Sample { begun: 3.0, failed: 1.0 }.deviance(1.0), f64::INFINITY);
    }
}
