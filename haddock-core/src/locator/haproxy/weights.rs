//! Shares as HAProxy's weights, 0 to 256.

use crate::routing::Share;

/// The largest weight of a server.
const MAX_WEIGHT: u32 = 256;

/// The weights that are nearest to the shares, and as small as that allows. A share is never rounded to none.
pub(super) fn of(shares: &[Share]) -> Vec<u16> {
    let points: Vec<u32> = shares.iter().map(|share| share.as_basis_points()).collect();
    let (total, largest) = (f64::from(points.iter().sum::<u32>()), points.iter().copied().max().unwrap_or(0));
    let mut best: (f64, Vec<u16>) = (f64::INFINITY, vec![0; points.len()]);
    if largest == 0 {
        return best.1;
    }
    for most in 1..=MAX_WEIGHT {
        let weight = |points: u32| match points {
            0 => 0,
            points => ((points * most + largest / 2) / largest).max(1),
        };
        let weights: Vec<u32> = points.iter().map(|points| weight(*points)).collect();
        let sum = f64::from(weights.iter().sum::<u32>());
        let off = |(weight, points): (&u32, &u32)| (f64::from(*weight) / sum - f64::from(*points) / total).abs();
        let error = weights.iter().zip(&points).map(off).fold(0.0, f64::max);
        // What is hardly better is not worth larger numbers.
        if error < best.0 - 1e-9 {
            best = (error, weights.iter().map(|weight| u16::try_from(*weight).unwrap_or(u16::MAX)).collect());
        }
    }
    best.1
}

/// The shares that these weights give, on the scale of the shares that were asked for.
pub(super) fn in_force(shares: &[Share], weights: &[u16]) -> Vec<Share> {
    let scale: u32 = shares.iter().map(|share| share.as_basis_points()).sum();
    let sum: u32 = weights.iter().map(|weight| u32::from(*weight)).sum();
    let share = |weight: u16| match sum {
        0 => Share::ZERO,
        sum => {
            let points = (u64::from(scale) * u64::from(weight) + u64::from(sum) / 2) / u64::from(sum);
            // Whoever has a weight has a share.
            Share::basis_points(u32::try_from(points).unwrap_or(u32::MAX).max(u32::from(weight > 0)))
        }
    };
    weights.iter().map(|weight| share(*weight)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn weights_are_near_the_shares(points in prop::collection::vec(0_u32..=10_000, 0..6)) {
            let shares: Vec<Share> = points.iter().map(|points| Share::basis_points(*points)).collect();
            let weights = of(&shares);
            let given = in_force(&shares, &weights);
            let total: u32 = points.iter().sum();
            for ((share, given), weight) in shares.iter().zip(&given).zip(&weights) {
                prop_assert!(*weight <= 256);
                prop_assert_eq!(share.is_zero(), *weight == 0);
                prop_assert_eq!(share.is_zero(), given.is_zero());
                let off = share.as_basis_points().abs_diff(given.as_basis_points());
                // Half a step of 1/256, for each one; a tiny share gets a whole step.
                prop_assert!(f64::from(off) / f64::from(total.max(1)) < 0.008, "{shares:?} {weights:?} {given:?}");
            }
        }
    }

    #[test]
    fn whole_percent_are_exact() {
        for (percent, weights) in [
            (&[1, 99][..], &[1, 99][..]),
            (&[10, 90], &[1, 9]),
            (&[50, 50, 0], &[1, 1, 0]),
            (&[33, 33, 34], &[33, 33, 34]),
            (&[100], &[1]),
            (&[0, 0], &[0, 0]),
        ] {
            let shares: Vec<Share> = percent.iter().map(|percent| Share::percent(*percent)).collect();
            assert_eq!(of(&shares), weights);
            assert_eq!(in_force(&shares, weights), shares);
        }
        let half = [Share::basis_points(50), Share::basis_points(9_950)];
        assert_eq!(of(&half), [1, 199]);
        assert_eq!(in_force(&[Share::basis_points(1), Share::basis_points(9_999)], &[1, 256])[0].to_string(), "0.39%");
    }
}
