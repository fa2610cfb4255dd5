//! The gate at the end of a stage: a person who says `advance`, or a program that is asked until it says go.
//!
//! Each question has a number of its own. A controller that takes over does not know of the question that the state
//! names, and asks again.

use std::time::Duration;

use super::{RUNTIME_BACKOFF, Work};
use crate::error::{Error, ErrorKind};
use crate::name::VersionId;
use crate::release::action::{Action, Task};
use crate::release::event::{AbortReason, Event};
use crate::release::observation::{GateAnswer, TaskReport, TaskResult};
use crate::release::state::PendingGate;
use crate::routing::Share;
use crate::settings::{Stage, StageGate};

/// What to do about a gate that does not open.
const HINT: &str = "to go on without it, advance the release; to give it up, abort it";

impl Work<'_> {
    /// Aborts the release if the gate of its stage says stop. This counts at any time, also while the ramp is held.
    pub(super) fn is_stopped_at_gate(&mut self, ramp: &[Stage], stage: usize) -> bool {
        let Some(pending) = self.state.release.as_ref().and_then(|release| release.gate) else { return false };
        let Some(TaskReport::Ended { result: Ok(TaskResult::Answered(GateAnswer::Stop(why), output)), .. }) =
            self.task(&Task::Gate(pending.number))
        else {
            return false;
        };
        let message = format!("the gate after {} says stop: {why}", ramp[stage].share);
        self.abort(AbortReason::Failed(Error::new(ErrorKind::HookFailed, message).with_log_tail(output.clone())));
        true
    }

    /// Whether the gate of this stage, whose time is over, is open.
    pub(super) fn is_gate_open(&mut self, version: VersionId, stage: usize, of: Stage) -> bool {
        if self.is_advancing() {
            return true;
        }
        match of.gate {
            StageGate::Open => true,
            StageGate::Hold => {
                let error = Error::new(ErrorKind::Busy, format!("at the gate after {}", of.share));
                self.wait_for(version, error.with_hint("to go on, advance the release; to give it up, abort it"))
            }
            StageGate::Asked { every } => self.is_let_through(version, stage, of.share, every),
        }
    }

    /// Whether what is asked at the end of the stage says go. It is asked if it is time.
    fn is_let_through(&mut self, version: VersionId, stage: usize, share: Share, every: Duration) -> bool {
        let error = |what: String| Error::new(ErrorKind::Busy, what).with_hint(HINT);
        let pending = self.release_mut().gate;
        let report = pending.and_then(|pending| self.task(&Task::Gate(pending.number)));
        let mut again = pending.is_some_and(|pending| pending.again);
        let mut ask_at = pending.map_or(self.now, |pending| pending.retry_at);
        match report {
            Some(TaskReport::Running) => {
                // If it has said wait before, this is still the reason.
                if !again {
                    self.release_mut().waits = Some(error(format!("for the answer of the gate after {share}")));
                }
                return false;
            }
            Some(TaskReport::Ended { result: Ok(TaskResult::Answered(GateAnswer::Go, output)), .. }) => {
                self.events.push(Event::GateOpened { version, stage, output: output.clone() });
                return true;
            }
            Some(TaskReport::Ended { at, result, .. }) => {
                let why = match result {
                    Ok(result) => {
                        error(format!("the gate after {share} says wait")).with_log_tail(result.said().to_vec())
                    }
                    Err(failure) => failure.clone(),
                };
                self.wait_at_gate(version, why);
                (ask_at, again) = (*at + every, true);
            }
            None => {}
        }
        if ask_at <= self.now {
            let number = self.number;
            let retry_at = self.now + RUNTIME_BACKOFF.0;
            self.release_mut().gate = Some(PendingGate { number, retry_at, again });
            self.actions.push(Action::Gate { version, stage, number });
        }
        self.wake(ask_at);
        false
    }

    /// Notes why the release waits. The history says it once, however often the gate is asked and whatever it writes.
    fn wait_at_gate(&mut self, version: VersionId, error: Error) {
        let before = self.release_mut().waits.replace(error.clone());
        if before.is_none_or(|before| before.message() != error.message()) {
            self.events.push(Event::ReleaseWaits { version, error });
        }
    }
}
