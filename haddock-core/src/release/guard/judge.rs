//! The guard: from what was seen to a verdict, and what else there is to be told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::region::{Period, Region};
use super::sample::Sample;
use super::sessions::Evidence;
use crate::error::{Error, ErrorKind, Result};
use crate::routing::{Rate, Sessions, Share};

/// Forecasts end here: nobody waits for so many sessions of a candidate.
const MANY_SESSIONS: f64 = 1e12;

/// Halvings in a forecast: to a millionth, which is more than anybody reads.
const HALVINGS: u32 = 40;

/// Judges a candidate by its failed sessions.
///
/// ```
/// use haddock_core::release::guard::{Evidence, Finding, Guard, Sessions};
///
/// # fn main() -> haddock_core::Result<()> {
/// let guard = Guard::default();
/// let baseline = Sessions::new(9_000, 9)?;
/// let judged = guard.judge(&Evidence::compared(Sessions::new(300, 25)?, baseline));
/// assert_eq!(judged.finding, Finding::Harmful);
/// assert!(judged.extra.low > 0.01);
///
/// let judged = guard.judge(&Evidence::compared(Sessions::new(300, 1)?, baseline));
/// assert_eq!(judged.finding, Finding::NotEnough, "1 in 300 may be anything");
///
/// let judged = guard.judge(&Evidence::compared(Sessions::new(9_000, 11)?, baseline));
/// assert_eq!(judged.finding, Finding::Fine);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Guard {
    false_alarm: Rate,
    tolerate: Rate,
    at_most: Rate,
}

impl Default for Guard {
    /// A false alarm in one of a hundred releases; 1 % of the sessions more may fail; 5 % where there is no baseline.
    fn default() -> Self {
        Self {
            false_alarm: Rate::basis_points(100),
            tolerate: Rate::basis_points(100),
            at_most: Rate::basis_points(500),
        }
    }
}

impl Guard {
    /// With another probability of a false alarm, for the whole release, however often one looks.
    ///
    /// It is the probability that a candidate that is not harmful is ever found harmful, and also that one that is harmful is ever found fine.
    /// Who watches several candidates gives each its part.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] for 0 and 1: no evidence is enough for the one, and none is needed for the other.
    pub fn with_false_alarm(self, false_alarm: Rate) -> Result<Self> {
        if false_alarm.get() > 0.0 && false_alarm.get() < 1.0 {
            return Ok(Self { false_alarm, ..self });
        }
        Err(Error::new(ErrorKind::InvalidValue, format!("a false alarm cannot have a probability of `{false_alarm}`"))
            .with_hint("more than 0 and less than 1; the default is 0.01"))
    }

    /// With another extra share of failed sessions that is not yet harm.
    #[must_use]
    pub fn with_tolerate(self, tolerate: Rate) -> Self {
        Self { tolerate, ..self }
    }

    /// The extra share of failed sessions that is not yet harm.
    #[must_use]
    pub const fn tolerate(&self) -> Rate {
        self.tolerate
    }

    /// With another share of failed sessions that is not yet harm where there is no baseline.
    #[must_use]
    pub fn with_at_most(self, at_most: Rate) -> Self {
        Self { at_most, ..self }
    }

    /// What is not yet harm: an extra rate above the baseline, or the rate itself without a baseline.
    #[must_use]
    pub fn threshold(&self, evidence: &Evidence) -> Rate {
        match evidence {
            Evidence::Compared(_) => self.tolerate,
            Evidence::Alone(_) => self.at_most,
        }
    }

    /// The verdict alone: what [`Guard::judge`] finds, without the bounds, in a fraction of the time.
    #[must_use]
    pub fn finding(&self, evidence: &Evidence) -> Finding {
        self.find(&region(evidence, |sample| sample), self.threshold(evidence))
    }

    /// The verdict, and the numbers that it stands on.
    ///
    /// Takes some ten microseconds for each period, whatever the counts.
    #[must_use]
    pub fn judge(&self, evidence: &Evidence) -> Judgement {
        let threshold = self.threshold(evidence);
        let region = region(evidence, |sample| sample);
        let enough = self.enough();
        Judgement {
            symptom: Symptom::Failed,
            finding: self.find(&region, threshold),
            candidate: evidence.candidate(),
            baseline: evidence.baseline(),
            extra: Interval { low: region.low(enough), high: region.high(enough) },
            threshold,
        }
    }

