//! Who gets the next new session: smooth weighted round robin, as nginx does it.
//!
//! Each pick adds every weight to its current value, takes the largest and subtracts the sum from it. Over each full
//! cycle the picks are in exact proportion to the weights, and spread as evenly as can be.

/// The state of one round robin over the instances of a service.
#[derive(Debug, Default)]
pub(super) struct Shares {
    lines: Vec<Line>,
}

/// How one of the instances is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice {
    /// By turns.
    InTurn,
    /// By this random number.
    Random(u64),
}

#[derive(Debug)]
struct Line {
    instance: u32,
    weight: i64,
    current: i64,
}

impl Shares {
    /// Takes new weights. An instance whose weight stays keeps its place in the cycle if all do.
    pub(super) fn set(&mut self, weights: impl Iterator<Item = (u32, u32)>) {
        let lines: Vec<Line> = weights
            .filter(|(_, weight)| *weight > 0)
            .map(|(instance, weight)| Line { instance, weight: i64::from(weight), current: 0 })
            .collect();
        let same = lines.len() == self.lines.len()
            && lines.iter().zip(&self.lines).all(|(new, old)| (new.instance, new.weight) == (old.instance, old.weight));
        if !same {
            self.lines = lines;
        }
    }

    /// The weight of each instance that has one.
    pub(super) fn weights(&self) -> impl Iterator<Item = (u32, u32)> {
        self.lines.iter().map(|line| (line.instance, u32::try_from(line.weight).unwrap_or(u32::MAX)))
    }

    /// One of the instances that `allowed` takes.
    pub(super) fn choose(&mut self, choice: Choice, allowed: impl Fn(u32) -> bool) -> Option<u32> {
        match choice {
            Choice::InTurn => self.pick(allowed),
            Choice::Random(number) => self.draw(number, allowed),
        }
    }

    /// The next instance among those that `allowed` takes.
    pub(super) fn pick(&mut self, allowed: impl Fn(u32) -> bool) -> Option<u32> {
        let mut total = 0;
        let mut best: Option<usize> = None;
        for (at, line) in self.lines.iter_mut().enumerate().filter(|(_, line)| allowed(line.instance)) {
            total += line.weight;
            line.current += line.weight;
            best = Some(at);
        }
        let mut best = best?;
        for (at, line) in self.lines.iter().enumerate().filter(|(_, line)| allowed(line.instance)) {
            // The first of equals, so that a restart does not always give the last one a start.
            if line.current > self.lines[best].current || (line.current == self.lines[best].current && at < best) {
                best = at;
            }
        }
        let line = &mut self.lines[best];
        line.current -= total;
        Some(line.instance)
    }

    /// One of the instances that `allowed` takes, in proportion to the weights, as a random number says. It does not move the
    /// round robin.
    pub(super) fn draw(&self, random: u64, allowed: impl Fn(u32) -> bool) -> Option<u32> {
        let lines = || self.lines.iter().filter(|line| allowed(line.instance));
        let total: i64 = lines().map(|line| line.weight).sum();
        // The high half of the number, scaled to the sum of the weights (Lemire 2016).
        let mut rest = (((random >> 32) * total.unsigned_abs()) >> 32).cast_signed();
        lines()
            .find(|line| {
                rest -= line.weight;
                rest < 0
            })
            .map(|line| line.instance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_full_cycle_is_in_exact_proportion(weights in prop::collection::vec(0_u32..60, 1..6)) {
            let mut shares = Shares::default();
            shares.set((0..).zip(weights.iter().copied()));
            let total: u32 = weights.iter().sum();
            let mut got = vec![0_u32; weights.len()];
            for _ in 0..total {
                got[shares.pick(|_| true).expect("a share") as usize] += 1;
            }
            prop_assert_eq!(&got, &weights);
            prop_assert_eq!(shares.pick(|_| true).is_none(), total == 0);
        }

        #[test]
        fn no_prefix_is_off_by_more_than_a_few(weights in prop::collection::vec(1_u32..100, 2..5)) {
            let mut shares = Shares::default();
            shares.set((0..).zip(weights.iter().copied()));
            let total: u32 = weights.iter().sum();
            let mut got = vec![0_u32; weights.len()];
            for n in 1..=total {
                got[shares.pick(|_| true).expect("a share") as usize] += 1;
                for (got, weight) in got.iter().zip(&weights) {
                    let due = f64::from(n) * f64::from(*weight) / f64::from(total);
                    prop_assert!((f64::from(*got) - due).abs() < weights.len() as f64);
                }
            }
        }
    }

    #[test]
    fn the_excluded_are_passed_over() {
        let mut shares = Shares::default();
        shares.set([(7, 90), (8, 10)].into_iter());
        for _ in 0..20 {
            assert_eq!(shares.pick(|instance| instance != 7), Some(8));
        }
        assert_eq!(shares.pick(|_| false), None);
    }
}
