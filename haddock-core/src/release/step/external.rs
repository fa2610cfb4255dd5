//! The server that was adopted: it ran before us, and runs on after us. Only its probe says how it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Work;
use crate::error::{Error, ErrorKind};
use crate::name::{InstanceId, VersionId};
use crate::release::event::Event;
use crate::release::request::{Adoption, Request};
use crate::release::state::{Attempt, External, Instance, Phase, Verdict, Version};
use crate::routing::{Adopted, Share};

/// How soon a server that has not answered yet is looked at again.
const LOOK: Duration = Duration::from_millis(100);

impl Work<'_> {
    /// The server becomes the first instance of the service, if that has none but a server adopted before that has
    /// failed.
    pub(super) fn take_adoption(&mut self, request: &Request, adoption: &Adoption) -> Result<(), Error> {
        self.check_locators(&adoption.settings)?;
        let state = &self.state;
        let failed = |instance: &Instance| instance.external.is_some() && instance.phase == Phase::Failed;
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
            again: None,
        });
        let (id, _) = self.add_instance(version);
        let instance = self.instance_mut(&id);
        instance.address = Some(adoption.address);
        instance.external = Some(External { cookie: adoption.cookie.clone(), sessions_until: None });
        let (request, address) = (request.id.clone(), adoption.address);
        self.events.push(Event::ExternalAdopted { request, instance: id, version, address });
        Ok(())
    }

    /// Whether a server is being adopted that has not answered yet.
    pub(super) fn is_adopting(&self) -> bool {
        self.state.instances.values().any(|instance| instance.external.is_some() && instance.phase == Phase::Starting)
    }

    pub(super) fn sight_external(&mut self, id: &InstanceId) {
        match self.state.instances[id].phase {
            Phase::Starting => self.sight_adopted(id),
            Phase::Ready | Phase::Serving | Phase::Draining => {
                if !self.sight_probe(id, &BTreeMap::new()) {
                    self.sight_closed(id);
                    self.sight_share(id);
                }
            }
            Phase::Failed => {
                self.sight_closed(id);
            }
            Phase::Retiring => {}
        }
    }

    /// Once it answers it is the known good version, as it served before we came.
    fn sight_adopted(&mut self, id: &InstanceId) {
        let instance = &self.state.instances[id];
        let (version, ready_by) = (instance.version, instance.ready_by);
        match self.seen.probes.get(id).map(|probed| &probed.failure) {
            Some(None) => {
                self.enter(id, Phase::Ready);
                self.version_mut(version).verdict = Verdict::Settled;
                self.state.known_good = Some(version);
                self.events.push(Event::InstanceReady { instance: id.clone() });
            }
            // Nobody has asked it, for as long as there is no verdict.
            Some(Some(why)) if ready_by <= self.now => {
                let settings = &self.version(version).new.settings;
                let within = settings.ready.within.as_secs_f64();
                let address = self.state.instances[id].address.map(|it| it.to_string()).unwrap_or_default();
                let message = format!("the server at `{address}` was not ready within {within} s: {why}");
                let error = Error::new(ErrorKind::NeverReady, message)
                    .with_hint("is it the address at which this host reaches the server?");
                self.version_mut(version).verdict = Verdict::Bad;
                self.fail(id, error, false);
            }
            _ => self.wake(self.now + LOOK),
        }
    }

    /// From the first time on that somebody else is given a share, what comes without a locator's cookie may go
    /// elsewhere. A session that began before us is used once more within one idle time, or has expired.
    pub(super) fn note_sharing(&mut self, shares: &BTreeMap<InstanceId, Share>) {
        if !self.state.instances.values().any(|instance| instance.external.is_some()) {
            return;
        }
        let until = self.now + self.session_policy().idle;
        // Who retires takes its share, too.
        let retires = self.state.retiring.is_some();
        for (id, instance) in &mut self.state.instances {
            let Some(external) = &mut instance.external else { continue };
            let shared = shares.iter().any(|(other, share)| other != id && !share.is_zero());
            if (shared || retires) && external.sessions_until.is_none() {
                external.sessions_until = Some(until);
            }
        }
    }

    /// What its route says of its sessions from before.
    pub(super) fn adopted(&self, instance: &Instance) -> Option<Adopted> {
        let external = instance.external.as_ref().filter(|_| self.rules.adopt_with_sessions)?;
        Some(Adopted { until: external.sessions_until?, cookie: external.cookie.clone() })
    }

    /// It is closed everywhere: that is all that there is to be done about it.
    pub(super) fn release_external(&mut self, id: &InstanceId) {
        let Some(instance) = self.state.instances.remove(id) else { return };
        if let Some(address) = instance.address {
            self.events.push(Event::ExternalReleased { instance: id.clone(), address });
        }
    }
}

/// Why there is no way back to an adopted server.
pub(super) fn external_is_over(version: VersionId) -> Error {
    let message = format!("{version} is a server that was adopted, and is drained, closed or failed by now");
    Error::new(ErrorKind::NothingToDo, message)
        .with_hint("it is not ours to start again; release the version that is to serve")
}
