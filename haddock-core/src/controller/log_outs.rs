//! Where several locators are in front of a service, an application ends a session at one of them. While an instance drains, each
//! is told what has ended at the others, so that it does not wait until that has expired.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;

use super::observe::LOOK_LIMIT;
use super::ports::Ports;
use crate::error::ErrorKind;
use crate::locator::ServiceLocator;
use crate::name::{LocatorName, ServiceName};
use crate::release::{PhaseName, ServiceState};
use crate::routing::EndedSession;
use crate::time::Timestamp;

/// How often they are asked at most.
const EVERY: Duration = Duration::from_secs(1);

/// How far each was asked. After a crash of the controller, all is told again: nothing ends twice.
#[derive(Debug, Default)]
pub(super) struct LogOuts {
    next: BTreeMap<LocatorName, u64>,
    asked: Option<Timestamp>,
}

impl LogOuts {
    /// Tells each what is new at the others. One that does not answer hears it later.
    pub(super) async fn pass_on(&mut self, ports: &Ports, state: &ServiceState) {
        let now = ports.clock.now();
        let drains = state.instances.values().any(|instance| instance.is(PhaseName::Draining));
        if ports.locators.len() < 2 || !drains || self.asked.is_some_and(|at| now.since(at) < EVERY) {
            return;
        }
        self.asked = Some(now);
        for (name, locator) in &ports.locators {
            let from = self.next.get(name).copied().unwrap_or(0);
            let began = ports.clock.now();
            let ended = match timeout(LOOK_LIMIT, locator.ended_sessions(&state.service, from)).await {
                Ok(Ok(ended)) if !ended.sessions.is_empty() => ended,
                // It cannot say, has none, or does not answer.
                _ => continue,
            };
            // As long ago as it may have been: what was used since then must go on.
            let since = ports.clock.now().since(began);
            let sessions: Vec<_> =
                ended.sessions.iter().map(|session| EndedSession { ago: session.ago + since, ..*session }).collect();
            let mut all_heard = true;
            for (other, to) in ports.locators.iter().filter(|(other, _)| *other != name) {
                if !hears(&**to, &state.service, &sessions).await {
                    tracing::debug!(service = %state.service, %other, "it does not hear which sessions have ended");
                    all_heard = false;
                }
            }
            if all_heard {
                self.next.insert(name.clone(), ended.next);
            }
        }
    }
}

/// Whether it has heard of them, or never does.
async fn hears(locator: &dyn ServiceLocator, service: &ServiceName, sessions: &[EndedSession]) -> bool {
    match timeout(LOOK_LIMIT, locator.end_sessions(service, sessions)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => error.kind() == ErrorKind::NotSupported,
        Err(_) => false,
    }
}