    /// The smallest extra rate of failed sessions that would have been found harmful by now, 0 to 1: a candidate that failed
    /// so much more, with as many sessions as there are, would be [`Finding::Harmful`].
    ///
    /// None if even a candidate that always fails would not be: too few sessions.
    #[must_use]
    pub fn smallest_visible(&self, evidence: &Evidence) -> Option<f64> {
        let threshold = self.threshold(evidence);
        let base = evidence.baseline().map_or(0.0, |sessions| sample(sessions).rate());
        let visible = |extra: f64| {
            let periods = periods(evidence).map(|period| {
                let own = period.baseline.filter(|baseline| baseline.begun > 0.0).map_or(base, Sample::rate);
                let begun = period.candidate.begun;
                Period { candidate: Sample { begun, failed: begun * (own + extra).min(1.0) }, ..period }
            });
            self.find(&Region::new(periods.collect()), threshold) == Finding::Harmful
        };
        let (mut not, mut is) = (threshold.get(), 1.0);
        if !visible(is) {
            return None;
        }
        for _ in 0..HALVINGS {
            let middle = 0.5 * (not + is);
            if visible(middle) {
                is = middle;
            } else {
                not = middle;
            }
        }
        Some(is.min(1.0 - base))
    }

    /// How many more sessions the candidate needs until there is a verdict, if both sides go on as they did.
    ///
    /// 0 if there is one. None if there is no rate yet to go on with, or if the rates are so near the threshold that it takes
    /// more than 10¹² sessions.
    #[must_use]
    pub fn sessions_to_verdict(&self, evidence: &Evidence) -> Option<u64> {
        let threshold = self.threshold(evidence);
        let begun = sample(evidence.candidate()).begun;
        let decided =
            |factor: f64| self.find(&region(evidence, |sample| sample.scaled(factor)), threshold) != Finding::NotEnough;
        if begun <= 0.0 {
            return None;
        }
        if decided(1.0) {
            return Some(0);
        }
        let mut enough = 2.0;
        while !decided(enough) {
            enough *= 2.0;
            if enough * begun > MANY_SESSIONS {
                return None;
            }
        }
        let mut few = enough / 2.0;
        for _ in 0..HALVINGS {
            let middle = 0.5 * (few + enough);
            if decided(middle) {
                enough = middle;
            } else {
                few = middle;
            }
        }
        Some(((enough - 1.0) * begun).ceil() as u64)
    }

    /// The logarithm of the evidence that a verdict needs.
    fn enough(&self) -> f64 {
        -self.false_alarm.get().ln()
    }

    fn find(&self, region: &Region, threshold: Rate) -> Finding {
        if region.periods().iter().all(|period| period.candidate.begun <= 0.0) {
            Finding::NotEnough
        } else if region.rules_out_at_most(threshold.get(), self.enough()) {
            Finding::Harmful
        } else if region.rules_out_at_least(threshold.get(), self.enough()) {
            Finding::Fine
        } else {
            Finding::NotEnough
        }
    }
}

/// What the guard finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The candidate fails more than is tolerated.
    Harmful,
    /// It does not.
    Fine,
    /// Nobody can tell yet. No traffic is no evidence, and never a failure.
    #[default]
    NotEnough,
}

/// The extra rates that the evidence allows: `low` to `high`, each −1 to 1 (0 to 1 without a baseline).
///
/// The true extra rate is within at *all* looks of a release, but for the probability of a false alarm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The smallest.
    pub low: f64,
    /// The largest: the worst case.
    pub high: f64,
}

// Its bounds are never NaN.
impl Eq for Interval {}

/// What is wrong with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Symptom {
    /// One of its requests failed.
    #[default]
    Failed,
    /// One of its requests was slow.
    Slow,
}

/// A verdict, and what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What was looked for. Where this is [`Symptom::Slow`], read "slow" for "failed".
    #[serde(default)]
    pub symptom: Symptom,
    /// The verdict.
    pub finding: Finding,
    /// All sessions of the candidate.
    pub candidate: Sessions,
    /// All sessions of the baseline; none if there is no baseline.
    pub baseline: Option<Sessions>,
    /// The extra share of failed sessions: above the baseline, or the share itself where there is none.
    pub extra: Interval,
    /// What is not yet harm: harmful is above, fine is below.
    pub threshold: Rate,
}

