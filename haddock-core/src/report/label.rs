//! What an event is called where it is drawn.

use super::model::Tone;
use crate::name::{InstanceId, VersionId};
use crate::release::Event;
use crate::release::guard::Finding;

/// Whether an event is shown on the page of this version's release, and how.
pub(crate) fn label(
    event: &Event,
    version: VersionId,
    version_of: impl Fn(&InstanceId) -> Option<VersionId>,
) -> Option<(Tone, String)> {
    let is_ours = |instance: &InstanceId| version_of(instance) == Some(version);
    let ours = event.version() == Some(version);
    let (tone, label) = match event {
        Event::ReleaseStarted { .. } => (Tone::Neutral, if ours { "begins" } else { "another release" }),
        Event::ReleaseLaunching { .. } if ours => (Tone::Neutral, "launching"),
        Event::BeforeStarted { .. } | Event::BeforeEnded { .. } if ours => (Tone::Neutral, "before"),
        Event::ReleaseWaits { .. } if ours => (Tone::Neutral, "waits"),
        Event::StageReached { share, .. } if ours => return Some((Tone::Neutral, format!("stage {share}"))),
        Event::GateOpened { .. } if ours => (Tone::Neutral, "gate open"),
        Event::ReleaseSettling { .. } if ours => (Tone::Neutral, "full share"),
        Event::ReleaseSettled { .. } | Event::ReleaseUnchanged { .. } if ours => (Tone::Good, "settled"),
        Event::ReleaseAborting { .. } if ours => (Tone::Bad, "aborting"),
        Event::ReleaseAborted { .. } if ours => (Tone::Bad, "aborted"),
        Event::ReleasePaused => (Tone::Neutral, "paused"),
        Event::ReleaseResumed => (Tone::Neutral, "resumed"),
        Event::Judged { judgement, .. } if ours => match judgement.finding {
            Finding::Harmful => (Tone::Bad, "harmful"),
            Finding::Fine => (Tone::Good, "fine"),
            Finding::NotEnough => return None,
        },
        Event::WentBack { .. } if ours => (Tone::Bad, "given up"),
        Event::SharesMismatch { .. } => (Tone::Bad, "share missed"),
        Event::InstanceReady { instance } if is_ours(instance) => (Tone::Neutral, "ready"),
        Event::InstanceFailed { .. } => (Tone::Bad, "failed"),
        Event::HookFailed { .. } => (Tone::Bad, "hook failed"),
        Event::DrainOverdue { .. } => (Tone::Bad, "evicted"),
        Event::InstanceRetiring { sessions_lost: 1.., .. } => (Tone::Bad, "sessions lost"),
        Event::InstanceDraining { .. } => (Tone::Neutral, "drains"),
        Event::InstanceGone { .. } | Event::ExternalReleased { .. } => (Tone::Neutral, "gone"),
        Event::ServiceRetiring { .. } => (Tone::Neutral, "retires"),
        Event::ClockSetBack { .. } => (Tone::Neutral, "clock"),
        _ => return None,
    };
    Some((tone, label.to_owned()))
}
