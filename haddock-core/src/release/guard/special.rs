//! The logarithm of the beta function, exact to the last digits for counts up to a hundred million and beyond.
//!
//! `ln Γ(a) + ln Γ(b) − ln Γ(a + b)` is a difference of huge numbers. At `a = b = 10⁸` each of them is near `2·10⁹`, so a
//! double loses `2·10⁻⁷` of the result. Here the large terms are cancelled on paper, as in ACM TOMS 708 (Didonato and
//! Morris, *Significant digit computation of the incomplete beta function ratios*, 1992; there `betaln`, `algdiv`,
//! `bcorr`). For `x ≥ 10`, [`remainder`] is what Stirling's formula leaves:
//!
//! ```text
//! ln Γ(x) = (x − ½) ln x − x + ½ ln 2π + remainder(x)
//! remainder(x) ≈ 1/(12 x) − 1/(360 x³) + 1/(1260 x⁵) − …            Abramowitz and Stegun, 6.1.40
//! ```
//!
//! TOMS 708 has minimax coefficients for the series, from 8 on. From 10 on, eight terms of the series itself are as good,
//! and its coefficients can be checked by anybody.

use std::f64::consts::TAU;

/// From here on, eight terms of Stirling's series are exact to 10⁻¹⁷: the first term that is left out is `0.18 / x¹⁷`.
pub(super) const LARGE: f64 = 10.0;

/// `B₂ⱼ / (2j (2j − 1))` for j = 1, 2, …: the coefficients of `1/x`, `1/x³`, `1/x⁵` and so on.
const STIRLING: [f64; 8] = [
    1.0 / 12.0,
    -1.0 / 360.0,
    1.0 / 1260.0,
    -1.0 / 1680.0,
    1.0 / 1188.0,
    -691.0 / 360_360.0,
    1.0 / 156.0,
    -3617.0 / 122_400.0,
];

/// What Stirling's formula leaves of `ln Γ(x)`, for `x ≥ 10`.
fn remainder(x: f64) -> f64 {
    let step = (x * x).recip();
    STIRLING.iter().rev().fold(0.0, |sum, coefficient| sum * step + coefficient) / x
}

/// `remainder(a) + remainder(b) − remainder(a + b)`, for `a, b ≥ 10`: `bcorr` of TOMS 708.
pub(super) fn remainders(a: f64, b: f64) -> f64 {
    remainder(a) + (remainder(b) - remainder(a + b))
}

/// `ln Γ(x)` for `x > 0`, with an absolute error of some 10⁻¹⁵ below 10.
///
/// Below 10, `Γ(x) = Γ(x + m) / (x (x + 1) … (x + m − 1))`, with the smallest `m` that leads to 10.
fn ln_gamma(x: f64) -> f64 {
    let (mut up, mut product) = (x, 1.0);
    while up < LARGE {
        product *= up;
        up += 1.0;
    }
    (up - 0.5) * up.ln() - up + 0.5 * TAU.ln() + remainder(up) - product.ln()
}

/// `ln (Γ(b) / Γ(a + b))` for `a ≥ 0` and `b ≥ 10`: `algdiv` of TOMS 708.
///
/// Stirling's formula for both, with `ln (a + b) = ln b + ln(1 + a/b)`:
///
/// ```text
/// −(a + b − ½) ln(1 + a/b) − a (ln b − 1) + remainder(b) − remainder(a + b)
/// ```
fn ln_gamma_quotient(a: f64, b: f64) -> f64 {
    -(a + b - 0.5) * (a / b).ln_1p() - a * (b.ln() - 1.0) + (remainder(b) - remainder(a + b))
}

/// `ln B(a, b)`, the logarithm of the beta function, for `a, b > 0`.
///
/// With both of at least 10, Stirling's formula three times, in which `a`, `b` and `a + b` cancel:
///
/// ```text
/// ½ ln 2π − ½ ln b + (a − ½) ln (a / (a + b)) − b ln(1 + a/b) + remainders(a, b)        where a ≤ b
/// ```
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    if b < LARGE {
        return ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    }
    if a < LARGE {
        return ln_gamma(a) + ln_gamma_quotient(a, b);
    }
    0.5 * (TAU.ln() - b.ln()) - (a - 0.5) * (b / a).ln_1p() - b * (a / b).ln_1p() + remainders(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ln B(a, b)` for whole numbers: `1/B(a, b) = a (a+1) … (a+b−1) / (b−1)!`, as a sum of logarithms.
    fn by_product(a: u32, b: u32) -> f64 {
        -(0..b).map(|i| (f64::from(a + i)).ln() - f64::from(i.max(1)).ln()).sum::<f64>()
    }

    #[test]
    fn it_agrees_with_products_of_whole_numbers() {
        for a in 1..40 {
            for b in 1..40 {
                let (got, exact) = (ln_beta(f64::from(a), f64::from(b)), by_product(a, b));
                assert!((got - exact).abs() <= 1e-13 * (1.0 + exact.abs()), "B({a}, {b}): {got}, not {exact}");
            }
        }
    }

    #[test]
    fn it_agrees_with_values_in_closed_form() {
        use std::f64::consts::{LN_2, PI};
        for (a, b, exact) in [
            (0.5, 0.5, PI.ln()),
            (1.0, 1.0, 0.0),
            (1.0, 1e8, -(1e8_f64.ln())),
            (1e8, 1.0, -(1e8_f64.ln())),
            // B(½, 3/2) = π/2, B(1, b) = 1/b, B(2, b) = 1/(b (b + 1)).
            (0.5, 1.5, PI.ln() - LN_2),
            (1.0, 0.3, -(0.3_f64.ln())),
            (2.0, 1e8, -(1e8_f64.ln()) - (1e8 + 1.0_f64).ln()),
        ] {
            let got = ln_beta(a, b);
            assert!((got - exact).abs() <= 1e-14 * (1.0 + exact.abs()), "B({a}, {b}): {got}, not {exact}");
        }
    }

    #[test]
    fn it_is_smooth_where_one_formula_hands_over_to_the_next() {
        for (a, b) in [(0.3, LARGE), (LARGE, LARGE), (LARGE, 1e8), (5.0, LARGE), (LARGE, 12.0)] {
            for (da, db) in [(1e-9, 0.0), (0.0, 1e-9), (1e-9, 1e-9)] {
                let (below, above) = (ln_beta(a - da, b - db), ln_beta(a + da, b + db));
                assert!((below - above).abs() < 1e-7, "near B({a}, {b}): {below} and {above}");
            }
        }
    }
}
