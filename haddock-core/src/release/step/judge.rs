//! What the sessions of the candidate say about it, and what follows.
//!
//! ```text
//!   cohorts of every locator ──▶ Watch ──▶ Guard ──▶ harmful   share back, then the instances are ended
//!                                                ├─▶ fine      `ramp: auto` goes on to the full share
//!                                                └─▶ neither   wait; `ramp: auto` raises the share as far as is safe
//! ```
//!
//! If one locator cannot be read, nobody is judged: what is not known moves no share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Work;
use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, VersionId};
use crate::release::event::{AbortReason, Event};
use crate::release::guard::{Comparison, Evidence, Finding, Guard, Judgement, Symptom};
use crate::release::state::{Instance, PhaseName, ReleasePhase, Verdict, Watch, guard};
use crate::routing::{FencingToken, LocatorReport, Rate, Route, SessionBy, Sessions, Share};

/// Counts are noted in the state this often. If a locator is restarted, what it counted since then is lost, on both sides.
const NOTED_EVERY: Duration = Duration::from_secs(10);

/// What `ramp: auto` takes for the time until its next look has an effect: the controller looks every second or two, and a table
/// needs a moment.
const NEXT_LOOK: Duration = Duration::from_secs(10);

/// `ramp: auto` keeps at least the rest for the baseline until the candidate is fine: with nothing to compare with, no small
/// harm would ever be found.
const MOST_BEFORE_FINE: Share = Share::percent(25);

/// `ramp: auto` raises the share by at least half: each step begins a period, and many periods cost power.
const LEAST_GROWTH: (u32, u32) = (3, 2);

/// The probability that a mismatch of shares is told although chance made it.
const MISMATCH_BY_CHANCE: f64 = 1e-4;

