//! Retiring a service.
//!
//! Only two things are different: no instance is to have a share, and none is needed. The instances drain as always.
//! When the last one is gone and every locator has forgotten them, the state forgets the service.

use super::Work;
use crate::error::{Error, ErrorKind};
use crate::name::InstanceId;
use crate::release::event::Event;
use crate::release::request::Request;
use crate::release::state::{PhaseName, Retirement, ServiceState};

impl Work<'_> {
    /// Begins to retire the service. A second request changes nothing.
    pub(super) fn take_retire(&mut self, request: &Request) -> Result<(), Error> {
        if self.state.retiring.is_some() {
            return Ok(());
        }
        self.state.check_retirement()?;
        self.state.retiring = Some(Retirement { by: request.by.clone(), since: self.now });
        self.events.push(Event::ServiceRetiring { by: request.by.clone() });
        let instances = self.state.instances.iter();
        let starting = instances.filter(|(_, it)| it.is(PhaseName::Starting)).map(|(id, _)| id.clone());
        for id in starting.collect::<Vec<InstanceId>>() {
            self.fail(&id, Error::new(ErrorKind::NothingToDo, "its service was retired before it was ready"), false);
        }
        Ok(())
    }

    /// Lets the service serve again: instances that are not closed get their share back, and the others are replaced.
    pub(super) fn abort_retirement(&mut self, request: &Request) {
        if self.state.retiring.take().is_some() {
            self.events.push(Event::RetirementAborted { by: request.by.clone() });
        }
    }

    /// Why a request is refused while the service is being retired.
    pub(super) fn being_retired(&self) -> Error {
        let by = self.state.retiring.as_ref().map(|it| format!(", as `{}` asked", it.by)).unwrap_or_default();
        let message = format!("`{}` is being retired{by}", self.state.service);
        Error::new(ErrorKind::Busy, message)
            .with_hint("wait until it is gone; or let it serve again by an abort, and ask once more")
    }

    /// Forgets the service, once nothing of it is left anywhere.
    pub(super) fn end_retirement(&mut self) {
        let state = &self.state;
        let is_empty = state.instances.is_empty() && state.leaving.is_empty();
        let is_unlisted = state.asked.as_ref().is_none_or(|asked| asked.in_force && asked.routes.is_empty());
        let is_clean = self.containers.as_ref().is_some_and(|containers| containers.is_empty());
        if state.retiring.is_none() || !is_empty || !is_unlisted || !is_clean {
            return;
        }
        self.state = ServiceState {
            number: state.number,
            now: state.now,
            next_instance: state.next_instance,
            notifications: state.notifications.clone(),
            retired: true,
            last_version: state.versions.keys().next_back().copied().or(state.last_version),
            ..ServiceState::new(state.service.clone(), state.journal.clone())
        };
        self.events.push(Event::ServiceRetired);
    }
}
