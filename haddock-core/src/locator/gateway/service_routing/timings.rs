//! How long the requests of an instance took. It is counted under the lock that ends a request, so it costs no other.

use std::time::Duration;

/// The upper ends of the buckets, in milliseconds: those that Prometheus' own libraries begin with, and two for what is
/// slower. The clock has whole milliseconds, so a shorter one would say little.
pub(in crate::locator::gateway) const BUCKETS: [u64; 13] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

/// How many requests took how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::locator::gateway) struct Histogram {
    /// Those of each bucket, without those of smaller ones. The last one has no upper end.
    pub(in crate::locator::gateway) counts: [u64; BUCKETS.len() + 1],
    /// All their times, in milliseconds.
    pub(in crate::locator::gateway) sum: u64,
}

impl Histogram {
    #[inline]
    pub(super) fn note(&mut self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.counts[BUCKETS.partition_point(|end| *end < millis)] += 1;
        self.sum = self.sum.saturating_add(millis);
    }
}

/// The times of an instance's requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::locator::gateway) struct Timings {
    /// Until the answer began.
    pub(in crate::locator::gateway) first_byte: Histogram,
    /// Until it had ended. Upgraded connections are not among them.
    pub(in crate::locator::gateway) whole: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_what_took_up_to_its_end() {
        let mut histogram = Histogram::default();
        for millis in [0, 5, 6, 60_000, 60_001, u64::MAX] {
            histogram.note(Duration::from_millis(millis));
        }
        assert_eq!(histogram.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(histogram.sum, u64::MAX, "it does not wrap");
    }
}