impl Work<'_> {
    /// Counts, judges, and gives up what is harmful.
    pub(super) fn judge(&mut self) {
        self.judge_candidate();
        self.judge_replicas();
    }

    fn judge_candidate(&mut self) {
        let Some(watch) = self.state.watch.clone() else { return };
        if !self.is_watched(&watch) {
            self.state.watch = None;
            return;
        }
        let reports = self.seen.locators.iter().map(|(name, view)| Some((name, view.report.value()?)));
        let known: Option<Vec<_>> =
            if self.rules.judge_only_what_is_known { reports.collect() } else { Some(reports.flatten().collect()) };
        let Some(known) = known.filter(|known| !known.is_empty()) else { return };
        let mut fresh = watch;
        let restarted = known.into_iter().fold(false, |any, (name, report)| fresh.count(name, report) || any);
        let settings = &self.version(fresh.candidate).new.settings;
        let (finding, acts) = (fresh.find(settings), settings.release.guard.acts);
        // What was fine once stays so until it is harmful: the bounds hold at all looks at once.
        let changed = finding != fresh.finding && !(fresh.finding == Finding::Fine && finding == Finding::NotEnough);
        if changed {
            fresh.finding = finding;
            self.tell_judgement(&fresh);
        }
        let mismatch = self.look_for_mismatch(&mut fresh);
        if changed || mismatch || restarted || fresh.noted_at + NOTED_EVERY <= self.now {
            fresh.noted_at = self.now;
            self.state.watch = Some(fresh.clone());
        }
        if fresh.finding == Finding::Harmful && acts {
            let judgement = self.judgement(&fresh);
            self.give_up(fresh.candidate, judgement);
        }
        self.judged = Some(fresh);
    }

    /// Whether the candidate can still be given up.
    fn is_watched(&self, watch: &Watch) -> bool {
        match &self.state.release {
            Some(release) => release.version == watch.candidate && !matches!(release.phase, ReleasePhase::Aborting(_)),
            None => {
                self.state.known_good == Some(watch.candidate)
                    && watch
                        .back_to
                        .is_some_and(|back| self.state.instances_of(back).any(|(_, it)| it.can_serve_again()))
            }
        }
    }

    pub(super) fn tell_judgement(&mut self, watch: &Watch) {
        let (version, judgement) = (watch.candidate, self.judgement(watch));
        let differences = self.reports.as_ref().map(|reports| watch.differences(reports)).unwrap_or_default();
        self.events.push(Event::Judged { version, judgement, differences });
    }

    /// The figures of a watch.
    fn judgement(&self, watch: &Watch) -> Judgement {
        watch.judge(&self.version(watch.candidate).new.settings)
    }

    /// Tells once if the candidate gets another share than was asked. Answers whether it did so now.
    fn look_for_mismatch(&mut self, watch: &mut Watch) -> bool {
        let (candidate, all) = watch.newest();
        let asked = self.state.asked_share_of(watch.candidate);
        // By client, the share is one of clients: those that come often have more sessions than others.
        let by_client = self.session_policy().by == SessionBy::Client;
        if by_client || watch.mismatch || asked.is_zero() || asked == Share::FULL || all.begun() == 0 {
            return false;
        }
        let Ok(given) = Sessions::new(all.begun(), candidate.begun()) else { return false };
        let by_chance = Rate::new(MISMATCH_BY_CHANCE).and_then(|rate| Guard::default().with_false_alarm(rate));
        let Ok(guard) = by_chance else { return false };
        let share = f64::from(asked.as_basis_points()) / 1e4;
        let possible = guard.judge(&Evidence::Alone(given)).extra;
        watch.mismatch = share < possible.low || share > possible.high;
        if watch.mismatch {
            let given = Share::nearest(given.rate().unwrap_or_default());
            self.events.push(Event::SharesMismatch { version: watch.candidate, asked, given });
        }
        watch.mismatch
    }

    /// Gives up a harmful version: by an abort of its release, or, if it has settled already, by going back to the version
    /// before it, which still drains.
    fn give_up(&mut self, version: VersionId, judgement: Judgement) {
        let back_to = self.state.watch.take().and_then(|watch| watch.back_to);
        self.version_mut(version).harm = Some(judgement);
        let reason = harmful(&judgement);
        if self.state.release.is_some() {
            return self.abort(AbortReason::Failed(reason));
        }
        if let Some(back_to) = back_to {
            self.version_mut(version).verdict = Verdict::Bad;
            self.state.known_good = Some(back_to);
            self.events.push(Event::WentBack { version, back_to, reason });
        }
    }

    /// Ends the instances of harmful versions that have given their share back.
    pub(super) fn end_harmful(&mut self) {
        let fallback = self.fallback_version();
        let harmful = self.state.instances.iter().filter_map(|(id, instance)| {
            let harm = self.version(instance.version).harm.as_ref()?;
            let runs = instance.phase.life().is_some();
            let given_back = self.has_zero_in_force(id) && fallback.is_some_and(|version| version != instance.version);
            (runs && (given_back || !self.rules.share_back_before_end)).then(|| (id.clone(), harmful(harm)))
        });
        for (id, error) in harmful.collect::<Vec<(InstanceId, Error)>>() {
            self.fail(&id, error, false);
        }
    }

    /// Notes which instances are compared from this table on. A period begins if the candidate's share changes.
    pub(super) fn note_period(&mut self, number: FencingToken, routes: &BTreeMap<InstanceId, Route>) {
        let Some(release) = self.state.release.as_ref().filter(|release| !release.rollback) else { return };
        if !matches!(release.phase, ReleasePhase::Ramping(_) | ReleasePhase::Settling) {
            return;
        }
        let candidate = release.version;
        let shared = routes.iter().filter(|(_, route)| !route.share.is_zero()).map(|(id, route)| (id, route.share));
        let (own, others): (Vec<_>, Vec<_>) =
            shared.partition(|(id, _)| self.state.instances.get(*id).is_some_and(|it| it.version == candidate));
        if own.is_empty() {
            return;
        }
        let before = self.state.asked_share_of(candidate);
        let share = Share::basis_points(own.iter().map(|(_, share)| share.as_basis_points()).sum());
        let (back_to, now) = (self.state.known_good.filter(|good| *good != candidate), self.now);
        let known = self.state.watch.take().filter(|watch| watch.candidate == candidate);
        let is_new = known.is_none();
        let mut watch = known.unwrap_or_else(|| Watch::new(candidate, back_to, now));
        let alone = others.is_empty() && !watch.baseline.is_empty();
        if is_new || share != before || alone != watch.is_alone() {
            watch.begin_period(number, alone, now);
        }
        watch.candidates.extend(own.into_iter().map(|(id, _)| id.clone()));
        watch.baseline.extend(others.into_iter().map(|(id, _)| id.clone()));
        self.state.watch = Some(watch);
    }

    /// Sessions that have begun on the candidate since it first got a share. `None`: not known now.
    pub(super) fn begun_on_candidate(&self) -> Option<u64> {
        self.judged.as_ref().map(Watch::begun)
    }

    /// The share that the evidence allows now, if it is known and more than before.
    pub(super) fn allowed_share(&self, present: Share, budget: u32) -> Option<Share> {
        let watch = self.judged.as_ref()?;
        if watch.finding == Finding::Fine {
            return Some(Share::FULL);
        }
        let (_, all) = watch.newest();
        let elapsed = (self.now - watch.since).as_secs_f64();
        let begun = watch.evidence(Symptom::Failed);
        let begun = begun.candidate().begun() + begun.baseline().map_or(0, |sessions| sessions.begun());
        if all.begun() == 0 || elapsed <= 0.0 {
            return None;
        }
        let upcoming = begun as f64 / elapsed * NEXT_LOOK.as_secs_f64();
        let allowed = self.judgement(watch).share_within(f64::from(budget), upcoming).min(MOST_BEFORE_FINE);
        let least = present.as_basis_points() * LEAST_GROWTH.0 / LEAST_GROWTH.1;
        let grown = allowed.as_basis_points() >= least || (allowed == MOST_BEFORE_FINE && allowed > present);
        grown.then_some(allowed)
    }

    /// One bad replica of a version goes, if others of the same version serve. It is compared with them.
    fn judge_replicas(&mut self) {
        let Some(good) = self.state.known_good.filter(|_| self.state.release.is_none()) else { return };
        let settings = self.version(good).new.settings.release.guard.clone();
        let Some(reports) = self.reports.clone().filter(|_| settings.acts) else { return };
        let serves = |id: &InstanceId, it: &Instance| {
            it.is(PhaseName::Serving) && self.answers(it) && !self.state.asked_share(id).is_zero()
        };
        let serving: Vec<InstanceId> =
            self.state.instances_of(good).filter(|(id, it)| serves(id, it)).map(|(id, _)| id.clone()).collect();
        if serving.len() < 2 || serving.len() < self.version(good).new.settings.release.replicas as usize {
            return;
        }
        let guard = guard(&settings, Symptom::Failed, serving.len());
        for id in &serving {
            let evidence = replica_evidence(id, &serving, &reports);
            if guard.finding(&evidence) == Finding::Harmful {
                let judgement = guard.judge(&evidence);
                return self.fail(id, harmful(&judgement), false);
            }
        }
    }
}

