//! What rehearsals with several seeds say together.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, RehearsedRelease};
use super::plan::Rehearsal;
use super::run::Runner;
use crate::error::{Error, ErrorKind, Result};

/// What rehearsals with several seeds say together. With several releases in a rehearsal, each of them counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// How many seeds.
    pub seeds: u64,
    /// The first of them; the others follow.
    pub seed: u64,
    /// Seconds until all new sessions went to the new version.
    pub to_full_share: Quantiles,
    /// Seconds until no older version was left.
    pub to_gone: Quantiles,
    /// Sessions that failed or were lost, and would not have been on the version that served before.
    pub sessions_harmed: Quantiles,
    /// The share of releases that were aborted, 0 to 1.
    pub aborted: f64,
    /// The share of releases that were aborted although nothing was wrong with them, 0 to 1.
    pub false_aborts: f64,
    /// The most versions that ran at the same time, over all seeds.
    pub versions_at_once: u32,
    /// The most containers that ran at the same time, over all seeds.
    pub containers_at_once: u32,
}

/// Quantiles: of ten values, one is at most `p10`, five at most `p50`, nine at most `p90`. `None`: it never happened in so
/// many.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// One of ten is at most this.
    pub p10: Option<f64>,
    /// Half of them are at most this.
    pub p50: Option<f64>,
    /// Nine of ten are at most this.
    pub p90: Option<f64>,
}

impl Quantiles {
    /// Of these values. What never happened counts as later than everything.
    ///
    /// ```
    /// use haddock_core::rehearsal::Quantiles;
    ///
    /// let quantiles = Quantiles::of([Some(3.0), None, Some(1.0), Some(2.0)]);
    /// assert_eq!((quantiles.p10, quantiles.p50, quantiles.p90), (Some(1.0), Some(2.0), None));
    /// ```
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let mut values: Vec<f64> = values.into_iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
        values.sort_by(f64::total_cmp);
        // The least value that at least this part of all values does not exceed.
        let at = |tenths: usize| {
            let rank = (values.len() * tenths).div_ceil(10).max(1);
            values.get(rank - 1).copied().filter(|value| value.is_finite())
        };
        Self { p10: at(1), p50: at(5), p90: at(9) }
    }
}

/// What a summary needs of an outcome. A timeline for each of thousands of seeds would fill the memory.
struct Figures {
    releases: Vec<RehearsedRelease>,
    versions: u32,
    containers: u32,
}

impl Rehearsal {
    /// Rehearses with this seed. The same plan and the same seed have the same outcome.
    ///
    /// # Errors
    /// [`InvalidValue`](ErrorKind::InvalidValue) if the plan makes no sense; [`NeverReady`](ErrorKind::NeverReady) if the
    /// version that serves before the release does not start in time.
    pub fn run(&self, seed: u64) -> Result<Outcome> {
        Runner::new(self, seed)?.finish(seed)
    }

    /// Rehearses with this many seeds, from `seed` on, on all processors.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`InvalidValue`](ErrorKind::InvalidValue) if there is no seed.
    pub fn summary(&self, seed: u64, seeds: u64) -> Result<Summary> {
        self.summary_unless(seed, seeds, &AtomicBool::new(false))
    }

    /// As [`summary`](Self::summary), until somebody sets `stop`.
    ///
    /// # Errors
    /// As [`summary`](Self::summary); [`TimedOut`](ErrorKind::TimedOut) if it was stopped.
    pub fn summary_unless(&self, seed: u64, seeds: u64, stop: &AtomicBool) -> Result<Summary> {
        let count = usize::try_from(seeds).unwrap_or(usize::MAX);
        if count == 0 {
            return Err(Error::new(ErrorKind::InvalidValue, "a rehearsal needs at least one seed"));
        }
        let next = AtomicUsize::new(0);
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(count);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return Ok(done);
                }
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::new(ErrorKind::TimedOut, "the rehearsal was stopped"));
                }
                let outcome = self.run(seed.wrapping_add(at as u64))?;
                let Outcome { releases, versions_at_once: versions, containers_at_once: containers, .. } = outcome;
                done.push(Figures { releases, versions, containers });
            }
        };
        let done: Vec<Result<Vec<Figures>>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<Vec<Figures>>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        let figures: Vec<Figures> = done.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        Ok(Self::summarise(seed, seeds, &figures))
    }

    fn summarise(seed: u64, seeds: u64, figures: &[Figures]) -> Summary {
        let releases = || figures.iter().flat_map(|figures| &figures.releases);
        let all = releases().count().max(1) as f64;
        let part = |of: fn(&RehearsedRelease) -> bool| releases().filter(|release| of(release)).count() as f64 / all;
        Summary {
            seeds,
            seed,
            to_full_share: Quantiles::of(releases().map(|release| release.to_full_share)),
            to_gone: Quantiles::of(releases().map(|release| release.to_gone)),
            sessions_harmed: Quantiles::of(releases().map(|release| Some(release.sessions_harmed as f64))),
            aborted: part(|release| release.to_abort.is_some()),
            false_aborts: part(|release| release.false_abort),
            versions_at_once: figures.iter().map(|figures| figures.versions).max().unwrap_or_default(),
            containers_at_once: figures.iter().map(|figures| figures.containers).max().unwrap_or_default(),
        }
    }
}
