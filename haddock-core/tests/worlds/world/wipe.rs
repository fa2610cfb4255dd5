//! The journal is lost, and recovered by what can be seen.

use std::collections::BTreeMap;

use haddock_core::release::{PhaseName, Remains, ServiceState, recover};
use haddock_core::routing::FencingToken;
use haddock_core::{InstanceId, VersionId};

use super::journal::Decision;
use super::{Event, World};

impl World {
    /// The journal is gone, and the controller that acted is gone, too.
    pub(crate) fn wipe(&mut self) {
        self.note(|| "the journal is lost".into());
        let coming = !self.end_controller();
        self.lost = true;
        self.was_lost = true;
        if self.journal.state.release.is_some() {
            self.meet("journal recovered in a release");
        }
        if self.journal.state.instances.values().any(|instance| instance.is(PhaseName::Draining)) {
            self.meet("journal recovered in a drain");
        }
        self.journal.state = ServiceState::new(self.service.clone(), self.journal_id.clone());
        self.journal.requests.clear();
        let after = self.dice.within(50..3_000);
        self.schedule(after, Event::Recover);
        // If a controller crashed just before, its successor is on its way already.
        if !coming {
            self.schedule(after, Event::TakeOver);
        }
    }

    /// It is recovered as soon as everything can be seen.
    pub(crate) fn recover(&mut self) {
        if self.engine_down > 0 || self.posts.iter().any(|post| post.cut_off > 0) {
            return self.schedule(200, Event::Recover);
        }
        self.refresh_truth();
        let now = self.time();
        let service = self.service.clone();
        let containers = self.engine.containers(now).cloned().collect();
        let reports = self.posts.iter_mut().map(|post| (post.name.clone(), post.core.report(&service, now)));
        let mut remains = Remains { containers, locators: reports.collect(), rest_is_gone: true, ..Remains::default() };
        for (spec, new) in &self.specs {
            remains.specifications.insert(spec.clone(), (new.clone(), new.images.clone()));
        }
        // The user knows what was adopted; whether it is still there, the locators know.
        let server = self.server.as_ref().and_then(|server| Some((server.instance.clone()?, server.adoption.clone())));
        if let Some((id, adoption)) = server {
            let listed = |post: &super::Post| {
                let named = post.core.table(&service).is_some_and(|table| table.routes.contains_key(&id));
                named && !post.core.is_closed(&service, &id)
            };
            if self.posts.iter().any(listed) {
                remains.adopted = Some(adoption);
                remains.rest_is_gone = true;
                self.meet("journal recovered with an adopted server");
            }
        }
        let recovered = recover(&service, &self.journal_id, &remains, now);
        self.lost = false;
        match recovered {
            Ok((state, events)) => {
                self.note(|| format!("recovered: {events:?}"));
                self.meet("journal recovered");
                self.take_up(state);
            }
            Err(error) => {
                self.note(|| format!("nothing is recovered: {error}"));
                self.meet("nothing left to recover");
                // With a new journal ids begin anew. Here they go on, so that the truth about old and new instances
                // stays apart.
                let numbers = self.truth.instances.keys().filter_map(|id| id.number(&self.journal_id));
                self.journal.state.next_instance = numbers.max().unwrap_or(0) + 1;
            }
        }
    }

    fn take_up(&mut self, mut state: ServiceState) {
        self.journal.epoch = self.journal.epoch.max(state.number.epoch);
        state.number = FencingToken { epoch: self.journal.epoch, revision: 1 };
        self.journal.decisions.insert(
            state.number,
            Decision {
                reading: self.now,
                unprobed: Default::default(),
                last_silent: Default::default(),
                known: true,
                retires: false,
            },
        );
        // Versions have new numbers now, and drains begin at another time.
        let ids: Vec<InstanceId> = self.truth.instances.keys().cloned().collect();
        for id in ids {
            let given_up = self.posts.iter().any(|post| post.core.is_closed(&self.service, &id));
            let found = state.instances.get(&id);
            let truth = self.truth_of(&id);
            truth.version = found.map_or(VersionId(u64::MAX), |instance| instance.version);
            (truth.overdue, truth.given_up) = (false, given_up);
            // An instance that somebody restarted while nobody looked counts as good, but its sessions are lost.
            let former = truth.lives.as_ref().filter(|_| !given_up);
            let lives = found.map(haddock_core::release::Instance::incarnations);
            let is_other =
                |lives: &&BTreeMap<_, _>| former.is_some_and(|it| it != *lives && it.keys().eq(lives.keys()));
            if let Some(lives) = lives.filter(is_other) {
                let hangs = self.silences_of(&lives["app"]);
                let truth = self.truth_of(&id);
                (truth.lives, truth.hangs, truth.broken_at) = (Some(lives.clone()), hangs, None);
            }
        }
        self.refresh_truth();
        self.journal.state = state;
    }
}
