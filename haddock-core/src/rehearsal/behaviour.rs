//! What a session meets on an instance.

use rand::{Rng, RngExt as _};

use super::fault::{Base, Faults};
use super::traffic::Traffic;

/// How an instance behaves.
#[derive(Debug, Clone)]
pub(super) struct Behaviour {
    base: Base,
    faults: Faults,
    /// When it was started, in milliseconds since the epoch.
    started: u64,
}

/// What a session meets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meets {
    /// It fails at this time or later.
    pub(super) fails_since: Option<u64>,
    /// It would not fail on the base.
    pub(super) harmed: bool,
    pub(super) is_slow: bool,
}

impl Behaviour {
    pub(super) fn new(base: Base, faults: Faults, started: u64) -> Self {
        Self { base, faults, started }
    }

    /// What a session with this luck meets that begins now. `luck`: from 0 to 1; the lower, the worse.
    pub(super) fn meets(&self, traffic: &Traffic, luck: f64, load: u64, now: u64, chance: &mut impl Rng) -> Meets {
        let base = self.base.errors.map(|rate| rate.get()).or_else(|| traffic.failed_at(now)).unwrap_or(0.0);
        let fails_on_base = luck < base;
        let mut meets = Meets { fails_since: fails_on_base.then_some(now), ..Meets::default() };
        if let Some(errors) = &self.faults.errors {
            let comes_there = errors.on_path.get() >= 1.0 || chance.random::<f64>() < errors.on_path.get();
            // A load of nothing is exceeded by the session itself.
            let is_loaded = errors.above_load == 0 || load > errors.above_load;
            if comes_there && is_loaded {
                let after = u64::try_from(errors.after.as_millis()).unwrap_or(u64::MAX);
                let since = self.started.saturating_add(after);
                let fails = luck < errors.rate.get();
                meets.harmed = fails && !fails_on_base;
                meets.fails_since = match (fails, fails_on_base) {
                    (true, false) => Some(since),
                    (true, true) => Some(now),
                    (false, _) => None,
                };
            }
        }
        let slow = self.faults.slow.or(self.base.slow).map_or(0.0, |rate| rate.get());
        meets.is_slow = slow > 0.0 && chance.random::<f64>() < slow;
        meets
    }
}