impl Judgement {
    /// The sessions that were harmed so far, as far as one can tell: the failed ones of the candidate, without as many as would
    /// have failed on the baseline.
    #[must_use]
    pub fn harmed(&self) -> f64 {
        let base = self.baseline.and_then(Sessions::rate).unwrap_or_default();
        (self.candidate.failed() as f64 - base * self.candidate.begun() as f64).max(0.0)
    }

    /// The largest share of new sessions with which the candidate harms at most `budget` sessions until the next look, at the
    /// worst extra rate that the evidence allows. `upcoming` is the number of new sessions that begin until then, on all
    /// versions.
    ///
    /// With no failed session the worst rate falls like `1/n`. So the share grows as evidence comes in: small while little is
    /// known, fast when all is clean. A fine candidate gets everything, a harmful one nothing. Rounded down to a hundredth of a
    /// percent.
    ///
    /// This looks no further than the next look. With little traffic even the full share harms few sessions until then,
    /// but it leaves no baseline to compare with, and a small harm is never found. So a ramp keeps a part for the
    /// baseline until the candidate is [`Finding::Fine`]. At a quarter, `examples/bench_guard` harms few sessions, and a clean
    /// candidate is fine after some 1 300 of its own.
    ///
    /// ```
    /// use haddock_core::Share;
    /// use haddock_core::release::guard::{Evidence, Guard, Sessions};
    ///
    /// # fn main() -> haddock_core::Result<()> {
    /// let guard = Guard::default();
    /// let nothing = guard.judge(&Evidence::compared(Sessions::NONE, Sessions::NONE));
    /// assert_eq!(nothing.share_within(10.0, 100.0), Share::percent(10), "each of 10 may be harmed");
    ///
    /// let clean = guard.judge(&Evidence::compared(Sessions::new(100, 0)?, Sessions::new(900, 0)?));
    /// assert!(clean.share_within(10.0, 100.0) > Share::percent(80));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn share_within(&self, budget: f64, upcoming: f64) -> Share {
        match self.finding {
            Finding::Harmful => return Share::ZERO,
            Finding::Fine => return Share::FULL,
            Finding::NotEnough => {}
        }
        let harmed = self.extra.high.max(0.0) * upcoming.max(0.0);
        if harmed <= budget {
            return Share::FULL;
        }
        Share::basis_points((budget.max(0.0) / harmed * 1e4) as u32)
    }
}

/// As a sentence about the version, for people.
impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.symptom {
            Symptom::Failed => "failed",
            Symptom::Slow => "were slow",
        };
        f.write_str(match self.finding {
            Finding::Harmful => "harmful: ",
            Finding::Fine => "fine: ",
            Finding::NotEnough => "not enough seen: ",
        })?;
        write!(f, "{} of {} sessions {verb}", self.candidate.failed(), self.candidate.begun())?;
        let (low, high) = (Percent(self.extra.low), Percent(self.extra.high));
        match self.baseline {
            Some(base) => {
                write!(f, ", and {} of {} on the versions before", base.failed(), base.begun())?;
                write!(f, "; that is {low} to {high} more, and {} more is tolerated", self.threshold)
            }
            None => write!(f, "; that is {low} to {high}, and {} is tolerated", self.threshold),
        }
    }
}

/// A part of one, in percent with two digits.
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", (self.0 * 1e4).round() / 100.0)
    }
}

fn sample(sessions: Sessions) -> Sample {
    Sample { begun: sessions.begun() as f64, failed: sessions.failed() as f64 }
}

fn periods(evidence: &Evidence) -> Box<dyn Iterator<Item = Period> + '_> {
    match evidence {
        Evidence::Compared(periods) => Box::new(
            periods
                .iter()
                .map(|period| Period { candidate: sample(period.candidate), baseline: Some(sample(period.baseline)) }),
        ),
        Evidence::Alone(sessions) => Box::new(std::iter::once(Period { candidate: sample(*sessions), baseline: None })),
    }
}

fn region(evidence: &Evidence, change: impl Fn(Sample) -> Sample) -> Region {
    let periods = periods(evidence)
        .map(|period| Period { candidate: change(period.candidate), baseline: period.baseline.map(&change) });
    Region::new(periods.collect())
}
