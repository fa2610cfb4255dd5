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
    /// The first table of each period, oldest first. A period begins where the candidate's share changes, and ends with the
    /// next. After the full share the last one goes on, because no session begins on the baseline any more.
    pub periods: Vec<FencingToken>,
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

/// What a locator has counted since it was started, by instance and period.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// The incarnation of the locator.
    pub incarnation: u64,
    /// Its counts. Of each cohort, `table` is the first of the period.
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
    pub(in crate::release) fn begin_period(&mut self, table: FencingToken) {
        if self.periods.len() < MAX_PERIODS {
            self.periods.push(table);
        }
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
                if let Some(first) = self.periods.iter().rev().find(|first| **first <= cohort.table) {
                    add(&mut cohorts, &Cohort { table: *first, ..*cohort });
                }
            }
            if !cohorts.is_empty() {
                known.instances.insert(id.clone(), cohorts);
            }
        }
        restarted
    }

    /// What the guard judges.
    #[must_use]
    pub fn evidence(&self, symptom: Symptom) -> Evidence {
        let of = |ids: &BTreeSet<InstanceId>, period: FencingToken| self.sessions(ids, period, symptom);
        if self.baseline.is_empty() {
            let each = self.periods.iter().map(|period| of(&self.candidates, *period));
            return Evidence::Alone(each.fold(Sessions::NONE, |sum, sessions| sum + sessions));
        }
        let compare = |period: &FencingToken| Comparison {
            candidate: of(&self.candidates, *period),
            baseline: of(&self.baseline, *period),
        };
        Evidence::Compared(self.periods.iter().map(compare).collect())
    }

    /// What the guard finds: harmful if one symptom is, fine if all are.
    #[must_use]
    pub fn find(&self, settings: &ServiceSettings) -> Finding {
        let symptoms = symptoms(settings);
        let find = |symptom: &Symptom| {
            let guard = guard(&settings.release.guard, *symptom, symptoms.len());
            guard.finding(&self.evidence(*symptom))
        };
        symptoms.iter().map(find).min_by_key(urgency).unwrap_or_default()
    }

    /// The figures of the symptom that matters most, with what was last found.
    #[must_use]
    pub fn judge(&self, settings: &ServiceSettings) -> Judgement {
        let (symptom, worst) = self.worst(settings);
        Judgement { symptom, finding: self.finding, ..worst.0.judge(&worst.1) }
    }

    /// The symptom that matters most, with its guard and its evidence.
    pub(crate) fn worst(&self, settings: &ServiceSettings) -> (Symptom, (Guard, Evidence)) {
        let symptoms = symptoms(settings);
        let of = |symptom: &Symptom| {
            let guard = guard(&settings.release.guard, *symptom, symptoms.len());
            (*symptom, (guard, self.evidence(*symptom)))
        };
        let worst = symptoms.iter().map(of).min_by_key(|(_, (guard, evidence))| urgency(&guard.finding(evidence)));
        worst.expect("there is a symptom")
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
        let of = |ids| self.sessions(ids, *period, Symptom::Failed);
        let candidate = of(&self.candidates);
        (candidate, candidate + of(&self.baseline))
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

/// What comes first matters most.
fn urgency(finding: &Finding) -> u8 {
    match finding {
        Finding::Harmful => 0,
        Finding::NotEnough => 1,
        Finding::Fine => 2,
    }
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
