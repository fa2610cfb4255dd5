//! Where several locators are in front of a service, an application ends a session at one of them. While an instance drains, each
//! is told what has ended at the others, so that it does not wait until that has expired.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::observe::LOOK_LIMIT;
use super::ports::Ports;
use crate::error::ErrorKind;
use crate::locator::ServiceLocator;
use crate::name::{LocatorName, ServiceName};
use crate::release::{PhaseName, ServiceState};
use crate::routing::{EndedSession, EndedSessions};
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
        let asked = ports.locators.iter().map(|(name, locator)| {
            let from = self.next.get(name).copied().unwrap_or(0);
            async move { Some((name, ended(ports, &**locator, &state.service, from).await?)) }
        });
        let told = join_all(asked).await.into_iter().flatten().map(|(name, ended)| async move {
            let others = ports.locators.iter().filter(|(other, _)| *other != name);
            let heard = others.map(|(_, other)| hears(&**other, &state.service, &ended.sessions));
            join_all(heard).await.into_iter().all(|heard| heard).then(|| (name.clone(), ended.next))
        });
        self.next.extend(join_all(told).await.into_iter().flatten());
    }
}

/// What has ended at a locator. `None`: nothing, or it cannot say, or it does not answer.
async fn ended(ports: &Ports, locator: &dyn ServiceLocator, service: &ServiceName, from: u64) -> Option<EndedSessions> {
    let began = ports.clock.now();
    let mut ended = timeout(LOOK_LIMIT, locator.ended_sessions(service, from)).await.ok()?.ok()?;
    // As long ago as it may have been: what was used since then must go on.
    let since = ports.clock.now().since(began);
    ended.sessions.iter_mut().for_each(|session| session.ago += since);
    (!ended.sessions.is_empty()).then_some(ended)
}

/// Whether it has heard of them, or never does.
async fn hears(locator: &dyn ServiceLocator, service: &ServiceName, sessions: &[EndedSession]) -> bool {
    match timeout(LOOK_LIMIT, locator.end_sessions(service, sessions)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => error.kind() == ErrorKind::NotSupported,
        Err(_) => false,
    }
}
