//! What was counted of a candidate's sessions, and of those of the versions that it is compared with.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::name::{InstanceId, LocatorName, VersionId};
use crate::release::guard::{Comparison, Difference, Evidence, Finding, Guard, Judgement, Symptom};
use crate::routing::{Cohort, FencingToken, InstanceFigures, LocatorReport, Rate, Sessions};
use crate::settings::{GuardSettings, ServiceSettings};
use crate::time::Timestamp;

/// More periods cost power, and some bytes of each commit. After this many, the last one goes on.
const MAX_PERIODS: usize = 24;

/// What is known of a candidate's sessions, and of those that began at the same time on the versions that served before.
///
/// It begins with the candidate's first share. It ends when the candidate is given up, or when nothing is left to go back to.
///
/// ```
/// use haddock_core::release::guard::{Finding, Symptom};
/// use haddock_core::release::Watch;
/// use haddock_core::{Timestamp, VersionId};
///
/// let watch = Watch::new(VersionId(8), Some(VersionId(7)), Timestamp::from_millis(0));
/// assert_eq!(watch.finding, Finding::NotEnough, "no traffic is no evidence");
/// assert_eq!(watch.evidence(Symptom::Failed).candidate().begun(), 0);
/// assert_eq!(watch.sessions_per_second(), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The version that is judged.
    pub candidate: VersionId,
    /// The version that takes over if it is harmful.
    pub back_to: Option<VersionId>,
    /// When it first got a share.
    pub since: Timestamp,
    /// Its instances that ever had a share.
    pub candidates: BTreeSet<InstanceId>,
    /// The other instances that had one at the same time.
    pub baseline: BTreeSet<InstanceId>,
    /// The periods, oldest first. One begins where the candidate's share changes, and ends with the next.
    pub periods: Vec<Period>,
    /// What locators counted before they were restarted.
    pub earlier: BTreeMap<InstanceId, Vec<Cohort>>,
    /// What each locator has counted since it was started.
    pub counts: BTreeMap<LocatorName, Counts>,
    /// When the counts were last noted.
    pub noted_at: Timestamp,
    /// What was last found.
    pub finding: Finding,
    /// Whether it was told that new sessions do not go where they were sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mismatch: bool,
}

/// A period, in which chance alone decides on which side a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Its first table.
    pub first: FencingToken,
    /// Whether the candidate has all new sessions. Then there is nothing to compare with at the same time.
    pub alone: bool,
    /// When the table was asked for; 0 if an older Haddock asked for it.
    #[serde(default)]
    pub begun: Timestamp,
}

/// The key of sessions that began before the first period.
const BEFORE: FencingToken = FencingToken { epoch: 0, revision: 0 };

/// What a locator has counted since it was started, by instance and period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// The incarnation of the locator.
    pub incarnation: u64,
    /// Its counts. Of each cohort, `table` is the first of the period; 0.0 before the first period.
    pub instances: BTreeMap<InstanceId, Vec<Cohort>>,
}

impl Watch {
    /// A watch in which nothing was seen yet.
    #[must_use]
    pub fn new(candidate: VersionId, back_to: Option<VersionId>, now: Timestamp) -> Self {
        Self {
            candidate,
            back_to,
            since: now,
            candidates: BTreeSet::new(),
            baseline: BTreeSet::new(),
            periods: Vec::new(),
            earlier: BTreeMap::new(),
            counts: BTreeMap::new(),
            noted_at: now,
            finding: Finding::NotEnough,
            mismatch: false,
        }
    }

    /// A period begins with this table, unless there are too many.
    pub(in crate::release) fn begin_period(&mut self, first: FencingToken, alone: bool, now: Timestamp) {
        if self.periods.len() < MAX_PERIODS {
            self.periods.push(Period { first, alone, begun: now });
        }
    }

    /// Whether the candidate has all new sessions now.
    pub(in crate::release) fn is_alone(&self) -> bool {
        self.periods.last().is_some_and(|period| period.alone)
    }