/// The sessions of one replica, and those of the others that began under the same tables.
fn replica_evidence(id: &InstanceId, serving: &[InstanceId], reports: &[&LocatorReport]) -> Evidence {
    // Several locators have the same tables.
    let tables: BTreeSet<FencingToken> = reports.iter().flat_map(|report| report.counted.iter().copied()).collect();
    let sessions = |of: &InstanceId, table: FencingToken| {
        let figures = reports.iter().filter_map(|report| report.instances.get(of));
        let cohorts = figures.flat_map(|figures| &figures.cohorts).filter(|cohort| cohort.table == table);
        cohorts.map(|cohort| cohort.sessions).sum::<Sessions>()
    };
    let mut all = Comparison::default();
    for table in tables {
        let own = sessions(id, table);
        let others: Vec<Sessions> =
            serving.iter().filter(|other| *other != id).map(|other| sessions(other, table)).collect();
        // A table under which only one of them served compares nothing.
        if own.begun() > 0 && others.iter().all(|other| other.begun() > 0) {
            all.candidate = all.candidate + own;
            all.baseline = others.into_iter().fold(all.baseline, |sum, other| sum + other);
        }
    }
    Evidence::Compared(vec![all])
}

fn harmful(judgement: &Judgement) -> Error {
    Error::new(ErrorKind::Harmful, judgement.to_string()).with_hint(
        "look at the failed requests and at the instance's log; `guard.tolerate` says how much is not yet harm",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{Cohort, InstanceFigures};
    use crate::time::Timestamp;

    #[test]
    fn what_two_locators_have_counted_is_added_up_once() {
        let table = |revision| FencingToken { epoch: 1, revision };
        let id = |name: &str| InstanceId::new(name).unwrap();
        let figures = |revision, begun, failed| InstanceFigures {
            cohorts: vec![Cohort { table: table(revision), sessions: Sessions::new(begun, failed).unwrap(), slow: 0 }],
            ..InstanceFigures::default()
        };
        let report = LocatorReport {
            counted: vec![table(1), table(2)],
            instances: [(id("a"), figures(1, 10, 4)), (id("b"), figures(1, 20, 1)), (id("c"), figures(1, 30, 0))]
                .into(),
            ..LocatorReport::new(1, Timestamp::default())
        };
        let serving = ["a", "b", "c"].map(id);
        let evidence = replica_evidence(&serving[0], &serving, &[&report, &report]);
        assert_eq!(evidence.candidate(), Sessions::new(20, 8).unwrap());
        assert_eq!(evidence.baseline(), Some(Sessions::new(100, 2).unwrap()));
    }
}
