//! What the guard sees, for people and programs.

use serde::{Deserialize, Serialize};

use crate::name::VersionId;
use crate::release::ServiceState;
use crate::release::guard::{Difference, Judgement};
use crate::routing::{LocatorReport, Rate, Share};
use crate::time::Timestamp;

/// What the guard found, in figures and as a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgementSummary {
    /// The figures.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// The sentence.
    pub text: String,
}

impl From<Judgement> for JudgementSummary {
    fn from(judgement: Judgement) -> Self {
        Self { judgement, text: judgement.to_string() }
    }
}

/// What the guard sees of the newest candidate, as long as it can be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSummary {
    /// The version that is judged.
    pub version: VersionId,
    /// What is found, and the figures that it stands on.
    pub judgement: JudgementSummary,
    /// Whether a harmful verdict is acted upon, or only told.
    pub acts: bool,
    /// When the figures were noted. They are at most some seconds old.
    pub noted_at: Timestamp,
    /// The share of the new sessions that is asked for it now.
    pub share_asked: Share,
    /// The share that it got since that was asked; `None` if nothing has begun since.
    pub share_given: Option<Share>,
    /// Sessions that were harmed so far, rounded: the failed ones without as many as fail on the baseline.
    pub harmed: u64,
    /// With `ramp: auto`: how many more sessions may be harmed until the next look.
    pub harm_budget: Option<u32>,
    /// The smallest extra share of failed sessions that would have been found harmful by now. `None`: not even one if all fail.
    pub smallest_visible: Option<Rate>,
    /// How many more sessions it needs until there is a verdict, if all goes on like this. 0: there is one. `None`: nobody can tell.
    pub sessions_to_verdict: Option<u64>,
    /// How long that takes at its present rate of sessions, in seconds.
    pub seconds_to_verdict: Option<u64>,
    /// On which paths and with which status codes more of its sessions fail; the largest difference first.
    pub differences: Vec<Difference>,
}

impl GuardSummary {
    pub(super) fn of(state: &ServiceState, reports: &[&LocatorReport]) -> Option<Self> {
        let watch = state.watch.as_ref()?;
        let settings = &state.versions.get(&watch.candidate)?.new.settings;
        let worst = watch.worst(settings);
        let judgement = watch.judge_by(&worst);
        let (guard, evidence) = (worst.guard, worst.evidence);
        let to_verdict = guard.sessions_to_verdict(&evidence);
        let (own, all) = watch.newest();
        let given = (all.begun() > 0).then(|| own.begun() as f64 / all.begun() as f64);
        Some(Self {
            version: watch.candidate,
            judgement: judgement.into(),
            acts: settings.release.guard.acts,
            noted_at: watch.noted_at,
            share_asked: state.asked_share_of(watch.candidate),
            share_given: given.map(Share::nearest),
            harmed: judgement.harmed().round() as u64,
            harm_budget: settings.release.auto.map(|auto| auto.harm_budget),
            smallest_visible: guard.smallest_visible(&evidence).and_then(|extra| Rate::new(extra).ok()),
            sessions_to_verdict: to_verdict,
            differences: watch.differences(reports),
            seconds_to_verdict: to_verdict
                .zip(watch.sessions_per_second())
                .map(|(sessions, rate)| (sessions as f64 / rate).ceil() as u64),
        })
    }
}