    /// Takes what a locator has counted. Answers whether it was restarted since it was last asked.
    pub(in crate::release) fn count(&mut self, locator: &LocatorName, report: &LocatorReport) -> bool {
        let known = self.counts.entry(locator.clone()).or_default();
        let restarted = known.incarnation != report.incarnation && !known.instances.is_empty();
        if known.incarnation != report.incarnation {
            for (id, cohorts) in std::mem::take(&mut known.instances) {
                let earlier = self.earlier.entry(id).or_default();
                cohorts.iter().for_each(|cohort| add(earlier, cohort));
            }
            known.incarnation = report.incarnation;
        }
        for id in self.candidates.iter().chain(&self.baseline) {
            // What is no longer reported was counted: the instance is gone, not its sessions.
            let Some(figures) = report.instances.get(id) else { continue };
            let mut cohorts = Vec::new();
            for cohort in &figures.cohorts {
                let period = self.periods.iter().rev().find(|period| period.first <= cohort.table);
                add(&mut cohorts, &Cohort { table: period.map_or(BEFORE, |period| period.first), ..*cohort });
            }
            if !cohorts.is_empty() {
                known.instances.insert(id.clone(), cohorts);
            }
        }
        restarted
    }

    /// The sessions that began at the same time on both sides, by period.
    #[must_use]
    pub fn evidence(&self, symptom: Symptom) -> Evidence {
        if self.baseline.is_empty() {
            let each = self.periods.iter().map(|period| self.sessions(&self.candidates, period.first, symptom));
            return Evidence::Alone(each.sum());
        }
        let shared = self.periods.iter().filter(|period| !period.alone);
        let compare = |period: &Period| Comparison {
            candidate: self.sessions(&self.candidates, period.first, symptom),
            baseline: self.sessions(&self.baseline, period.first, symptom),
        };
        Evidence::Compared(shared.map(compare).collect())
    }

    /// The sessions that began while the candidate had all of them, and what was usual before. `None`: there are none, or
    /// nobody knows what was usual.
    #[must_use]
    pub fn evidence_alone(&self, symptom: Symptom) -> Option<Evidence> {
        let of = |ids, period| self.sessions(ids, period, symptom);
        let alone = self.periods.iter().filter(|period| period.alone).map(|period| of(&self.candidates, period.first));
        let candidate: Sessions = alone.sum();
        let before = self.periods.iter().map(|period| period.first).chain([BEFORE]);
        let usual: Sessions = before.map(|period| of(&self.baseline, period)).sum();
        (candidate.begun() > 0 && usual.begun() > 0).then(|| Evidence::compared(candidate, usual))
    }

    /// Sessions that have begun on the candidate.
    #[must_use]
    pub fn begun(&self) -> u64 {
        let each = self.periods.iter().map(|it| self.sessions(&self.candidates, it.first, Symptom::Failed).begun());
        each.sum()
    }

    /// What the guard finds: harmful if one test says so. Fine if all sessions that began at the same time do, whatever symptom
    /// is looked for.
    #[must_use]
    pub fn find(&self, settings: &ServiceSettings) -> Finding {
        let of = |test: &Test| (test.alone, test.guard.finding(&test.evidence));
        let found: Vec<(bool, Finding)> = self.tests(settings).iter().map(of).collect();
        if found.iter().any(|(_, finding)| *finding == Finding::Harmful) {
            return Finding::Harmful;
        }
        let mut compared = found.into_iter().filter(|(alone, _)| !alone).map(|(_, finding)| finding);
        if compared.all(|finding| finding == Finding::Fine) { Finding::Fine } else { Finding::NotEnough }
    }

    /// The figures of the test that matters most, with what was last found.
    #[must_use]
    pub fn judge(&self, settings: &ServiceSettings) -> Judgement {
        self.judge_by(&self.worst(settings))
    }

    /// The figures of this test, with what was last found.
    pub(crate) fn judge_by(&self, test: &Test) -> Judgement {
        Judgement { symptom: test.symptom, finding: self.finding, ..test.guard.judge(&test.evidence) }
    }

    /// The test that matters most.
    pub(crate) fn worst(&self, settings: &ServiceSettings) -> Test {
        let urgency = |test: &Test| match test.guard.finding(&test.evidence) {
            Finding::Harmful => 0,
            // After the full share, the sessions that began before say less and less.
            _ if test.alone => 1,
            Finding::NotEnough => 2,
            Finding::Fine => 3,
        };
        self.tests(settings).into_iter().min_by_key(urgency).expect("there is a test")
    }

