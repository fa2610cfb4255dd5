//! An adopted server: it ran before Haddock, and it runs on without it. Only its probe says how it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Work;
use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, VersionId};
use crate::release::event::Event;
use crate::release::request::{Adoption, Request};
use crate::release::state::{Attempt, External, Instance, Life, Phase, PhaseName, Server, Starting, Verdict, Version};
use crate::routing::{Adopted, Share};
use crate::time::Timestamp;

/// The time between two looks at a server that is being adopted. Its probe answers within milliseconds, and somebody
/// waits for it.
const ADOPTION_CHECKED_EVERY: Duration = Duration::from_millis(100);

impl Work<'_> {
    /// The server becomes the first instance of the service, if this has no instances, or only an adopted server that
    /// has failed.
    pub(super) fn take_adoption(&mut self, request: &Request, adoption: &Adoption) -> Result<(), Error> {
        self.check_locators(&adoption.settings)?;
        self.check_adoption()?;
        let state = &self.state;
        let failed = |instance: &Instance| instance.is_external() && instance.is(PhaseName::Failed);
        let has_instances =
            !state.instances.values().all(failed) || state.known_good.is_some_and(|good| !self.version(good).external);
        if has_instances || state.release.is_some() || state.queued.is_some() {
            let message = format!("service `{}` has instances of its own, or is being released", state.service);
            return Err(Error::new(ErrorKind::NothingToDo, message)
                .with_hint("adopt a server before the first release; now release the version that is to serve"));
        }
        let version = self.add_version(Version {
            request: request.id.clone(),
            new: adoption.version(),
            pins: Some(BTreeMap::new()),
            verdict: Verdict::Open,
            replacing: Attempt::default(),
            external: true,
            prepared: true,
            harm: None,
            begun: self.now,
            left: false,
            again: None,
        });
        let server = External { address: adoption.address, cookie: adoption.cookie.clone(), sessions_until: None };
        let ready_by = self.now + adoption.settings.ready.within;
        let id = self.add_instance(version, Starting::Adoption { ready_by, server });
        let (request, address) = (request.id.clone(), adoption.address);
        self.events.push(Event::ExternalAdopted { request, instance: id, version, address });
        Ok(())
    }

    /// Whether a server is being adopted that has not answered yet.
    pub(super) fn is_adopting(&self) -> bool {
        self.state.instances.values().any(|instance| instance.is_external() && instance.is(PhaseName::Starting))
    }

    pub(super) fn sight_external(&mut self, id: &InstanceId) {
        match &self.state.instances[id].phase {
            Phase::Starting(Starting::Adoption { ready_by, server }) => {
                self.sight_adoption(id, *ready_by, server.clone());
            }
            Phase::Ready(_) | Phase::Serving(_) | Phase::Draining(_) => {
                if !self.sight_probe(id) && !self.sight_closed(id) {
                    self.sight_share(id);
                }
            }
            Phase::Failed(_) => {
                self.sight_closed(id);
            }
            Phase::Starting(Starting::Launch { .. }) | Phase::Retiring(_) => {}
        }
    }

    /// Once the server answers, it is the known good version, because it served before Haddock did.
    fn sight_adoption(&mut self, id: &InstanceId, ready_by: Timestamp, server: External) {
        let version = self.state.instances[id].version;
        match self.seen.probes.get(id).map(|probed| &probed.failure) {
            Some(None) => {
                self.enter(id, |_| Phase::Ready(Life::new(Server::External(server))));
                self.version_mut(version).verdict = Verdict::Settled;
                self.state.known_good = Some(version);
                self.events.push(Event::InstanceReady { instance: id.clone() });
            }
            // Without a verdict, nobody has probed it yet. So the time limit counts only with one.
            Some(Some(why)) if ready_by <= self.now => {
                let settings = &self.version(version).new.settings;
                let within = settings.ready.within.as_secs_f64();
                let message = format!("the server at `{}` was not ready within {within} s: {why}", server.address);
                let error = Error::new(ErrorKind::NeverReady, message)
                    .with_hint("is it the address at which this host reaches the server?");
                self.version_mut(version).verdict = Verdict::Bad;
                self.fail(id, error, false);
            }
            _ => self.wake(self.now + ADOPTION_CHECKED_EVERY),
        }
    }

    /// Once another instance is given a share, requests without a locator's cookie may go there. Within one idle time
    /// from then, each session from before the adoption is used once more, or has expired.
    pub(super) fn note_sharing(&mut self, shares: &BTreeMap<InstanceId, Share>) {
        if !self.state.instances.values().any(Instance::is_external) {
            return;
        }
        let until = self.now + self.session_policy().idle;
        // Retiring the service takes its share, too.
        let retires = self.state.retiring.is_some();
        for (id, instance) in &mut self.state.instances {
            let Some(external) = instance.external_mut() else { continue };
            let shared = shares.iter().any(|(other, share)| other != id && !share.is_zero());
            if (shared || retires) && external.sessions_until.is_none() {
                external.sessions_until = Some(until);
            }
        }
    }

    /// What its route says about sessions from before the adoption.
    pub(super) fn adopted(&self, instance: &Instance) -> Option<Adopted> {
        let external = instance.external().filter(|_| self.rules.adopt_with_sessions)?;
        Some(Adopted { until: external.sessions_until?, cookie: external.cookie.clone() })
    }
}

/// Why there is no way back to an adopted server.
pub(super) fn external_is_over(version: VersionId) -> Error {
    let message = format!("{version} is a server that was adopted, and is drained, closed or failed by now");
    Error::new(ErrorKind::NothingToDo, message)
        .with_hint("it is not ours to start again; release the version that is to serve")
}