    /// The tests of the candidate. They share the probability of a false alarm.
    fn tests(&self, settings: &ServiceSettings) -> Vec<Test> {
        let (guard_settings, symptoms) = (&settings.release.guard, symptoms(settings));
        let parts = if self.baseline.is_empty() { symptoms.len() } else { 2 * symptoms.len() };
        let mut tests = Vec::new();
        for symptom in symptoms.iter().copied() {
            let guard = guard(guard_settings, symptom, parts);
            tests.push(Test { symptom, alone: false, guard, evidence: self.evidence(symptom) });
            // Nothing is compared at the same time, so the time of day may make a difference, too: more is tolerated.
            let guard = guard.with_tolerate(guard_settings.at_most.max(guard.tolerate()));
            tests.extend(self.evidence_alone(symptom).map(|evidence| Test { symptom, alone: true, guard, evidence }));
        }
        tests
    }

    /// On which paths and with which status codes more sessions of the candidate fail.
    pub(crate) fn differences(&self, reports: &[&LocatorReport]) -> Vec<Difference> {
        let of = |ids: &BTreeSet<InstanceId>| -> Vec<&InstanceFigures> {
            let each = reports.iter().flat_map(|report| ids.iter().filter_map(|id| report.instances.get(id)));
            each.collect()
        };
        let (own, before) = (of(&self.candidates), of(&self.baseline));
        Difference::between(own.into_iter(), before.into_iter())
    }

    /// All sessions of the period in which new sessions begin now: of the candidate, and of both sides.
    #[must_use]
    pub(crate) fn newest(&self) -> (Sessions, Sessions) {
        let Some(period) = self.periods.last() else { return Default::default() };
        let of = |ids| self.sessions(ids, period.first, Symptom::Failed);
        let candidate = of(&self.candidates);
        (candidate, candidate + of(&self.baseline))
    }

    /// How many sessions begin on the candidate in a second, with the share that it has now. `None`: none has begun yet.
    #[must_use]
    pub fn sessions_per_second(&self) -> Option<f64> {
        let period = self.periods.last()?;
        let seconds = (self.noted_at - period.begun.max(self.since)).as_secs_f64();
        let begun = self.newest().0.begun();
        (begun > 0 && seconds > 0.0).then(|| begun as f64 / seconds)
    }

    fn sessions(&self, ids: &BTreeSet<InstanceId>, period: FencingToken, symptom: Symptom) -> Sessions {
        let counted = self.counts.values().map(|counts| &counts.instances).chain([&self.earlier]);
        let of_ids = counted.flat_map(|counted| ids.iter().filter_map(|id| counted.get(id))).flatten();
        let mut all = Cohort { table: period, sessions: Sessions::NONE, slow: 0 };
        for cohort in of_ids.filter(|cohort| cohort.table == period) {
            all.sessions = all.sessions + cohort.sessions;
            all.slow += cohort.slow;
        }
        match symptom {
            Symptom::Failed => all.sessions,
            Symptom::Slow => {
                Sessions::new(all.sessions.begun(), all.slow.min(all.sessions.begun())).expect("no more than began")
            }
        }
    }
}

/// What is looked for in the sessions of a candidate.
fn symptoms(settings: &ServiceSettings) -> &'static [Symptom] {
    match settings.session.slow {
        Some(_) => &[Symptom::Failed, Symptom::Slow],
        None => &[Symptom::Failed],
    }
}

/// A test of the guard, with all that it needs.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) symptom: Symptom,
    /// Whether it is about sessions that began while the candidate had all of them.
    pub(crate) alone: bool,
    pub(crate) guard: Guard,
    pub(crate) evidence: Evidence,
}

/// The guard for one of so many tests, which share the probability of a false alarm.
pub(in crate::release) fn guard(settings: &GuardSettings, symptom: Symptom, tests: usize) -> Guard {
    let tolerate = match symptom {
        Symptom::Failed => settings.tolerate,
        Symptom::Slow => settings.tolerate_slow,
    };
    let guard = Guard::default().with_tolerate(tolerate).with_at_most(settings.at_most);
    // What cannot be one is refused where it is read; a stored one that is wrong counts as the default.
    Rate::new(settings.false_alarm.get() / tests as f64).and_then(|rate| guard.with_false_alarm(rate)).unwrap_or(guard)
}

fn add(cohorts: &mut Vec<Cohort>, more: &Cohort) {
    match cohorts.iter_mut().find(|cohort| cohort.table == more.table) {
        Some(cohort) => {
            cohort.sessions = cohort.sessions + more.sessions;
            cohort.slow += more.slow;
        }
        None => cohorts.push(*more),
    }
}
